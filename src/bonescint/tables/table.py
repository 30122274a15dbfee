"""A table with a header: its columns found by name, its rows numbered as the user sees them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from bonescint.scan import InputError
from bonescint.tables.cells import Numbers, lost_digits, maybe_thousands, plain_name, text_of
from bonescint.tables.text_files import Line, open_text
from bonescint.tables.workbooks import DATE, LONG_NUMBER, NO_VALUE, Sheet, is_workbook, read_sheets

_MOST_ROWS = 1_048_576  # of a sheet in Excel
_MOST_LETTERS = 512 << 20
_MOST_COLUMNS = 16_384  # of a sheet in Excel
_LOOKED_AT = 20
_SPOILT = {
    DATE: "holds a date: a spreadsheet changed what was typed",
    NO_VALUE: "holds a formula without its value: open and save it in a spreadsheet program",
    LONG_NUMBER: "holds a number of more than 15 digits, of which a spreadsheet keeps 15",
    **{
        error: f"holds a spreadsheet's error, {error}"
        for error in ("#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!")
    },
}

_SIGNS = frozenset(error[0] for error in _SPOILT)


class TableWarning(UserWarning):
    """Something that the owner of a table should know about how it was read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        number: number of the row; the first row of the file or sheet is 1.
        table: the table that it belongs to.
    """

    number: int
    table: Table = field(repr=False)
    _cells: tuple[str, ...] = field(repr=False)

    def text(self, column: str) -> str:
        """The text in a column, or empty if the table has no such column."""
        at = self.table.places.get(column)
        return "" if at is None else self._cells[at]

    def name(self, column: str) -> str:
        """A name in one spelling; see `plain_name`.

        Raises:
            InputError: a spreadsheet has shortened it to a number with an exponent, or zeros at its
                end may be decimals or thousands.
        """
        text = self.text(column)
        problem = ""  # without the value, which may be a patient's number
        if lost_digits(text):
            problem = "holds a number that a spreadsheet has shortened"
        elif maybe_thousands(text):
            problem = "holds a number whose zeros may be decimals or thousands"
        if problem:
            remedy = "Format the column as text"
            raise self.table.error(problem, remedy, row=self.number, column=column)
        return plain_name(text)

    @property
    def where(self) -> str:
        """Such as "row 12", with the sheet if it is one of a workbook."""
        return self.table.where(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The requested columns of a table, in one spelling; rows without text are left out.

    Attributes:
        path: path of the file.
        sheet: name of the sheet of a workbook, or empty.
        header_row: number of the header's row.
        columns: header names of the requested columns that exist, by the requested names.
        places: index of each column's cell in a row.
        separator: separator of a text file; empty for a workbook.
        notes: remarks for the owner on how it was read.
        lines: the rows' numbers and cells.
    """

    path: Path
    sheet: str
    header_row: int
    columns: Mapping[str, str]
    places: Mapping[str, int]
    separator: str
    notes: tuple[str, ...]
    lines: tuple[Line, ...] = field(repr=False)

    def __contains__(self, column: object) -> bool:
        return column in self.columns

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def rows(self) -> Iterator[Row]:
        """The rows below the header."""
        return (Row(line.number, self, line.cells) for line in self.lines)

    @property
    def source(self) -> str:
        """The file, and the sheet of a workbook."""
        return f"{self.path}, sheet {self.sheet}" if self.sheet else str(self.path)

    def where(self, number: int) -> str:
        """The name of a row in messages, such as "row 12"."""
        return f"sheet {self.sheet}, row {number}" if self.sheet else f"row {number}"

    def numbers(self, column: str) -> Numbers:
        """Determine how the numbers of a column are written, for instance with a decimal comma.

        Raises:
            InputError: a cell may mean a number or a thousand times as much, or only some cells
                are in per cent.
        """
        found = Numbers.of((row.text(column) for row in self.rows), separator=self.separator)
        odd = found.two_meanings or found.mixed_percent
        if odd:
            number = next(row.number for row in self.rows if row.text(column) == odd)
            if found.two_meanings:
                problem = f"'{odd}' may be a decimal number or have a thousands separator"
                remedy = "Write it without a thousands separator, and with a decimal point"
            else:
                problem = f"'{odd}' is in per cent and other cells are not"
                remedy = "Write all cells in the same way"
            raise self.error(problem, remedy, row=number, column=column)
        return found

    def error(self, problem: str, remedy: str, *, row: int = 0, column: str = "") -> InputError:
        """An error that names file, sheet, row and column."""
        place = f", row {row}" if row else ""
        place += f", column {self.columns.get(column, column)}" if column else ""
        return InputError(f"{self.source}{place}", problem, remedy)

    def warn(self, *more: str) -> None:
        """Issue a `TableWarning` for each of the notes, and of `more`."""
        for note in (*self.notes, *more):
            warnings.warn(f"{self.source}: {note}.", TableWarning, stacklevel=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns that a kind of table has.

    Attributes:
        names: accepted names of each column; case, spaces and underscores are ignored.
        required: columns that must exist.
        remedy: what to do if one is missing, for the error.
    """

    names: Mapping[str, Sequence[str]]
    required: Sequence[str]
    remedy: str
    _known: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        known = {column_key(one): name for name, ones in self.names.items() for one in ones}
        object.__setattr__(self, "_known", known)

    def named_by(self, header: Iterable[str]) -> dict[str, list[int]]:
        """The indices of each column in a header; more than one if the header is ambiguous."""
        found: dict[str, list[int]] = {}
        for place, cell in enumerate(header):
            name = self._known.get(column_key(text_of(cell)))
            if name is not None:
                found.setdefault(name, []).append(place)
        return found

    def missing(self, header: Iterable[str]) -> list[str]:
        """Required columns that a header lacks."""
        found = self.named_by(header)
        return [name for name in self.required if name not in found]


def column_key(name: str) -> str:
    """A column's name in the form in which names are compared.

    Examples:
        >>> column_key(" Accession Number ") == column_key("accession_number") == column_key(
        ...     "AccessionNumber")
        True
    """
    return re.sub(r"[\W_]+", "", plain_name(name)).lower()


def read_table(path: Path | str, columns: Columns) -> Table:
    """Read a table that a person or a program wrote, as CSV or .xlsx.

    Text may be separated by commas, semicolons, tabs or bars, in UTF-8, UTF-16 or Windows-1252.
    Rows before the header are skipped with a note. A large file is read as a stream: only the
    requested columns are kept in memory.

    Args:
        path: path of the file; its content decides its format.
        columns: the columns to read.

    Raises:
        InputError: no table; columns missing or ambiguous; cells that a spreadsheet has corrupted;
            several sheets that hold such a table.
    """
    found = read_tables(path, columns)
    if len(found) > 1:
        named = ", ".join(one.sheet for one in found)
        raise InputError(path, f"several sheets hold such a table ({named})", "Keep one of them")
    return found[0]


def read_tables(path: Path | str, columns: Columns) -> tuple[Table, ...]:
    """Read a table, or each sheet of a workbook that holds one.

    Args:
        path: path of the file.
        columns: the columns to read.

    Raises:
        InputError: as for `read_table`, except for several sheets.
    """
    source = Path(path)
    if not is_workbook(source):
        text = open_text(source)
        separator, lines = text.rows(lambda cells: len(columns.named_by(cells)))
        table = _table(source, lines, columns, separator=separator)
        notes = (*text.notes, *table.notes)  # those of the text are known once it is read
        return (replace(table, notes=notes),)
    sheets = read_sheets(source)
    if not sheets:
        raise InputError(source, "the workbook is empty", columns.remedy)
    fitting = [sheet for sheet in sheets if not sheet.hidden and _fits(sheet, columns)]
    if not fitting:
        fitting = [sheet for sheet in sheets if not sheet.hidden][:1] or list(sheets[:1])
    notes = _unread(sheets, fitting)
    found = (sheet_table(source, one, columns) for one in fitting)
    return tuple(replace(table, notes=(*notes, *table.notes)) for table in found)


def sheet_table(path: Path, sheet: Sheet, columns: Columns) -> Table:
    """The table that one sheet of a workbook holds.

    Raises:
        InputError: as for `read_table`.
    """
    return _table(path, iter(sheet.lines), columns, sheet=sheet.name, notes=_hidden(sheet))


def _fits(sheet: Sheet, columns: Columns) -> bool:
    return any(not columns.missing(line.cells) for line in sheet.lines[:_LOOKED_AT])


def _unread(sheets: Sequence[Sheet], fitting: Sequence[Sheet]) -> tuple[str, ...]:
    others = [
        f"{sheet.name}{' (hidden)' if sheet.hidden else ''}"
        for sheet in sheets
        if sheet not in fitting
    ]
    return (f"sheets that were not read: {', '.join(others)}",) if others else ()


def _hidden(sheet: Sheet) -> tuple[str, ...]:
    if not sheet.hidden_rows:
        return ()
    return (f"{sheet.hidden_rows} hidden rows of sheet {sheet.name} were read like the others",)


def _table(
    path: Path,
    lines: Iterator[Line],
    columns: Columns,
    *,
    separator: str = "",
    sheet: str = "",
    notes: tuple[str, ...] = (),
) -> Table:
    place = f"{path}, sheet {sheet}" if sheet else str(path)
    start = list(islice(lines, _LOOKED_AT))
    if not start:
        raise InputError(place, "the table is empty", columns.remedy)
    at = next((n for n, line in enumerate(start) if not columns.missing(line.cells)), None)
    if at is None:
        closest = max(start, key=lambda line: len(columns.named_by(line.cells)))
        raise _without_columns(place, closest, columns)
    header = start[at]
    found = columns.named_by(header.cells)
    _require_one_each(place, header, found)
    if at:
        rows = ", ".join(str(line.number) for line in start[:at])
        notes = (*notes, f"row {rows} before the header was skipped")
    names = {name: text_of(header.cells[places[0]]) for name, places in found.items()}
    kept = [places[0] for places in found.values()]
    shown = dict(zip(names, range(len(kept)), strict=True))
    width = len(header.cells) if separator else _MOST_COLUMNS  # beside a sheet's table notes may be
    below = chain(start[at + 1 :], lines)
    rest = tuple(_kept(below, kept, list(names.values()), width, place))
    return Table(
        path=path,
        sheet=sheet,
        header_row=header.number,
        columns=names,
        places=shown,
        separator=separator,
        notes=notes,
        lines=rest,
    )


def _without_columns(place: str, header: Line, columns: Columns) -> InputError:
    missing = ", ".join(columns.missing(header.cells))
    if columns.named_by(header.cells):
        there = ", ".join(text_of(cell) for cell in header.cells if cell.strip())
        known = f"there are: {there if len(there) <= 120 else f'{there[:120]}...'}"
    else:  # perhaps a table without a header, whose cells name patients
        known = f"no row among the first {_LOOKED_AT} names a known column"
    problem = f"columns missing: {missing} ({known})"
    return InputError(place, problem, columns.remedy)


def _require_one_each(place: str, header: Line, found: Mapping[str, Sequence[int]]) -> None:
    ambiguous = []
    for name, places in found.items():
        if len(places) > 1:
            which = ", ".join(f"{text_of(header.cells[at])} (column {at + 1})" for at in places)
            ambiguous.append(f"the {name}: {which}")
    if ambiguous:
        problem = f"several columns could be {'; '.join(ambiguous)}"
        raise InputError(f"{place}, row {header.number}", problem, "Keep or rename one of them")


def _kept(
    lines: Iterable[Line], places: Sequence[int], names: Sequence[str], width: int, place: str
) -> Iterator[Line]:
    """Rows with the cells of some columns; cells that a spreadsheet has corrupted are refused."""
    letters = 0
    least = max(places, default=-1) + 1
    for count, line in enumerate(lines, 1):
        whole = line.cells
        if len(whole) > width and any(cell.strip() for cell in whole[width:]):
            problem = f"has {len(whole)} cells and the header {width}"
            remedy = "Put a cell that holds the separator in quotation marks"
            raise InputError(f"{place}, row {line.number}", problem, remedy)
        if len(whole) < least:
            whole += ("",) * (least - len(whole))
        cells = tuple([text_of(whole[at]) for at in places])
        for name, cell in zip(names, cells, strict=True):
            letters += len(cell)
            if cell[:1] in _SIGNS and cell in _SPOILT:
                where = f"{place}, row {line.number}, column {name}"
                raise InputError(where, _SPOILT[cell], "Correct the table")
        if count > _MOST_ROWS or letters > _MOST_LETTERS:
            problem = f"is far too large for a table (more than {_MOST_ROWS} rows or 512 MB)"
            raise InputError(place, problem, "Give the rows that are needed")
        yield Line(line.number, cells)
