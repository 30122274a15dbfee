"""Empirical ROC curves and their average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RocCurve:
    """An empirical ROC curve from (0, 0) to (1, 1), points joined by lines.

    Attributes:
        false_positive_rate: float64 (points,), 1 - specificity, never falling.
        sensitivity: float64 (points,), never falling.
    """

    false_positive_rate: NDArray[np.float64]
    sensitivity: NDArray[np.float64]

    @classmethod
    def of(cls, ratings: NDArray[np.float64], truth: NDArray[np.bool_]) -> RocCurve:
        """From the ratings of one reader.

        Args:
            ratings: (cases,), not a number where a case was not read.
            truth: bool (cases,).

        Raises:
            ParameterError: a class without a case.

        Examples:
            >>> curve = RocCurve.of(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0, 0, 1, 1], bool))
            >>> curve.sensitivity, curve.area
            (array([0. , 0.5, 1. , 1. ]), 0.875)
        """
        read = ~np.isnan(ratings)
        positives, negatives = ratings[read & truth], ratings[read & ~truth]
        if not positives.size or not negatives.size:
            raise ParameterError("truth", "RocCurve.of", "of both classes", "one class")
        levels = np.unique(np.concatenate([positives, negatives]))[::-1]
        rates = [
            np.searchsorted(np.sort(-ratings_of), -levels, "right") / ratings_of.size
            for ratings_of in (negatives, positives)
        ]
        across, up = (np.concatenate([[0.0], rate]) for rate in rates)
        return cls(false_positive_rate=across, sensitivity=up)

    @property
    def area(self) -> float:
        """Area under the curve."""
        return float(np.trapezoid(self.sensitivity, self.false_positive_rate))


def average_curve(curves: Sequence[RocCurve]) -> RocCurve:
    """The average of curves, whose area is the mean of their areas.

    Averaged along lines of equal `false_positive_rate + sensitivity`, so neither axis is
    preferred: Chen and Samuelson, Br J Radiol 2014;87:20140016.

    Args:
        curves: at least one.

    Raises:
        ParameterError: no curve.

    Examples:
        >>> truth = np.array([0, 0, 1, 1], bool)
        >>> both = [RocCurve.of(np.array(r), truth) for r in ([1.0, 2, 2, 3], [1.0, 2, 3, 4])]
        >>> average_curve(both).area
        0.9375
    """
    if not curves:
        raise ParameterError("curves", "average_curve", "at least one", "none")
    along = [curve.false_positive_rate + curve.sensitivity for curve in curves]
    above = [curve.sensitivity - curve.false_positive_rate for curve in curves]
    grid = np.unique(np.concatenate(along))
    heights = [np.interp(grid, x, y) for x, y in zip(along, above, strict=True)]
    mean = np.mean(heights, axis=0)
    return RocCurve(false_positive_rate=(grid - mean) / 2, sensitivity=(grid + mean) / 2)
