"""Names, options and help of `bonescint experiment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bonescint.cli.options import CONTEXT, Follow, path

_EXPERIMENT = """Whole studies: train, validate, test on the external centre, explain, report.

Needs the extras: pip install 'bonescint[evaluate,simulate,train]'"""
_RUN = """Run a whole study. If interrupted, rerun the same command to resume.

STUDY is the name of a study that comes with the package (ibrahim2023, also written
studies/ibrahim2023.yaml) or a YAML file:

\b
  name: mine
  cohort: {manifest: my-cohort/manifest.csv}     or {protocol: ibrahim2023, seed: 1}
  models:
    paper: {settings: ibrahim2023}
    ours: {settings: my-settings.yaml, seed: 2}
    given: {folder: a-model-folder}              shipped: the model of the package
  reference: paper                               the others are compared with it
  rule: {specificity: 0.90}                      or balanced, youden, {sensitivity: 0.9}
  resamples: 2000
  published: ibrahim2023                         show the paper's results beside ours
  external: [C]                                  every evaluation on these centres is recorded
  metadata: study-metadata.yaml                  topic: text, for CLAIM and STARD

\b
Written to the run folder:
  report.html, report.pdf   the study on one page
  models/                   one model folder per model; logs and checkpoints in NAME.run
  predictions/              scan_id, mbd_probability; maps, and one picture per scan
  evaluation/               a report, figures (PNG, SVG) and tables (CSV) for each model
  figures/, tables/         of report.html: figures not about a single model, all tables
  external-uses.csv         every evaluation on an external centre
  and study.json, splits.csv, steps/, cohort/, cohort-check/, scans/: docs/experiments.md

\b
Examples:
  bonescint experiment run ibrahim2023 --weights vgg16.h5
  bonescint experiment run mine.yaml --out runs/mine"""
_METADATA = """Write a file with every topic of CLAIM 2020 and STARD 2015, for you to fill in.

Name it in the study file (metadata: study-metadata.yaml). The run fills in what it knows; what you
write takes precedence.

\b
Example:
  bonescint experiment metadata study-metadata.yaml"""
_COMPARE = """Compare the models of two runs on the scans that both have read, with paired tests.

Written: comparison.html, comparison.csv. If the runs have different rules for the operating point,
the first run's rule is used.

\b
Example:
  bonescint experiment compare runs/a runs/b --out comparison/"""

experiment_app = typer.Typer(help=_EXPERIMENT, no_args_is_help=True, context_settings=CONTEXT)


@experiment_app.callback()
def _all_experiments() -> None:
    return


@experiment_app.command("run", help=_RUN, short_help="Run a whole study, or resume it.")
def _run(
    study: Annotated[str, typer.Argument(help="Name or YAML file.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", parser=path, help="Run folder.", show_default="runs/NAME"),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="ImageNet weights (Keras .h5, torchvision .pth, .safetensors) for VGG16.",
            show_default="fetched once",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to train: cpu, gpu or auto.")] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Processes for reading and simulation.",
                     show_default="as many as cores, at most 8"),
    ] = None,
    external_uses: Annotated[
        Path | None,
        typer.Option(parser=path, help="Table in which every evaluation on an external centre is "
        "recorded.",
                     show_default="in the run folder"),
    ] = None,
    track: Annotated[
        Follow, typer.Option(help="Also log the trainings in tensorboard or mlflow.")
    ] = Follow.NONE,
) -> None:  # fmt: skip
    from bonescint.cli.experimenting import run_study

    run_study(
        study,
        out,
        weights=weights,
        device=device,
        workers=workers,
        external_uses=external_uses,
        tracking=track.value,
    )


@experiment_app.command("metadata", help=_METADATA, short_help="A file for what only people know.")
def _metadata(
    out: Annotated[Path, typer.Argument(parser=path, help="File to write.")] = Path(
        "study-metadata.yaml"
    ),
) -> None:
    from bonescint.cli.experimenting import write_metadata_template

    write_metadata_template(out)


@experiment_app.command("compare", help=_COMPARE, short_help="Compare two runs.")
def _compare(
    first: Annotated[Path, typer.Argument(parser=path, help="Run folder.", show_default=False)],
    second: Annotated[Path, typer.Argument(parser=path, help="Run folder.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=path, help="Folder for the comparison.")
    ] = Path("comparison"),
) -> None:
    from bonescint.cli.experimenting import run_comparison

    run_comparison(first, second, out)
