"""The three generalisations of the Obuchowski-Rockette analysis, computed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.components import ErrorCovariances, MeanSquares
from bonescint.mrmc.merits import Merits
from bonescint.mrmc.or_analysis import (
    Difference,
    Generalisation,
    Generalised,
    ModalityMean,
)
from bonescint.mrmc.testing import AREA, DIFFERENCE, Inference, OmnibusTest


@dataclass(frozen=True, slots=True)
class Averaged:
    """What the three generalisations are computed from."""

    figures: Merits
    covariance: NDArray[np.float64]
    squares: MeanSquares
    errors: ErrorCovariances
    of_modality: tuple[ErrorCovariances, ...]
    level: float

    @property
    def counts(self) -> NDArray[np.int64]:
        """Readers of each modality, int (modalities,)."""
        return np.asarray(self.figures.defined.sum(axis=1))

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean figure of each modality, float64 (modalities,)."""
        empty = not self.figures.values.size
        rows = len(self.figures.modalities)
        return np.full(rows, np.nan) if empty else np.nanmean(self.figures.values, axis=1)


def generalised(study: Averaged, to: Generalisation) -> Generalised:
    """What the analysis says under one generalisation."""
    many = len(study.figures.modalities) > 1
    test = _test(study, to) if many else None
    differences = tuple(
        _difference(study, to, first, second)
        for first, second in combinations(range(len(study.figures.modalities)), 2)
    )
    own = to is Generalisation.CASES and many and not study.figures.design.readers_nested
    return Generalised(
        to=to,
        test=test,
        means=tuple(_mean(study, to, row) for row in range(len(study.figures.modalities))),
        differences=differences,
        readers=_of_readers(study) if own else (),
        note=_why_undefined(study, to),
    )


def _why_undefined(study: Averaged, to: Generalisation) -> str:
    if not study.figures.values.size:
        return "no reader has a figure in every modality"
    if to is not Generalisation.CASES and int(study.counts.max()) < 2:
        return "one reader: no generalisation to other readers"
    if to is not Generalisation.READERS and math.isnan(study.errors.var):
        return "a class with one case or none: no generalisation to other cases"
    return ""


def _denominator(study: Averaged, to: Generalisation) -> float:
    """Denominator of F, or of X2 over its degrees of freedom."""
    squares, errors = study.squares, study.errors
    if to is Generalisation.READERS:
        return squares.modality_reader
    if to is Generalisation.READERS_AND_CASES:
        return squares.modality_reader + squares.readers * errors.between_readers
    if study.figures.design.readers_nested:
        return errors.var - errors.cov2 + squares.readers * errors.between_readers
    return errors.var - errors.cov1 + (squares.readers - 1) * errors.between_readers


def _df(study: Averaged, to: Generalisation) -> float:
    """Hillis' degrees of freedom of the denominator."""
    if to is Generalisation.CASES:
        return math.inf
    squares = study.squares
    if to is Generalisation.READERS:
        return float(squares.df_modality_reader) or math.nan
    return _hillis_df(_denominator(study, to), squares.modality_reader, squares.df_modality_reader)


def _hillis_df(denominator: float, square: float, df: float) -> float:
    """`den^2 / (MS^2 / df)`: Hillis, Stat Med 2007;26:596; infinite where readers do not vary."""
    if math.isnan(denominator) or math.isnan(square) or df <= 0:
        return math.nan
    if square == 0:
        return math.inf if denominator > 0 else float(df)
    return denominator**2 / (square**2 / df)


def _test(study: Averaged, to: Generalisation) -> OmnibusTest:
    squares = study.squares
    denominator = _denominator(study, to)
    fixed = to is Generalisation.CASES
    value, note = math.nan, _why_undefined(study, to)
    if denominator > 0:
        value = squares.modality / denominator
    elif denominator <= 0:
        note = "nothing varies within the modalities"
        value = math.inf if squares.modality > 0 else math.nan
    df = float(squares.df_modality)
    if fixed:
        return OmnibusTest(statistic="X2", value=value * df, df=df, note=note)
    return OmnibusTest(statistic="F", value=value, df=df, denominator_df=_df(study, to), note=note)


def _difference(study: Averaged, to: Generalisation, first: int, second: int) -> Difference:
    figures, squares, errors = study.figures, study.squares, study.errors
    value = float(study.means[first] - study.means[second])
    if not figures.design.readers_nested or not figures.values.size:
        readers = squares.readers
        variance = 2 / readers * _denominator(study, to) if readers else math.nan
        df = _df(study, to)
    else:
        counts = study.counts[[first, second]]
        inverse = float((1 / counts).sum())
        between = 2 * errors.between_readers
        shared = {
            Generalisation.READERS: squares.modality_reader * inverse,
            Generalisation.READERS_AND_CASES: squares.modality_reader * inverse + between,
            Generalisation.CASES: (errors.var - errors.cov2) * inverse + between,
        }
        variance = shared[to]
        df = _df(study, to)
        if to is Generalisation.READERS_AND_CASES:
            square = squares.modality_reader * inverse
            df = _hillis_df(variance, square, squares.df_modality_reader)
    return Difference(
        first=figures.modalities[first],
        second=figures.modalities[second],
        difference=_inference(value, variance, df, DIFFERENCE, study.level),
    )


def _inference(
    value: float, variance: float, df: float, bounds: tuple[float, float], level: float
) -> Inference:
    # Rounding may leave a variance that is 0 a little below.
    se = math.sqrt(max(variance, 0.0)) if not math.isnan(variance) else math.nan
    return Inference(value=value, se=se, df=df, bounds=bounds, level=level)


def _mean(study: Averaged, to: Generalisation, row: int) -> ModalityMean:
    """A modality's mean, from its own mean square and covariances."""
    values = study.figures.values[row][study.figures.defined[row]]
    errors = study.of_modality[row]
    count = len(values)
    square = float(values.var(ddof=1)) if count > 1 else math.nan
    shared = max(errors.cov2, 0.0)
    variance, df = math.nan, math.nan
    if count and to is Generalisation.CASES:
        variance, df = (errors.var + (count - 1) * shared) / count, math.inf
    elif count > 1:
        total = square + (count * shared if to is Generalisation.READERS_AND_CASES else 0.0)
        variance, df = total / count, _hillis_df(total, square, count - 1)
        df = float(count - 1) if to is Generalisation.READERS else df
    value = float(study.means[row])
    return ModalityMean(
        modality=study.figures.modalities[row],
        mean=_inference(value, variance, df, AREA, study.level),
    )


def _of_readers(study: Averaged) -> tuple[Difference, ...]:
    """Each reader's own differences, cases being random.

    With the reader's own variances and covariance of these two modalities, whatever other
    modalities there are: not averaged over all of them. With two modalities it is the same.
    """
    figures = study.figures
    found = []
    for reader, name in enumerate(figures.readers):
        own = study.covariance[:, reader, :, reader]
        for first, second in combinations(range(len(figures.modalities)), 2):
            variance = own[first, first] + own[second, second] - 2 * own[first, second]
            value = float(figures.values[first, reader] - figures.values[second, reader])
            found.append(
                Difference(
                    first=figures.modalities[first],
                    second=figures.modalities[second],
                    difference=_inference(
                        value, float(variance), math.inf, DIFFERENCE, study.level
                    ),
                    reader=name,
                )
            )
    return tuple(found)
