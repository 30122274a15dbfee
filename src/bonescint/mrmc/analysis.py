"""The whole analysis of a reader study: everything that a paper asks for, in one object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.accuracy import Decisions, ReadingTime, decisions, reading_times
from bonescint.mrmc.cells import PairsCell
from bonescint.mrmc.covariance import DRAWS, BootstrapFigure, CovarianceMethod, bootstrap_by_cell
from bonescint.mrmc.data import MarkedReads, Nest, Reads
from bonescint.mrmc.endpoints import (
    Auc,
    Endpoint,
    MarkedEndpoint,
    Sensitivity,
    Specificity,
    Undefined,
    Wafroc,
)
from bonescint.mrmc.figures_of_merit import Design, FiguresOfMerit, figures_of_merit, holes
from bonescint.mrmc.obuchowski_rockette import OrAnalysis, obuchowski_rockette
from bonescint.mrmc.results import (
    Inference,
    Note,
    Notes,
    chosen,
    jsonable,
    remark,
    require_margin,
)
from bonescint.mrmc.standalone import StandaloneVsReaders, named_as_read, standalone_vs_readers
from bonescint.mrmc.u_statistics import UAnalysis, u_statistics
from bonescint.scan import RESEARCH_USE, ParameterError
from bonescint.scan.checked import check_number, check_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a study is analysed.

    Attributes:
        endpoint: the figure of merit; AUC, or wAFROC for marked foci, if `None`.
        method: covariance method of the main result; the others are computed too.
        level: coverage of the intervals.
        margin: margin of non-inferiority and equivalence; `None` leaves both out.
        decide_at: lowest rating that calls disease; `None` if the ratings do not say.
        model_at: the model's operating point.
        nest: what has case names of its own; `None` if one name is one case.
        draws: resamples of every bootstrap.
        seed: seed of everything that is drawn.
    """

    endpoint: Endpoint | MarkedEndpoint | None = None
    method: CovarianceMethod = CovarianceMethod.DELONG
    level: float = 0.95
    margin: float | None = None
    decide_at: float | None = None
    model_at: float = 0.5
    nest: Nest | None = None
    draws: int = DRAWS
    seed: int = 1

    def __post_init__(self) -> None:
        method = chosen(CovarianceMethod, self.method, "method", "Settings")
        object.__setattr__(self, "method", method)
        if self.nest is not None:
            object.__setattr__(self, "nest", chosen(Nest, self.nest, "nest", "Settings"))
        check_number(self, "level", 0.5, 0.999999)
        check_whole(self, "draws", 10, 1_000_000)
        check_whole(self, "seed", 0, 2**63)
        check_number(self, "model_at", -1e12, 1e12)
        if self.decide_at is not None:
            check_number(self, "decide_at", -1e12, 1e12)
        if self.margin is not None:
            require_margin(self.margin)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "covariance": self.method.value,
            "level": self.level,
            "margin": self.margin,
            "reader_calls_disease_from": self.decide_at,
            "model_calls_disease_from": self.model_at,
            "cases_nested_in": None if self.nest is None else self.nest.value,
            "bootstrap_draws": self.draws,
            "seed": self.seed,
        }


_Part = TypeVar("_Part")
SCHEMA = 1
UNDECIDED = remark(
    "no rating was given from which disease is called: no sensitivity, specificity, F1 or "
    "McNemar's test"
)
"""The note of an analysis whose ratings are no decisions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReaderAnalysis:
    """Everything that was found in a study.

    Attributes:
        settings: how it was analysed.
        reads: what was analysed; ratings inferred from the marks where foci were marked.
        marked: the marked foci, if such were read.
        figures_of_merit: every reader's figure of merit.
        covariances: the Obuchowski-Rockette analysis by each method that applies.
        u: Gallas' U-statistics; `None` for figures that are no mean over pairs.
        standalone: for each modality, the model against the readers by each method.
        decisions: sensitivity, specificity, F1, McNemar, agreement.
        times: reading times.
        resampled: bootstrapped figures of each reader and the model.
        model: the model's probability of each case; NaN where there is none.
        notes: what was left out, and remarks on the result, each once.
    """

    settings: Settings
    reads: Reads
    marked: MarkedReads | None
    figures_of_merit: FiguresOfMerit
    covariances: Mapping[CovarianceMethod, OrAnalysis]
    u: UAnalysis | None
    standalone: Mapping[str, Mapping[CovarianceMethod, StandaloneVsReaders]]
    decisions: Decisions
    times: tuple[ReadingTime, ...]
    resampled: tuple[BootstrapFigure, ...]
    model: NDArray[np.float64] | None
    notes: tuple[Note, ...]

    @property
    def headline(self) -> OrAnalysis:
        """The analysis by the covariance method of the settings."""
        return self.covariances[self.settings.method]

    def as_dict(self) -> dict[str, Any]:
        """For JSON, every quantity at full precision; what is undefined is `null`."""
        return {
            "schema": SCHEMA,
            "use": RESEARCH_USE,
            "settings": self.settings.as_dict(),
            "study": {
                "endpoint": self.figures_of_merit.endpoint,
                "design": self.figures_of_merit.design.value,
                "modalities": list(self.reads.modalities),
                "readers": list(self.reads.readers),
                "cases": len(self.reads.cases),
                "positives": int(self.reads.truth.sum()),
                "reads": int(self.reads.read.sum()),
                **({"lesions": int(self.marked.lesions.sum())} if self.marked else {}),
            },
            "figures_of_merit": self.figures_of_merit.as_dict(),
            "covariances": {
                method.value: {**analysis.as_dict(), **self._margins(analysis)}
                for method, analysis in self.covariances.items()
            },
            "u_statistics": jsonable(self.u),
            "model_against_readers": {
                modality: {
                    method.value: {**one.as_dict(), **self._model_margins(one)}
                    for method, one in by_method.items()
                }
                for modality, by_method in self.standalone.items()
            },
            "decisions": self.decisions.as_dict(),
            "reading_times": jsonable(self.times),
            "bootstrap": jsonable(self.resampled),
            "notes": jsonable(self.notes),
        }

    def _margins(self, analysis: OrAnalysis) -> dict[str, Any]:
        if self.settings.margin is None or len(analysis.figures_of_merit.modalities) < 2:
            return {}
        return {
            "margins": {
                one.to.value: [
                    {
                        "first": difference.first,
                        "second": difference.second,
                        **_margin(difference.difference, self.settings.margin),
                    }
                    for difference in one.differences
                ]
                for one in analysis.results
            }
        }

    def _model_margins(self, one: StandaloneVsReaders) -> dict[str, Any]:
        margin = self.settings.margin
        if margin is None:
            return {}
        return {
            "margins": {
                to.value: _margin(inference.reversed(), margin)
                for to, inference in one.readers_less_model.items()
            }
        }


def _margin(difference: Inference, margin: float) -> dict[str, Any]:
    return {
        "difference": difference.as_dict(),
        "non_inferiority": difference.non_inferiority(margin).as_dict(),
        "non_inferiority_of_second": difference.reversed().non_inferiority(margin).as_dict(),
        "equivalence": difference.equivalence(margin).as_dict(),
    }


def analyse_readers(
    reads: Reads | MarkedReads,
    predictions: Mapping[str, float] | None = None,
    *,
    settings: Settings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReaderAnalysis:
    """Analyse a reader study by every method that applies.

    Args:
        reads: ratings, or marked foci.
        predictions: a model's probability for each case, to compare it with the readers.
        settings: how.
        progress: called with the number of parts of the analysis that are done, and of all.

    Returns:
        What was found. What cannot be computed is left out, and the notes say so.

    Raises:
        ParameterError: an endpoint or a method that does not fit the data.

    Examples:
        >>> from bonescint.mrmc import RoeMetz, simulate_reads
        >>> study = simulate_reads(RoeMetz(), readers=3, positives=20, negatives=20, seed=1)
        >>> analysis = analyse_readers(study, settings=Settings(draws=50))
        >>> sorted(analysis.as_dict()["covariances"])
        ['bootstrap', 'delong', 'jackknife', 'unbiased']
    """
    chosen = settings or Settings()
    marked = reads if isinstance(reads, MarkedReads) else None
    ratings = _ratings_of(reads, chosen)
    # For marked foci an endpoint of ratings is one of the surest mark.
    of_marks = marked is not None and (
        chosen.endpoint is None or isinstance(chosen.endpoint, MarkedEndpoint)
    )
    figures = figures_of_merit(
        marked if of_marks and marked is not None else ratings, chosen.endpoint
    )
    methods = _methods_of(figures, chosen)
    # A part for each method, for the model in each modality, and for decisions and resamples.
    parts = len(methods) + (0 if predictions is None else len(ratings.modalities)) + 2
    advance = _Parts(parts, progress)
    covariances = {
        method: obuchowski_rockette(
            figures, method=method, level=chosen.level, draws=chosen.draws, seed=chosen.seed
        )
        for method in advance.over(methods)
    }
    notes = Notes(figures.notes)
    if figures.design is Design.UNBALANCED:
        notes += map(remark, holes(ratings))
    notes += covariances[chosen.method].notes
    u = None
    if all(isinstance(cell, PairsCell) for row in figures.cells for cell in row if cell):
        u = u_statistics(figures, level=chosen.level)
        notes += u.notes
    standalone: dict[str, dict[CovarianceMethod, StandaloneVsReaders]] = {}
    model = None
    if predictions is not None:
        standalone, model = _standalone(
            ratings, predictions, chosen, notes, of_marks=of_marks, methods=methods, advance=advance
        )
    if ratings.binary and isinstance(chosen.endpoint or Auc(), Auc) and marked is None:
        notes.remark(
            "all ratings are decisions: the AUC is the mean of sensitivity and specificity"
        )
    found = decisions(
        ratings,
        at=chosen.decide_at,
        model=model,
        model_at=chosen.model_at,
        level=chosen.level,
        draws=chosen.draws,
        seed=chosen.seed,
    )
    advance.one()
    if found.at is None:
        notes.append(UNDECIDED)
    drawn = _resampled(ratings, figures, model, chosen, of_marks=of_marks)
    advance.one()
    return ReaderAnalysis(
        settings=chosen,
        reads=ratings,
        marked=marked,
        figures_of_merit=figures,
        covariances=covariances,
        u=u,
        standalone=standalone,
        decisions=found,
        times=reading_times(ratings),
        resampled=drawn,
        model=model,
        notes=tuple(dict.fromkeys(notes)),
    )


def _ratings_of(reads: Reads | MarkedReads, settings: Settings) -> Reads:
    """The ratings (for marked foci, each case's highest mark), with cases nested if so set."""
    if isinstance(reads, Reads):
        return reads if settings.nest is None else reads.nested_in(settings.nest)
    if settings.nest is not None:
        raise ParameterError("nest", "Settings", "none for marked foci", settings.nest.value)
    return reads.highest()


def _methods_of(figures: FiguresOfMerit, settings: Settings) -> tuple[CovarianceMethod, ...]:
    """The covariance methods that apply to the endpoint, including that of the settings."""
    methods = figures.methods()
    if settings.method not in methods:
        names = ", ".join(method.value for method in methods)
        requirement = f"one that {figures.endpoint} has ({names})"
        raise ParameterError("method", "Settings", requirement, settings.method.value)
    return methods


class _Parts:
    """Reports how many parts of the analysis are done."""

    def __init__(self, total: int, progress: Callable[[int, int], None] | None) -> None:
        self._done, self._total, self._progress = -1, total, progress
        self.one()

    def one(self) -> None:
        """Report that another part is done."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)

    def over(self, parts: Iterable[_Part]) -> Iterator[_Part]:
        """Yield each part, and report it as done when the next one is requested."""
        for part in parts:
            yield part
            self.one()


def _model_endpoint(endpoint: Endpoint, model_at: float) -> Endpoint:
    """The readers' endpoint at the model's own operating point."""
    if isinstance(endpoint, Sensitivity):
        return Sensitivity(at=model_at)
    return Specificity(at=model_at) if isinstance(endpoint, Specificity) else endpoint


def _standalone(
    reads: Reads,
    predictions: Mapping[str, float],
    settings: Settings,
    notes: Notes,
    *,
    of_marks: bool,
    methods: tuple[CovarianceMethod, ...],
    advance: _Parts,
) -> tuple[dict[str, dict[CovarianceMethod, StandaloneVsReaders]], NDArray[np.float64]]:
    """The model against the readers of each modality, and its probability of each case."""
    if settings.nest is not None:
        requirement = "none with a model: its cases go by their names"
        raise ParameterError("nest", "Settings", requirement, settings.nest.value)
    endpoint = settings.endpoint or Auc()
    if of_marks or isinstance(endpoint, Wafroc) or not isinstance(endpoint, Endpoint):
        endpoint = Auc()
        notes.remark(
            "the model has a probability of each case: it is compared with the readers' "
            "surest marks, by the AUC"
        )
        methods = tuple(CovarianceMethod)
    predictions = named_as_read(predictions, reads, notes)
    found: dict[str, dict[CovarianceMethod, StandaloneVsReaders]] = {}
    for modality in advance.over(reads.modalities):
        one = reads.of_modality(modality)
        try:
            found[modality] = {
                method: standalone_vs_readers(
                    one,
                    predictions,
                    endpoint,
                    model_endpoint=_model_endpoint(endpoint, settings.model_at),
                    method=method,
                    level=settings.level,
                    draws=settings.draws,
                    seed=settings.seed,
                )
                for method in methods
            }
        except ParameterError as error:
            if len(reads.modalities) == 1:
                raise
            notes.left_out(f"the model against modality {modality}: {error}")
            continue
        notes += found[modality][settings.method].notes
    if not found:
        raise ParameterError(
            "predictions", "analyse_readers", "of the cases that were read", "none of them"
        )
    model = np.array([predictions.get(case, np.nan) for case in reads.cases], dtype=np.float64)
    return found, model


def _resampled(
    reads: Reads,
    figures: FiguresOfMerit,
    model: NDArray[np.float64] | None,
    settings: Settings,
    *,
    of_marks: bool,
) -> tuple[BootstrapFigure, ...]:
    who, cells = [], []
    for modality, row in zip(figures.modalities, figures.cells, strict=True):
        for reader, cell in zip(figures.readers, row, strict=True):
            if cell is not None:
                who.append((reader, modality))
                cells.append(cell)
    if model is not None and not of_marks:
        endpoint = settings.endpoint or Auc()
        if isinstance(endpoint, Endpoint):
            of_model = _model_endpoint(endpoint, settings.model_at).cell(model, reads.truth)
            if not isinstance(of_model, Undefined):
                who.append(("model", ""))
                cells.append(of_model)
    return bootstrap_by_cell(who, cells, draws=settings.draws, seed=settings.seed)
