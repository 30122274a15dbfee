import math

import numpy as np
import pytest
from scipy.stats import chi2
from statsmodels.stats.multitest import multipletests

from bonescint.evaluate.roc import roc_auc_score
from bonescint.evaluate.scored import ScoredCases
from bonescint.evaluate.subgroups import (
    Factor,
    Interaction,
    interactions,
    subgroups,
    wald_equal,
    with_holm,
)
from bonescint.scan import ParameterError


def _cases(seed: int, count: int = 300, worse: float = 0.0) -> tuple[ScoredCases, Factor]:
    rng = np.random.default_rng(seed)
    truth = rng.random(count) < 0.5
    group = rng.integers(0, 3, count)
    effect = np.where(group == 2, 1.5 - worse, 1.5)
    cases = ScoredCases(scores=rng.normal(effect * truth), positive=truth)
    return cases, Factor(name="Centre", levels=("A", "B", "C"), members=group)


def test_each_subgroup_is_its_own_cases() -> None:
    cases, factor = _cases(1)
    for number, found in enumerate(subgroups(cases, factor, 0.75)):
        part = cases.of(factor.members == number)
        assert found.level == factor.levels[number]
        assert (found.positives, found.negatives) == (part.positives, part.negatives)
        assert found.area == roc_auc_score(part)
        calls = part.scores >= 0.75
        assert found.sensitivity.value == pytest.approx(float(calls[part.positive].mean()))
        assert found.specificity.value == pytest.approx(float((~calls)[~part.positive].mean()))


def test_independent_groups_are_cochrans_q() -> None:
    cases, factor = _cases(2)
    found = interactions(cases, factor, 0.75)[0]
    parts = [cases.of(factor.members == number) for number in range(3)]
    from bonescint.evaluate.roc import StructuralComponents

    placed = [StructuralComponents.of(part.scores, part.positive) for part in parts]
    areas = np.array([one.areas[0] for one in placed])
    weights = 1 / np.array([one.covariance[0, 0] for one in placed])
    mean = (weights * areas).sum() / weights.sum()
    statistic = (weights * (areas - mean) ** 2).sum()
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(chi2.sf(statistic, 2))
    assert found.degrees == 2


def test_level_and_power() -> None:
    null = [interactions(*_cases(seed), 0.75) for seed in range(300)]
    for figure in range(3):
        rate = np.mean([tests[figure].p_value < 0.05 for tests in null])
        assert rate == pytest.approx(0.05, abs=0.04), figure
    worse = [interactions(*_cases(seed, worse=1.2), 0.75)[0].p_value for seed in range(100)]
    assert np.mean(np.array(worse) < 0.05) > 0.8


def test_shared_negatives_are_known_to_be_shared() -> None:
    """Lesion counts: groups of positives against the same negatives, no difference."""
    small = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        truth = np.arange(200) % 2 == 0
        cases = ScoredCases(scores=rng.normal(1.2 * truth), positive=truth)
        members = np.where(truth, rng.integers(0, 2, 200), -1)
        factor = Factor(
            name="Lesions", levels=("one", "more"), members=members, positives_only=True
        )
        tests = interactions(cases, factor, 0.6)
        assert [test.figure for test in tests] == ["roc_auc_score", "sensitivity_score"]
        small.append(tests[0].p_value < 0.05)
        assert all(one.negatives == 100 for one in subgroups(cases, factor, 0.6))
    assert np.mean(small) == pytest.approx(0.05, abs=0.035)


def test_factors_of_words_and_numbers() -> None:
    words = Factor.of_names("Primary", ["prostate", "", "breast", "prostate"])
    assert words.levels == ("breast", "prostate")
    assert words.members.tolist() == [1, -1, 0, 1]
    ages = Factor.of_numbers("Age", np.array([49.9, 50, 64, 65, np.nan]), [50, 65])
    assert ages.levels == ("under 50", "50 to under 65", "65 and over")
    assert ages.members.tolist() == [0, 1, 1, 2, -1]
    fine = Factor.of_numbers("Contrast", np.array([1.0, 3.0]), [2.5], digits=1)
    assert fine.levels == ("under 2.5", "2.5 and over")
    with pytest.raises(ParameterError, match="members"):
        Factor(name="x", levels=("a",), members=np.array([1]))
    with pytest.raises(ParameterError, match="edges"):
        Factor.of_numbers("Age", np.array([1.0]), [])
    cases, _ = _cases(1)
    with pytest.raises(ParameterError, match="factor"):
        subgroups(cases, words, 0.5)


def test_what_cannot_be_told_is_said() -> None:
    truth = np.array([1, 1, 0, 0, 1, 1], dtype=bool)
    cases = ScoredCases(scores=np.array([0.9, 0.8, 0.1, 0.2, 0.7, 0.6]), positive=truth)
    factor = Factor(name="Sex", levels=("F", "M"), members=np.array([0, 0, 0, 0, 1, 1]))
    women, men = subgroups(cases, factor, 0.5)
    assert women.area.value == 1
    assert men.area.note == "no case without disease"
    area, sensitivity, specificity = interactions(cases, factor, 0.5)
    assert math.isnan(area.p_value)
    assert "fewer than two levels" in area.note
    assert sensitivity.p_value == 1
    assert sensitivity.note == "the same in all levels"
    assert "fewer than two levels" in specificity.note
    assert math.isnan(wald_equal(np.array([0.5, 0.6]), np.zeros((2, 2))))


def test_few_cases_are_tested_exactly() -> None:
    truth = np.ones(12, dtype=bool)
    truth[10:] = False
    scores = np.r_[np.full(5, 0.9), np.full(5, 0.1), 0.1, 0.1]
    cases = ScoredCases(scores=scores, positive=truth)
    factor = Factor(name="Sex", levels=("F", "M"), members=np.array([0] * 5 + [1] * 5 + [0, 1]))
    found = interactions(cases, factor, 0.5)[1]
    assert found.test == "Fisher, exact"
    assert found.p_value == pytest.approx(2 / 252)


def test_holm_is_statsmodels() -> None:
    p_values = [0.001, 0.2, 0.04, 0.03, math.nan, 0.9]
    tests = [
        Interaction(factor="f", figure="g", statistic=1.0, degrees=1, p_value=p) for p in p_values
    ]
    known = [p for p in p_values if not math.isnan(p)]
    expected = multipletests(known, method="holm")[1]
    corrected = [test.p_holm for test in with_holm(tests)]
    assert [p for p in corrected if not math.isnan(p)] == pytest.approx(list(expected))
    assert math.isnan(corrected[4])
