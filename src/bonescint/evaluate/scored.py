"""Cases that were scored: what a model, or a reader, said of scans whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonescint.evaluate.by_patient import patient_numbers
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredCases:
    """A score and the truth of each case, valid once built.

    Attributes:
        scores: float64 (cases,), higher for disease; probabilities or any other rating.
        positive: bool (cases,), the reference standard.
        patients: number of each case's patient, intp (cases,), or `None` where no patient has
            more than one case. All intervals know it: patients are drawn, not their scans, and
            closed forms take scans of one patient as alike as they are.

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
        """The same cases, scored by somebody else."""
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
