"""Backup and restore: one file, whole or not at all, checked when it is put back."""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from bonescint.files import folder_beside, json_in, require_free, written_beside
from bonescint.scan import InputError, OutputError
from bonescint.study.errors import StudyError
from bonescint.study.folder import (
    STORE_FILE,
    StudyFolder,
    copy_sqlite,
    open_study,
    write_private,
)
from bonescint.study.store.database import Store, integrity_problems
from bonescint.study.store.tables import Base

_LIST = "backup.json"
_CHUNK = 1000


def backup_study(folder: Path | str | StudyFolder, out: Path | str) -> Path:
    """Write a study into one file, also while it is being read.

    The store is copied as of one moment; a store in PostgreSQL becomes an SQLite file in the
    backup. The file holds truth and accounts: it is made readable for its owner only.

    Args:
        folder: of the study.
        out: the file to write; its folder must be there.

    Returns:
        The file.

    Raises:
        StudyError: the study cannot be read, or its store is damaged.
        OutputError: the file cannot be written.
    """
    study = folder if isinstance(folder, StudyFolder) else open_study(folder)
    target = Path(out)
    if target.is_dir():
        raise OutputError(f"{target}: is a folder. Give a file, such as study-backup.zip.")
    with (
        written_beside(target, private=True) as beside,
        tempfile.TemporaryDirectory(dir=target.parent) as scratch,
    ):
        store_copy = Path(scratch) / STORE_FILE
        _copy_store(study, store_copy)
        _zip(study, store_copy, beside)
    return target


def _copy_store(study: StudyFolder, target: Path) -> None:
    url = study.database_url()
    if url.startswith("sqlite"):
        study.open_store().close()  # says what is wrong with it, if anything
        copy_sqlite(study.path / STORE_FILE, target)
    else:
        with study.open_store() as store, Store(f"sqlite:///{target.resolve()}") as copy:
            copy.upgrade()
            _copy_rows(store, copy)
    with Store(f"sqlite:///{target.resolve()}") as copy:
        problems = integrity_problems(copy)
    if problems:
        raise StudyError(f"{study.path}: its store is damaged ({problems[0]}).")


def _zip(study: StudyFolder, store_copy: Path, beside: Path) -> None:
    hashes: dict[str, str] = {}
    skipped = {STORE_FILE, f"{STORE_FILE}-wal", f"{STORE_FILE}-shm", "before-upgrade.sqlite"}
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        files = [
            (file.relative_to(study.path).as_posix(), file)
            for file in sorted(study.path.rglob("*"))
            if file.is_file() and not file.is_symlink()
        ]
        for name, file in [(STORE_FILE, store_copy), *files]:
            if file is not store_copy and (name in skipped or name.endswith(".part")):
                continue
            if name == "private/database.url":
                continue  # where the store is, and perhaps its password, belongs to no backup
            content = file.read_bytes()
            hashes[name] = hashlib.sha256(content).hexdigest()
            packed = zipfile.ZIP_STORED if name.endswith(".gz") else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, compress_type=packed)
        archive.writestr(_LIST, json.dumps({"schema_version": 1, "files": hashes}, indent=1))


def restore_study(file: Path | str, folder: Path | str, *, database: str = "") -> StudyFolder:
    """Put a study back from a backup, every file checked against its hash.

    Args:
        file: that `backup_study` wrote.
        folder: to be made; must not be there.
        database: URL of an empty PostgreSQL database for the store; SQLite if empty.

    Returns:
        The study.

    Raises:
        InputError: the backup is missing, damaged or incomplete.
        OutputError: the folder is there already, or cannot be written.
        StudyError: the database holds a study already.
    """
    source, target = Path(file), Path(folder)
    require_free(target)
    with folder_beside(target, mode=0o700) as beside:
        _unzip(source, beside)
        study = open_study(beside)
        if database:
            _into_database(study, database)
        study.open_store().close()
    return open_study(target)


def _unzip(source: Path, folder: Path) -> None:
    remedy = "Use another backup"
    try:
        with zipfile.ZipFile(source) as archive:
            hashes: dict[str, Any] = json_in(archive.read(_LIST))["files"]
            for name, expected in hashes.items():
                place = PurePosixPath(name)
                if place.is_absolute() or ".." in place.parts:
                    raise InputError(source, f"lists a file outside the study ({name})", remedy)
                content = archive.read(name)
                if hashlib.sha256(content).hexdigest() != expected:
                    raise InputError(source, f"wrong checksum of {name}", remedy)
                write_private(folder / place, content)
    except FileNotFoundError as error:
        raise InputError(source, "no such file", "Give a backup's path") from error
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError) as error:
        raise InputError(source, "not a whole backup", remedy) from error
    if not {"study.json", STORE_FILE, "private/truth.json"} <= hashes.keys():
        raise InputError(source, "not a whole backup", remedy)


def _into_database(study: StudyFolder, database: str) -> None:
    file = study.path / STORE_FILE
    with Store(f"sqlite:///{file.resolve()}") as kept, Store(database) as store:
        if not store.is_empty():
            raise StudyError("The database holds a study already. Give an empty one.")
        store.upgrade()
        kept.upgrade()
        _copy_rows(kept, store)
    file.unlink()
    for leftover in study.path.glob(f"{STORE_FILE}-*"):
        leftover.unlink()
    write_private(study.private / "database.url", database.encode())


def _copy_rows(source: Store, target: Store) -> None:
    """Copy every row of every table as of one moment, and set the counters behind them."""
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
