"""One simulated study, as wanted, and what is made again of a stored one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from bonescint.cohort import (
    mixed_protocol,
    read_truth,
    regenerate_truth,
    simulate_cohort,
    simulate_study,
)
from bonescint.dicom import read
from bonescint.scan import FocusKind, InputError, ParameterError, View, ViewRule

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")


def test_a_study_is_as_wanted(tmp_path: Path) -> None:
    study = simulate_study(seed=3, primary="prostate", lesions=4, counts=0.6e6, camera="symbia")
    assert study.anatomy.patient.sex == "M"
    scan_id = study.write_scan(tmp_path / "one.dcm")
    study.write_truth(tmp_path / "one.json")
    study.write_truth(tmp_path / "one.npz")
    scan = read(tmp_path / "one.dcm")
    assert scan.scan_id == scan_id
    assert scan.acquisition.manufacturer == "SIEMENS"
    assert set(scan.acquisition.view_rules.values()) == {ViewRule.START_ANGLE}
    for view, image in study.simulated.scan.images():
        assert np.array_equal(scan.view(view), image)
    # Four metastases of 0.6 million expected counts; Poisson's deviation is 0.13 %.
    assert scan.posterior.sum() == pytest.approx(0.6e6, rel=0.01)
    truth = read_truth(tmp_path / "one.npz")
    metastases = [focus for focus in truth.foci if focus.kind is FocusKind.METASTASIS]
    assert {focus.view for focus in metastases} == set(View)
    assert len(metastases) <= 2 * 4
    content = json.loads((tmp_path / "one.json").read_text())
    assert len(content["foci"]) == len(truth.foci)
    assert content["parameters"]["patient"]["sex"] == "M"
    with np.load(tmp_path / "one.npz") as arrays:
        assert {"mimics_anterior", "mimics_posterior"} <= set(arrays)


def test_a_study_without_disease(tmp_path: Path) -> None:
    study = simulate_study(seed=5, lesions=0)
    assert not study.simulated.truth.positive
    assert "no metastasis" in study.caption


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"primary": "liver"}, "one of breast, lung, other, prostate"),
        ({"camera": "box brownie"}, "one of discovery"),
        ({"lesions": -1}, "from 0 to 500"),
        ({"lesions": 10**8}, "from 0 to 500"),
        ({"lesions": 2, "primary": ""}, "0 for a patient without cancer"),
        ({"counts": 0.0}, "from 20000"),
        ({"counts": 1e300}, "from 20000"),
        ({"counts": float("nan")}, "from 20000"),
        ({"seed": -1}, "at least 0"),
    ],
)
def test_impossible_studies_are_refused(wanted: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        simulate_study(**{"seed": 1, **wanted})  # type: ignore[arg-type]


def test_a_truth_needs_a_suffix_that_is_known(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"\.npz or \.json"):
        simulate_study(seed=1).write_truth(tmp_path / "truth.txt")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    simulate_cohort(folder, mixed_protocol(3), seed=6, workers=1)
    return folder


def rows(cohort: Path) -> list[dict[str, str]]:
    with (cohort / "manifest.csv").open(newline="") as table:
        return list(csv.DictReader(table))


def test_everything_fits_the_stored_scan(cohort: Path, tmp_path: Path) -> None:
    row = next(row for row in rows(cohort) if row["label"] == "1")
    regenerate_truth(cohort, row["scan_id"], tmp_path / "whole.npz")
    scan, truth = read(cohort / row["file"]), read_truth(cohort / row["truth"])
    with np.load(tmp_path / "whole.npz") as arrays:
        content = json.loads(str(arrays["json"]))
        for view, image in scan.images():
            mean = arrays[f"mean_{view.value}"]
            # Counts are Poisson around the mean: their squared distance is the mean.
            pearson = ((image - mean) ** 2)[mean > 0.5] / mean[mean > 0.5]
            assert pearson.mean() == pytest.approx(1, abs=0.05)
            assert arrays[f"bones_{view.value}"].max() < len(content["bones"])
            assert arrays[f"regions_{view.value}"].max() == 12
        assert len(content["foci"]) == len(truth.foci)
        for view in View:
            joined = np.zeros(scan.shape, dtype=bool)
            for number, focus in enumerate(content["foci"]):
                if focus["view"] == view.value and focus["kind"] == "metastasis":
                    joined |= arrays[f"focus_{number}"]
            assert np.array_equal(joined, truth.masks[view])


def test_a_changed_scan_is_found_out(cohort: Path, tmp_path: Path) -> None:
    first, second = rows(cohort)[:2]
    (cohort / first["file"]).replace(tmp_path / "kept.dcm")
    (cohort / first["file"]).write_bytes((cohort / second["file"]).read_bytes())
    try:
        with pytest.raises(InputError, match="differs from what is simulated now"):
            regenerate_truth(cohort, first["scan_id"], tmp_path / "t.npz")
    finally:
        (tmp_path / "kept.dcm").replace(cohort / first["file"])


def test_what_is_not_there_is_said(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no scan bs-0"):
        regenerate_truth(cohort, "bs-0", tmp_path / "t.npz")
    with pytest.raises(InputError, match="not a simulated cohort"):
        regenerate_truth(tmp_path, "bs-0", tmp_path / "t.npz")
