"""What is said of normals among which are others: how often falsely, and how often rightly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest

from bonescint.evaluate.conformal import HIGH_SHARE, high_scores, strangers
from bonescint.scan import ParameterError

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
