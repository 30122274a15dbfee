"""The ROC curve and DeLong's covariance, for evaluations and reader statistics alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RocCurve:
    """Every operating point that cases allow, from calling none to calling all.

    Attributes:
        thresholds: float64 (points,), descending; a case is called positive from the threshold
            on. The first one is infinite: none is called.
        true_positives: int64 (points,), cases with disease that are called.
        false_positives: int64 (points,), cases without that are called.
        positives: cases with disease.
        negatives: cases without.
    """

    thresholds: NDArray[np.float64]
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    positives: int
    negatives: int

    @classmethod
    def of(cls, scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> RocCurve:
        """The empirical curve (Fawcett, Pattern Recognit Lett 2006;27:861).

        Args:
            scores: (cases,), higher for disease; NaN where a case was not read.
            positive: bool (cases,), the truth.

        Raises:
            ParameterError: one class only.

        Examples:
            >>> curve = RocCurve.of(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1], bool))
            >>> curve.sensitivity.tolist(), curve.specificity.tolist()
            ([0.0, 0.5, 0.5, 1.0, 1.0], [1.0, 1.0, 0.5, 0.5, 0.0])
        """
        read = ~np.isnan(scores)
        scores, positive = scores[read], positive[read]
        order = np.argsort(-scores, kind="stable")
        ranked, truth = scores[order], positive[order]
        positives = int(truth.sum())
        if positives in (0, truth.size):
            got = f"{positives} with disease, {truth.size - positives} without"
            raise ParameterError("positive", "RocCurve.of", "of both classes", got)
        last = np.append(np.flatnonzero(np.diff(ranked)), ranked.size - 1)
        true = np.cumsum(truth)[last]
        return cls(
            thresholds=np.concatenate([[np.inf], ranked[last]]),
            true_positives=np.concatenate([[0], true]),
            false_positives=np.concatenate([[0], last + 1 - true]),
            positives=positives,
            negatives=truth.size - positives,
        )

    @property
    def sensitivity(self) -> NDArray[np.float64]:
        """True positive rate at each threshold."""
        return self.true_positives / self.positives

    @property
    def specificity(self) -> NDArray[np.float64]:
        """True negative rate at each threshold."""
        return 1 - self.false_positive_rate

    @property
    def false_positive_rate(self) -> NDArray[np.float64]:
        """1 - specificity at each threshold."""
        return self.false_positives / self.negatives

    @property
    def precision(self) -> NDArray[np.float64]:
        """Positive predictive value at each threshold, 1 where none is called."""
        called = self.true_positives + self.false_positives
        return np.where(called > 0, self.true_positives / np.maximum(called, 1), 1.0)

    @property
    def area(self) -> float:
        """Area under the curve, its points joined by lines."""
        return float(np.trapezoid(self.sensitivity, self.false_positive_rate))


def structural_components(
    scores: NDArray[np.float64],
    others: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each case stands among the cases of the other class: V10 and V01.

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837. The empirical area under the ROC
    curve is the mean of either.

    Args:
        scores: (P,) of the cases with disease, or (P, L) of their lesions; minus infinity is the
            lowest possible.
        others: (N,) of the cases without disease.
        weights: (P, L) of the lesions, each row sums to 1; of scores (P, L) only.

    Returns:
        For each case with disease the share of those without that it is rated above, ties by
        half, (P,); for each case without disease the share of those with that it is rated below,
        (N,).

    Examples:
        >>> structural_components(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
        (array([0.75, 1.  ]), array([1.  , 0.75]))
    """
    rows = scores[:, None] if scores.ndim == 1 else scores
    each = np.ones_like(rows) if weights is None else weights
    ordered = np.sort(others)
    left, right = (np.searchsorted(ordered, rows, side) for side in ("left", "right"))
    v10 = ((left + right) / 2 / len(ordered) * each).sum(axis=1)
    order = np.argsort(rows, axis=None)
    flat = rows.ravel()[order]
    above = np.concatenate([[0.0], np.cumsum(each.ravel()[order])])
    low, high = (above[np.searchsorted(flat, others, side)] for side in ("left", "right"))
    return v10, (above[-1] - (low + high) / 2) / len(rows)


def covariance_of_means(
    values: NDArray[np.float64], has: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Covariance of means over cases, some of which are shared: DeLong's, of structural components.

    For n and m cases with s shared, the products of deviations from each own mean over the
    shared cases sum to `s (1 - 1/n - 1/m + s/(n m))` covariances in the mean, and the means have
    `s/(n m)` covariances. With all shared that is the usual `1/(n (n - 1))`.

    Args:
        values: (K, cases), what each of K means is of.
        has: bool (K, cases), whether a case counts in a mean; all do if `None`.

    Returns:
        (K, K); 0 for means that share no case, NaN where one case says nothing of the
        spread.

    Examples:
        >>> covariance_of_means(np.array([[0.0, 1.0, 1.0]])).round(4)
        array([[0.1111]])
    """
    there = np.ones(values.shape) if has is None else has.astype(np.float64)
    count, shared = there.sum(axis=1), there @ there.T
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (values * there).sum(axis=1) / count
        centred = np.where(there > 0, values - means[:, None], 0.0)
        pairs = np.multiply.outer(count, count) - np.add.outer(count, count) + shared
        found = centred @ centred.T / np.where(pairs > 0, pairs, np.nan)
    return np.where(shared == 0, 0.0, found)
