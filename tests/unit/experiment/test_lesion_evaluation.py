"""Foci and indices of `bonescint quantify` against the truth of a cohort."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bonescint.cohort import read_manifest, truth_of, write_manifest, write_mask
from bonescint.evaluate import Resampling
from bonescint.experiment import EvaluationSettings, evaluate
from bonescint.experiment.evaluation.results import read_result
from bonescint.scan import Case, FocusKind, InputError, View

from .conftest import COLUMNS, ROWS, Study

_FEW = EvaluationSettings(resampling=Resampling(resamples=30), threshold=0.5)


def _view(view: View, row: int, column: int, *, wide: int = 5) -> dict[str, Any]:
    half = wide // 2
    return {
        "view": view.value,
        "row": row,
        "column": column,
        "outline": {"top": row - half, "left": column - half, "rows": ["#" * wide] * wide},
    }


def _quantified(study: Study, case: Case, number: int) -> dict[str, Any]:
    """The true outline of every second metastasis, and a focus on the mimic of every scan."""
    truth = truth_of(read_manifest(study.manifest), case)
    assert truth is not None
    places = [of for of in truth.foci if of.kind is FocusKind.METASTASIS]
    foci = [
        {"number": 1, "probability": 0.3, "views": [_view(View.ANTERIOR, 50, 6)]},
        {"number": 2, "probability": 0.1, "views": [_view(View.POSTERIOR, 4, 2, wide=3)]},
    ]
    if places and number % 4 == 0:
        views = [_view(of.view, round(of.row), round(of.column)) for of in places]
        foci.append({"number": 3, "probability": 0.9, "views": views})
    return {
        "schema_version": 1,
        "scan_id": case.scan_id,
        "shape": [ROWS, COLUMNS],
        "pixel_spacing_mm": [10.0, 10.0],
        "regions": {view.value: {} for view in View},
        "foci": foci,
        "bone_scan_index": {"percent": 0.2, "low": 0.0, "high": 0.5},
    }


@pytest.fixture(scope="module")
def quantified(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    scans = [
        _quantified(study, case, number)
        for number, case in enumerate(case for case in study.cases if case.split == "test")
    ]
    path = tmp_path_factory.mktemp("quantified") / "results.json"
    content = {"made_by": "bonescint quantify", "bone_masses": "spiers", "scans": scans}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_foci_are_judged_and_the_report_says_so(
    study: Study, quantified: Path, tmp_path: Path
) -> None:
    result = evaluate(
        study.predictions, study.manifest, tmp_path, settings=_FEW, lesions=quantified
    )
    found = result.lesions
    assert found is not None
    assert (found.metastases, len(found.scans)) == (30, 60)
    assert found.bands[0].measures[0].counted == "15/30"  # every second one, before any mimic
    assert found.curve.found.max() == 0.5
    assert found.curve.false_marks.max() == 2.0  # the mimic, and the focus on nothing
    area, dice, right = (one.estimate.value for one in found.measures)
    assert (area, dice, right) == (1.0, 1.0, 1.0)
    # No files: the 30 scans without metastases alone have a reference, and it is 0.
    assert [one.reference for one in found.pairs] == [0.0] * 30
    assert "30 scans with metastases are missing" in " ".join(found.notes)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Foci and Bone Scan Index" in page
    assert "results.json" in page
    with (tmp_path / "tables" / "found_foci.csv").open(encoding="utf-8") as stream:
        shows = [row["shows"] for row in csv.DictReader(stream)]
    assert {name: shows.count(name) for name in set(shows)} == {
        "metastasis": 15,
        "benign lesion": 60,
        "neither": 60,
    }
    for name in ("focus_free_response", "focus_sensitivity", "bone_scan_index"):
        assert (tmp_path / "figures" / f"{name}.png").is_file()
    again = read_result(tmp_path / "evaluation.json")
    assert again.lesions is not None
    assert again.lesions.bands == found.bands
    assert again.lesions.scans == found.scans


def test_no_patient_is_named_in_the_result(study: Study, quantified: Path, tmp_path: Path) -> None:
    """A manifest that was made by hand may have real identifiers."""
    found = evaluate(
        study.predictions, study.manifest, tmp_path, settings=_FEW, lesions=quantified,
        maps=study.maps,
    )  # fmt: skip
    assert found.saliency is not None
    assert found.lesions is not None
    number = {scan.scan_id: scan.patient for scan in found.scans}
    for of_scans in (found.saliency.lesions, found.lesions.scans, found.lesions.pairs):
        assert of_scans
        assert all(one.patient == number[one.scan_id] for one in of_scans)
    text = (tmp_path / "evaluation.json").read_text(encoding="utf-8")
    assert [case.patient_id for case in study.cases if case.patient_id in text] == []


def test_physicians_masks_are_lesions_of_each_view(
    study: Study, quantified: Path, tmp_path: Path
) -> None:
    manifest, cases = read_manifest(study.manifest), []
    for case in manifest.cases:
        truth = truth_of(manifest, case)
        assert truth is not None
        drawn = replace(case, truth="")
        if case.positive and case.split == "test":
            for view in View:
                write_mask(truth.masks[view], tmp_path / f"{case.scan_id}-{view}.png")
            drawn = replace(
                drawn,
                mask_anterior=f"{case.scan_id}-anterior.png",
                mask_posterior=f"{case.scan_id}-posterior.png",
            )
        cases.append(drawn)
    write_manifest(cases, tmp_path / "manifest.csv")
    result = evaluate(
        study.predictions,
        tmp_path / "manifest.csv",
        tmp_path / "report",
        settings=_FEW,
        lesions=quantified,
    )
    assert result.lesions is not None
    assert result.lesions.metastases == 60
    assert result.lesions.bands[0].measures[0].counted == "30/60"
    assert [band.name for band in result.lesions.bands] == ["all"]
    assert result.lesions.measures[0].estimate.note == "no focus is on a benign lesion"
    assert "counted in each view" in " ".join(result.lesions.notes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content | {"made_by": "bonescint classify"}, "Give results.json of"),
        (lambda _: {"results": []}, "not results of bonescint quantify"),
        (
            lambda content: content | {"scans": [{"scan_id": "x"}]},
            "scans.0.: has no .schema_version.",
        ),
        (lambda content: content | {"scans": []}, "has none of the 60 scans of the test split"),
    ],
)
def test_what_is_missing_is_said(
    change: Any, says: str, study: Study, quantified: Path, tmp_path: Path
) -> None:
    content = change(json.loads(quantified.read_text(encoding="utf-8")))
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=says):
        evaluate(study.predictions, study.manifest, tmp_path / "r", settings=_FEW, lesions=other)


def test_a_cohort_without_masks_is_refused(study: Study, quantified: Path, tmp_path: Path) -> None:
    cases = [replace(case, truth="") for case in read_manifest(study.manifest).cases]
    write_manifest(cases, tmp_path / "manifest.csv")
    with pytest.raises(InputError, match="no quantified scan of the test split has masks"):
        evaluate(
            study.predictions,
            tmp_path / "manifest.csv",
            tmp_path / "report",
            settings=_FEW,
            lesions=quantified,
        )
