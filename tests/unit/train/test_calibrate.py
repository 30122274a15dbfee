from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from bonescint.evaluate import ScoredCases
from bonescint.scan import ParameterError, PlattCalibration
from bonescint.train.finalize import figures, scored_by_margins

LINE = PlattCalibration(slope=0.7, intercept=0.2)


def test_figures_are_by_patient() -> None:
    rng = np.random.default_rng(2)
    labels = rng.random(100) < 0.4
    margins = rng.normal(labels * 1.5, 1)
    one = ScoredCases(scores=margins, positive=labels)
    four = ScoredCases(
        scores=np.tile(margins, 4), positive=np.tile(labels, 4), patients=np.arange(400) % 100
    )
    alone, copies = (
        figures(cases, calibration=LINE, operating_point=0.5, measured_on="x")
        for cases in (one, four)
    )
    for first, second in zip(alone[:3], copies[:3], strict=True):
        assert (second.low, second.high) == pytest.approx((first.low, first.high), rel=1e-9)


def test_figures_are_sklearns() -> None:
    rng = np.random.default_rng(2)
    labels = rng.random(300) < 0.4
    cases = ScoredCases(scores=rng.normal(labels * 1.5, 1), positive=labels)
    found = {
        metric.name: metric
        for metric in figures(cases, calibration=LINE, operating_point=0.5, measured_on="here")
    }
    auc = found["roc_auc_score"]
    assert auc.value == pytest.approx(roc_auc_score(labels, cases.scores))
    assert auc.low is not None
    assert auc.high is not None
    assert auc.low < auc.value < auc.high
    probabilities = 1 / (1 + np.exp(-(0.2 + 0.7 * cases.scores)))
    assert found["cross_entropy_error"].value == pytest.approx(log_loss(labels, probabilities))
    called = probabilities >= 0.5
    assert found["sensitivity_score"].value == pytest.approx((called & labels).sum() / labels.sum())


def test_logits_of_patients_become_scored_cases() -> None:
    logits = [np.array([0.5, 2.0], dtype=np.float32), np.array([1.0, -1.0], dtype=np.float32)]
    cases = scored_by_margins([*logits, *logits], [True, False] * 2, ["a", "b"] * 2)
    assert cases.scores.tolist() == [1.5, -2.0] * 2
    assert cases.patients is not None
    assert cases.patients.tolist() == [0, 1] * 2


def test_one_class_is_refused() -> None:
    with pytest.raises(ParameterError, match="both classes"):
        scored_by_margins([np.zeros(2, dtype=np.float32)], [True])
