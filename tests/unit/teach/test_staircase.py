"""The threshold, against scipy's Weibull function and a posterior by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bonescint.scan import ParameterError
from bonescint.teach.staircase import FOUND, Staircase, found_probability


@given(st.floats(1.5, 100), st.floats(0.8, 6), st.floats(0.005, 0.15), st.floats(0.1, 300))
def test_the_psychometric_function_is_weibulls(
    threshold: float, slope: float, lapse: float, contrast: float
) -> None:
    assert found_probability(threshold, threshold, slope, lapse) == pytest.approx(FOUND)
    # Scale it to another ratio than the threshold: solve for the scale by scipy's quantile.
    share = (FOUND - 0.01) / (1 - 0.01 - lapse)
    scale = threshold / stats.weibull_min.ppf(share, slope)
    expected = 0.01 + (1 - 0.01 - lapse) * stats.weibull_min.cdf(contrast, slope, scale=scale)
    assert found_probability(contrast, threshold, slope, lapse) == pytest.approx(expected)


SEEN = [(40.0, True), (20.0, True), (8.0, False), (12.0, True), (10.0, False), (14.0, True)]


def test_the_posterior_is_that_of_all_combinations_one_by_one() -> None:
    """The same model written as loops, on the same grid, without steps between trials."""
    grid = np.linspace(np.log(1), np.log(300), 141)
    mass = np.zeros(len(grid))
    for at, log_threshold in enumerate(grid):
        for slope in (1.0, 1.5, 2.0, 2.75, 3.75, 5.0):
            for lapse in (0.01, 0.04, 0.08, 0.12):
                likelihood = float(stats.norm.pdf(log_threshold, np.log(12), 1.0))
                for contrast, found in SEEN:
                    chance = float(found_probability(contrast, np.exp(log_threshold), slope, lapse))
                    likelihood *= chance if found else 1 - chance
                mass[at] += likelihood
    mass /= mass.sum()
    known = Staircase.of(SEEN)
    _, found_mass = known.threshold_posterior
    # Six steps of 0.01 widen a posterior of 0.4 by less than a thousandth.
    assert found_mass == pytest.approx(mass, abs=2e-4)
    estimate = known.estimate("ribs")
    median = np.exp(np.interp(0.5, np.cumsum(mass), grid))
    assert estimate.value == pytest.approx(median, rel=0.03)
    inside = (np.exp(grid) >= estimate.low) & (np.exp(grid) <= estimate.high)
    assert mass[inside].sum() == pytest.approx(0.95, abs=0.02)
    assert estimate.lesions == 6


def test_what_is_found_lowers_the_threshold_and_what_is_missed_raises_it() -> None:
    known = Staircase.of(SEEN)
    value = known.estimate().value
    assert known.after(9.0, found=True).estimate().value < value
    assert known.after(15.0, found=False).estimate().value > value
    assert known.estimate().value == value  # it is never changed


def test_the_next_contrast_has_the_least_expected_entropy_of_all_candidates() -> None:
    known = Staircase.of(SEEN)

    def expected_entropy(contrast: float) -> float:
        total = 0.0
        for found in (True, False):
            after = known.after(contrast, found=found).threshold_posterior[1]
            total += _chance(known, contrast, found) * float(stats.entropy(after))
        return total

    candidates = np.exp(np.linspace(np.log(2.0), np.log(100.0), 48))
    best = min(candidates, key=expected_entropy)
    assert known.next_contrast() == pytest.approx(best, rel=0.1)


def _chance(known: Staircase, contrast: float, found: bool) -> float:
    """The posterior mean of the chance, from the marginals' own grid."""
    thresholds, _ = known.threshold_posterior
    slopes, lapses = np.array([1.0, 1.5, 2.0, 2.75, 3.75, 5.0]), np.array([0.01, 0.04, 0.08, 0.12])
    each = np.meshgrid(thresholds, slopes, lapses, indexing="ij")
    chance = float((known._posterior * found_probability(contrast, *each)).sum())
    return chance if found else 1 - chance


def test_a_learner_of_known_skill_is_found_and_followed() -> None:
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(10):
        threshold = float(np.exp(rng.normal(np.log(12), 0.5)))
        known = Staircase()
        for _ in range(60):
            contrast = known.next_contrast()
            chance = found_probability(contrast, threshold, 2.3, 0.03)
            known = known.after(contrast, found=bool(rng.random() < chance))
        estimate = known.estimate()
        inside += estimate.low <= threshold <= estimate.high
        assert np.log(estimate.high / estimate.low) < 1.2
    assert inside >= 8  # of 10 at 95 %: fewer happens once in 90 times


def test_a_ratio_that_is_none_is_refused() -> None:
    for wrong in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ParameterError):
            Staircase().after(wrong, found=True)
