"""Finds the Parquet files of results folders; other results are converted to temporary files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bonescint.buckets import address, files_in_bucket, is_in_bucket, opened_in_bucket
from bonescint.classify.earlier import GROWING
from bonescint.classify.stored import csv_records, stored_head, stored_records
from bonescint.classify.table import (
    SCHEMA_VERSION,
    TABLE_NAME,
    RunFacts,
    schema_version,
    write_records,
)
from bonescint.extras import load
from bonescint.files import make_folder
from bonescint.scan import InputError, os_reason

_EXTRA = "cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One Parquet file with rows of results.

    Attributes:
        file: its absolute path.
        folder: the results folder, as the user gave it.
        columns: their names.
        interrupted: whether the run was interrupted, so that scans are missing.
    """

    file: Path
    folder: str
    columns: tuple[str, ...]
    interrupted: bool = False


def parts_of(given: Sequence[Path | str], working: Path) -> tuple[Part, ...]:
    """The Parquet files behind results folders and tables, in the order given.

    Args:
        given: results folders of any release; Parquet files; addresses of folders in a bucket.
        working: folder for converted results and for copies from a bucket.

    Raises:
        InputError: one holds no results, is given twice, or is of a newer release.
        MissingExtraError: pyarrow, or the library for buckets, is not installed.
    """
    parts: list[Part] = []
    seen: set[str] = set()
    for number, one in enumerate(given):
        place = Path(one)
        name = address(place) if is_in_bucket(place) else str(one)
        key = name if is_in_bucket(place) else str(place.resolve())
        if key in seen:
            raise InputError(name, "is given twice", "Give each results folder once")
        seen.add(key)
        beside = working / f"{number}"
        if is_in_bucket(place):
            parts += [_checked(file, name) for file in _copied(place, beside)]
        else:
            parts += _local(place, name, beside)
    return tuple(parts)


def _local(place: Path, name: str, beside: Path) -> list[Part]:
    """The files of a local folder or file."""
    if place.is_file():
        return [_checked(place, name)]
    if not name or not place.is_dir():  # '' is often an unset variable
        raise InputError(name, "is neither a results folder nor a Parquet file", "Check the path")
    stored, table = place / "results.json", place / TABLE_NAME
    interrupted = stored.is_file() and any((place / growing).exists() for growing in GROWING)
    if table.is_file():
        return [_checked(table, name, interrupted=interrupted)]
    if stored.is_file():
        run = RunFacts.of(stored_head(stored))
        write_records(stored_records(stored), run, beside.with_suffix(".parquet"))
        return [_checked(beside.with_suffix(".parquet"), name, interrupted=interrupted)]
    if (place / "results.csv").is_file():
        records = csv_records(place / "results.csv")
        write_records(records, RunFacts.unknown(), beside.with_suffix(".parquet"))
        return [_checked(beside.with_suffix(".parquet"), name)]
    if any((place / growing).exists() for growing in GROWING):
        raise InputError(name, "its run has not finished", "Rerun its command to resume")
    _refuse_folders_left_out(place, name)
    files = [file for file in sorted(place.rglob("*.parquet")) if not file.name.startswith(".")]
    if not files:
        raise InputError(name, "holds no results", "Give results folders")
    return [_checked(file, name) for file in files]


def _refuse_folders_left_out(place: Path, name: str) -> None:
    """Refuse a folder in which there are more results than its Parquet files have."""
    for file in place.rglob("*"):
        whole = file.name in ("results.json", "results.csv")
        if file.name in GROWING or (whole and not file.with_name(TABLE_NAME).is_file()):
            problem = f"holds a results folder that is not finished or has no {TABLE_NAME}"
            raise InputError(name, problem, f"Give each results folder: {Path(name) / '*'}/")


def _copied(place: Path, beside: Path) -> list[Path]:
    """Copies of the Parquet files below an address."""
    found = [file for file in files_in_bucket(place) if file.suffix == ".parquet"]
    found = [file for file in found if file == place / TABLE_NAME] or found
    if not found:
        raise InputError(address(place), "holds no Parquet file", "Give results folders")
    make_folder(beside)
    copies = []
    for number, file in enumerate(found):
        copies.append(beside / f"{number:06d}.parquet")
        with opened_in_bucket(file) as stream, copies[-1].open("wb") as copy:
            shutil.copyfileobj(stream, copy)
    return copies


def _checked(file: Path, folder: str, *, interrupted: bool = False) -> Part:
    """A file that has the columns of results."""
    pyarrow = load("pyarrow", extra=_EXTRA)
    parquet = load("pyarrow.parquet", extra=_EXTRA)
    try:
        schema = parquet.read_schema(file)
    except (OSError, pyarrow.ArrowException) as error:
        reason = os_reason(error) if isinstance(error, OSError) else "damaged, or not Parquet"
        raise InputError(file, f"cannot be read ({reason})", "Classify again") from error
    version = schema_version(schema.metadata)
    if version is None:
        raise InputError(file, "is not a table of bonescint's results", "Give results folders")
    if version > SCHEMA_VERSION:
        problem = f"has columns of version {version}; this release reads up to {SCHEMA_VERSION}"
        raise InputError(file, problem, "Install a newer release of bonescint")
    names = tuple(schema.names)
    return Part(file=file.absolute(), folder=folder, columns=names, interrupted=interrupted)


def counted(number: int, noun: str) -> str:
    """A number of things in words.

    Examples:
        >>> counted(1, "scan"), counted(12_500, "row")
        ('1 scan', '12,500 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def relative_folder(folder: str, out: Path) -> str:
    """A results folder as the joined table names it: relative to the table, or its address.

    Examples:
        >>> relative_folder("results/03", Path("all.parquet")), relative_folder("s3://b/r/", Path())
        ('results/03', 's3://b/r')
    """
    place = Path(folder)
    if is_in_bucket(place):
        return address(place)
    inside = place.parent if place.is_file() else place
    try:
        return Path(os.path.relpath(inside, out.parent)).as_posix()
    except ValueError:  # on another drive
        return inside.absolute().as_posix()
