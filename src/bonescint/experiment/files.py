"""Small files of a run: tables of text, and hashes."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from bonescint.scan import OutputError, os_reason


def write_rows(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    """Write a CSV table beside its place and rename it into it.

    Raises:
        OutputError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(rows)
        beside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({os_reason(error)}).") from error


def fingerprint(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
