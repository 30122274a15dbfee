"""A standalone model compared with readers: whether it reads as well as physicians do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.cells import Cell
from bonescint.mrmc.covariance import (
    DRAWS,
    CovarianceMethod,
    ErrorCovariances,
    covariance,
    mean_of_readers,
)
from bonescint.mrmc.data import Reads
from bonescint.mrmc.endpoints import Auc, Endpoint, Undefined
from bonescint.mrmc.results import (
    AREA,
    DIFFERENCE,
    Generalisation,
    Inference,
    Note,
    Notes,
    Result,
    chosen,
    inference_of_variance,
    no_variance,
    remark_below_zero,
    some,
)
from bonescint.scan import ParameterError
from bonescint.tables import matched_names, said_spellings


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderVsStandalone(Result):
    """One reader compared with the model, on the cases that this reader read.

    Attributes:
        reader: the name.
        value: the reader's figure of merit.
        model: the model's on the same cases.
        difference: reader minus model, cases being random.
    """

    reader: str
    value: Inference
    model: float
    difference: Inference


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StandaloneVsReaders(Result):
    """A model compared with a group of readers in one modality.

    Attributes:
        endpoint: name of the figure of merit.
        modality: in which the readers read.
        method: method of the covariances.
        model: the model's figure of merit on all its cases, cases being random.
        readers_mean: mean of the readers' figures.
        mean_square_reader: MS(R), the variance of `D_j = reader_j - model` over readers.
        var: mean variance of D_j over cases.
        cov2: mean covariance of two readers' D_j over cases.
        cases: number of cases that were compared.
        readers_less_model: readers' mean minus the model, for each generalisation.
        readers: each reader's.
        notes: what was left out, and remarks on the result.
    """

    endpoint: str
    modality: str
    method: CovarianceMethod
    model: Inference
    readers_mean: float
    mean_square_reader: float
    var: float
    cov2: float
    cases: int
    readers_less_model: Mapping[Generalisation, Inference]
    readers: tuple[ReaderVsStandalone, ...]
    notes: tuple[Note, ...]

    def to(self, generalisation: Generalisation) -> Inference:
        """Readers' mean minus the model, under one generalisation."""
        return self.readers_less_model[generalisation]


def standalone_vs_readers(
    reads: Reads,
    predictions: Mapping[str, float],
    endpoint: Endpoint | None = None,
    *,
    model_endpoint: Endpoint | None = None,
    method: CovarianceMethod = CovarianceMethod.DELONG,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 1,
) -> StandaloneVsReaders:
    """Compare one model with many readers.

    The single-treatment Obuchowski-Rockette analysis of `D_j = reader_j - model`: with r readers,
    `MS(R)` the variance of D_j over readers, Cov2 the mean covariance of two D_j over cases,
    `den = MS(R) + r max(Cov2, 0)`, `se = sqrt(den / r)` and `den^2 / (MS(R)^2 / (r-1))` degrees of
    freedom for random readers and cases; `se = sqrt((Var + (r-1) max(Cov2, 0)) / r)` and the
    normal distribution for fixed readers; `se = sqrt(MS(R) / r)` and r - 1 for fixed cases.
    Chakraborty, Observer Performance Methods, CRC 2017 (standalone CAD against radiologists);
    Hillis, Stat Med 2014;33:330.

    Args:
        reads: reads of one modality.
        predictions: the model's probability for each case, by the case's name.
        endpoint: the figure of merit; AUC unless told otherwise.
        model_endpoint: the same for the model, where a threshold differs (sensitivity at a
            reader's rating of 3, at a model's probability of 0.5).
        method: method of the covariances.
        level: coverage of the intervals.
        draws: resamples of the bootstrap, if that is the method.
        seed: seed of the bootstrap.

    Returns:
        The comparison. Cases without a prediction are left out, and the notes say so; a reader
        who read some of the cases is compared with the model on these.

    Raises:
        ParameterError: reads of several modalities; no case or no reader is left.

    Examples:
        >>> from bonescint.mrmc import RoeMetz, simulate_reads
        >>> study = simulate_reads(RoeMetz(), readers=4, positives=30, negatives=30, seed=1)
        >>> rng = np.random.default_rng(2)
        >>> model = {c: rng.normal() + t for c, t in zip(study.cases, study.truth)}
        >>> found = standalone_vs_readers(study.of_modality("1"), model)
        >>> len(found.readers)
        4
    """
    if len(reads.modalities) != 1:
        raise ParameterError(
            "reads", "standalone_vs_readers", "of one modality", list(reads.modalities)
        )
    method = chosen(CovarianceMethod, method, "method", "standalone_vs_readers")
    figure = endpoint or Auc()
    notes = Notes(reads.notes)
    reads, scores = _with_predictions(reads, predictions, notes)
    of_model = (model_endpoint or figure).cell(scores, reads.truth)
    if isinstance(of_model, Undefined):
        got = of_model.reason
        raise ParameterError("predictions", "standalone_vs_readers", "of both classes", got)
    names, cells = _pairs_of_cells(reads, scores, figure, model_endpoint or figure, notes)
    if not names:
        got = "none"
        raise ParameterError(
            "reads", "standalone_vs_readers", f"of readers with a {figure.title}", got
        )
    several = [*(one for pair in cells for one in pair), of_model]
    joint = covariance(several, len(reads.cases), method, draws=draws, seed=seed)
    return _compared(reads, figure.title, method, names, cells, of_model, joint, notes, level)


def named_as_read(predictions: Mapping[str, float], reads: Reads, notes: Notes) -> dict[str, float]:
    """Predictions by the names of the cases as readers have them; a remark names other ones."""
    written = matched_names(predictions, reads.cases)
    if written:
        notes.remark(f"in the predictions, {said_spellings('case', written)}")
    return {written.get(case, case): value for case, value in predictions.items()}


def _with_predictions(
    reads: Reads, predictions: Mapping[str, float], notes: Notes
) -> tuple[Reads, NDArray[np.float64]]:
    """The reads of cases that have a prediction, and the predictions in their order."""
    predictions = named_as_read(predictions, reads, notes)
    known = np.array([case in predictions for case in reads.cases])
    if not known.any():
        raise ParameterError(
            "predictions",
            "standalone_vs_readers",
            f"of the cases that were read ({some(reads.cases, 3)})",
            some(list(predictions), 3) or "none",
        )
    if not known.all():
        missing = [case for case, ok in zip(reads.cases, known, strict=True) if not ok]
        cases = "1 case" if len(missing) == 1 else f"{len(missing)} cases"
        notes.left_out(f"{cases} without a prediction of the model: {some(missing)}")
    unread = len(set(predictions) - set(reads.cases))
    if unread:
        where = f"in modality {reads.modalities[0]}"
        notes.remark(f"{unread} predictions are of cases that no reader read {where}: not used")
    kept = reads.of_cases(known)
    scores = np.array([float(predictions[case]) for case in kept.cases])
    if not np.isfinite(scores).all():
        bad = [
            case for case, score in zip(kept.cases, scores, strict=True) if not math.isfinite(score)
        ]
        raise ParameterError(
            "predictions", "standalone_vs_readers", "finite numbers", f"not for {some(bad)}"
        )
    return kept, scores


def _pairs_of_cells(
    reads: Reads,
    scores: NDArray[np.float64],
    endpoint: Endpoint,
    model_endpoint: Endpoint,
    notes: Notes,
) -> tuple[list[str], list[tuple[Cell, Cell]]]:
    """Each reader's cell, and the model's on the cases that this reader read."""
    names, cells = [], []
    for reader, ratings in zip(reads.readers, reads.ratings[0], strict=True):
        mine = endpoint.cell(ratings, reads.truth)
        models = model_endpoint.cell(np.where(np.isnan(ratings), np.nan, scores), reads.truth)
        if isinstance(mine, Undefined):
            notes.left_out(f"reader {reader} has no {endpoint.title}: {mine.reason}")
        elif not isinstance(models, Undefined):
            names.append(reader)
            cells.append((mine, models))
    if cells and np.isnan(reads.ratings).any():
        notes.remark(
            "not every reader read every case: each is compared with the model on the cases "
            "that this reader read"
        )
    return names, cells


def _compared(
    reads: Reads,
    endpoint: str,
    method: CovarianceMethod,
    names: list[str],
    cells: list[tuple[Cell, Cell]],
    of_model: Cell,
    joint: NDArray[np.float64],
    notes: Notes,
    level: float,
) -> StandaloneVsReaders:
    count = len(names)
    of_differences = _of_differences(joint)
    errors = ErrorCovariances.of(of_differences[None, :, None], np.ones((1, count), dtype=bool))
    variances, own = np.diag(joint), np.diag(of_differences)
    lacking = [name for name, variance in zip(names, own, strict=True) if np.isnan(variance)]
    notes += [no_variance(f"reader {name}", others=len(lacking) < count) for name in lacking]
    d = np.array([mine.value - models.value for mine, models in cells])
    if count == 1:
        notes.remark("one reader: no generalisation to other readers")
    if errors.cov2 < 0:
        notes.remark(f"Cov2 ({errors.cov2:.3g}) is negative and counts as 0")

    def normal(value: float, variance: float, bounds: tuple[float, float]) -> Inference:
        return inference_of_variance(value, float(variance), math.inf, bounds, level)

    readers = tuple(
        ReaderVsStandalone(
            reader=name,
            value=normal(mine.value, variances[2 * row], AREA),
            model=models.value,
            difference=normal(float(d[row]), own[row], DIFFERENCE),
        )
        for row, (name, (mine, models)) in enumerate(zip(names, cells, strict=True))
    )
    of_model_alone = normal(of_model.value, variances[-1], AREA)
    less_model = {
        to: mean_of_readers(d, errors, to, bounds=DIFFERENCE, level=level) for to in Generalisation
    }
    own_figures = (figure for one in readers for figure in (one.value, one.difference))
    remark_below_zero((of_model_alone, *own_figures, *less_model.values()), notes)
    return StandaloneVsReaders(
        endpoint=endpoint,
        modality=reads.modalities[0],
        method=method,
        model=of_model_alone,
        readers=readers,
        readers_mean=float(np.mean([mine.value for mine, _ in cells])),
        mean_square_reader=float(d.var(ddof=1)) if count > 1 else math.nan,
        var=errors.var,
        cov2=errors.cov2,
        cases=len(reads.cases),
        readers_less_model=less_model,
        notes=tuple(notes),
    )


def _of_differences(joint: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance of the differences of readers and model, (readers, readers).

    Args:
        joint: scores of reader 1, of the model on that reader's cases, reader 2 and so on, and the
            model on all cases. What is NaN there (one case of a class) stays with its reader.
    """
    mine, models = np.arange(0, len(joint) - 1, 2), np.arange(1, len(joint), 2)
    found = joint[np.ix_(mine, mine)] - joint[np.ix_(mine, models)]
    found = found - joint[np.ix_(models, mine)] + joint[np.ix_(models, models)]
    alone = np.isnan(np.diag(found))
    found[alone] = np.nan
    found[:, alone] = np.nan
    return found
