"""CSV tables that people write: any usual delimiter and encoding, every row with its number."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bonescint.scan import InputError

_MOST_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The cells of a CSV file, stripped.

    Attributes:
        path: of the file.
        columns: names as they stand in the header.
        rows: number (the header is row 1, a row of the file each) and cells by column.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]


def read_table(path: Path) -> Table:
    """Read a CSV file with commas, semicolons or tabs, in UTF-8 or Windows' Western encoding.

    Rows without any text are passed over.

    Raises:
        InputError: no such file, no table, or a column that is there twice.
    """
    try:
        if path.is_file() and path.stat().st_size > _MOST_BYTES:
            raise InputError(path, "is far too large for a table", "Give a CSV table")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(path, "no such file", "Give the path of a CSV table") from error
    except OSError as error:
        problem = f"not a readable table ({error.strerror or type(error).__name__})"
        raise InputError(path, problem, "Give a CSV table") from error
    text = _decoded(content)
    if "\0" in text:
        raise InputError(path, "not a readable table (it is no text)", "Give a CSV table")
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    except csv.Error as error:
        raise InputError(
            path, f"not a readable table ({type(error).__name__})", "Give a CSV table"
        ) from error
    if not lines:
        raise InputError(path, "the table is empty", "Give a CSV table with a header")
    columns = tuple(name.strip() for name in lines[0])
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise InputError(path, f"columns are there twice: {', '.join(twice)}", "Keep one of each")
    rows = tuple(
        (number, dict(zip(columns, (cell.strip() for cell in line), strict=False)))
        for number, line in enumerate(lines[1:], start=2)
        if any(cell.strip() for cell in line)
    )
    return Table(path=path, columns=columns, rows=rows)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _delimiter(text: str) -> str:
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def plain_name(column: str) -> str:
    """A column's name as it is compared: lower case, one underscore between words.

    Examples:
        >>> plain_name(" Accession Number "), plain_name("StudyInstanceUID")
        ('accession_number', 'study_instance_uid')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.strip())
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
