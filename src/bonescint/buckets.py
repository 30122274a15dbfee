"""Files in S3 buckets, by fsspec: a path such as `Path("s3://archive/nm")` names one.

`pathlib` makes `s3:/archive/nm` of it; `address` gives it as the user wrote it. Credentials and the
address of the server come from the environment alone (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL` and
the other variables of Amazon's tools). They are in no message, because no message quotes one of a
library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

from bonescint.extras import load
from bonescint.scan import BonescintError, InputError, OutputError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_Value = TypeVar("_Value")
_SCHEME = "s3:"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# Bytes per request: a header, and usually most of a scan, is read in one.
_BLOCK_BYTES = 512 * 1024
_REASONS = {
    "FileNotFoundError": ("does not exist", "Check the address"),
    "PermissionError": ("access is denied", "Check the credentials in the environment (AWS_...)"),
    "NoCredentialsError": (
        "no credentials were found",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    ),
    "EndpointConnectionError": ("the server cannot be reached", "Check AWS_ENDPOINT_URL"),
}


def is_in_bucket(path: Path) -> bool:
    """Whether a path names a bucket or something in one.

    Examples:
        >>> is_in_bucket(Path("s3://archive/nm")), is_in_bucket(Path("archive/nm"))
        (True, False)
    """
    return path.parts[:1] == (_SCHEME,)


def address(path: Path) -> str:
    """A path as the user writes it.

    Examples:
        >>> address(Path("s3://archive/nm/")), address(Path("nm/scan.dcm"))
        ('s3://archive/nm', 'nm/scan.dcm')
    """
    return f"s3://{'/'.join(path.parts[1:])}" if is_in_bucket(path) else str(path)


def require_local(place: Path, instead: str = "Choose a local path, then copy it") -> None:
    """Refuse an address in a bucket as the place of an output.

    Raises:
        OutputError: it is one; the message does not quote credentials in it.

    Examples:
        >>> require_local(Path("s3://key:secret@results/run"))
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.OutputError: the S3 address: is in a bucket. Choose a local path, \
then copy it.
    """
    if is_in_bucket(place):
        named = _BUCKET.fullmatch("".join(place.parts[1:2]))
        raise OutputError(
            f"{address(place) if named else 'the S3 address'}: is in a bucket. {instead}."
        )


def require_address(path: Path) -> None:
    """Refuse an address that names no bucket; the message does not quote it.

    Raises:
        InputError: it names none, or holds credentials.
        MissingExtraError: the extra `cluster` is not installed.

    Examples:
        >>> require_address(Path("s3://key:secret@archive/nm"))
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.InputError: the S3 address: names no bucket. Give \
s3://bucket/folder; credentials belong in the environment (AWS_ACCESS_KEY_ID, \
AWS_SECRET_ACCESS_KEY).
    """
    if not is_in_bucket(path):
        return
    if not _BUCKET.fullmatch("".join(path.parts[1:2])):
        raise InputError(
            "the S3 address",
            "names no bucket",
            "Give s3://bucket/folder; credentials belong in the environment (AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY)",
        )
    load("s3fs", extra="cluster")


def files_in_bucket(path: Path) -> list[Path]:
    """The object at an address, or all objects below it, in the order of a search in folders.

    Hidden objects and those whose name ends in a slash are skipped.

    Raises:
        InputError: there is nothing, or it cannot be listed.
    """
    require_address(path)
    found = _asked(path, lambda files: files.find(_key(path)))
    paths = [Path(f"s3://{name}") for name in found if not name.endswith("/")]
    below = len(path.parts)
    shown = [one for one in paths if not any(part[0] == "." for part in one.parts[below:])]
    if not shown:
        raise InputError(address(path), *_REASONS["FileNotFoundError"])
    return sorted(shown, key=_search_order)


def _search_order(path: Path) -> list[tuple[int, str]]:
    """Sort key: the files of a folder come before its subfolders."""
    return [*((1, part) for part in path.parts[:-1]), (0, path.name)]


def size_in_bucket(path: Path) -> int:
    """Size of an object in bytes.

    Raises:
        InputError: there is no such object, or the server does not give its size.
    """
    return int(_asked(path, lambda files: files.info(_key(path)))["size"])


@contextmanager
def opened_in_bucket(path: Path) -> Iterator[BinaryIO]:
    """Open an object for reading; bytes are fetched as they are read.

    Raises:
        InputError: there is no such object, or it cannot be read; also replaces any error in the
            block once the connection has failed.
    """
    with _asked(path, lambda files: files.open(_key(path), "rb", block_size=_BLOCK_BYTES)) as raw:
        stream = _Stream(raw)
        try:
            yield cast(BinaryIO, stream)
        finally:
            if stream.failure is not None:
                raise _unreadable(path, stream.failure) from None


class _Stream:
    """Reads an object and records a failure, since parsers take any error for a bad file."""

    def __init__(self, raw: BinaryIO) -> None:
        self.failure: Exception | None = None
        self.seek = raw.seek
        self.tell = raw.tell
        self._raw = raw

    def read(self, size: int = -1) -> bytes:
        try:
            return self._raw.read(size)
        except Exception as error:
            self.failure = error
            raise


def names_in_bucket(folder: Path) -> list[str]:
    """Names of the objects directly below an address, sorted; none if nothing is there.

    Raises:
        OutputError: it cannot be listed.
    """
    prefix = _key(folder) + "/"
    found = _asked(folder, lambda files: files.find(_key(folder), maxdepth=1), _unwritable)
    return sorted(name.removeprefix(prefix) for name in found if name.startswith(prefix))


def put_in_bucket(path: Path, content: bytes) -> None:
    """Write an object, atomically.

    Raises:
        OutputError: it cannot be written.
    """
    _asked(path, lambda files: files.pipe_file(_key(path), content), _unwritable)


def upload(file: Path, path: Path) -> None:
    """Write an object with the content of a file, atomically.

    Raises:
        OutputError: it cannot be written.
    """
    _asked(path, lambda files: files.put_file(str(file), _key(path)), _unwritable)


def remove_from_bucket(path: Path) -> None:
    """Remove an object.

    Raises:
        OutputError: it cannot be removed.
    """
    _asked(path, lambda files: files.rm_file(_key(path)), _unwritable)


def _key(path: Path) -> str:
    return "/".join(path.parts[1:])


def _files() -> AbstractFileSystem:
    fsspec = load("fsspec", extra="cluster")
    load("s3fs", extra="cluster")
    files: AbstractFileSystem = fsspec.filesystem("s3", use_listings_cache=False)
    return files


def _reason(error: Exception) -> tuple[str, str]:
    kind = type(error).__name__
    return _REASONS.get(kind, (f"the server gave an unexpected reply ({kind})", "Try again"))


def _unreadable(path: Path, error: Exception) -> BonescintError:
    return InputError(address(path), *_reason(error))


def _unwritable(path: Path, error: Exception) -> BonescintError:
    problem, remedy = _reason(error)
    return OutputError(f"{address(path)}: cannot be written to: {problem}. {remedy}.")


def _asked(
    path: Path,
    question: Callable[[AbstractFileSystem], _Value],
    failed: Callable[[Path, Exception], BonescintError] = _unreadable,
) -> _Value:
    files = _files()
    try:
        return question(files)
    except Exception as error:  # noqa: BLE001 - three libraries raise what they like
        raise failed(path, error) from None
