"""Names, options and help of `bonescint model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bonescint.cli.evaluate_app import Rule
from bonescint.cli.options import CONTEXT, IgnoreUnknown, path

_MODEL = """Model folders: calibrate one on scans of your own."""
_CALIBRATE = """Fit temperature and operating point on your own scans with known labels.

MODEL is a model folder, or 'shipped' (with --out). PREDICTIONS are its predictions for your scans
(results.csv of `bonescint classify`), with a column label (0 or 1) unless --cohort gives the
labels. The graph does not change; the card records what was done. Use scans on which you will not
evaluate the model.

\b
Examples:
  bonescint model calibrate mine/ predictions.csv
  bonescint model calibrate mine/ results/results.csv --cohort ours/manifest.csv
  bonescint model calibrate mine/ p.csv --rule specificity --at-least 0.9 --out local/"""

model_app = typer.Typer(help=_MODEL, no_args_is_help=True, context_settings=CONTEXT)


@model_app.callback()
def _all_of_models() -> None:
    return


@model_app.command(
    "calibrate", help=_CALIBRATE, short_help="Local temperature and operating point."
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
    ignore_unknown: IgnoreUnknown = False,
) -> None:
    from bonescint.cli.modelling import run_calibrate

    run_calibrate(
        model, predictions, cohort=cohort, out=out, rule=rule.value, at_least=at_least,
        ignore_unknown=ignore_unknown,
    )  # fmt: skip
