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

from bonescint.evaluate import metrics
from bonescint.evaluate.metrics import Confusion, exact_rates, measure_named, threshold_measures
from bonescint.evaluate.operating_points import (
    Balanced,
    GivenSensitivity,
    GivenSpecificity,
    OperatingRule,
    Youden,
    operating_point,
)
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
        # Each measure alone has the level of all.
        assert getattr(metrics, measure.name)(Confusion.of(cases, 0.5)) == measure.estimate


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


def test_names_words_and_counts_of_the_table() -> None:
    table = Confusion(true_positives=40, false_negatives=10, false_positives=7, true_negatives=63)
    assert (table.positives, table.negatives, table.called, table.count) == (50, 70, 47, 120)
    assert table.by_patient is None
    found = threshold_measures(table, level=0.9)
    assert [(one.words, one.counted) for one in found] == [
        ("Sensitivity", "40/50"), ("Specificity", "63/70"),
        ("Positive predictive value", "40/47"), ("Negative predictive value", "63/73"),
        ("Accuracy", "103/120"), ("F1", ""),
        ("Positive likelihood ratio", ""), ("Negative likelihood ratio", ""),
    ]  # fmt: skip
    assert {one.estimate.level for one in found} == {0.9}
    assert [one.estimate.method for one in found] == [
        *["Wilson"] * 5, "Wilson for Jaccard's index", *["log method"] * 2
    ]  # fmt: skip
    sensitivity, specificity = exact_rates(table)
    for rate, counted, of in ((sensitivity, 40, 50), (specificity, 63, 70)):
        assert rate.value == counted / of
        assert (rate.low, rate.high) == pytest.approx(
            proportion_confint(counted, of, method="beta")
        )
        assert rate.method == "Clopper-Pearson"
        assert rate.level == 0.95
    jaccard = proportion_confint(40, 57, method="wilson", alpha=0.1)
    f1 = found[5].estimate
    assert (f1.low, f1.high) == pytest.approx(tuple(2 * j / (1 + j) for j in jaccard))


def test_what_nobody_is_counted_in_is_named() -> None:
    every = Confusion(true_positives=4, false_negatives=0, false_positives=6, true_negatives=0)
    found = {one.name: one.estimate for one in threshold_measures(every)}
    assert found["negative_predictive_value_score"].note == "every case is called positive"
    ill = Confusion(true_positives=0, false_negatives=0, false_positives=0, true_negatives=6)
    found = {one.name: one.estimate for one in threshold_measures(ill)}
    assert found["sensitivity_score"].note == "no case with disease"
    assert found["f1_score"].note == "no case with disease"
    assert found["f1_score"].method == "Wilson for Jaccard's index"
    assert found["positive_likelihood_ratio"].note == "a class is empty"
    for name in ("true_positives", "false_negatives", "false_positives", "true_negatives"):
        counts = {"true_positives": 1, "false_negatives": 1, "false_positives": 1,
                  "true_negatives": 1, name: -1}  # fmt: skip
        with pytest.raises(ParameterError, match=name):
            Confusion(**counts)
        Confusion(**{**counts, name: 0})
        Confusion(**{**counts, name: 2**53})
        with pytest.raises(ParameterError, match=name):
            Confusion(**{**counts, name: 2**53 + 1})


def test_each_patients_table_and_what_ratios_ask_of_it() -> None:
    cases = ScoredCases(
        scores=[0.9, 0.1, 0.8, 0.2, 0.7], positive=[1, 1, 0, 0, 0],
        patients=np.array([8, 8, 8, 3, 3]),
    )  # fmt: skip
    table = Confusion.of(cases, 0.5)
    assert table.by_patient is not None
    assert table.by_patient.tolist() == [[0, 0, 1, 1], [1, 1, 1, 0]]
    above_false = table.ratio_columns(0, 2)
    assert above_false is not None
    assert above_false.tolist() == [[0, 0, 1, 2], [1, 2, 1, 1]]
    below_true = table.ratio_columns(1, 3)
    assert below_true is not None
    assert below_true.tolist() == [[0, 0, 1, 2], [1, 2, 0, 1]]
    # 1 of 2 in one patient; 1 of 2 and 1 of 1 of the three without disease.
    assert table.effect((0,), (0, 1)) == 1
    own = Confusion(
        true_positives=0, false_negatives=0, false_positives=3, true_negatives=4,
        by_patient=np.array([[0, 0, 3, 0], [0, 0, 0, 3], [0, 0, 0, 1]]),
    )  # fmt: skip
    assert own.effect((2,), (2, 3)) == pytest.approx(
        ((3 - 9 / 7) ** 2 + (9 / 7) ** 2 + (3 / 7) ** 2) / (7 * 3 / 7 * 4 / 7)
    )
    assert own.effect((3,), (3, 2)) == pytest.approx(own.effect((2,), (2, 3)))
    plain = Confusion.of(ScoredCases(scores=cases.scores, positive=cases.positive), 0.5)
    assert plain == table, "what is counted is the same"
    assert "by_patient" not in repr(table)
    assert plain.effect((0,), (0, 1)) == 1
    assert plain.ratio_columns(0, 2) is None
