"""`bonescint cohort`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bonescint.cli.console import (
    NOTHING_DONE,
    SOME_FAILED,
    progress_shown,
    say,
    say_error,
    say_notice,
    say_warning,
)
from bonescint.cli.group import command, command_group
from bonescint.cli.options import AsJson, Seed, Workers

if TYPE_CHECKING:
    from bonescint.cohort import CohortReport, CreatedCohort
    from bonescint.cohort.compare import Scorer

_MOST_FINDINGS = 200

cohort_app = command_group(
    "Cohorts of your own scans: de-identified, checked before use, and compared."
)


@command(cohort_app)
def create(
    folder: Path,
    *,
    out: Path,
    labels: Path | None = None,
    layout: Literal["auto", "png-pairs", "zenodo-13900966", "bs-80k"] = "auto",
    shares: str = "train=0.7,validation=0.15,test=0.15",
    seed: Seed = 1,
    centre: str = "A",
    test_centre: list[str] | None = None,
    copy: Annotated[bool, typer.Option("--copy/--reference")] = True,
    allow_burned_in: bool = False,
    key: Path | None = None,
    workers: Workers = None,
) -> int:
    r"""Make a cohort from a folder of scans and a table of labels.

    Views are paired, identities are replaced by pseudonyms, patients are divided into splits, the
    scans are copied, and manifest.csv is written.

    The table needs a column label (0 or 1) and at least one that identifies the scan: accession,
    study (UID), file, patient. It may have centre, split, sex, age, primary, mask_anterior,
    mask_posterior. If interrupted, rerun the same command to resume.

    Args:
        folder: Folder of scans.
        out: Folder of the cohort.
        labels: Table of labels, CSV or Excel; bs-80k needs none.
        layout: How the folder is organised; see docs/cohorts.md.
        shares: Shares of the patients, unless the labels have a column split.
        centre: Centre of the scans whose row names none.
        test_centre: A centre used for testing only (repeat for several).
        copy: Write de-identified copies of the scans, or refer to the files where they are.
        allow_burned_in: Also take scans whose header says that text (perhaps a name) is in the
            pixels.
        key: File with the secret key of the pseudonyms; made in OUT.private unless given.

    Written:
      my-cohort/manifest.csv    one row per scan: scan_id, patient_id, centre, split, label, ...
      my-cohort/cohort.json     how it was made, what was assumed, how many were left out and why
      my-cohort/scans/          de-identified copies: NM DICOM in counts, or 16-bit PNG
      my-cohort.private/        the secret key, what each scan was made from, what was left out:
                                keep it, and do not share it with the cohort

    Exit status: 0 every scan and every row was used, 1 some were left out, 2 nothing was made.

    Examples:
      bonescint cohort create archive/ --labels labels.csv --out my-cohort/
      bonescint cohort create archive/ --labels labels.csv --out my-cohort/ --test-centre Namur \
          --shares train=0.85,validation=0.15
      bonescint cohort create BS-80K/ --layout bs-80k --out bs80k/
    """
    from bonescint.cohort import SplitRule, create_cohort, parse_shares
    from bonescint.parallel import usual_workers

    rule = SplitRule(shares=parse_shares(shares), seed=seed, test_centres=tuple(test_centre or ()))
    with progress_shown() as shown:
        created = create_cohort(
            folder,
            out,
            labels=labels,
            layout=layout,
            rule=rule,
            centre=centre,
            copy=copy,
            allow_burned_in=allow_burned_in,
            key=key,
            workers=usual_workers(workers),
            progress=shown.part("Copying" if copy else "Reading"),
        )
    _report_created(created, out)
    return 0 if created.complete else SOME_FAILED


def _report_created(created: CreatedCohort, out: Path) -> None:
    from bonescint.cohort import table1

    cases = created.manifest.cases
    typer.echo(table1(cases).to_text())
    for note in created.notes:
        say(f"Note: {note}")
    for kind, count in sorted(created.left_out_counts.items()):
        say(f"Left out: {count}: {kind}")
    if created.left_out:
        say(f"What was left out, file by file and row by row: {created.private}/left-out.csv")
    patients = len({case.patient_id for case in cases})
    scans = "1 scan" if len(cases) == 1 else f"{len(cases)} scans"
    say(f"{scans} of {patients} patients; manifest: {out / 'manifest.csv'}")
    say(f"The key of the pseudonyms is in {created.private}: keep it, and do not share it.")
    say(f"Next: bonescint cohort check {out}")
    say_notice()


@command(cohort_app)
def check(
    manifest: Path,
    *,
    out: Path | None = None,
    near_duplicates: bool = True,
    workers: Workers = None,
    as_json: AsJson = False,
) -> int:
    """Check a cohort before training or testing on it, and print its Table 1.

    Errors: invalid rows; the same patient, identical pixels or near-duplicates in two splits;
    missing or unreadable files and masks; a split with only one class. Everything is listed.

    Args:
        manifest: Manifest, or its folder.
        out: Folder of tables.
        near_duplicates: Also look for near-duplicates.

    Exit status: 0 no errors (there may be warnings), 2 errors.

    Examples:
      bonescint cohort check my-cohort/manifest.csv
      bonescint cohort check my-cohort/ --out checked/      # findings.csv, table1.csv, table1.txt
      bonescint cohort check my-cohort/ --json | jq '.findings[].text'
    """
    from bonescint.cohort import check_cohort
    from bonescint.files import one_writer
    from bonescint.parallel import usual_workers

    with nullcontext() if out is None else one_writer(out):
        with progress_shown() as shown:
            report = check_cohort(
                manifest,
                near=near_duplicates,
                workers=usual_workers(workers),
                progress=shown.part("Checking"),
            )
        if out is not None:
            report.write(out)
        if as_json:
            typer.echo(json.dumps(report.to_json(), indent=1))
        else:
            _print_check(report, out)
    return NOTHING_DONE if report.errors else 0


def _print_check(report: CohortReport, out: Path | None) -> None:
    from bonescint.report import displayable

    typer.echo(report.table.to_text())
    listed = report.findings if out is None else report.findings[:_MOST_FINDINGS]
    for finding in listed:
        typer.echo(displayable(finding))
    hidden = len(report.findings) - len(listed)
    if hidden:
        typer.echo(f"... and {hidden} more in {displayable(out)}/findings.csv")
    near = "" if report.near_bound is None else ", for near-duplicates too"
    say(
        f"{len(report.errors)} errors, {len(report.warnings)} warnings in {report.scans} scans; "
        f"the pixels of {report.compared} were compared{near}."
    )
    say_notice()


@command(cohort_app)
def compare(
    first: Annotated[Path, typer.Argument(metavar="A")],
    second: Annotated[Path | None, typer.Argument(metavar="[B]")] = None,
    *,
    out: Path | None = None,
    label: Annotated[int | None, typer.Option(min=0, max=1)] = None,
    model: Path | None = None,
    save: Path | None = None,
    workers: Workers = None,
) -> int:
    """Compare two cohorts: do their scans look alike?

    A and B are each a manifest, a folder or ZIP archive of scans (a cohort's folder, too), or a
    normal database (.npz). The report leads with how well a simple classifier tells the scans of A
    from those of B (0.5: not at all, 1: always), and shows maps of mean, spread and left-right
    asymmetry, body landmarks, uptake of regions over the lumbar spine, counts, noise and
    resolution; with --model also the scores of a model. Scans with one view only are left out.

    With --save, A is also kept as a normal database: averages of its scans without a positive label
    (scans without a label are taken as normal), from which no single scan can be recovered. It
    needs 20 patients or more. Without B and --out only the database is made.

    The report needs the extra: pip install 'bonescint[evaluate]'; --save alone does not.

    Args:
        first: Scans, or a normal database.
        second: The others. If left out, only --save is done.
        out: Folder of the report.
        label: Only scans with this label.
        model: Model folder, or a name of `bonescint model list`, whose scores are compared, too.
        save: Normal database of A to write, .npz.

    Written:
      report/report.html        the report, one file
      report/comparison.json    the same for programs
      report/figures/, tables/  PNG and CSV; tables/left_out.csv names what was left out

    Exit status: 0 every scan was used, 1 some were left out, 2 nothing was made.

    Examples:
      bonescint cohort compare ours/ theirs/ --out report/
      bonescint cohort compare ours/manifest.csv demo-scans/ --label 0 --out report/ --model shipped
      bonescint cohort compare ours/ --save normals.npz
      bonescint cohort compare normals.npz theirs/ --out report/
    """
    if wrong := _wrong(second, out, model=model, save=save):
        say_error(wrong)
        return NOTHING_DONE
    from bonescint.cohort.compare import compare_cohorts
    from bonescint.parallel import usual_workers

    with _scorer(model) as scorer, progress_shown() as shown:
        found = compare_cohorts(
            first,
            second,
            out,
            label=None if label is None else bool(label),
            save=save,
            scorer=scorer,
            workers=usual_workers(workers),
            progress=shown.progress,
        )
    for message in found.messages():
        say(message)
    if save is not None:
        _report_saved(save)
    if out is not None:
        say_notice(f"Look at {out / 'report.html'}")
    return SOME_FAILED if found.omitted else 0


def _wrong(second: Path | None, out: Path | None, *, model: Path | None, save: Path | None) -> str:
    """What is wrong with the combination of options; empty if nothing."""
    if second is None and save is None:
        return "There is nothing to compare A with. Give B and --out, or --save."
    if (second is None) != (out is None):
        missing = "--out, the folder of the report" if out is None else "B, or leave --out out"
        return f"A comparison needs both B and --out. Give {missing}."
    if second is None and model is not None:
        return "A normal database holds no scores. Leave --model out, or give B and --out."
    return ""


@contextmanager
def _scorer(model: Path | None) -> Iterator[Scorer | None]:
    """An open model as a comparison takes it."""
    if model is None:
        yield None
        return
    from bonescint.cohort.compare import Scorer
    from bonescint.model import Classifier, ModelFolder

    # Shares of calls count all scans, those unlike the training scans, too.
    with Classifier(ModelFolder.load(model), call_anyway=True) as classifier:
        yield Scorer(
            model_id=classifier.model_id,
            preprocessing=classifier.folder.card.preprocessing,
            predict=classifier.predict_prepared,
        )


def _report_saved(save: Path) -> None:
    from bonescint.cohort.compare import read_normal_database

    kept = read_normal_database(save)
    say(f"Normal database of {kept.maps.scans} scans of {kept.patients} patients: {save}")
    if kept.unlabelled:
        say_warning(f"{kept.unlabelled} of these scans have no label: they were taken as normal")
    say_notice()
