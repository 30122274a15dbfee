"""Calls of a study, counted as they were given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bonescint.cohort import Manifest
from bonescint.experiment.evaluation.data import read_maps
from bonescint.experiment.report.experiment_sections import uncertain_section
from bonescint.experiment.report.saliency_sections import paired_share
from bonescint.model import shipped_model
from bonescint.scan import Case, Prediction, Split


def _cohort(folder: Path) -> Manifest:
    return Manifest(
        cases=tuple(
            Case(scan_id=f"s{n}", patient_id=f"p{n}", centre="C", split=Split.TEST,
                 positive=n % 2 == 0)
            for n in range(6)
        ),
        folder=folder,
    )  # fmt: skip


def test_calls_that_differ_in_the_eighth_place_only_are_counted_as_given(tmp_path: Path) -> None:
    """A collapsed model: to six places, as in the CSV file, all its answers are one."""
    answers = [
        Prediction(scan_id=f"s{n}", mbd_probability=0.4998957 + n * 1e-8, positive=n >= 2,
                   model_id="m", ood_score=0.5)
        for n in range(6)
    ]  # fmt: skip
    results = [
        {"scan_id": one.scan_id, "shape": [4, 4], "prediction": one.to_json()} for one in answers
    ]
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"schema_version": 1, "results": results}), encoding="utf-8")
    maps = {"m": read_maps(file)}
    section = uncertain_section({"m": shipped_model()}, maps, _cohort(tmp_path))
    counted = {row[1]: row[2:4] for row in section.tables[0].rows}
    assert counted["positive"] == ("2", "2")
    assert counted["negative"] == ("1", "1")


def test_paired_shares_draw_patients_with_all_their_scans() -> None:
    """Four scans of each patient, all alike, tell no more than one."""
    once = {f"s{n}": float(n % 3 > 0) for n in range(30)}
    other = {f"s{n}": float(n % 5 == 0) for n in range(30)}
    numbers = {name: n for n, name in enumerate(once)}
    count, expected = paired_share(once, other, numbers, resamples=300)
    fourfold = [
        {f"{name}-{copy}": value for name, value in of.items() for copy in range(4)}
        for of in (once, other, numbers)
    ]
    many, found = paired_share(*fourfold, resamples=300)  # type: ignore[arg-type]
    assert (count, many) == (30, 120)
    assert found.value == expected.value
    assert found.high - found.low == pytest.approx(expected.high - expected.low, rel=0.15)
