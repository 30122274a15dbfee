"""The table of readers: `reader, name[, experience_years]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bonescint.scan import InputError
from bonescint.tables import Columns, Numbers, Row, folded, read_table

_COLUMNS = Columns(
    names={
        "reader": ("reader",),
        "name": ("name",),
        "experience_years": ("experience years",),
    },
    required=("reader", "name"),
    remedy="Give reader, name, experience_years",
)
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


def read_readers(path: Path | str) -> tuple[Reader, ...]:
    """Read a table of readers, as CSV or .xlsx.

    Raises:
        InputError: unreadable, columns missing, or rows that are wrong: all are named.
    """
    table = read_table(path, _COLUMNS)
    table.warn()
    years_of = table.numbers("experience_years")
    readers, problems = [], []
    for row in table.rows:
        try:
            readers.append(_reader(row, years_of))
        except ValueError as error:
            problems.append(f"{row.where}: {error}")
    problems += _doubles(readers)
    if not len(table):
        problems.append("no reader")
    if problems:
        raise InputError(table.source, "; ".join(problems), "Correct the table")
    return tuple(readers)


def _reader(row: Row, years_of: Numbers) -> Reader:
    short, name = row.text("reader"), row.name("name")
    if not _SHORT.fullmatch(short):
        raise ValueError("reader must be up to 40 letters, digits, '_', '.' or '-'")
    if folded(short) == _MODEL:
        raise ValueError("reader must not be 'model': the analysis uses this name for the model")
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"name must be a line of up to {_LONGEST_NAME} letters")
    years = row.text("experience_years")
    experience = years_of(years)
    if years and experience is None:
        raise ValueError("experience_years must be a number")
    if experience is not None and not 0 <= experience <= 80:
        raise ValueError("experience_years must be from 0 to 80")
    return Reader(reader=short, name=name, experience_years=experience)


def _doubles(readers: list[Reader]) -> list[str]:
    """Names that two readers share; either kind of name signs a reader in."""
    owner: dict[str, str] = {}
    problems = []
    for reader in readers:
        for key in {folded(reader.reader), folded(reader.name)}:
            if key in owner:
                problems.append(
                    f"two readers have the name '{key}' ({owner[key]} and {reader.reader})"
                )
            owner[key] = reader.reader
    return problems
