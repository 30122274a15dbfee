"""Scans made worse, where they can be."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from bonescint.cohort import Manifest
from bonescint.experiment.evaluation import robustness as module
from bonescint.experiment.evaluation.robustness import (
    CONDITIONS,
    RobustnessRow,
    robustness,
    write_robustness,
)
from bonescint.model import Classifier
from bonescint.scan import Acquisition, Case, PixelUnit, Prediction, Scan, Split

_BOTH = frozenset({"anterior and posterior exchanged", "anterior view only", "posterior view only"})
_COUNTED = frozenset({"half of the counts", "a fifth of the counts"})


def _scan(number: int, *, unit: PixelUnit = PixelUnit.COUNTS, views: int = 2) -> Scan:
    image = np.random.default_rng(number).poisson(20 + 10 * (number % 2), (40, 16))
    return Scan(
        anterior=image,
        posterior=image + 1 if views == 2 else None,
        pixel_spacing_mm=None,
        unit=unit,
        scan_id=f"s{number}",
        acquisition=Acquisition(modality="NM"),
    )


class _Mean:
    """A model that finds bright scans ill; odd scans of these tests are brighter, and ill."""

    def predict(self, scan: Scan) -> Prediction:
        mean = float(np.mean([image.mean() for _, image in scan.images()]))
        return Prediction(scan_id=scan.scan_id, mbd_probability=min(mean / 100, 1.0),
                          positive=False, model_id="mean")  # fmt: skip


def _rows(scans: Sequence[Scan], monkeypatch: pytest.MonkeyPatch) -> Mapping[str, RobustnessRow]:
    stored = {scan.scan_id: scan for scan in scans}
    monkeypatch.setattr(module, "read", lambda path: stored[path.name])
    cases = [
        Case(scan_id=name, patient_id=name, centre="A", split=Split.TEST,
             positive=bool(int(name[1:]) % 2), file=name)
        for name in stored
    ]  # fmt: skip
    cohort = Manifest(cases=tuple(cases), folder=Path("cohort"))
    rows = robustness(cast("Classifier", _Mean()), cohort, cases, threshold=0.25)
    return {row.words: row for row in rows}


def test_scans_in_counts_with_both_views_take_every_condition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = _rows([_scan(n) for n in range(12)], monkeypatch)
    assert len(rows) == 1 + len(CONDITIONS)
    assert all(row.scans == 12 and row.area.defined for row in rows.values())
    assert rows["half of the counts"].called_negative == 0.5  # the bright half
    assert rows["as they are"].difference is None


def test_pictures_have_no_figures_with_fewer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows([_scan(n, unit=PixelUnit.INTENSITY) for n in range(12)], monkeypatch)
    for words, row in rows.items():
        assert (row.scans == 0) == (words in _COUNTED), words
        assert row.area.defined == (words not in _COUNTED), words
    assert rows["half of the counts"].difference is None


def test_one_view_can_be_blurred_and_not_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows([_scan(n, views=1) for n in range(12)], monkeypatch)
    for words, row in rows.items():
        assert row.scans == (0 if words in _BOTH else 12), words
    assert rows["half of the counts"].called_negative == 0.5


def test_of_a_mixture_only_those_are_judged_that_were_made_worse(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    units = [PixelUnit.COUNTS] * 8 + [PixelUnit.INTENSITY] * 4
    scans = [_scan(n, unit=unit, views=2 if n else 1) for n, unit in enumerate(units)]
    rows = _rows(scans, monkeypatch)
    alone = _rows(scans[:8], monkeypatch)
    half = "half of the counts"
    assert rows[half].scans == 8
    assert rows[half].called_negative == alone[half].called_negative == 0.5
    first, second = rows[half].difference, alone[half].difference
    assert first is not None
    assert second is not None
    assert (first.first, first.second) == (second.first, second.second)
    assert rows["anterior view only"].scans == 11
    write_robustness(tuple(rows.values()), tmp_path / "robustness.csv", 12)
    table = _table(tmp_path)
    assert table["half of the counts (8 of 12 scans)"]["scans"] == "8"
    assert table["as they are"]["scans"] == "12"


def test_the_table_says_what_was_not_possible(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scans = [_scan(n, unit=PixelUnit.INTENSITY if n else PixelUnit.COUNTS) for n in range(12)]
    write_robustness(tuple(_rows(scans, monkeypatch).values()), tmp_path / "robustness.csv", 12)
    one = _table(tmp_path)["half of the counts (1 of 12 scans, one class only)"]
    assert math.isnan(float(one["roc_auc"]))
    scans = [_scan(n, unit=PixelUnit.INTENSITY) for n in range(12)]
    write_robustness(tuple(_rows(scans, monkeypatch).values()), tmp_path / "robustness.csv", 12)
    none = _table(tmp_path)["half of the counts (not possible for these scans)"]
    assert none["scans"] == "0"
    assert math.isnan(float(none["roc_auc"]))
    assert none["difference"] == none["called_negative"] == ""


def _table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "robustness.csv").open(newline="", encoding="utf-8") as stream:
        return {row["condition"]: row for row in csv.DictReader(stream)}
