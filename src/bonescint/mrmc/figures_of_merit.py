"""Figures of merit of every reader in every modality, with their mean squares."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.cells import Cell, Numbers, PairsCell
from bonescint.mrmc.covariance import (
    DRAWS,
    CovarianceMethod,
    ErrorCovariances,
    covariance,
    defined_for,
)
from bonescint.mrmc.data import MarkedReads, Reads
from bonescint.mrmc.endpoints import Auc, Endpoint, MarkedEndpoint, Undefined, Wafroc
from bonescint.mrmc.results import Note, Notes, Result, some
from bonescint.scan import ParameterError


class Design(StrEnum):
    """Layouts of a multi-reader study."""

    FACTORIAL = "factorial"
    CASES_IN_READERS = "cases nested in readers"
    CASES_IN_MODALITIES = "cases nested in modalities"
    CASES_IN_CELLS = "cases nested in readers and modalities"
    READERS_IN_MODALITIES = "readers nested in modalities"
    READERS_AND_CASES_IN_MODALITIES = "readers and cases nested in modalities"
    UNBALANCED = "unbalanced"

    @property
    def readers_nested(self) -> bool:
        """Whether each modality has readers of its own."""
        return self in (Design.READERS_IN_MODALITIES, Design.READERS_AND_CASES_IN_MODALITIES)


def detect_design(read: NDArray[np.bool_]) -> Design:
    """Find the layout from who read what.

    Args:
        read: bool (modalities, readers, cases).

    Examples:
        >>> detect_design(np.ones((2, 3, 10), bool)).value
        'factorial'
    """
    modalities, readers, _ = read.shape
    reads_in = read.any(axis=2)  # (modalities, readers)
    by_modality = np.asarray(read.any(axis=1))  # (modalities, cases)
    cases_apart = modalities > 1 and int(by_modality.sum(axis=0).max()) == 1
    if modalities > 1 and int(reads_in.sum(axis=0).max()) == 1:
        if cases_apart:
            return Design.READERS_AND_CASES_IN_MODALITIES
        return Design.READERS_IN_MODALITIES
    by_reader = np.asarray(read.any(axis=0))  # (readers, cases)
    readers_apart = readers > 1 and int(by_reader.sum(axis=0).max()) == 1
    if readers_apart and cases_apart:
        return Design.CASES_IN_CELLS
    if readers_apart:
        whole = bool((read == by_reader[None]).all())
        return Design.CASES_IN_READERS if whole else Design.UNBALANCED
    if cases_apart:
        whole = bool((read == by_modality[:, None]).all())
        return Design.CASES_IN_MODALITIES if whole else Design.UNBALANCED
    return Design.FACTORIAL if bool(read.all()) else Design.UNBALANCED


def holes(reads: Reads) -> tuple[str, ...]:
    """Name the reads that are missing from a study that is nearly factorial."""
    found = []
    for modality, by_reader in zip(reads.modalities, reads.read, strict=True):
        for reader, mine in zip(reads.readers, by_reader, strict=True):
            missing = [reads.cases[index] for index in np.flatnonzero(~mine)]
            if not mine.any():
                found.append(f"reader {reader} read nothing in modality {modality}")
            elif missing:
                number = "case" if len(missing) == 1 else "cases"
                found.append(
                    f"reader {reader} did not read {len(missing)} {number} in modality "
                    f"{modality}: {some(missing)}"
                )
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FiguresOfMerit:
    """The figures of merit of a study, on which all tests rest.

    Attributes:
        endpoint: its name.
        modalities: names.
        readers: names.
        values: float64 (modalities, readers); NaN where undefined.
        cells: for each modality and reader; `None` where undefined.
        cases: number of cases.
        positives: number of cases with disease.
        read: bool (modalities, readers, cases), who read what.
        design: how the study is laid out.
        notes: what is undefined and why.
    """

    endpoint: str
    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    values: NDArray[np.float64]
    cells: tuple[tuple[Cell | None, ...], ...]
    cases: int
    positives: int
    read: NDArray[np.bool_]
    design: Design
    notes: tuple[Note, ...]

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Bool (modalities, readers)."""
        return ~np.isnan(self.values)

    def part(
        self,
        *,
        modalities: NDArray[np.bool_] | None = None,
        readers: NDArray[np.bool_] | None = None,
    ) -> FiguresOfMerit:
        """Select some modalities or readers, and find their design.

        Args:
            modalities: bool (modalities,); all of them if `None`.
            readers: bool (readers,); all of them if `None`.
        """
        rows, columns = (
            np.arange(len(names)) if wanted is None else np.flatnonzero(wanted)
            for names, wanted in ((self.modalities, modalities), (self.readers, readers))
        )
        read = self.read[np.ix_(rows, columns)]
        anybody = np.asarray(read.any(axis=(0, 1)))
        return replace(
            self,
            modalities=tuple(self.modalities[row] for row in rows),
            readers=tuple(self.readers[column] for column in columns),
            values=self.values[np.ix_(rows, columns)],
            cells=tuple(tuple(self.cells[row][column] for column in columns) for row in rows),
            read=read,
            design=detect_design(read[:, :, anybody]) if anybody.any() else self.design,
        )

    def methods(self) -> tuple[CovarianceMethod, ...]:
        """The covariance methods that this endpoint has a formula for."""
        cells = [cell for row in self.cells for cell in row if cell is not None]
        return tuple(method for method in CovarianceMethod if defined_for(cells, method))

    def covariance(
        self, method: CovarianceMethod, *, draws: int = DRAWS, seed: int = 1
    ) -> NDArray[np.float64]:
        """Covariance of the figures, (modalities, readers, modalities, readers).

        NaN where a figure is undefined.
        """
        shape = self.values.shape
        where = np.flatnonzero(self.defined)
        flat = [cell for row in self.cells for cell in row]
        cells = [cell for cell in (flat[index] for index in where) if cell is not None]
        found = np.full((len(flat), len(flat)), np.nan)
        if cells:
            of_cells = covariance(cells, self.cases, method, draws=draws, seed=seed)
            found[np.ix_(where, where)] = of_cells
        return found.reshape(*shape, *shape)

    def as_dict(self) -> list[dict[str, Any]]:
        """One row per reader and modality, for JSON and tables."""
        return [
            {
                "modality": modality,
                "reader": reader,
                "value": float(value) if np.isfinite(value) else None,
                "positives": 0 if cell is None else len(cell.positive_cases),
                "negatives": 0 if cell is None else len(cell.negative_cases),
            }
            for modality, values, cells in zip(
                self.modalities, self.values, self.cells, strict=True
            )
            for reader, value, cell in zip(self.readers, values, cells, strict=True)
        ]


def figures_of_merit(
    reads: Reads | MarkedReads, endpoint: Endpoint | MarkedEndpoint | None = None
) -> FiguresOfMerit:
    """Figures of merit of every reader in every modality.

    Args:
        reads: ratings, or marked foci.
        endpoint: endpoint for ratings (by default `Auc`) or for marked foci (`Wafroc`).

    Returns:
        The figures; what is undefined is named in the notes, and the others are computed.

    Raises:
        ParameterError: an endpoint of ratings for marked foci, or the reverse.

    Examples:
        >>> from bonescint.mrmc import RoeMetz, simulate_reads
        >>> study = simulate_reads(RoeMetz(), readers=3, positives=20, negatives=20, seed=1)
        >>> figures_of_merit(study).values.shape
        (2, 3)
    """
    chosen = endpoint or (Wafroc() if isinstance(reads, MarkedReads) else Auc())
    rows: list[tuple[Cell | None, ...]] = []
    notes = Notes(reads.notes)
    for modality, modality_name in enumerate(reads.modalities):
        row: list[Cell | None] = []
        for reader, reader_name in enumerate(reads.readers):
            if not reads.read[modality, reader].any():
                row.append(None)
                continue
            cell = _cell(reads, chosen, modality, reader)
            who = f"reader {reader_name} in modality {modality_name}"
            if isinstance(cell, Undefined):
                notes.left_out(f"{who} has no {chosen.title}: {cell.reason}")
                row.append(None)
                continue
            if _constant(cell):
                notes.remark(
                    f"{who} rated every case the same: the {chosen.title} is defined and "
                    f"{cell.value:g}, because all pairs are tied, with no variance over cases"
                )
            row.append(cell)
        rows.append(tuple(row))
    values = np.array([[np.nan if cell is None else cell.value for cell in row] for row in rows])
    return FiguresOfMerit(
        endpoint=chosen.title,
        modalities=reads.modalities,
        readers=reads.readers,
        values=values,
        cells=tuple(rows),
        cases=len(reads.cases),
        positives=int(reads.truth.sum()),
        read=reads.read,
        design=detect_design(reads.read),
        notes=tuple(notes),
    )


def _cell(
    reads: Reads | MarkedReads, endpoint: Endpoint | MarkedEndpoint, modality: int, reader: int
) -> Cell | Undefined:
    if isinstance(reads, MarkedReads):
        if isinstance(endpoint, MarkedEndpoint):
            return endpoint.marked_cell(reads, modality, reader)
        raise ParameterError("endpoint", "figures_of_merit", "one of marked foci", endpoint.title)
    if isinstance(endpoint, Endpoint):
        return endpoint.cell(reads.ratings[modality, reader], reads.truth)
    raise ParameterError("endpoint", "figures_of_merit", "one of ratings", endpoint.title)


def _constant(cell: Cell) -> bool:
    if not isinstance(cell, PairsCell):
        return False
    first: Numbers = cell.others[:1]
    return bool((cell.others == first).all() and (cell.scores[cell.weights > 0] == first).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanSquares(Result):
    """Mean squares of the figures of merit, modalities by readers.

    Attributes:
        modality: MS(T); NaN with one modality.
        reader: MS(R); NaN with one reader, or where readers are nested.
        modality_reader: MS(TR), or MS(R(T)) where readers are nested in modalities.
        df_modality: t - 1.
        df_modality_reader: (t - 1)(r - 1), or the sum of (r_i - 1) where nested.
        readers: r, or the harmonic mean of the r_i where nested.
    """

    modality: float = math.nan
    reader: float = math.nan
    modality_reader: float = math.nan
    df_modality: int = 0
    df_modality_reader: int = 0
    readers: float = 0.0

    @classmethod
    def crossed(cls, values: NDArray[np.float64]) -> MeanSquares:
        """Compute them for readers who all read in all modalities, (modalities, readers)."""
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
        """Compute them for readers who read in one modality each; NaN elsewhere."""
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


def _over(total: float, df: int) -> float:
    return float(total) / df if df else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderComponents(Result):
    """Variance components of readers in the Obuchowski-Rockette model; they may be negative.

    Moment estimates (Hillis, Stat Med 2014;33:330): `reader = (MS(R) - MS(TR)) / t - Cov1 + Cov3`,
    `modality_reader = MS(TR) - Var + Cov1 + max(Cov2 - Cov3, 0)`. With one modality, or readers of
    its own in each, there is one component: `MS - Var + max(Cov2, 0)`.

    Attributes:
        reader: variance of readers over all modalities; NaN where readers are nested.
        modality_reader: further variance of readers within a modality; NaN with one modality.
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
        over = squares.reader - squares.modality_reader
        in_one = squares.modality_reader - errors.var + errors.cov1 + errors.between_readers
        return cls(reader=over / modalities - errors.cov1 + errors.cov3, modality_reader=in_one)


@dataclass(frozen=True, slots=True, kw_only=True)
class DbmComponents(Result):
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
        var, cov1, cov2, cov3 = errors.var, errors.cov1, errors.cov2, errors.cov3
        over = squares.reader - squares.modality_reader
        return cls(
            reader=over / (squares.df_modality + 1) - cov1 + cov3,
            case=cases * cov3,
            modality_reader=squares.modality_reader - var + cov1 + cov2 - cov3,
            modality_case=cases * (cov2 - cov3),
            reader_case=cases * (cov1 - cov3),
            error=cases * (var - cov1 - cov2 + cov3),
        )
