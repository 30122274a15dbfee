import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    class_likelihood_ratios,
    f1_score,
    precision_score,
    recall_score,
)
from statsmodels.stats.proportion import proportion_confint

from bonescint.evaluate.choosing import (
    Balanced,
    GivenSensitivity,
    GivenSpecificity,
    OperatingRule,
    Youden,
    operating_point,
)
from bonescint.evaluate.measure import measure_named
from bonescint.evaluate.operating import Confusion, exact_rates, threshold_measures
from bonescint.evaluate.scored import ScoredCases
from bonescint.scan import ParameterError


@given(seed=st.integers(0, 10_000))
def test_measures_are_sklearns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.r_[True, False, True, False, rng.random(40) < 0.5]
    cases = ScoredCases(scores=np.r_[0.1, 0.1, 0.9, 0.9, rng.random(40)], positive=truth)
    calls = cases.scores >= 0.5
    found = threshold_measures(Confusion.of(cases, 0.5))
    plus, minus = class_likelihood_ratios(truth, calls)
    expected = {
        "sensitivity_score": recall_score(truth, calls),
        "specificity_score": recall_score(~truth, ~calls),
        "positive_predictive_value_score": precision_score(truth, calls),
        "negative_predictive_value_score": precision_score(~truth, ~calls),
        "accuracy_score": accuracy_score(truth, calls),
        "f1_score": f1_score(truth, calls),
        "positive_likelihood_ratio": plus,
        "negative_likelihood_ratio": minus,
    }
    assert {measure.name for measure in found} == set(expected)
    for measure in found:
        assert measure.estimate.value == pytest.approx(expected[measure.name]), measure.name
        assert measure.estimate.low <= measure.estimate.value <= measure.estimate.high
        if measure.counted:
            top, bottom = (int(text) for text in measure.counted.split("/"))
            assert top / bottom == pytest.approx(measure.estimate.value)
            low, high = proportion_confint(top, bottom, method="wilson")
            assert (measure.estimate.low, measure.estimate.high) == pytest.approx((low, high))


def test_f1s_interval_covers() -> None:
    rng = np.random.default_rng(4)
    shares = np.array([0.32, 0.08, 0.1, 0.5])  # TP, FN, FP, TN
    truth = 2 * 0.32 / (2 * 0.32 + 0.18)
    held = 0
    for counts in rng.multinomial(150, shares, 2000):
        table = Confusion(
            true_positives=int(counts[0]), false_negatives=int(counts[1]),
            false_positives=int(counts[2]), true_negatives=int(counts[3]),
        )  # fmt: skip
        found = measure_named(threshold_measures(table), "f1_score").estimate
        held += found.low <= truth <= found.high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_nobody_called_and_one_class() -> None:
    table = Confusion(true_positives=0, false_negatives=4, false_positives=0, true_negatives=6)
    found = {measure.name: measure.estimate for measure in threshold_measures(table)}
    assert found["sensitivity_score"].value == 0
    assert found["specificity_score"].value == 1
    assert found["positive_predictive_value_score"].note == "no case is called positive"
    assert math.isnan(found["positive_likelihood_ratio"].value)
    alone = Confusion(true_positives=3, false_negatives=1, false_positives=0, true_negatives=0)
    one_class = {measure.name: measure.estimate for measure in threshold_measures(alone)}
    assert one_class["specificity_score"].note == "no case without disease"
    assert not one_class["negative_likelihood_ratio"].defined
    sensitivity, specificity = exact_rates(alone)
    assert sensitivity.value == 0.75
    assert not specificity.defined
    with pytest.raises(ParameterError, match="true_positives"):
        Confusion(true_positives=-1, false_negatives=0, false_positives=0, true_negatives=0)


_RULES: tuple[OperatingRule, ...] = (
    Balanced(), Youden(), GivenSpecificity(0.9), GivenSpecificity(1.0), GivenSensitivity(0.8),
)  # fmt: skip


@given(seed=st.integers(0, 10_000), levels=st.sampled_from([2, 5, 1000]))
def test_no_other_threshold_does_better(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.r_[True, False, rng.random(25) < 0.5]
    cases = ScoredCases(scores=rng.integers(0, levels, 27) / levels, positive=truth)

    def rates(threshold: float) -> tuple[float, float]:
        calls = cases.scores >= threshold
        return float(calls[truth].mean()), float((~calls)[~truth].mean())

    every = [rates(one) for one in [*np.unique(cases.scores), 2.0]]
    for rule in _RULES:
        sensitivity, specificity = rates(operating_point(cases, rule))
        match rule:
            case Balanced():
                best = min(abs(a - b) for a, b in every)
                assert abs(sensitivity - specificity) == pytest.approx(best)
            case Youden():
                assert sensitivity + specificity == pytest.approx(max(a + b for a, b in every))
            case GivenSpecificity(wanted):
                assert specificity >= wanted - 1e-9
                assert sensitivity == max(a for a, b in every if b >= wanted - 1e-9)
            case GivenSensitivity(wanted):
                assert sensitivity >= wanted - 1e-9
                assert specificity == max(b for a, b in every if a >= wanted - 1e-9)


def test_ends_of_the_curve() -> None:
    equal = ScoredCases(scores=np.array([0.5, 0.5]), positive=np.array([0, 1]))
    assert operating_point(equal, GivenSensitivity(1.0)) == 0.5
    assert math.isinf(operating_point(equal, GivenSpecificity(1.0)))
    touching = ScoredCases(
        scores=np.array([0.5, np.nextafter(0.5, 1)]), positive=np.array([False, True])
    )
    point = operating_point(touching, Balanced())
    assert Confusion.of(touching, point).true_positives == 1
    assert Confusion.of(touching, point).false_positives == 0
    for rule in _RULES:
        assert rule.words


@pytest.mark.parametrize("wrong", [0.0, 1.5, math.nan])
def test_rules_are_checked(wrong: float) -> None:
    with pytest.raises(ParameterError, match="specificity"):
        GivenSpecificity(wrong)
    with pytest.raises(ParameterError, match="sensitivity"):
        GivenSensitivity(wrong)
