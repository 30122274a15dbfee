"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bonescint.scan import OutputError, os_reason


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Give a place beside a file; what is written there is renamed into the file's own place.

    Whoever reads meanwhile, or after a kill, finds the earlier file or the whole new one. If the
    block fails, nothing of it is left. The place is hidden, ends in `.part` and has a name that
    no other process uses.

    Args:
        path: of the file; its folder must exist.

    Raises:
        OutputError: the system refuses to write.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder) / "table.csv"
        ...     with written_beside(table) as beside:
        ...         _ = beside.write_text("a,b")
        ...         table.exists()
        ...     table.read_text()
        False
        'a,b'
    """
    # Without the file's own name, which may be as long as a name can be.
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            yield beside
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside its place, then rename it; text as UTF-8.

    Raises:
        OutputError: the system refuses to write.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_whole(Path(folder) / "notice.txt", "Research use only.")
        ...     (Path(folder) / "notice.txt").read_text()
        'Research use only.'
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with written_beside(path) as beside:
        beside.write_bytes(data)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless it is there.

    Raises:
        OutputError: the system refuses to make it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error that says where nothing can be written, why, and what to do.

    Examples:
        >>> print(cannot_write(Path("out"), OSError(errno.ENOSPC, "No space left on device")))
        out: cannot be written (No space left on device). Free some space or choose another place.
    """
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "Free some space or choose another place" if full else "Choose another place"
    return OutputError(f"{path}: cannot be written ({os_reason(error)}). {remedy}.")
