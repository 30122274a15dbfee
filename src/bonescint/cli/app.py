"""The commands' names, options and help."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

import bonescint
from bonescint.cli.classify import classify, demo, info
from bonescint.cli.cohort import cohort_app
from bonescint.cli.deidentify import deidentify
from bonescint.cli.experiment import evaluate, experiment_app
from bonescint.cli.group import command, command_group
from bonescint.cli.model import model_app, train
from bonescint.cli.pacs import fetch, listen, send
from bonescint.cli.quantify import quantify
from bonescint.cli.readers import readers_app
from bonescint.cli.results import results_app
from bonescint.cli.sample_size import size
from bonescint.cli.serve import serve
from bonescint.cli.simulate import simulate_app
from bonescint.cli.study import study_app
from bonescint.cli.teach import teach

_INTRO = """Read whole-body bone scans: the probability that each shows metastatic bone disease
(MBD), and where the evidence lies. Research use only, not a medical device.

First steps:
  bonescint demo
  bonescint classify scan.dcm other-study/ archive/*.dcm --out results/
  bonescint info scan.dcm
  bonescint simulate cohort --count 20 --seed 1 --out demo-scans/
  bonescint train demo-scans/manifest.csv --out my-model/ --settings compact --epochs 2

Exit status: 0 everything was done, 1 some inputs failed (listed, with the reasons), 2 nothing
could be done, 130 interrupted with Ctrl-C. Every command also has a Python function."""

app = command_group(_INTRO, "bonescint")
for function in (classify, quantify, demo, info, deidentify, train, evaluate):
    command(app)(function)
for connected in (send, fetch, listen, serve, teach):
    command(app)(connected)
command(readers_app)(size)
app.add_typer(cohort_app, name="cohort")
app.add_typer(model_app, name="model")
app.add_typer(experiment_app, name="experiment")
app.add_typer(readers_app, name="readers")
app.add_typer(results_app, name="results")
app.add_typer(simulate_app, name="simulate")
app.add_typer(study_app, name="study")


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
