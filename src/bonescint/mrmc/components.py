"""Mean squares and variance components of the Obuchowski-Rockette model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.jsonable import jsonable


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCovariances:
    """Averages of the covariances of the figures of merit, readers being fixed.

    Obuchowski and Rockette, Commun Stat Simul Comput 1995;24:285. What a design does not have is
    0 (Cov1 and Cov3 with one modality, Cov2 and Cov3 with one reader).

    Attributes:
        var: of the same reader in the same modality.
        cov1: of the same reader in different modalities.
        cov2: of different readers in the same modality.
        cov3: of different readers in different modalities.
    """

    var: float
    cov1: float = 0.0
    cov2: float = 0.0
    cov3: float = 0.0

    @classmethod
    def of(cls, covariance: NDArray[np.float64], defined: NDArray[np.bool_]) -> ErrorCovariances:
        """Averages of a covariance, over the cells that have a figure.

        Args:
            covariance: (modalities, readers, modalities, readers).
            defined: bool (modalities, readers), which cells have a figure. Covariances of those
                that are not a number all the same (one case of a class) are left out.
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
        return {**jsonable(asdict(self)), **jsonable(ratios), "clamped": self.clamped}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanSquares:
    """Mean squares of the figures of merit, modalities by readers.

    Attributes:
        modality: MS(T); not a number with one modality.
        reader: MS(R); not a number with one reader, or where readers are nested.
        modality_reader: MS(TR), or MS(R(T)) where readers are nested in modalities.
        df_modality: t - 1.
        df_modality_reader: (t - 1)(r - 1), or the sum of (r_i - 1) where nested.
        readers: r, or the harmonic mean of the r_i where nested.
    """

    modality: float
    reader: float
    modality_reader: float
    df_modality: int
    df_modality_reader: int
    readers: float

    @classmethod
    def crossed(cls, values: NDArray[np.float64]) -> MeanSquares:
        """Of figures of readers who all read in all modalities, (modalities, readers)."""
        modalities, readers = values.shape
        grand = values.mean()
        of_modality, of_reader = values.mean(axis=1), values.mean(axis=0)
        rest = values - of_modality[:, None] - of_reader[None] + grand
        return cls(
            modality=_over(readers * ((of_modality - grand) ** 2).sum(), modalities - 1),
            reader=_over(modalities * ((of_reader - grand) ** 2).sum(), readers - 1),
            modality_reader=_over((rest**2).sum(), (modalities - 1) * (readers - 1)),
            df_modality=modalities - 1,
            df_modality_reader=(modalities - 1) * (readers - 1),
            readers=float(readers),
        )

    @classmethod
    def nested(cls, values: NDArray[np.float64]) -> MeanSquares:
        """Of readers who read in one modality each; not a number elsewhere."""
        counts = (~np.isnan(values)).sum(axis=1)
        of_modality = np.nanmean(values, axis=1)
        readers = len(counts) / (1 / counts).sum()
        within = np.nansum((values - of_modality[:, None]) ** 2)
        between = ((of_modality - of_modality.mean()) ** 2).sum()
        return cls(
            modality=_over(readers * between, len(counts) - 1),
            reader=math.nan,
            modality_reader=_over(within, int((counts - 1).sum())),
            df_modality=len(counts) - 1,
            df_modality_reader=int((counts - 1).sum()),
            readers=float(readers),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(jsonable(asdict(self)))


def _over(total: float, df: int) -> float:
    return float(total) / df if df else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderComponents:
    """Variance components of readers in the Obuchowski-Rockette model; they may be negative.

    Moment estimates (Hillis, Stat Med 2014;33:330): `reader = (MS(R) - MS(TR)) / t - Cov1 + Cov3`,
    `modality_reader = MS(TR) - Var + Cov1 + max(Cov2 - Cov3, 0)`. With one modality, or readers of
    its own in each, there is one component: `MS - Var + max(Cov2, 0)`.

    Attributes:
        reader: of readers over all modalities; not a number where readers are nested.
        modality_reader: of readers in one modality, beyond that; not a number with one modality.
    """

    reader: float
    modality_reader: float

    @classmethod
    def of(cls, squares: MeanSquares, errors: ErrorCovariances) -> ReaderComponents:
        """From mean squares and covariances of the errors."""
        modalities = squares.df_modality + 1
        alone = max(errors.cov2, 0.0) - errors.var
        if modalities == 1:
            return cls(reader=squares.reader + alone, modality_reader=math.nan)
        if math.isnan(squares.reader):
            return cls(reader=math.nan, modality_reader=squares.modality_reader + alone)
        return cls(
            reader=(squares.reader - squares.modality_reader) / modalities
            - errors.cov1
            + errors.cov3,
            modality_reader=squares.modality_reader
            - errors.var
            + errors.cov1
            + errors.between_readers,
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(jsonable(asdict(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DbmComponents:
    """Variance components of Dorfman, Berbaum and Metz' model of pseudovalues.

    They follow from the jackknife covariances of a factorial study of N cases: Hillis et al.,
    Stat Med 2005;24:1579; Hillis, Berbaum and Metz, Acad Radiol 2008;15:647. They may be negative.

    Attributes:
        reader: R.
        case: C, N Cov3.
        modality_reader: TR.
        modality_case: TC, N (Cov2 - Cov3).
        reader_case: RC, N (Cov1 - Cov3).
        error: N (Var - Cov1 - Cov2 + Cov3).
    """

    reader: float
    case: float
    modality_reader: float
    modality_case: float
    reader_case: float
    error: float

    @classmethod
    def of(cls, squares: MeanSquares, errors: ErrorCovariances, *, cases: int) -> DbmComponents:
        """From the mean squares of the figures and their jackknife covariances."""
        modalities = squares.df_modality + 1
        return cls(
            reader=(squares.reader - squares.modality_reader) / modalities
            - errors.cov1
            + errors.cov3,
            case=cases * errors.cov3,
            modality_reader=squares.modality_reader
            - errors.var
            + errors.cov1
            + errors.cov2
            - errors.cov3,
            modality_case=cases * (errors.cov2 - errors.cov3),
            reader_case=cases * (errors.cov1 - errors.cov3),
            error=cases * (errors.var - errors.cov1 - errors.cov2 + errors.cov3),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(jsonable(asdict(self)))
