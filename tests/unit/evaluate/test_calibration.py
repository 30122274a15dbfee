import math
from itertools import pairwise

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss

from bonescint.evaluate.bootstrap import Resampling
from bonescint.evaluate.calibration import (
    bin_numbers,
    brier_error,
    brier_parts,
    calibration_line,
    decision_curve,
    reliability_curve,
)
from bonescint.evaluate.logistic import fit_logistic, margins
from bonescint.evaluate.scored import ScoredCases
from bonescint.intervals import share
from bonescint.scan import ParameterError


def _cases(seed: int, count: int = 400, slope: float = 1.0, shift: float = 0.0) -> ScoredCases:
    rng = np.random.default_rng(seed)
    lines = rng.normal(0, 1.5, count)
    truth = np.r_[True, False, (rng.random(count) < expit(slope * lines + shift))[2:]]
    return ScoredCases(scores=expit(lines), positive=truth)


def test_brier_score_is_sklearns_and_its_interval_covers() -> None:
    cases = _cases(1)
    found = brier_error(cases)
    assert found.value == pytest.approx(brier_score_loss(cases.positive, cases.scores))
    chance = cases.scores
    expected = float((chance * (1 - chance)).mean())  # of perfectly calibrated probabilities
    held = 0
    rng = np.random.default_rng(3)
    for _ in range(500):
        drawn = brier_error(ScoredCases(scores=chance, positive=rng.random(chance.size) < chance))
        held += drawn.low <= expected <= drawn.high
    assert held / 500 > 0.93


@given(seed=st.integers(0, 5000), bins=st.integers(1, 12))
def test_parts_are_murphys_written_out_and_sum_up(seed: int, bins: int) -> None:
    cases = _cases(seed, count=80)
    found = brier_parts(cases, bins=bins, resampling=Resampling(resamples=2))
    numbers = bin_numbers(cases.scores, bins)
    base = cases.positive.mean()
    reliability = resolution = 0.0
    for number in set(numbers.tolist()):
        members = numbers == number
        observed, predicted = cases.positive[members].mean(), cases.scores[members].mean()
        reliability += members.sum() * (predicted - observed) ** 2 / 80
        resolution += members.sum() * (observed - base) ** 2 / 80
    assert found.reliability.value == pytest.approx(reliability)
    assert found.resolution.value == pytest.approx(resolution)
    assert found.uncertainty.value == pytest.approx(base * (1 - base))
    parts = found.reliability.value - found.resolution.value + found.uncertainty.value
    assert parts + found.within_bins.value == pytest.approx(found.brier.value)


def test_without_spread_in_bins_nothing_is_left_over() -> None:
    rng = np.random.default_rng(1)
    scores = rng.choice([0.1, 0.4, 0.8], 300)
    cases = ScoredCases(scores=scores, positive=rng.random(300) < scores)
    found = brier_parts(cases, bins=300, resampling=Resampling(resamples=300, stratified=False))
    assert found.within_bins.value == pytest.approx(0, abs=1e-12)
    assert found.uncertainty.low < found.uncertainty.value < found.uncertainty.high
    # A resample by hand gives the same as one by counts.
    again = Resampling(resamples=300, stratified=False)
    by_hand = []
    for draw in again.draws(cases.positive, None):
        times = np.zeros(300, dtype=int)
        times[cases.positive], times[~cases.positive] = draw
        by_hand.append(brier_score_loss(np.repeat(cases.positive, times), np.repeat(scores, times)))
    assert found.brier.low == pytest.approx(np.percentile(by_hand, 2.5))
    assert found.brier.high == pytest.approx(np.percentile(by_hand, 97.5))


def test_a_bin_without_any_error_counts_too() -> None:
    truth = np.arange(20) >= 13
    scores = np.where(np.arange(20) < 10, 0.0, 0.8)
    cases = ScoredCases(scores=scores, positive=truth)
    found = brier_parts(cases, bins=2, resampling=Resampling(resamples=2))
    assert found.brier.value == pytest.approx(brier_score_loss(truth, scores))
    assert found.uncertainty.value == pytest.approx(0.35 * 0.65)
    assert found.reliability.value == pytest.approx(0.5 * 0.1**2)


@given(seed=st.integers(0, 2000))
def test_line_is_statsmodels(seed: int) -> None:
    cases = _cases(seed, count=150, slope=0.7, shift=0.4)
    found = calibration_line(cases)
    lines = logit(cases.scores)
    truth = cases.positive.astype(float)
    both = sm.Logit(truth, sm.add_constant(lines)).fit(disp=0)
    for ours, term in ((found.intercept, 0), (found.slope, 1)):
        assert ours.value == pytest.approx(both.params[term], abs=1e-5)
        assert (ours.low, ours.high) == pytest.approx(tuple(both.conf_int()[term]), abs=1e-4)
    alone = sm.GLM(truth, np.ones(150), family=sm.families.Binomial(), offset=lines).fit()
    assert found.in_the_large.value == pytest.approx(alone.params[0], abs=1e-5)
    low, high = alone.conf_int()[0]
    assert (found.in_the_large.low, found.in_the_large.high) == pytest.approx((low, high), abs=1e-4)


def test_scores_that_hardly_differ_have_a_line_too() -> None:
    """Logits squeezed a hundred thousand times: the slope grows as much, by algebra."""
    cases = _cases(5, count=200, slope=0.7, shift=0.4)
    squeezed = cases.with_scores(expit(0.3 + 1e-5 * logit(cases.scores)))
    known, found = calibration_line(cases), calibration_line(squeezed)
    for name in ("value", "low", "high"):
        assert getattr(found.slope, name) == pytest.approx(
            1e5 * getattr(known.slope, name), rel=1e-4
        )
    wanted = known.intercept.value - 0.3e5 * known.slope.value
    assert found.intercept.value == pytest.approx(wanted, rel=1e-4)


def test_a_line_that_cannot_be_told() -> None:
    apart = ScoredCases(scores=np.array([0.1, 0.2, 0.8, 0.9]), positive=np.array([0, 0, 1, 1]))
    found = calibration_line(apart)
    assert not found.slope.defined
    assert "do not overlap" in found.slope.note
    assert found.in_the_large.defined
    equal = calibration_line(ScoredCases(scores=np.full(4, 0.3), positive=apart.positive))
    assert equal.slope.note == "all scores are equal"
    assert equal.in_the_large.value == pytest.approx(logit(0.5) - logit(0.3))
    certain = ScoredCases(scores=np.array([0.0, 1.0, 0.0, 1.0]), positive=np.array([0, 1, 1, 0]))
    assert abs(calibration_line(certain).slope.value) < 1e-6


def test_penalised_fit_is_sklearns() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(4)
    terms = rng.normal(size=(200, 3))
    truth = rng.random(200) < expit(terms @ [1.0, -2.0, 0.0])
    ours = fit_logistic(
        np.column_stack([np.ones(200), terms]), truth, penalty=np.array([0.0, 1, 1, 1])
    )
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(terms, truth)
    assert ours.converged
    np.testing.assert_allclose(ours.coefficients[0], theirs.intercept_[0], atol=1e-5)
    np.testing.assert_allclose(ours.coefficients[1:], theirs.coef_[0], atol=1e-5)
    with pytest.raises(ParameterError, match="terms"):
        fit_logistic(terms * np.nan, truth)


def test_reliability_bins_hold_every_case_once() -> None:
    cases = _cases(7, count=503)
    bins = reliability_curve(cases, bins=10)
    assert sum(one.count for one in bins) == 503
    assert max(one.count for one in bins) - min(one.count for one in bins) <= 1
    assert all(a.highest < b.lowest for a, b in pairwise(bins))
    called = sum(round(one.observed.value * one.count) for one in bins)
    assert called == cases.positives
    tied = ScoredCases(scores=np.array([0.2] * 7 + [0.9]), positive=np.array([0, 1] * 4))
    assert [one.count for one in reliability_curve(tied, bins=4)] == [7, 1]
    with pytest.raises(ParameterError, match="bins"):
        bin_numbers(tied.scores, 0)


def test_net_benefit_is_counted_by_hand() -> None:
    cases = _cases(3, count=120)
    at = np.array([0.1, 0.25, 0.5, 0.9])
    curve = decision_curve(cases, at)
    for point, threshold in enumerate(at):
        calls = cases.scores >= threshold
        odds = threshold / (1 - threshold)
        each = np.where(calls & cases.positive, 1.0, 0.0) - odds * (calls & ~cases.positive)
        assert curve.model[point] == pytest.approx(each.mean())
        half = 1.959964 * each.std(ddof=1) / math.sqrt(120)
        assert curve.high[point] - curve.model[point] == pytest.approx(half, rel=1e-5)
        everybody = np.where(cases.positive, 1.0, -odds).mean()
        assert curve.everybody[point] == pytest.approx(everybody)
    with pytest.raises(ParameterError, match="thresholds"):
        decision_curve(cases, np.array([1.0]))


def test_scores_that_are_no_probabilities_are_refused() -> None:
    cases = ScoredCases(scores=np.array([0.1, 1.5]), positive=np.array([0, 1]))
    for metric in (brier_error, brier_parts, reliability_curve, calibration_line, decision_curve):
        with pytest.raises(ParameterError, match="probabilities"):
            metric(cases)


def test_documented_defaults_of_calibration() -> None:
    """Ten bins of equal numbers; 2000 resamples of all cases; intervals of 95 %."""
    cases = _cases(3, count=200)
    assert len(reliability_curve(cases)) == 10
    assert [one.count for one in reliability_curve(cases)] == [20] * 10
    assert set(bin_numbers(cases.scores).tolist()) == set(range(10))
    parts = brier_parts(cases)
    assert parts == brier_parts(
        cases, bins=10, resampling=Resampling(resamples=2000, stratified=False)
    )
    assert parts.brier.method == "percentile bootstrap, 2000 resamples of all cases"
    line = calibration_line(cases)
    for found in (brier_error(cases), parts.brier, line.slope, line.in_the_large,
                  reliability_curve(cases)[0].observed):  # fmt: skip
        assert found.level == 0.95
    assert [line.slope.method, brier_error(cases).method] == [
        "Wald", "normal, of a mean over cases, cut at 0 and 1"
    ]  # fmt: skip
    assert decision_curve(cases).thresholds.tolist() == [n / 100 for n in range(1, 100)]
    assert decision_curve(cases).level == 0.95


def test_margins_of_certainty_are_moved_inside() -> None:
    assert margins([0.0, 1.0]).tolist() == pytest.approx([logit(1e-12), logit(1 - 1e-12)])
    assert margins([0.25]).tolist() == pytest.approx([logit(0.25)])


def test_briers_interval_is_that_of_a_mean_and_ends_at_0_and_1() -> None:
    cases = _cases(3, count=90)
    squares = (cases.scores - cases.positive) ** 2
    half = 1.959964 * squares.std(ddof=1) / math.sqrt(90)
    found = brier_error(cases)
    assert (found.low, found.high) == pytest.approx((squares.mean() - half, squares.mean() + half))
    wrong = ScoredCases(scores=np.array([1.0, 1.0, 0.4]), positive=np.array([0, 0, 1]))
    assert brier_error(wrong).high == 1.0
    right = ScoredCases(scores=np.array([0.0, 0.0, 0.4]), positive=np.array([0, 0, 1]))
    assert brier_error(right).low == 0.0
    alone = brier_error(ScoredCases(scores=np.array([0.3]), positive=np.array([1])))
    assert alone.value == pytest.approx(0.49)
    assert alone.note == "one case: no interval"
    assert math.isnan(alone.low)


def test_each_bin_is_its_own_cases() -> None:
    cases = ScoredCases(
        scores=np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.9]), positive=np.array([0, 0, 1, 1, 0, 1])
    )
    low, high = reliability_curve(cases, bins=2)
    assert (low.lowest, low.highest, low.count) == (0.1, 0.3, 3)
    assert (high.lowest, high.highest, high.count) == (0.6, 0.9, 3)
    assert low.predicted == pytest.approx(0.2)
    assert high.predicted == pytest.approx(2.2 / 3)
    assert (low.observed, high.observed) == (share(1, 3), share(2, 3))
    # Few cases: bins as they come, ties together.
    assert bin_numbers(np.array([0.5]), 10).tolist() == [0]
    assert bin_numbers(np.array([0.3, 0.1, 0.3, 0.2]), 4).tolist() == [2, 0, 2, 1]


def test_parts_of_few_resamples_are_those_drawn_by_hand() -> None:
    """Bins held: each resample's parts by Murphy's formula over the bins of all cases."""
    cases = _cases(6, count=60)
    resampling = Resampling(resamples=40, stratified=False, seed=5)
    found = brier_parts(cases, bins=4, resampling=resampling)
    numbers = bin_numbers(cases.scores, 4)
    drawn = []
    for draw in resampling.draws(cases.positive, None):
        times = np.zeros(60, dtype=int)
        times[cases.positive], times[~cases.positive] = draw
        scores, truth, bins = (
            np.repeat(one, times) for one in (cases.scores, cases.positive, numbers)
        )
        base = truth.mean()
        reliability = resolution = 0.0
        for one in set(bins.tolist()):
            here = bins == one
            reliability += here.mean() * (scores[here].mean() - truth[here].mean()) ** 2
            resolution += here.mean() * (truth[here].mean() - base) ** 2
        brier = ((scores - truth) ** 2).mean()
        rest = brier - reliability + resolution - base * (1 - base)
        drawn.append([brier, reliability, resolution, base * (1 - base), rest])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    names = ("brier", "reliability", "resolution", "uncertainty", "within_bins")
    for place, name in enumerate(names):
        estimate = getattr(found, name)
        assert (estimate.low, estimate.high) == pytest.approx((low[place], high[place])), name


def test_decision_curve_of_one_case_has_no_interval() -> None:
    alone = ScoredCases(scores=np.array([0.7]), positive=np.array([1]))
    curve = decision_curve(alone, np.array([0.5, 0.8]))
    assert curve.model.tolist() == [1, 0]
    assert np.isnan(curve.low).all()
    assert curve.everybody.tolist() == [1, 1]
