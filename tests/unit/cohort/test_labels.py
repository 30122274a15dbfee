"""Tables of labels and manifests: each word, each limit, each message."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from bonescint.cohort import read_manifest
from bonescint.cohort.labels import LabelRow, Labels, read_labels
from bonescint.scan import InputError, Split


def read(folder: Path, header: str, *rows: str) -> Labels:
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return read_labels(path)


def test_a_row_with_everything(tmp_path: Path) -> None:
    header = ("Accession Number,StudyInstanceUID,FileName,Patient ID,LABEL,Hospital,Split,Gender,"
              "Patient Age,Primary Tumour,mask anterior,Mask_Posterior")  # fmt: skip
    labels = read(
        tmp_path, header, "007,1.2.3,a/b.dcm,P 1,1,North,Test,W,067Y,prostate,m/a.png,p.png"
    )
    assert labels.rows == (
        LabelRow(
            row=2, positive=True, accession="007", study="1.2.3", file="a/b.dcm", patient="P 1",
            centre="North", split=Split.TEST, sex="F", age=67.0, primary="prostate",
            mask_anterior="m/a.png", mask_posterior="p.png",
        ),
    )  # fmt: skip
    assert (labels.has_split, labels.folder, labels.notes) == (True, tmp_path, ())
    assert labels.source == str(tmp_path / "labels.csv")
    for secret in ("007", "1.2.3", "P 1"):
        assert secret not in repr(labels.rows[0])


def test_a_row_with_as_little_as_there_can_be(tmp_path: Path) -> None:
    labels = read(tmp_path, "label,patient", "", "0,x")
    assert labels.rows == (LabelRow(row=3, positive=False, patient="x"),)
    assert labels.has_split is False


@pytest.mark.parametrize(
    ("column", "cell", "attribute", "value"),
    [
        ("sex", "Female", "sex", "F"), ("sex", "w", "sex", "F"), ("sex", "MALE", "sex", "M"),
        ("sex", "O", "sex", ""), ("sex", "u", "sex", ""), ("sex", "unknown", "sex", ""),
        ("sex", "other", "sex", ""), ("sex", "", "sex", ""),
        ("split", "training", "split", Split.TRAIN), ("split", "Train", "split", Split.TRAIN),
        ("split", "val", "split", Split.VALIDATION), ("split", "valid", "split", Split.VALIDATION),
        ("split", "external  test", "split", Split.TEST),
        ("age", "0", "age", 0.0), ("age", "61,5", "age", 61.5), ("age", "89.9y", "age", 89.9),
        ("age", "90", "age", 90.0), ("age", "129.9", "age", 90.0), ("age", "", "age", None),
        ("centre", "x" * 60, "centre", "x" * 60),
    ],
)  # fmt: skip
def test_words_and_limits(
    tmp_path: Path, column: str, cell: str, attribute: str, value: object
) -> None:
    quoted = f'"{cell}"'
    labels = read(tmp_path, f"accession,label,{column}", f"a,1,{quoted}")
    assert getattr(labels.rows[0], attribute) == value


@pytest.mark.parametrize(
    ("column", "cell", "says"),
    [
        ("sex", "x", "column sex: must be F, M or empty"),
        ("split", "", "column split: must be one of train, validation, test"),
        ("age", "old", "column age: is not a number of years"),
        ("age", "-1", "column age: must be from 0 to 130 years"),
        ("age", "130", "column age: must be from 0 to 130 years"),
        ("centre", "x" * 61, "column centre: must be a short line of text"),
        ("primary", "\u202eabc", "column primary: must be a short line of text"),
    ],
)
def test_what_is_refused_without_its_value(
    tmp_path: Path, column: str, cell: str, says: str
) -> None:
    with pytest.raises(InputError) as raised:
        read(tmp_path, f"accession,label,{column}", f"a,1,{cell}")
    assert str(raised.value) == f"{tmp_path / 'labels.csv'}, row 2, {says}. Correct the table."


def test_labels_in_a_workbook(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Labels"
    for row in (["Reference standard 2024"], ["accession", "label"], [101, 0], [102, 1]):
        sheet.append(row)
    sheet["A3"].number_format = "000000"
    book.save(tmp_path / "labels.xlsx")
    labels = read_labels(tmp_path / "labels.xlsx")
    assert [(row.row, row.accession, row.positive) for row in labels.rows] == [
        (3, "000101", False), (4, "102", True)
    ]  # fmt: skip
    assert labels.notes == ("row 1 before the header was skipped",)


MANIFEST = "scan_id,patient_id,centre,split,label,file,sex,age,primary,truth"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (",p,A,train,1,f,,,,", "row 2, column scan_id: is empty"),
        ("s,,A,train,1,f,,,,", "row 2, column patient_id: is empty"),
        ("s,p,,train,1,f,,,,", "row 2, column centre: is empty"),
        ("s,p,A,tarin,1,f,,,,", "must be one of train, validation, test, got 'tarin'"),
        ("s,p,A,train,2,f,,,,", "row 2, column label: must be 0 or 1, got '2'"),
        ("s,p,A,train,1,f,,old,,", "row 2, column age: is no number"),
        ("s,p,A,train,1,f,,130,,", "row 2, column age: must be from 0 to 130 years"),
        ("s,p,A,train,1,f,,-0.5,,", "row 2, column age: must be from 0 to 130 years"),
    ],
)  # fmt: skip
def test_rows_of_a_manifest_that_are_refused(tmp_path: Path, row: str, says: str) -> None:
    (tmp_path / "manifest.csv").write_text(f"{MANIFEST}\n{row}\n")
    with pytest.raises(InputError) as raised:
        read_manifest(tmp_path)
    assert str(raised.value).endswith(f"{says}. Correct the manifest.")


def test_repeats_in_a_manifest_are_named_with_both_rows(tmp_path: Path) -> None:
    rows = ["s,p,A,train,1,f,,,,", "s,q,A,train,1,f,,,,", "t,p,A,test,0,g,,129.5,,"]
    (tmp_path / "manifest.csv").write_text("\n".join([MANIFEST, *rows]))
    with pytest.raises(InputError) as raised:
        read_manifest(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path / 'manifest.csv'}: 2 problems: row 3, column scan_id: scan s is listed twice "
        "(first in row 2); row 4, column split: patient p is in train and in test (row 2). "
        "Correct the manifest."
    )
