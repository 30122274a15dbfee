"""Manifests, truth files and simulated cohorts on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.damaged_npz import damaged_npz

from bonescint.cohort import (
    read_manifest,
    read_truth,
    write_manifest,
    write_truth,
)
from bonescint.scan import (
    Case,
    Focus,
    FocusKind,
    InputError,
    Split,
    Truth,
    View,
)

HEADER = "scan_id,patient_id,centre,split,label,file\n"


def manifest(folder: Path, rows: str, header: str = HEADER) -> Path:
    path = folder / "manifest.csv"
    path.write_text(header + rows, encoding="utf-8")
    return path


def test_a_manifest_survives_the_disk(tmp_path: Path) -> None:
    cases = (
        Case(scan_id="a", patient_id="p", centre="A", split=Split.TRAIN, positive=True,
             file="scans/a b,c.dcm", sex="F", age=61.0, primary="breast", truth="t.npz"),
        Case(scan_id="b", patient_id="q", centre="B", split=Split.TEST, positive=False),
    )  # fmt: skip
    write_manifest(cases, tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv").cases == cases
    assert read_manifest(tmp_path).split(Split.TEST) == cases[1:]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,p,A,train,2,f\n", "row 2, column label: must be 0 or 1"),
        ("a,p,A,train,0,f\nb,q,A,tain,0,f\n", "row 3, column split: must be one of"),
        ("a,,A,train,0,f\n", "patient_id"),
        ("a,p,A,train,0,f\na,q,A,train,0,f\n", "a is listed twice"),
        ("a,p,A,train,0,f\nb,p,A,test,0,f\n", "patient p is in train and in test"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, rows: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_manifest(manifest(tmp_path, rows))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="columns missing: split, label"):
        read_manifest(manifest(tmp_path, "a,p,A,f\n", "scan_id,patient_id,centre,file\n"))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00binary", b"a\x00b,c\n"])
def test_what_is_no_table_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"m\.csv: (not a readable table|columns missing)"):
        read_manifest(tmp_path / "m.csv")


def test_a_manifest_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """With a byte order mark, columns of its own, and decimals for whole numbers."""
    rows = "x,a,p,A,train,1.0,f,61.0\r\n"
    header = "note,scan_id,patient_id,centre,split,label,file,age\r\n"
    path = tmp_path / "m.csv"
    path.write_bytes(("\ufeff" + header + rows).encode())
    (case,) = read_manifest(path).cases
    assert case.positive
    assert case.age == 61


def test_a_missing_manifest_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_manifest(tmp_path / "none.csv")


def test_truth_survives_the_disk(tmp_path: Path) -> None:
    mask = np.zeros((9, 5), bool)
    mask[2, 3] = True
    truth = Truth(
        positive=True,
        foci=(Focus(view=View.ANTERIOR, row=2.5, column=3, region="L3", contrast=4.0),
              Focus(view=View.POSTERIOR, row=1, column=1, kind=FocusKind.MIMIC)),
        masks={View.ANTERIOR: mask, View.POSTERIOR: ~mask},
        source="simulator",
        simulated=True,
    )  # fmt: skip
    write_truth(truth, tmp_path / "t.npz")
    write_truth(truth, tmp_path / "u.npz")
    again = read_truth(tmp_path / "t.npz")
    assert again.foci == truth.foci
    assert (again.source, again.simulated) == ("simulator", True)
    assert np.array_equal(again.masks[View.ANTERIOR], mask)
    assert (tmp_path / "t.npz").read_bytes() == (tmp_path / "u.npz").read_bytes()


def test_a_truth_of_the_first_release_is_simulated_if_the_simulator_wrote_it(
    tmp_path: Path,
) -> None:
    content = {"schema_version": 1, "positive": False, "foci": []}
    for source, simulated in (("simulator", True), ("physician's mask", False)):
        np.savez(tmp_path / "t.npz", json=np.array(json.dumps({**content, "source": source})))
        assert read_truth(tmp_path / "t.npz").simulated is simulated


def test_simulated_is_a_column_and_once_was_a_prefix(tmp_path: Path) -> None:
    head = "scan_id,patient_id,centre,split,label,file"
    table = tmp_path / "manifest.csv"
    table.write_text(f"{head}\na,anatomy-01,A,train,0,a.dcm\nb,p2,A,train,1,b.dcm\n")
    old = read_manifest(table).cases
    assert [case.simulated for case in old] == [True, False]
    write_manifest(old, table)
    assert table.read_text().splitlines()[0].endswith(",simulated")
    assert read_manifest(table).cases == old
    table.write_text(f"{head},simulated\na,anatomy-01,A,train,0,a.dcm,\nb,p2,A,train,1,b.dcm,1\n")
    assert [case.simulated for case in read_manifest(table).cases] == [False, True]
    table.write_text(f"{head},simulated\na,p,A,train,0,a.dcm,perhaps\n")
    with pytest.raises(InputError, match=r"row 2, column simulated: must be 0 or 1"):
        read_manifest(table)
    write_manifest([old[1]], table)
    assert "simulated" not in table.read_text()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 broken", b"no zip at all", *damaged_npz("json").values()]
)
def test_a_damaged_truth_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.npz").write_bytes(content)
    with pytest.raises(InputError, match="not a readable truth file"):
        read_truth(tmp_path / "t.npz")
