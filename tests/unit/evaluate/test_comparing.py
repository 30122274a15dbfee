import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from bonescint.evaluate.bootstrap import Resampling, resampled
from bonescint.evaluate.comparing import (
    compare_areas,
    compare_by_resampling,
    compare_calls,
    compare_models,
)
from bonescint.evaluate.roc import roc_auc_score
from bonescint.evaluate.scored import ScoredCases
from bonescint.evaluate.tables import comparisons_table
from bonescint.experiment.report.model_report import comparison_table
from bonescint.scan import ParameterError


def _two(seed: int, count: int = 120, gain: float = 0.8) -> tuple[ScoredCases, ScoredCases]:
    rng = np.random.default_rng(seed)
    truth = rng.random(count) < 0.45
    shared = rng.normal(size=count)
    first = shared + 0.7 * rng.normal(size=count) + (1 + gain) * truth
    second = shared + 0.7 * rng.normal(size=count) + truth
    return (ScoredCases(scores=first, positive=truth), ScoredCases(scores=second, positive=truth))


def test_paired_areas_are_delongs_by_a_jackknife() -> None:
    first, second = _two(1)
    found = compare_areas(first, second)
    assert found.difference.value == pytest.approx(
        roc_auc_score(first).value - roc_auc_score(second).value
    )
    # Leaving each case out, class by class, gives DeLong's variance all but exactly.
    variance = 0.0
    for kind in (first.positive, ~first.positive):
        left = []
        for case in np.flatnonzero(kind):
            keep = np.arange(first.count) != case
            one, other = roc_auc_score(first.of(keep)), roc_auc_score(second.of(keep))
            left.append(one.value - other.value)
        size = len(left)
        variance += (size - 1) / size * ((np.array(left) - np.mean(left)) ** 2).sum()
    half = (found.difference.high - found.difference.low) / 2
    assert half == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-6)
    z = found.difference.value / math.sqrt(variance)
    assert found.p_value == pytest.approx(2 * norm.sf(abs(z)), rel=1e-5)


def test_the_test_of_equal_areas_holds_its_level() -> None:
    p_values = [compare_areas(*_two(seed, gain=0.0)).p_value for seed in range(500)]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.025)


def test_the_same_model_does_not_differ_from_itself() -> None:
    first, _ = _two(2)
    found = compare_areas(first, first)
    assert found.difference.value == 0
    assert found.difference.note == "no difference"
    assert math.isnan(found.p_value)


@given(seed=st.integers(0, 3000))
def test_calls_are_statsmodels_mcnemar(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.random(60) < 0.8, rng.random(60) < 0.7
    found = compare_calls(first, second, name="n", words="w")
    table = [[(first & second).sum(), (first & ~second).sum()],
             [(~first & second).sum(), (~first & ~second).sum()]]  # fmt: skip
    assert found.p_value == pytest.approx(float(mcnemar(table, exact=True).pvalue))
    assert found.difference.value == pytest.approx(first.mean() - second.mean())
    assert found.difference.low <= found.difference.value <= found.difference.high


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [  # Newcombe 1998, table III, method 10: cells e, f, g, h
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((54, 0, 0, 0), -0.0664, 0.0664),
    ],
)
def test_interval_of_paired_shares_is_newcombes(
    table: tuple[int, int, int, int], low: float, high: float
) -> None:
    first = np.repeat([True, True, False, False], table)
    second = np.repeat([True, False, True, False], table)
    found = compare_calls(first, second, name="n", words="w").difference
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-4)


def test_paired_share_covers() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for counts in rng.multinomial(80, [0.6, 0.2, 0.1, 0.1], 1500):
        first = np.repeat([True, True, False, False], counts)
        second = np.repeat([True, False, True, False], counts)
        found = compare_calls(first, second, name="n", words="w").difference
        held += found.low <= 0.1 <= found.high
    assert held / 1500 == pytest.approx(0.95, abs=0.02)


def test_resampled_difference_is_like_delongs_and_paired() -> None:
    first, second = _two(4, count=300)
    closed = compare_areas(first, second)
    found = compare_by_resampling(first, second, (0.5, 0.5), Resampling(resamples=1500))
    assert found[0].difference.value == pytest.approx(closed.difference.value)
    assert found[0].difference.low == pytest.approx(closed.difference.low, abs=0.008)
    assert found[0].difference.high == pytest.approx(closed.difference.high, abs=0.008)
    assert found[0].p_value < 0.05
    same = compare_by_resampling(first, first, (0.5, 0.5), Resampling(resamples=50))
    assert all(one.difference.value == 0 and one.p_value == 1 for one in same)


def test_all_figures_of_two_models() -> None:
    first, second = _two(5)
    found = compare_models(first, second, (0.9, 0.5))
    assert [one.name for one in found] == [
        "roc_auc_score", "sensitivity_score", "specificity_score", "accuracy_score",
    ]  # fmt: skip
    truth = first.positive
    assert found[1].first == pytest.approx(float((first.scores >= 0.9)[truth].mean()))
    assert found[2].second == pytest.approx(float((second.scores < 0.5)[~truth].mean()))


def test_other_cases_are_refused() -> None:
    first, second = _two(6)
    for wrong in (second.of(np.arange(second.count) > 0),
                  ScoredCases(scores=second.scores, positive=~second.positive)):  # fmt: skip
        with pytest.raises(ParameterError, match="cases in their order"):
            compare_areas(first, wrong)
    with pytest.raises(ParameterError, match="same cases"):
        compare_calls(np.array([True]), np.array([True, False]), name="n", words="w")


def test_what_a_comparison_is_called() -> None:
    first, second = _two(7)
    area = compare_areas(first, second)
    assert (area.name, area.words, area.test) == (
        "roc_auc_score", "Area under the ROC curve", "DeLong, paired"
    )  # fmt: skip
    assert (area.difference.method, area.difference.level) == ("DeLong", 0.95)
    assert area.first == roc_auc_score(first).value
    assert area.second == roc_auc_score(second).value
    calls = compare_calls(first.scores > 1, second.scores > 1, name="n", words="w")
    assert (calls.name, calls.words, calls.test) == ("n", "w", "McNemar, exact")
    assert (calls.difference.method, calls.difference.level) == ("Newcombe, paired", 0.95)
    assert (calls.first, calls.second) == (
        float((first.scores > 1).mean()), float((second.scores > 1).mean())
    )  # fmt: skip
    few = Resampling(resamples=40)
    drawn = compare_by_resampling(first, second, (0.5, 0.7), few)
    assert {one.test for one in drawn} == {few.method}
    assert {one.difference.method for one in drawn} == {few.method}
    ours, theirs = resampled(first, 0.5, few), resampled(second, 0.7, few)
    assert [one.name for one in drawn] == list(ours.names)
    assert [one.words for one in drawn] == list(ours.words)
    for place, one in enumerate(drawn):
        assert (one.first, one.second) == (ours.values[place], theirs.values[place])
        low, high = np.nanpercentile(ours.drawn[:, place] - theirs.drawn[:, place], [2.5, 97.5])
        assert (one.difference.low, one.difference.high) == pytest.approx((low, high))
        below = int((ours.drawn[:, place] <= theirs.drawn[:, place]).sum())
        above = int((ours.drawn[:, place] >= theirs.drawn[:, place]).sum())
        assert one.p_value == pytest.approx(min(1, 2 * (min(below, above) + 1) / 41))


def test_levels_are_passed_on() -> None:
    first, second = _two(8)
    wide, narrow = (compare_models(first, second, (0.9, 0.5), level=q) for q in (0.99, 0.8))
    for one, other in zip(wide, narrow, strict=True):
        assert (one.difference.level, other.difference.level) == (0.99, 0.8)
        assert one.difference.low < other.difference.low < other.difference.high
        assert other.difference.high < one.difference.high
    closed = compare_models(first, second, (0.9, 0.5))
    truth = first.positive
    right = [(first.scores >= 0.9) == truth, (second.scores >= 0.5) == truth]
    for found, chosen in zip(closed[1:], (truth, ~truth, np.ones_like(truth)), strict=True):
        expected = compare_calls(right[0][chosen], right[1][chosen], name="", words="")
        assert found.difference == expected.difference
        assert found.p_value == expected.p_value
    assert [one.words for one in closed] == [
        "Area under the ROC curve", "Sensitivity", "Specificity", "Accuracy"
    ]  # fmt: skip


def test_a_difference_without_a_spread_and_one_without_cases() -> None:
    apart = ScoredCases(scores=np.array([0.1, 0.2, 0.8, 0.9]), positive=np.array([0, 0, 1, 1]))
    turned = apart.with_scores(-apart.scores)
    found = compare_areas(apart, turned)
    assert found.difference.value == 1
    assert found.difference.note == "the difference has no variance: no interval"
    assert math.isnan(found.difference.low)
    assert math.isnan(found.p_value)
    none = np.zeros(0, dtype=bool)
    empty = compare_calls(none, none, name="n", words="w")
    assert math.isnan(empty.first)
    assert math.isnan(empty.second)
    assert empty.difference.note == "no case"
    assert empty.p_value == 1
    one = np.ones(1, dtype=bool)
    alone = compare_calls(one, one, name="n", words="w", patients=np.array([3]))
    assert alone.difference == compare_calls(one, one, name="n", words="w").difference
    with pytest.raises(ParameterError, match="same cases"):
        compare_calls(np.ones((2, 2), bool), np.ones((2, 2), bool), name="n", words="w")


def test_ends_of_a_difference_of_areas_are_cut() -> None:
    truth = np.repeat([True, False], 3)
    good = ScoredCases(scores=np.array([0.9, 0.8, 0.35, 0.1, 0.2, 0.4]), positive=truth)
    bad = ScoredCases(scores=np.array([0.1, 0.2, 0.45, 0.9, 0.8, 0.4]), positive=truth)
    assert compare_areas(good, bad).difference.high == 1.0
    assert compare_areas(bad, good).difference.low == -1.0
    assert compare_areas(good, bad).difference.low == -compare_areas(bad, good).difference.high


@pytest.mark.parametrize(
    "table",
    [(36, 12, 2, 0), (36, 14, 0, 0), (97, 1, 1, 1), (40, 9, 3, 28), (5, 20, 25, 4), (10, 4, 4, 2)],
)
def test_newcombes_interval_written_out(table: tuple[int, int, int, int]) -> None:
    """His formula with Wilson's ends of statsmodels; correlation of both signs."""
    first = np.repeat([True, True, False, False], table)
    second = np.repeat([True, False, True, False], table)
    found = compare_calls(first, second, name="n", words="w").difference
    assert found.value == pytest.approx((table[1] - table[2]) / sum(table))
    total = sum(table)
    (l2, u2), (l3, u3) = (
        proportion_confint(table[0] + only, total, method="wilson") for only in table[1:3]
    )
    p2, p3 = (table[0] + table[1]) / total, (table[0] + table[2]) / total
    e, f, g, h = table
    base = (e + f) * (g + h) * (e + g) * (f + h)
    cross = e * h - f * g
    phi = 0.0
    if base:
        phi = (max(cross - total / 2, 0) if cross > 0 else cross) / math.sqrt(base)
    below = (p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u3 - p3) + (u3 - p3) ** 2
    above = (p3 - l3) ** 2 - 2 * phi * (p3 - l3) * (u2 - p2) + (u2 - p2) ** 2
    assert found.low == pytest.approx(p2 - p3 - math.sqrt(below))
    assert found.high == pytest.approx(p2 - p3 + math.sqrt(above))


def test_ratios_that_are_infinite_in_resamples() -> None:
    # Of 4 with disease 2 are called, of 2 without 1. By class, both drawn without disease are the
    # one that is called in 1/4 of resamples: 1 - sensitivity over 0. None missed is drawn in
    # 1/16, of which 3/4 have a specificity above 0: 0.
    truth = [1, 1, 1, 1, 0, 0]
    worse = ScoredCases(scores=[1, 1, 0, 0, 1, 0], positive=truth)
    better = ScoredCases(scores=[1, 1, 1, 0, 0, 0], positive=truth)
    resampling = Resampling(resamples=500, stratified=True)
    ratio = resampled(worse, 0.5, resampling).measures[-1].estimate
    assert (ratio.value, ratio.low, ratio.high) == (1, 0, math.inf)
    assert ratio.text() == "1.000 (0.000 to not estimable)"
    assert "infinite in" in ratio.note
    found = {one.name: one for one in compare_by_resampling(better, worse, (0.5, 0.5), resampling)}
    negative = found["negative_likelihood_ratio"]
    assert (negative.first, negative.second, negative.difference.value) == (0.25, 1, -0.75)
    assert negative.difference.text() == "-0.750"
    assert "infinite in" in negative.difference.note
    positive = found["positive_likelihood_ratio"]
    assert positive.first == math.inf
    assert positive.difference.text() == "undefined: infinite, for a count is 0"
    for one in found.values():
        assert not np.isinf([one.difference.value, one.difference.low, one.difference.high]).any()
    rows = comparisons_table("", "", found.values()).rows
    page = comparison_table("", found.values()).rows
    cells = [str(cell) for row in (*rows, *page) for cell in row]
    assert not {"inf", "-inf", "nan"} & {word.strip("()") for one in cells for word in one.split()}
