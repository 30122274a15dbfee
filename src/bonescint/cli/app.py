"""The commands' names, options and help."""

from __future__ import annotations

import io
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import bonescint
from bonescint.cli.classify import classify, demo, info
from bonescint.cli.cohort import cohort_app
from bonescint.cli.evaluate_app import EVALUATE, evaluate_command
from bonescint.cli.experiment_app import experiment_app
from bonescint.cli.group import command, command_group
from bonescint.cli.model_app import model_app
from bonescint.cli.options import Follow, path
from bonescint.cli.readers_app import readers_app
from bonescint.cli.simulate import simulate_app
from bonescint.cli.study_app import study_app

_INTRO = """Read whole-body bone scans: the probability that each shows metastatic bone disease
(MBD), and where the evidence lies. Research use only, not a medical device.

First steps:
  bonescint demo
  bonescint classify scan.dcm other-study/ archive/*.dcm --out results/
  bonescint info scan.dcm
  bonescint simulate cohort --count 20 --seed 1 --out demo-scans/
  bonescint train demo-scans/manifest.csv --out my-model/

Exit status: 0 everything was done, 1 some inputs failed (listed, with the reasons), 2 nothing
could be done, 130 interrupted with Ctrl-C. Every command also has a Python function."""
_TRAIN = """Train a model on a cohort and write a model folder with its card.

COHORT is a manifest (scan_id, patient_id, centre, split, label, file), such as the one that
`bonescint simulate cohort` writes. If interrupted, rerun the same command to resume.
Needs the extra: pip install 'bonescint[train]'

\b
Examples:
  bonescint train demo-scans/manifest.csv --out my-model/
  bonescint train cohort.csv --out my-model/ --epochs 20 --weights vgg16.h5 --device gpu
  bonescint train cohort.csv --out paper-model/ --settings ibrahim2023
  torchrun --nproc-per-node 4 -m bonescint train cohort.csv --out my-model/   (several devices)
  bonescint train our-scans.csv --out ours/ --from shipped      (continue with your own scans)"""

app = command_group(_INTRO, "bonescint")
for function in (classify, demo, info):
    command(app)(function)
app.command("evaluate", help=EVALUATE, short_help="Evaluate predictions, write a report.")(
    evaluate_command
)
app.add_typer(cohort_app, name="cohort")
app.add_typer(model_app, name="model", short_help="Calibrate a model on your own scans.")
app.add_typer(experiment_app, name="experiment", short_help="Run whole studies.")
app.add_typer(readers_app, name="readers", short_help="Statistics of reader studies.")
app.add_typer(simulate_app, name="simulate")
app.add_typer(study_app, name="study", short_help="Reader studies in the browser.")


class Device(StrEnum):
    """Where a model runs."""

    CPU = "cpu"
    GPU = "gpu"
    AUTO = "auto"


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        # A file name that the terminal's encoding lacks is shown escaped, not a reason to stop.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bonescint {bonescint.__version__}")
        raise typer.Exit


@app.callback()
def _all_commands(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    del version  # its callback has answered


@app.command("train", help=_TRAIN, short_help="Train a model on a cohort.")
def _train(
    cohort: Annotated[
        Path, typer.Argument(parser=path, help="Manifest of the cohort.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Model folder to write.")],
    settings: Annotated[
        str | None,
        typer.Option(
            help="bonescint, compact, ibrahim2023 (the paper's), ibrahim2023-converging, "
            "fine-tune, or a YAML file.",
            show_default="bonescint; fine-tune with --from",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Model folder to continue from, or 'shipped'.",
            show_default="ImageNet's weights; nothing for compact",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Epochs, all at the rows of the settings' last stage.",
            show_default="of the settings",
        ),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            min=64,
            max=4096,
            help="Rows and columns of the composite while training, a multiple of 32 "
            "(compact: of 64).",
            show_default="of the settings",
        ),
    ] = None,
    preprocessing: Annotated[
        str | None,
        typer.Option(
            help="What prepares a scan: ibrahim2023 or body-root.", show_default="of the settings"
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(hidden=True, help="What --preprocessing was called in 0.1.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="Seed of everything that is random.", show_default="of the settings"
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="ImageNet weights (Keras .h5, torchvision .pth, .safetensors) for VGG16.",
            show_default="fetched once",
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where the training runs.")] = Device.AUTO,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start afresh instead of resuming.")
    ] = False,
    track: Annotated[
        Follow, typer.Option(help="Also log the training there, in a local folder.")
    ] = Follow.NONE,
) -> None:
    from bonescint.cli.console import say_warning
    from bonescint.cli.training import TrainChoices, run_train

    if recipe is not None:
        say_warning(
            "--recipe is now called --preprocessing; the old name works in this release only."
        )
    choices = TrainChoices(
        named=settings,
        epochs=epochs,
        resolution=resolution,
        preprocessing=preprocessing if recipe is None else recipe,
        seed=seed,
    )
    run_train(
        cohort,
        out,
        choices,
        weights=weights,
        model=model,
        device=device.value,
        resume=not restart,
        tracking=track.value,
    )
