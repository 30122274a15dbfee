"""Names, options and help of `bonescint readers`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bonescint.cli.group import _path as path

_READERS = """Statistics of reader studies: many readers, many cases (MRMC).

For research use only, not a medical device."""
_ANALYSE = """Analyse a reader study: compare modalities, or a model with the readers.

READS is a table with reader, modality, case, truth, rating (and seconds) as .csv or .xlsx, an
.imrmc or .lrc file, or a workbook of marked foci in RJafroc's format. Rows that cannot be used are
left out and named; the rest is analysed. Needs the extra: pip install 'bonescint[evaluate]'

\b
Written to the folder:
  analysis.json   every quantity at full precision, by each covariance and generalisation
  analysis.xlsx   the same as tables, the settings on a sheet of their own
    sentences.txt   sentences for a paper
  roc.png, figure-7.png, froc.png   as the data allow

\b
Examples:
  bonescint readers analyse reads.csv --out analysis/
  bonescint readers analyse reads.csv --model results/results.csv --decide-at 3
  bonescint readers analyse reads.csv --endpoint sensitivity --at 3 --covariance jackknife
  bonescint readers analyse reads.csv --margin 0.05
  bonescint readers analyse foci.xlsx --endpoint wafroc

Exit status: 0 everything was used, 1 a row, case, reader or modality was left out of something
(listed), 2 nothing was done: bad input, or no reader has a figure of merit."""
_SIZE = """Calculate how many readers and cases a study needs, or its power.

Give --readers for the cases needed, --cases for the readers needed, both for the power. The
variance components come from a pilot study (--pilot reads.csv), are given (--var, --cov1 ... with
--pilot-cases), or are conjectured from --auc and assumed correlations.

\b
Examples:
  bonescint readers size --readers 6 --auc 0.85 --difference 0.05 --power 0.8
  bonescint readers size --readers 6 --cases 200 --pilot reads.csv --difference 0.05
  bonescint readers size --cases 134 --auc 0.9 --difference 0 --margin 0.05 --against-model"""


class CovarianceName(StrEnum):
    """How covariances are estimated."""

    DELONG = "delong"
    JACKKNIFE = "jackknife"
    UNBIASED = "unbiased"
    BOOTSTRAP = "bootstrap"


class EndpointName(StrEnum):
    """A figure of merit."""

    AUC = "auc"
    PARTIAL_AUC = "partial-auc"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    WAFROC = "wafroc"
    FROC = "froc"
    LLF = "llf"


class NestName(StrEnum):
    """Within what cases are numbered anew."""

    READERS = "readers"
    MODALITIES = "modalities"


class GeneralisesTo(StrEnum):
    """To whom a result shall apply."""

    BOTH = "both"
    CASES = "cases"
    READERS = "readers"


readers_app = typer.Typer(help=_READERS, no_args_is_help=True)


@readers_app.callback()
def _all_readers() -> None:
    return


@readers_app.command("analyse", help=_ANALYSE, short_help="Analyse a reader study.")
def _analyse(
    reads: Annotated[Path, typer.Argument(parser=path, help="Table of reads.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Results folder.")] = Path(
        "analysis"
    ),
    model: Annotated[
        Path | None,
        typer.Option(
            parser=path, help="Predictions: scan_id, mbd_probability.", show_default="none"
        ),
    ] = None,
    endpoint: Annotated[
        EndpointName | None,
        typer.Option(help="Figure of merit.", show_default="auc; wafroc for marked foci"),
    ] = None,
    at: Annotated[
        float | None,
        typer.Option(help="Lowest rating that counts, for sensitivity, specificity and llf."),
    ] = None,
    low: Annotated[
        float, typer.Option("--from", help="Lower end of the partial AUC's range.")
    ] = 0.8,
    high: Annotated[float, typer.Option("--to", help="Its upper end.")] = 1.0,
    of_sensitivity: Annotated[
        bool, typer.Option("--of-sensitivity", help="That range is of sensitivity.")
    ] = False,
    false_marks: Annotated[
        float, typer.Option(help="Right end of the FROC curve, false marks per case.")
    ] = 1.0,
    covariance: Annotated[
        CovarianceName | None,
        typer.Option(
            help="Of the headline; all that apply are computed.",
            show_default="delong; jackknife where it has no formula",
        ),
    ] = None,
    level: Annotated[float, typer.Option(help="Coverage of intervals.")] = 0.95,
    margin: Annotated[
        float | None,
        typer.Option(help="Of non-inferiority and equivalence.", show_default="neither"),
    ] = None,
    decide_at: Annotated[
        float | None,
        typer.Option(
            help="Lowest rating that calls disease, for F1, McNemar's test and kappa.",
            show_default="1 for decisions, else unknown",
        ),
    ] = None,
    model_at: Annotated[float, typer.Option(help="The model's operating point.")] = 0.5,
    nested: Annotated[
        NestName | None,
        typer.Option(
            "--cases-nested-in",
            help="The same case name is another patient in each reader or modality.",
            show_default="a case's name is its own",
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=10, help="Bootstrap samples.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything that is random.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print analysis.json, and nothing else.")
    ] = False,
) -> None:
    from bonescint.cli.readers import AnalyseChoices, run_analyse

    choices = AnalyseChoices(
        endpoint=None if endpoint is None else endpoint.value,
        at=at,
        low=low,
        high=high,
        of_sensitivity=of_sensitivity,
        false_marks=false_marks,
        covariance=None if covariance is None else covariance.value,
        level=level,
        margin=margin,
        decide_at=decide_at,
        model_at=model_at,
        nested=None if nested is None else nested.value,
        draws=draws,
        seed=seed,
    )
    run_analyse(reads, out, choices, model=model, as_json=as_json)


@readers_app.command("size", help=_SIZE, short_help="Readers and cases that a study needs.")
def _size(
    difference: Annotated[
        float, typer.Option(help="True difference of the mean figures of merit.")
    ],
    readers: Annotated[int | None, typer.Option(min=1, max=1000, help="Number of readers.")] = None,
    cases: Annotated[
        int | None, typer.Option(min=2, max=1_000_000, help="Number of cases.")
    ] = None,
    power: Annotated[float, typer.Option(min=0.01, max=0.9999, help="Power wanted.")] = 0.8,
    pilot: Annotated[
        Path | None, typer.Option(parser=path, help="Reads of a pilot study.", show_default="none")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(parser=path, help="Predictions for the pilot's cases, with --against-model."),
    ] = None,
    auc: Annotated[float | None, typer.Option(help="Expected AUC, without a pilot.")] = None,
    positive_share: Annotated[
        float, typer.Option(help="Share of cases with disease, with --auc.")
    ] = 0.5,
    r1: Annotated[
        float,
        typer.Option(help="Assumed, with --auc: correlation of AUCs, same reader, other modality."),
    ] = 0.5,
    r2: Annotated[float, typer.Option(help="The same, other reader, same modality.")] = 0.35,
    r3: Annotated[float, typer.Option(help="The same, other reader, other modality.")] = 0.3,
    reader_sd: Annotated[
        float,
        typer.Option(help="Assumed, with --auc: standard deviation of readers' true differences."),
    ] = 0.02,
    var: Annotated[float | None, typer.Option(help="Var of a known study.")] = None,
    cov1: Annotated[float, typer.Option(help="Its Cov1.")] = 0.0,
    cov2: Annotated[float, typer.Option(help="Its Cov2.")] = 0.0,
    cov3: Annotated[float, typer.Option(help="Its Cov3.")] = 0.0,
    var_tr: Annotated[
        float, typer.Option(help="Its variance of modality by reader (of readers, with a model).")
    ] = 0.0,
    pilot_cases: Annotated[int | None, typer.Option(min=2, help="Its number of cases.")] = None,
    against_model: Annotated[
        bool,
        typer.Option("--against-model", help="Compare readers with a model, not two modalities."),
    ] = False,
    to: Annotated[
        GeneralisesTo, typer.Option(help="Random readers and cases, cases only, readers only.")
    ] = GeneralisesTo.BOTH,
    alpha: Annotated[float, typer.Option(help="Two-sided level of the test.")] = 0.05,
    margin: Annotated[
        float | None, typer.Option(help="Of non-inferiority.", show_default="a difference")
    ] = None,
    equivalence: Annotated[
        bool, typer.Option("--equivalence", help="The margin is for equivalence.")
    ] = False,
    covariance: Annotated[
        CovarianceName, typer.Option(help="Of the pilot study.")
    ] = CovarianceName.DELONG,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")
    ] = False,
) -> None:
    from bonescint.cli.readers import SizeChoices, run_size

    choices = SizeChoices(
        difference=difference,
        readers=readers,
        cases=cases,
        power=power,
        pilot=pilot,
        model=model,
        auc=auc,
        positive_share=positive_share,
        r1=r1,
        r2=r2,
        r3=r3,
        reader_sd=reader_sd,
        var=var,
        cov1=cov1,
        cov2=cov2,
        cov3=cov3,
        var_tr=var_tr,
        pilot_cases=pilot_cases,
        against_model=against_model,
        to=to.value,
        alpha=alpha,
        margin=margin,
        equivalence=equivalence,
        covariance=covariance.value,
    )
    run_size(choices, as_json=as_json)
