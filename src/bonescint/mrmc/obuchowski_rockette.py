"""The Obuchowski-Rockette analysis of a multi-reader multi-case study."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.choices import chosen
from bonescint.mrmc.components import (
    DbmComponents,
    ErrorCovariances,
    MeanSquares,
    ReaderComponents,
)
from bonescint.mrmc.covariance import DRAWS, CovarianceMethod
from bonescint.mrmc.design import Design
from bonescint.mrmc.endpoints import Endpoint
from bonescint.mrmc.generalising import Averaged, generalised
from bonescint.mrmc.marked_endpoints import MarkedEndpoint
from bonescint.mrmc.marks import MarkedReads
from bonescint.mrmc.merits import Merits, merits
from bonescint.mrmc.notes import Note, left_out, no_variance, remark, some
from bonescint.mrmc.or_analysis import Generalisation, OrAnalysis
from bonescint.mrmc.reads import Reads


def obuchowski_rockette(
    reads: Reads | MarkedReads | Merits,
    endpoint: Endpoint | MarkedEndpoint | None = None,
    *,
    method: CovarianceMethod = CovarianceMethod.DELONG,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 1,
) -> OrAnalysis:
    """Compare modalities that several readers read, or describe one modality.

    With t modalities and r readers, `MS(T)` and `MS(TR)` the mean squares of the figures of merit:

    - random readers, random cases: `den = MS(TR) + r max(Cov2 - Cov3, 0)`, `F = MS(T) / den`
      with t - 1 and `den^2 / (MS(TR)^2 / ((t-1)(r-1)))` degrees of freedom;
    - fixed readers, random cases: `X2 = (t-1) MS(T) / (Var - Cov1 + (r-1) max(Cov2 - Cov3, 0))`;
    - random readers, fixed cases: `F = MS(T) / MS(TR)`.

    Obuchowski and Rockette, Commun Stat Simul Comput 1995;24:285; degrees of freedom: Hillis, Stat
    Med 2007;26:596; nested designs: Hillis, Stat Med 2014;33:330. A modality's own interval uses
    its own mean square and covariances.

    Args:
        reads: ratings or marked foci, or figures of merit that are known already.
        endpoint: the figure of merit; AUC (wAFROC for marked foci) unless told otherwise.
        method: of the covariances.
        level: coverage of the intervals.
        draws: of the bootstrap, if that is the method.
        seed: of the bootstrap.

    Returns:
        The analysis. A reader who lacks a figure in one of the modalities is left out of a
        crossed comparison, and the notes say so.

    Raises:
        ParameterError: an endpoint or method that does not fit.

    Examples:
        >>> from bonescint.mrmc import RoeMetz, simulate_reads
        >>> study = simulate_reads(RoeMetz(), readers=4, positives=30, negatives=30, seed=1)
        >>> analysis = obuchowski_rockette(study)
        >>> analysis.to(Generalisation.READERS_AND_CASES).test.df
        1.0
    """
    method = chosen(CovarianceMethod, method, "method", "obuchowski_rockette")
    figures = reads if isinstance(reads, Merits) else merits(reads, endpoint)
    notes = list(figures.notes)
    figures, more = _analysable(figures)
    notes += more
    covariance = figures.covariance(method, draws=draws, seed=seed)
    nested = figures.design.readers_nested
    make = MeanSquares.nested if nested else MeanSquares.crossed
    empty = not figures.values.size
    squares = _nothing() if empty else make(figures.values)
    defined = figures.defined
    errors = ErrorCovariances.of(covariance, defined)
    of_modality = tuple(
        ErrorCovariances.of(covariance[i : i + 1, :, i : i + 1], defined[i : i + 1])
        for i in range(len(covariance))
    )
    notes += _remarks(figures, errors, covariance)
    study = Averaged(figures, covariance, squares, errors, of_modality, level)
    pseudovalues = method is CovarianceMethod.JACKKNIFE and figures.design is Design.FACTORIAL
    whole = pseudovalues and not empty
    return OrAnalysis(
        endpoint=figures.endpoint,
        method=method,
        design=figures.design,
        merits=figures,
        squares=squares,
        errors=errors,
        of_modality=of_modality,
        components=ReaderComponents.of(squares, errors),
        dbm=DbmComponents.of(squares, errors, cases=_jackknifed(figures)) if whole else None,
        generalised=tuple(generalised(study, to) for to in Generalisation),
        notes=tuple(notes),
    )


def _jackknifed(figures: Merits) -> int:
    """Number of cases that the figures depend on, which sensitivity's are fewer than all."""
    cell = next(cell for row in figures.cells for cell in row if cell is not None)
    return len(cell.positive_cases) + len(cell.negative_cases)


def _nothing() -> MeanSquares:
    undefined = math.nan
    return MeanSquares(
        modality=undefined,
        reader=undefined,
        modality_reader=undefined,
        df_modality=0,
        df_modality_reader=0,
        readers=0.0,
    )


def _analysable(figures: Merits) -> tuple[Merits, list[Note]]:
    """The modalities and readers that can be compared, and what had to go."""
    notes: list[Note] = []
    there = np.asarray(figures.defined.any(axis=1))
    if not there.all():
        gone = [name for name, keep in zip(figures.modalities, there, strict=True) if not keep]
        notes.append(left_out(f"modality {some(gone)}: no reader's {figures.endpoint} is defined"))
        figures = figures.of_modalities(there)
    if figures.design.readers_nested:
        return figures.of_readers(np.asarray(figures.defined.any(axis=0))), notes
    whole = np.asarray(figures.defined.all(axis=0))
    if whole.all():
        return figures, notes
    for name, mine in zip(figures.readers, figures.defined.T, strict=True):
        lacking = [m for m, ok in zip(figures.modalities, mine, strict=True) if not ok]
        if lacking:
            notes.append(
                left_out(
                    f"reader {name}: left out of the comparison, having no {figures.endpoint} in "
                    f"modality {some(lacking)}"
                )
            )
    return figures.of_readers(whole), notes


def _remarks(
    figures: Merits, errors: ErrorCovariances, covariance: NDArray[np.float64]
) -> list[Note]:
    there = np.argwhere(figures.defined)
    lacking = [(i, j) for i, j in there if math.isnan(covariance[i, j, i, j])]
    notes = [
        no_variance(
            f"reader {figures.readers[j]} in modality {figures.modalities[i]}",
            others=len(lacking) < len(there),
        )
        for i, j in lacking
    ]
    if len(figures.readers) == 0:
        notes.append(left_out("every comparison: no reader has a figure in every modality"))
    elif errors.clamped and len(figures.modalities) > 1:
        notes.append(
            remark(
                f"Cov2 ({errors.cov2:.3g}) is below Cov3 ({errors.cov3:.3g}): their difference "
                f"counts as 0, because a variance cannot be negative"
            )
        )
    elif errors.cov2 < 0:
        notes.append(
            remark(f"Cov2 ({errors.cov2:.3g}) is negative and counts as 0 in the intervals")
        )
    if figures.design is Design.UNBALANCED:
        notes.append(
            remark(
                "not every reader read every case: each figure is of the cases that the reader "
                "read, covariances are over the cases that two share; Gallas' U-statistics are "
                "meant for such designs"
            )
        )
    return notes
