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
    """Logits of probabilities; 0 and 1 are moved inside by 1e-12.

    Examples:
        >>> margins([0.5]).tolist()
        [0.0]
    """
    inside = np.clip(np.asarray(probabilities, dtype=np.float64), _INSIDE, 1 - _INSIDE)
    return np.asarray(logit(inside), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogisticFit:
    """Coefficients and how sure they are.

    Attributes:
        coefficients: float64 (terms,).
        covariance: float64 (terms, terms), the inverse of Fisher's information; with patients
            the sandwich of their sums of scores (Liang and Zeger, Biometrika 1986;73:13).
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
        penalty: (terms,), half of it times the squared coefficient is added to the deviance's
            half; none if not given.
        patients: number of each case's patient, (cases,), where some have several.

    Returns:
        The fit; look at `converged`.

    Raises:
        ParameterError: arrays that do not fit each other, or terms that are not finite.

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
    shift = np.zeros(truth.size) if offset is None else np.asarray(offset, dtype=np.float64)
    ridge = np.zeros(design.shape[1]) if penalty is None else np.asarray(penalty, dtype=np.float64)
    beta = np.zeros(design.shape[1])
    reached = _objective(design, truth, shift, ridge, beta)
    converged = False
    for _ in range(_STEPS):
        chance = expit(design @ beta + shift)
        gradient = design.T @ (truth - chance) - ridge * beta
        step = _solved(_information(design, chance, ridge), gradient)
        if step is None or np.abs(design @ beta).max() > _RUNAWAY:
            break
        beta, reached, moved = _line_search(design, truth, shift, ridge, beta, step, reached)
        if moved < _SMALL * max(1.0, abs(reached)):
            converged = True
            break
    information = _information(design, expit(design @ beta + shift), ridge)
    inverse = np.asarray(np.linalg.pinv(information), dtype=np.float64)
    covariance = inverse
    if patients is not None:
        scores = summed(design.T * (truth - expit(design @ beta + shift)), patients)
        count = scores.shape[1]
        covariance = inverse @ scores @ scores.T @ inverse * (count / max(count - 1, 1))
    likelihood = _objective(design, truth, shift, np.zeros_like(ridge), beta)
    return LogisticFit(
        coefficients=beta,
        covariance=covariance,
        log_likelihood=likelihood,
        converged=converged and not (ridge.sum() == 0 and _separated(design, truth, beta, inverse)),
    )


def _separated(
    design: NDArray[np.float64],
    truth: NDArray[np.float64],
    beta: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> bool:
    """Whether a line tells the classes apart, so that likelihood grows without end."""
    predictor = design @ beta
    right = predictor[truth > 0].min(initial=np.inf) > predictor[truth == 0].max(initial=-np.inf)
    return bool(right) or bool(np.diag(covariance).max() > _LOST**2)


def _information(
    design: NDArray[np.float64], chance: NDArray[np.float64], ridge: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fisher's information (terms, terms), with the penalty's share."""
    return np.asarray((design * (chance * (1 - chance))[:, None]).T @ design + np.diag(ridge))


def _solved(
    information: NDArray[np.float64], gradient: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    try:
        step = np.linalg.solve(information, gradient)
    except np.linalg.LinAlgError:
        return None
    return np.asarray(step) if np.isfinite(step).all() else None


def _line_search(
    design: NDArray[np.float64],
    truth: NDArray[np.float64],
    shift: NDArray[np.float64],
    ridge: NDArray[np.float64],
    beta: NDArray[np.float64],
    step: NDArray[np.float64],
    reached: float,
) -> tuple[NDArray[np.float64], float, float]:
    """Halve Newton's step until it does not lose; how much was won."""
    for _ in range(30):
        trial = beta + step
        value = _objective(design, truth, shift, ridge, trial)
        if value >= reached:
            return trial, value, value - reached
        step = step / 2
    return beta, reached, 0.0


def _objective(
    design: NDArray[np.float64],
    truth: NDArray[np.float64],
    shift: NDArray[np.float64],
    ridge: NDArray[np.float64],
    beta: NDArray[np.float64],
) -> float:
    """Log likelihood minus the penalty."""
    predictor = design @ beta + shift
    likelihood = -np.logaddexp(0, np.where(truth > 0, -predictor, predictor)).sum()
    return float(likelihood - 0.5 * (ridge * beta**2).sum())
