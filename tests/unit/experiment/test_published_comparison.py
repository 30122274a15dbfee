"""A model on as many scans as readers saw, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from bonescint.evaluate import ScoredCases, roc_auc_score
from bonescint.experiment.report.published_comparison import subset_figures


def _binormal(count: int, distance: float) -> ScoredCases:
    rng = np.random.default_rng(7)
    positive = np.arange(count) % 2 == 0
    return ScoredCases(scores=rng.normal(np.where(positive, distance, 0), 1), positive=positive)


def test_median_and_spread_are_those_of_the_area() -> None:
    cases = _binormal(4000, 1.5)
    found = subset_figures(cases, 0.75, scans=4000, resamples=400)
    area = roc_auc_score(cases)
    assert found.scans == 4000
    assert found.median == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.02)
    assert area.low is not None
    # DeLong's interval is 3.92 standard errors wide, the middle half of a normal law 1.35.
    expected = (area.high - area.low) / 3.92 * 1.349
    assert found.interquartile_range == pytest.approx(expected, rel=0.2)
    # At equal shares and the middle threshold, F1 is the sensitivity of the binormal model.
    assert found.f1 == pytest.approx(norm.cdf(0.75), abs=0.02)


def test_the_part_is_the_same_for_every_model() -> None:
    cases = _binormal(1000, 1.0)
    marked = cases.with_scores(np.arange(1000.0))
    first = subset_figures(marked, 0.0, scans=134, resamples=50)
    assert first == subset_figures(marked, 0.0, scans=134, resamples=50)
    assert first.scans == 134
    assert subset_figures(_binormal(40, 1.0), 0.0, scans=134, resamples=50).scans == 40
