"""A model at a place of its own: the numbers of `bonescint model calibrate`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bonescint.evaluate.calibration import brier_error
from bonescint.evaluate.choosing import OperatingRule, operating_point
from bonescint.evaluate.interval import Estimate
from bonescint.evaluate.roc import roc_auc_score
from bonescint.evaluate.scored import ScoredCases
from bonescint.evaluate.temperature import (
    HIGHEST,
    LOWEST,
    at_temperature,
    fit_temperature,
    margins,
)
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCalibration:
    """What a model needs to work at a place of its own: temperature and operating point.

    Attributes:
        temperature: that the model's margins are divided by, on top of its own temperature.
        operating_point: probability, after the temperature, from which a scan is called positive.
        rule: that chose it, in words.
        count: scans that both were fitted to.
        positives: of them with disease.
        before: Brier score with the probabilities as they were.
        after: the same with the temperature; of the scans that it was fitted to, so a little
            too good.
    """

    temperature: Estimate
    operating_point: float
    rule: str
    count: int
    positives: int
    before: Estimate
    after: Estimate


def calibrate_locally(
    cases: ScoredCases, rule: OperatingRule, *, level: float = 0.95
) -> LocalCalibration:
    """Fit a temperature and choose an operating point on scans of one's own.

    Args:
        cases: of both classes, scored by the model's probabilities; scans that will not be
            judged.
        rule: that chooses the operating point.
        level: of the intervals.

    Raises:
        ParameterError: one class only, scores that are no probabilities, all scores equal, or
            a temperature at an end of its range: one number cannot calibrate these scores.

    Examples:
        >>> from bonescint.evaluate.choosing import Balanced
        >>> rng = np.random.default_rng(1)
        >>> chance = rng.beta(1, 1, 2000)
        >>> bold = at_temperature(chance, 0.5)
        >>> found = calibrate_locally(
        ...     ScoredCases(scores=bold, positive=rng.random(2000) < chance), Balanced())
        >>> round(found.temperature.value), round(found.operating_point, 1)
        (2, 0.5)
    """
    cases.require_both_classes("calibrate_locally")
    cases.require_probabilities("calibrate_locally")
    if np.ptp(cases.scores) == 0:
        got = float(cases.scores[0])
        raise ParameterError("scores", "calibrate_locally", "not all equal", got)
    temperature = fit_temperature(cases.with_scores(margins(cases.scores)), level=level)
    if temperature.note:
        requirement = (
            f"between {LOWEST:g} and {HIGHEST:g}, but the one that fits these {cases.count} "
            f"scans best lies beyond (area under the ROC curve {roc_auc_score(cases).value:.3f}): "
            "one number cannot calibrate such probabilities, so nothing was changed; give more "
            "scans, or scans that are more like those the model was trained on"
        )
        raise ParameterError("temperature", "calibrate_locally", requirement, temperature.value)
    after = cases.with_scores(at_temperature(cases.scores, temperature.value))
    return LocalCalibration(
        temperature=temperature,
        operating_point=operating_point(after, rule),
        rule=rule.words,
        count=cases.count,
        positives=cases.positives,
        before=brier_error(cases, level=level),
        after=brier_error(after, level=level),
    )
