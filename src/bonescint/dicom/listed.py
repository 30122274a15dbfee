"""A cohort's folder says itself which of its files are scans: those that its manifest lists.

Masks, truth files and pictures lie beside the scans, and some would pass for scans. What a manifest
is called and which columns make one is known here, for who searches and for who reads them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from bonescint.dicom.files import read_bytes
from bonescint.scan import InputError

MANIFEST = "manifest.csv"
MANIFEST_COLUMNS = ("scan_id", "patient_id", "centre", "split", "label", "file")
"""Columns that every manifest has."""


def listed_scans(manifest: Path) -> tuple[Path, ...] | None:
    """Paths that a cohort's manifest lists, in its order; `None` if it is another table.

    Examples:
        >>> listed_scans(Path("nowhere/manifest.csv")) is None
        True
    """
    try:
        text = read_bytes(manifest).decode("utf-8-sig", "replace")
    except InputError:
        return None
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error:
        return None
    if not rows or not set(MANIFEST_COLUMNS) <= {str(name).strip() for name in rows[0]}:
        return None
    named = [{str(key).strip(): value for key, value in row.items()} for row in rows]
    files = [str(row["file"] or "").strip() for row in named]
    return tuple(manifest.parent / file for file in files if file)


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
