import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import average_precision_score, confusion_matrix, f1_score, roc_auc_score

from bonescint.evaluate.bootstrap import Resampling, SortedCases, percentiles
from bonescint.evaluate.resampled import resampled
from bonescint.evaluate.scored import ScoredCases
from bonescint.scan import ParameterError


@given(seed=st.integers(0, 5000), levels=st.sampled_from([3, 8, 1000]), whole=st.booleans())
def test_figures_of_resamples_are_those_of_repeated_cases(
    seed: int, levels: int, whole: bool
) -> None:
    rng = np.random.default_rng(seed)
    truth = np.r_[True, False, rng.random(38) < 0.5]
    cases = ScoredCases(scores=rng.integers(0, levels, 40) / levels, positive=truth)
    threshold = float(rng.random())
    resampling = Resampling(resamples=5, seed=seed, stratified=not whole)
    found = resampled(cases, threshold, resampling)
    for row, draw in zip(found.drawn, resampling.draws(truth, None), strict=True):
        times = np.zeros(40, dtype=int)
        times[truth], times[~truth] = draw
        scores, labels = np.repeat(cases.scores, times), np.repeat(truth, times)
        assert labels.size == 40
        if labels.all() or not labels.any():
            assert math.isnan(row[0])
            continue
        (tn, fp), (fn, tp) = confusion_matrix(labels, scores >= threshold, labels=[0, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = [
                roc_auc_score(labels, scores),
                average_precision_score(labels, scores),
                tp / (tp + fn), tn / (tn + fp), tp / np.float64(tp + fp), tn / np.float64(tn + fn),
                (tp + tn) / 40, f1_score(labels, scores >= threshold, zero_division=0),
                tp / (tp + fn) / (fp / np.float64(tn + fp)),
                fn / (tp + fn) / (tn / np.float64(tn + fp)),
            ]  # fmt: skip
        np.testing.assert_allclose(row, expected, rtol=1e-9, atol=1e-12)


def test_the_same_seed_gives_the_same_intervals_and_another_does_not() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(80) < 0.5
    cases = ScoredCases(scores=rng.normal(truth), positive=truth)
    first, again, other = (
        resampled(cases, 0.5, Resampling(resamples=50, seed=seed)).drawn for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_stratified_resamples_of_a_share_are_binomial() -> None:
    rng = np.random.default_rng(2)
    truth = np.repeat([True, False], [50, 70])
    cases = ScoredCases(scores=rng.normal(truth), positive=truth)
    found = resampled(cases, 0.5, Resampling(resamples=4000)).measures[2].estimate
    low, high = binom.ppf([0.025, 0.975], 50, found.value) / 50
    assert found.low == pytest.approx(low, abs=0.021)
    assert found.high == pytest.approx(high, abs=0.021)


def test_stratified_keeps_prevalence_and_the_papers_way_does_not() -> None:
    truth = np.repeat([True, False], [30, 70])
    kept = {int(draw.positive.sum()) for draw in Resampling(resamples=20).draws(truth, None)}
    paper = Resampling(resamples=100, stratified=False)
    drawn = [int(draw.positive.sum()) for draw in paper.draws(truth, None)]
    assert kept == {30}
    assert np.mean(drawn) == pytest.approx(30, abs=2)
    assert np.std(drawn) == pytest.approx(math.sqrt(21), rel=0.25)


def test_patients_are_drawn_with_all_their_scans() -> None:
    patients = np.array([7, 7, 8, 8, 9, 3, 3, 4])
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 1], dtype=bool)
    for draw in Resampling(resamples=50).draws(truth, patients):
        times = np.zeros(8, dtype=int)
        times[truth], times[~truth] = draw
        assert times[0] == times[1]
        assert times[2] == times[3] == 1  # the only patient with both kinds of scan
        assert times[5] == times[6]
        assert times[0] + times[7] == 2  # patients with positive scans only
    # With one scan a patient, it is the usual bootstrap in distribution.
    rng = np.random.default_rng(5)
    many = rng.random(300) < 0.5
    ranked = SortedCases.of(ScoredCases(scores=rng.normal(many), positive=many))
    plain, grouped = (
        np.std(
            [
                ranked.area(ranked.sort(draw))
                for draw in Resampling(resamples=1500).draws(many, patients)
            ]
        )
        for patients in (None, np.arange(300))
    )
    assert grouped == pytest.approx(plain, rel=0.1)


def test_infinite_and_undefined_resamples() -> None:
    low, high, said = percentiles(np.array([1.0, 2.0, np.inf, np.inf, np.nan]), 0.95)
    assert low == 1
    assert math.isinf(high)
    assert "1 resample" in said
    assert percentiles(np.full(5, np.nan), 0.95)[2] == "undefined in all resamples"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"resamples": 1}, "resamples"), ({"level": 1.0}, "level"), ({"seed": -1}, "seed"),
     ({"resamples": 2.5}, "whole number")],
)  # fmt: skip
def test_settings_are_checked(wrong: dict[str, int], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        Resampling(**wrong)


def test_threshold_must_be_a_number_and_patients_must_fit() -> None:
    cases = ScoredCases(scores=np.array([1.0, 2.0]), positive=np.array([0, 1]))
    with pytest.raises(ParameterError, match="threshold"):
        resampled(cases, math.nan, Resampling())
    with pytest.raises(ParameterError, match="patients"):
        next(Resampling().draws(np.array([True, False]), np.arange(3)))
    with pytest.raises(ParameterError, match="one for each scan"):
        next(Resampling().scan_draws(2, np.arange(3)))
    assert SortedCases.of(cases).area(SortedCases.of(cases).whole) == 1
