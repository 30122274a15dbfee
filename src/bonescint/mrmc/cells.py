"""Design cells: one reader in one modality, with a figure of merit that can be resampled by case.

An endpoint's cells are of one of four kinds: a mean over pairs of a case with and a case without
disease (AUC, wAFROC), a mean over cases (sensitivity), a ratio of sums over cases (lesion
localisation), or the area under a curve (partial AUC, FROC). The kind alone decides how covariances
can be estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bonescint.roc import structural_components

_CHUNK = 4_000_000  # numbers of 8 bytes that are held at once

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]


class Cell(Protocol):
    """One reader in one modality."""

    @property
    def positive_cases(self) -> Indices:
        """Indices of the cases with disease on which the figure depends."""

    @property
    def negative_cases(self) -> Indices:
        """Indices of the cases without disease on which the figure depends."""

    @property
    def value(self) -> float:
        """The figure of merit."""

    def resampled(self, positive_times: Numbers, negative_times: Numbers) -> Numbers:
        """Recompute the figure with each case counted several times, or not at all, (draws,).

        Args:
            positive_times: (draws, positives), how often each case is in each draw.
            negative_times: (draws, negatives), the same.

        Returns:
            The figures, (draws,); NaN where a draw lacks the cases that the figure needs.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairsCell:
    """A mean over pairs of a case with disease and a case without.

    The kernel of a pair is `sum_l weight_l psi(score_l, other)`, psi being 1, 0.5 or 0 as the
    score is higher, equal or lower: Mann and Whitney's where a case has one score (AUC),
    Chakraborty's where it has lesions of several weights (wAFROC).

    Attributes:
        positive_cases: numbers of the cases with disease, (P,).
        negative_cases: numbers of the cases without, (N,).
        scores: float64 (P, L), of each case with disease or of its lesions; minus infinity is
            the lowest possible.
        weights: float64 (P, L), each row sums to 1; 0 where a case has fewer lesions.
        others: float64 (N,), score of each case without disease.
        v10: float64 (P,), mean kernel of each case with disease.
        v01: float64 (N,), mean kernel of each case without.
    """

    positive_cases: Indices
    negative_cases: Indices
    scores: Numbers
    weights: Numbers
    others: Numbers
    v10: Numbers = field(init=False)
    v01: Numbers = field(init=False)

    def __post_init__(self) -> None:
        v10, v01 = structural_components(self.scores, self.others, self.weights)
        object.__setattr__(self, "v10", v10)
        object.__setattr__(self, "v01", v01)

    @property
    def value(self) -> float:
        """Mean kernel over all pairs."""
        return float(self.v10.mean())

    def kernel(self, rows: slice) -> Numbers:
        """The kernel of some cases with disease and all without, (rows, N)."""
        found = np.zeros((len(self.scores[rows]), len(self.others)))
        for scores, weights in zip(self.scores[rows].T, self.weights[rows].T, strict=True):
            above = scores[:, None] > self.others
            same = scores[:, None] == self.others
            found += weights[:, None] * (above + 0.5 * same)
        return found

    def resampled(self, positive_times: Numbers, negative_times: Numbers) -> Numbers:
        """Recompute the figure of resampled cases, (draws,); see `Cell.resampled`."""
        order = np.argsort(self.others, kind="stable")
        ordered = self.others[order]
        left = np.searchsorted(ordered, self.scores, "left")
        right = np.searchsorted(ordered, self.scores, "right")
        found = np.empty(len(positive_times))
        step = max(1, _CHUNK // (self.scores.size + self.others.size))
        for start in range(0, len(found), step):
            part = slice(start, start + step)
            below = np.zeros((len(negative_times[part]), len(ordered) + 1))
            np.cumsum(negative_times[part][:, order], axis=1, out=below[:, 1:])
            kernel = ((below[:, left] + below[:, right]) / 2 * self.weights).sum(axis=2)
            pairs = positive_times[part].sum(axis=1) * below[:, -1]
            with np.errstate(invalid="ignore", divide="ignore"):
                found[part] = (kernel * positive_times[part]).sum(axis=1) / pairs
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeanCell:
    """A mean over cases of one class, as sensitivity and specificity are.

    Attributes:
        cases: numbers of the cases, (n,).
        values: float64 (n,), the values to average.
        of_positives: whether these are the cases with disease.
    """

    cases: Indices
    values: Numbers
    of_positives: bool

    @property
    def positive_cases(self) -> Indices:
        """Indices of the cases if their class is with disease, else none."""
        return self.cases if self.of_positives else self.cases[:0]

    @property
    def negative_cases(self) -> Indices:
        """Indices of the cases if their class is without disease, else none."""
        return self.cases[:0] if self.of_positives else self.cases

    @property
    def v10(self) -> Numbers:
        """Structural components of the cases with disease."""
        return self.values if self.of_positives else self.values[:0]

    @property
    def v01(self) -> Numbers:
        """Structural components of the cases without disease."""
        return self.values[:0] if self.of_positives else self.values

    @property
    def value(self) -> float:
        """The mean."""
        return float(self.values.mean())

    def resampled(self, positive_times: Numbers, negative_times: Numbers) -> Numbers:
        """Recompute the figure of resampled cases, (draws,); see `Cell.resampled`."""
        times = positive_times if self.of_positives else negative_times
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(times @ self.values / times.sum(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RatioCell:
    """A ratio of sums over the cases with disease.

    Attributes:
        positive_cases: numbers of the cases, (P,).
        counts: float64 (P,), number of lesions that were marked.
        possible: float64 (P,), number of lesions.
    """

    positive_cases: Indices
    counts: Numbers
    possible: Numbers

    @property
    def negative_cases(self) -> Indices:
        """Empty, because cases without disease have no lesions."""
        return self.positive_cases[:0]

    @property
    def value(self) -> float:
        """The ratio."""
        return float(self.counts.sum() / self.possible.sum())

    def resampled(self, positive_times: Numbers, negative_times: Numbers) -> Numbers:
        """Recompute the figure of resampled cases, (draws,); see `Cell.resampled`."""
        del negative_times
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(positive_times @ self.counts / (positive_times @ self.possible))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurveCell:
    """Mean height of an empirical curve over a range of its horizontal axis.

    The curve joins the operating points of all thresholds by straight lines. Each axis is a ratio
    of sums over cases: marks (or calls) at or above the threshold, over those possible.

    Attributes:
        positive_cases: numbers of the cases with disease, (P,).
        negative_cases: numbers of the cases without, (N,).
        hits: (scores, owners) of marks that count on the vertical axis; owners index the positive
            cases, then the negative ones.
        alarms: the same for marks that count on the horizontal axis.
        possible_hits: float64 (P + N,), each case's share of the vertical axis' denominator.
        possible_alarms: float64 (P + N,), each case's share of the horizontal axis' denominator.
        start: left end of the range.
        stop: right end; a curve that ends before it continues at its last height.
        to_corner: whether the curve ends in (1, 1), as a ROC curve does, or at its last point,
            as a FROC curve does.
    """

    positive_cases: Indices
    negative_cases: Indices
    hits: tuple[Numbers, Indices]
    alarms: tuple[Numbers, Indices]
    possible_hits: Numbers
    possible_alarms: Numbers
    start: float
    stop: float
    to_corner: bool

    @property
    def value(self) -> float:
        """Mean height of the curve."""
        ones = np.ones((1, len(self.positive_cases))), np.ones((1, len(self.negative_cases)))
        return float(self.resampled(*ones)[0])

    def points(self) -> tuple[Numbers, Numbers]:
        """The operating points, strictest threshold first: horizontal and vertical coordinates."""
        ones = np.ones((1, len(self.possible_hits)))
        across, up = self._curves(ones)
        return across[0], up[0]

    def resampled(self, positive_times: Numbers, negative_times: Numbers) -> Numbers:
        """Recompute the figure of resampled cases, (draws,); see `Cell.resampled`."""
        times = np.concatenate([positive_times, negative_times], axis=1)
        found = np.empty(len(times))
        size = len(self.hits[0]) + len(self.alarms[0]) + 2
        step = max(1, _CHUNK // size)
        for first in range(0, len(found), step):
            across, up = self._curves(times[first : first + step])
            areas = _area_until(across, up, self.stop) - _area_until(across, up, self.start)
            found[first : first + step] = areas / (self.stop - self.start)
        return found

    def _curves(self, times: Numbers) -> tuple[Numbers, Numbers]:
        """Operating points of each draw, (draws, thresholds + 1)."""
        levels = np.unique(np.concatenate([self.hits[0], self.alarms[0]]))[::-1]
        axes = []
        for (scores, owners), possible in (
            (self.alarms, self.possible_alarms),
            (self.hits, self.possible_hits),
        ):
            order = np.argsort(-scores, kind="stable")
            count = np.zeros((len(times), len(order) + 1))
            np.cumsum(times[:, owners[order]], axis=1, out=count[:, 1:])
            upto = np.searchsorted(-scores[order], -levels, "right")
            with np.errstate(invalid="ignore", divide="ignore"):
                axis = count[:, np.concatenate([[0], upto])] / (times @ possible)[:, None]
            if self.to_corner:
                axis = np.concatenate([axis, np.where(np.isnan(axis[:, :1]), np.nan, 1.0)], axis=1)
            axes.append(axis)
        return axes[0], axes[1]


def _area_until(across: Numbers, up: Numbers, limit: float) -> Numbers:
    """Area under each curve from 0 to a limit; beyond its end a curve stays at its last height."""
    left, right = np.minimum(across[:, :-1], limit), np.minimum(across[:, 1:], limit)
    width = across[:, 1:] - across[:, :-1]
    rise = up[:, 1:] - up[:, :-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(width > 0, rise / width, 0.0)
    middle = (left + right) / 2 - across[:, :-1]
    heights = up[:, :-1] + slope * middle
    inside = ((right - left) * heights).sum(axis=1)
    beyond = np.maximum(limit - across[:, -1], 0.0) * up[:, -1]
    return np.asarray(inside + beyond)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Sums of products of two cells' kernels, by the cases that the two pairs share.

    Unbiased covariances follow from them (Gallas, Acad Radiol 2006;13:353; Gallas et al., Commun
    Stat Theory Methods 2009;38:2586). A product takes a pair (case with disease, case without) of
    cell k and one of cell l. Arrays are (4, K, K); the first axis is what both pairs share: both
    cases, the one with disease, the one without, or none.

    Attributes:
        values: float64 (K,), figure of merit of each cell.
        counts: number of products.
        sums: sums of the products.
    """

    values: Numbers
    counts: Numbers
    sums: Numbers

    @classmethod
    def of(cls, cells: Sequence[PairsCell], cases: int) -> Moments:
        """Compute them for the cells of one study.

        Args:
            cells: K cells.
            cases: number of cases of the study.
        """
        shape = (len(cells), cases)
        rows, columns = np.zeros(shape), np.zeros(shape)
        has_row, has_column = np.zeros(shape), np.zeros(shape)
        for index, cell in enumerate(cells):
            rows[index, cell.positive_cases] = cell.v10 * len(cell.others)
            columns[index, cell.negative_cases] = cell.v01 * len(cell.scores)
            has_row[index, cell.positive_cases] = 1.0
            has_column[index, cell.negative_cases] = 1.0
        both = _products(cells, has_row.max(axis=0), has_column.max(axis=0))
        by_row, by_column = rows @ rows.T, columns @ columns.T
        totals = np.multiply.outer(rows.sum(axis=1), rows.sum(axis=1))
        shared_rows, shared_columns = has_row @ has_row.T, has_column @ has_column.T
        row_pairs = np.multiply.outer(has_row.sum(axis=1), has_row.sum(axis=1))
        column_pairs = np.multiply.outer(has_column.sum(axis=1), has_column.sum(axis=1))
        counts = np.stack(
            [
                shared_rows * shared_columns,
                shared_rows * (column_pairs - shared_columns),
                shared_columns * (row_pairs - shared_rows),
                (row_pairs - shared_rows) * (column_pairs - shared_columns),
            ]
        )
        sums = np.stack([both, by_row - both, by_column - both, totals - by_row - by_column + both])
        values = np.array([cell.value for cell in cells])
        return cls(values=values, counts=counts, sums=sums)

    @property
    def covariance(self) -> Numbers:
        """Unbiased covariance of the cells' figures for fixed readers, (K, K).

        It is the product of two figures, minus an unbiased estimate of the product of their
        expectations: the mean product over pairs that share no case. NaN where there are no such
        pairs.
        """
        product = np.multiply.outer(self.values, self.values)
        with np.errstate(invalid="ignore", divide="ignore"):
            apart = self.sums[3] / self.counts[3]
        # Cells that share no case are independent; do not leave rounding there.
        alone = self.counts[:3].sum(axis=0) == 0
        return np.where(alone, 0.0, product - apart)


def _products(cells: Sequence[PairsCell], anybody_row: Numbers, anybody_column: Numbers) -> Numbers:
    """Sum of products over the pairs of cases that both cells have, (K, K)."""
    row_of, column_of = np.cumsum(anybody_row) - 1, np.cumsum(anybody_column) - 1
    height, width = int(anybody_row.sum()), int(anybody_column.sum())
    found = np.zeros((len(cells), len(cells)))
    step = max(1, _CHUNK // (len(cells) * max(width, 1)))
    rows = [row_of[cell.positive_cases].astype(int) for cell in cells]
    columns = [column_of[cell.negative_cases].astype(int) for cell in cells]
    for start in range(0, height, step):
        block = np.zeros((len(cells), min(step, height - start), width))
        for index, cell in enumerate(cells):
            part = slice(*np.searchsorted(rows[index], [start, start + step]))
            if part.start < part.stop:
                at = np.ix_(rows[index][part] - start, columns[index])
                block[index][at] = cell.kernel(part)
        flat = block.reshape(len(cells), -1)
        found += flat @ flat.T
    return found
