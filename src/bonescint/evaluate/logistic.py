"""Logistic regression by Newton's method: for calibration lines and for the clinical control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from bonescint.evaluate.scored import summed
from bonescint.scan import ParameterError

_STEPS = 100
_SMALL = 1e-10
_INSIDE = 1e-12
_RUNAWAY = 1e4
_LOST = 1e3
"""A standard error of this says that the classes are all but separated."""


def margins(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Logits of probabilities, which are clipped to between 1e-12 and 1 - 1e-12.

    Examples:
        >>> margins([0.5]).tolist()
        [0.0]
    """
    inside = np.clip(np.asarray(probabilities, dtype=np.float64), _INSIDE, 1 - _INSIDE)
    return np.asarray(logit(inside), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogisticFit:
    """Coefficients of a logistic regression and their covariance.

    Attributes:
        coefficients: float64 (terms,).
        covariance: float64 (terms, terms), the inverse Fisher information; with `patients` the
            sandwich estimate clustered by patient (Liang and Zeger, Biometrika 1986;73:13).
        log_likelihood: at the optimum, without the penalty.
        converged: false where the classes are separated, so that no finite optimum exists.
    """

    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    log_likelihood: float
    converged: bool


def fit_logistic(
    terms: NDArray[np.float64],
    positive: NDArray[np.bool_],
    *,
    offset: NDArray[np.float64] | None = None,
    penalty: NDArray[np.float64] | None = None,
    patients: NDArray[np.intp] | None = None,
) -> LogisticFit:
    """Maximum likelihood, or with a penalty on squared coefficients (le Cessie 1992).

    Args:
        terms: (cases, terms); give a column of ones for the intercept.
        positive: bool (cases,).
        offset: (cases,), added to the linear predictor with coefficient 1.
        penalty: (terms,), half of it times the squared coefficient is subtracted from the log
            likelihood; none if not given.
        patients: number of each case's patient, (cases,), where some have several.

    Returns:
        The fit; check `converged`.

    Raises:
        ParameterError: arrays of different length, or terms that are not finite.

    Examples:
        >>> x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 0.5])
        >>> y = np.array([False, False, True, False, True, True])
        >>> fit = fit_logistic(np.column_stack([np.ones(6), x]), y)
        >>> fit.converged, fit.coefficients.round(2).tolist()
        (True, [-0.15, 1.19])
    """
    design = np.asarray(terms, dtype=np.float64)
    truth = np.asarray(positive, dtype=np.float64)
    if design.ndim != 2 or truth.shape != design.shape[:1] or not np.isfinite(design).all():
        got = (design.shape, truth.shape)
        raise ParameterError("terms", "fit_logistic", "finite, a row for each case", got)
    model = _PenalisedLikelihood(
        design=design,
        truth=truth,
        shift=np.zeros(truth.size) if offset is None else np.asarray(offset, dtype=np.float64),
        ridge=np.zeros(design.shape[1])
        if penalty is None
        else np.asarray(penalty, dtype=np.float64),
    )
    beta, converged = model.best()
    inverse = np.asarray(np.linalg.pinv(model.information(beta)), dtype=np.float64)
    covariance = inverse
    if patients is not None:
        scores = summed(design.T * (truth - model.chance(beta)), patients)
        count = scores.shape[1]
        covariance = inverse @ scores @ scores.T @ inverse * (count / max(count - 1, 1))
    separated = model.ridge.sum() == 0 and _separated(design, truth, beta, inverse)
    return LogisticFit(
        coefficients=beta,
        covariance=covariance,
        log_likelihood=model.log_likelihood(beta),
        converged=converged and not separated,
    )


def _separated(
    design: NDArray[np.float64],
    truth: NDArray[np.float64],
    beta: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> bool:
    """Whether the classes are linearly separated, so that the likelihood has no maximum."""
    predictor = design @ beta
    right = predictor[truth > 0].min(initial=np.inf) > predictor[truth == 0].max(initial=-np.inf)
    return bool(right) or bool(np.diag(covariance).max() > _LOST**2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _PenalisedLikelihood:
    """The log likelihood minus the penalty, as a function of the coefficients `beta`.

    Attributes:
        design: float64 (cases, terms).
        truth: float64 (cases,), 0 or 1.
        shift: float64 (cases,), the offset.
        ridge: float64 (terms,), the penalty.
    """

    design: NDArray[np.float64]
    truth: NDArray[np.float64]
    shift: NDArray[np.float64]
    ridge: NDArray[np.float64]

    def chance(self, beta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of each case, (cases,)."""
        return np.asarray(expit(self.design @ beta + self.shift))

    def log_likelihood(self, beta: NDArray[np.float64]) -> float:
        """The log likelihood without the penalty."""
        predictor = self.design @ beta + self.shift
        return float(-np.logaddexp(0, np.where(self.truth > 0, -predictor, predictor)).sum())

    def value(self, beta: NDArray[np.float64]) -> float:
        """The log likelihood with the penalty."""
        return self.log_likelihood(beta) - 0.5 * float((self.ridge * beta**2).sum())

    def information(self, beta: NDArray[np.float64]) -> NDArray[np.float64]:
        """The Fisher information (terms, terms), including the penalty."""
        chance = self.chance(beta)
        weighted = self.design * (chance * (1 - chance))[:, None]
        return np.asarray(weighted.T @ self.design + np.diag(self.ridge))

    def best(self) -> tuple[NDArray[np.float64], bool]:
        """The optimum by Newton's method from 0, and whether it was reached."""
        beta = np.zeros(self.design.shape[1])
        reached = self.value(beta)
        for _ in range(_STEPS):
            gradient = self.design.T @ (self.truth - self.chance(beta)) - self.ridge * beta
            try:
                solved = np.linalg.solve(self.information(beta), gradient)
            except np.linalg.LinAlgError:
                break
            step = np.asarray(solved, dtype=np.float64)
            if not np.isfinite(step).all() or np.abs(self.design @ beta).max() > _RUNAWAY:
                break
            before = reached
            beta, reached = self._searched(beta, step, reached)
            if reached - before < _SMALL * max(1.0, abs(reached)):
                return beta, True
        return beta, False

    def _searched(
        self, beta: NDArray[np.float64], step: NDArray[np.float64], reached: float
    ) -> tuple[NDArray[np.float64], float]:
        """Halve a step until the value does not fall; return the new coefficients and the value."""
        for _ in range(30):
            value = self.value(beta + step)
            if value >= reached:
                return beta + step, value
            step = step / 2
        return beta, reached
