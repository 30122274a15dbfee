"""The one writer of Excel workbooks: a sheet per table, behind one that says what they are."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonescint.files import written_beside
from bonescint.scan import MissingExtraError

_MOST_ROWS = 1_048_000  # Excel's limit, with the header
_MOST_LETTERS = 32_000  # in a cell
_NAME_LENGTH = 31  # of a sheet
_WIDEST = 60
_NUMBER_WIDTH = 12
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSheet:
    """A table that becomes a sheet.

    Attributes:
        name: of the sheet; cut where Excel allows no longer one.
        columns: names.
        rows: a value for each column; infinities are written as words, text is never a formula.
        title: for people; said on the first sheet.
    """

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""


def write_workbook(
    sheets: Sequence[OutputSheet],
    path: Path,
    *,
    about: Sequence[str],
    about_name: str = "Read first",
    heading: str = "",
    footer: str = "",
    extra: str = "evaluate",
) -> None:
    """Write tables as the sheets of a workbook, with a first sheet that says what they are.

    Args:
        sheets: in their order.
        path: of the .xlsx file; its folder must exist.
        about: lines of the first sheet, the first of them bold.
        about_name: of that sheet.
        heading: above the columns of every sheet.
        footer: of every printed page.
        extra: of bonescint, that installs openpyxl.

    Raises:
        MissingExtraError: openpyxl is not installed.
        OutputError: it cannot be written.
    """
    try:
        from openpyxl import Workbook
    except ImportError as error:
        raise MissingExtraError("openpyxl", extra) from error
    book = Workbook(write_only=True)
    first: Any = book.create_sheet(about_name)
    first.column_dimensions["A"].width = _WIDEST
    for number, line in enumerate(about):
        first.append([_cell(first, line, bold=number == 0)])
    for sheet in sheets:
        if sheet.title:
            first.append([_cell(first, text) for text in (sheet.name, sheet.title)])
        if len(sheet.rows) > _MOST_ROWS:
            first.append([f"Only the first {_MOST_ROWS} rows of '{sheet.name}' fit."])
    for sheet in sheets:
        written = book.create_sheet(sheet.name[:_NAME_LENGTH])
        _write_sheet(written, sheet, heading, footer)
    with written_beside(path) as beside:
        book.save(beside)


def _write_sheet(written: Any, sheet: OutputSheet, heading: str, footer: str) -> None:
    from openpyxl.utils import get_column_letter

    written.freeze_panes = "A3" if heading else "A2"
    written.oddFooter.center.text = footer or None
    for number, column in enumerate(sheet.columns):
        shown = [_width(row[number]) for row in sheet.rows[:200]]
        width = min(max([len(column), *shown]) + 2, _WIDEST)
        written.column_dimensions[get_column_letter(number + 1)].width = width
    if heading:
        written.append([_cell(written, heading, bold=True)])
    written.append([_cell(written, column, bold=True) for column in sheet.columns])
    for row in sheet.rows[:_MOST_ROWS]:
        written.append([_cell(written, value) for value in row])


def _width(value: object) -> int:
    return _NUMBER_WIDTH if isinstance(value, float) else len("" if value is None else str(value))


def _cell(sheet: Any, value: object, *, bold: bool = False) -> Any:
    """A cell; text stays text, whatever it begins with."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and math.isinf(value):
        value = str(value)
    if not isinstance(value, str):
        return value
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    cell = WriteOnlyCell(sheet, value=_FORBIDDEN.sub("", value)[:_MOST_LETTERS])
    cell.data_type = "s"
    if bold:
        cell.font = Font(bold=True)
    return cell
