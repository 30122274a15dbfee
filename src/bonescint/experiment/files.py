"""Small files of a run: tables of text, and hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bonescint.files import make_folder, write_table


def write_rows(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    """Write a CSV table beside its place and rename it into it.

    Raises:
        OutputError: it cannot be written.
    """
    make_folder(path.parent)
    write_table(path, columns, rows, line_end="\r\n")


def fingerprint(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
