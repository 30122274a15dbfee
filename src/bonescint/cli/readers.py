"""`bonescint readers`."""

from __future__ import annotations

import json
import math
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bonescint.cli.console import (
    SOME_FAILED,
    clear_failures,
    messages_console,
    progress_shown,
    results_console,
)
from bonescint.files import one_writer
from bonescint.report import displayable
from bonescint.scan import InputError, OutputError, ParameterError

if TYPE_CHECKING:
    from bonescint.mrmc import (
        CovarianceMethod,
        Endpoint,
        Generalisation,
        Hypothesis,
        MarkedEndpoint,
        Note,
        Power,
        ReaderAnalysis,
        VarianceComponents,
    )

_SHOWN = 20
_CONJECTURED_CASES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyseChoices:
    """What the command line says of an analysis; see its help.

    Attributes:
        endpoint: name of the figure of merit, or `None`.
        at: lowest rating that counts.
        low: lower end of the partial area's range.
        high: its upper end.
        of_sensitivity: whether that range is of sensitivity.
        false_marks: right end of the FROC curve.
        covariance: name of the method, or `None`.
        level: coverage of intervals.
        margin: of non-inferiority and equivalence.
        decide_at: lowest rating that calls disease.
        model_at: the model's operating point.
        nested: within what cases are numbered anew.
        draws: bootstrap samples.
        seed: of everything that is drawn.
    """

    endpoint: str | None
    at: float | None
    low: float
    high: float
    of_sensitivity: bool
    false_marks: float
    covariance: str | None
    level: float
    margin: float | None
    decide_at: float | None
    model_at: float
    nested: str | None
    draws: int
    seed: int


def run_analyse(
    reads: Path, out: Path, choices: AnalyseChoices, *, model: Path | None, as_json: bool
) -> None:
    """Analyse a reader study, write the folder and say what was found."""
    with clear_failures(), ExitStack() as held:
        from bonescint.mrmc import (
            Nest,
            NoteKind,
            Settings,
            analyse_readers,
            read_predictions,
            read_reads,
            require_free_place,
            sentences,
            write_analysis,
        )

        if out.exists() and not out.is_dir():
            raise OutputError(f"{out}: is not a folder. Give another name to --out.")
        held.enter_context(one_writer(out))
        require_free_place(out)
        endpoint = _endpoint(choices)
        settings = Settings(
            endpoint=endpoint,
            method=_method(choices.covariance, endpoint),
            level=choices.level,
            margin=choices.margin,
            decide_at=choices.decide_at,
            model_at=choices.model_at,
            nest=None if choices.nested is None else Nest(choices.nested),
            draws=choices.draws,
            seed=choices.seed,
        )
        study = read_reads(reads, nest=settings.nest)
        predictions = None if model is None else read_predictions(model)
        with progress_shown() as shown:
            analysis = analyse_readers(
                study,
                predictions,
                settings=settings,
                progress=partial(shown.progress, "Analysing reads"),
            )
        _require_a_figure(analysis, reads)
        written = write_analysis(
            analysis, out, source=reads.name, model="" if model is None else model.name
        )
        if as_json:
            typer.echo((out / "analysis.json").read_text(encoding="utf-8"), nl=False)
        else:
            _print_tables(analysis)
            for sentence in sentences(analysis):
                results_console().print(displayable(sentence), soft_wrap=True)
        _say_notes(analysis.notes)
        files = ", ".join(written)
        _say(f"Written to {displayable(out)}: {files}. For research use only.")
        gone = any(note.kind is NoteKind.LEFT_OUT for note in analysis.notes)
    if gone:
        raise typer.Exit(SOME_FAILED)


def _require_a_figure(analysis: ReaderAnalysis, source: Path) -> None:
    """An error that says why, where nobody has a figure of merit nor a share of right decisions."""
    from bonescint.mrmc import NoteKind
    from bonescint.mrmc.reads_table import listed_problems

    right = [
        share
        for one in analysis.decisions.accuracies
        for share in (one.sensitivity, one.specificity)
    ]
    if analysis.figures_of_merit.defined.any() or any(
        math.isfinite(share.value) for share in right
    ):
        return
    why = [note.text for note in analysis.figures_of_merit.notes if note.kind is NoteKind.LEFT_OUT]
    raise InputError(
        source,
        f"no reader has a figure of merit ({listed_problems(why)})",
        "Give reads of cases with and without disease",
    )


def _method(name: str | None, endpoint: Endpoint | MarkedEndpoint | None) -> CovarianceMethod:
    """The method asked for; DeLong's, or the jackknife for areas that he has no formula of."""
    from bonescint.mrmc import CovarianceMethod, Froc, LesionLocalisation, PartialAuc

    if name is not None:
        return CovarianceMethod(name)
    if isinstance(endpoint, PartialAuc | Froc | LesionLocalisation):
        return CovarianceMethod.JACKKNIFE
    return CovarianceMethod.DELONG


def _endpoint(choices: AnalyseChoices) -> Endpoint | MarkedEndpoint | None:
    from bonescint.mrmc import (
        Auc,
        Froc,
        LesionLocalisation,
        PartialAuc,
        PartOf,
        Sensitivity,
        Specificity,
        Wafroc,
    )

    name, at = choices.endpoint, choices.at
    if name in ("sensitivity", "specificity") and at is None:
        at = 1.0 if choices.decide_at is None else choices.decide_at
    if at is not None and not math.isfinite(at):
        raise ParameterError("at", "--at", "a finite number", at)
    if at is not None and name not in ("sensitivity", "specificity", "llf"):
        wanted = "given with --endpoint sensitivity, specificity or llf"
        raise ParameterError("at", "readers analyse", wanted, at)
    if name is None:
        return None
    if name == "auc":
        return Auc()
    if name == "partial-auc":
        of = PartOf.SENSITIVITY if choices.of_sensitivity else PartOf.SPECIFICITY
        return PartialAuc(low=choices.low, high=choices.high, of=of)
    if name == "sensitivity":
        return Sensitivity(at=1.0 if at is None else at)
    if name == "specificity":
        return Specificity(at=1.0 if at is None else at)
    if name == "wafroc":
        return Wafroc()
    if name == "froc":
        return Froc(false_marks=choices.false_marks)
    return LesionLocalisation(at=-math.inf if at is None else at)


def _print_tables(analysis: ReaderAnalysis) -> None:
    from rich.table import Table

    from bonescint.mrmc.results import df_text

    figures = analysis.figures_of_merit
    table = Table(title=f"{figures.endpoint} of each reader", title_justify="left")
    table.add_column("reader")
    for modality in figures.modalities:
        table.add_column(displayable(modality), justify="right")
    for reader, values in zip(figures.readers, figures.values.T, strict=True):
        shown = ["-" if math.isnan(value) else f"{value:.4f}" for value in values]
        table.add_row(displayable(reader), *shown)
    results_console().print(table)
    if len(analysis.headline.figures_of_merit.modalities) < 2:
        return
    tests = Table(title="All modalities equal?", title_justify="left")
    for name in ("covariances", "generalises to", "statistic", "df", "p"):
        tests.add_column(name, justify="left" if "o" in name[:2] else "right")
    for method, one in analysis.covariances.items():
        for result in one.results:
            test = result.test
            if test is None or math.isnan(test.p):
                continue
            df = f"{test.df:g}"
            df += f", {df_text(test.denominator_df)}" if test.statistic == "F" else ""
            tests.add_row(
                method.value,
                result.to.value,
                f"{test.statistic} {test.value:.4f}",
                df,
                f"{test.p:.4f}",
            )
    results_console().print(tests)


def _say_notes(notes: tuple[Note, ...]) -> None:
    for note in notes[:_SHOWN]:
        _say(f"{note.kind.value.capitalize()}: {displayable(note.text)}")
    if len(notes) > _SHOWN:
        _say(f"{len(notes) - _SHOWN} more notes in analysis.json.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeChoices:
    """What the command line says of a study to be sized; see its help.

    Attributes:
        difference: true difference of the mean figures of merit.
        readers: their number, or `None`.
        cases: their number, or `None`.
        power: wanted.
        pilot: reads of a pilot study.
        model: predictions for its cases.
        auc: expected area, without a pilot.
        positive_share: of cases with disease.
        r1: assumed correlation, same reader, other modality.
        r2: other reader, same modality.
        r3: other reader, other modality.
        reader_sd: assumed standard deviation of readers' true differences.
        var: of a known study.
        cov1: of a known study.
        cov2: of a known study.
        cov3: of a known study.
        var_tr: of a known study.
        pilot_cases: of a known study.
        against_model: whether readers are compared with a model.
        to: whom the result shall apply to.
        alpha: two-sided level.
        margin: of non-inferiority or equivalence.
        equivalence: whether the margin is one of equivalence.
        covariance: of the pilot.
    """

    difference: float
    readers: int | None
    cases: int | None
    power: float
    pilot: Path | None
    model: Path | None
    auc: float | None
    positive_share: float
    r1: float
    r2: float
    r3: float
    reader_sd: float
    var: float | None
    cov1: float
    cov2: float
    cov3: float
    var_tr: float
    pilot_cases: int | None
    against_model: bool
    to: str
    alpha: float
    margin: float | None
    equivalence: bool
    covariance: str


def run_size(choices: SizeChoices, *, as_json: bool) -> None:
    """Say what a study needs, or what power it has."""
    with clear_failures():
        from bonescint.mrmc import Hypothesis, cases_needed, power, readers_needed

        if choices.equivalence and choices.margin is None:
            raise ParameterError("equivalence", "readers size", "given with --margin", True)
        if choices.readers is None and choices.cases is None:
            needed = "given, or --cases, or both"
            raise ParameterError("readers", "readers size", needed, None)
        aim = Hypothesis(
            difference=choices.difference,
            to=_generalisation(choices.to),
            alpha=choices.alpha,
            margin=choices.margin,
            both_sides=choices.equivalence,
        )
        pilot, source = _pilot(choices)
        _say_notes(pilot.notes)
        wanted = choices.power
        found: Power | None
        if choices.readers is not None and choices.cases is not None:
            found = power(pilot, aim, readers=choices.readers, cases=choices.cases)
        elif choices.readers is not None:
            found = cases_needed(pilot, aim, readers=choices.readers, wanted=wanted)
        else:
            found = readers_needed(pilot, aim, cases=choices.cases or 0, wanted=wanted)
        if as_json:
            typer.echo(json.dumps(_size_json(pilot, aim, found, source, wanted), indent=1))
        else:
            _print_size(pilot, aim, found, choices, source)


def _generalisation(name: str) -> Generalisation:
    from bonescint.mrmc import Generalisation

    return {
        "both": Generalisation.RRRC,
        "cases": Generalisation.FRRC,
        "readers": Generalisation.RRFC,
    }[name]


def _pilot(choices: SizeChoices) -> tuple[VarianceComponents, str]:
    """What varies, and where that is known from."""
    from bonescint.mrmc import ComparisonKind, VarianceComponents

    given = [choices.pilot is not None, choices.var is not None, choices.auc is not None]
    if sum(given) != 1:
        wanted = "one of --pilot, --var (with --pilot-cases) and --auc"
        raise ParameterError("pilot", "readers size", wanted, f"{sum(given)} of them")
    comparison = ComparisonKind.MODEL if choices.against_model else ComparisonKind.MODALITIES
    if choices.pilot is not None:
        return _of_pilot(choices, choices.pilot), f"the pilot {choices.pilot.name}"
    if choices.var is not None:
        if choices.pilot_cases is None:
            wanted = "given with --var: the number of cases that it holds for"
            raise ParameterError("pilot-cases", "readers size", wanted, None)
        pilot = VarianceComponents(
            comparison=comparison,
            reader=choices.var_tr,
            var=choices.var,
            cov1=choices.cov1,
            cov2=choices.cov2,
            cov3=choices.cov3,
            cases=choices.pilot_cases,
        )
        return pilot, "the components given"
    assumed = f"r1 {choices.r1:g}, r2 {choices.r2:g}, r3 {choices.r3:g}"
    pilot = VarianceComponents.conjectured(
        auc=choices.auc or math.nan,
        cases=choices.cases or _CONJECTURED_CASES,
        positive_share=choices.positive_share,
        comparison=comparison,
        r1=choices.r1,
        r2=choices.r2,
        r3=choices.r3,
        reader_sd=choices.reader_sd,
    )
    return pilot, f"conjecture: AUC {choices.auc:g}, {assumed}, reader sd {choices.reader_sd:g}"


def _of_pilot(choices: SizeChoices, source: Path) -> VarianceComponents:
    from bonescint.mrmc import (
        CovarianceMethod,
        MarkedReads,
        VarianceComponents,
        obuchowski_rockette,
        read_predictions,
        read_reads,
        standalone_vs_readers,
    )

    study = read_reads(source)
    _say_notes(study.notes)
    method = CovarianceMethod(choices.covariance)
    if not choices.against_model:
        analysis = obuchowski_rockette(study, method=method)
        if len(analysis.figures_of_merit.modalities) != 2:
            count = len(analysis.figures_of_merit.modalities)
            problem = f"{count} modalities; two are compared"
            remedy = "Give a pilot of two, or --against-model with --model"
            raise InputError(source, problem, remedy)
        return VarianceComponents.of(analysis)
    if choices.model is None:
        wanted = "given with --against-model and --pilot"
        raise ParameterError("model", "readers size", wanted, None)
    reads = study.highest() if isinstance(study, MarkedReads) else study
    return VarianceComponents.of(
        standalone_vs_readers(reads, read_predictions(choices.model), method=method)
    )


def _size_json(
    pilot: VarianceComponents, aim: Hypothesis, found: Power | None, source: str, wanted: float
) -> dict[str, object]:
    return {
        "use": "For research use only. Not a medical device.",
        "source": source,
        "pilot": pilot.as_dict(),
        "notes": [note.as_dict() for note in pilot.notes],
        "aim": {
            "difference": aim.difference,
            "generalises_to": aim.to.value,
            "alpha": aim.alpha,
            "margin": aim.margin,
            "equivalence": aim.both_sides,
            "power_wanted": wanted,
        },
        "result": None if found is None else found.as_dict(),
    }


def _print_size(
    pilot: VarianceComponents,
    aim: Hypothesis,
    found: Power | None,
    choices: SizeChoices,
    source: str,
) -> None:
    from rich.table import Table

    from bonescint.mrmc import cases_needed

    console = results_console()
    kind = f"a difference of {aim.difference:g}"
    if aim.margin is not None:
        what = "equivalence" if aim.both_sides else "non-inferiority"
        kind = f"{what} within {aim.margin:g} if the difference is {aim.difference:g}"
    console.print(
        f"To show {kind} ({pilot.comparison.value}; {aim.to.value}; alpha {aim.alpha:g})."
    )
    console.print(f"The variance components come from {displayable(source)}.")
    if found is None:
        fixed = f"{choices.readers} readers" if choices.readers else f"{choices.cases} cases"
        console.print(
            f"No study of {fixed} reaches a power of {choices.power:g}: the variance that more "
            f"readers or cases cannot reduce is too large. See the table, or aim at a lower power."
        )
    else:
        console.print(
            f"{found.readers} readers and {found.cases} cases have a power of {found.power:.3f}."
        )
    table = Table(title=f"For a power of {choices.power:g}", title_justify="left")
    table.add_column("readers", justify="right")
    table.add_column("cases", justify="right")
    table.add_column("power", justify="right")
    for readers in _around(found.readers if found else choices.readers or 6):
        enough = cases_needed(pilot, aim, readers=readers, wanted=choices.power)
        if enough is None:
            table.add_row(str(readers), "-", "not reached")
        else:
            table.add_row(str(readers), str(enough.cases), f"{enough.power:.3f}")
    console.print(table)


def _around(readers: int) -> list[int]:
    wanted = {2, 3, 4, 6, 8, 10, 15, 20, readers}
    return sorted(count for count in wanted if count >= 2)


def _say(text: str) -> None:
    messages_console().print(text, soft_wrap=True)
