"""`bonescint readers size`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bonescint.cli.console import show, show_table
from bonescint.cli.group import refuse_unread
from bonescint.cli.options import AsJson
from bonescint.cli.readers import Covariance, say_notes

if TYPE_CHECKING:
    from bonescint.mrmc import Hypothesis, Power, VarianceComponents

_CONJECTURED_CASES = 100
_GOES_WITH = {
    **dict.fromkeys(("cov1", "cov2", "cov3", "var_tr", "pilot_cases"), ("--var",)),
    **dict.fromkeys(("positive_share", "r1", "r2", "r3", "reader_sd"), ("--auc",)),
    "covariance": ("--pilot",),
    "model": ("--pilot and --against-model",),
}


def size(
    *,
    difference: float,
    readers: Annotated[int | None, typer.Option(min=1, max=1000)] = None,
    cases: Annotated[int | None, typer.Option(min=2, max=1_000_000)] = None,
    power: Annotated[float, typer.Option(min=0.01, max=0.9999)] = 0.8,
    pilot: Path | None = None,
    model: Path | None = None,
    auc: float | None = None,
    positive_share: float = 0.5,
    r1: float = 0.5,
    r2: float = 0.35,
    r3: float = 0.3,
    reader_sd: float = 0.02,
    var: float | None = None,
    cov1: float = 0.0,
    cov2: float = 0.0,
    cov3: float = 0.0,
    var_tr: float = 0.0,
    pilot_cases: Annotated[int | None, typer.Option(min=2)] = None,
    against_model: bool = False,
    to: Literal["both", "cases", "readers"] = "both",
    alpha: float = 0.05,
    margin: float | None = None,
    equivalence: bool = False,
    covariance: Covariance = "delong",
    as_json: AsJson = False,
) -> None:
    """Calculate how many readers and cases a study needs, or its power.

    Give --readers for the cases needed, --cases for the readers needed, both for the power. The
    variance components come from a pilot study (--pilot reads.csv), are given (--var, --cov1 ...
    with --pilot-cases), or are conjectured from --auc and assumed correlations.

    Args:
        difference: True difference of the mean figures of merit.
        readers: Number of readers.
        cases: Number of cases.
        power: Power wanted.
        pilot: Reads of a pilot study.
        model: Predictions for the pilot's cases, with --against-model.
        auc: Expected AUC, without a pilot.
        positive_share: Share of cases with disease, with --auc.
        r1: Assumed, with --auc: correlation of AUCs, same reader, other modality.
        r2: The same, other reader, same modality.
        r3: The same, other reader, other modality.
        reader_sd: Assumed, with --auc: standard deviation of readers' true differences.
        var: Var of a known study.
        cov1: Its Cov1.
        cov2: Its Cov2.
        cov3: Its Cov3.
        var_tr: Its variance of modality by reader (of readers, with a model).
        pilot_cases: Its number of cases.
        against_model: Compare readers with a model, not two modalities.
        to: Whom the result is to apply to: random readers and cases, cases only, readers only.
        alpha: Two-sided level of the test.
        margin: Of non-inferiority.
        equivalence: The margin is for equivalence.
        covariance: How covariances of the pilot study are estimated.

    Examples:
      bonescint readers size --readers 6 --auc 0.85 --difference 0.05 --power 0.8
      bonescint readers size --readers 6 --cases 200 --pilot reads.csv --difference 0.05
      bonescint readers size --cases 134 --auc 0.9 --difference 0 --margin 0.05 --against-model
    """
    from bonescint import mrmc
    from bonescint.scan import ParameterError

    if equivalence and margin is None:
        raise ParameterError("equivalence", "readers size", "given with --margin", True)
    if readers is None and cases is None:
        raise ParameterError("readers", "readers size", "given, or --cases, or both", None)
    if [pilot, var, auc].count(None) != 2:
        wanted = "one of --pilot, --var (with --pilot-cases) and --auc"
        given = f"{3 - [pilot, var, auc].count(None)} of them"
        raise ParameterError("pilot", "readers size", wanted, given)
    made = {"--pilot": pilot, "--var": var, "--auc": auc}
    chosen = {name for name, value in made.items() if value is not None}
    if pilot is not None and against_model:
        chosen.add("--pilot and --against-model")
    refuse_unread(_GOES_WITH, chosen)
    aim = mrmc.Hypothesis(
        difference=difference,
        to=mrmc.Generalisation[{"both": "RRRC", "cases": "FRRC", "readers": "RRFC"}[to]],
        alpha=alpha,
        margin=margin,
        both_sides=equivalence,
    )
    kind = mrmc.ComparisonKind.MODEL if against_model else mrmc.ComparisonKind.MODALITIES
    if pilot is not None:
        components = _of_pilot(pilot, covariance, model, against_model=against_model)
        source = f"the pilot {pilot.name}"
    elif var is not None:
        if pilot_cases is None:
            wanted = "given with --var: the number of cases that it holds for"
            raise ParameterError("pilot-cases", "readers size", wanted, None)
        components = mrmc.VarianceComponents(
            comparison=kind,
            reader=var_tr,
            var=var,
            cov1=cov1,
            cov2=cov2,
            cov3=cov3,
            cases=pilot_cases,
        )
        source = "the components given"
    else:
        components = mrmc.VarianceComponents.conjectured(
            auc=auc or math.nan,
            cases=cases or _CONJECTURED_CASES,
            positive_share=positive_share,
            comparison=kind,
            r1=r1,
            r2=r2,
            r3=r3,
            reader_sd=reader_sd,
        )
        source = (
            f"conjecture: AUC {auc:g}, r1 {r1:g}, r2 {r2:g}, r3 {r3:g}, reader sd {reader_sd:g}"
        )
    say_notes(components.notes)
    found: Power | None
    if readers is not None and cases is not None:
        found = mrmc.power(components, aim, readers=readers, cases=cases)
    elif readers is not None:
        found = mrmc.cases_needed(components, aim, readers=readers, wanted=power)
    else:
        found = mrmc.readers_needed(components, aim, cases=cases or 0, wanted=power)
    if as_json:
        typer.echo(json.dumps(_size_json(components, aim, found, source, power), indent=1))
        return
    _show_aim(components, aim, source)
    if found is None:
        fixed = f"{readers} readers" if readers else f"{cases} cases"
        show(
            f"No study of {fixed} reaches a power of {power:g}: the variance that more readers or "
            f"cases cannot reduce is too large. See the table, or aim at a lower power."
        )
    else:
        show(f"{found.readers} readers and {found.cases} cases have a power of {found.power:.3f}.")
    _show_sizes(components, aim, power, found.readers if found else readers or 6)


def _of_pilot(
    source: Path, covariance: str, model: Path | None, *, against_model: bool
) -> VarianceComponents:
    """The variance components of a pilot study."""
    from bonescint import mrmc
    from bonescint.scan import InputError, ParameterError

    study = mrmc.read_reads(source)
    say_notes(study.notes)
    method = mrmc.CovarianceMethod(covariance)
    if not against_model:
        analysis = mrmc.obuchowski_rockette(study, method=method)
        count = len(analysis.figures_of_merit.modalities)
        if count != 2:
            problem = f"{count} modalities; two are compared"
            remedy = "Give a pilot of two, or --against-model with --model"
            raise InputError(source, problem, remedy)
        return mrmc.VarianceComponents.of(analysis)
    if model is None:
        wanted = "given with --against-model and --pilot"
        raise ParameterError("model", "readers size", wanted, None)
    reads = study.highest() if isinstance(study, mrmc.MarkedReads) else study
    predictions = mrmc.read_predictions(model)
    return mrmc.VarianceComponents.of(mrmc.standalone_vs_readers(reads, predictions, method=method))


def _size_json(
    components: VarianceComponents,
    aim: Hypothesis,
    found: Power | None,
    source: str,
    wanted: float,
) -> dict[str, Any]:
    from bonescint.scan import RESEARCH_USE

    return {
        "use": RESEARCH_USE,
        "source": source,
        "pilot": components.as_dict(),
        "notes": [note.as_dict() for note in components.notes],
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


def _show_aim(components: VarianceComponents, aim: Hypothesis, source: str) -> None:
    kind = f"a difference of {aim.difference:g}"
    if aim.margin is not None:
        what = "equivalence" if aim.both_sides else "non-inferiority"
        kind = f"{what} within {aim.margin:g} if the difference is {aim.difference:g}"
    show(f"To show {kind} ({components.comparison.value}; {aim.to.value}; alpha {aim.alpha:g}).")
    show(f"The variance components come from {source}.")


def _show_sizes(
    components: VarianceComponents, aim: Hypothesis, wanted: float, readers: int
) -> None:
    """A table of the cases that studies of more and fewer readers need."""
    from bonescint.mrmc import cases_needed

    rows = []
    for count in sorted({2, 3, 4, 6, 8, 10, 15, 20, max(readers, 2)}):
        enough = cases_needed(components, aim, readers=count, wanted=wanted)
        cases, power = ("-", "not reached")
        if enough is not None:
            cases, power = str(enough.cases), f"{enough.power:.3f}"
        rows.append((str(count), cases, power))
    columns = ("readers", "cases", "power")
    show_table(columns, rows, title=f"For a power of {wanted:g}", right=columns)
