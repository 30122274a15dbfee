"""Figures of merit of every reader in every modality, with their covariance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.cells import Cell, Numbers, PairsCell
from bonescint.mrmc.covariance import DRAWS, CovarianceMethod, covariance, defined_for
from bonescint.mrmc.design import Design, detect_design
from bonescint.mrmc.endpoints import Auc, Endpoint, Undefined
from bonescint.mrmc.marked_endpoints import MarkedEndpoint, Wafroc
from bonescint.mrmc.marks import MarkedReads
from bonescint.mrmc.notes import Note, left_out, remark
from bonescint.mrmc.reads import Reads
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Merits:
    """Figures of merit of a study, before anything is tested.

    Attributes:
        endpoint: its name.
        modalities: names.
        readers: names.
        values: float64 (modalities, readers); not a number where undefined.
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

    def of_readers(self, wanted: NDArray[np.bool_]) -> Merits:
        """Those of some readers; the design is theirs.

        Args:
            wanted: bool (readers,).
        """
        kept = np.flatnonzero(wanted)
        return self._part(np.arange(len(self.modalities)), kept)

    def of_modalities(self, wanted: NDArray[np.bool_]) -> Merits:
        """Those of some modalities; the design is theirs.

        Args:
            wanted: bool (modalities,).
        """
        return self._part(np.flatnonzero(wanted), np.arange(len(self.readers)))

    def _part(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Merits:
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
        """The covariance methods that there are for this endpoint."""
        cells = [cell for row in self.cells for cell in row if cell is not None]
        return tuple(method for method in CovarianceMethod if defined_for(cells, method))

    def covariance(
        self, method: CovarianceMethod, *, draws: int = DRAWS, seed: int = 1
    ) -> NDArray[np.float64]:
        """Covariance of the figures, (modalities, readers, modalities, readers).

        Not a number where a figure is undefined.
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


def merits(reads: Reads | MarkedReads, endpoint: Endpoint | MarkedEndpoint | None = None) -> Merits:
    """Figures of merit of every reader in every modality.

    Args:
        reads: ratings, or marked foci.
        endpoint: of ratings (`Auc` unless told otherwise) or of marked foci (`Wafroc`).

    Returns:
        The figures; what is undefined is named in the notes, and the rest goes on.

    Raises:
        ParameterError: an endpoint of ratings for marked foci, or the reverse.

    Examples:
        >>> from bonescint.mrmc import RoeMetz, simulate_reads
        >>> study = simulate_reads(RoeMetz(), readers=3, positives=20, negatives=20, seed=1)
        >>> merits(study).values.shape
        (2, 3)
    """
    chosen = endpoint or (Wafroc() if isinstance(reads, MarkedReads) else Auc())
    rows: list[tuple[Cell | None, ...]] = []
    notes: list[Note] = list(reads.notes)
    for modality, modality_name in enumerate(reads.modalities):
        row: list[Cell | None] = []
        for reader, reader_name in enumerate(reads.readers):
            if not reads.read[modality, reader].any():
                row.append(None)
                continue
            cell = _cell(reads, chosen, modality, reader)
            who = f"reader {reader_name} in modality {modality_name}"
            if isinstance(cell, Undefined):
                notes.append(left_out(f"{who} has no {chosen.title}: {cell.reason}"))
                row.append(None)
                continue
            if _constant(cell):
                notes.append(
                    remark(
                        f"{who} rated every case the same: the {chosen.title} is defined and "
                        f"{cell.value:g}, because all pairs are tied, with no variance over cases"
                    )
                )
            row.append(cell)
        rows.append(tuple(row))
    values = np.array([[np.nan if cell is None else cell.value for cell in row] for row in rows])
    return Merits(
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
        raise ParameterError("endpoint", "merits", "one of marked foci", endpoint.title)
    if isinstance(endpoint, Endpoint):
        return endpoint.cell(reads.ratings[modality, reader], reads.truth)
    raise ParameterError("endpoint", "merits", "one of ratings", endpoint.title)


def _constant(cell: Cell) -> bool:
    if not isinstance(cell, PairsCell):
        return False
    first: Numbers = cell.others[:1]
    return bool((cell.others == first).all() and (cell.scores[cell.weights > 0] == first).all())
