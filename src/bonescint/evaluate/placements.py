"""Placement values: where each case stands among the cases of the other class.

The empirical area under the ROC curve is their mean, and DeLong's covariance is theirs, so
everything here that compares areas rests on this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bonescint.evaluate.scored import summed
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placements:
    """Placement values of every case under each of K ratings (readers, models, resamples).

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837; in the form of Sun and Xu, IEEE
    Signal Process Lett 2014;21:1389.

    Attributes:
        positive: float64 (K, P), for each case with disease the share of those without that it
            is rated above, ties by half.
        negative: float64 (K, N), for each case without disease the share of those with that it
            is rated below, ties by half.
        patients: number of the patient of each case with disease, (P,), and of each without,
            (N,); `None` where no patient has more than one case.
    """

    positive: NDArray[np.float64]
    negative: NDArray[np.float64]
    patients: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None

    @classmethod
    def of(
        cls,
        ratings: NDArray[np.floating],
        positive: NDArray[np.bool_],
        patients: NDArray[np.intp] | None = None,
    ) -> Placements:
        """From ratings of the same cases.

        Args:
            ratings: (K, cases) or (cases,), higher for disease.
            positive: bool (cases,), the truth.
            patients: number of each case's patient, (cases,), where some have several.

        Raises:
            ParameterError: if a rating is not finite, or one class has no case.

        Examples:
            >>> truth = np.array([False, False, True, True])
            >>> Placements.of(np.array([1.0, 2.0, 2.0, 3.0]), truth).areas
            array([0.875])
        """
        rows = np.atleast_2d(np.asarray(ratings, dtype=np.float64))
        truth = np.asarray(positive, dtype=bool)
        if truth.ndim != 1 or rows.ndim != 2 or rows.shape[1] != truth.size:
            got = (rows.shape, truth.shape)
            raise ParameterError("ratings", "Placements.of", "one for each case", got)
        if truth.all() or not truth.any():
            raise ParameterError("positive", "Placements.of", "of both classes", "one class")
        if not np.isfinite(rows).all():
            raise ParameterError("ratings", "Placements.of", "finite numbers", "some that are not")
        with_disease, without = rows[:, truth], rows[:, ~truth]
        everywhere = rankdata(np.concatenate([with_disease, without], axis=1), axis=1)
        count = with_disease.shape[1]
        above = everywhere[:, :count] - rankdata(with_disease, axis=1)
        below = count - (everywhere[:, count:] - rankdata(without, axis=1))
        return cls(
            positive=above / without.shape[1],
            negative=below / count,
            patients=None if patients is None else (patients[truth], patients[~truth]),
        )

    @property
    def areas(self) -> NDArray[np.float64]:
        """Empirical area under each ROC curve, float64 (K,): Mann and Whitney's statistic."""
        return np.asarray(self.positive.mean(axis=1))

    @property
    def covariance(self) -> NDArray[np.float64]:
        """DeLong's covariance of the areas, float64 (K, K).

        Where patients have several cases, Obuchowski's (Biometrics 1997;53:567), which takes
        patients as independent, not cases. Not a number where a class has one case (or
        patient) only: one says nothing of its spread.
        """
        if self.patients is not None:
            return self._clustered(*self.patients)
        return _mean_covariance(self.positive) + _mean_covariance(self.negative)

    def _clustered(
        self, with_disease: NDArray[np.intp], without: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Sums over patients of S10, S01 and S11, each with its own number of patients."""
        everyone = np.union1d(with_disease, without)
        sums, counts = [], []
        for values, patients in ((self.positive, with_disease), (self.negative, without)):
            residuals = (values - values.mean(axis=1, keepdims=True)) / values.shape[1]
            of_each = np.zeros((values.shape[0], everyone.size))
            names = np.unique(patients)
            of_each[:, np.searchsorted(everyone, names)] = summed(residuals, patients)
            sums.append(of_each)
            counts.append(names.size)
        if min(counts) < 2:
            return np.full((self.positive.shape[0],) * 2, np.nan)
        (up, down), (ups, downs) = sums, counts
        both = everyone.size / (everyone.size - 1) * (up @ down.T)
        return np.asarray(
            ups / (ups - 1) * (up @ up.T) + downs / (downs - 1) * (down @ down.T) + both + both.T
        )


def _mean_covariance(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance of the means of rows (K, cases) that are observed on the same cases."""
    cases = values.shape[1]
    if cases < 2:
        return np.full((values.shape[0],) * 2, np.nan)
    centred = values - values.mean(axis=1, keepdims=True)
    return np.asarray(centred @ centred.T / (cases - 1) / cases)
