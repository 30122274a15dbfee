"""Names, options and help of `bonescint model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bonescint.cli.evaluate_app import Rule
from bonescint.cli.options import CONTEXT, IgnoreUnknown, path

_MODEL = """Model folders: adapt one to scans of your own, or calibrate it."""
_ADAPT = """Set the operating point by your own scans without disease, with a guarantee.

MODEL is a model folder, or 'shipped'. --normals takes scans that are reported to be without
metastatic bone disease: a folder, a ZIP archive, a cohort's folder or a manifest. At most a share
of 1 - specificity of future normal patients like them is called positive. A specificity of 0.9
needs at least 9 normal patients, 0.95 needs 19; 60 and more are better. No other label is needed.

The card records what was done, every result says where a scan ranks among the normals, and
docs/adaptation.html in the folder shows before and after. With --labelled, other scans with known
labels, it shows sensitivity and specificity too. Where not even normals are known, --unlabelled
with --prevalence calls that share of the scans positive: an assumption.

The network changes with --epochs alone, and needs 20 normals or more: it then learns from half of
them, beside simulated scans, and the operating point is found on the other half. Needs
bonescint[train], and without --simulated also bonescint[simulate].

If interrupted, rerun the same command to resume.

\b
Examples:
  bonescint model adapt shipped --normals normals/ --out ours/
  bonescint model adapt shipped --normals normals/ --epochs 4 --out ours/
  bonescint model adapt mine/ --normals cohort/ --specificity 0.95 --out ours/
  bonescint model adapt shipped --normals normals.zip --labelled known/manifest.csv --out ours/
  bonescint model adapt shipped --unlabelled all/ --prevalence 0.25 --out ours/
  bonescint classify SOURCES --model ours/"""
_CALIBRATE = """Fit slope, intercept and operating point on your own scans with known labels.

MODEL is a model folder, or 'shipped' (with --out). PREDICTIONS are its predictions for your scans
(results.csv of `bonescint classify`), with a column label (0 or 1) unless --cohort gives the
labels. The graph does not change; the card records what was done. Few scans change little. Where
disease is rarer or more frequent than among these scans, give --prevalence: the probabilities
move, and the same scans are called. Use scans on which you will not evaluate the model.

\b
Examples:
  bonescint model calibrate mine/ predictions.csv
  bonescint model calibrate mine/ results/results.csv --cohort ours/manifest.csv
  bonescint model calibrate mine/ p.csv --rule specificity --at-least 0.9 --out local/
  bonescint model calibrate mine/ p.csv --prevalence 0.15"""

model_app = typer.Typer(help=_MODEL, no_args_is_help=True, context_settings=CONTEXT)


@model_app.callback()
def _all_of_models() -> None:
    return


@model_app.command("adapt", help=_ADAPT, short_help="Operating point from your own normal scans.")
def _adapt(
    model: Annotated[
        Path, typer.Argument(parser=path, help="Model folder, or 'shipped'.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", parser=path, help="Model folder to write.", show_default=False),
    ],
    normals: Annotated[
        Path | None,
        typer.Option(parser=path, help="Scans without metastases.", show_default="none"),
    ] = None,
    specificity: Annotated[
        float, typer.Option(min=0.01, max=0.999, help="Asked for, with --normals.")
    ] = 0.9,
    unlabelled: Annotated[
        Path | None,
        typer.Option(parser=path, help="Scans of which nothing is known.", show_default="none"),
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(help="Share with disease, with --unlabelled.", show_default="none"),
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(
            parser=path, help="Manifest of other scans, to measure on.", show_default="none"
        ),
    ] = None,
    epochs: Annotated[
        int, typer.Option(min=0, max=1000, help="Of learning from normals, at most.")
    ] = 0,
    simulated: Annotated[
        Path | None,
        typer.Option(
            parser=path, help="Simulated cohort to learn from too.", show_default="one is made"
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, max=256, help="Worker processes.", show_default="as many as cores"),
    ] = None,
) -> None:
    from bonescint.cli.modelling import run_adapt

    run_adapt(
        model, out, normals=normals, specificity=specificity, unlabelled=unlabelled,
        prevalence=prevalence, labelled=labelled, epochs=epochs, simulated=simulated,
        workers=workers,
    )  # fmt: skip


@model_app.command(
    "calibrate", help=_CALIBRATE, short_help="Local calibration and operating point."
)
def _calibrate(
    model: Annotated[
        Path, typer.Argument(parser=path, help="Model folder, or 'shipped'.", show_default=False)
    ],
    predictions: Annotated[
        Path, typer.Argument(parser=path, help="Table of predictions.", show_default=False)
    ],
    cohort: Annotated[
        Path | None,
        typer.Option(parser=path, help="Manifest with the labels.", show_default="none"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", parser=path, help="Model folder to write.", show_default="MODEL itself"
        ),
    ] = None,
    rule: Annotated[Rule, typer.Option(help="How the operating point is chosen.")] = Rule.BALANCED,
    at_least: Annotated[
        float, typer.Option(min=0.01, max=1, help="Needed by specificity and sensitivity.")
    ] = 0.9,
    prevalence: Annotated[
        float | None,
        typer.Option(
            help="Share of scans with disease where the model will be used, 0 to 1.",
            show_default="that of these scans",
        ),
    ] = None,
    ignore_unknown: IgnoreUnknown = False,
) -> None:
    from bonescint.cli.modelling import run_calibrate

    run_calibrate(
        model,
        predictions,
        cohort=cohort,
        out=out,
        rule=rule.value,
        at_least=at_least,
        prevalence=prevalence,
        ignore_unknown=ignore_unknown,
    )
