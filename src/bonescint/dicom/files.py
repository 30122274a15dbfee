"""Files as bytes, within limits: nothing here hangs on a FIFO or swallows a disk."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from bonescint.scan import InputError

MAX_FILE_BYTES = 192 * 1024 * 1024
"""Largest file that is read: a whole-body study has 1 MiB, a generous one 20 MiB."""

MAX_PIXELS = 64 * 1024 * 1024
"""Most pixels (rows x columns x frames) that a file may announce."""

MAX_VIEW_PIXELS = 16 * 1024 * 1024
"""Most pixels of one image; the largest whole-body matrix in use is 2048 x 1024."""


def file_size(path: Path) -> int:
    """Size in bytes of a regular file that may be read.

    Args:
        path: the file; symbolic links are followed.

    Raises:
        InputError: it does not exist, is a folder, a FIFO or a device, is empty, or is larger
            than `MAX_FILE_BYTES`.
    """
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
    if status.st_size == 0:
        raise InputError(path, "the file is empty", "Export or copy it again")
    if status.st_size > MAX_FILE_BYTES:
        raise InputError(
            path,
            f"has {status.st_size / 2**20:.0f} MiB, over the limit of {MAX_FILE_BYTES >> 20} MiB",
            "A bone scan has about 1 MiB; leave this file out",
        )
    return status.st_size


def read_bytes(path: Path, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """The file's first `limit` bytes (by default all of it).

    Raises:
        InputError: see `file_size`; also when it vanishes or permission is denied.
    """
    size = file_size(path)
    try:
        with path.open("rb") as stream:
            return stream.read(min(size, limit))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def sha256(content: bytes) -> str:
    """Hex digest of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(path, "does not exist (any more)", "Check the path")
    if isinstance(error, PermissionError):
        return InputError(path, "may not be read (permission denied)", "Ask for the right to read")
    if isinstance(error, OSError) and error.errno == 40:
        return InputError(path, "is a symbolic link that leads to itself", "Remove the link")
    reason = getattr(error, "strerror", None) or type(error).__name__
    return InputError(path, f"cannot be read ({reason})", "Check the path and the disk")
