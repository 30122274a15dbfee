"""Small files of a run: tables of text, and hashes."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from bonescint.files import make_folder, written_beside


def write_rows(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    """Write a CSV table beside its place and rename it into it.

    Raises:
        OutputError: it cannot be written.
    """
    make_folder(path.parent)
    with (
        written_beside(path) as beside,
        beside.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)


def fingerprint(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
