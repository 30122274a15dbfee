"""Products of kernels over pairs of cases: what unbiased covariances are made of.

Gallas, Acad Radiol 2006;13:353; Gallas et al., Commun Stat Theory Methods 2009;38:2586.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bonescint.mrmc.cells import Numbers, PairsCell

_CHUNK = 4_000_000  # numbers of 8 bytes that are held at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Sums of products of two cells' kernels, by what the two pairs of cases have in common.

    A product takes a pair (case with disease, case without) of cell k and one of cell l. Each
    array is (4, K, K); the first axis says what is the same in both pairs: both cases, the one
    with disease, the one without, none.

    Attributes:
        values: float64 (K,), figure of merit of each cell.
        counts: how many products there are.
        sums: their sums.
    """

    values: Numbers
    counts: Numbers
    sums: Numbers

    @classmethod
    def of(cls, cells: Sequence[PairsCell], cases: int) -> Moments:
        """Of cells of one study.

        Args:
            cells: K of them.
            cases: number of cases of the study.
        """
        shape = (len(cells), cases)
        rows, columns = np.zeros(shape), np.zeros(shape)
        has_row, has_column = np.zeros(shape), np.zeros(shape)
        for index, cell in enumerate(cells):
            rows[index, cell.positive_cases] = cell.positive_places * len(cell.others)
            columns[index, cell.negative_cases] = cell.negative_places * len(cell.scores)
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
        """Unbiased covariance of the cells' figures, readers being fixed, (K, K).

        The product of two figures, minus an unbiased estimate of the product of what they
        estimate: the mean product over pairs that share no case. Not a number where there are
        no such pairs.
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
