"""Conformal thresholds against their definition, by brute force, and against the Beta law."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from bonescint.evaluate.conformal import (
    HIGH_SHARE,
    conformal_p_values,
    conformal_threshold,
    high_scores,
    highest_of_patients,
    needed_normals,
    share_threshold,
    strangers,
)
from bonescint.scan import NormalRank, ParameterError

ASKED = (0.5, 0.8, 0.9, 0.95, 0.975, 0.99)
scores = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=60)


def p_value_by_hand(score: float, normals: list[float]) -> Fraction:
    return Fraction(1 + sum(one >= score for one in normals), len(normals) + 1)


@given(normals=scores, score=st.integers(-25, 25).map(float))
def test_the_p_value_is_counted(normals: list[float], score: float) -> None:
    by_hand = p_value_by_hand(score, normals)
    assert float(conformal_p_values(score, normals)) == pytest.approx(float(by_hand), abs=1e-15)
    rank = NormalRank(higher_than=sum(one < score for one in normals), of=len(normals))
    assert rank.p_value == pytest.approx(float(by_hand), abs=1e-15)


@given(normals=scores, score=st.integers(-25, 25).map(float), asked=st.sampled_from(ASKED))
def test_called_is_what_has_a_p_value_of_at_most_alpha(
    normals: list[float], score: float, asked: float
) -> None:
    """With equal scores, too, and with numbers that binary arithmetic rounds."""
    alpha = 1 - Fraction(str(asked))
    if len(normals) < needed_normals(asked):
        with pytest.raises(ParameterError, match=f"at least {needed_normals(asked)} patients"):
            conformal_threshold(normals, asked)
        return
    found = conformal_threshold(normals, asked)
    assert (score > found.score) is (p_value_by_hand(score, normals) <= alpha)
    assert Fraction(found.rank, found.normals + 1) <= alpha
    assert sum(one > found.score for one in normals) < found.rank


@given(asked=st.sampled_from(ASKED))
def test_as_many_are_needed_as_can_give_any_call(asked: float) -> None:
    """One fewer, and even the highest score would have a p-value above alpha."""
    needed, alpha = needed_normals(asked), 1 - Fraction(str(asked))
    assert Fraction(1, needed + 1) <= alpha
    assert needed == 1 or Fraction(1, needed) > alpha


@pytest.mark.parametrize("count", [20, 60, 200])
@pytest.mark.parametrize("asked", [0.8, 0.9])
def test_departments_get_the_specificity_that_they_asked_for(count: int, asked: float) -> None:
    """4000 exchangeable departments, of scores whose distribution function is known."""
    rng = np.random.default_rng([count, round(100 * asked)])
    normals = rng.random((4000, count))  # uniform: a threshold is its own specificity
    found = [conformal_threshold(row, asked) for row in normals]
    realised = np.array([one.score for one in found])
    bound = 1 - found[0].false_alarm_rate
    assert bound >= asked - 1e-12
    error = realised.std() / np.sqrt(realised.size)
    assert realised.mean() == pytest.approx(bound, abs=4 * error)
    for part in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95):
        below = np.mean(realised < found[0].specificity_quantile(part))
        assert below == pytest.approx(part, abs=4 * np.sqrt(part * (1 - part) / 4000))


def test_a_newcomer_has_any_rank_with_the_same_probability() -> None:
    rng = np.random.default_rng(5)
    drawn = rng.standard_cauchy((20_000, 10))  # nothing is asked of the distribution
    p = np.array([float(conformal_p_values(row[0], row[1:])) for row in drawn])
    counts = np.bincount(np.rint(10 * p).astype(int), minlength=11)[1:]
    assert counts == pytest.approx(2000, abs=5 * np.sqrt(2000))


def test_equal_scores_are_called_less_not_more() -> None:
    assert conformal_threshold([0.5] * 60, 0.9).score == 0.5
    assert not (np.array([0.5]) > conformal_threshold([0.5] * 60, 0.9).score).any()


def test_a_patient_counts_once_by_the_highest_scan() -> None:
    values, patients = [0.1, 0.7, 0.3, 0.9, 0.2], ["a", "b", "a", "b", "c"]
    by_hand = {
        name: max(v for v, p in zip(values, patients, strict=True) if p == name) for name in "abc"
    }
    assert highest_of_patients(values, patients).tolist() == [by_hand[name] for name in "abc"]


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, float("nan")])
def test_a_specificity_lies_between_nothing_and_all(wrong: float) -> None:
    with pytest.raises((ParameterError, ValueError)):
        needed_normals(wrong)


def test_a_share_is_called() -> None:
    values = np.random.default_rng(2).permutation(100).astype(float)
    for share in (0.01, 0.25, 0.5, 0.99):
        assert (values > share_threshold(values, share)).sum() == round(100 * share)
    with pytest.raises(ParameterError, match="at least 10 patients"):
        share_threshold([1.0, 2.0, 3.0], 0.1)
    with pytest.raises(ParameterError, match="between 0 and 1"):
        share_threshold([1.0, 2.0, 3.0], 1.0)
    with pytest.raises(ParameterError, match="finite"):
        share_threshold([1.0, np.nan], 0.5)


NORMALS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, count: rng.normal(0.3, 1.2, count),
    "skewed": lambda rng, count: rng.gumbel(-2, 1.0, count),
    "long tails": lambda rng, count: rng.laplace(0, 1.0, count),
}


@pytest.mark.parametrize("name", sorted(NORMALS))
@pytest.mark.parametrize("count", [20, 60, 200])
def test_normals_alone_raise_no_alarm(name: str, count: int) -> None:
    rng = np.random.default_rng(3)
    alarms = sum(high_scores(NORMALS[name](rng, count)).suspicious for _ in range(1000))
    assert alarms <= 20  # one in 100 is stated; 20 of 1000 have a chance below one in 400


@pytest.mark.parametrize("name", sorted(NORMALS))
def test_one_in_five_with_obvious_disease_is_noticed(name: str) -> None:
    rng = np.random.default_rng(4)
    noticed = 0
    for _ in range(200):
        well = NORMALS[name](rng, 48)
        ill = np.median(well) + rng.normal(6.5, 1.0, 12)
        noticed += high_scores(np.concatenate([well, ill])).suspicious
    assert noticed >= 195


def test_it_is_a_binomial_test_of_the_high_ones_named_in_order() -> None:
    logits = np.array([0.0] * 50 + [9.0, 5.0, 7.0, 4.5])
    found = high_scores(logits)
    assert found.places.tolist() == [50, 52, 51, 53]
    wanted = binomtest(4, 54, HIGH_SHARE, alternative="greater").pvalue
    assert found.p_value == pytest.approx(wanted)
    assert high_scores(np.zeros(10)).p_value == 1
    assert high_scores(logits + 3).p_value == found.p_value, "another camera moves all scores"


def test_scans_of_another_kind_stand_out() -> None:
    rng = np.random.default_rng(6)
    usual = 6 * np.exp(rng.normal(0, 0.15, 60))
    assert strangers(usual).size == 0
    assert strangers([*usual, 40.0, 25.0]).tolist() == [60, 61]
    assert strangers([np.inf, *usual]).tolist() == [0]
    assert strangers([]).size == 0


def test_scores_must_be_numbers() -> None:
    for wrong in ([], [np.nan], [[1.0]]):
        with pytest.raises(ParameterError):
            high_scores(wrong)
