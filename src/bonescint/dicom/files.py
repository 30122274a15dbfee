"""Read files as bytes, within limits: a FIFO, a huge file or an endless header is refused.

A file in a ZIP archive is a path below the archive's (`archives.py`), and one in a bucket a path
that begins with `s3:` (`bonescint.buckets`); both are read like any other.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bonescint.buckets import is_in_bucket, opened_in_bucket, size_in_bucket
from bonescint.dicom.archives import archive_of, member_size, opened_member
from bonescint.scan import InputError

MAX_READS = 60_000
"""Reads that a header may take: two or three for each DICOM element or item, so some 25 000."""

MAX_BYTES = 8 * 1024 * 1024
"""Bytes of a header that are read; what a parser seeks past does not count."""

_CHARACTER_SET_BYTES = 1024
_CHARACTER_SET_TAGS = (b"\x08\x00\x05\x00", b"\x00\x08\x00\x05")


class TooLargeError(ValueError):
    """A header beyond the limits; the message says in what."""


class MeteredStream:
    """A stream that raises `TooLargeError` once a header exceeds what any bone scan's needs.

    Args:
        stream: the file.
        reads: largest number of calls of `read`.

    Attributes:
        problem: which limit was exceeded, else empty; kept because parsers may replace the error.
        limited: whether the limits apply; set it to False once the header is parsed.

    Examples:
        >>> from io import BytesIO
        >>> metered = MeteredStream(BytesIO(bytes(100_000)))
        >>> while metered.read(1):
        ...     pass
        Traceback (most recent call last):
        ...
        bonescint.dicom.files.TooLargeError: its header has far more elements than a bone scan's
    """

    def __init__(self, stream: BinaryIO, *, reads: int = MAX_READS) -> None:
        self._most_reads = reads
        self.seek = stream.seek
        self.tell = stream.tell
        self.problem = ""
        self.limited = True
        self._stream = stream
        self._reads = 0
        self._bytes = 0
        self._element = b""

    def read(self, size: int = -1) -> bytes:
        """Read as a file does, but at most one byte more than the limit allows."""
        if not self.limited:
            return self._stream.read(size)
        self._reads += 1
        if self._reads > self._most_reads:
            self._refuse("its header has far more elements than a bone scan's")
        if size > _CHARACTER_SET_BYTES and self._element.startswith(_CHARACTER_SET_TAGS):
            self._refuse("its header lists thousands of character sets")
        left = MAX_BYTES - self._bytes
        content = self._stream.read(left + 1 if size < 0 else min(size, left + 1))
        self._bytes += len(content)
        if self._bytes > MAX_BYTES:
            self._refuse(f"its header has more than {MAX_BYTES >> 20} MiB before the pixels")
        if size == 8:  # a DICOM element's tag, VR and length
            self._element = content
        return content

    def _refuse(self, problem: str) -> None:
        self.problem = problem
        raise TooLargeError(problem)


MAX_FILE_BYTES = 192 * 1024 * 1024
"""Largest file that is read: a whole-body study has 1 MiB, a generous one 20 MiB."""

MAX_PIXELS = 64 * 1024 * 1024
"""Most pixels (rows x columns x frames) that a file may announce."""

MAX_VIEW_PIXELS = 16 * 1024 * 1024
"""Most pixels of one image; the largest whole-body matrix in use is 2048 x 1024."""


def file_size(path: Path) -> int:
    """Size in bytes of a regular file, or one in an archive, that may be read.

    Args:
        path: the file; symbolic links are followed.

    Raises:
        InputError: it does not exist, is a folder, a FIFO or a device, is empty, or is larger
            than `MAX_FILE_BYTES`.
    """
    size = size_in_bucket(path) if is_in_bucket(path) else _member_size(path)
    if size is None:
        size = _regular_size(path)
    if size == 0:
        raise InputError(path, "the file is empty", "Export or copy it again")
    if size > MAX_FILE_BYTES:
        raise InputError(
            path,
            f"has {size / 2**20:.0f} MiB, over the limit of {MAX_FILE_BYTES >> 20} MiB",
            "A bone scan has about 1 MiB; leave this file out",
        )
    return size


def _member_size(path: Path) -> int | None:
    archive = archive_of(path)
    return member_size(archive, path) if archive else None


def _regular_size(path: Path) -> int:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(
            path, "is a folder, where a file is expected", "Name the files or search the folder"
        )
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            path, "is not a regular file (a pipe or a device)", "Copy its content to a file first"
        )
    return status.st_size


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; it is closed at the end.

    Raises:
        InputError: see `file_size`; also when it vanishes, permission is denied, or what is read
            of an archive is damaged.
    """
    file_size(path)
    if is_in_bucket(path):
        with opened_in_bucket(path) as stream:
            yield stream
        return
    archive = archive_of(path)
    if archive:
        with opened_member(archive, path) as member:
            yield member
        return
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    with file:
        yield file


def read_bytes(path: Path, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """The file's first `limit` bytes (by default all of it).

    Raises:
        InputError: see `opened`.
    """
    with opened(path) as stream:
        try:
            return stream.read(limit)
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None


def sha256(content: bytes) -> str:
    """Hex digest of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(path, "does not exist", "Check the path")
    if isinstance(error, PermissionError):
        return InputError(
            path, "cannot be read (permission denied)", "Ask for permission to read it"
        )
    if isinstance(error, OSError) and error.errno == 40:
        return InputError(path, "is a symbolic link that leads to itself", "Remove the link")
    reason = getattr(error, "strerror", None) or type(error).__name__
    return InputError(path, f"cannot be read ({reason})", "Check the path and the disk")
