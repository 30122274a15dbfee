import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score as sklearn_average_precision
from sklearn.metrics import precision_recall_curve, roc_curve
from sklearn.metrics import roc_auc_score as sklearn_auc

from bonescint.evaluate.bootstrap import Resampling, SortedCases, resampled
from bonescint.evaluate.roc import (
    StructuralComponents,
    average_precision_score,
    roc_auc_score,
    roc_band,
)
from bonescint.evaluate.scored import ScoredCases
from bonescint.roc import RocCurve
from bonescint.scan import ParameterError


def _cases(seed: int, count: int = 60, levels: int = 0, effect: float = 1.2) -> ScoredCases:
    rng = np.random.default_rng(seed)
    truth = np.r_[True, False, rng.random(count - 2) < 0.4]
    scores = rng.normal(effect * truth)
    if levels:
        scores = np.round(scores * levels / 4)
    return ScoredCases(scores=scores, positive=truth)


@given(seed=st.integers(0, 10_000), levels=st.integers(0, 10))
def test_curve_and_areas_are_sklearns(seed: int, levels: int) -> None:
    cases = _cases(seed, levels=levels)
    curve = RocCurve.of(cases.scores, cases.positive)
    false, true, thresholds = roc_curve(cases.positive, cases.scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.sensitivity, true)
    np.testing.assert_allclose(1 - curve.specificity, false)
    np.testing.assert_allclose(curve.thresholds[1:], thresholds[1:])
    assert roc_auc_score(cases).value == pytest.approx(sklearn_auc(cases.positive, cases.scores))
    few = Resampling(resamples=2)
    assert average_precision_score(cases, resampling=few).value == pytest.approx(
        sklearn_average_precision(cases.positive, cases.scores)
    )
    precision, recall, _ = precision_recall_curve(cases.positive, cases.scores)
    np.testing.assert_allclose(curve.precision[::-1], precision)
    np.testing.assert_allclose(curve.sensitivity[::-1], recall)


def test_area_does_not_know_the_scale() -> None:
    cases = _cases(5)
    for scores in (np.exp(cases.scores), 3 * cases.scores - 7):
        assert roc_auc_score(cases.with_scores(scores)) == roc_auc_score(cases)
    turned = roc_auc_score(cases.with_scores(-cases.scores))
    assert turned.value == pytest.approx(1 - roc_auc_score(cases).value)
    assert turned.low == pytest.approx(1 - roc_auc_score(cases).high)


def test_delongs_interval_covers_and_is_like_the_bootstraps() -> None:
    true_area = 0.8023  # Phi(1.2 / sqrt 2)
    held = 0
    for seed in range(600):
        found = roc_auc_score(_cases(seed))
        held += found.low <= true_area <= found.high
    assert held / 600 == pytest.approx(0.95, abs=0.025)
    cases = _cases(3, count=400)
    ours = roc_auc_score(cases)
    by_resampling = resampled(cases, 0.0, Resampling()).measures[0].estimate
    assert by_resampling.low == pytest.approx(ours.low, abs=0.006)
    assert by_resampling.high == pytest.approx(ours.high, abs=0.006)


@pytest.mark.parametrize(
    ("scores", "area", "says"),
    [([0, 0, 1, 1], 1.0, "do not overlap"), ([1, 1, 0, 0], 0.0, "do not overlap"),
     ([1, 1, 1, 1], 0.5, "all scores are equal")],
)  # fmt: skip
def test_areas_without_a_spread(scores: list[float], area: float, says: str) -> None:
    cases = ScoredCases(scores=np.array(scores), positive=np.array([0, 0, 1, 1]))
    found = roc_auc_score(cases)
    assert found.value == area
    assert math.isnan(found.low)
    assert says in found.note


def _curve(cases: ScoredCases) -> RocCurve:
    return RocCurve.of(cases.scores, cases.positive)


def test_one_class_has_no_curve() -> None:
    cases = ScoredCases(scores=np.array([0.1, 0.2]), positive=np.array([1, 1]))
    for metric in (_curve, roc_auc_score, SortedCases.of, average_precision_score):
        with pytest.raises(ParameterError, match="both classes"):
            metric(cases)


def test_band_holds_the_curve_and_grows_with_the_level() -> None:
    cases = _cases(8, count=200)
    curve = RocCurve.of(cases.scores, cases.positive)
    wide = roc_band(cases, resampling=Resampling(resamples=200, level=0.99), points=21)
    narrow = roc_band(cases, resampling=Resampling(resamples=200, level=0.5), points=21)
    own = np.interp(wide.at, 1 - curve.specificity, curve.sensitivity)
    assert ((wide.low <= own + 1e-9) & (own <= wide.high + 1e-9)).all()
    assert ((wide.high - wide.low) >= (narrow.high - narrow.low) - 1e-9).all()
    assert wide.high[-1] == 1


def test_band_is_that_of_resampled_curves_drawn_by_hand() -> None:
    cases = _cases(2, count=40)
    resampling = Resampling(resamples=60, seed=4)
    band = roc_band(cases, resampling=resampling, points=11)
    by_hand = []
    for draw in resampling.draws(cases.positive, None):
        scores = np.r_[np.repeat(cases.scores[cases.positive], draw.positive),
                       np.repeat(cases.scores[~cases.positive], draw.negative)]  # fmt: skip
        truth = np.r_[np.ones(draw.positive.sum()), np.zeros(draw.negative.sum())]
        false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
        by_hand.append(np.interp(band.at, false, true))
    np.testing.assert_allclose(band.low, np.percentile(by_hand, 2.5, axis=0), atol=1e-12)
    np.testing.assert_allclose(band.high, np.percentile(by_hand, 97.5, axis=0), atol=1e-12)


def test_resamples_of_one_class_have_no_curve() -> None:
    """One positive, all cases drawn together: draws without it are left out of the band."""
    cases = ScoredCases(scores=np.array([0.1, 0.6, 0.3, 0.5]), positive=np.array([0, 0, 0, 1]))
    resampling = Resampling(resamples=80, stratified=False, seed=2)
    band = roc_band(cases, resampling=resampling, points=5)
    by_hand = []
    for draw in resampling.draws(cases.positive, None):
        if draw.positive.sum() and draw.negative.sum():
            scores = np.r_[np.repeat(0.5, draw.positive.sum()),
                           np.repeat(cases.scores[:3], draw.negative)]  # fmt: skip
            truth = np.r_[np.ones(draw.positive.sum()), np.zeros(draw.negative.sum())]
            false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
            by_hand.append(np.interp(band.at, false, true))
    assert 0 < len(by_hand) < 80
    np.testing.assert_allclose(band.low, np.percentile(by_hand, 2.5, axis=0), atol=1e-12)
    np.testing.assert_allclose(band.high, np.percentile(by_hand, 97.5, axis=0), atol=1e-12)


def test_documented_defaults_and_limits_of_curves() -> None:
    cases = _cases(4, count=40)
    assert roc_band(cases, resampling=Resampling(resamples=2)).at.tolist() == pytest.approx(
        [n / 100 for n in range(101)]
    )
    assert roc_band(cases, resampling=Resampling(resamples=2), points=2).at.tolist() == [0, 1]
    for points in (1, 0):
        with pytest.raises(ParameterError, match="points"):
            roc_band(cases, resampling=Resampling(resamples=2), points=points)
    found = average_precision_score(cases)
    assert found == average_precision_score(cases, resampling=Resampling(resamples=2000))
    assert found.method == "percentile bootstrap, 2000 resamples by class"
    assert roc_auc_score(cases).level == 0.95
    assert roc_auc_score(cases).method == "DeLong, on the logit"
    wide, narrow = (roc_auc_score(cases, level=level) for level in (0.99, 0.8))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_intervals_on_the_logit_are_written_out() -> None:
    cases = _cases(6, count=50)
    found = roc_auc_score(cases)
    variance = StructuralComponents.of(cases.scores, cases.positive).covariance[0, 0]
    middle = np.log(found.value / (1 - found.value))
    half = 1.959964 * np.sqrt(variance) / (found.value * (1 - found.value))
    ends = [1 / (1 + np.exp(-end)) for end in (middle - half, middle + half)]
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    scores = np.r_[np.linspace(0, 1, 30), np.linspace(0.97, 2, 30)]
    near = roc_auc_score(ScoredCases(scores=scores, positive=np.repeat([0, 1], 30)))
    assert 0.99 < near.value < near.high <= 1


def test_one_case_of_a_class_has_an_area_only() -> None:
    cases = ScoredCases(scores=np.array([0.1, 0.7, 0.5]), positive=np.array([0, 0, 1]))
    found = roc_auc_score(cases)
    assert found.value == 0.5
    assert found.note == "a class has one case: no interval"
    assert math.isnan(found.low)
