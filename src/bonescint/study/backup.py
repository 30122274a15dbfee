"""Backup and restore: one file that is complete or absent, and is checked when restored."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from bonescint.files import (
    folder_beside,
    json_in,
    make_folder,
    not_ours,
    require_free,
    written_beside,
)
from bonescint.scan import InputError, OutputError
from bonescint.study.errors import StudyError
from bonescint.study.folder import (
    STORE_FILE,
    Progress,
    StudyFolder,
    copy_sqlite,
    most_bytes,
    new_sqlite,
    open_study,
    write_private,
)
from bonescint.study.integrity import require_whole
from bonescint.study.store.database import Store, integrity_problems
from bonescint.study.store.tables import Base, StudyCase

_LIST = "backup.json"
_LONGEST_LIST = 256 * 2**20
_NEEDED = frozenset({"study.json", STORE_FILE, "private/truth.json", "private/secret.key"})
_REMEDY = "Use another backup"
_CHUNK = 1000
_PIECE = 2**20


def backup_study(
    folder: Path | str | StudyFolder, out: Path | str, *, progress: Progress | None = None
) -> Path:
    """Write a study into one file, even while readers are at work.

    The store is copied as of one moment; a store in PostgreSQL becomes an SQLite file in the
    backup. The file contains truth and accounts, so only its owner can read it. Files that
    belong to no study are left out.

    Args:
        folder: the study folder.
        out: the file to write; its folder must exist. An earlier backup is replaced, another
            file is not.
        progress: called with the number of files done and of all.

    Returns:
        The file.

    Raises:
        StudyError: the study cannot be read, its store is damaged, or a file of it is missing or
            was altered; an incomplete study must not replace an earlier backup.
        OutputError: the file cannot be written, or exists and is no backup.
    """
    study = open_study(folder)
    target = Path(out)
    if target.is_dir():
        raise OutputError(f"{target}: is a folder. Give a file, such as study-backup.zip.")
    with study.open_store() as store:
        require_whole(study, store, truth=True)
        needed = _NEEDED | _pictures_of(study, store)
    if os.path.lexists(target) and not _is_backup(target):
        raise not_ours(target)
    with (
        written_beside(target, private=True) as beside,
        tempfile.TemporaryDirectory(dir=target.parent) as scratch,
    ):
        store_copy = Path(scratch) / STORE_FILE
        _copy_store(study, store_copy)
        _zip(study, store_copy, beside, needed, progress)
    return target


def _is_backup(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return _LIST in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _pictures_of(study: StudyFolder, store: Store) -> frozenset[str]:
    with store.reading() as db:
        tokens = db.scalars(select(StudyCase.token)).all()
    return frozenset(study.image_file(token).relative_to(study.path).as_posix() for token in tokens)


def _copy_store(study: StudyFolder, target: Path) -> None:
    if study.database_url().startswith("sqlite"):
        copy_sqlite(study.path / STORE_FILE, target)
    else:
        with study.open_store() as store, new_sqlite(target) as copy:
            copy.upgrade()
            _copy_rows(store, copy)
    with Store(f"sqlite:///{target.resolve()}") as copy:
        problems = integrity_problems(copy)
    if problems:
        raise StudyError(f"{study.path}: its store is damaged ({problems[0]}).")


def _zip(
    study: StudyFolder,
    store_copy: Path,
    beside: Path,
    needed: frozenset[str],
    progress: Progress | None,
) -> None:
    files = {
        name: file
        for file in sorted(study.path.rglob("*"))
        if not file.is_symlink() and file.is_file()
        for name in [file.relative_to(study.path).as_posix()]
        if most_bytes(name)
    }
    files[STORE_FILE] = store_copy
    missing = sorted(needed - files.keys())
    if missing:
        raise StudyError(f"{study.path / missing[0]}: is a link. Put the file in its place.")
    hashes: dict[str, str] = {}
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for number, (name, file) in enumerate(files.items(), start=1):
            entry = zipfile.ZipInfo.from_file(file, name, strict_timestamps=False)
            packed = zipfile.ZIP_STORED if name.endswith(".gz") else zipfile.ZIP_DEFLATED
            entry.compress_type = packed
            with file.open("rb") as stream, archive.open(entry, "w") as packing:
                hashes[name] = _copy(stream, packing)
            if progress is not None:
                progress(number, len(files))
        archive.writestr(_LIST, json.dumps({"schema_version": 1, "files": hashes}, indent=1))


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    """Copy a stream in pieces and return its hash."""
    seen = hashlib.sha256()
    while piece := source.read(_PIECE):
        seen.update(piece)
        target.write(piece)
    return seen.hexdigest()


def restore_study(
    file: Path | str,
    folder: Path | str,
    *,
    database: str = "",
    progress: Progress | None = None,
    notice: Callable[[str], None] | None = None,
) -> StudyFolder:
    """Restore a study from a backup, comparing every file with its hash.

    Only files that belong to a study are restored, none larger than it can be. The place of the
    store is taken from `database`, never from the backup.

    Args:
        file: that `backup_study` wrote.
        folder: to be made; must not exist.
        database: URL of an empty PostgreSQL database for the store; SQLite if empty.
        progress: called with the number of files done and of all.
        notice: called with what was left out.

    Returns:
        The study.

    Raises:
        InputError: the backup is missing, damaged or incomplete.
        OutputError: the folder exists already, or cannot be written.
        StudyError: the database contains a study already.
    """
    source, target = Path(file), Path(folder)
    require_free(target)
    with folder_beside(target, mode=0o700) as beside:
        left_out = _unzip(source, beside, progress)
        study = _checked(source, beside)
        if database:
            _into_database(study, database)
    if left_out and notice is not None:
        shown = ", ".join(left_out[:5])
        notice(f"{len(left_out)} files that belong to no study were left out: {shown}")
    return open_study(target)


def _checked(source: Path, folder: Path) -> StudyFolder:
    """The study that was unpacked, if it is complete."""
    try:
        study = open_study(folder)
        with study.open_store() as store:
            problems = integrity_problems(store)
            require_whole(study, store, truth=True)
    except StudyError as error:
        reason = str(error).replace(f"{folder}/", "").split(". ")[0].rstrip(".")
        raise InputError(source, f"holds no whole study ({reason})", _REMEDY) from error
    if problems:
        raise InputError(source, f"its store is damaged ({problems[0]})", _REMEDY)
    return study


def _unzip(source: Path, folder: Path, progress: Progress | None) -> list[str]:
    """Unpack the files of a study, and name those that belong to none."""
    try:
        with zipfile.ZipFile(source) as archive:
            entries = _entries(source, archive)
            hashes = _hashes(archive, entries)
            ours = {name: entries[name] for name in hashes if most_bytes(name)}
            _require_sizes(source, folder, ours)
            for number, (name, entry) in enumerate(ours.items(), start=1):
                _unpack(source, archive, entry, folder / name, hashes[name])
                if progress is not None:
                    progress(number, len(ours))
    except FileNotFoundError as error:
        raise InputError(source, "no such file", "Give a backup's path") from error
    except _BROKEN as error:
        raise InputError(source, "not a whole backup", _REMEDY) from error
    if not hashes.keys() >= _NEEDED:
        raise InputError(source, "not a whole backup", _REMEDY)
    return sorted((entries.keys() | hashes.keys()) - ours.keys() - {_LIST})


_BROKEN: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # encrypted, or packed in an unknown way
    IsADirectoryError,
    NotADirectoryError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
)


def _entries(source: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.filename in entries or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise InputError(source, f"holds a link, or two files {entry.filename!r}", _REMEDY)
        entries[entry.filename] = entry
    return entries


def _hashes(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> dict[str, str]:
    """The list of the files of a backup with their hashes."""
    if entries[_LIST].file_size > _LONGEST_LIST:
        raise ValueError("the list is too long")
    listed = json_in(archive.read(_LIST))["files"]
    return {str(name): str(expected) for name, expected in listed.items()}


def _require_sizes(source: Path, folder: Path, entries: Mapping[str, zipfile.ZipInfo]) -> None:
    """Refuse files that are too large, singly or for the free space, before unpacking."""
    for name, entry in entries.items():
        if entry.file_size > most_bytes(name):
            raise InputError(source, f"{name} is larger than it can be", _REMEDY)
    needed, free = sum(one.file_size for one in entries.values()), shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{folder}: the study needs {needed / 2**20:.0f} MiB, {free / 2**20:.0f} MiB are free. "
            "Free some space or choose another place."
        )


def _unpack(
    source: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: Path, sha256: str
) -> None:
    make_folder(file.parent, mode=0o700)
    with (
        archive.open(entry) as stream,
        written_beside(file, private=True) as beside,
        beside.open("wb") as unpacked,
    ):
        found = _copy(stream, unpacked)
    if found != sha256:
        raise InputError(source, f"wrong checksum of {entry.filename}", _REMEDY)


def _into_database(study: StudyFolder, database: str) -> None:
    file = study.path / STORE_FILE
    with Store(f"sqlite:///{file.resolve()}") as kept, Store(database) as store:
        if not store.is_empty():
            raise StudyError("The database already contains a study. Give an empty one.")
        store.upgrade()
        kept.upgrade()
        _copy_rows(kept, store)
    file.unlink()
    for leftover in study.path.glob(f"{STORE_FILE}-*"):
        leftover.unlink()
    write_private(study.private / "database.url", database.encode())


def _copy_rows(source: Store, target: Store) -> None:
    """Copy every row of every table as of one moment, and set the counters accordingly."""
    with source.reading() as reading, target.writing() as writing:
        if source.dialect == "postgresql":
            reading.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        for table in Base.metadata.sorted_tables:
            batch: list[dict[str, Any]] = []
            for row in reading.execute(select(table).order_by(*table.primary_key)):
                batch.append(dict(row._mapping))
                if len(batch) == _CHUNK:
                    writing.execute(insert(table), batch)
                    batch = []
            if batch:
                writing.execute(insert(table), batch)
        if target.dialect == "postgresql":
            _set_counters(writing)


def _set_counters(db: Session) -> None:
    for table in Base.metadata.sorted_tables:
        if "id" not in table.c or table.name == "study":
            continue
        last = db.scalar(select(func.max(table.c.id)))
        if last is not None:
            counter = func.pg_get_serial_sequence(f'"{table.name}"', "id")
            db.execute(select(func.setval(counter, last)))
