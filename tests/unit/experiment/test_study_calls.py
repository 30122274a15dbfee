"""Calls of a study, counted as they were given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bonescint.cohort import Manifest
from bonescint.experiment.paths import RunPaths
from bonescint.experiment.report.experiment_sections import uncertain_section
from bonescint.model import shipped_model
from bonescint.scan import Case, InputError, Split


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
    paths = RunPaths(root=tmp_path, manifest=tmp_path / "manifest.csv")
    paths.results("m").mkdir(parents=True)
    results = [
        {"scan_id": f"s{n}", "mbd_probability": 0.4998957 + n * 1e-8, "positive": n >= 2,
         "uncertain": False, "ood_score": 0.5}
        for n in range(6)
    ]  # fmt: skip
    (paths.results("m") / "results.json").write_text(json.dumps({"results": results}))
    section = uncertain_section({"m": shipped_model()}, paths, _cohort(tmp_path))
    counted = {row[1]: row[2:4] for row in section.tables[0].rows}
    assert counted["positive"] == ("2", "2")
    assert counted["negative"] == ("1", "1")


def test_answers_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    paths = RunPaths(root=tmp_path, manifest=tmp_path / "manifest.csv")
    with pytest.raises(InputError, match=r"results\.json: no readable answers"):
        uncertain_section({"m": shipped_model()}, paths, _cohort(tmp_path))
