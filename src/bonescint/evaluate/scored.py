"""Scored cases, and variances that allow for several scans of one patient.

`ScoredCases` holds the scores that a model, or a reader, gave to scans with known truth. Design
effects are exact in two situations: 1 where every patient has one scan, and k where each scan is
present k times, so that the interval is that of the scans without their copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredCases:
    """A score and the truth of each case, valid once built.

    Attributes:
        scores: float64 (cases,), higher for disease; probabilities or any other rating.
        positive: bool (cases,), the reference standard.
        patients: number of each case's patient, intp (cases,), or `None` where no patient has
            more than one case. All intervals are then clustered by patient: the bootstrap draws
            patients, and closed forms include a design effect.

    Raises:
        ParameterError: no case, arrays of different length, a score that is not finite, or a
            truth that is neither 0 nor 1.

    Examples:
        >>> cases = ScoredCases(scores=[0.1, 0.8, 0.4], positive=[0, 1, 1])
        >>> cases.positives, cases.negatives
        (2, 1)
    """

    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]
    patients: NDArray[np.intp] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", _scores(self.scores))
        object.__setattr__(self, "positive", _truth(self.positive, self.scores.size))
        object.__setattr__(self, "patients", _patients(self.patients, self.scores.size))

    @property
    def count(self) -> int:
        """Number of cases."""
        return int(self.scores.size)

    @property
    def positives(self) -> int:
        """Number of cases with disease."""
        return int(np.count_nonzero(self.positive))

    @property
    def negatives(self) -> int:
        """Number of cases without disease."""
        return self.count - self.positives

    @property
    def prevalence(self) -> float:
        """Share of cases with disease."""
        return self.positives / self.count

    def of(self, chosen: NDArray[np.bool_]) -> ScoredCases:
        """Some of the cases.

        Args:
            chosen: bool (cases,).
        """
        return ScoredCases(
            scores=self.scores[chosen],
            positive=self.positive[chosen],
            patients=None if self.patients is None else self.patients[chosen],
        )

    def with_scores(self, scores: ArrayLike) -> ScoredCases:
        """The same cases with other scores."""
        return ScoredCases(
            scores=np.asarray(scores), positive=self.positive, patients=self.patients
        )

    def require_both_classes(self, owner: str) -> None:
        """Refuse cases of one class only.

        Raises:
            ParameterError: no case with disease, or none without.
        """
        if not self.positives or not self.negatives:
            got = f"{self.positives} with disease, {self.negatives} without"
            raise ParameterError("positive", owner, "of both classes", got)

    def require_probabilities(self, owner: str) -> None:
        """Refuse scores that are no probabilities.

        Raises:
            ParameterError: a score outside [0, 1].
        """
        low, high = float(self.scores.min()), float(self.scores.max())
        if low < 0 or high > 1:
            wrong = low if low < 0 else high
            raise ParameterError("scores", owner, "probabilities, from 0 to 1", wrong)


def _scores(given: ArrayLike) -> NDArray[np.float64]:
    scores = np.array(given, dtype=np.float64, copy=True)
    if scores.ndim != 1 or scores.size == 0:
        raise ParameterError("scores", "ScoredCases", "one for each case", scores.shape)
    wrong = np.flatnonzero(~np.isfinite(scores))
    if wrong.size:
        got = f"{scores[wrong[0]]} for case {wrong[0]}"
        raise ParameterError("scores", "ScoredCases", "finite numbers", got)
    scores.flags.writeable = False
    return scores


def _truth(given: ArrayLike, count: int) -> NDArray[np.bool_]:
    truth = np.asarray(given)
    if truth.shape != (count,):
        raise ParameterError("positive", "ScoredCases", f"of shape ({count},)", truth.shape)
    if truth.dtype != np.bool_ and not np.isin(truth, (0, 1)).all():
        other = truth[~np.isin(truth, (0, 1))][0]
        raise ParameterError("positive", "ScoredCases", "0 or 1 for each case", other)
    positive = truth.astype(bool)
    positive.flags.writeable = False
    return positive


def _patients(given: ArrayLike | None, count: int) -> NDArray[np.intp] | None:
    if given is None:
        return None
    if np.shape(given) != (count,):
        raise ParameterError("patients", "ScoredCases", f"of shape ({count},)", np.shape(given))
    return patient_numbers(given)


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


def case_patients(cases: ScoredCases) -> NDArray[np.intp]:
    """Number of each case's patient, (cases,); without `patients` each case has its own."""
    return np.arange(cases.count) if cases.patients is None else cases.patients


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
    """The design effect of a share of scans: how much clustering by patient inflates its variance.

    Rao and Scott, Biometrics 1992;48:577: the variance of a ratio of sums over patients, divided
    by that of a binomial share. The effective number of scans is their number divided by it.

    Args:
        successes: number of successes of each patient, (patients,).
        totals: number of scans of each patient, (patients,).

    Returns:
        At least 1. Where all scans agree, their dependence cannot be estimated: a patient's scans
        then count as one (Kish, Survey Sampling 1965, section 5.4).

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
    """How much clustering by patient inflates the variance of a sum of likelihood scores.

    A log likelihood ratio of clustered observations is divided by it (Chandler and Bate,
    Biometrika 2007;94:167).

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
        patients: number of each case's patient, or `None`; if given, the variance is that of a
            ratio of sums over patients (Cochran, Sampling Techniques 1977, section 9A).

    Returns:
        (...); NaN with one patient.

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
