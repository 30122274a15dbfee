"""The one reader of the tables that people write: CSV of all countries, and Excel workbooks.

A kind of table says what its columns may be called (`Columns`); `read_table` finds the header,
and gives rows that know their number. Names are compared by `name_key`, numbers are read by
column, and what a spreadsheet has spoilt is refused with file, sheet, row and column.
"""

from bonescint.tables.cells import (
    MISSING,
    SAME,
    Numbers,
    date_like,
    folded,
    lost_digits,
    matched_names,
    name_key,
    number_of,
    one_spelling,
    plain_name,
    said_spellings,
    text_of,
    truth_of,
)
from bonescint.tables.problems import Problem, refuse
from bonescint.tables.table import (
    Columns,
    Row,
    Table,
    TableWarning,
    column_key,
    read_table,
    read_tables,
    sheet_table,
)
from bonescint.tables.text_files import Line, TextFile, open_text, separator_of
from bonescint.tables.workbooks import Sheet, is_workbook, read_sheets
from bonescint.tables.writing import CellValue, ResultTable, write_csv, write_workbook

__all__ = [
    "MISSING",
    "SAME",
    "CellValue",
    "Columns",
    "Line",
    "Numbers",
    "Problem",
    "ResultTable",
    "Row",
    "Sheet",
    "Table",
    "TableWarning",
    "TextFile",
    "column_key",
    "date_like",
    "folded",
    "is_workbook",
    "lost_digits",
    "matched_names",
    "name_key",
    "number_of",
    "one_spelling",
    "open_text",
    "plain_name",
    "read_sheets",
    "read_table",
    "read_tables",
    "refuse",
    "said_spellings",
    "separator_of",
    "sheet_table",
    "text_of",
    "truth_of",
    "write_csv",
    "write_workbook",
]
