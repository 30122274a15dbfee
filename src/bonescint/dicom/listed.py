"""A cohort's folder says itself which of its files are scans: those that its manifest lists.

Masks, truth files and pictures lie beside the scans, and some would pass for scans. What a manifest
is called and which columns make one is known here, for who searches and for who reads them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bonescint.dicom.archives import archive_of
from bonescint.dicom.files import read_bytes
from bonescint.scan import InputError
from bonescint.tables import Columns, read_table

MANIFEST = "manifest.csv"
MANIFEST_COLUMNS = ("scan_id", "patient_id", "centre", "split", "label", "file")
"""Columns that every manifest has."""

_COLUMNS = Columns(
    names={name: (name,) for name in MANIFEST_COLUMNS}, required=MANIFEST_COLUMNS, remedy=""
)


def listed_scans(manifest: Path) -> tuple[Path, ...] | None:
    """Paths that a cohort's manifest lists, in its order; `None` if it is another table.

    Examples:
        >>> listed_scans(Path("nowhere/manifest.csv")) is None
        True
    """
    try:
        with _on_disk(manifest) as path:
            files = [row.text("file") for row in read_table(path, _COLUMNS).rows]
    except InputError:
        return None
    return tuple(manifest.parent / file for file in files if file)


@contextmanager
def _on_disk(manifest: Path) -> Iterator[Path]:
    """The table itself, or of one in an archive a copy that is removed at the end."""
    if archive_of(manifest) is None:
        yield manifest
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / MANIFEST
        copy.write_bytes(read_bytes(manifest))
        yield copy


def without_unlisted(entries: Sequence[Path | InputError]) -> Iterator[Path | InputError]:
    """Paths of an archive's files, of each cohort in it only the scans that its manifest lists."""
    cohorts = [
        (entry.parent, frozenset(listed))
        for entry in entries
        if isinstance(entry, Path) and entry.name == MANIFEST
        if (listed := listed_scans(entry)) is not None
    ]
    for entry in entries:
        if isinstance(entry, InputError) or all(
            _is_listed(entry, listed) for folder, listed in cohorts if entry.is_relative_to(folder)
        ):
            yield entry


def _is_listed(entry: Path, listed: frozenset[Path]) -> bool:
    return entry in listed or not listed.isdisjoint(entry.parents)
