"""The analysis of a study: readers, the model against them, marks, times; one report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bonescint.mrmc import (
    MarkedReads,
    Note,
    RatedMark,
    Read,
    ReaderAnalysis,
    Reads,
    Settings,
    analyse_readers,
    decisions,
    draw_froc,
    sentences,
    write_analysis,
    write_json,
)
from bonescint.mrmc.analysis import UNDECIDED
from bonescint.report.document_page import Document, write_document
from bonescint.scan import RESEARCH_USE, ParameterError
from bonescint.study.analysis_page import analysis_document, draw_times, sections_of
from bonescint.study.errors import StudyError
from bonescint.study.export.collecting import StudyTables, collect
from bonescint.study.export.measures import ASSUMED_SPACING_MM, RADIUS_MM
from bonescint.study.export.rows import ReadRow
from bonescint.study.export.writing import ResultFiles, final_reads
from bonescint.study.folder import StudyFolder, open_study
from bonescint.study.model_reads import ModelReads, model_reads

if TYPE_CHECKING:
    from bonescint.model import ModelFolder

Progress = Callable[[str, int, int], None]
_FIGURES = {
    "roc.png": "ROC curves",
    "froc.png": "FROC curves of marked foci",
    "figure-7.png": "AUC, reading time and F1",
    "times.png": "Time per scan",
}
_RESULTS = ResultFiles(
    names=frozenset(
        {"analysis.json", "analysis.xlsx", "index.html", "marks.json", "sentences.txt", *_FIGURES}
    ),
    mark="analysis.json",
    signature='"simulated_readers"',
)
NO_MODEL = "none"
SHIPPED_MODEL = "shipped"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyAnalysis:
    """The results of a study.

    Attributes:
        plain_title: title of the study.
        title: the same with what is simulated, for files that are read alone.
        tables: everything that readers entered.
        ratings: the analysis of the readers' ratings, with the model if there is one.
        marked: the analysis of the marked foci, if the positions of the metastases are known.
        model: the model's probabilities and times.
        notes: what was left out, and why.
    """

    plain_title: str
    title: str
    tables: StudyTables
    ratings: ReaderAnalysis
    marked: ReaderAnalysis | None
    model: ModelReads | None
    notes: tuple[str, ...] = ()


def analyse_study(
    folder: Path | str | StudyFolder,
    out: Path | str,
    *,
    model: Path | str | ModelFolder = SHIPPED_MODEL,
    draws: int = 2000,
    seed: int = 1,
    radius_mm: float = RADIUS_MM,
    progress: Progress | None = None,
) -> StudyAnalysis:
    """Analyse a study and write everything, with one report.

    Training cases are left out. Ratings are the readers' confidences; sensitivity, specificity,
    F1 and McNemar's test are computed from their yes and no, and from the model's calls. The model
    reads the same pictures on this machine and is timed. Marks are compared with the masks of the
    metastases.

    Written to `out`: `index.html`, `analysis.json`, `analysis.xlsx`, `sentences.txt`, figures,
    and `marks.json` if marks could be evaluated.

    Args:
        folder: the study folder.
        out: a folder that does not exist yet or holds an earlier analysis.
        model: a model folder, `"shipped"`, or `"none"` for the readers alone.
        draws: bootstrap samples; the paper used 100.
        seed: seed of the bootstrap.
        radius_mm: within which a mark hits a metastasis.
        progress: called with what is done, how much of it, and of how much.

    Raises:
        StudyError: nobody has answered enough, or the study cannot be used.
        OutputError: `out` cannot be written, or holds something else.
        ModelFolderError: the model cannot be used.
        MissingExtraError: the extra `evaluate` is not installed.
    """
    study = open_study(folder)
    target = Path(out)
    _RESULTS.require_free(target)
    with study.open_store() as store:
        tables = collect(study, store, radius_mm=radius_mm)
        _require_answers(study, tables)
        said = None
        if model != NO_MODEL:
            said = model_reads(study, store, model, progress=_told(progress, "The model reads"))
    settings = Settings(draws=draws, seed=seed, model_at=said.operating_point if said else 0.5)
    found = _analysed(study, tables, said, settings, progress)
    _RESULTS.write(target, lambda beside: _write(found, beside))
    return found


def _told(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    return None if progress is None else partial(progress, what)


def _require_answers(study: StudyFolder, tables: StudyTables) -> None:
    rows = final_reads(tables.reads)
    if not rows:
        raise StudyError(f"{study.path}: nobody has answered a case that counts yet.")
    if len({row.truth for row in rows}) < 2:
        raise StudyError(
            f"{study.path}: only cases of one class (with or without disease) have been read so "
            f"far; nothing can be compared."
        )


def _analysed(
    study: StudyFolder,
    tables: StudyTables,
    said: ModelReads | None,
    settings: Settings,
    progress: Progress | None,
) -> StudyAnalysis:
    rows = final_reads(tables.reads)
    probabilities = said.probabilities if said else None
    try:
        ratings = analyse_readers(
            _reads(rows),
            probabilities,
            settings=settings,
            progress=_told(progress, "Analysing ratings"),
        )
    except ParameterError as error:
        raise StudyError(f"{study.path}: cannot be analysed yet: {error}") from error
    # Readers say yes or no themselves: their decisions are not read off their confidences.
    of_decisions = _reads(rows, decided=True)
    yes_or_no = decisions(
        of_decisions,
        at=1.0,
        model=_model_row(of_decisions, said),
        model_at=settings.model_at,
        level=settings.level,
        draws=settings.draws,
        seed=settings.seed,
    )
    ratings = replace(ratings, decisions=yes_or_no, notes=_decided(ratings))
    marked, notes = _of_marks(tables, rows, settings, _told(progress, "Analysing marks"))
    title = study.protocol.title
    return StudyAnalysis(
        plain_title=title,
        title=tables.title(title),
        tables=tables,
        ratings=ratings,
        marked=marked,
        model=said,
        notes=(*_of_calls(rows, said), *notes),
    )


def _decided(found: ReaderAnalysis) -> tuple[Note, ...]:
    """The notes of an analysis whose readers said yes or no besides."""
    return tuple(note for note in found.notes if note != UNDECIDED)


def _reads(rows: Sequence[ReadRow], *, decided: bool = False) -> Reads:
    return Reads.of(
        [
            Read(
                reader=row.reader,
                modality=row.modality,
                case=row.case,
                rating=float(row.decision if decided else row.rating),
                seconds=row.active_s,
            )
            for row in rows
        ],
        {row.case: bool(row.truth) for row in rows},
    )


def _model_row(reads: Reads, said: ModelReads | None) -> Any:
    """The model's probability of each scan that it calls, else NaN; `None` if it calls none."""
    if said is None or said.not_called.issuperset(reads.cases):
        return None
    return np.array(
        [np.nan if case in said.not_called else said.probabilities[case] for case in reads.cases]
    )


def _of_calls(rows: Sequence[ReadRow], said: ModelReads | None) -> tuple[str, ...]:
    cases = {row.case for row in rows}
    count = len(cases & said.not_called) if said else 0
    if not count:
        return ()
    return (
        f"the model does not call {count} of {len(cases)} scans, since they are unlike those that "
        f"it knows: its sensitivity, specificity and F1, and McNemar's tests with it, are of the "
        f"others; areas are of all",
    )


def _of_marks(
    tables: StudyTables,
    rows: Sequence[ReadRow],
    settings: Settings,
    progress: Callable[[int, int], None] | None,
) -> tuple[ReaderAnalysis | None, tuple[str, ...]]:
    """WAFROC of the marks, on the cases whose metastases are known."""
    known = tables.lesions
    cases = {row.case for row in rows}
    unknown = cases - known.keys()
    notes = []
    if unknown:
        notes.append(
            f"marks of {len(unknown)} cases are not evaluated: the positions of their metastases "
            f"are not known"
        )
    judged = [row for row in rows if row.case in known]
    if not any(known[row.case] for row in judged):
        return None, (*notes, "no mask of a metastasis: marks are exported, not analysed")
    assumed = tables.assumed_spacing & {row.case for row in judged}
    if assumed:
        notes.append(
            f"the pixel spacing of {len(assumed)} cases is unknown: {ASSUMED_SPACING_MM} mm is "
            f"assumed for the distances of their marks"
        )
    marks = [
        RatedMark(
            reader=mark.reader,
            modality=mark.modality,
            case=mark.case,
            lesion=None if mark.lesion is None else str(mark.lesion),
            rating=float(mark.rating),
        )
        for mark in tables.marks
        if mark.final and not mark.training and mark.case in known
    ]
    lesions = {
        case: {str(number): 1.0 for number in range(1, known[case] + 1)}
        for case in dict.fromkeys(row.case for row in judged)
    }
    try:
        marked = MarkedReads.of(
            marks,
            lesions,
            readers=dict.fromkeys(row.reader for row in judged),
            modalities=dict.fromkeys(row.modality for row in judged),
            read=[(row.modality, row.reader, row.case) for row in judged],
        )
        found = analyse_readers(marked, settings=settings, progress=progress)
        return replace(found, notes=_decided(found)), tuple(notes)
    except ParameterError as error:
        return None, (*notes, f"the marks cannot be analysed: {error}")


def _write(found: StudyAnalysis, folder: Path) -> None:
    """Write every file; each says what its title must say."""
    title = found.title
    model_id, model_seconds = "", {}
    if found.model is not None:
        model_id = found.model.model_id
        seconds = {"machine": found.model.machine, "seconds": found.model.seconds}
        model_seconds = {"model_seconds": seconds}
    entries = {
        "title": title,
        "notice": RESEARCH_USE,
        "simulated_readers": found.tables.simulated_readers,
        "simulated_scans": found.tables.simulated_scans,
    }
    write_analysis(
        found.ratings,
        folder,
        source=title,
        model=model_id,
        title=title,
        entries={**entries, **model_seconds},
    )
    if found.marked is not None:
        write_json(found.marked, folder / "marks.json", source=title, entries=entries)
        draw_froc(found.marked, folder / "froc.png", title=f"{_FIGURES['froc.png']}: {title}")
    times = _times(final_reads(found.tables.reads))
    draw_times(times, found.model, folder / "times.png", title=f"{_FIGURES['times.png']}: {title}")
    write_document(folder / "index.html", _document(found, folder))


def _times(rows: Sequence[ReadRow]) -> dict[str, tuple[list[float], list[float]]]:
    """Gross and active seconds of each reader and modality."""
    several = len({row.modality for row in rows}) > 1
    times: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for row in rows:
        if row.gross_s is not None and row.active_s is not None:
            name = f"{row.reader}, {row.modality}" if several else row.reader
            times[name][0].append(row.gross_s)
            times[name][1].append(row.active_s)
    return dict(times)


def _document(found: StudyAnalysis, folder: Path) -> Document:
    figures = [(caption, folder / name) for name, caption in _FIGURES.items()]
    notes = [*found.ratings.notes, *(found.marked.notes if found.marked else ())]
    return analysis_document(
        title=found.plain_title,
        warning=found.tables.warning,
        sentences=sentences(found.ratings),
        sections=sections_of(found.ratings, found.marked, found.model, found.tables.timing),
        figures=[(caption, file) for caption, file in figures if file.is_file()],
        notes=list(dict.fromkeys([*found.notes, *(str(note.text) for note in notes)])),
    )
