"""Small files of a run: tables of text, and hashes."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from bonescint.files import from_inert, make_folder, write_table
from bonescint.scan import InputError


def write_rows(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    """Write a CSV table beside its place and rename it into it.

    Raises:
        OutputError: it cannot be written.
    """
    make_folder(path.parent)
    write_table(path, columns, rows, line_end="\r\n")


def read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a table that we wrote, as they were before they became CSV.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            head, *rows = [[from_inert(cell) for cell in row] for row in csv.reader(stream)]
    except (OSError, ValueError) as error:
        problem = f"no readable table ({type(error).__name__})"
        raise InputError(path, problem, "Run the experiment again") from error
    return head, rows


def written_rows(file: Path) -> list[dict[str, str]]:
    """Rows of a table that a step wrote, by column; none if there is no table.

    Raises:
        InputError: it cannot be read.
    """
    if not file.is_file():
        return []
    columns, rows = read_rows(file)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def fingerprint(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
