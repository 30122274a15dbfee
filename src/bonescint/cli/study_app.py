"""Names, options and help of `bonescint study`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bonescint.cli.group import _path as path

_STUDY = """Reader studies: physicians read a cohort in the browser, and nothing is lost.

Needs the extra: pip install 'bonescint[study]'

\b
First steps:
  bonescint study demo
  bonescint study create my-study --cohort manifest.csv --sample 134 --balanced --seed 7 \\
      --readers readers.csv
  bonescint study serve my-study"""
_CREATE = """Make a study: draw the cases, prepare the pictures, make the readers' accounts.

READERS is a table reader,name[,experience_years]. Scans are stored as raw pixels under opaque
identifiers; truth, the model's output and invitation links are kept in the folder private/. Each
reader gets a separate order of cases; two training cases come first and do not count.

\b
Examples:
  bonescint study create my-study --cohort manifest.csv --sample 134 --balanced --seed 7 \\
      --readers readers.csv
  bonescint study create my-study --cohort cohort/ --split all --readers readers.csv \\
      --second-session aided --model my-model/ --washout-days 28"""
_SERVE = """Serve a study, and print the address and how readers sign in.

Only this machine can connect, unless --host says otherwise; then TLS is needed, or a proxy that
provides it. Ctrl-C stops the server; every acknowledged answer is stored on disk.

\b
Examples:
  bonescint study serve my-study
  bonescint study serve my-study --host 0.0.0.0 --port 443 --certificate c.pem --key k.pem
  bonescint study serve my-study --host 0.0.0.0 --behind-proxy --name study.hospital.example"""
_STATUS = """Show the progress of the readers, never their answers.

\b
Example:
  bonescint study status my-study"""
_EXPORT = """Export the answers: Excel with a data dictionary, CSV, and .imrmc for iMRMC.

\b
Example:
  bonescint study export my-study --out export/"""
_ANALYSE = """Analyse a study: each reader, the model against the readers, marks, times.

Also needs the extra evaluate: pip install 'bonescint[evaluate,study]'. The model reads the same
pictures on this machine, and is timed. Written to the folder: index.html (everything),
analysis.json, analysis.xlsx, sentences.txt, marks.json and figures.

\b
Examples:
  bonescint study analyse my-study --model my-model/ --out analysis/
  bonescint study analyse my-study --model none --draws 100 --out readers-alone/"""
_DEMO = """A study to try out: simulated scans, six simulated readers, and a sign-in link for you.

Needs the extras: pip install 'bonescint[simulate,study]'

\b
Example:
  bonescint study demo --out study-demo/"""
_BACKUP = """Write a study into one file, even while readers are at work.

\b
Example:
  bonescint study backup my-study --out my-study-monday.zip"""
_RESTORE = """Restore a study from a backup and check every file.

\b
Example:
  bonescint study restore my-study-monday.zip --out my-study"""
_READERS = """Add readers, make new invitation links, activate or deactivate accounts.

Without options, makes new links for everybody who has no password yet.

\b
Examples:
  bonescint study readers my-study
  bonescint study readers my-study --add more-readers.csv
  bonescint study readers my-study --invite r3
  bonescint study readers my-study --deactivate r3"""

Study = Annotated[
    Path, typer.Argument(parser=path, help="Study folder.", metavar="STUDY", show_default=False)
]


class SplitChoice(StrEnum):
    """Which cases a sample is drawn from."""

    TEST = "test"
    VALIDATION = "validation"
    TRAIN = "train"
    ALL = "all"


class SecondSessionChoice(StrEnum):
    """What comes after the wash-out."""

    NONE = "none"
    REPEAT = "repeat"
    AIDED = "aided"


study_app = typer.Typer(help=_STUDY, no_args_is_help=True)


@study_app.callback()
def _all_of_study() -> None:
    return


@study_app.command("create", help=_CREATE, short_help="Make a study from a cohort.")
def _create(
    study: Study,
    cohort: Annotated[Path, typer.Option(parser=path, help="Manifest, or its folder.")],
    readers: Annotated[Path, typer.Option(parser=path, help="Table of readers.")],
    sample: Annotated[
        int | None, typer.Option(min=1, help="Number of cases.", show_default="all")
    ] = None,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="As many cases with as without disease.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample and of every order.")] = 0,
    split: Annotated[SplitChoice, typer.Option(help="Cases to draw from.")] = SplitChoice.TEST,
    training: Annotated[int, typer.Option(min=0, max=100, help="Training cases.")] = 2,
    title: Annotated[str, typer.Option(help="Shown to readers.")] = "Reader study",
    second_session: Annotated[
        SecondSessionChoice, typer.Option(help="After the wash-out.")
    ] = SecondSessionChoice.NONE,
    washout_days: Annotated[float, typer.Option(min=0, help="Between the two sessions.")] = 28.0,
    model: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="Model folder, or 'shipped', for an aided session.",
            show_default="the model that comes with bonescint",
        ),
    ] = None,
    revisions: Annotated[
        bool,
        typer.Option("--revisions", help="Answers may be changed until the session is finished."),
    ] = False,
    invitation_days: Annotated[
        float, typer.Option(min=0.01, help="How long invitation links are valid.")
    ] = 14.0,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="BONESCINT_STUDY_DATABASE",
            help="URL of an empty PostgreSQL database for the store.",
            show_default="SQLite in the study folder",
        ),
    ] = None,
) -> None:
    from bonescint.cli.studying import CreateChoices, run_study_create

    choices = CreateChoices(
        sample=sample,
        balanced=balanced,
        seed=seed,
        split=None if split is SplitChoice.ALL else split.value,
        training=training,
        title=title,
        second_session=second_session.value,
        washout_days=washout_days,
        revisions=revisions,
        invitation_days=invitation_days,
        database=database or "",
    )
    run_study_create(study, cohort, readers, choices, model=model)


@study_app.command("serve", help=_SERVE, short_help="Serve a study.")
def _serve(
    study: Study,
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    certificate: Annotated[
        Path | None, typer.Option(parser=path, help="TLS certificate, PEM.", show_default="none")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(parser=path, help="Its key, PEM.", show_default="none")
    ] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy in front provides TLS.")
    ] = False,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Host name that browsers use; may be repeated.", show_default="any"),
    ] = None,
) -> None:
    from bonescint.cli.studying import ServeChoices, run_study_serve

    choices = ServeChoices(
        host=host,
        port=port,
        certificate=certificate,
        key=key,
        behind_proxy=behind_proxy,
        names=tuple(name or ()),
    )
    run_study_serve(study, choices)


@study_app.command("status", help=_STATUS, short_help="Progress of the readers.")
def _status(
    study: Study,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")
    ] = False,
) -> None:
    from bonescint.cli.studying import run_study_status

    run_study_status(study, as_json=as_json)


@study_app.command("export", help=_EXPORT, short_help="Excel, CSV, .imrmc.")
def _export(
    study: Study,
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Folder to write.")],
    radius: Annotated[
        float,
        typer.Option(min=0, max=200, help="Distance within which a mark hits a metastasis, mm."),
    ] = 15.0,
) -> None:
    from bonescint.cli.studying import run_study_export

    run_study_export(study, out, radius_mm=radius)


@study_app.command("analyse", help=_ANALYSE, short_help="AUC, tests, times, marks, one report.")
def _analyse(
    study: Study,
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Folder to write.")],
    model: Annotated[
        str, typer.Option(help="Model folder, 'shipped', or 'none' for the readers alone.")
    ] = "shipped",
    draws: Annotated[
        int, typer.Option(min=10, max=1_000_000, help="Bootstrap samples; the paper used 100.")
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 1,
    radius: Annotated[
        float,
        typer.Option(min=0, max=200, help="Distance within which a mark hits a metastasis, mm."),
    ] = 15.0,
) -> None:
    from bonescint.cli.studying import run_study_analyse

    run_study_analyse(study, out, model=model, draws=draws, seed=seed, radius_mm=radius)


@study_app.command("demo", help=_DEMO, short_help="A study to try out, with simulated readers.")
def _demo(
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Folder to make.")] = Path(
        "study-demo"
    ),
    cases: Annotated[int, typer.Option(min=2, max=200, help="Cases, an even number.")] = 16,
    readers: Annotated[int, typer.Option(min=1, max=50, help="Simulated readers.")] = 6,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    serves: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Serve it until Ctrl-C.")
    ] = True,
    opens: Annotated[bool, typer.Option("--open/--no-open", help="Show it in the browser.")] = True,
) -> None:
    from bonescint.cli.studying import run_study_demo

    run_study_demo(out, cases=cases, readers=readers, port=port, serves=serves, opens=opens)


@study_app.command("backup", help=_BACKUP, short_help="One file that holds everything.")
def _backup(
    study: Study,
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="ZIP file to write.")],
) -> None:
    from bonescint.cli.studying import run_study_backup

    run_study_backup(study, out)


@study_app.command("restore", help=_RESTORE, short_help="Restore a study from a backup.")
def _restore(
    backup: Annotated[Path, typer.Argument(parser=path, help="The backup.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Study folder to make.")],
    database: Annotated[
        str | None,
        typer.Option(
            envvar="BONESCINT_STUDY_DATABASE",
            help="URL of an empty PostgreSQL database for the store.",
            show_default="SQLite in the study folder",
        ),
    ] = None,
) -> None:
    from bonescint.cli.studying import run_study_restore

    run_study_restore(backup, out, database=database or "")


@study_app.command("readers", help=_READERS, short_help="Accounts and invitation links.")
def _readers(
    study: Study,
    add: Annotated[
        Path | None, typer.Option(parser=path, help="Table of readers.", show_default="none")
    ] = None,
    invite: Annotated[
        list[str] | None, typer.Option(help="Short name; may be repeated.", show_default="none")
    ] = None,
    deactivate: Annotated[
        str | None, typer.Option(help="Short name of an account.", show_default="none")
    ] = None,
    activate: Annotated[
        str | None, typer.Option(help="Short name of an account.", show_default="none")
    ] = None,
    keep_out: Annotated[str | None, typer.Option(hidden=True)] = None,
    let_in: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    from bonescint.cli.studying import run_study_readers

    for former, now, given in (
        ("--keep-out", "--deactivate", keep_out),
        ("--let-in", "--activate", let_in),
    ):
        if given is not None:
            typer.echo(f"{former} is now called {now}.", err=True)
    run_study_readers(
        study,
        add=add,
        invite=invite or [],
        deactivate=deactivate or keep_out,
        activate=activate or let_in,
    )
