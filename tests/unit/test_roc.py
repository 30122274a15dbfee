"""The ROC curve and DeLong's covariance, against brute force and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bonescint.intervals import mcnemar_p
from bonescint.roc import RocCurve, covariance_of_means, structural_components
from bonescint.scan import ParameterError


@given(seed=st.integers(0, 10_000), levels=st.integers(2, 20))
def test_area_of_the_curve_is_sklearns_and_the_mean_of_either_component(
    seed: int, levels: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = np.r_[True, False, rng.random(20) < 0.5]
    scores = rng.integers(0, levels, truth.size).astype(float)
    v10, v01 = structural_components(scores[truth], scores[~truth])
    area = roc_auc_score(truth, scores)
    assert RocCurve.of(scores, truth).area == pytest.approx(area)
    assert v10.mean() == pytest.approx(area)
    assert v01.mean() == pytest.approx(area)


def test_cases_without_a_score_are_left_out_of_the_curve() -> None:
    truth = np.array([True, False, True, False])
    curve = RocCurve.of(np.array([2.0, 1.0, np.nan, 3.0]), truth)
    assert (curve.positives, curve.negatives) == (1, 2)
    assert curve.false_positive_rate.tolist() == [0.0, 0.5, 0.5, 1.0]
    with pytest.raises(ParameterError, match="both classes"):
        RocCurve.of(np.array([2.0, np.nan, 1.0, np.nan]), truth)


def test_weighted_components_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(4)
    scores = rng.integers(0, 5, (7, 3)).astype(float)
    scores[0, 0] = -np.inf
    weights = rng.random((7, 3))
    weights /= weights.sum(axis=1, keepdims=True)
    others = rng.integers(0, 5, 9).astype(float)
    kernel = np.zeros((7, 9))
    for row, column in np.ndindex(7, 9):
        for score, weight in zip(scores[row], weights[row], strict=True):
            kernel[row, column] += weight * (
                (score > others[column]) + 0.5 * (score == others[column])
            )
    v10, v01 = structural_components(scores, others, weights)
    np.testing.assert_allclose(v10, kernel.mean(axis=1))
    np.testing.assert_allclose(v01, kernel.mean(axis=0))


def test_covariance_of_means_over_the_same_cases_is_numpys() -> None:
    values = np.random.default_rng(1).normal(size=(3, 40))
    np.testing.assert_allclose(covariance_of_means(values), np.cov(values) / 40)


def test_covariance_of_means_over_shared_cases_is_unbiased() -> None:
    """30 and 40 of 50 cases, 20 of them shared: 20 / (30 x 40) times the covariance of a case."""
    rng = np.random.default_rng(2)
    has = np.zeros((2, 50), bool)
    has[0, :30], has[1, 10:] = True, True
    drawn = []
    for _ in range(4000):
        common = rng.normal(size=50)
        values = np.stack([common + rng.normal(size=50), common - rng.normal(size=50)])
        drawn.append(covariance_of_means(values, has))
    found = np.mean(drawn, axis=0)
    np.testing.assert_allclose(found, [[2 / 30, 20 / 1200], [20 / 1200, 2 / 40]], rtol=0.03)


def test_means_that_share_no_case_have_no_covariance_and_one_case_no_variance() -> None:
    has = np.array([[True, True, False, False], [False, False, True, False]])
    found = covariance_of_means(np.arange(8.0).reshape(2, 4), has)
    assert found[0, 1] == found[1, 0] == 0
    assert found[0, 0] == pytest.approx(0.25)
    assert math.isnan(found[1, 1])


@given(one=st.integers(0, 12), other=st.integers(0, 12))
def test_mcnemars_p_is_the_sum_over_all_outcomes_as_unlikely(one: int, other: int) -> None:
    differing = one + other
    chances = [math.comb(differing, k) / 2**differing for k in range(differing + 1)]
    expected = sum(chance for chance in chances if chance <= chances[one] * (1 + 1e-9))
    assert mcnemar_p(one, other) == pytest.approx(expected)
