import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import average_precision_score, confusion_matrix, f1_score, roc_auc_score

from bonescint.evaluate.bootstrap import Resampling, SortedCases, percentiles, resampled
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
    assert said == "undefined in 1 resamples; infinite in 2 resamples: an end cannot be estimated"
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


def test_documented_defaults_and_limits() -> None:
    assert (
        Resampling().resamples, Resampling().stratified, Resampling().level, Resampling().seed
    ) == (2000, True, 0.95, 1)  # fmt: skip
    for values in ({"resamples": 2}, {"resamples": 1_000_000}, {"seed": 0}, {"seed": 2**63},
                   {"level": 0.5}, {"level": 0.9999}):  # fmt: skip
        Resampling(**values)
    for values, name in (
        ({"resamples": 1}, "resamples"), ({"resamples": 1_000_001}, "resamples"),
        ({"seed": -1}, "seed"), ({"seed": 2**63 + 1}, "seed"),
        ({"level": 0.4999}, "level"), ({"level": 0.99991}, "level"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=name):
            Resampling(**values)
    assert Resampling().method == "percentile bootstrap, 2000 resamples by class"
    paper = Resampling(resamples=100, stratified=False)
    assert paper.method == "percentile bootstrap, 100 resamples of all cases"


def test_resamples_without_positives_are_left_out_and_counted() -> None:
    """One positive of four cases, all drawn together: (3/4)^4 of the resamples have none."""
    cases = ScoredCases(scores=[0.2, 0.4, 0.3, 0.9], positive=[0, 0, 0, 1])
    found = resampled(cases, 0.5, Resampling(resamples=4000, stratified=False))
    area = found.measures[0].estimate
    lost = int(np.isnan(found.drawn[:, 0]).sum())
    # None with disease, or none without: (3/4)^4 + (1/4)^4.
    assert lost / 4000 == pytest.approx(81 / 256 + 1 / 256, abs=0.02)
    assert area.note == f"undefined in {lost} resamples"
    assert (area.value, area.low, area.high) == (1, 1, 1)
    precision = found.measures[1].estimate
    none = int((np.isnan(found.drawn[:, 1])).sum())
    assert precision.note == f"undefined in {none} resamples"
    assert none / 4000 == pytest.approx(81 / 256, abs=0.02)
    by_class = resampled(cases, 0.5, Resampling(resamples=100)).measures[0].estimate
    assert by_class.note == ""


def test_percentiles_are_numpys_at_both_ends() -> None:
    values = np.random.default_rng(1).normal(size=999)
    for level in (0.5, 0.9, 0.95):
        low, high, said = percentiles(values, level)
        assert low == pytest.approx(np.quantile(values, (1 - level) / 2))
        assert high == pytest.approx(np.quantile(values, (1 + level) / 2))
        assert said == ""
    assert percentiles(np.array([np.nan, 2.0, 5.0]), 0.5)[2] == "undefined in 1 resamples"
    alone = percentiles(np.array([np.nan, 2.0]), 0.95)
    assert math.isnan(alone[0])
    assert math.isnan(alone[1])
    assert alone[2] == "undefined in all resamples"
    # Infinite ones: the nearest, as nothing lies between.
    low, high, _ = percentiles(np.array([1.0, np.inf, 3.0, 2.0]), 0.5)
    assert (low, high) == (2, 3)


def test_an_estimate_says_all_that_has_to_be_known() -> None:
    found = Resampling(resamples=2, level=0.9).estimate(0.4, np.array([0.2, np.nan, 0.6]), "few")
    assert found.note == "few; undefined in 1 resamples"
    assert found.value == 0.4
    assert (found.low, found.high) == pytest.approx((0.22, 0.58))
    assert found.level == 0.9
    assert found.method == "percentile bootstrap, 2 resamples by class"


def test_sorted_cases_know_ties_and_calls() -> None:
    cases = ScoredCases(scores=[0.5, 0.5, 0.2, 0.5, 0.9], positive=[1, 0, 0, 1, 1])
    ranked = SortedCases.of(cases)
    assert ranked.positive_scores.tolist() == [0.5, 0.5, 0.9]
    assert ranked.negative_scores.tolist() == [0.2, 0.5]
    assert ranked.below.tolist() == [1, 1, 2]
    assert ranked.not_above.tolist() == [2, 2, 2]
    assert ranked.first.tolist() == [0, 0, 2]
    assert ranked.called(ranked.whole, 0.5) == (3, 1)
    assert ranked.called(ranked.whole, 0.51) == (1, 0)
    assert ranked.called(ranked.whole, 0.0) == (3, 2)
    assert ranked.area(ranked.whole) == pytest.approx((1.5 + 1.5 + 2) / 6)
    assert [one.tolist() for one in ranked.whole] == [[1, 1, 1], [1, 1]]


def test_drawing_scans_draws_as_many_and_whole_patients() -> None:
    plain = list(Resampling(resamples=200, seed=3).scan_draws(6, None))
    assert len(plain) == 200
    assert all(one.size == 6 and set(one.tolist()) <= set(range(6)) for one in plain)
    assert len({tuple(one.tolist()) for one in plain}) > 150
    assert np.mean(plain) == pytest.approx(2.5, abs=0.2)
    patients = np.array([5, 5, 5, 9, 9, 2])
    for drawn in Resampling(resamples=50).scan_draws(6, patients):
        times = np.bincount(drawn, minlength=6)
        assert times[0] == times[1] == times[2]
        assert times[3] == times[4]
        assert times[0] + times[3] + times[5] == 3, "as many patients as there are"


def test_strata_of_patients_are_kept_and_unstratified_ones_are_not() -> None:
    patients = np.repeat(np.arange(12), 2)
    truth = np.repeat([True, False], 12)
    truth[10] = False  # patient 5 has one of each
    for draw in Resampling(resamples=30).draws(truth, patients):
        assert draw.positive.size == truth.sum()
        assert draw.negative.size == (~truth).sum()
        assert draw.positive[:10].sum() == 10, "five patients with positive scans only"
        assert draw.positive[10] == draw.negative[0] == 1
    drawn = [
        int(draw.positive.sum() + draw.negative.sum())
        for draw in Resampling(resamples=30, stratified=False).draws(truth, patients)
    ]
    assert set(drawn) == {24}
    positives = [
        int(draw.positive.sum())
        for draw in Resampling(resamples=60, stratified=False).draws(truth, patients)
    ]
    assert np.std(positives) > 1
