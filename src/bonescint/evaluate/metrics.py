"""What a model does at one operating point: counts, shares, likelihood ratios."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.scored import ScoredCases, design_effect, summed
from bonescint.intervals import Estimate, exact_share, normal_quantile, require_count, share
from bonescint.scan.checked import check_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A metric, its value and interval, and what it was counted from.

    Attributes:
        name: its name in code; for `_score` higher is better, for `_error` lower.
        words: its name in reports, such as `"Sensitivity"`.
        estimate: value, interval, method.
        counted: numerator and denominator where it is a share, such as `"42/50"`.
    """

    name: str
    words: str
    estimate: Estimate
    counted: str = ""


def measure_named(measures: tuple[Measure, ...], name: str) -> Measure:
    """Find a measure by its name.

    Raises:
        KeyError: no measure has that name.

    Examples:
        >>> area = Measure(name="roc_auc_score", words="AUC", estimate=Estimate(value=0.9))
        >>> measure_named((area,), "roc_auc_score").estimate.value
        0.9
    """
    for measure in measures:
        if measure.name == name:
            return measure
    raise KeyError(name)


INFINITE = "infinite, for a count is 0"
"""Why a ratio is no number."""


def ratio_of_shares(
    first: tuple[int, int],
    second: tuple[int, int],
    *,
    level: float = 0.95,
    by_patient: NDArray[np.int64] | None = None,
) -> Estimate:
    """Ratio of two independent shares, with an interval by the log method.

    Simel, Samsa and Matchar, J Clin Epidemiol 1991;44:763 (likelihood ratios); Katz et al.,
    Biometrics 1978;34:469.

    Args:
        first: successes and total of the numerator.
        second: successes and total of the denominator.
        level: coverage of the interval.
        by_patient: the same four numbers of each patient, (patients, 4), where some have several
            cases; the variance of the logarithm is then clustered by patient.

    Returns:
        The ratio. If a count is 0, the logarithm has no variance: for the interval only, 0.5 is
        then added to both counts of successes and 1 to both totals (`note` says so). Without
        successes in the denominator the ratio is infinite.

    Examples:
        >>> ratio_of_shares((40, 50), (10, 50)).text(2)
        '4.00 (2.26 to 7.08)'
    """
    method = "log method" if by_patient is None else "log method, by patient"
    for successes, total in (first, second):
        require_count(successes, total, "ratio_of_shares")
        if total == 0:
            return Estimate(value=math.nan, level=level, method=method, note="a class is empty")
    note = ""
    (above, above_total), (below, below_total) = first, second
    value = math.inf if below == 0 else (above / above_total) / (below / below_total)
    a, n, b, m = float(above), float(above_total), float(below), float(below_total)
    if above == 0 or below == 0:
        if by_patient is not None:  # as many cases as are independent
            one, other = (design_effect(by_patient[:, i], by_patient[:, i + 1]) for i in (0, 2))
            a, n, b, m = a / one, n / one, b / other, m / other
        a, n, b, m = a + 0.5, n + 1, b + 0.5, m + 1
        note = "a count is 0: half a case was added for the interval"
    z = normal_quantile(level)
    variance = 1 / a - 1 / n + 1 / b - 1 / m
    if by_patient is not None and not note:
        variance = float(((by_patient @ np.array([1 / a, -1 / n, -1 / b, 1 / m])) ** 2).sum())
    spread = math.sqrt(max(variance, 0.0))
    middle = math.log((a / n) / (b / m))
    low, high = math.exp(middle - z * spread), math.exp(middle + z * spread)
    if math.isinf(value):
        if above == 0:
            return Estimate(value=math.nan, level=level, method=method, note="0 over 0")
        said = f"{INFINITE}; at least {low:.2f}"
        return Estimate(
            value=math.inf, low=low, high=math.inf, level=level, method=method, note=said
        )
    return Estimate(
        value=value, low=min(low, value), high=high, level=level, method=method, note=note
    )


_NO_POSITIVE = "no case with disease"
_NO_NEGATIVE = "no case without disease"
_MOST = 2**53
_TP, _FN, _FP, _TN = range(4)
_COUNTS = ("true_positives", "false_negatives", "false_positives", "true_negatives")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """The 2 x 2 table of calls and truth.

    Attributes:
        true_positives: cases with disease that are called positive.
        false_negatives: cases with disease that are not.
        false_positives: cases without disease that are called positive.
        true_negatives: cases without disease that are not.
        by_patient: the same four numbers of each patient, in this order, int64 (patients, 4),
            where some have several cases; all intervals are then clustered by patient.

    Raises:
        ParameterError: a count that is not a whole number of at least 0.
    """

    true_positives: int
    false_negatives: int
    false_positives: int
    true_negatives: int
    by_patient: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in _COUNTS:
            check_whole(self, name, 0, _MOST)

    @classmethod
    def of(cls, cases: ScoredCases, threshold: float) -> Confusion:
        """Count calls; a case is called positive if its score is at least `threshold`.

        Examples:
            >>> cases = ScoredCases(scores=[0.2, 0.5, 0.9], positive=[0, 1, 1])
            >>> Confusion.of(cases, 0.5).true_positives
            2
        """
        called, ill = cases.scores >= threshold, cases.positive
        four = np.stack([called & ill, ~called & ill, called & ~ill, ~called & ~ill])
        by_patient = None
        if cases.patients is not None:
            by_patient = summed(four.astype(np.float64), cases.patients).T.astype(np.int64)
        counts = dict(zip(_COUNTS, four.sum(axis=1).tolist(), strict=True))
        return cls(**counts, by_patient=by_patient)

    @property
    def positives(self) -> int:
        """Number of cases with disease."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> int:
        """Number of cases without disease."""
        return self.false_positives + self.true_negatives

    @property
    def called(self) -> int:
        """Number of cases that are called positive."""
        return self.true_positives + self.false_positives

    @property
    def count(self) -> int:
        """Number of all cases."""
        return self.positives + self.negatives

    def effect(self, counted: tuple[int, ...], among: tuple[int, ...]) -> float:
        """`design_effect` of a share of columns of `by_patient`; 1 without patients."""
        if self.by_patient is None:
            return 1.0
        table = self.by_patient
        return design_effect(table[:, counted].sum(axis=1), table[:, among].sum(axis=1))

    def ratio_columns(self, above: int, below: int) -> NDArray[np.int64] | None:
        """The argument `by_patient` for `ratio_of_shares`, or `None` without patients."""
        if self.by_patient is None:
            return None
        table = self.by_patient
        ill, well = table[:, :_FP].sum(axis=1), table[:, _FP:].sum(axis=1)
        return np.column_stack([table[:, above], ill, table[:, below], well])


def _rate(
    confusion: Confusion,
    counted: tuple[int, ...],
    among: tuple[int, ...],
    level: float,
    nobody: str = "no case",
    interval: Callable[..., Estimate] = share,
) -> Estimate:
    """The share of some of the four counts, with an interval clustered by patient if need be."""
    counts = [getattr(confusion, name) for name in _COUNTS]
    successes, total = (sum(counts[column] for column in which) for which in (counted, among))
    effect = confusion.effect(counted, among)
    return interval(successes, total, level=level, nobody=nobody, effect=effect)


def sensitivity_score(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Share of cases with disease that are called (Yerushalmy 1947); Wilson's interval.

    Examples:
        >>> table = Confusion(true_positives=338, false_negatives=73, false_positives=115,
        ...                   true_negatives=472)
        >>> sensitivity_score(table).text()
        '0.822 (0.783 to 0.856)'
    """
    return _rate(confusion, (_TP,), (_TP, _FN), level, _NO_POSITIVE)


def specificity_score(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Share of cases without disease that are not called; Wilson's interval."""
    return _rate(confusion, (_TN,), (_TN, _FP), level, _NO_NEGATIVE)


def positive_predictive_value_score(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Share of called cases that have disease, at the prevalence of these cases; Wilson."""
    return _rate(confusion, (_TP,), (_TP, _FP), level, "no case is called positive")


def negative_predictive_value_score(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Share of cases not called that have no disease, at the prevalence of these cases; Wilson."""
    return _rate(confusion, (_TN,), (_TN, _FN), level, "every case is called positive")


def accuracy_score(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Share of right calls, at the prevalence of these cases; Wilson's interval."""
    return _rate(confusion, (_TP, _TN), (_TP, _FN, _FP, _TN), level)


def f1_score(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Harmonic mean of sensitivity and positive predictive value (van Rijsbergen 1979).

    F1 is 2 J / (1 + J), where J, Jaccard's index, is the share of true positives among the
    cases that are positive or called. Its interval is Wilson's for J, transformed; the number of
    those cases is taken as fixed.

    Examples:
        >>> f1_score(Confusion(true_positives=8, false_negatives=2, false_positives=2,
        ...                    true_negatives=8)).text(2)
        '0.80 (0.56 to 0.93)'
    """
    jaccard = _rate(confusion, (_TP,), (_TP, _FN, _FP), level, _NO_POSITIVE)
    method = jaccard.method.replace("Wilson", "Wilson for Jaccard's index")
    if not jaccard.defined:
        return Estimate(value=math.nan, level=level, method=method, note=jaccard.note)
    value, low, high = (2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))
    return Estimate(value=value, low=low, high=high, level=level, method=method)


def positive_likelihood_ratio(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Sensitivity over 1 - specificity: how much a positive call raises the odds of disease."""
    return ratio_of_shares(
        (confusion.true_positives, confusion.positives),
        (confusion.false_positives, confusion.negatives),
        level=level,
        by_patient=confusion.ratio_columns(_TP, _FP),
    )


def negative_likelihood_ratio(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """1 - sensitivity over specificity: how much a negative call lowers the odds of disease."""
    return ratio_of_shares(
        (confusion.false_negatives, confusion.positives),
        (confusion.true_negatives, confusion.negatives),
        level=level,
        by_patient=confusion.ratio_columns(_FN, _TN),
    )


def threshold_measures(confusion: Confusion, *, level: float = 0.95) -> tuple[Measure, ...]:
    """All measures of a 2 x 2 table, with closed-form intervals.

    Args:
        confusion: the table.
        level: coverage of the intervals.
    """
    table = confusion
    hits, passed = table.true_positives, table.true_negatives
    rows = (
        ("Sensitivity", sensitivity_score, (hits, table.positives)),
        ("Specificity", specificity_score, (passed, table.negatives)),
        ("Positive predictive value", positive_predictive_value_score, (hits, table.called)),
        (
            "Negative predictive value",
            negative_predictive_value_score,
            (passed, table.count - table.called),
        ),
        ("Accuracy", accuracy_score, (hits + passed, table.count)),
        ("F1", f1_score, None),
        ("Positive likelihood ratio", positive_likelihood_ratio, None),
        ("Negative likelihood ratio", negative_likelihood_ratio, None),
    )
    return tuple(
        Measure(
            name=metric.__name__,
            words=words,
            estimate=metric(table, level=level),
            counted="" if counted is None else f"{counted[0]}/{counted[1]}",
        )
        for words, metric, counted in rows
    )


def exact_rates(confusion: Confusion, *, level: float = 0.95) -> tuple[Estimate, Estimate]:
    """Sensitivity and specificity with exact (Clopper-Pearson) intervals."""
    return (
        _rate(confusion, (_TP,), (_TP, _FN), level, _NO_POSITIVE, exact_share),
        _rate(confusion, (_TN,), (_TN, _FP), level, _NO_NEGATIVE, exact_share),
    )
