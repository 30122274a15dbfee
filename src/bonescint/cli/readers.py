"""`bonescint readers`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bonescint.cli.console import (
    SOME_FAILED,
    progress_shown,
    say,
    say_notice,
    show,
    show_table,
)
from bonescint.cli.group import command, command_group, refuse_unread
from bonescint.cli.options import AsJson, Seed

if TYPE_CHECKING:
    from bonescint.mrmc import (
        Endpoint,
        MarkedEndpoint,
        Note,
        ReaderAnalysis,
    )

_MOST_NOTES = 20
_GOES_WITH = {
    "at": ("--endpoint sensitivity", "--endpoint specificity", "--endpoint llf"),
    **dict.fromkeys(("low", "high", "of_sensitivity"), ("--endpoint partial-auc",)),
    "false_marks": ("--endpoint froc",),
    "model_at": ("--model",),
}

Covariance = Literal["delong", "jackknife", "unbiased", "bootstrap"]

readers_app = command_group(
    """Statistics of reader studies: many readers, many cases (MRMC).

    For research use only, not a medical device."""
)


@command(readers_app)
def analyse(
    reads: Path,
    *,
    out: Path = Path("analysis"),
    model: Path | None = None,
    endpoint: Literal["auc", "partial-auc", "sensitivity", "specificity", "wafroc", "froc", "llf"]
    | None = None,
    at: float | None = None,
    low: Annotated[float, typer.Option("--from")] = 0.8,
    high: Annotated[float, typer.Option("--to")] = 1.0,
    of_sensitivity: bool = False,
    false_marks: float = 1.0,
    covariance: Covariance | None = None,
    level: float = 0.95,
    margin: float | None = None,
    decide_at: float | None = None,
    model_at: float = 0.5,
    cases_nested_in: Literal["readers", "modalities"] | None = None,
    draws: Annotated[int, typer.Option(min=10)] = 2000,
    seed: Seed = 1,
    as_json: AsJson = False,
) -> int:
    """Analyse a reader study: compare modalities, or a model with the readers.

    READS is a table with reader, modality, case, truth, rating (and seconds) as .csv or .xlsx, an
    .imrmc or .lrc file, or a workbook of marked foci in RJafroc's format. Rows that cannot be used
    are left out and named; the rest is analysed. Needs the extra: pip install 'bonescint[evaluate]'

    Args:
        reads: Table of reads.
        out: Results folder.
        model: Predictions: scan_id, mbd_probability.
        endpoint: Figure of merit: auc unless given, wafroc for marked foci.
        at: Lowest rating that counts, for sensitivity, specificity and llf.
        low: Lower end of the partial AUC's range.
        high: Upper end of the partial AUC's range.
        of_sensitivity: The partial AUC's range is of sensitivity, not of specificity.
        false_marks: Right end of the FROC curve, false marks per case.
        covariance: Covariance method of the main result; all that apply are computed. delong
            unless given, jackknife where DeLong has no formula.
        level: Coverage of intervals.
        margin: Margin of non-inferiority and equivalence.
        decide_at: Lowest rating that calls disease, for F1, McNemar's test and kappa; 1 unless
            given if all ratings are 0 or 1.
        model_at: The model's operating point.
        cases_nested_in: The same case name means another patient for each reader or modality.
        draws: Bootstrap samples.
        as_json: Print analysis.json, and nothing else, on standard output.

    Written to the folder:
      analysis.json   all results at full precision, by covariance method and generalisation
      analysis.xlsx   the same as tables, the settings on a sheet of their own
      sentences.txt   sentences for a paper
      roc.png, figure-7.png, froc.png   as the data allow

    Examples:
      bonescint readers analyse reads.csv --out analysis/
      bonescint readers analyse reads.csv --model results/results.csv --decide-at 3
      bonescint readers analyse reads.csv --endpoint sensitivity --at 3 --covariance jackknife
      bonescint readers analyse reads.csv --margin 0.05
      bonescint readers analyse foci.xlsx --endpoint wafroc

    Exit status: 0 everything was used, 1 a row, case, reader or modality was left out of something
    (listed), 2 nothing was done: bad input, or no reader has a figure of merit.
    """
    from bonescint.files import one_writer
    from bonescint.mrmc import (
        CovarianceMethod,
        Froc,
        LesionLocalisation,
        Nest,
        NoteKind,
        PartialAuc,
        Settings,
        analyse_readers,
        read_predictions,
        read_reads,
        require_free_place,
        sentences,
        write_analysis,
    )
    from bonescint.scan import OutputError

    refuse_unread(_GOES_WITH, {f"--endpoint {endpoint}", *(["--model"] if model else [])})
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is not a folder. Give another name to --out.")
    with one_writer(out):
        require_free_place(out)
        lowest = decide_at if at is None and endpoint in ("sensitivity", "specificity") else at
        merit = _endpoint(
            endpoint,
            at=lowest,
            low=low,
            high=high,
            of_sensitivity=of_sensitivity,
            false_marks=false_marks,
        )
        without_formula = isinstance(merit, PartialAuc | Froc | LesionLocalisation)
        settings = Settings(
            endpoint=merit,
            method=CovarianceMethod(covariance or ("jackknife" if without_formula else "delong")),
            level=level,
            margin=margin,
            decide_at=decide_at,
            model_at=model_at,
            nest=None if cases_nested_in is None else Nest(cases_nested_in),
            draws=draws,
            seed=seed,
        )
        study = read_reads(reads, nest=settings.nest)
        predictions = None if model is None else read_predictions(model)
        with progress_shown() as shown:
            analysis = analyse_readers(
                study, predictions, settings=settings, progress=shown.part("Analysing reads")
            )
        _require_a_figure(analysis, reads)
        written = write_analysis(
            analysis, out, source=reads.name, model="" if model is None else model.name
        )
        if as_json:
            typer.echo((out / "analysis.json").read_text(encoding="utf-8"), nl=False)
        else:
            _show_figures(analysis)
            _show_tests(analysis)
            for sentence in sentences(analysis):
                show(sentence)
        say_notes(analysis.notes)
        say_notice(f"Written to {out}: {', '.join(written)}")
    left_out = any(note.kind is NoteKind.LEFT_OUT for note in analysis.notes)
    return SOME_FAILED if left_out else 0


def _endpoint(
    name: str | None,
    *,
    at: float | None,
    low: float,
    high: float,
    of_sensitivity: bool,
    false_marks: float,
) -> Endpoint | MarkedEndpoint | None:
    """The figure of merit of that name; `at` is the lowest rating that counts."""
    from bonescint import mrmc
    from bonescint.scan import ParameterError

    if at is not None and not math.isfinite(at):
        raise ParameterError("at", "--at", "a finite number", at)
    match name:
        case "auc":
            return mrmc.Auc()
        case "partial-auc":
            part = mrmc.PartOf.SENSITIVITY if of_sensitivity else mrmc.PartOf.SPECIFICITY
            return mrmc.PartialAuc(low=low, high=high, of=part)
        case "sensitivity":
            return mrmc.Sensitivity(at=1.0 if at is None else at)
        case "specificity":
            return mrmc.Specificity(at=1.0 if at is None else at)
        case "wafroc":
            return mrmc.Wafroc()
        case "froc":
            return mrmc.Froc(false_marks=false_marks)
        case "llf":
            return mrmc.LesionLocalisation(at=-math.inf if at is None else at)
    return None


def _require_a_figure(analysis: ReaderAnalysis, source: Path) -> None:
    """Refuse reads of which nobody has a figure of merit or a share of right decisions."""
    from bonescint.mrmc import NoteKind
    from bonescint.mrmc.reads_table import listed_problems
    from bonescint.scan import InputError

    figures = analysis.figures_of_merit
    shares = [
        share.value
        for one in analysis.decisions.accuracies
        for share in (one.sensitivity, one.specificity)
    ]
    if figures.defined.any() or any(map(math.isfinite, shares)):
        return
    why = [note.text for note in figures.notes if note.kind is NoteKind.LEFT_OUT]
    raise InputError(
        source,
        f"no reader has a figure of merit ({listed_problems(why)})",
        "Give reads of cases with and without disease",
    )


def _show_figures(analysis: ReaderAnalysis) -> None:
    figures = analysis.figures_of_merit
    rows = [
        (reader, *("-" if math.isnan(value) else f"{value:.4f}" for value in values))
        for reader, values in zip(figures.readers, figures.values.T, strict=True)
    ]
    show_table(
        ("reader", *figures.modalities),
        rows,
        title=f"{figures.endpoint} of each reader",
        right=figures.modalities,
    )


def _show_tests(analysis: ReaderAnalysis) -> None:
    from bonescint.mrmc.results import df_text

    if len(analysis.headline.figures_of_merit.modalities) < 2:
        return
    rows = []
    for method, one in analysis.covariances.items():
        for result in one.results:
            test = result.test
            if test is None or math.isnan(test.p):
                continue
            more = f", {df_text(test.denominator_df)}" if test.statistic == "F" else ""
            statistic = f"{test.statistic} {test.value:.4f}"
            df = f"{test.df:g}{more}"
            rows.append((method.value, result.to.value, statistic, df, f"{test.p:.4f}"))
    show_table(
        ("covariances", "generalises to", "statistic", "df", "p"),
        rows,
        title="All modalities equal?",
        right=("statistic", "df", "p"),
    )


def say_notes(notes: tuple[Note, ...]) -> None:
    """What was left out or is to be remarked, of many the first."""
    for note in notes[:_MOST_NOTES]:
        say(f"{note.kind.value.capitalize()}: {note.text}")
    if len(notes) > _MOST_NOTES:
        say(f"{len(notes) - _MOST_NOTES} more notes in analysis.json.")
