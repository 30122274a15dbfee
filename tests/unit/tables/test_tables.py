"""Tables as the programs of all countries write them."""

from __future__ import annotations

import datetime
import re
import unicodedata
import warnings
import zipfile
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonescint.cli.console import clear_failures
from bonescint.files import write_table
from bonescint.scan import InputError
from bonescint.tables import (
    Columns,
    Numbers,
    Table,
    TableWarning,
    matched_names,
    name_key,
    plain_name,
    read_table,
    read_tables,
    truth_of,
)

COLUMNS = Columns(
    names={"name": ("name", "reader id"), "value": ("value",), "note": ("note",)},
    required=("name", "value"),
    remedy="Give name and value",
)
ROWS = [("Müller", "0001", "1.5"), ("Dr A", "0002", "2")]


def cells(table: Table) -> list[tuple[str, str]]:
    return [(row.name("name"), row.text("value")) for row in table.rows]


def saved(folder: Path, text: str | bytes, name: str = "t.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


TEXT = "name,value\nMüller,1.5\nDr A,2\n"
FOUND = [("Müller", "1.5"), ("Dr A", "2")]


IVANOV = "name,value\n\u0418\u0432\u0430\u043d\u043e\u0432,1\n"
GIORGOS = "name,value\n\u0393\u03b9\u03ce\u03c1\u03b3\u03bf\u03c2,1\n"
NULS = "NUL characters at the ends of lines were ignored"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_separators_line_ends_and_encodings(
    tmp_path: Path, separator: str, end: str, encoding: str
) -> None:
    text = TEXT.replace(",", separator).replace("\n", end)
    table = read_table(saved(tmp_path, text, encoding=encoding), COLUMNS)
    assert cells(table) == FOUND
    assert [row.number for row in table.rows] == [2, 3]
    assert table.separator == separator
    assert bool(table.notes) is (encoding == "cp1252")
    assert not table.notes or table.notes[0].startswith("not UTF-8, so it was read as Windows-1252")


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("sep=;\nname;value\nMüller;1.5\nDr A;2\n", ()),
        ('"sep=|"\nname|value\nMüller|1.5\nDr A|2\n', ()),
        ("name,value,,,\nMüller,1.5,,,\nDr A,2,,,\n,,,,\n", ()),
        ("\n\nReader ID,VALUE\n\nMüller,1.5\nDr A,2", ()),
        ('name,value\n"Müller","1.5"\n"Dr\nA",2\n', ()),
        ('name,value\n"=""Müller""",1.5\nDr A,\'2\n', ()),
        ("# export of 2024\nname,value\nMüller,1.5\nDr A,2\n",
         ("row 1 before the header was skipped",)),
        ("Study; of many; things;\n;;;\nname;value\nMüller;1.5\nDr A;2\n",
         ("row 1 before the header was skipped",)),
        (TEXT + "\0\0", (NULS,)),
        (TEXT + "\x1a", ()),
        ("a,b\tname;value\n" + TEXT, ("row 1 before the header was skipped",)),
    ],
)  # fmt: skip
def test_what_people_write_round_a_table(tmp_path: Path, text: str, notes: tuple[str, ...]) -> None:
    table = read_table(saved(tmp_path, text), COLUMNS)
    assert cells(table)[:2] == FOUND
    assert table.notes == notes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "t.csv: the table is empty. Give name and value"),
        (b"\0\0\0\0", "the table is empty"),
        (b"name;wert\n", "columns missing: value (there are: name, wert)"),
        (b"name,value,Value\n", "row 1: several columns could be the value: value (column 2), "
                                "Value (column 3)"),
        (b"name,value\nA,2,5\n", "row 2: has 3 cells and the header 2"),
        (b'name,value\nA,"2\nB,3\n', "row 2: a quotation mark is not closed"),
        (b"name,value\nA\0,2\n", "not a readable table (not text in UTF-8"),
        (IVANOV.encode("cp1251"), "not text in UTF-8, UTF-16 or Windows-1252"),
        (GIORGOS.encode("iso8859-7"), "not text in UTF-8"),
        ("name,value\nMüller,1\n".encode("cp437"), "not text in UTF-8"),
        ("name,value\nBjörk,1\n".encode("mac_roman"), "not text in UTF-8"),
        ("name,value\nŁukasz Wąs,1\n".encode("cp1250"), "not text in UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and more", "an old .xls workbook, or one with a pass"),
        (b"name,value\nA,#REF!\n", "row 2, column value: holds a spreadsheet's error, #REF!"),
        (b"name,value\nA," + b"9" * 200_000, "row 2: not a readable table (field larger"),
        (b"x" * (5 << 20), "has a line that is far too long"),
    ],
)  # fmt: skip
def test_what_is_refused_in_one_line(tmp_path: Path, text: bytes, says: str) -> None:
    with pytest.raises(InputError) as raised:
        read_table(saved(tmp_path, text), COLUMNS)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_cells_of_a_table_without_a_header_are_not_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        read_table(saved(tmp_path, "4711023,Meier^Anna,1\n4711024,Huber^Eva,0\n"), COLUMNS)
    said = str(raised.value)
    assert "columns missing: name, value (no row among the first 20 names a known column)" in said
    assert "Meier" not in said


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("4.71102E+08", "holds a number that a spreadsheet has shortened"),
        ('"1,000"', "holds a number whose zeros may be decimals or thousands"),
        ("12.000", "holds a number whose zeros may be decimals or thousands"),
    ],
)
def test_names_that_may_be_another_patient_s_are_refused(
    tmp_path: Path, cell: str, says: str
) -> None:
    (row,) = read_table(saved(tmp_path, f"name,value\n{cell},2\n"), COLUMNS).rows
    with pytest.raises(InputError) as raised:
        row.name("name")
    assert str(raised.value).endswith(f"row 2, column name: {says}. Format the column as text.")


def test_names_keep_zeros_that_may_be_thousands() -> None:
    names = ["1", "1,0", "1.00", "0.000", "1234.000", "1,000", "2.000", "1,001"]
    assert [plain_name(name) for name in names] == [
        "1", "1", "1", "0", "1234", "1,000", "2.000", "1,001"
    ]  # fmt: skip


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "none.csv", COLUMNS)
    with pytest.raises(InputError, match="not a readable table"):
        read_table(tmp_path, COLUMNS)


def test_too_many_rows_are_refused_while_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bonescint.tables import table

    monkeypatch.setattr(table, "_MOST_ROWS", 10)
    assert len(read_table(saved(tmp_path, "name,value\n" + "A,1\n" * 10), COLUMNS)) == 10
    with pytest.raises(InputError, match=r"far too large for a table .more than 10 rows"):
        read_table(saved(tmp_path, "name,value\n" + "A,1\n" * 11), COLUMNS)


@pytest.mark.parametrize(
    ("column", "separator", "numbers"),
    [
        (["1,5", "2"], ";", [1.5, 2]),
        (["1,5", "2.25"], ",", [1.5, 2.25]),
        (["1.000", "2.500"], ",", [1, 2.5]),
        (["1,000", "2,500"], ";", [1, 2.5]),
        (["1,000", "2,5"], ",", [1, 2.5]),
        (["0,125", "0,250"], ",", [0.125, 0.25]),
        (["0.125", "1.000"], ";", [0.125, 1]),
        (["-1e-3", "\u22122", "+.5"], ",", [-0.001, -2, 0.5]),
        (["20%", "35,5 %".replace(" ", "")], ",", [0.2, 0.355]),
        (["1_0", "inf", "nan", "0x10", "1,2,3", "", "1.234.567"], ",", [None] * 7),
    ],
)  # fmt: skip
def test_numbers_of_a_column(
    column: list[str], separator: str, numbers: list[float | None]
) -> None:
    found = Numbers.of(column, separator=separator)
    assert (found.two_meanings, found.mixed_percent) == ("", "")
    assert [found(cell) for cell in column] == numbers


@pytest.mark.parametrize(
    ("column", "separator", "cell"),
    [
        (["1,000", "2,000"], ",", "1,000"),
        (["7", "1,000"], "\t", "1,000"),
        (["1.000"], ";", "1.000"),
        (["1.000", "2,5"], ";", "1.000"),
        (["1,000", "2.5"], ";", "1,000"),
    ],
)
def test_thousands_are_never_guessed(column: list[str], separator: str, cell: str) -> None:
    assert Numbers.of(column, separator=separator).two_meanings == cell


@pytest.mark.parametrize(
    ("word", "truth"),
    [("1", True), ("0", False), ("1,0", True), ("0.000", False), ("TRUE", True), ("Falsch", False),
     ("nein", False), ("négatif", False), ("ne\u0301gatif", False), ("Sí", True), ("2", None),
     ("-1", None), ("10", None), ("", None), ("maybe", None)],
)  # fmt: skip
def test_truths(word: str, truth: bool | None) -> None:
    assert truth_of(word) is truth


@given(st.text(max_size=12))
def test_names_settle(text: str) -> None:
    name = plain_name(text.strip())
    assert plain_name(name) == name
    assert name_key(name) == name_key(text)
    assert name_key(unicodedata.normalize("NFD", name)) == name_key(name)


def test_names_of_one_table_are_found_in_another_only_where_it_is_no_guess() -> None:
    assert matched_names(["S1", "b"], ["s1", "B", "c"]) == {"S1": "s1", "b": "B"}
    assert matched_names(["s1", "S1"], ["s1"]) == {}
    assert matched_names(["1"], ["01", "001"]) == {}


LETTERS = st.characters(
    codec="utf-8", exclude_characters="\r\0\ufeff\x1a\x03#", exclude_categories=["Zs"]
)


@given(st.lists(st.text(LETTERS, max_size=8)))
def test_what_is_written_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    file = tmp_path_factory.mktemp("round") / "t.csv"
    write_table(file, ("name", "value"), [("x", text) for text in texts])
    read = [row.text("value") for row in read_table(file, COLUMNS).rows]
    assert read == [text.strip() for text in texts]


def book(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook["Sheet"])
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path


READS: list[list[object]] = [["name", "value"], ["Müller", 1.5], ["Dr A", 2]]


@pytest.mark.parametrize("size", ["A1", "A1:B2", "A1:XFD1048576", ""])
def test_every_cell_is_read_whatever_the_sheet_says_of_its_size(tmp_path: Path, size: str) -> None:
    source = book(tmp_path / "full.xlsx", {"reads": READS})
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if "worksheets" in name:
                tag = b'<dimension ref="%s"/>' % size.encode() if size else b""
                content, found = re.subn(rb'<dimension ref="[^"]*"\s*/>', tag, content)
                assert found == 1
            new.writestr(name, content)
    table = read_table(path, COLUMNS)
    assert cells(table) == FOUND
    assert table.source == f"{path}, sheet reads"
    assert [row.where for row in table.rows] == ["sheet reads, row 2", "sheet reads, row 3"]


def test_sheets_that_are_not_read_are_named_and_several_are_not_chosen_from(tmp_path: Path) -> None:
    path = book(tmp_path / "t.xlsx", {"About": [["by us"]], "reads": READS, "Old": [["x"]]})
    table = read_table(path, COLUMNS)
    assert cells(table) == FOUND
    assert table.notes == ("sheets that were not read: About, Old",)
    path = book(tmp_path / "two.xlsx", {"A": READS, "B": [READS[0], ["Dr C", 3]], "C": [["x"]]})
    with pytest.raises(InputError, match=r"several sheets hold such a table \(A, B\)"):
        read_table(path, COLUMNS)
    first, second = read_tables(path, COLUMNS)
    assert (cells(first), cells(second)) == (FOUND, [("Dr C", "3")])


def test_hidden_rows_are_read_and_said_and_hidden_sheets_named(tmp_path: Path) -> None:
    path = book(tmp_path / "t.xlsx", {"reads": READS, "former": READS})
    workbook = openpyxl.load_workbook(path)
    workbook["former"].sheet_state = "hidden"
    workbook["reads"].row_dimensions[3].hidden = True
    workbook.save(path)
    table = read_table(path, COLUMNS)
    assert cells(table) == FOUND
    assert table.notes == (
        "sheets that were not read: former (hidden)",
        "1 hidden rows of sheet reads were read like the others",
    )


def test_merged_cells_all_have_their_value(tmp_path: Path) -> None:
    path = book(tmp_path / "t.xlsx", {"s": [*READS[:2], [None, 3], ["Dr A", 2]]})
    workbook = openpyxl.load_workbook(path)
    workbook["s"].merge_cells("A2:A3")
    workbook.save(path)
    assert cells(read_table(path, COLUMNS)) == [("Müller", "1.5"), ("Müller", "3"), ("Dr A", "2")]


def test_cells_are_as_they_were_typed(tmp_path: Path) -> None:
    typed: list[object] = [0.1, 2.125, 1e-7, True, 12, 123456789012345, -3.0, " text "]
    path = book(tmp_path / "t.xlsx", {"s": [["name", "value"], *(["x", one] for one in typed)]})
    workbook = openpyxl.load_workbook(path)
    workbook["s"]["B6"].number_format = "0000"
    workbook.save(path)
    table = read_table(path, COLUMNS)
    assert [row.text("value") for row in table.rows] == [
        "0.1", "2.1250", "1e-07", "1", "0012", "123456789012345", "-3", "text"
    ]  # fmt: skip
    assert table.numbers("value")("2.1250") == 2.125


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        (datetime.datetime(2024, 1, 3), "holds a date: a spreadsheet changed what was typed"),
        (datetime.time(0, 0, 12), "holds a date"),
        ("=1+1", "holds a formula without its value"),
        (1234567890123456, "holds a number of more than 15 digits"),
        ("#DIV/0!", "holds a spreadsheet's error, #DIV/0!"),
    ],
)
def test_spoilt_cells_of_a_workbook_are_refused_by_their_place(
    tmp_path: Path, cell: object, says: str
) -> None:
    rows = [*READS, [cell, 1]]
    with pytest.raises(InputError, match=re.escape(f"t.xlsx, sheet s, row 4, column name: {says}")):
        read_table(book(tmp_path / "t.xlsx", {"s": rows}), COLUMNS)
    other = [[*row, None] for row in READS] + [["Dr B", 1, cell]]  # no column that is asked for
    assert len(read_table(book(tmp_path / "o.xlsx", {"s": other}), COLUMNS)) == 3


def test_a_formula_whose_value_is_no_text_is_an_empty_cell(tmp_path: Path) -> None:
    path = book(tmp_path / "t.xlsx", {"s": [*READS, ['=IF(C4="","",C4)', 3]]})
    with zipfile.ZipFile(path) as read:
        content = {name: read.read(name) for name in read.namelist()}
    (sheet,) = (name for name in content if name.endswith("sheet1.xml"))
    computed, count = re.subn(
        rb'<c r="A4"[^>]*>(<f>.*?</f>)<v ?/>', rb'<c r="A4" t="str">\1<v></v>', content[sheet]
    )
    assert count == 1
    with zipfile.ZipFile(path, "w") as written:
        for name, old in content.items():
            written.writestr(name, computed if name == sheet else old)
    assert [row.text("name") for row in read_table(path, COLUMNS).rows][-1] == ""


@pytest.mark.parametrize("name", ["t.xlsx", "t.csv"])
def test_an_archive_that_is_no_workbook_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("content.xml", "<x/>")
    with pytest.raises(InputError, match="not a readable workbook"):
        read_table(tmp_path / name, COLUMNS)
    (tmp_path / "cut.xlsx").write_bytes(book(tmp_path / "b.xlsx", {"s": READS}).read_bytes()[:900])
    with pytest.raises(InputError, match="not a readable workbook"):
        read_table(tmp_path / "cut.xlsx", COLUMNS)


def test_a_workbook_by_another_name_is_read(tmp_path: Path) -> None:
    path = book(tmp_path / "t.xlsx", {"s": READS}).rename(tmp_path / "t.csv")
    assert cells(read_table(path, COLUMNS)) == FOUND


def test_a_command_says_each_warning_of_a_table_once(capsys: pytest.CaptureFixture[str]) -> None:
    with clear_failures():
        for _ in range(2):
            warnings.warn("p.csv: scan s1 is\nalso written S1.", TableWarning, stacklevel=1)
    assert capsys.readouterr().err == "Warning: p.csv: scan s1 is also written S1.\n"
