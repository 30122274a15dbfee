"""List the files in folders, ZIP archives and buckets, in the same order for each.

In a cohort's folder only the scans that its manifest lists are taken, because some of the masks,
truth files and pictures beside them would pass for scans. So this module knows the name and the
columns of a manifest.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bonescint.buckets import files_in_bucket, is_in_bucket
from bonescint.dicom.archives import ENDING, archive_of, is_archive, members
from bonescint.dicom.files import read_bytes
from bonescint.scan import InputError
from bonescint.tables import Columns, column_key, read_table

MANIFEST = "manifest.csv"
MANIFEST_COLUMNS = ("scan_id", "patient_id", "centre", "split", "label", "file")
"""Columns that every manifest has."""

_START = 64 * 1024
_COLUMNS = Columns(
    names={name: (name,) for name in MANIFEST_COLUMNS}, required=MANIFEST_COLUMNS, remedy=""
)


def listed_scans(manifest: Path) -> tuple[Path, ...] | None:
    """Paths that a cohort's manifest lists, in its order; `None` if it is another table.

    Raises:
        InputError: it cannot be read, or is a manifest with a row that cannot: what it does not
            list must not be taken for scans.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder) / "manifest.csv"
        ...     _ = table.write_text("name,age")
        ...     listed_scans(table) is None
        True
    """
    with _on_disk(manifest) as path:
        try:
            files = [row.text("file") for row in read_table(path, _COLUMNS).rows]
        except InputError as error:
            if not _names_the_columns(path):
                return None
            place = error.source.replace(str(path), str(manifest))
            raise InputError(place, error.problem, error.remedy) from None
    return tuple(manifest.parent / file for file in files if file)


def _names_the_columns(path: Path) -> bool:
    """Whether a file that is no readable table starts as a manifest, in any encoding."""
    try:
        with path.open("rb") as stream:
            start = re.sub(rb"[\W_]+", b"", stream.read(_START)).lower()
    except OSError:
        return True  # nobody can know
    return all(column_key(name).encode() in start for name in MANIFEST_COLUMNS)


@contextmanager
def _on_disk(manifest: Path) -> Iterator[Path]:
    """The table itself; for one in an archive or a bucket, a temporary copy."""
    if archive_of(manifest) is None and not is_in_bucket(manifest):
        yield manifest
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / MANIFEST
        copy.write_bytes(read_bytes(manifest))
        yield copy


def without_unlisted(entries: Sequence[Path | InputError]) -> Iterator[Path | InputError]:
    """Paths of an archive's files; of a cohort in it, only the scans that its manifest lists."""
    cohorts = []
    for entry in entries:
        if isinstance(entry, Path) and entry.name == MANIFEST:
            try:
                listed = listed_scans(entry)
            except InputError as error:
                yield error
                listed = ()
            if listed is not None:
                cohorts.append((entry.parent, frozenset(listed)))
    for entry in entries:
        if isinstance(entry, InputError) or all(
            _is_listed(entry, listed) for folder, listed in cohorts if entry.is_relative_to(folder)
        ):
            yield entry


def _is_listed(entry: Path, listed: frozenset[Path]) -> bool:
    return entry in listed or not listed.isdisjoint(entry.parents)


def listed_files(sources: Sequence[Path | str]) -> Iterator[Path | InputError]:
    """The files that `discover` examines, in its order, and what cannot be searched.

    Args:
        sources: files, folders, archives and addresses.
    """
    visited: set[tuple[int, int]] = set()
    seen: set[str] = set()
    for source in sources:
        path = Path(source)
        for entry in _files_at(path, visited):
            if str(entry) not in seen:
                seen.add(str(entry))
                yield entry


def _files_at(path: Path, visited: set[tuple[int, int]]) -> Iterator[Path | InputError]:
    if is_in_bucket(path):
        yield from _files_in_bucket(path)
    elif _is_folder(path):
        yield from _files_below(path, visited)
    elif is_archive(path):
        yield from without_unlisted(list(members(path)))
    else:
        yield path


def _files_in_bucket(path: Path) -> Iterator[Path | InputError]:
    try:
        found = files_in_bucket(path)
    except InputError as error:
        yield error
        return
    for entry in without_unlisted(found):
        if isinstance(entry, Path) and entry.suffix.lower() == ENDING:
            entry = InputError(entry, "is a ZIP archive in a bucket", "Unpack it there")
        yield entry


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _files_below(folder: Path, visited: set[tuple[int, int]]) -> Iterator[Path | InputError]:
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            entries = sorted(e for e in current.iterdir() if not e.name.startswith("."))
        except OSError as error:
            reason = error.strerror or "unknown reason"
            yield InputError(
                current, f"the folder cannot be searched ({reason})", "Check its rights"
            )
            continue
        try:
            listed = listed_scans(current / MANIFEST) if current / MANIFEST in entries else None
        except InputError as error:
            yield error
            continue
        if listed is not None:
            for entry in listed:
                yield from _files_at(entry, visited)
            continue
        folders = []
        for entry in entries:
            if _is_folder(entry):
                folders.append(entry)
            else:
                yield from _files_at(entry, visited)
        pending.extend(reversed(folders))
