"""`bonescint cohort`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bonescint.cli.console import (
    NOTHING_DONE,
    SOME_FAILED,
    clear_failures,
    messages_console,
    progress_bar,
)
from bonescint.files import one_writer
from bonescint.report import displayable

if TYPE_CHECKING:
    from bonescint.cohort import CohortReport, CreatedCohort

_MOST_LISTED = 200
_NOTICE = "Research use only. Not a medical device."


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateChoices:
    """What the command line says of a cohort to be made.

    Attributes:
        labels: table of labels.
        layout: how the folder is laid out.
        shares: of the patients, as text.
        seed: of the split.
        centre: of scans whose row names none.
        test_centres: centres that are for testing only.
        copy: copy the scans without identity, or name the files.
        allow_burned_in: take scans with text in their pixels.
        key: file with the secret key.
        workers: processes.
    """

    labels: Path | None
    layout: str
    shares: str
    seed: int
    centre: str
    test_centres: tuple[str, ...]
    copy: bool
    allow_burned_in: bool
    key: Path | None
    workers: int | None


def run_cohort_create(folder: Path, out: Path, choices: CreateChoices) -> None:
    """Make a cohort and say what came in and what did not."""
    with clear_failures():
        from bonescint.cohort import SplitRule, create_cohort, parse_shares
        from bonescint.parallel import usual_workers

        rule = SplitRule(
            shares=parse_shares(choices.shares),
            seed=choices.seed,
            test_centres=choices.test_centres,
        )
        with progress_bar() as bar:
            task = bar.add_task("Searching", total=None)
            created = create_cohort(
                folder,
                out,
                labels=choices.labels,
                layout=choices.layout,
                rule=rule,
                centre=choices.centre,
                copy=choices.copy,
                allow_burned_in=choices.allow_burned_in,
                key=choices.key,
                workers=usual_workers(choices.workers),
                progress=lambda done, total: bar.update(
                    task, description="Taking", completed=done, total=total
                ),
            )
        _report_created(created, out)
    raise typer.Exit(0 if created.complete else SOME_FAILED)


def _report_created(created: CreatedCohort, out: Path) -> None:
    from bonescint.cohort import table1

    cases = created.manifest.cases
    typer.echo(table1(cases).to_text())
    for note in created.notes:
        _say(f"Note: {displayable(note)}")
    for kind, count in sorted(created.left_out_counts.items()):
        _say(f"Left out: {count}: {kind}")
    private = displayable(created.private)
    if created.left_out:
        _say(f"What was left out, file by file and row by row: {private}/left-out.csv")
    patients = len({case.patient_id for case in cases})
    scans = "1 scan" if len(cases) == 1 else f"{len(cases)} scans"
    _say(f"{scans} of {patients} patients; manifest: {displayable(out / 'manifest.csv')}")
    _say(f"The key of the pseudonyms is in {private}: keep it, and do not share it.")
    _say(f"Next: bonescint cohort check {displayable(out)}")
    _say(_NOTICE)


def run_cohort_check(
    manifest: Path, *, out: Path | None, near: bool, workers: int | None, as_json: bool
) -> None:
    """Check a cohort, print Table 1 and every finding, and exit 2 if there are errors."""
    with clear_failures(), nullcontext() if out is None else one_writer(out):
        from bonescint.cohort import check_cohort
        from bonescint.parallel import usual_workers

        with progress_bar() as bar:
            task = bar.add_task("Checking", total=None)
            report = check_cohort(
                manifest,
                near=near,
                workers=usual_workers(workers),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        if out is not None:
            report.write(out)
        if as_json:
            typer.echo(json.dumps(report.to_json(), indent=1))
        else:
            _print_check(report, out)
    raise typer.Exit(NOTHING_DONE if report.errors else 0)


def _print_check(report: CohortReport, out: Path | None) -> None:
    typer.echo(report.table.to_text())
    shown = report.findings if out is None else report.findings[:_MOST_LISTED]
    for finding in shown:
        typer.echo(displayable(finding))
    hidden = len(report.findings) - len(shown)
    if hidden:
        typer.echo(f"... and {hidden} more in {displayable(out)}/findings.csv")
    near = "" if report.near_bound is None else ", for near-duplicates too"
    _say(
        f"{len(report.errors)} errors, {len(report.warnings)} warnings in {report.scans} scans; "
        f"the pixels of {report.compared} were compared{near}."
    )
    _say(_NOTICE)


def _say(text: str) -> None:
    messages_console().print(text, soft_wrap=True)
