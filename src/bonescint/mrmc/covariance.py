"""Covariances of figures of merit that are observed on the same cases, and what follows of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.cells import Cell, MeanCell, Moments, Numbers, PairsCell
from bonescint.mrmc.results import (
    Generalisation,
    Inference,
    Result,
    chosen,
    hillis_df,
    inference_of_variance,
    jsonable,
)
from bonescint.roc import covariance_of_means
from bonescint.scan import ParameterError

DRAWS = 2000


class CovarianceMethod(StrEnum):
    """How covariances are estimated."""

    DELONG = "delong"
    JACKKNIFE = "jackknife"
    UNBIASED = "unbiased"
    BOOTSTRAP = "bootstrap"


def defined_for(cells: Sequence[Cell], method: CovarianceMethod) -> bool:
    """Whether a method has a formula for these cells.

    DeLong's and the unbiased one need a mean over cases or over pairs of cases.
    """
    if method in (CovarianceMethod.JACKKNIFE, CovarianceMethod.BOOTSTRAP):
        return True
    return all(isinstance(cell, PairsCell | MeanCell) for cell in cells)


def covariance(
    cells: Sequence[Cell],
    cases: int,
    method: CovarianceMethod = CovarianceMethod.DELONG,
    *,
    draws: int = DRAWS,
    seed: int = 1,
) -> Numbers:
    """Covariance of the figures of merit of cells, the readers being fixed.

    Cells need not have the same cases: what two of them do not share adds nothing to their
    covariance.

    Args:
        cells: K of them, of the same kind.
        cases: number of cases of the study.
        method: DeLong, DeLong and Clarke-Pearson, Biometrics 1988;44:837; jackknife over the
            n cases that any figure depends on (Quenouille and Tukey): `(n - 1)/n` times the sum
            of products of deviations; unbiased U-statistics (Gallas,
            Acad Radiol 2006;13:353); bootstrap over cases, with disease and without apart.
        draws: resamples of the bootstrap.
        seed: seed of the bootstrap.

    Returns:
        (K, K); NaN where it cannot be estimated (one case of a class).

    Raises:
        ParameterError: a method that has no formula for these cells.

    Examples:
        >>> from bonescint.mrmc import Auc
        >>> truth = np.array([False, False, True, True])
        >>> cell = Auc().cell(np.array([1.0, 3.0, 2.0, 4.0]), truth)
        >>> float(covariance([cell], 4)[0, 0])
        0.125
    """
    method = chosen(CovarianceMethod, method, "method", "covariance")
    if method is CovarianceMethod.JACKKNIFE:
        return _jackknife(cells, cases)
    if method is CovarianceMethod.BOOTSTRAP:
        return _bootstrap(cells, draws=draws, seed=seed)
    with_components = [cell for cell in cells if isinstance(cell, PairsCell | MeanCell)]
    if len(with_components) < len(cells):
        raise ParameterError("method", "covariance", "jackknife or bootstrap here", method.value)
    pairs = [cell for cell in cells if isinstance(cell, PairsCell)]
    if method is CovarianceMethod.UNBIASED and len(pairs) == len(cells):
        return Moments.of(pairs, cases).covariance
    return _delong(with_components, cases)


def _delong(cells: Sequence[PairsCell | MeanCell], cases: int) -> Numbers:
    of_positives = [(cell.positive_cases, cell.v10) for cell in cells]
    of_negatives = [(cell.negative_cases, cell.v01) for cell in cells]
    found = np.zeros((len(cells), len(cells)))
    for of_class in (of_positives, of_negatives):
        values, has = np.zeros((len(cells), cases)), np.zeros((len(cells), cases), dtype=bool)
        for index, (numbers, components) in enumerate(of_class):
            values[index, numbers], has[index, numbers] = components, True
        found += covariance_of_means(values, has)
    return found


def _jackknife(cells: Sequence[Cell], cases: int) -> Numbers:
    deviations = np.zeros((len(cells), cases))
    anybody = np.zeros(cases, dtype=bool)
    for index, cell in enumerate(cells):
        numbers = np.concatenate([cell.positive_cases, cell.negative_cases])
        left_out = leave_one_out(cell)
        deviations[index, numbers] = left_out - left_out.mean()
        anybody[numbers] = True
    count = int(anybody.sum())
    return np.asarray(deviations @ deviations.T * (count - 1) / count)


def _bootstrap(cells: Sequence[Cell], *, draws: int, seed: int) -> Numbers:
    found = np.full((len(cells),) * 2, np.nan)
    several = np.flatnonzero([not one_of_a_class(cell) for cell in cells])
    if not several.size:
        return found
    figures = bootstrap_figures([cells[int(index)] for index in several], draws=draws, seed=seed)
    whole = figures[:, ~np.isnan(figures).any(axis=0)]
    if whole.shape[1] > 1:
        found[np.ix_(several, several)] = np.cov(whole)
    return found


def one_of_a_class(cell: Cell) -> bool:
    """Whether a figure depends on one case of a class, so that its variance cannot be estimated.

    Drawn with replacement it is always the same case: the bootstrap would call its variance 0.
    """
    return 1 in (len(cell.positive_cases), len(cell.negative_cases))


def leave_one_out(cell: Cell) -> Numbers:
    """The figure of merit without each case in turn, positives first, (P + N,)."""
    positives, negatives = len(cell.positive_cases), len(cell.negative_cases)
    if isinstance(cell, PairsCell | MeanCell):
        value = cell.value
        with np.errstate(invalid="ignore", divide="ignore"):
            of_positives = (positives * value - cell.v10) / (positives - 1)
            of_negatives = (negatives * value - cell.v01) / (negatives - 1)
        return np.concatenate([of_positives, of_negatives])
    found = np.empty(positives + negatives)
    step = 256  # rows of the identity that are held at once
    for start in range(0, len(found), step):
        rows = np.arange(start, min(start + step, len(found)))
        times = np.ones((len(rows), len(found)))
        times[np.arange(len(rows)), rows] = 0.0
        found[rows] = cell.resampled(times[:, :positives], times[:, positives:])
    return found


def bootstrap_figures(cells: Sequence[Cell], *, draws: int = DRAWS, seed: int = 1) -> Numbers:
    """Figures of merit of resampled studies, (K, draws).

    Cases with and without disease are drawn with replacement apart, the same for all cells.
    NaN where a draw leaves a cell without what it needs.

    Args:
        cells: K of them.
        draws: how many studies to draw.
        seed: seed of the draws.
    """
    rng = np.random.default_rng(seed)
    positives = np.unique(np.concatenate([cell.positive_cases for cell in cells]))
    negatives = np.unique(np.concatenate([cell.negative_cases for cell in cells]))
    times = [_resampled(len(kind), draws, rng) for kind in (positives, negatives)]
    return np.stack(
        [
            cell.resampled(
                times[0][:, np.searchsorted(positives, cell.positive_cases)],
                times[1][:, np.searchsorted(negatives, cell.negative_cases)],
            )
            for cell in cells
        ]
    )


def _resampled(count: int, draws: int, rng: np.random.Generator) -> Numbers:
    if count == 0:
        return np.zeros((draws, 0))
    drawn = rng.integers(0, count, (draws, count))
    flat = drawn + np.arange(draws)[:, None] * count
    return np.bincount(flat.ravel(), minlength=draws * count).reshape(draws, count).astype(float)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BootstrapFigure(Result):
    """One reader's, or the model's, figure of merit under the bootstrap over cases.

    Attributes:
        who: a reader, or "model".
        modality: in which; empty for the model.
        value: the figure itself.
        draws: float64 (draws,), of resampled cases; undefined ones left out, all of them where
            there is one case of a class.
    """

    who: str
    modality: str
    value: float
    draws: Numbers

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the quantiles that a violin plot shows."""
        names = ("median", "lower_quartile", "upper_quartile", "low", "high")
        at = (0.5, 0.25, 0.75, 0.025, 0.975)
        known = self.draws.size > 0
        quantiles = np.quantile(self.draws, at) if known else np.full(5, np.nan)
        found = dict(zip(names, quantiles.tolist(), strict=True))
        found["iqr"] = found["upper_quartile"] - found["lower_quartile"]
        return {
            "who": self.who,
            "modality": self.modality,
            **jsonable({"value": self.value, **found}),
        }


def bootstrap_by_cell(
    owners: Sequence[tuple[str, str]], cells: Sequence[Cell], *, draws: int = DRAWS, seed: int = 1
) -> tuple[BootstrapFigure, ...]:
    """Resample the figures of cells over cases, with the same draws for all cells.

    Args:
        owners: reader and modality of each cell.
        cells: one for each owner.
        draws: how many studies to draw.
        seed: seed of the draws.
    """
    drawn = bootstrap_figures(cells, draws=draws, seed=seed) if cells else ()
    return tuple(
        BootstrapFigure(
            who=who,
            modality=modality,
            value=cell.value,
            # One case of a class is drawn again and again: that shows no variation.
            draws=row[:0] if one_of_a_class(cell) else row[~np.isnan(row)],
        )
        for (who, modality), cell, row in zip(owners, cells, drawn, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCovariances(Result):
    """Averages of the covariances of the figures of merit, readers being fixed.

    Obuchowski and Rockette, Commun Stat Simul Comput 1995;24:285. What a design does not have is
    0 (Cov1 and Cov3 with one modality, Cov2 and Cov3 with one reader).

    Attributes:
        var: variance: same reader, same modality.
        cov1: covariance: same reader, different modalities.
        cov2: covariance: different readers, same modality.
        cov3: covariance: different readers, different modalities.
    """

    var: float
    cov1: float = 0.0
    cov2: float = 0.0
    cov3: float = 0.0

    @classmethod
    def of(cls, covariance: Numbers, defined: NDArray[np.bool_]) -> ErrorCovariances:
        """Averages of a covariance, over the cells that have a figure.

        Args:
            covariance: (modalities, readers, modalities, readers).
            defined: bool (modalities, readers), which cells have a figure. Covariances of those
                that are NaN all the same (one case of a class) are left out.
        """
        modalities, readers = covariance.shape[:2]
        same_modality = np.eye(modalities, dtype=bool)[:, None, :, None]
        same_reader = np.eye(readers, dtype=bool)[None, :, None, :]
        there = defined[:, :, None, None] & defined[None, None]

        def mean(kind: NDArray[np.bool_]) -> float:
            entries = covariance[kind & there]
            known = entries[~np.isnan(entries)]
            if known.size:
                return float(known.mean())
            return math.nan if entries.size else 0.0

        return cls(
            var=mean(same_modality & same_reader) if there.any() else math.nan,
            cov1=mean(~same_modality & same_reader),
            cov2=mean(same_modality & ~same_reader),
            cov3=mean(~same_modality & ~same_reader),
        )

    @property
    def between_readers(self) -> float:
        """`max(Cov2 - Cov3, 0)`, as it enters the tests."""
        return max(self.cov2 - self.cov3, 0.0)

    @property
    def clamped(self) -> bool:
        """Whether Cov2 is below Cov3, so that their difference counts as 0."""
        return self.cov2 < self.cov3

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with the correlations that the literature speaks of."""
        ratios = {
            f"r{number}": cov / self.var if self.var else math.nan
            for number, cov in ((1, self.cov1), (2, self.cov2), (3, self.cov3))
        }
        return {**Result.as_dict(self), **jsonable(ratios), "clamped": self.clamped}


def mean_of_readers(
    values: NDArray[np.float64],
    errors: ErrorCovariances,
    to: Generalisation,
    *,
    bounds: tuple[float, float],
    level: float,
) -> Inference:
    """The mean of the readers of one modality: the single-treatment analysis.

    Args:
        values: float64 (readers,), each reader's figure, or its difference from a model.
        errors: averaged covariances of these values.
        to: which of readers and cases are random.
        bounds: what the mean lies within, `AREA` or `DIFFERENCE`.
        level: coverage of the interval.
    """
    count = len(values)
    square = float(values.var(ddof=1)) if count > 1 else math.nan
    shared = max(errors.cov2, 0.0)
    variance, df = math.nan, math.nan
    if count and to is Generalisation.FRRC:
        variance, df = (errors.var + (count - 1) * shared) / count, math.inf
    elif count > 1:
        total = square + (count * shared if to is Generalisation.RRRC else 0.0)
        variance, df = total / count, hillis_df(total, square, count - 1)
        df = float(count - 1) if to is Generalisation.RRFC else df
    value = float(values.mean()) if count else math.nan
    return inference_of_variance(value, variance, df, bounds, level)
