"""Decision curves: whether acting on a model does more good than acting on all, or on nobody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.by_patient import mean_variance
from bonescint.evaluate.scored import ScoredCases
from bonescint.intervals import normal_quantile
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecisionCurve:
    """Net benefit along threshold probabilities (Vickers and Elkin, Med Decis Making 2006;26:565).

    Net benefit is in true positives per case: true positives minus false positives that are
    weighed by the odds of the threshold probability, at which a reader would just act.

    Attributes:
        thresholds: float64 (points,), threshold probabilities.
        model: net benefit of calling from the threshold on, (points,).
        low: lower end of its pointwise interval.
        high: upper end.
        everybody: net benefit of calling all, (points,).
        level: of the interval.

    The net benefit of calling nobody is 0.
    """

    thresholds: NDArray[np.float64]
    model: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    everybody: NDArray[np.float64]
    level: float


def decision_curve(
    cases: ScoredCases, thresholds: NDArray[np.float64] | None = None, *, level: float = 0.95
) -> DecisionCurve:
    """Net benefit of a model with its pointwise interval.

    The interval is that of a mean over cases, since net benefit is one (Sande et al., Stat Med
    2020;39:2980); of sums over patients where they have several cases.

    Args:
        cases: scored by calibrated probabilities.
        thresholds: threshold probabilities, between 0 and 1; 0.01 to 0.99 if not given.
        level: of the interval.

    Raises:
        ParameterError: scores that are no probabilities, or a threshold outside (0, 1).

    Examples:
        >>> cases = ScoredCases(scores=[0.1, 0.2, 0.8, 0.9], positive=[0, 0, 1, 1])
        >>> decision_curve(cases, np.array([0.5])).model.tolist()
        [0.5]
    """
    cases.require_probabilities("decision_curve")
    at = np.arange(1, 100) / 100 if thresholds is None else np.asarray(thresholds, np.float64)
    if at.ndim != 1 or not ((at > 0) & (at < 1)).all():
        raise ParameterError("thresholds", "decision_curve", "between 0 and 1", thresholds)
    odds = at / (1 - at)
    benefit, variance = np.empty(at.size), np.empty(at.size)
    for place, (threshold, cost) in enumerate(zip(at, odds, strict=True)):
        gain = (cases.scores >= threshold) * np.where(cases.positive, 1.0, -cost)
        benefit[place], variance[place] = gain.mean(), mean_variance(gain, cases.patients)
    half = normal_quantile(level) * np.sqrt(variance)
    return DecisionCurve(
        thresholds=at,
        model=benefit,
        low=benefit - half,
        high=benefit + half,
        everybody=cases.prevalence - odds * (1 - cases.prevalence),
        level=level,
    )
