"""Lock files, which say which process may write to a place.

The system itself releases the lock of a process that ends, however it ends (`flock`, which Linux'
NFS carries between hosts, too). What the file says is for people, and for file systems without
such locks.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Self

from bonescint.scan import OutputError

try:
    import fcntl
except ImportError:  # Windows: what the file says must do
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)
# File systems that know no such locks say one of these.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class _Writer:
    """The process that a lock file names."""

    process: int
    host: str

    @classmethod
    def this(cls) -> Self:
        return cls(process=os.getpid(), host=socket.gethostname())

    @classmethod
    def named_in(cls, content: bytes) -> Self | None:
        """The process that a lock file names, or `None`."""
        try:
            named = json.loads(content)
            return cls(process=int(named["process"]), host=str(named["host"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def is_gone(self) -> bool:
        """Whether it has certainly ended."""
        if not self.is_here or os.name != "posix":
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


@contextmanager
def held(lock: Path, place: Path) -> Iterator[None]:
    """Hold a lock file; it is removed at the end.

    Args:
        lock: the file; its folder must exist.
        place: what it is held for, to be named in messages.

    Raises:
        OutputError: another process holds it, or one on another host left it.
        OSError: it cannot be made.
    """
    stream = _locked(lock, place)
    try:
        yield
    finally:
        with suppress(OSError):  # before it is released: nobody else can hold a file of this name
            lock.unlink(missing_ok=True)
        stream.close()


def _locked(lock: Path, place: Path) -> BinaryIO:
    """Open a lock file, lock it, and name this process in it."""
    while True:
        with ExitStack() as opened:
            number = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
            stream = opened.enter_context(os.fdopen(number, "r+b", buffering=0))
            earlier = _Writer.named_in(stream.read())
            if not _lock_is_ours(stream, earlier):
                raise OutputError(
                    f"{place}: {earlier or 'another process'} is writing there. Wait until it has "
                    "finished, or choose another folder."
                )
            if os.fstat(number).st_nlink:  # else its owner has just removed it
                _take_over(stream, earlier, lock, place)
                opened.pop_all()
                return stream


def _lock_is_ours(stream: BinaryIO, earlier: _Writer | None) -> bool:
    """Lock a file, unless another process has."""
    if fcntl is not None:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        else:
            return True
    return earlier is None or earlier.is_gone


def _take_over(stream: BinaryIO, earlier: _Writer | None, lock: Path, place: Path) -> None:
    if earlier is not None and not earlier.is_here:
        raise OutputError(
            f"{place}: {earlier} started writing there and did not finish. If it is no longer "
            f"running, delete {lock}."
        )
    if earlier is not None:
        _log.warning("%s: %s ended before it had finished; its lock was taken over", place, earlier)
    stream.seek(0)
    stream.truncate()
    stream.write(json.dumps(asdict(_Writer.this())).encode())
