"""Read tables in Excel workbooks: every cell that exists, whatever size the file states."""

from __future__ import annotations

import datetime
import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint.scan import InputError, MissingExtraError
from bonescint.tables.text_files import Line

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

_MOST_BYTES = 256 << 20
_MOST_DIGITS = 15  # of a number that a spreadsheet keeps
_GIVE = "Give an .xlsx file, or save the table as CSV"
_ZEROS = re.compile(r"0{2,20}")
DATE = "\x01date"
"""Stands for a cell that holds a date."""
NO_VALUE = "\x01formula"
"""Stands for a formula whose value was not stored."""
LONG_NUMBER = "\x01long"
"""Stands for a whole number of more digits than a spreadsheet keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One sheet.

    Attributes:
        name: name of the sheet.
        lines: rows that hold anything.
        hidden: whether the sheet is.
        hidden_rows: how many of its rows are.
    """

    name: str
    lines: tuple[Line, ...]
    hidden: bool
    hidden_rows: int


def is_workbook(path: Path) -> bool:
    """Whether a file is an .xlsx workbook, by its name or by its content.

    Raises:
        InputError: a spreadsheet of another kind.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError:
        return False  # said where it is read
    if start == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise InputError(path, "an old .xls workbook, or one with a password", _GIVE)
    return path.suffix.lower() in (".xlsx", ".xlsm") or start.startswith(b"PK\x03\x04")


def read_sheets(path: Path) -> tuple[Sheet, ...]:
    """Read the sheets of a workbook that hold anything.

    Numbers are as they were typed; merged cells all have the value of their first one.

    Raises:
        InputError: no workbook, or one that is far too large.
        MissingExtraError: openpyxl is not installed.
    """
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise MissingExtraError("openpyxl", "evaluate") from error
    try:
        formulas = _looked_into(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which say no value
            with path.open("rb") as stream:  # whose name says nothing
                book = openpyxl.load_workbook(stream, data_only=True)
                typed = openpyxl.load_workbook(stream) if formulas else None
    except InputError:
        raise
    except Exception as error:  # whatever a broken workbook makes the library raise
        raise InputError(
            path, f"not a readable workbook ({type(error).__name__})", _GIVE
        ) from error
    found = []
    for sheet in book.worksheets:
        lines = tuple(_lines(sheet, typed[sheet.title] if typed else None))
        hidden = sum(sheet.row_dimensions[line.number].hidden for line in lines)
        state = sheet.sheet_state != "visible"
        found.append(Sheet(name=sheet.title, lines=lines, hidden=state, hidden_rows=hidden))
    return tuple(sheet for sheet in found if sheet.lines)


def _looked_into(path: Path) -> bool:
    """Whether a workbook has formulas; refuse what is no workbook or would fill the memory."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "xl/workbook.xml" not in names and not any("workbook" in name for name in names):
            raise InputError(path, "not a readable workbook (not an Excel file)", _GIVE)
        if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
            raise InputError(path, "is far too large for a table", "Give a CSV table")
        sheets = [name for name in names if "/worksheets/" in name and name.endswith(".xml")]
        return any(re.search(rb"<(?:\w+:)?f[\s>/]", archive.read(name)) for name in sheets)


def _lines(sheet: Worksheet, typed: Any) -> Iterator[Line]:
    merged: dict[tuple[int, int], Any] = {}
    for area in sheet.merged_cells.ranges:
        for row, column in area.cells:
            merged[row, column] = sheet.cell(area.min_row, area.min_col)
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = []
        for column, cell in enumerate(row, 1):
            one = merged.get((number, column), cell) if merged else cell
            # A formula whose value is no text has the type "str".
            unknown = one.value is None and one.data_type != "str"
            formula = typed is not None and unknown and _is_formula(typed, one)
            cells.append(NO_VALUE if formula else _text(one))
        if any(cells):
            yield Line(number, tuple(cells))


def _is_formula(typed: Any, cell: Any) -> bool:
    return bool(typed.cell(cell.row, cell.column).data_type == "f")


def _text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return DATE
    if isinstance(value, float) and not value.is_integer():
        text = f"{value:.15g}"
        # Three decimals could be thousands where people type them; here they are none.
        return f"{text}0" if re.fullmatch(r"-?\d+\.\d{3}", text) else text
    digits = str(int(value))
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        return LONG_NUMBER
    zeros = _ZEROS.fullmatch(cell.number_format or "")
    return digits.zfill(len(zeros[0])) if zeros else digits
