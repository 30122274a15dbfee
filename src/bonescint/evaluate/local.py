"""A model at a place of its own: the numbers of `bonescint model calibrate`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bonescint.evaluate.calibration import brier_error
from bonescint.evaluate.choosing import OperatingRule, operating_point
from bonescint.evaluate.platt import CalibrationFit, fit_calibration
from bonescint.evaluate.scored import ScoredCases
from bonescint.evaluate.uncertain import uncertain_band
from bonescint.intervals import Estimate
from bonescint.scan import UNCALIBRATED, ParameterError, PlattCalibration

LEAST_FOR_BAND = 100
"""Scans from which the tenth of them nearest to the operating point is ten or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCalibration:
    """What a model needs to work at a place of its own.

    The operating point and the band are chosen on the margins, then expressed as calibrated
    probabilities. So they call the same scans whatever the calibration, and whatever prevalence
    it is moved to.

    Attributes:
        fit: slope and intercept, on top of the model's own calibration.
        calibration: the same, moved to the prevalence where the model will be used.
        prevalence: that it was moved to; `None` if it was left at that of the scans.
        operating_point: calibrated probability from which a scan is called positive; 1 where the
            rule calls none.
        rule: that chose it, in words.
        uncertain_band: calibrated probabilities between which a call is uncertain, or `None`.
        uncertain_rule: how the band was chosen, or why there is none.
        before: Brier score with the probabilities as they were.
        after: the same with the fit at the scans' own prevalence; of the scans that it was fitted
            to, so a little too good.
    """

    fit: CalibrationFit
    calibration: PlattCalibration
    prevalence: float | None
    operating_point: float
    rule: str
    uncertain_band: tuple[float, float] | None
    uncertain_rule: str
    before: Estimate
    after: Estimate


def calibrate_locally(
    cases: ScoredCases,
    rule: OperatingRule,
    *,
    prevalence: float | None = None,
    the_scans: str = "the scans",
    level: float = 0.95,
) -> LocalCalibration:
    """Fit a calibration, and choose an operating point and its band on scans of one's own.

    Args:
        cases: of both classes, scored by *margins*, the logits of the model's probabilities;
            scans that will not be judged.
        rule: that chooses the operating point.
        prevalence: share of scans with disease where the model will be used, if it differs from
            that of the cases (`PlattCalibration.moved_to`).
        the_scans: what the cases are, after "of".
        level: of the intervals.

    Raises:
        ParameterError: one class only, all scores equal, or a prevalence that is not between 0
            and 1.

    Examples:
        >>> from bonescint.evaluate.choosing import Balanced
        >>> rng = np.random.default_rng(1)
        >>> chance = rng.beta(1, 1, 2000)
        >>> bold = 2 * np.log(chance / (1 - chance)) + 3
        >>> found = calibrate_locally(
        ...     ScoredCases(scores=bold, positive=rng.random(2000) < chance), Balanced())
        >>> found.fit.slope.text(1), round(found.operating_point, 1)
        ('0.5 (0.4 to 0.5)', 0.5)
    """
    cases.require_both_classes("calibrate_locally")
    if np.ptp(cases.scores) == 0:
        got = float(cases.scores[0])
        raise ParameterError("scores", "calibrate_locally", "not all equal", got)
    fit = fit_calibration(cases, level=level)
    calibration = fit.calibration
    if prevalence is not None:
        calibration = calibration.moved_to(prevalence, fitted_at=fit.prevalence)
    threshold = operating_point(cases, rule)
    band, band_rule = uncertain_band(cases, threshold, calibration, scans=the_scans)
    if band is not None and cases.count < LEAST_FOR_BAND:
        band, band_rule = None, f"no uncertain band, which needs {LEAST_FOR_BAND} scans"
    return LocalCalibration(
        fit=fit,
        calibration=calibration,
        prevalence=prevalence,
        operating_point=calibration.probability(threshold),
        rule=rule.words,
        uncertain_band=band,
        uncertain_rule=band_rule,
        before=brier_error(_at(cases, UNCALIBRATED), level=level),
        after=brier_error(_at(cases, fit.calibration), level=level),
    )


def _at(cases: ScoredCases, calibration: PlattCalibration) -> ScoredCases:
    return cases.with_scores(calibration.probability(cases.scores))
