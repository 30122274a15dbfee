"""The table of readers: `reader, name[, experience_years]`."""

from __future__ import annotations

import csv
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bonescint.scan import InputError

_REQUIRED = ("reader", "name")
_SHORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_LONGEST_NAME = 100
_MODEL = "model"  # whom tables and figures of the analysis call so


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who is invited to read.

    Attributes:
        reader: short name, for tables and signing in.
        name: as shown.
        experience_years: of reading bone scans, or `None`.
    """

    reader: str
    name: str
    experience_years: float | None = None


def name_key(name: str) -> str:
    """What two names that people take for the same have in common.

    Examples:
        >>> name_key("  Dr. ANNA  Meier ") == name_key("dr. anna meier")
        True
    """
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def read_readers(path: Path | str) -> tuple[Reader, ...]:
    """Read a table of readers.

    Raises:
        InputError: unreadable, columns missing, or rows that are wrong: all are named.
    """
    source = Path(path)
    try:
        with source.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream)
            columns = [name.strip() for name in table.fieldnames or []]
            table.fieldnames = columns
            rows = list(table)
    except FileNotFoundError as error:
        raise InputError(source, "no such file", "Give a table of readers") from error
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            source, f"not a readable table ({type(error).__name__})", "Give a CSV table"
        ) from error
    doubled = sorted({name for name in columns if columns.count(name) > 1})
    if doubled:
        raise InputError(
            source, f"columns twice: {', '.join(map(repr, doubled))}", "Keep one of each"
        )
    missing = [name for name in _REQUIRED if name not in columns]
    if missing:
        raise InputError(
            source, f"columns missing: {', '.join(missing)}", "Give reader, name, experience_years"
        )
    readers, problems = [], []
    for number, row in enumerate(rows, start=2):
        try:
            readers.append(_reader(row))
        except ValueError as error:
            problems.append(f"row {number}: {error}")
    problems += _doubles(readers)
    if not rows:
        problems.append("no reader")
    if problems:
        raise InputError(source, "; ".join(problems), "Correct the table")
    return tuple(readers)


def _reader(cells: Mapping[str, str | None]) -> Reader:
    if None in cells:
        raise ValueError("more cells than columns; put a name with a comma in quotes")
    row = {name: text or "" for name, text in cells.items()}
    short, name = row["reader"].strip(), " ".join(row["name"].split())
    if not _SHORT.fullmatch(short):
        raise ValueError("reader must be up to 40 letters, digits, '_', '.' or '-'")
    if name_key(short) == _MODEL:
        raise ValueError("reader must not be 'model': the analysis calls the model so")
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"name must be a line of up to {_LONGEST_NAME} letters")
    years = row.get("experience_years", "").strip()
    try:
        experience = float(years) if years else None
    except ValueError as error:
        raise ValueError("experience_years must be a number") from error
    if experience is not None and not (math.isfinite(experience) and 0 <= experience <= 80):
        raise ValueError("experience_years must be from 0 to 80")
    return Reader(reader=short, name=name, experience_years=experience)


def _doubles(readers: list[Reader]) -> list[str]:
    """Names that two readers share; either kind of name signs a reader in."""
    owner: dict[str, str] = {}
    problems = []
    for reader in readers:
        for key in {name_key(reader.reader), name_key(reader.name)}:
            if key in owner:
                problems.append(
                    f"two readers have the name '{key}' ({owner[key]} and {reader.reader})"
                )
            owner[key] = reader.reader
    return problems
