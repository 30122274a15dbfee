"""The ROC curve and the precision-recall curve, with the areas under them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bonescint.evaluate.bootstrap import Resampling, SortedCases
from bonescint.evaluate.placements import Placements
from bonescint.evaluate.scored import ScoredCases
from bonescint.intervals import Estimate, normal_quantile
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RocCurve:
    """Every operating point that cases allow, from calling none to calling all.

    Attributes:
        thresholds: float64 (points,), descending; a case is called positive from the threshold
            on. The first one is infinite: none is called.
        true_positives: int64 (points,), cases with disease that are called.
        false_positives: int64 (points,), cases without that are called.
        positives: cases with disease.
        negatives: cases without.
    """

    thresholds: NDArray[np.float64]
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    positives: int
    negatives: int

    @classmethod
    def of(cls, cases: ScoredCases) -> RocCurve:
        """The empirical curve (Fawcett, Pattern Recognit Lett 2006;27:861).

        Raises:
            ParameterError: one class only.

        Examples:
            >>> curve = RocCurve.of(ScoredCases(scores=[0.1, 0.4, 0.35, 0.8],
            ...                                 positive=[0, 0, 1, 1]))
            >>> curve.sensitivity.tolist(), curve.specificity.tolist()
            ([0.0, 0.5, 0.5, 1.0, 1.0], [1.0, 1.0, 0.5, 0.5, 0.0])
        """
        cases.require_both_classes("RocCurve.of")
        order = np.argsort(-cases.scores, kind="stable")
        scores, truth = cases.scores[order], cases.positive[order]
        last = np.append(np.flatnonzero(np.diff(scores)), scores.size - 1)
        true = np.cumsum(truth)[last]
        return cls(
            thresholds=np.concatenate([[np.inf], scores[last]]),
            true_positives=np.concatenate([[0], true]),
            false_positives=np.concatenate([[0], last + 1 - true]),
            positives=cases.positives,
            negatives=cases.negatives,
        )

    @property
    def sensitivity(self) -> NDArray[np.float64]:
        """True positive rate at each threshold."""
        return self.true_positives / self.positives

    @property
    def specificity(self) -> NDArray[np.float64]:
        """True negative rate at each threshold."""
        return 1 - self.false_positives / self.negatives

    @property
    def precision(self) -> NDArray[np.float64]:
        """Positive predictive value at each threshold, 1 where none is called."""
        called = self.true_positives + self.false_positives
        return np.where(called > 0, self.true_positives / np.maximum(called, 1), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurveBand:
    """Pointwise interval of a curve.

    Attributes:
        at: float64 (points,), where on the horizontal axis.
        low: float64 (points,).
        high: float64 (points,).
    """

    at: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def roc_auc_score(cases: ScoredCases, *, level: float = 0.95) -> Estimate:
    """Area under the ROC curve with DeLong's interval.

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837; where patients have several
    cases, Obuchowski, Biometrics 1997;53:567. The interval is built on the logit, which keeps it
    inside [0, 1] and serves high areas better (Pepe 2003, section 5.2.4).

    Args:
        cases: of both classes.
        level: of the interval.

    Returns:
        The area. Where every pair is ranked right, or every one wrong, the variance is 0 and
        there is no interval.

    Raises:
        ParameterError: one class only.

    Examples:
        >>> cases = ScoredCases(scores=[1, 2, 3, 4, 5, 6], positive=[0, 0, 1, 0, 1, 1])
        >>> roc_auc_score(cases).text()
        '0.889 (0.261 to 0.995)'
    """
    cases.require_both_classes("roc_auc_score")
    placements = Placements.of(cases.scores, cases.positive, cases.patients)
    (area,), ((variance,),) = placements.areas.tolist(), placements.covariance.tolist()
    method = "DeLong, on the logit"
    if cases.patients is not None:
        method = "DeLong by patient (Obuchowski 1997), on the logit"
    note = ""
    if not math.isfinite(variance):
        one = "case" if cases.patients is None else "patient"
        note = f"a class has one {one}: no interval"
    elif area in (0.0, 1.0):
        note = "the classes do not overlap: DeLong's variance is 0, no interval"
    elif variance <= 0:
        note = "all scores are equal" if area == 0.5 else "the variance is 0"
    if note:
        return Estimate(value=area, level=level, method=method, note=note)
    half = normal_quantile(level) * math.sqrt(variance) / (area * (1 - area))
    middle = math.log(area / (1 - area))
    low, high = expit([middle - half, middle + half]).tolist()
    return Estimate(value=area, low=low, high=high, level=level, method=method)


def average_precision_score(
    cases: ScoredCases, *, resampling: Resampling | None = None
) -> Estimate:
    """Average precision: the mean, over cases with disease, of the precision down to each.

    Without interpolation (Davis and Goadrich, ICML 2006). A useless score has the prevalence,
    so it says nothing without it.

    Args:
        cases: of both classes.
        resampling: of the interval; stratified, 2000 times, if not given. Patients are drawn
            where cases name them.

    Raises:
        ParameterError: one class only.
    """
    resampling = resampling or Resampling()
    ranked = SortedCases.of(cases)
    value = ranked.average_precision(ranked.whole)
    drawn = np.array(
        [
            ranked.average_precision(ranked.sort(draw))
            for draw in resampling.draws(cases.positive, cases.patients)
        ]
    )
    return resampling.estimate(value, drawn)


def roc_band(cases: ScoredCases, *, resampling: Resampling, points: int = 101) -> CurveBand:
    """Pointwise interval of sensitivity along 1 - specificity, by resampling.

    Args:
        cases: of both classes.
        resampling: of the band.
        points: on the horizontal axis.

    Raises:
        ParameterError: one class only, or fewer than two points.
    """
    if points < 2:
        raise ParameterError("points", "roc_band", "at least 2", points)
    ranked = SortedCases.of(cases)
    at = np.linspace(0, 1, points)
    drawn = np.full((resampling.resamples, points), np.nan)
    thresholds = np.unique(cases.scores)
    from_positive = np.searchsorted(ranked.positive_scores, thresholds)
    from_negative = np.searchsorted(ranked.negative_scores, thresholds)
    for row, draw in enumerate(resampling.draws(cases.positive, cases.patients)):
        counts = ranked.sort(draw)
        if counts.positive.any() and counts.negative.any():
            true = _called_share(counts.positive, from_positive)
            false = _called_share(counts.negative, from_negative)
            drawn[row] = np.interp(at, false, true)
    tails = [50 * (1 - resampling.level), 50 * (1 + resampling.level)]
    low, high = np.nanpercentile(drawn, tails, axis=0)
    return CurveBand(at=at, low=low, high=high)


def _called_share(counts: NDArray[np.int64], start: NDArray[np.intp]) -> NDArray[np.float64]:
    """Share of drawn cases called at each threshold, from none (0) to all (1)."""
    drawn = np.concatenate([[0], np.cumsum(counts)])
    return np.concatenate([[0.0], (1 - drawn[start] / drawn[-1])[::-1]])
