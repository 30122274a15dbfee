"""Names, options and help of `bonescint cohort`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bonescint.cli.options import CONTEXT, path

_COHORT = """Cohorts of your own scans: de-identified, checked before use, and compared."""
_CREATE = """Make a cohort from a folder of scans and a table of labels: pair the views, replace
identities by pseudonyms, split by patient, copy the scans, write manifest.csv.

The table needs a column label (0 or 1) and at least one that identifies the scan: accession, study
(UID), file, patient. It may have centre, split, sex, age, primary, mask_anterior, mask_posterior.
If interrupted, rerun the same command to resume.

\b
Written:
  my-cohort/manifest.csv    one row per scan: scan_id, patient_id, centre, split, label, ...
  my-cohort/cohort.json     how it was made, what was assumed, how many were left out and why
  my-cohort/scans/          de-identified copies: NM DICOM in counts, or 16-bit PNG
  my-cohort.private/        the secret key, what each scan was made from, what was left out:
                            keep it, and do not share it with the cohort

Exit status: 0 every scan and every row was used, 1 some were left out, 2 nothing was made.

\b
Examples:
  bonescint cohort create archive/ --labels labels.csv --out my-cohort/
  bonescint cohort create archive/ --labels labels.csv --out my-cohort/ --test-centre Namur \\
      --shares train=0.85,validation=0.15
  bonescint cohort create BS-80K/ --layout bs-80k --out bs80k/"""
_CHECK = """Check a cohort before training or testing on it, and print the paper's Table 1.

Errors: invalid rows; the same patient, identical pixels or near-duplicates in two splits; missing
or unreadable files and masks; a split with only one class. Everything is listed.

Exit status: 0 no errors (there may be warnings), 2 errors.

\b
Examples:
  bonescint cohort check my-cohort/manifest.csv
  bonescint cohort check my-cohort/ --out checked/        (findings.csv, table1.csv, table1.txt)
  bonescint cohort check my-cohort/ --json | jq '.findings[].text'"""

_COMPARE = """Compare two cohorts: do their scans look alike?

A and B are each a manifest, a folder or ZIP archive of scans (a cohort's folder, too), or a normal
database (.npz). The report leads with how well a simple classifier tells the scans of A from those
of B (0.5: not at all, 1: always), and shows maps of mean, spread and left-right asymmetry, body
landmarks, uptake of regions over the lumbar spine, counts, noise and resolution; with --model also
the scores of a model. Scans with one view only are left out.

With --save, A is also kept as a normal database: averages of its scans without a positive label
(scans without a label are taken as normal), from which no single scan can be got back. It needs
20 patients or more. Without B and --out only the database is made.

\b
Written:
  report/report.html        the report, one file
  report/comparison.json    the same for programs
  report/figures/, tables/  PNG and CSV; tables/left_out.csv names what was left out

Exit status: 0 every scan was compared, 1 some were left out, 2 nothing was made.

\b
Examples:
  bonescint cohort compare ours/ theirs/ --out report/
  bonescint cohort compare ours/manifest.csv demo-scans/ --label 0 --out report/ --model shipped
  bonescint cohort compare ours/ --save normals.npz
  bonescint cohort compare normals.npz theirs/ --out report/"""


class LayoutName(StrEnum):
    """How a folder of scans is laid out."""

    AUTO = "auto"
    PAIRS = "png-pairs"
    PARAGUAY = "zenodo-13900966"
    BS80K = "bs-80k"


Workers = Annotated[
    int | None,
    typer.Option(
        min=1, max=256, help="Worker processes.", show_default="as many as cores, at most 8"
    ),
]

cohort_app = typer.Typer(help=_COHORT, no_args_is_help=True, context_settings=CONTEXT)


@cohort_app.callback()
def _all_of_cohorts() -> None:
    return


@cohort_app.command("create", help=_CREATE, short_help="Make a cohort from scans and labels.")
def _create(
    folder: Annotated[
        Path, typer.Argument(parser=path, help="Folder of scans.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Folder of the cohort.")],
    labels: Annotated[
        Path | None,
        typer.Option(parser=path, help="Table of labels, CSV.", show_default="none, for bs-80k"),
    ] = None,
    layout: Annotated[
        LayoutName, typer.Option(help="How the folder is organised; see docs/cohorts.md.")
    ] = LayoutName.AUTO,
    shares: Annotated[
        str,
        typer.Option(help="Shares of the patients, unless the labels have a column split."),
    ] = "train=0.7,validation=0.15,test=0.15",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split.")] = 1,
    centre: Annotated[str, typer.Option(help="Centre of the scans whose row names none.")] = "A",
    test_centre: Annotated[
        list[str] | None,
        typer.Option(
            help="A centre used for testing only (repeat for several).", show_default="none"
        ),
    ] = None,
    copy: Annotated[
        bool,
        typer.Option(
            "--copy/--reference",
            help="Write de-identified copies of the scans, or refer to the files where they are.",
        ),
    ] = True,
    allow_burned_in: Annotated[
        bool,
        typer.Option(
            "--allow-burned-in",
            help="Also take scans whose header says that text (perhaps a name) is in the pixels.",
        ),
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="File with the secret key of the pseudonyms.",
            show_default="made, in OUT.private",
        ),
    ] = None,
    workers: Workers = None,
) -> None:
    from bonescint.cli.cohorts import CreateChoices, run_cohort_create

    choices = CreateChoices(
        labels=labels,
        layout=layout.value,
        shares=shares,
        seed=seed,
        centre=centre,
        test_centres=tuple(test_centre or ()),
        copy=copy,
        allow_burned_in=allow_burned_in,
        key=key,
        workers=workers,
    )
    run_cohort_create(folder, out, choices)


@cohort_app.command("check", help=_CHECK, short_help="Table 1, leakage, duplicates, balance.")
def _check(
    manifest: Annotated[
        Path, typer.Argument(parser=path, help="Manifest, or its folder.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", parser=path, help="Folder of tables.", show_default="none"),
    ] = None,
    near: Annotated[
        bool, typer.Option("--near/--no-near", help="Also look for near-duplicates.")
    ] = True,
    workers: Workers = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")
    ] = False,
) -> None:
    from bonescint.cli.cohorts import run_cohort_check

    run_cohort_check(manifest, out=out, near=near, workers=workers, as_json=as_json)


@cohort_app.command("compare", help=_COMPARE, short_help="Do the scans of two cohorts look alike?")
def _compare(
    first: Annotated[
        Path,
        typer.Argument(metavar="A", parser=path, help="Scans, or a database.", show_default=False),
    ],
    second: Annotated[
        Path | None,
        typer.Argument(
            metavar="[B]",
            parser=path,
            help="The others. Left out, only --save is done.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", parser=path, help="Folder of the report.", show_default="none"),
    ] = None,
    label: Annotated[
        int | None,
        typer.Option(min=0, max=1, help="Only scans with this label.", show_default="all"),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="Model folder, or 'shipped', whose scores are compared, too.",
            show_default="none",
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(parser=path, help="Normal database of A, .npz.", show_default="none"),
    ] = None,
    workers: Workers = None,
) -> None:
    from bonescint.cli.comparing import run_cohort_compare

    wanted = None if label is None else bool(label)
    run_cohort_compare(first, second, out, label=wanted, model=model, save=save, workers=workers)
