"""Rules that choose an operating point, and the band of uncertain calls around it.

Choose on validation cases; judge on others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from bonescint.evaluate.scored import ScoredCases
from bonescint.roc import RocCurve
from bonescint.scan import PlattCalibration
from bonescint.scan.checked import check_number


@runtime_checkable
class OperatingRule(Protocol):
    """Which point of a ROC curve to work at."""

    @property
    def words(self) -> str:
        """The rule, for people."""
        ...

    def choose(self, curve: RocCurve) -> int:
        """Index of the chosen point of the curve."""
        ...


@dataclass(frozen=True, slots=True)
class Balanced:
    """Where sensitivity and specificity are closest to each other."""

    words: ClassVar[str] = "where sensitivity equals specificity"

    def choose(self, curve: RocCurve) -> int:
        """Index of the chosen point."""
        return int(np.argmin(np.abs(curve.sensitivity - curve.specificity)))


@dataclass(frozen=True, slots=True)
class Youden:
    """Where sensitivity + specificity is largest (Youden, Cancer 1950;3:32).

    Of several such points, the one where the two are closest.
    """

    words: ClassVar[str] = "where sensitivity + specificity is largest (Youden)"

    def choose(self, curve: RocCurve) -> int:
        """Index of the chosen point."""
        # Whole numbers, so that equal points are equal: TP N - FP P.
        index = curve.true_positives * curve.negatives - curve.false_positives * curve.positives
        best = np.flatnonzero(index == index.max())
        gap = np.abs(curve.sensitivity - curve.specificity)[best]
        return int(best[np.argmin(gap)])


@dataclass(frozen=True, slots=True)
class GivenSpecificity:
    """The most sensitive point whose specificity is at least as given.

    Attributes:
        specificity: above 0, at most 1.
    """

    specificity: float

    def __post_init__(self) -> None:
        check_number(self, "specificity", 0.01, 1)

    @property
    def words(self) -> str:
        """The rule, for people."""
        return f"where specificity is at least {self.specificity:g}"

    def choose(self, curve: RocCurve) -> int:
        """Index of the chosen point."""
        # A rounding error must not lose the point that is exactly there.
        allowed = (1 - self.specificity) * curve.negatives + 1e-9 * curve.negatives
        enough = np.flatnonzero(curve.false_positives <= allowed)
        most = curve.true_positives[enough].max()
        return int(enough[curve.true_positives[enough] == most][0])


@dataclass(frozen=True, slots=True)
class GivenSensitivity:
    """The most specific point whose sensitivity is at least as given.

    Attributes:
        sensitivity: above 0, at most 1.
    """

    sensitivity: float

    def __post_init__(self) -> None:
        check_number(self, "sensitivity", 0.01, 1)

    @property
    def words(self) -> str:
        """The rule, for people."""
        return f"where sensitivity is at least {self.sensitivity:g}"

    def choose(self, curve: RocCurve) -> int:
        """Index of the chosen point."""
        wanted = self.sensitivity * curve.positives - 1e-9 * curve.positives
        return int(np.flatnonzero(curve.true_positives >= wanted)[0])


def operating_point(cases: ScoredCases, rule: OperatingRule) -> float:
    """The threshold that a rule chooses, half way to the next lower score.

    Half way, so that a case of another set that scores a little less than the last one called
    here is not lost to rounding.

    Args:
        cases: to choose on: validation cases, not those that are judged.
        rule: which point.

    Returns:
        A case is called positive if its score is at least this. The lowest score itself where
        all are called, infinity where none is.

    Raises:
        ParameterError: one class only.

    Examples:
        >>> cases = ScoredCases(scores=[0.1, 0.2, 0.8, 0.9], positive=[0, 0, 1, 1])
        >>> operating_point(cases, Balanced())
        0.5
    """
    curve = RocCurve.of(cases.scores, cases.positive)
    chosen = rule.choose(curve)
    threshold = float(curve.thresholds[chosen])
    if chosen == 0 or chosen == curve.thresholds.size - 1:
        return threshold
    between = (threshold + float(curve.thresholds[chosen + 1])) / 2
    # There may be no number between two neighbouring scores.
    return between if between > curve.thresholds[chosen + 1] else threshold


UNCERTAIN_SHARE = 0.1
"""Share of the scans that the band holds."""


def uncertain_band(
    cases: ScoredCases,
    threshold: float,
    calibration: PlattCalibration,
    *,
    scans: str = "the validation scans",
    share: float = UNCERTAIN_SHARE,
) -> tuple[tuple[float, float] | None, str]:
    """The probabilities round an operating point in which a share of the scans lies.

    A reject option (Chow, IEEE Trans Inf Theory 1970;16:41): the scans whose logit is nearest to
    the operating point's are the ones most often called wrongly.

    Args:
        cases: scored by *margins*, and not trained on.
        threshold: margin from which a scan is called positive.
        calibration: from margins to probabilities.
        scans: what the cases are, after "of".
        share: share of the scans in the band, above 0, at most 1.

    Returns:
        Lower and upper probability, and the rule with what was measured, in words; or no band and
        the reason.

    Examples:
        >>> margins = np.linspace(-5, 5, 101)
        >>> cases = ScoredCases(scores=margins, positive=margins > 0)
        >>> band, rule = uncertain_band(cases, 0.0, PlattCalibration())
        >>> [round(bound, 2) for bound in band]
        [0.38, 0.62]
    """
    if math.isinf(threshold):
        return None, "no uncertain band around a point above every score"
    away = np.abs(cases.scores - threshold)
    reach = float(np.sort(away)[max(0, round(share * away.size) - 1)])
    inside = away <= reach
    right = (cases.scores >= threshold) == cases.positive
    said = f"the {100 * share:.3g} % of {scans} nearest to the operating point"
    for part, name in ((inside, "of these"), (~inside, "of the others")):
        if part.any():
            said += f"; {name} {100 * float(right[part].mean()):.1f} % were called correctly"
    low, high = threshold - reach, threshold + reach
    return (calibration.probability(low), calibration.probability(high)), said
