"""A named figure of an evaluation: what tables, pages and cards are made of."""

from __future__ import annotations

from dataclasses import dataclass

from bonescint.intervals import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A metric, its value and interval, and what it was counted from.

    Attributes:
        name: as in code; `_score` grows and `_error` falls with quality.
        words: for people, such as `"Sensitivity"`.
        estimate: value, interval, method.
        counted: numerator and denominator where it is a share, such as `"42/50"`.
    """

    name: str
    words: str
    estimate: Estimate
    counted: str = ""


def measure_named(measures: tuple[Measure, ...], name: str) -> Measure:
    """The measure of a name.

    Raises:
        KeyError: there is none.

    Examples:
        >>> area = Measure(name="roc_auc_score", words="AUC", estimate=Estimate(value=0.9))
        >>> measure_named((area,), "roc_auc_score").estimate.value
        0.9
    """
    for measure in measures:
        if measure.name == name:
            return measure
    raise KeyError(name)
