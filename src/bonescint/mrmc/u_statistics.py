"""Gallas' U-statistics for random readers and random cases, in studies of any design.

The reader-averaged AUC of each modality is a mean over triples (reader, case with disease, case
without); its variance follows from mean products of two triples, by what they have in common.
Gallas, Acad Radiol 2006;13:353; Gallas et al., Commun Stat Theory Methods 2009;38:2586.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.cells import Moments, PairsCell
from bonescint.mrmc.data import Reads
from bonescint.mrmc.figures_of_merit import FiguresOfMerit, figures_of_merit
from bonescint.mrmc.results import (
    AREA,
    DIFFERENCE,
    Difference,
    Inference,
    Note,
    Notes,
    Result,
    chosen,
    jsonable,
)
from bonescint.scan import ParameterError

_PATTERNS = ("both cases", "case with disease", "case without disease", "no case")


class Weighting(StrEnum):
    """What has equal weight in a mean over readers: readers, or pairs of cases."""

    READERS = "readers"
    PAIRS = "pairs of cases"


@dataclass(frozen=True, slots=True, kw_only=True)
class UArea(Result):
    """A modality's reader-averaged area.

    Attributes:
        modality: name of the modality.
        mean: the mean area with its interval.
        moments: M1 to M8: mean products of the kernel of two triples that share reader and both
            cases, reader and the case with disease, reader and the case without, the reader
            only, and the same four with different readers. NaN where there is no such pair of
            triples.
    """

    modality: str
    mean: Inference
    moments: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = [f"{who}, {what}" for who in ("same reader", "other reader") for what in _PATTERNS]
        numbered = {
            f"M{number} ({name})": value
            for number, (name, value) in enumerate(zip(names, self.moments, strict=True), start=1)
        }
        return {
            "modality": self.modality,
            **self.mean.as_dict(),
            "moments": jsonable(numbered),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class UAnalysis(Result):
    """Gallas' analysis of a study of any design.

    Attributes:
        endpoint: name of the figure of merit.
        weighting: whether readers or pairs of cases have equal weight.
        areas: mean area of each modality.
        differences: differences of each pair of modalities.
        notes: what was left out, and remarks on the result.
    """

    endpoint: str
    weighting: Weighting
    areas: tuple[UArea, ...]
    differences: tuple[Difference, ...]
    notes: tuple[Note, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "endpoint": self.endpoint,
            "weighting": self.weighting.value,
            "modalities": jsonable(self.areas),
            "differences": jsonable(self.differences),
            "notes": jsonable(self.notes),
        }


def u_statistics(
    reads: Reads | FiguresOfMerit,
    *,
    weighting: Weighting = Weighting.READERS,
    level: float = 0.95,
) -> UAnalysis:
    """Compare modalities in a study of any design: crossed, nested or unbalanced.

    The variance of a mean over triples is its square, minus an unbiased estimate of the square of
    its expectation: the mean product over triples that share neither reader nor case. Covariances
    between modalities are estimated in the same way. Degrees of freedom: `V^2 / (S^2 / (r-1))`,
    where V is the variance and S the sample variance of the readers' figures (or differences)
    divided by r; in a factorial study these are Hillis' with unbiased covariances, not clamped.

    Args:
        reads: reads of any design, or figures of merit that are means over pairs of cases.
        weighting: whether readers or pairs of cases have equal weight (in the latter case a reader
            of more cases counts more). Both give the same result in a factorial study.
        level: coverage of the intervals.

    Raises:
        ParameterError: figures of merit that are no mean over pairs of cases.

    Examples:
        >>> from bonescint.mrmc import RoeMetz, simulate_reads
        >>> study = simulate_reads(RoeMetz(), readers=4, positives=20, negatives=20, seed=1)
        >>> [area.modality for area in u_statistics(study).areas]
        ['1', '2']
    """
    weighting = chosen(Weighting, weighting, "weighting", "u_statistics")
    figures = reads if isinstance(reads, FiguresOfMerit) else figures_of_merit(reads)
    owners: list[tuple[int, int]] = []
    cells: list[PairsCell] = []
    for row, of_readers in enumerate(figures.cells):
        for reader, cell in enumerate(of_readers):
            if cell is not None and not isinstance(cell, PairsCell):
                raise ParameterError(
                    "reads", "u_statistics", "figures that are means over pairs", figures.endpoint
                )
            if cell is not None:
                owners.append((row, reader))
                cells.append(cell)
    notes = Notes(figures.notes)
    if not cells:
        notes.left_out("the U-statistics: no reader has a figure")
        return UAnalysis(
            endpoint=figures.endpoint,
            weighting=weighting,
            areas=(),
            differences=(),
            notes=tuple(notes),
        )
    moments = Moments.of(cells, figures.cases)
    study = _Study(np.array(owners), moments, _shares(owners, cells, weighting), weighting, level)
    present = [row for row in range(len(figures.modalities)) if (study.owners[:, 0] == row).any()]
    areas = tuple(study.area(row, figures.modalities[row]) for row in present)
    differences = tuple(
        study.difference(first, second, figures.modalities)
        for first, second in combinations(present, 2)
    )
    found = [*(one.mean for one in areas), *(one.difference for one in differences)]
    negative = [one for one in found if math.isnan(one.se)]
    if negative:
        notes.remark(
            "an unbiased variance can be negative, or have no pairs to be estimated from: the "
            f"interval is undefined for {len(negative)} of the U-statistics"
        )
    return UAnalysis(
        endpoint=figures.endpoint,
        weighting=weighting,
        areas=areas,
        differences=differences,
        notes=tuple(notes),
    )


def _shares(
    owners: list[tuple[int, int]], cells: list[PairsCell], weighting: Weighting
) -> NDArray[np.float64]:
    """Weight of each cell in its modality's mean."""
    rows = np.array([row for row, _ in owners])
    if weighting is Weighting.READERS:
        sizes = np.ones(len(cells))
    else:
        sizes = np.array([float(len(cell.scores) * len(cell.others)) for cell in cells])
    return np.asarray(sizes / np.bincount(rows, sizes)[rows])


@dataclass(frozen=True, slots=True)
class _Study:
    """Cells, their moments and their weights."""

    owners: NDArray[np.int64]
    moments: Moments
    shares: NDArray[np.float64]
    weighting: Weighting
    level: float

    def _cells(self, row: int) -> NDArray[np.int64]:
        return np.flatnonzero(self.owners[:, 0] == row)

    def _mean(self, row: int) -> float:
        mine = self._cells(row)
        return float(self.shares[mine] @ self.moments.values[mine])

    def _covariance(self, first: int, second: int) -> float:
        """Covariance of two modalities' mean areas, for random readers and random cases."""
        a, b = self._cells(first), self._cells(second)
        others = self.owners[a, 1][:, None] != self.owners[b, 1]
        counts, sums = self.moments.counts[3][np.ix_(a, b)], self.moments.sums[3][np.ix_(a, b)]
        others &= counts > 0
        if not others.any():
            return math.nan
        weights = counts[others]
        if self.weighting is Weighting.READERS:
            weights = np.multiply.outer(self.shares[a], self.shares[b])[others]
        apart = np.average(sums[others] / counts[others], weights=weights)
        return self._mean(first) * self._mean(second) - float(apart)

    def area(self, row: int, name: str) -> UArea:
        """A modality's mean area."""
        mine = self._cells(row)
        same = np.eye(len(mine), dtype=bool)
        counts, sums = (
            array[:, mine][:, :, mine] for array in (self.moments.counts, self.moments.sums)
        )
        found = []
        for kind in (same, ~same):
            for pattern in range(4):
                number = counts[pattern][kind].sum()
                found.append(float(sums[pattern][kind].sum() / number) if number else math.nan)
        variance = self._covariance(row, row)
        spread = _over_readers(self.moments.values[mine], self.shares[mine])
        inference = _inference(self._mean(row), variance, spread, len(mine), AREA, self.level)
        return UArea(modality=name, mean=inference, moments=tuple(found))

    def difference(self, first: int, second: int, names: tuple[str, ...]) -> Difference:
        """The difference of two modalities' mean areas."""
        parts = [self._covariance(*rows) for rows in ((first, first), (second, second))]
        between = self._covariance(first, second)
        variance = parts[0] + parts[1] - 2 * between
        a, b = self._cells(first), self._cells(second)
        readers = np.intersect1d(self.owners[a, 1], self.owners[b, 1])
        if len(readers) == len(a) == len(b):
            values = self.moments.values[a] - self.moments.values[b]
            weights = (self.shares[a] + self.shares[b]) / 2
            spread, count = _over_readers(values, weights), float(len(readers))
        else:
            each = [_over_readers(self.moments.values[m], self.shares[m]) for m in (a, b)]
            spread = each[0] + each[1]
            # Welch and Satterthwaite: readers who are not the same in both modalities.
            parted = sum(s**2 / (len(m) - 1) for s, m in zip(each, (a, b), strict=True) if s > 0)
            count = spread**2 / parted + 1 if parted else math.nan
        value = self._mean(first) - self._mean(second)
        return Difference(
            first=names[first],
            second=names[second],
            difference=_inference(value, variance, spread, count, DIFFERENCE, self.level),
        )


def _over_readers(values: NDArray[np.float64], shares: NDArray[np.float64]) -> float:
    """Estimated variance of a weighted mean over independent readers."""
    if len(values) < 2:
        return math.nan
    centred = (values - shares @ values) ** 2
    return float((shares**2 @ centred) / (1 - (shares**2).sum()))


def _inference(
    value: float,
    variance: float,
    spread: float,
    readers: float,
    bounds: tuple[float, float],
    level: float,
) -> Inference:
    df = math.nan
    if not math.isnan(spread) and not math.isnan(variance) and readers > 1:
        df = variance**2 / (spread**2 / (readers - 1)) if spread > 0 else math.inf
    se = math.sqrt(variance) if variance > 0 else math.nan
    return Inference(value=value, se=se, df=df, bounds=bounds, level=level)
