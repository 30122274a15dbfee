"""Scans of one patient are not independent: what closed-form intervals need to know of it.

Everything here is exact in two cases: where every patient has one scan the effect is 1, and
where each scan stands there k times the effect is k, so that the interval is that of the scans
without their copies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonescint.scan import ParameterError


def patient_numbers(patients: ArrayLike) -> NDArray[np.intp] | None:
    """Number of each scan's patient, or `None` where no patient has more than one scan.

    Args:
        patients: a name or number for each scan, (scans,).

    Examples:
        >>> patient_numbers(["b", "a", "b"]).tolist(), patient_numbers(["b", "a"])
        ([1, 0, 1], None)
    """
    names, number = np.unique(np.asarray(patients), return_inverse=True)
    if names.size == number.size:
        return None
    number = number.astype(np.intp)
    number.flags.writeable = False
    return number


def summed(values: NDArray[np.float64], patients: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sums over the scans of each patient.

    Args:
        values: (..., cases).
        patients: number of each case's patient, (cases,).

    Returns:
        (..., patients), in the order of the numbers.

    Examples:
        >>> summed(np.array([1.0, 2.0, 4.0]), np.array([7, 3, 7])).tolist()
        [2.0, 5.0]
    """
    names, number = np.unique(patients, return_inverse=True)
    found = np.zeros((names.size, *values.shape[:-1]))
    np.add.at(found, number, np.moveaxis(values, -1, 0))
    return np.moveaxis(found, 0, -1)


def design_effect(successes: ArrayLike, totals: ArrayLike) -> float:
    """By how much a share of scans varies more than one of as many patients would.

    Rao and Scott, Biometrics 1992;48:577: the variance of a ratio of sums over patients, over
    that of a binomial share. A share of so many scans is as sure as one of that many times
    fewer patients with a scan each.

    Args:
        successes: of each patient, (patients,).
        totals: of each patient, (patients,).

    Returns:
        At least 1. Where all scans agree nothing tells how alike a patient's scans are: they
        then count as fully alike (Kish, Survey Sampling 1965, section 5.4).

    Raises:
        ParameterError: arrays of different shape.

    Examples:
        >>> design_effect([1, 0, 1], [1, 1, 1]), design_effect([2, 0, 2], [2, 2, 2])
        (1.0, 2.0)
    """
    above, below = (np.asarray(one, dtype=np.float64) for one in (successes, totals))
    if above.shape != below.shape or above.ndim != 1:
        got = (above.shape, below.shape)
        raise ParameterError("totals", "design_effect", "one for each patient", got)
    total = below.sum()
    if total == 0:
        return 1.0
    share = above.sum() / total
    if share in (0.0, 1.0):
        return float((below**2).sum() / total)
    residuals = above - share * below
    return max(1.0, float((residuals**2).sum() / (total * share * (1 - share))))


def score_effect(scores: NDArray[np.float64], patients: NDArray[np.intp] | None) -> float:
    """By how much a sum of scores varies more than if scans were independent.

    The factor by which a log likelihood ratio is divided where observations are clustered
    (Chandler and Bate, Biometrika 2007;94:167).

    Args:
        scores: derivative of each case's log likelihood, at the optimum, (cases,).
        patients: number of each case's patient, or `None`.

    Returns:
        At least 1.

    Examples:
        >>> score_effect(np.array([1.0, 1.0, -1.0, -1.0]), np.array([0, 0, 1, 1]))
        2.0
    """
    alone = float((scores**2).sum())
    if patients is None or alone == 0:
        return 1.0
    return max(1.0, float((summed(scores, patients) ** 2).sum()) / alone)


def mean_variance(
    values: NDArray[np.float64], patients: NDArray[np.intp] | None
) -> NDArray[np.float64]:
    """Variance of a mean over cases.

    Args:
        values: (..., cases).
        patients: number of each case's patient, or `None`; then a ratio of sums over patients
            (Cochran, Sampling Techniques 1977, section 9A).

    Returns:
        (...); not a number with one patient.

    Examples:
        >>> values = np.array([0.0, 1.0, 2.0])
        >>> bool(mean_variance(values, None) == mean_variance(np.tile(values, 2),
        ...                                                   np.array([0, 1, 2, 0, 1, 2])))
        True
    """
    residuals = values - values.mean(axis=-1, keepdims=True)
    if patients is not None:
        residuals = summed(residuals, patients)
    count = residuals.shape[-1]
    if count < 2:
        return np.full(values.shape[:-1], np.nan)
    squares = (residuals**2).sum(axis=-1)
    return np.asarray(squares * count / (count - 1) / values.shape[-1] ** 2)
