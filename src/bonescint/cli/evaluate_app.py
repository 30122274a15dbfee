"""Names, options and help of `bonescint evaluate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bonescint.cli.options import IgnoreUnknown, path

EVALUATE = """Evaluate predictions against a cohort's reference standard, and write a report.

PREDICTIONS is a CSV table from any source with scan_id and mbd_probability, such as results.csv of
`bonescint classify`. The operating point and the calibration come from the validation split; every
metric is computed on the test split. Needs the extra: pip install 'bonescint[evaluate]'

\b
Written to the report folder:
  report.html       figures, tables with intervals, what was left out; one file, offline
  figures/          PNG and SVG
  tables/           CSV at full precision; tables.xlsx with --xlsx
  evaluation.json   all of it for programs

\b
Examples:
  bonescint evaluate predictions.csv --cohort manifest.csv --out report/
  bonescint evaluate ours.csv --cohort manifest.csv --against theirs.csv --out report/
  bonescint evaluate results/results.csv --cohort manifest.csv --maps results/results.json
  bonescint evaluate ours.csv --cohort manifest.csv --rule specificity --at-least 0.9
  bonescint evaluate ours.csv --cohort manifest.csv --resamples 100 --unstratified  (the paper's)"""


class Rule(StrEnum):
    """How the operating point is chosen on the validation split."""

    BALANCED = "balanced"
    YOUDEN = "youden"
    SPECIFICITY = "specificity"
    SENSITIVITY = "sensitivity"


class JudgedSplit(StrEnum):
    """The split that is judged."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def evaluate_command(
    predictions: Annotated[
        Path,
        typer.Argument(parser=path, help="Table of predictions.", show_default=False),
    ],
    cohort: Annotated[Path, typer.Option(parser=path, help="Manifest of the cohort.")],
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Report folder.")] = Path(
        "report"
    ),
    rule: Annotated[
        Rule, typer.Option(help="How the operating point is chosen on validation.")
    ] = Rule.BALANCED,
    at_least: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1,
            help="Needed by the rules specificity and sensitivity.",
            show_default="0.9",
        ),
    ] = None,
    point: Annotated[
        float | None,
        typer.Option(
            "--operating-point",
            min=0,
            max=1,
            help="An operating point from elsewhere instead.",
            show_default="chosen",
        ),
    ] = None,
    split: Annotated[JudgedSplit, typer.Option(help="Split that is evaluated.")] = JudgedSplit.TEST,
    against: Annotated[
        Path | None,
        typer.Option(
            parser=path, help="Predictions of another model, to compare with.", show_default="none"
        ),
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="results.json with activation maps, to be measured against lesion masks.",
            show_default="none",
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(min=2, max=1_000_000, help="Of the bootstrap.")] = 2000,
    unstratified: Annotated[
        bool, typer.Option("--unstratified", help="Resample all scans together, not by class.")
    ] = False,
    level: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 1,
    ignore_unknown: IgnoreUnknown = False,
    xlsx: Annotated[bool, typer.Option("--xlsx", help="Write tables.xlsx too.")] = False,
) -> None:
    """Judge predictions and write a report."""
    from bonescint.cli.evaluating import EvaluateChoices, run_evaluate

    if at_least is not None and rule not in (Rule.SPECIFICITY, Rule.SENSITIVITY):
        raise typer.BadParameter("--at-least goes with --rule specificity or sensitivity.")
    choices = EvaluateChoices(
        rule=rule.value,
        at_least=0.9 if at_least is None else at_least,
        point=point,
        split=split.value,
        resamples=resamples,
        stratified=not unstratified,
        level=level,
        seed=seed,
    )
    run_evaluate(
        predictions, cohort, out, choices,
        against=against, maps=maps, ignore_unknown=ignore_unknown, workbook=xlsx,
    )  # fmt: skip
