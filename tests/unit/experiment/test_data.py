from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bonescint.cohort import read_manifest
from bonescint.experiment import join, read_predictions
from bonescint.experiment.evaluation.data import require_judgeable
from bonescint.scan import InputError, Split
from bonescint.tables import TableWarning

from .conftest import Study, write_rows

_HEAD = ["scan_id", "mbd_probability"]


def test_every_case_finds_its_prediction(study: Study) -> None:
    rows = read_predictions(study.predictions)
    joined = join(tuple(reversed(rows)), read_manifest(study.manifest), source="p")
    part = joined.part(Split.TEST)
    assert [case.scan_id for case in part.cases] == [f"test-{n:03d}" for n in range(60)]
    expected = [study.probability[case.scan_id] for case in part.cases]
    np.testing.assert_array_equal(part.probabilities, expected)
    assert part.scored.positives == 30
    assert part.scored.patients is None
    assert part.missing == ()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([["scan", "p"]], r"columns missing: scan_id, mbd_probability \(no row among the first 20"),
        ([["scan_id", "p"]], r"columns missing: mbd_probability \(there are: scan_id, p\)"),
        ([_HEAD], "has no predictions"),
        ([_HEAD, ["a", "1.2"]], r"row 2, column mbd_probability: .*got '1\.2'"),
        ([_HEAD, ["a", "high"]], "row 2, column mbd_probability.*got 'high'"),
        ([_HEAD, ["a", "nan"]], "row 2, column mbd_probability"),
        ([_HEAD, ["a"]], "row 2, column mbd_probability.*got ''"),
        ([_HEAD, ["a", "0.1"], ["b", "0.2"], ["a", "0.3"]], "row 4, column scan_id: a is in row 2"),
        ([_HEAD, ["", "0.1"], ["b", "-1"]], "2 problems: row 2, column scan_id.*; row 3, column"),
    ],
)
def test_wrong_tables_are_named_by_row_and_column(
    rows: list[list[object]], says: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says):
        read_predictions(write_rows(tmp_path / "p.csv", rows))


def test_many_problems_are_cut_and_counted(tmp_path: Path) -> None:
    rows = [_HEAD, *[[f"s{n}", "x"] for n in range(100)]]
    with pytest.raises(InputError, match=r"100 problems: .*; and 70 more"):
        read_predictions(write_rows(tmp_path / "p.csv", rows))


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_predictions(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\x00\xff\xfe\x80" * 50)
    with pytest.raises(InputError, match=r"readable table|columns missing"):
        read_predictions(tmp_path / "binary.csv")
    with pytest.raises(InputError, match="readable table"):
        read_predictions(tmp_path)


def test_a_byte_order_mark_and_other_columns_do_no_harm(tmp_path: Path) -> None:
    text = "\ufeffscan_id , source,mbd_probability\ns1,a.dcm,0.25\n"
    (tmp_path / "p.csv").write_text(text, encoding="utf-8")
    assert read_predictions(tmp_path / "p.csv")[0].mbd_probability == 0.25


def test_unknown_scans_are_all_named_or_left_out(study: Study, tmp_path: Path) -> None:
    rows = [_HEAD, *study.probability.items(), ["ghost", "0.5"], ["spook", "0.5"]]
    predictions = read_predictions(write_rows(tmp_path / "p.csv", rows))
    manifest = read_manifest(study.manifest)
    with pytest.raises(InputError, match=r"row 162.*no scan ghost; row 163.*no scan spook"):
        join(predictions, manifest, source="p.csv")
    joined = join(predictions, manifest, source="p.csv", ignore_unknown=True)
    assert [row.scan_id for row in joined.unknown] == ["ghost", "spook"]


def test_splits_that_cannot_be_judged(study: Study) -> None:
    rows = read_predictions(study.predictions)
    manifest = read_manifest(study.manifest)
    only_train = [row for row in rows if row.scan_id.startswith("train")]
    part = join(only_train, manifest, source="p").part(Split.TEST)
    with pytest.raises(InputError, match=r"split test: no scan.*60 scans have none.*to judge"):
        require_judgeable(part, "p.csv", "judge a model")
    truth = {case.scan_id: case.positive for case in study.cases}
    healthy = [row for row in rows if not truth[row.scan_id]]
    with pytest.raises(InputError, match="column label: no positives among 30 scans"):
        require_judgeable(join(healthy, manifest, source="p").part(Split.TEST), "p", "judge")
    ill = [row for row in rows if truth[row.scan_id]]
    with pytest.raises(InputError, match="no negatives"):
        require_judgeable(join(ill, manifest, source="p").part(Split.TEST), "p", "judge")


@pytest.mark.parametrize(
    "text",
    [
        "scan_id;mbd_probability\ntest-000;0,25\n",
        "sep=;\nscan_id;mbd_probability\nTEST-000;0.25\n",
        'scan_id,mbd_probability\n"=""test-000""",25%\n',
        "scan_id\tmbd_probability\ntest-000 \t2.5e-1\n",
    ],
)
def test_predictions_as_spreadsheets_write_them(study: Study, tmp_path: Path, text: str) -> None:
    (tmp_path / "p.csv").write_text(text, encoding="utf-16")
    rows = read_predictions(tmp_path / "p.csv")
    manifest = read_manifest(study.manifest)
    if "TEST" in text:
        with pytest.warns(TableWarning, match="scan test-000 is also written TEST-000: taken for"):
            joined = join(rows, manifest, source="p.csv")
    else:
        joined = join(rows, manifest, source="p.csv")
    part = joined.part(Split.TEST)
    assert [case.scan_id for case in part.cases] == ["test-000"]
    assert part.probabilities.tolist() == [0.25]
