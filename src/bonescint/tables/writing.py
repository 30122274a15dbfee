"""Tables of results: as CSV, and as Excel workbooks with a sheet per table."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bonescint.files import write_table, written_beside
from bonescint.scan import MissingExtraError, ParameterError

_MOST_ROWS = 1_048_000  # Excel's limit, with the header
_MOST_LETTERS = 32_000  # in a cell
_NAME_LENGTH = 31  # of a sheet
_WIDEST = 60
_NUMBER_WIDTH = 12
_FOR_WIDTH = 200  # rows that are looked at
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


CellValue: TypeAlias = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultTable:
    """A table of results.

    Attributes:
        name: name of its file, without suffix, or of its sheet.
        title: for people.
        columns: names.
        rows: a value for each column; infinities are written as words.

    Raises:
        ParameterError: a row that has not one cell for each column.
    """

    name: str
    title: str = ""
    columns: tuple[str, ...]
    rows: tuple[tuple[CellValue, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                requirement = f"{len(self.columns)} cells wide"
                raise ParameterError("rows", f"ResultTable {self.name}", requirement, len(row))


def write_csv(table: ResultTable, path: Path) -> None:
    """Write a table as CSV, to a temporary file that is then renamed into place.

    Numbers have full precision. Text that a spreadsheet would run as a formula gets an
    apostrophe before it.

    Args:
        table: to write.
        path: path of the file; its folder must exist.

    Raises:
        OutputError: it cannot be written.
    """
    write_table(path, table.columns, table.rows)


def write_workbook(
    tables: Sequence[ResultTable],
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
        tables: a sheet each, in their order; text is never a formula.
        path: path of the .xlsx file; its folder must exist.
        about: lines of the first sheet, the first of them bold.
        about_name: name of that sheet.
        heading: above the columns of every sheet.
        footer: footer of every printed page.
        extra: extra of bonescint that installs openpyxl.

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
    for table in tables:
        if table.title:
            first.append([_cell(first, text) for text in (table.name, table.title)])
        if len(table.rows) > _MOST_ROWS:
            first.append([f"Only the first {_MOST_ROWS} rows of '{table.name}' fit."])
    for table in tables:
        _write_sheet(book.create_sheet(table.name[:_NAME_LENGTH]), table, heading, footer)
    with written_beside(path) as beside:
        book.save(beside)


def _write_sheet(sheet: Any, table: ResultTable, heading: str, footer: str) -> None:
    from openpyxl.utils import get_column_letter

    sheet.freeze_panes = "A3" if heading else "A2"
    sheet.oddFooter.center.text = footer or None
    for number, column in enumerate(table.columns):
        shown = [_width(row[number]) for row in table.rows[:_FOR_WIDTH]]
        width = min(max([len(column), *shown]) + 2, _WIDEST)
        sheet.column_dimensions[get_column_letter(number + 1)].width = width
    if heading:
        sheet.append([_cell(sheet, heading, bold=True)])
    sheet.append([_cell(sheet, column, bold=True) for column in table.columns])
    for row in table.rows[:_MOST_ROWS]:
        sheet.append([_cell(sheet, value) for value in row])


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
