"""The one writer of workbooks."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("openpyxl", reason="needs the extra 'evaluate'")

import openpyxl

from bonescint.scan import ParameterError
from bonescint.tables import ResultTable, write_csv, write_workbook

SHEET = ResultTable(
    name="a name that is longer than Excel allows for sheets",
    columns=("name", "value"),
    rows=(("=SUM(1;2)", 1.5), ("bell\x07", math.inf), (None, True)),
)


def cells(file: Path, sheet: int) -> list[tuple[object, ...]]:
    return list(openpyxl.load_workbook(file).worksheets[sheet].iter_rows(values_only=True))


def test_text_is_never_a_formula_and_values_are_plain(tmp_path: Path) -> None:
    write_workbook([SHEET], tmp_path / "t.xlsx", about=["A title"])
    assert cells(tmp_path / "t.xlsx", 1) == [
        ("name", "value"),
        ("=SUM(1;2)", 1.5),
        ("bell", "inf"),
        (None, 1),
    ]
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").worksheets[1]
    assert sheet["A2"].data_type == "s"
    assert sheet.freeze_panes == "A2"
    assert len(sheet.title) == 31


def test_the_first_sheet_says_what_the_workbook_is(tmp_path: Path) -> None:
    about = ["A title", "A notice"]
    write_workbook([SHEET], tmp_path / "t.xlsx", about=about, about_name="about")
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    assert book.sheetnames[0] == "about"
    assert [row[0] for row in cells(tmp_path / "t.xlsx", 0)] == about
    assert book["about"]["A1"].font.bold


def test_a_heading_is_above_the_columns_of_every_sheet(tmp_path: Path) -> None:
    sheets = [SHEET, replace(SHEET, name="another")]
    write_workbook(sheets, tmp_path / "t.xlsx", about=["A title"], heading="Simulated")
    for number in (1, 2):
        assert cells(tmp_path / "t.xlsx", number)[:2] == [("Simulated", None), ("name", "value")]
    assert openpyxl.load_workbook(tmp_path / "t.xlsx").worksheets[1].freeze_panes == "A3"


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ParameterError, match="2 cells wide"):
        ResultTable(name="found", columns=("name", "value"), rows=(("a",),))


def test_csv_has_full_precision_and_no_formulas(tmp_path: Path) -> None:
    table = ResultTable(name="found", columns=("name", "value"), rows=(("=A1", 0.1 + 0.2),))
    write_csv(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "name,value\n'=A1,0.30000000000000004\n"
