"""Read ZIP archives of scans in place: no scan is ever extracted to the disk.

A file in an archive is named by a path below the archive's, `scans.zip/p1/IM0001`. Whatever such a
path names is read from the archive alone, so no name in it can lead to another place.
"""

from __future__ import annotations

import functools
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from bonescint.scan import InputError

ENDING = ".zip"
MAX_MEMBERS = 200_000
"""Most files of an archive."""

MAX_RATIO = 200
"""Most bytes that one byte of an archive may stand for, in members over `_SMALL_BYTES`: deflated
counts of a scan stand for 3 to 20, zeros for 1000."""

_MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
_SMALL_BYTES = 4 * 1024 * 1024
_ENCRYPTED = 0x1
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Archive:
    """An open archive.

    Attributes:
        file: it.
        entries: entries of its files, by their names with single slashes.
        repeated: names that stand there twice.
    """

    file: zipfile.ZipFile
    entries: Mapping[str, zipfile.ZipInfo]
    repeated: frozenset[str]


def is_archive(path: Path) -> bool:
    """Whether a path is a file that is named like a ZIP archive and starts like one."""
    if path.suffix.lower() != ENDING:
        return False
    try:
        if not path.is_file():  # a pipe would wait for ever
            return False
        with path.open("rb") as stream:
            return stream.read(2) == b"PK"
    except (OSError, ValueError):
        return False


def archive_of(path: Path) -> Path | None:
    """The archive that a path leads into, or `None` for any other path.

    Examples:
        >>> archive_of(Path("scans/p1/IM0001")) is None
        True
    """
    for parent in path.parents:
        if parent.suffix.lower() == ENDING and parent.is_file():
            return parent
    return None


def members(archive: Path) -> Iterator[Path | InputError]:
    """Paths of an archive's files, sorted; hidden ones and folders are passed over.

    Yields:
        For what may not be read an error: names that lead out of the archive or stand there twice,
        files that would expand beyond the limit, and once for all that are encrypted.
    """
    try:
        opened = _opened(archive)
    except InputError as error:
        yield error
        return
    encrypted = sum(1 for entry in opened.entries.values() if entry.flag_bits & _ENCRYPTED)
    if encrypted:
        yield InputError(
            archive,
            f"{encrypted} of its {len(opened.entries)} files are encrypted",
            "Unpack it with its password, then give the folder",
        )
    for name, entry in sorted(opened.entries.items()):
        hidden = any(
            part == "__MACOSX" or (part.startswith(".") and part != "..")
            for part in PurePosixPath(name).parts
        )
        if not hidden and not entry.flag_bits & _ENCRYPTED:
            problem = _problem(opened, name)
            yield InputError(archive, *problem) if problem else archive / name


def _problem(archive: _Archive, name: str) -> tuple[str, str] | None:
    """Why a file of an archive is not read, and what to do; its name is not shown."""
    path, entry = PurePosixPath(name), archive.entries[name]
    if path.is_absolute() or ".." in path.parts or ":" in name[:3] or not path.name:
        return "contains a file whose name leads out of the archive", "Pack it again"
    if name in archive.repeated:
        return "contains two files of the same name", "Pack it again"
    if path.suffix.lower() == ENDING:
        return "holds another archive", "Unpack it once, then give the folder"
    if entry.file_size > max(_SMALL_BYTES, MAX_RATIO * entry.compress_size):
        return (
            f"holds a file that would grow to {entry.file_size / 2**20:.0f} MiB, "
            f"over {MAX_RATIO} times its size in the archive",
            "Leave this file out",
        )
    return None


def member_size(archive: Path, path: Path) -> int:
    """Bytes of a file in an archive, unpacked.

    Raises:
        InputError: no such file, or one that may not be read.
    """
    return _entry(archive, path).file_size


@contextmanager
def opened_member(archive: Path, path: Path) -> Iterator[BinaryIO]:
    """Open a file in an archive for reading.

    Raises:
        InputError: no such file, or one that may not be read; also while it is read, if it is
            damaged.
    """
    entry = _entry(archive, path)
    try:
        with _opened(archive).file.open(entry) as member:
            yield cast(BinaryIO, member)
    except InputError:
        raise
    except _DAMAGED:
        raise InputError(
            path, "its archive is damaged or packed in an unknown way", "Pack or copy it again"
        ) from None


def _entry(archive: Path, path: Path) -> zipfile.ZipInfo:
    opened, name = _opened(archive), path.relative_to(archive).as_posix()
    if name not in opened.entries:
        raise InputError(path, "does not exist", "Check the path")
    entry = opened.entries[name]
    if entry.flag_bits & _ENCRYPTED:
        raise InputError(
            path, "is encrypted", "Unpack the archive with its password, then give the folder"
        )
    problem = _problem(opened, name)
    if problem:
        raise InputError(archive, *problem)
    return entry


def _opened(archive: Path) -> _Archive:
    """The archive, kept open while files of it are read.

    Raises:
        InputError: no readable archive, or one of too many files.
    """
    try:
        status = archive.stat()
        return _kept_open(archive, status.st_size, status.st_mtime_ns, os.getpid())
    except _DAMAGED:
        raise InputError(
            archive, "the ZIP archive is damaged or cannot be read", "Pack or copy it again"
        ) from None


@functools.lru_cache(maxsize=4)
def _kept_open(archive: Path, size: int, _changed: int, _pid: int) -> _Archive:
    if _directory_bytes(archive, size) > _MAX_DIRECTORY_BYTES:
        raise _too_many(archive)
    file = zipfile.ZipFile(archive)
    entries: dict[str, zipfile.ZipInfo] = {}
    repeated = set()
    for entry in file.infolist():
        if entry.is_dir():
            continue
        name = PurePosixPath(entry.filename.replace("\\", "/")).as_posix()
        if name in entries:
            repeated.add(name)
        entries[name] = entry
    if len(entries) > MAX_MEMBERS:
        raise _too_many(archive)
    return _Archive(file=file, entries=entries, repeated=frozenset(repeated))


def _too_many(archive: Path) -> InputError:
    return InputError(archive, f"holds more than {MAX_MEMBERS:,} files", "Unpack it in parts")


def _directory_bytes(archive: Path, size: int) -> int:
    """Bytes of the list of files, as the end of an archive says (APPNOTE 4.3.14 to 4.3.16)."""
    with archive.open("rb") as stream:
        stream.seek(max(0, size - 22 - 65535 - 76))
        tail = stream.read()
    at = len(tail) - 22
    if tail[at : at + 4] != b"PK\x05\x06" or tail[-2:] != b"\0\0":
        at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        return 0  # `zipfile` says that it is none
    told = int(struct.unpack_from("<I", tail, at + 12)[0])
    if at >= 76 and tail[at - 20 : at - 16] == b"PK\x06\x07":
        return max(told, int(struct.unpack_from("<Q", tail, at - 76 + 40)[0]))
    return told
