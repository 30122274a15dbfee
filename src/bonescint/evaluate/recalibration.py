"""Platt's map, fitted with penalties, and what a model needs to work on scans of one's own.

The penalised likelihood is concave in slope and intercept together, so it has one optimum, which
is always finite, with a slope above 0, also where the classes do not overlap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import chi2

from bonescint.evaluate.calibration import brier_error
from bonescint.evaluate.logistic import fit_logistic
from bonescint.evaluate.operating_points import OperatingRule, operating_point, uncertain_band
from bonescint.evaluate.scored import ScoredCases, summed
from bonescint.intervals import Estimate
from bonescint.scan import UNCALIBRATED, ParameterError, PlattCalibration

NO_CHANGE = "no change: these scans give no reason for one"
SEPARATED = "these scans alone have no finite slope, since the classes do not overlap"
REVERSED = "these scans alone have no slope above 0: the probabilities do not rank them"

_LEAST = 1e-12
_STEPS = 200
_HALVINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationFit:
    """Platt's map, fitted to scans with known labels.

    Attributes:
        slope: slope with its interval; its note says what is special about these scans.
        intercept: intercept with its interval, at the prevalence of these scans.
        kept: shrinkage factor: the share of the penalised fit's change that was kept, 0 to 1.
        unpenalised: slope and intercept of maximum likelihood, without penalty and shrinkage; NaN
            if they do not exist, which the note of the slope explains.
        count: number of scans that it was fitted to.
        positives: number of them with disease.
        patients: number of their patients.
    """

    slope: Estimate
    intercept: Estimate
    kept: float
    unpenalised: tuple[float, float]
    count: int
    positives: int
    patients: int

    @property
    def calibration(self) -> PlattCalibration:
        """The map itself."""
        return PlattCalibration(slope=self.slope.value, intercept=self.intercept.value)

    @property
    def prevalence(self) -> float:
        """Share of the scans with disease."""
        return self.positives / self.count


def fit_calibration(cases: ScoredCases, *, level: float = 0.95) -> CalibrationFit:
    """Slope and intercept of penalised likelihood, shrunk towards no change.

    Two penalties are added to the log likelihood of Platt's line, both towards no change:

    - on the slope b, `log b - b`: a gamma prior of shape 2 with its mode at 1, 95 % of which lies
      from 0.24 to 5.6;
    - on the intercept a, `a - 2 log(1 + exp(a))`: the log-F(2, 2) prior (Greenland and
      Mansournia, Stat Med 2015;34:3133), worth a scan with and a scan without disease; 95 % of it
      lies from -3.7 to 3.7.

    Of the change that they leave the share `1 - 2 / x` is kept, or none: x is twice what the
    change gains in penalised log likelihood (van Houwelingen and le Cessie, Stat Med 1990;9:1303;
    for recalibration Steyerberg et al., Stat Med 2004;23:2567). So few scans change little, and
    the estimates of few scans are biased towards 1 and 0. The intervals are those of the
    penalised profile likelihood before shrinkage (Heinze and Schemper, Stat Med 2002;21:2409); at
    95 % they always hold the estimates. Where patients have several scans, each scan
    weighs less, the more a patient's scans agree (Chandler and Bate, Biometrika 2007;94:167).

    Args:
        cases: cases of both classes, scored by *margins* (logit of disease minus the other one),
            and not trained on.
        level: coverage of the intervals.

    Raises:
        ParameterError: one class only.

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> truth = rng.normal(0, 2, 4000)
        >>> cases = ScoredCases(scores=2 * truth + 6, positive=rng.random(4000) < expit(truth))
        >>> found = fit_calibration(cases)
        >>> found.slope.text(2), found.intercept.text(1)
        ('0.51 (0.48 to 0.54)', '-3.1 (-3.3 to -2.9)')
    """
    cases.require_both_classes("fit_calibration")
    model = _Penalised(margins=cases.scores, signs=np.where(cases.positive, 1.0, -1.0))
    model = model.by_patient(cases.patients)
    best = model.best()
    gained = 2 * (model.value(best) - model.value(_NO_CHANGE))
    kept = 1 - 2 / gained if gained > 2 else 0.0
    intercept, slope = _NO_CHANGE + kept * (best - _NO_CHANGE)
    method = "penalised profile likelihood" + ("" if cases.patients is None else ", by patient")
    unpenalised, note = _unpenalised(cases)
    notes = [note] if note else []
    notes += [NO_CHANGE] if kept == 0 else []

    def estimate(term: int, value: float, note: str = "") -> Estimate:
        low, high = model.interval(term, best, level)
        return Estimate(value=value, low=low, high=high, level=level, method=method, note=note)

    return CalibrationFit(
        slope=estimate(_SLOPE, float(slope), "; ".join(notes)),
        intercept=estimate(_INTERCEPT, float(intercept)),
        kept=kept,
        unpenalised=unpenalised,
        count=cases.count,
        positives=cases.positives,
        patients=cases.count if cases.patients is None else np.unique(cases.patients).size,
    )


def _unpenalised(cases: ScoredCases) -> tuple[tuple[float, float], str]:
    """Slope and intercept of greatest likelihood, or why there are none."""
    middle, spread = float(cases.scores.mean()), float(cases.scores.std())
    none = (math.nan, math.nan)
    if spread < _LEAST:
        return none, "all scores are equal"
    terms = np.column_stack([np.ones(cases.count), (cases.scores - middle) / spread])
    found = fit_logistic(terms, cases.positive)
    if found.coefficients[1] <= 0:
        return none, REVERSED
    if not found.converged:
        return none, SEPARATED
    slope = float(found.coefficients[1]) / spread
    return (slope, float(found.coefficients[0]) - slope * middle), ""


_INTERCEPT, _SLOPE = 0, 1
_NO_CHANGE = np.array([0.0, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Penalised:
    """The penalised log likelihood of a line (intercept, slope).

    Attributes:
        margins: float64 (cases,).
        signs: 1 for disease and -1, (cases,).
        weight: weight of a case; below 1 where scans of one patient agree.
    """

    margins: NDArray[np.float64]
    signs: NDArray[np.float64]
    weight: float = 1.0

    def by_patient(self, patients: NDArray[np.intp] | None) -> _Penalised:
        """The same, with cases that weigh less, the more those of one patient agree.

        The factor is the mean over both terms of how much their sums of scores over patients
        vary, over what they would if scans were independent.
        """
        if patients is None:
            return self
        best = self.best()
        rest = self._rest(best)
        scores = np.stack([rest, rest * self.margins])
        chance = expit(best[0] + best[1] * self.margins)
        terms = np.stack([np.ones_like(rest), self.margins])
        inverse = np.linalg.pinv((terms * (chance * (1 - chance))) @ terms.T)
        together = summed(scores, patients)
        alone = float(np.trace(inverse @ scores @ scores.T))
        effect = float(np.trace(inverse @ together @ together.T)) / alone
        return replace(self, weight=1 / max(1.0, effect))

    def value(self, line: NDArray[np.float64]) -> float:
        """The penalised log likelihood; minus infinity for a slope of 0 or below."""
        intercept, slope = (float(term) for term in line)
        if slope <= 0:
            return -math.inf
        likelihood = -np.logaddexp(0, -self.signs * (intercept + slope * self.margins)).sum()
        penalty = math.log(slope) - slope + intercept - 2 * float(np.logaddexp(0, intercept))
        return self.weight * float(likelihood) + penalty

    def best(
        self, start: NDArray[np.float64] = _NO_CHANGE, *, held: int | None = None
    ) -> NDArray[np.float64]:
        """The best line by Newton's method, from a start, with one of its terms held there."""
        line, reached = start.astype(np.float64), self.value(start)
        free = [term for term in (_INTERCEPT, _SLOPE) if term != held]
        for _ in range(_STEPS):
            gradient, information = self._derivatives(line)
            step = np.zeros(2)
            step[free] = np.linalg.solve(information[np.ix_(free, free)], gradient[free])
            for _ in range(_HALVINGS):
                if self.value(line + step) >= reached:
                    break
                step /= 2
            else:
                return line
            line = line + step
            before, reached = reached, self.value(line)
            if reached - before < _LEAST * max(1.0, abs(reached)):
                return line
        return line

    def interval(self, term: int, best: NDArray[np.float64], level: float) -> tuple[float, float]:
        """Where the profile of a term has fallen by half of chi-square's quantile."""
        allowed = self.value(best) - float(chi2.ppf(level, 1)) / 2
        information = self._derivatives(best)[1]
        scale = math.sqrt(float(np.linalg.inv(information)[term, term]))

        def moved(by: float) -> NDArray[np.float64]:
            line = best.copy()
            if term == _SLOPE:  # on its logarithm, so that it stays above 0
                line[term] *= math.exp(by / best[term])
            else:
                line[term] += by
            return line

        def above(by: float) -> float:
            return self.value(self.best(moved(by), held=term)) - allowed

        return _end(above, moved, term, -scale), _end(above, moved, term, scale)

    def _rest(self, line: NDArray[np.float64]) -> NDArray[np.float64]:
        """Truth minus probability of each case."""
        return np.asarray(
            self.signs * expit(-self.signs * (line[0] + line[1] * self.margins)), dtype=np.float64
        )

    def _derivatives(
        self, line: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gradient (2,), and the Hessian with its sign turned (2, 2)."""
        intercept, slope = line
        rest = self._rest(line)
        spread = self.weight * np.abs(rest) * (1 - np.abs(rest))
        of_intercept = self.weight * rest.sum() + 1 - 2 * expit(intercept)
        of_slope = self.weight * rest @ self.margins + 1 / slope - 1
        corner = spread @ self.margins
        first = spread.sum() + 2 * expit(intercept) * expit(-intercept)
        second = spread @ self.margins**2 + 1 / slope**2
        return np.array([of_intercept, of_slope]), np.array([[first, corner], [corner, second]])


def _end(
    above: Callable[[float], float],
    moved: Callable[[float], NDArray[np.float64]],
    term: int,
    scale: float,
) -> float:
    """One end of an interval: where `above` changes its sign, on the side of `scale`."""
    far = 2 * scale
    while above(far) > 0:
        far *= 1.6
    found = brentq(above, 0.0, far, xtol=1e-7 * abs(scale))
    return float(moved(float(found))[term])


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
        cases: cases of both classes, scored by *margins*, the logits of the model's probabilities;
            scans that will not be judged.
        rule: that chooses the operating point.
        prevalence: share of scans with disease where the model will be used, if it differs from
            that of the cases (`PlattCalibration.moved_to`).
        the_scans: what the cases are, after "of".
        level: coverage of the intervals.

    Raises:
        ParameterError: one class only, all scores equal, or a prevalence that is not between 0
            and 1.

    Examples:
        >>> from bonescint.evaluate.operating_points import Balanced
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
