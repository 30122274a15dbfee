"""The commands' names, options and help."""

from __future__ import annotations

import io
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import bonescint
from bonescint.cli.cohort_app import cohort_app
from bonescint.cli.evaluate_app import EVALUATE, evaluate_command
from bonescint.cli.experiment_app import experiment_app
from bonescint.cli.group import ClearGroup
from bonescint.cli.model_app import model_app
from bonescint.cli.options import CONTEXT, Follow, path
from bonescint.cli.readers_app import readers_app
from bonescint.cli.simulate_app import simulate_app
from bonescint.cli.study_app import study_app

_INTRO = """Read whole-body bone scans: the probability that each shows metastatic bone disease
(MBD), and where the evidence lies. Research use only, not a medical device.

\b
First steps:
  bonescint demo
  bonescint classify scan.dcm other-study/ archive/*.dcm --out results/
  bonescint info scan.dcm
  bonescint simulate cohort --count 20 --seed 1 --out demo-scans/
  bonescint train demo-scans/manifest.csv --out my-model/

Exit status: 0 everything was done, 1 some inputs failed (listed, with the reasons), 2 nothing
could be done, 130 interrupted with Ctrl-C. Every command also has a Python function."""
_CLASSIFY = """Classify scans: tables, one picture per scan with the evidence, one page of all.

SOURCES are DICOM files, pairs of PNGs, JPEGs or TIFFs (*_anterior.png, *_posterior.png), pictures
with AP and PA side by side, and folders and ZIP archives, which are searched recursively. Files
that are not bone scans are rejected and listed with the reason; the rest of the batch continues.

A scan that is too unlike those that the model knows gets a probability and a map, and no call.
`bonescint model adapt` adapts the model to your camera; --call-anyway calls such scans, too.

If interrupted with Ctrl-C, rerun the same command to resume: finished scans are not repeated
unless the model, the settings, the versions or their files have changed.

Names and numbers in headers never reach the results. Names of files and folders do: results give
the path of a file relative to what you gave (for "archive/" perhaps "DOE JOHN 123456/IM0001").
With --hash-sources they contain a keyed hash instead; OUT.private/sources.csv, for you alone,
lists which file is which. A name burned into the pixels is not removed.

\b
Written to the results folder:
  results.csv    one row per scan: scan_id, source, views, mbd_probability, call, ...
  results.json   the same and more: activation maps, the model card, rejected files with reasons
  pictures/      one picture per scan: AP | PA, alone and with the evidence overlaid
  index.html     all scans on one page, offline

\b
Examples:
  bonescint classify scan.dcm
  bonescint classify archive/ --out results/ --workers 4
  bonescint classify archive/ --model my-model/ --json > summary.json
  bonescint classify archive/ --out results/ --hash-sources"""
_DEMO = """Classify one real scan and three simulated studies, and show the page of results.

The real scan (anterior view only) comes with the package pydicom-data:
pip install 'bonescint[demo]'

\b
Example:
  bonescint demo --out results/"""
_INFO = """Show what a file contains: views and how they were identified, matrix, spacing, counts.

\b
Examples:
  bonescint info scan.dcm
  bonescint info archive/ --json | jq '.scans[].warnings'"""
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

app = typer.Typer(
    name="bonescint",
    cls=ClearGroup,
    help=_INTRO,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)
app.command("evaluate", help=EVALUATE, short_help="Evaluate predictions, write a report.")(
    evaluate_command
)
app.add_typer(cohort_app, name="cohort", short_help="Make and check cohorts of your own scans.")
app.add_typer(model_app, name="model", short_help="Calibrate a model on your own scans.")
app.add_typer(experiment_app, name="experiment", short_help="Run whole studies.")
app.add_typer(readers_app, name="readers", short_help="Statistics of reader studies.")
app.add_typer(simulate_app, name="simulate", short_help="Simulate scans of synthetic patients.")
app.add_typer(study_app, name="study", short_help="Reader studies in the browser.")


class Device(StrEnum):
    """Where a model runs."""

    CPU = "cpu"
    GPU = "gpu"
    AUTO = "auto"


Sources = Annotated[
    list[Path],
    typer.Argument(
        parser=path, help="Files, folders and ZIP archives.", metavar="SOURCES", show_default=False
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=256,
        help="Worker processes; 0 works in one process.",
        show_default="as many as cores, at most 8",
    ),
]


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


@app.command("classify", help=_CLASSIFY, short_help="Classify scans: tables, pictures, a page.")
def _classify(
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Results folder.")] = Path(
        "results"
    ),
    model: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="Model folder, or 'shipped'.",
            show_default="shipped, the model that comes with bonescint",
        ),
    ] = None,
    workers: Workers = None,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = Device.CPU,
    hash_sources: Annotated[
        bool,
        typer.Option(
            "--hash-sources",
            help="Replace names of files and folders in the results by a keyed hash.",
        ),
    ] = False,
    call_anyway: Annotated[
        bool,
        typer.Option(
            "--call-anyway", help="Call scans that are too unlike those the model knows, too."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    from bonescint.cli.classifying import run_classify

    run_classify(
        sources,
        out,
        model=model,
        workers=workers,
        device=device.value,
        hash_sources=hash_sources,
        call_anyway=call_anyway,
        as_json=as_json,
    )


@app.command("demo", help=_DEMO, short_help="A first look: one real scan, three simulated studies.")
def _demo(
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Results folder.")] = Path(
        "results"
    ),
    opens: Annotated[
        bool, typer.Option("--open/--no-open", help="Show the page in the browser.")
    ] = True,
) -> None:
    from bonescint.cli.classifying import run_demo

    run_demo(out, opens=opens)


@app.command("info", help=_INFO, short_help="Show what a file contains.")
def _info(sources: Sources, as_json: AsJson = False) -> None:
    from bonescint.cli.informing import run_info

    run_info(sources, as_json=as_json)


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
