"""Manifests, truth files and simulated cohorts on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from bonescint.cohort import (
    read_manifest,
    read_truth,
    simulate_cohort,
    simulated,
    write_manifest,
    write_truth,
)
from bonescint.scan import (
    Case,
    Focus,
    FocusKind,
    InputError,
    OutputError,
    ParameterError,
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
        ("a,p,A,train,2,f\n", "row 2: label must be 0 or 1"),
        ("a,p,A,train,0,f\nb,q,A,tain,0,f\n", "row 3: split must be one of"),
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
    )  # fmt: skip
    write_truth(truth, tmp_path / "t.npz")
    write_truth(truth, tmp_path / "u.npz")
    again = read_truth(tmp_path / "t.npz")
    assert again.foci == truth.foci
    assert np.array_equal(again.masks[View.ANTERIOR], mask)
    assert (tmp_path / "t.npz").read_bytes() == (tmp_path / "u.npz").read_bytes()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"no zip at all"])
def test_a_damaged_truth_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.npz").write_bytes(content)
    with pytest.raises(InputError, match="not a readable truth file"):
        read_truth(tmp_path / "t.npz")


@pytest.mark.parametrize(
    "wrong",
    [{"count": 0}, {"seed": -1}, {"prevalence": 1.5}, {"workers": 0}],
)
def test_impossible_cohorts_are_refused(tmp_path: Path, wrong: dict[str, float]) -> None:
    settings: dict[str, object] = {"count": 2, "seed": 1}
    with pytest.raises(ParameterError):
        simulate_cohort(tmp_path / "c", **(settings | wrong))  # type: ignore[arg-type]
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("prevalence", [0.1, 0.2, 0.25, 0.4, 0.5, 0.7])
@pytest.mark.parametrize("count", [60, 1000])
def test_every_split_has_the_cohorts_prevalence(prevalence: float, count: int) -> None:
    labels = simulated._balanced(count, 3, prevalence)
    splits = simulated._splits(labels)
    assert sum(labels) == pytest.approx(prevalence * count, abs=1)
    for split, share in simulated._SPLIT_SHARES:
        mine = [label for label, its in zip(labels, splits, strict=True) if its is split]
        assert len(mine) == pytest.approx(share * count, abs=2)
        assert sum(mine) == pytest.approx(prevalence * len(mine), abs=1.5)


def test_a_longer_cohort_begins_as_the_shorter_one() -> None:
    short, long = (simulated._balanced(count, 3, 0.3) for count in (40, 90))
    assert long[:40] == short
    assert simulated._splits(long)[:40] == simulated._splits(short)


class TestSimulated:
    """Needs the simulator's libraries."""

    pytestmark = pytest.mark.timeout(600)

    @pytest.fixture(autouse=True)
    def _libraries(self) -> None:
        pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
        pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

    def hashes(self, folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def test_same_seed_same_bytes_for_any_number_of_workers(self, tmp_path: Path) -> None:
        one = simulate_cohort(tmp_path / "one", count=4, seed=7, workers=1)
        two = simulate_cohort(tmp_path / "two", count=4, seed=7, workers=2)
        assert one.cases == two.cases
        assert self.hashes(tmp_path / "one") == self.hashes(tmp_path / "two")

    def test_goes_on_where_it_stopped(self, tmp_path: Path) -> None:
        simulate_cohort(tmp_path / "whole", count=3, seed=8, workers=1)
        done: list[int] = []

        class StopError(Exception):
            pass

        def stop(finished: int, _: int) -> None:
            done.append(finished)
            if finished == 2:
                raise StopError

        with pytest.raises(StopError):
            simulate_cohort(tmp_path / "part", count=3, seed=8, workers=1, progress=stop)
        before = (tmp_path / "part/scans/000000.dcm").stat().st_mtime_ns
        simulate_cohort(tmp_path / "part", count=3, seed=8, workers=1)
        assert (tmp_path / "part/scans/000000.dcm").stat().st_mtime_ns == before
        assert self.hashes(tmp_path / "part") == self.hashes(tmp_path / "whole")

    def test_manifest_and_files_agree(self, tmp_path: Path) -> None:
        from bonescint.dicom import read

        cohort = simulate_cohort(tmp_path, count=4, seed=9, workers=1)
        assert read_manifest(tmp_path).cases == cohort.cases
        assert sum(case.positive for case in cohort.cases) == 2
        for case in cohort.cases:
            scan = read(cohort.path(case))
            assert scan.scan_id == case.scan_id
            truth = read_truth(tmp_path / case.truth)
            assert truth.positive == case.positive
            assert truth.masks[View.ANTERIOR].shape == scan.shape
            assert truth.masks[View.ANTERIOR].any() <= case.positive

    def test_another_cohort_is_not_overwritten(self, tmp_path: Path) -> None:
        simulate_cohort(tmp_path, count=1, seed=1, workers=1)
        with pytest.raises(OutputError, match="other settings"):
            simulate_cohort(tmp_path, count=1, seed=2, workers=1)

    def test_a_place_that_cannot_be_written_is_said_first(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(OutputError, match="cannot be written"):
            simulate_cohort(tmp_path / "file" / "cohort", count=1, seed=1, workers=1)
