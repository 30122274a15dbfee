"""The file of a result, read again."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bonescint.evaluate import Comparison, Estimate
from bonescint.experiment.evaluation.json_form import from_json, to_json
from bonescint.experiment.evaluation.results import read_result
from bonescint.scan import InputError


def test_infinity_keeps_its_sign() -> None:
    """Differences of likelihood ratios have infinite limits where few scans are resampled."""
    change = Estimate(value=0.5, low=-math.inf, high=1.0)
    one = Comparison(name="ratio", words="Likelihood ratio", first=math.inf, second=0.5,
                     difference=change, p_value=math.nan, test="b")  # fmt: skip
    text = json.dumps(to_json((one,)), allow_nan=False)
    (read,) = from_json(tuple[Comparison, ...], json.loads(text))
    assert (read.first, read.difference.low, read.difference.high) == (math.inf, -math.inf, 1.0)
    assert math.isnan(read.p_value)


def test_no_evaluation_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Run the experiment again"):
        read_result(tmp_path / "evaluation.json")


def test_an_evaluation_of_another_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps({"schema_version": 1, "tables": {}}))
    with pytest.raises(InputError, match=r"version 1 of an evaluation.*Evaluate the predictions"):
        read_result(tmp_path / "evaluation.json")
