"""Areas under the ROC curve and the precision-recall curve, with what comparisons of them need."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bonescint.evaluate.bootstrap import Resampling, SortedCases
from bonescint.evaluate.scored import ScoredCases, summed
from bonescint.intervals import Estimate, normal_quantile
from bonescint.roc import covariance_of_means, structural_components
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StructuralComponents:
    """DeLong's structural components of every case under each of K ratings (of models, say).

    The empirical area under the ROC curve is their mean, and DeLong's covariance is theirs (DeLong,
    DeLong and Clarke-Pearson, Biometrics 1988;44:837), so all comparisons of areas rest on them.

    Attributes:
        v10: float64 (K, P), for each case with disease the share of those without that it
            is rated above, ties by half.
        v01: float64 (K, N), for each case without disease the share of those with that it
            is rated below, ties by half.
        patients: number of the patient of each case with disease, (P,), and of each without,
            (N,); `None` where no patient has more than one case.
    """

    v10: NDArray[np.float64]
    v01: NDArray[np.float64]
    patients: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None

    @classmethod
    def of(
        cls,
        ratings: NDArray[np.floating],
        positive: NDArray[np.bool_],
        patients: NDArray[np.intp] | None = None,
    ) -> StructuralComponents:
        """From ratings of the same cases.

        Args:
            ratings: (K, cases) or (cases,), higher for disease.
            positive: bool (cases,), the truth.
            patients: number of each case's patient, (cases,), where some have several.

        Raises:
            ParameterError: if a rating is not finite, or one class has no case.

        Examples:
            >>> truth = np.array([False, False, True, True])
            >>> StructuralComponents.of(np.array([1.0, 2.0, 2.0, 3.0]), truth).areas
            array([0.875])
        """
        rows = np.atleast_2d(np.asarray(ratings, dtype=np.float64))
        truth = np.asarray(positive, dtype=bool)
        owner = "StructuralComponents.of"
        if truth.ndim != 1 or rows.ndim != 2 or rows.shape[1] != truth.size:
            got = (rows.shape, truth.shape)
            raise ParameterError("ratings", owner, "one for each case", got)
        if truth.all() or not truth.any():
            raise ParameterError("positive", owner, "of both classes", "one class")
        if not np.isfinite(rows).all():
            raise ParameterError("ratings", owner, "finite numbers", "some that are not")
        of_each = [structural_components(row[truth], row[~truth]) for row in rows]
        return cls(
            v10=np.stack([v10 for v10, _ in of_each]),
            v01=np.stack([v01 for _, v01 in of_each]),
            patients=None if patients is None else (patients[truth], patients[~truth]),
        )

    @property
    def areas(self) -> NDArray[np.float64]:
        """Empirical area under each ROC curve, float64 (K,): Mann and Whitney's statistic."""
        return np.asarray(self.v10.mean(axis=1))

    @property
    def covariance(self) -> NDArray[np.float64]:
        """DeLong's covariance of the areas, float64 (K, K).

        Where patients have several cases, Obuchowski's (Biometrics 1997;53:567), which takes
        patients as independent, not cases. NaN where a class has one case (or
        patient) only: one says nothing of its spread.
        """
        if self.patients is not None:
            return self._clustered(*self.patients)
        return covariance_of_means(self.v10) + covariance_of_means(self.v01)

    def _clustered(
        self, with_disease: NDArray[np.intp], without: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Sums over patients of S10, S01 and S11, each with its own number of patients."""
        everyone = np.union1d(with_disease, without)
        sums, counts = [], []
        for values, patients in ((self.v10, with_disease), (self.v01, without)):
            residuals = (values - values.mean(axis=1, keepdims=True)) / values.shape[1]
            of_each = np.zeros((values.shape[0], everyone.size))
            names = np.unique(patients)
            of_each[:, np.searchsorted(everyone, names)] = summed(residuals, patients)
            sums.append(of_each)
            counts.append(names.size)
        if min(counts) < 2:
            return np.full((self.v10.shape[0],) * 2, np.nan)
        (up, down), (ups, downs) = sums, counts
        both = everyone.size / (everyone.size - 1) * (up @ down.T)
        return np.asarray(
            ups / (ups - 1) * (up @ up.T) + downs / (downs - 1) * (down @ down.T) + both + both.T
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurveBand:
    """Pointwise interval of a curve.

    Attributes:
        at: float64 (points,), where on the horizontal axis.
        low: float64 (points,).
        high: float64 (points,).
    """

    at: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def roc_auc_score(cases: ScoredCases, *, level: float = 0.95) -> Estimate:
    """Area under the ROC curve with DeLong's interval.

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837; where patients have several
    cases, Obuchowski, Biometrics 1997;53:567. The interval is built on the logit, which keeps it
    inside [0, 1] and serves high areas better (Pepe 2003, section 5.2.4).

    Args:
        cases: cases of both classes.
        level: coverage of the interval.

    Returns:
        The area. Where every pair is ranked right, or every one wrong, the variance is 0 and
        there is no interval.

    Raises:
        ParameterError: one class only.

    Examples:
        >>> cases = ScoredCases(scores=[1, 2, 3, 4, 5, 6], positive=[0, 0, 1, 0, 1, 1])
        >>> roc_auc_score(cases).text()
        '0.889 (0.261 to 0.995)'
    """
    cases.require_both_classes("roc_auc_score")
    components = StructuralComponents.of(cases.scores, cases.positive, cases.patients)
    (area,), ((variance,),) = components.areas.tolist(), components.covariance.tolist()
    method = "DeLong, on the logit"
    if cases.patients is not None:
        method = "DeLong by patient (Obuchowski 1997), on the logit"
    note = ""
    if not math.isfinite(variance):
        one = "case" if cases.patients is None else "patient"
        note = f"a class has one {one}: no interval"
    elif area in (0.0, 1.0):
        note = "the classes do not overlap: DeLong's variance is 0, no interval"
    elif variance <= 0:
        note = "all scores are equal" if area == 0.5 else "the variance is 0"
    if note:
        return Estimate(value=area, level=level, method=method, note=note)
    half = normal_quantile(level) * math.sqrt(variance) / (area * (1 - area))
    middle = math.log(area / (1 - area))
    low, high = expit([middle - half, middle + half]).tolist()
    return Estimate(value=area, low=low, high=high, level=level, method=method)


def average_precision_score(
    cases: ScoredCases, *, resampling: Resampling | None = None
) -> Estimate:
    """Average precision: the mean, over cases with disease, of the precision down to each.

    Without interpolation (Davis and Goadrich, ICML 2006). That of a useless score equals the
    prevalence, with which it must be compared.

    Args:
        cases: cases of both classes.
        resampling: how the interval is made; stratified, 2000 times, if not given. Patients are
            drawn where cases name them.

    Raises:
        ParameterError: one class only.
    """
    resampling = resampling or Resampling()
    ranked = SortedCases.of(cases)
    value = ranked.average_precision(ranked.whole)
    drawn = np.array(
        [
            ranked.average_precision(ranked.sort(draw))
            for draw in resampling.draws(cases.positive, cases.patients)
        ]
    )
    return resampling.estimate(value, drawn)


def roc_band(cases: ScoredCases, *, resampling: Resampling, points: int = 101) -> CurveBand:
    """Pointwise interval of sensitivity along 1 - specificity, by resampling.

    Args:
        cases: cases of both classes.
        resampling: for the band.
        points: on the horizontal axis.

    Raises:
        ParameterError: one class only, or fewer than two points.
    """
    if points < 2:
        raise ParameterError("points", "roc_band", "at least 2", points)
    ranked = SortedCases.of(cases)
    at = np.linspace(0, 1, points)
    drawn = np.full((resampling.resamples, points), np.nan)
    thresholds = np.unique(cases.scores)
    from_positive = np.searchsorted(ranked.positive_scores, thresholds)
    from_negative = np.searchsorted(ranked.negative_scores, thresholds)
    for row, draw in enumerate(resampling.draws(cases.positive, cases.patients)):
        counts = ranked.sort(draw)
        if counts.positive.any() and counts.negative.any():
            true = _called_share(counts.positive, from_positive)
            false = _called_share(counts.negative, from_negative)
            drawn[row] = np.interp(at, false, true)
    tails = [50 * (1 - resampling.level), 50 * (1 + resampling.level)]
    low, high = np.nanpercentile(drawn, tails, axis=0)
    return CurveBand(at=at, low=low, high=high)


def _called_share(counts: NDArray[np.int64], start: NDArray[np.intp]) -> NDArray[np.float64]:
    """Share of drawn cases called at each threshold, from none (0) to all (1)."""
    drawn = np.concatenate([[0], np.cumsum(counts)])
    return np.concatenate([[0.0], (1 - drawn[start] / drawn[-1])[::-1]])
