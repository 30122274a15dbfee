"""The Obuchowski-Rockette analysis of a multi-reader multi-case study."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.covariance import DRAWS, CovarianceMethod, ErrorCovariances, mean_of_readers
from bonescint.mrmc.data import MarkedReads, Reads
from bonescint.mrmc.endpoints import Endpoint, MarkedEndpoint
from bonescint.mrmc.figures_of_merit import (
    DbmComponents,
    Design,
    FiguresOfMerit,
    MeanSquares,
    ReaderComponents,
    figures_of_merit,
)
from bonescint.mrmc.results import (
    AREA,
    BELOW_ZERO,
    DIFFERENCE,
    ROUNDING,
    Difference,
    Generalisation,
    Inference,
    Note,
    Notes,
    OmnibusTest,
    Result,
    chosen,
    hillis_df,
    inference_of_variance,
    jsonable,
    no_variance,
    remark_below_zero,
    some,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityMean:
    """The mean figure of merit of a modality's readers.

    Attributes:
        modality: name of the modality.
        mean: the mean with its interval, from this modality's own reads.
    """

    modality: str
    mean: Inference


@dataclass(frozen=True, slots=True, kw_only=True)
class OrResult(Result):
    """The result under one generalisation.

    Attributes:
        to: the generalisation.
        test: test that all modalities are equal; `None` with one modality.
        means: mean figure of merit of each modality.
        differences: differences of each pair of modalities.
        readers: for fixed readers, each reader's own differences.
        note: why it is undefined; empty if it is defined.
    """

    to: Generalisation
    test: OmnibusTest | None
    means: tuple[ModalityMean, ...]
    differences: tuple[Difference, ...]
    readers: tuple[Difference, ...] = ()
    note: str = ""

    @property
    def inferences(self) -> tuple[Inference, ...]:
        """Everything that has an interval."""
        differences = (one.difference for one in (*self.differences, *self.readers))
        return (*(one.mean for one in self.means), *differences)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "test": jsonable(self.test),
            "modalities": [{"modality": one.modality, **one.mean.as_dict()} for one in self.means],
            "differences": jsonable(self.differences),
            **({"readers": jsonable(self.readers)} if self.readers else {}),
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OrAnalysis(Result):
    """An Obuchowski-Rockette analysis.

    Attributes:
        endpoint: name of the figure of merit.
        method: how covariances were estimated.
        design: layout of the study.
        figures_of_merit: the figures of merit that were analysed.
        squares: mean squares.
        errors: averaged error covariances.
        of_modality: error covariances from each modality's own reads.
        components: variance components of readers.
        dbm: DBM analysis of pseudovalues; `None` unless the study is factorial and jackknifed.
        results: the result under each generalisation.
        notes: what was left out, and remarks on the result.
    """

    endpoint: str
    method: CovarianceMethod
    design: Design
    figures_of_merit: FiguresOfMerit
    squares: MeanSquares
    errors: ErrorCovariances
    of_modality: tuple[ErrorCovariances, ...]
    components: ReaderComponents
    dbm: DbmComponents | None
    results: tuple[OrResult, ...]
    notes: tuple[Note, ...]

    def to(self, generalisation: Generalisation) -> OrResult:
        """The result under one generalisation."""
        return next(one for one in self.results if one.to == generalisation)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, at full precision."""
        return {
            "method": self.method.value,
            "design": self.design.value,
            "readers": list(self.figures_of_merit.readers),
            "mean_squares": self.squares.as_dict(),
            "error_covariances": self.errors.as_dict(),
            "error_covariances_of_modality": [
                {"modality": name, **errors.as_dict()}
                for name, errors in zip(
                    self.figures_of_merit.modalities, self.of_modality, strict=True
                )
            ],
            "reader_components": self.components.as_dict(),
            "dbm_components": jsonable(self.dbm),
            "generalisations": {one.to.value: one.as_dict() for one in self.results},
            "notes": jsonable(self.notes),
        }


@dataclass(frozen=True, slots=True)
class OrTerms:
    """The terms from which the results under the three generalisations are computed."""

    figures: FiguresOfMerit
    covariance: NDArray[np.float64]
    squares: MeanSquares
    errors: ErrorCovariances
    of_modality: tuple[ErrorCovariances, ...]
    level: float

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of readers of each modality, int (modalities,)."""
        return np.asarray(self.figures.defined.sum(axis=1))

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean figure of each modality, float64 (modalities,)."""
        empty = not self.figures.values.size
        rows = len(self.figures.modalities)
        return np.full(rows, np.nan) if empty else np.nanmean(self.figures.values, axis=1)


def or_result(terms: OrTerms, to: Generalisation) -> OrResult:
    """The result under one generalisation."""
    many = len(terms.figures.modalities) > 1
    test = _test(terms, to) if many else None
    differences = tuple(
        _difference(terms, to, first, second)
        for first, second in combinations(range(len(terms.figures.modalities)), 2)
    )
    own = to is Generalisation.FRRC and many and not terms.figures.design.readers_nested
    return OrResult(
        to=to,
        test=test,
        means=tuple(
            ModalityMean(
                modality=name,
                mean=mean_of_readers(
                    values[~np.isnan(values)], errors, to, bounds=AREA, level=terms.level
                ),
            )
            for name, values, errors in zip(
                terms.figures.modalities, terms.figures.values, terms.of_modality, strict=True
            )
        ),
        differences=differences,
        readers=_of_readers(terms) if own else (),
        note=_why_undefined(terms, to),
    )


def _why_undefined(terms: OrTerms, to: Generalisation) -> str:
    if not terms.figures.values.size:
        return "no reader has a figure in every modality"
    if to is not Generalisation.FRRC and int(terms.counts.max()) < 2:
        return "one reader: no generalisation to other readers"
    if to is not Generalisation.RRFC and math.isnan(terms.errors.var):
        return "a class with one case or none: no generalisation to other cases"
    return ""


def _denominator(terms: OrTerms, to: Generalisation) -> float:
    """Denominator of F, or of X2 over its degrees of freedom."""
    squares, errors = terms.squares, terms.errors
    if to is Generalisation.RRFC:
        return squares.modality_reader
    if to is Generalisation.RRRC:
        return squares.modality_reader + squares.readers * errors.between_readers
    if terms.figures.design.readers_nested:
        return errors.var - errors.cov2 + squares.readers * errors.between_readers
    return errors.var - errors.cov1 + (squares.readers - 1) * errors.between_readers


def _df(terms: OrTerms, to: Generalisation) -> float:
    """Hillis' degrees of freedom of the denominator."""
    if to is Generalisation.FRRC:
        return math.inf
    squares = terms.squares
    if to is Generalisation.RRFC:
        return float(squares.df_modality_reader) or math.nan
    return hillis_df(_denominator(terms, to), squares.modality_reader, squares.df_modality_reader)


def _test(terms: OrTerms, to: Generalisation) -> OmnibusTest:
    squares = terms.squares
    denominator = _denominator(terms, to)
    fixed = to is Generalisation.FRRC
    value, note = math.nan, _why_undefined(terms, to)
    if denominator > 0:
        value = squares.modality / denominator
    elif denominator < -ROUNDING:
        note = BELOW_ZERO
    elif denominator <= 0:
        note = "nothing varies within the modalities"
        value = math.inf if squares.modality > 0 else math.nan
    df = float(squares.df_modality)
    if fixed:
        return OmnibusTest(statistic="X2", value=value * df, df=df, note=note)
    return OmnibusTest(statistic="F", value=value, df=df, denominator_df=_df(terms, to), note=note)


def _difference(terms: OrTerms, to: Generalisation, first: int, second: int) -> Difference:
    figures, squares, errors = terms.figures, terms.squares, terms.errors
    value = float(terms.means[first] - terms.means[second])
    if not figures.design.readers_nested or not figures.values.size:
        readers = squares.readers
        variance = 2 / readers * _denominator(terms, to) if readers else math.nan
        df = _df(terms, to)
    else:
        counts = terms.counts[[first, second]]
        inverse = float((1 / counts).sum())
        between = 2 * errors.between_readers
        shared = {
            Generalisation.RRFC: squares.modality_reader * inverse,
            Generalisation.RRRC: squares.modality_reader * inverse + between,
            Generalisation.FRRC: (errors.var - errors.cov2) * inverse + between,
        }
        variance = shared[to]
        df = _df(terms, to)
        if to is Generalisation.RRRC:
            square = squares.modality_reader * inverse
            df = hillis_df(variance, square, squares.df_modality_reader)
    return Difference(
        first=figures.modalities[first],
        second=figures.modalities[second],
        difference=inference_of_variance(value, variance, df, DIFFERENCE, terms.level),
    )


def _of_readers(terms: OrTerms) -> tuple[Difference, ...]:
    """Each reader's own differences, for random cases.

    Variances and the covariance are the reader's own for the two modalities, not averaged over all
    modalities. With two modalities both give the same result.
    """
    figures = terms.figures
    found = []
    for reader, name in enumerate(figures.readers):
        own = terms.covariance[:, reader, :, reader]
        for first, second in combinations(range(len(figures.modalities)), 2):
            variance = own[first, first] + own[second, second] - 2 * own[first, second]
            value = float(figures.values[first, reader] - figures.values[second, reader])
            found.append(
                Difference(
                    first=figures.modalities[first],
                    second=figures.modalities[second],
                    difference=inference_of_variance(
                        value, float(variance), math.inf, DIFFERENCE, terms.level
                    ),
                    reader=name,
                )
            )
    return tuple(found)


def obuchowski_rockette(
    reads: Reads | MarkedReads | FiguresOfMerit,
    endpoint: Endpoint | MarkedEndpoint | None = None,
    *,
    method: CovarianceMethod = CovarianceMethod.DELONG,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 1,
) -> OrAnalysis:
    """Compare modalities that several readers read, or describe one modality.

    With t modalities, r readers, and the mean squares `MS(T)` and `MS(TR)` of figures of merit:

    - random readers, random cases: `den = MS(TR) + r max(Cov2 - Cov3, 0)`, `F = MS(T) / den`
      with t - 1 and `den^2 / (MS(TR)^2 / ((t-1)(r-1)))` degrees of freedom;
    - fixed readers, random cases: `X2 = (t-1) MS(T) / (Var - Cov1 + (r-1) max(Cov2 - Cov3, 0))`;
    - random readers, fixed cases: `F = MS(T) / MS(TR)`.

    Obuchowski and Rockette, Commun Stat Simul Comput 1995;24:285; degrees of freedom: Hillis, Stat
    Med 2007;26:596; nested designs: Hillis, Stat Med 2014;33:330. A modality's own interval uses
    its own mean square and covariances.

    Args:
        reads: ratings or marked foci, or figures of merit that are computed already.
        endpoint: the figure of merit; by default AUC (wAFROC for marked foci).
        method: how covariances are estimated.
        level: coverage of the intervals.
        draws: resamples of the bootstrap, if that is the method.
        seed: seed of the bootstrap.

    Returns:
        The analysis. A reader who lacks a figure in one of the modalities is left out of a
        crossed comparison, and the notes say so.

    Raises:
        ParameterError: an endpoint or method that does not fit.

    Examples:
        >>> from bonescint.mrmc import RoeMetz, simulate_reads
        >>> study = simulate_reads(RoeMetz(), readers=4, positives=30, negatives=30, seed=1)
        >>> analysis = obuchowski_rockette(study)
        >>> analysis.to(Generalisation.RRRC).test.df
        1.0
    """
    method = chosen(CovarianceMethod, method, "method", "obuchowski_rockette")
    figures = reads if isinstance(reads, FiguresOfMerit) else figures_of_merit(reads, endpoint)
    notes = Notes(figures.notes)
    figures = _analysable(figures, notes)
    covariance = figures.covariance(method, draws=draws, seed=seed)
    nested = figures.design.readers_nested
    make = MeanSquares.nested if nested else MeanSquares.crossed
    empty = not figures.values.size
    squares = MeanSquares() if empty else make(figures.values)
    defined = figures.defined
    errors = ErrorCovariances.of(covariance, defined)
    of_modality = tuple(
        ErrorCovariances.of(covariance[i : i + 1, :, i : i + 1], defined[i : i + 1])
        for i in range(len(covariance))
    )
    _remark_on(figures, errors, covariance, notes)
    study = OrTerms(figures, covariance, squares, errors, of_modality, level)
    pseudovalues = method is CovarianceMethod.JACKKNIFE and figures.design is Design.FACTORIAL
    whole = pseudovalues and not empty
    results = tuple(or_result(study, to) for to in Generalisation)
    remark_below_zero((one for result in results for one in result.inferences), notes)
    return OrAnalysis(
        endpoint=figures.endpoint,
        method=method,
        design=figures.design,
        figures_of_merit=figures,
        squares=squares,
        errors=errors,
        of_modality=of_modality,
        components=ReaderComponents.of(squares, errors),
        dbm=DbmComponents.of(squares, errors, cases=_jackknifed(figures)) if whole else None,
        results=results,
        notes=tuple(notes),
    )


def _jackknifed(figures: FiguresOfMerit) -> int:
    """Number of cases that the figures depend on (for sensitivity, those with disease)."""
    cell = next(cell for row in figures.cells for cell in row if cell is not None)
    return len(cell.positive_cases) + len(cell.negative_cases)


def _analysable(figures: FiguresOfMerit, notes: Notes) -> FiguresOfMerit:
    """Select the modalities and readers that can be compared, and note what was left out."""
    there = np.asarray(figures.defined.any(axis=1))
    if not there.all():
        gone = [name for name, keep in zip(figures.modalities, there, strict=True) if not keep]
        notes.left_out(f"modality {some(gone)}: no reader's {figures.endpoint} is defined")
        figures = figures.part(modalities=there)
    if figures.design.readers_nested:
        return figures.part(readers=np.asarray(figures.defined.any(axis=0)))
    whole = np.asarray(figures.defined.all(axis=0))
    if whole.all():
        return figures
    for name, mine in zip(figures.readers, figures.defined.T, strict=True):
        lacking = [m for m, ok in zip(figures.modalities, mine, strict=True) if not ok]
        if lacking:
            notes.left_out(
                f"reader {name}: left out of the comparison, having no {figures.endpoint} in "
                f"modality {some(lacking)}"
            )
    return figures.part(readers=whole)


def _remark_on(
    figures: FiguresOfMerit,
    errors: ErrorCovariances,
    covariance: NDArray[np.float64],
    notes: Notes,
) -> None:
    there = np.argwhere(figures.defined)
    lacking = [(i, j) for i, j in there if math.isnan(covariance[i, j, i, j])]
    for i, j in lacking:
        who = f"reader {figures.readers[j]} in modality {figures.modalities[i]}"
        notes.append(no_variance(who, others=len(lacking) < len(there)))
    if len(figures.readers) == 0:
        notes.left_out("every comparison: no reader has a figure in every modality")
    elif errors.clamped and len(figures.modalities) > 1:
        notes.remark(
            f"Cov2 ({errors.cov2:.3g}) is below Cov3 ({errors.cov3:.3g}): their difference "
            f"counts as 0, because a variance cannot be negative"
        )
    elif errors.cov2 < 0:
        notes.remark(f"Cov2 ({errors.cov2:.3g}) is negative and counts as 0 in the intervals")
    if figures.design is Design.UNBALANCED:
        notes.remark(
            "not every reader read every case: each figure is of the cases that the reader read, "
            "covariances are over the cases that two share; Gallas' U-statistics are meant for "
            "such designs"
        )
