"""Comparisons of cohorts on disk: sources, bad input, patients, workers, models, interruptions."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from tests.support.archive import SURNAME, another, put, put_pair

from bonescint.cohort import write_manifest
from bonescint.cohort.compare import (
    CohortComparison,
    Scorer,
    compare_cohorts,
    read_normal_database,
)
from bonescint.cohort.compare.maps import PREPROCESSING, reduced
from bonescint.cohort.compare.measuring import patients_of, without_placeholder_ids
from bonescint.dicom import read, write_nm
from bonescint.prepare import PreparedScan, prepare, preprocessing_named
from bonescint.scan import Case, InputError, OutputError, Prediction, Scan, Split

COUNT = 22


def blurred(scan: Scan) -> Scan:
    """The same from a camera that sees less sharply."""
    anterior, posterior = (
        np.rint(ndimage.gaussian_filter(image, 5.0)) for image in (scan.anterior, scan.posterior)
    )
    return replace(scan, anterior=anterior, posterior=posterior)


def case(number: int, **changes: Any) -> Case:
    given: dict[str, Any] = {
        "scan_id": f"s{number}", "patient_id": f"p{number}", "centre": "A", "split": Split.TEST,
        "positive": False, "file": f"{number}.dcm",
    } | changes  # fmt: skip
    return Case(**given)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans with a manifest; the last one is positive."""
    folder = tmp_path_factory.mktemp("ours")
    for number in range(COUNT):
        write_nm(another(number), folder / f"{number}.dcm")
    cases = [case(number, positive=number == COUNT - 1) for number in range(COUNT)]
    write_manifest(cases, folder / "manifest.csv")
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blurred scans in a plain folder, with names in their headers."""
    folder = tmp_path_factory.mktemp("theirs")
    for number in range(12):
        put(blurred(another(100 + number)), folder / f"{number:02}.dcm", patient=f"P{number}")
    return folder


@pytest.fixture(scope="module")
def compared(
    cohort: Path, others: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[CohortComparison, Path]:
    out = tmp_path_factory.mktemp("made")
    found = compare_cohorts(cohort, others, out / "report", save=out / "normals.npz", workers=0)
    assert isinstance(found, CohortComparison)
    return found, out


def test_maps_are_those_of_the_scans_read_one_by_one(
    compared: tuple[CohortComparison, Path], others: Path
) -> None:
    scans = [reduced(prepare(read(path), preprocessing_named(PREPROCESSING)).composite[0])
             for path in sorted(others.glob("*.dcm"))]  # fmt: skip
    maps = compared[0].sides[1].averages.maps
    assert np.allclose(maps.mean, np.mean(scans, axis=0), atol=1e-5)
    assert np.allclose(maps.sd, np.std(scans, axis=0), atol=1e-5)


def test_different_cohorts_are_told_apart_and_it_says_why_not_where_it_cannot(
    compared: tuple[CohortComparison, Path], others: Path, tmp_path: Path
) -> None:
    found, out = compared
    assert found.separation is not None
    assert found.separation.area.value > 0.95
    again = compare_cohorts(out / "normals.npz", others, tmp_path / "report", workers=0)
    assert isinstance(again, CohortComparison)
    assert again.separation is None
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "A is a normal database: it holds averages and no single scan" in text


def test_the_report_is_whole_and_says_whom_it_is_for(
    compared: tuple[CohortComparison, Path],
) -> None:
    report = compared[1] / "report"
    page = (report / "report.html").read_text(encoding="utf-8")
    assert page.count("Research use only") >= 2
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page
    for section in ("tells A from B", "Maps", "Landmarks", "lumbar spine", "noise and resolution"):
        assert section in page
    assert {path.name for path in report.iterdir()} == {
        "report.html", "comparison.json", "figures", "tables"
    }  # fmt: skip
    figures = sorted(path.name for path in (report / "figures").iterdir())
    assert len(figures) == 13
    for name in figures:
        with Image.open(report / "figures" / name) as picture:
            assert min(picture.size) >= 400
    with (report / "tables" / "characteristics.csv").open(encoding="utf-8") as stream:
        rows = {row["name"]: row for row in csv.DictReader(stream)}
    found = json.loads((report / "comparison.json").read_text(encoding="utf-8"))
    knee = next(one for one in found["characteristics"] if one["name"] == "knee")
    assert float(rows["knee"]["A_p50"]) == knee["A"]["p50"]
    assert float(rows["roll_off"]["B_p50"]) < float(rows["roll_off"]["A_p50"])
    assert found["sides"]["A"]["labels"] == {"positive": 1, "negative": COUNT - 1}
    assert found["sides"]["B"]["labels"] == {"without label": 12}


def test_no_name_and_no_number_of_a_patient_is_anywhere(
    compared: tuple[CohortComparison, Path],
) -> None:
    for path in compared[1].rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert SURNAME.encode() not in content
            assert b"19510203" not in content


def test_a_normal_database_is_made_of_negatives_alone(
    compared: tuple[CohortComparison, Path], cohort: Path
) -> None:
    kept = read_normal_database(compared[1] / "normals.npz")
    assert (kept.maps.scans, kept.patients) == (COUNT - 1, COUNT - 1)
    body_root = preprocessing_named(PREPROCESSING)
    scans = [
        reduced(prepare(read(cohort / f"{number}.dcm"), body_root).composite[0])
        for number in range(COUNT - 1)
    ]
    assert np.allclose(kept.maps.mean, np.mean(scans, axis=0), atol=1e-3)


def test_the_number_of_workers_changes_nothing(
    compared: tuple[CohortComparison, Path], cohort: Path, others: Path, tmp_path: Path
) -> None:
    compare_cohorts(cohort, others, tmp_path / "report", workers=2)

    def content(report: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((report / "comparison.json").read_text("utf-8"))
        del found["created"]
        return found

    assert content(tmp_path / "report") == content(compared[1] / "report")
    page = "figures/mean_difference.png"
    ours, theirs = (folder / page for folder in (tmp_path / "report", compared[1] / "report"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_scans_of_one_label_and_what_has_none(cohort: Path, others: Path, tmp_path: Path) -> None:
    found = compare_cohorts(cohort, others, None, label=False, workers=0)
    assert isinstance(found, CohortComparison)
    assert len(found.sides[0].labels) == COUNT - 1
    assert not any(found.sides[0].labels)
    assert "no labels" in " ".join(found.sides[1].notes)


def test_whatever_cannot_be_compared_is_named_and_the_rest_goes_on(
    others: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    for number in range(3):
        write_nm(another(number), folder / f"{number}.dcm")
    scan = another(7)
    write_nm(replace(scan, posterior=None), folder / "one-view.dcm")
    (folder / "cut.dcm").write_bytes((folder / "0.dcm").read_bytes()[:5000])
    put_pair(blurred(another(8)), folder, "pair")
    cases = [
        *(case(number) for number in range(3)),
        case(3, file="one-view.dcm"), case(4, file="cut.dcm"), case(5, file="nowhere.dcm"),
        case(6, file=""),
    ]  # fmt: skip
    write_manifest(cases, folder / "manifest.csv")
    with (folder / "manifest.csv").open("a", encoding="utf-8") as stream:
        stream.write("s9,p9,A,test,maybe,9.dcm,,,,\n")
    found = compare_cohorts(folder, others, tmp_path / "report", workers=1)
    assert isinstance(found, CohortComparison)
    side = found.sides[0]
    assert side.sources == ("s0", "s1", "s2")
    reasons = {one.source: one.reason for one in side.omitted}
    assert set(reasons) == {"s3", "s4", "s5", "row 8", "row 9"}
    assert "no posterior view" in reasons["s3"]
    assert "does not exist" in reasons["s5"]
    assert "label" in reasons["row 9"]
    assert found.why_not_separated == "A has 3 patients, and 10 are needed"
    with (tmp_path / "report" / "tables" / "left_out.csv").open(encoding="utf-8") as stream:
        assert {row["source"] for row in csv.DictReader(stream)} == set(reasons)


def test_folders_and_archives_of_pictures_are_sides_too(others: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for number in range(3):
        put_pair(another(number), folder, f"P{number}")
    (folder / "note.txt").write_text("no scan")
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", folder)
    found = compare_cohorts(folder, archive, None, workers=0)
    assert isinstance(found, CohortComparison)
    one, other = found.sides
    assert len(one.sources) == len(other.sources) == 3
    assert [omitted.source for omitted in one.omitted] == ["note.txt"]
    # The same pixels on both sides are the same patients.
    assert "3 patients are in A and in B" in found.warnings[0]


def test_a_database_alone_says_what_it_left_out_and_assumed(cohort: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(cohort, folder, ignore=shutil.ignore_patterns("manifest.csv"))
    put(another(90), folder / SURNAME / "1.dcm", patient="1")
    shutil.copy(folder / SURNAME / "1.dcm", folder / SURNAME / "2.dcm")
    put_pair(another(91), folder, "Q")
    side = compare_cohorts(folder, None, None, save=tmp_path / "n.npz", workers=0)
    assert [one.reason for one in side.omitted] == ["is a copy of another file"]
    said = list(side.messages())
    assert said[1] == f"A: left out {SURNAME}/2.dcm: is a copy of another file"
    assert "A: 1 scans do not say whose they are: each counts as a patient" in said


def test_a_patient_of_both_sides_is_found_by_the_header(tmp_path: Path) -> None:
    for side, first in (("a", 0), ("b", 10)):
        for number in range(first, first + 12):
            put(another(number + 50 * (side == "b")), tmp_path / side / f"{number}.dcm",
                patient=f"P{number}")  # fmt: skip
    found = compare_cohorts(tmp_path / "a", tmp_path / "b", None, workers=0)
    assert isinstance(found, CohortComparison)
    assert "2 patients are in A and in B" in found.warnings[0]
    assert len(set(found.sides[0].patients) & set(found.sides[1].patients)) == 2


def test_a_patient_id_that_all_share_is_none() -> None:
    header, notes = without_placeholder_ids(["x"] * 11 + ["y", ""])
    assert header == [""] * 11 + ["y", ""]
    assert "11 of 13 headers have the same Patient ID" in notes[0]
    assert without_placeholder_ids(["x"] * 9) == (["x"] * 9, [])
    patients, more = patients_of([""] * 13, header, [f"pixels {n}" for n in range(13)])
    assert len(set(patients)) == 13
    assert "12 scans do not say whose they are" in more[0]


def scored(prepared: PreparedScan) -> Prediction:
    level = float(prepared.composite.mean())
    return Prediction(
        scan_id=prepared.scan_id, mbd_probability=level, positive=level > 0.035, model_id="level 1",
        ood_score=level, unlike=level > 0.04,
    )  # fmt: skip


def test_a_model_scores_both_sides(cohort: Path, others: Path, tmp_path: Path) -> None:
    preprocessing = preprocessing_named("ibrahim2023")
    scorer = Scorer(model_id="level 1", preprocessing=preprocessing, predict=scored)
    found = compare_cohorts(cohort, others, tmp_path / "report", scorer=scorer, workers=1)
    assert isinstance(found, CohortComparison)
    levels = [float(prepare(read(path), preprocessing).composite.mean())
              for path in sorted(others.glob("*.dcm"))]  # fmt: skip
    side = found.scored[1]
    assert side is not None
    assert side.probabilities == pytest.approx(levels)
    assert 0 < side.unlike.value < side.positive.value < 1
    assert side.positive.value == pytest.approx(np.mean(np.array(levels) > 0.035))
    assert side.unlike.value == pytest.approx(np.mean(np.array(levels) > 0.04))
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Model level 1" in page


def test_what_is_not_ours_is_not_overwritten_and_ours_is(
    compared: tuple[CohortComparison, Path], cohort: Path, others: Path, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(OutputError, match=r"report\.html"):
        compare_cohorts(cohort, others, tmp_path, workers=0)
    assert (tmp_path / "report.html").read_text() == "mine"
    with pytest.raises(OutputError, match=r"normals\.npz: exists already"):
        compare_cohorts(cohort, None, None, save=compared[1] / "normals.npz")
    report = compared[1] / "report"
    compare_cohorts(compared[1] / "normals.npz", compared[1] / "normals.npz", report, workers=0)
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "A is a normal database" in page
    assert not (report / "figures" / "separation.png").exists()


def test_too_few_for_a_database_are_refused_before_any_scan_is_read(
    others: Path, tmp_path: Path
) -> None:
    def fail(what: str, done: int, total: int) -> None:
        assert not what.startswith("Reading")

    with pytest.raises(InputError, match=r"A has 12 scans .* at least 20"):
        compare_cohorts(others, None, None, save=tmp_path / "few.npz", progress=fail)
    maps = tmp_path / "maps.npz"
    np.savez(maps, **dict.fromkeys(("mean", "sd", "asymmetry_sd"), np.zeros((256, 256))))
    with pytest.raises(InputError, match="normal database already"):
        compare_cohorts(maps, None, None, save=tmp_path / "few.npz")
    assert not (tmp_path / "few.npz").exists()


def test_twenty_scans_of_one_patient_are_too_few(cohort: Path, tmp_path: Path) -> None:
    cases = [case(number, patient_id="p1", file=str(cohort / f"{number}.dcm"))
             for number in range(COUNT)]  # fmt: skip
    write_manifest(cases, tmp_path / "manifest.csv")
    with pytest.raises(InputError, match="A has 1 patients"):
        compare_cohorts(tmp_path, None, None, save=tmp_path / "few.npz", workers=0)
    assert not (tmp_path / "few.npz").exists()


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_without_scans_is_refused(others: Path, tmp_path: Path, side: int) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    given = [others, others]
    given[side] = empty
    with pytest.raises(InputError, match="no scan that can be compared"):
        compare_cohorts(*given, tmp_path / "report", workers=0)
    given[side] = tmp_path / "nowhere"
    with pytest.raises(InputError, match="does not exist"):
        compare_cohorts(*given, tmp_path / "report", workers=0)
    assert not (tmp_path / "report").exists()


def test_an_interruption_leaves_nothing(cohort: Path, others: Path, tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what == "Reading B" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_cohorts(
            cohort, others, tmp_path / "report", save=tmp_path / "n.npz", workers=1, progress=stop
        )
    assert list(tmp_path.iterdir()) == []


def test_progress_reaches_the_end(others: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    compare_cohorts(others, others, None, workers=0, progress=lambda *one: told.append(one))
    assert ("Reading A", 12, 12) in told
    assert ("Reading B", 12, 12) in told
