"""What a model does at one operating point: counts, shares, likelihood ratios."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bonescint.evaluate.interval import Estimate
from bonescint.evaluate.measure import Measure
from bonescint.evaluate.proportions import exact_share, ratio_of_shares, share
from bonescint.evaluate.scored import ScoredCases
from bonescint.scan.checked import check_whole

_NO_POSITIVE = "no case with disease"
_NO_NEGATIVE = "no case without disease"
_MOST = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """The 2 x 2 table of calls and truth.

    Attributes:
        true_positives: cases with disease that are called positive.
        false_negatives: cases with disease that are not.
        false_positives: cases without disease that are called positive.
        true_negatives: cases without disease that are not.

    Raises:
        ParameterError: a count that is no whole number from 0.
    """

    true_positives: int
    false_negatives: int
    false_positives: int
    true_negatives: int

    def __post_init__(self) -> None:
        for name in ("true_positives", "false_negatives", "false_positives", "true_negatives"):
            check_whole(self, name, 0, _MOST)

    @classmethod
    def of(cls, cases: ScoredCases, threshold: float) -> Confusion:
        """Count calls; a case is called positive if its score is at least `threshold`.

        Examples:
            >>> cases = ScoredCases(scores=[0.2, 0.5, 0.9], positive=[0, 1, 1])
            >>> Confusion.of(cases, 0.5).true_positives
            2
        """
        called = cases.scores >= threshold
        true = int(np.count_nonzero(called & cases.positive))
        false = int(np.count_nonzero(called)) - true
        return cls(
            true_positives=true,
            false_negatives=cases.positives - true,
            false_positives=false,
            true_negatives=cases.negatives - false,
        )

    @property
    def positives(self) -> int:
        """Cases with disease."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> int:
        """Cases without disease."""
        return self.false_positives + self.true_negatives

    @property
    def called(self) -> int:
        """Cases that are called positive."""
        return self.true_positives + self.false_positives

    @property
    def count(self) -> int:
        """All cases."""
        return self.positives + self.negatives


def sensitivity_score(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Share of cases with disease that are called (Yerushalmy 1947); Wilson's interval.

    Examples:
        >>> table = Confusion(true_positives=338, false_negatives=73, false_positives=115,
        ...                   true_negatives=472)
        >>> sensitivity_score(table).text()
        '0.822 (0.783 to 0.856)'
    """
    return share(confusion.true_positives, confusion.positives, level=level, nobody=_NO_POSITIVE)


def specificity_score(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Share of cases without disease that are not called; Wilson's interval."""
    return share(confusion.true_negatives, confusion.negatives, level=level, nobody=_NO_NEGATIVE)


def positive_predictive_value_score(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Share of called cases that have disease, at the prevalence of these cases; Wilson."""
    nobody = "no case is called positive"
    return share(confusion.true_positives, confusion.called, level=level, nobody=nobody)


def negative_predictive_value_score(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Share of cases not called that have no disease, at the prevalence of these cases; Wilson."""
    nobody = "every case is called positive"
    not_called = confusion.count - confusion.called
    return share(confusion.true_negatives, not_called, level=level, nobody=nobody)


def accuracy_score(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Share of right calls, at the prevalence of these cases; Wilson's interval."""
    right = confusion.true_positives + confusion.true_negatives
    return share(right, confusion.count, level=level)


def f1_score(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """Harmonic mean of sensitivity and positive predictive value (van Rijsbergen 1979).

    F1 is 2 J / (1 + J), where J, Jaccard's index, is the share of true positives among the
    cases that are positive or called. Its interval is Wilson's for J, carried over, which
    takes the number of those cases as given.

    Examples:
        >>> f1_score(Confusion(true_positives=8, false_negatives=2, false_positives=2,
        ...                    true_negatives=8)).text(2)
        '0.80 (0.56 to 0.93)'
    """
    there = confusion.true_positives + confusion.false_negatives + confusion.false_positives
    jaccard = share(confusion.true_positives, there, level=level, nobody=_NO_POSITIVE)
    method = "Wilson for Jaccard's index"
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
    )


def negative_likelihood_ratio(confusion: Confusion, *, level: float = 0.95) -> Estimate:
    """1 - sensitivity over specificity: how much a negative call lowers the odds of disease."""
    return ratio_of_shares(
        (confusion.false_negatives, confusion.positives),
        (confusion.true_negatives, confusion.negatives),
        level=level,
    )


def threshold_measures(confusion: Confusion, *, level: float = 0.95) -> tuple[Measure, ...]:
    """Everything that a 2 x 2 table tells, with closed-form intervals.

    Args:
        confusion: the table.
        level: of the intervals.
    """
    table = confusion
    not_called = table.count - table.called
    right = table.true_positives + table.true_negatives
    rows = (
        ("sensitivity_score", "Sensitivity", sensitivity_score,
         f"{table.true_positives}/{table.positives}"),
        ("specificity_score", "Specificity", specificity_score,
         f"{table.true_negatives}/{table.negatives}"),
        ("positive_predictive_value_score", "Positive predictive value",
         positive_predictive_value_score, f"{table.true_positives}/{table.called}"),
        ("negative_predictive_value_score", "Negative predictive value",
         negative_predictive_value_score, f"{table.true_negatives}/{not_called}"),
        ("accuracy_score", "Accuracy", accuracy_score, f"{right}/{table.count}"),
        ("f1_score", "F1", f1_score, ""),
        ("positive_likelihood_ratio", "Positive likelihood ratio", positive_likelihood_ratio, ""),
        ("negative_likelihood_ratio", "Negative likelihood ratio", negative_likelihood_ratio, ""),
    )  # fmt: skip
    return tuple(
        Measure(name=name, words=words, estimate=metric(table, level=level), counted=counted)
        for name, words, metric, counted in rows
    )


def exact_rates(confusion: Confusion, *, level: float = 0.95) -> tuple[Estimate, Estimate]:
    """Sensitivity and specificity with Clopper and Pearson's intervals, for those who ask."""
    return (
        exact_share(confusion.true_positives, confusion.positives, level=level,
                    nobody=_NO_POSITIVE),
        exact_share(confusion.true_negatives, confusion.negatives, level=level,
                    nobody=_NO_NEGATIVE),
    )  # fmt: skip
