"""`bonescint study`: reader studies."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bonescint.cli.console import open_in_browser, progress_shown, say, show, show_table
from bonescint.cli.group import command, command_group
from bonescint.cli.options import AsJson, Database, Open, Port, Radius, ReaderStudy, Seed

if TYPE_CHECKING:
    from bonescint.study import Link

_PHASES = {
    "environment": "before reading",
    "reading": "reading",
    "review": "reviewing",
    "waiting": "wash-out",
    "finished": "finished",
}

study_app = command_group(
    """Reader studies: physicians read a cohort in the browser, and nothing is lost.

    Needs the extra: pip install 'bonescint[study]'

    First steps:
      bonescint study demo
      bonescint study create my-study --cohort manifest.csv --sample 134 --balanced --seed 7 \\
          --readers readers.csv
      bonescint study serve my-study"""
)


@command(study_app)
def create(
    study: ReaderStudy,
    *,
    cohort: Path,
    readers: Path,
    sample: Annotated[int | None, typer.Option(min=1)] = None,
    balanced: bool = False,
    seed: Seed = 0,
    split: Literal["test", "validation", "train", "all"] = "test",
    training: Annotated[int, typer.Option(min=0, max=100)] = 2,
    title: str = "Reader study",
    second_session: Literal["none", "repeat", "aided"] = "none",
    washout_days: Annotated[float | None, typer.Option(min=0)] = None,
    model: Path | None = None,
    revisions: bool = False,
    invitation_days: Annotated[float, typer.Option(min=0.01)] = 14.0,
    database: Database = "",
) -> None:
    r"""Make a reader study from a cohort: draw the cases, prepare pictures, make accounts.

    READERS is a table reader,name[,experience_years]. Scans are stored as raw pixels under opaque
    identifiers; truth, the model's output and invitation links are kept in the folder private/.
    Each reader gets a separate order of cases; two training cases come first and do not count.

    Args:
        cohort: Manifest, or its folder.
        readers: Table of readers.
        sample: Number of cases; all unless given.
        balanced: As many cases with as without disease.
        seed: Seed of the sample and of every order.
        split: Cases to draw from.
        training: Number of training cases.
        title: Shown to readers.
        second_session: What follows after the wash-out.
        washout_days: Days between the two sessions; 28 unless given.
        model: Model folder for an aided session; the model that comes with bonescint unless given.
        revisions: Answers may be changed until the session is finished.
        invitation_days: How long invitation links are valid.

    Examples:
      bonescint study create my-study --cohort manifest.csv --sample 134 --balanced --seed 7 \
          --readers readers.csv
      bonescint study create my-study --cohort cohort/ --split all --readers readers.csv \
          --second-session aided --model my-model/ --washout-days 28
    """
    from bonescint.scan import Split
    from bonescint.study import SecondSession, StudyOptions, create_study

    options = StudyOptions(
        sample=sample,
        balanced=balanced,
        seed=seed,
        split=None if split == "all" else Split(split),
        training=training,
        title=title,
        second_session=SecondSession(second_session),
        washout_days=washout_days,
        revisions=revisions,
        invitation_days=invitation_days,
        database=database,
    )
    with progress_shown() as shown:
        progress = shown.part("Preparing cases")
        made = create_study(study, cohort, readers, options, model=model, progress=progress)
    protocol = made.protocol
    say(f"{protocol.cases} cases, {protocol.training_cases} for training: {made.path}")
    say(f"Invitation links: {made.invitations_file} (keep this file private)")
    say(f"Next: bonescint study serve {made.path}")


@command(study_app)
def serve(
    study: ReaderStudy,
    *,
    host: str = "127.0.0.1",
    port: Port = 8000,
    certificate: Path | None = None,
    key: Path | None = None,
    behind_proxy: bool = False,
    name: list[str] | None = None,
) -> None:
    """Serve a reader study, and print the address and how readers sign in.

    Only this machine can connect, unless --host says otherwise; then TLS is needed, or a proxy that
    provides it. Ctrl-C stops the server; every acknowledged answer is stored on disk.

    Args:
        host: Address to bind to.
        certificate: TLS certificate, PEM.
        key: Its key, PEM.
        behind_proxy: A proxy in front provides TLS.
        name: Host name that browsers use; may be repeated. Any unless given.

    Examples:
      bonescint study serve my-study
      bonescint study serve my-study --host 0.0.0.0 --port 443 --certificate c.pem --key k.pem
      bonescint study serve my-study --host 0.0.0.0 --behind-proxy --name study.hospital.example
    """
    from bonescint.study import open_study
    from bonescint.study.serving import serve_study
    from bonescint.study.web.dependencies import ServeSettings

    opened = open_study(study)
    settings = ServeSettings(
        host=host,
        port=port,
        certificate=certificate,
        key=key,
        behind_proxy=behind_proxy,
        names=tuple(name or ()),
    )
    with progress_shown() as shown:

        def ready(address: str) -> None:
            shown.stop()
            say(f"{opened.protocol.title}: {address}   (Ctrl-C stops)")
            say(
                "Readers sign in there with the name and password of their invitation; the links "
                f"are in {opened.invitations_file}; append them to the address."
            )
            if settings.is_loopback and not settings.behind_proxy:
                say("Only this machine can connect. See --help for how others can.")

        progress = shown.part("Checking pictures")
        serve_study(opened, settings, progress=progress, ready=ready, notice=say)


@command(study_app)
def status(study: ReaderStudy, *, as_json: AsJson = False) -> None:
    """Show the progress of the readers, never their answers.

    Example:
      bonescint study status my-study
    """
    from bonescint.study import study_status

    readers = [row for row in study_status(study) if row.role == "reader"]
    if as_json:
        content = [{**asdict(row), "phase": row.phase.value} for row in readers]
        typer.echo(json.dumps(content, indent=1))
        return
    rows = []
    for row in readers:
        state = _PHASES[row.phase.value]
        if not row.active:
            state = "deactivated"
        elif not row.has_password:
            state = "invited"
        last = "" if row.last_s is None else _utc(row.last_s, "%Y-%m-%d %H:%M")
        name = f"{row.name} (simulated reader)" if row.simulated else row.name
        read = f"{row.answered} of {row.total}"
        rows.append((row.reader, name, str(row.session), read, state, last))
    show_table(("Reader", "Name", "Session", "Cases", "State", "Last answer (UTC)"), rows)


@command(study_app)
def export(study: ReaderStudy, *, out: Path, radius: Radius = 15.0) -> None:
    """Export the answers: Excel with a data dictionary, CSV, and .imrmc for iMRMC.

    Args:
        out: Folder to write.

    Example:
      bonescint study export my-study --out export/
    """
    from bonescint.study import export_study

    with progress_shown() as shown:
        progress = shown.part("Collecting answers")
        written = export_study(study, out, radius_mm=radius, progress=progress)
    say(f"Excel, CSV and .imrmc: {written}")


@command(study_app)
def analyse(
    study: ReaderStudy,
    *,
    out: Path,
    model: str = "shipped",
    draws: Annotated[int, typer.Option(min=10, max=1_000_000)] = 2000,
    seed: Seed = 1,
    radius: Radius = 15.0,
) -> None:
    """Analyse a reader study: each reader, the model against the readers, marks, times.

    Also needs the extra evaluate: pip install 'bonescint[evaluate,study]'. The model reads the same
    pictures on this machine, and is timed. Written to the folder: index.html (everything),
    analysis.json, analysis.xlsx, sentences.txt, marks.json and figures.

    Args:
        out: Folder to write.
        model: Model folder, a name of `bonescint model list`, or 'none' for the readers alone.
        draws: Bootstrap samples; Ibrahim et al. 2023 used 100.
        seed: Seed of the bootstrap.

    Examples:
      bonescint study analyse my-study --model my-model/ --out analysis/
      bonescint study analyse my-study --model none --draws 100 --out readers-alone/
    """
    from bonescint.study import analyse_study

    with progress_shown() as shown:
        found = analyse_study(
            study,
            out,
            model=model,
            draws=draws,
            seed=seed,
            radius_mm=radius,
            progress=shown.progress,
        )
    say(found.title)
    say(f"Look at {out / 'index.html'}")


@command(study_app)
def demo(
    *,
    out: Path = Path("study-demo"),
    cases: Annotated[int, typer.Option(min=2, max=200)] = 16,
    readers: Annotated[int, typer.Option(min=1, max=50)] = 6,
    port: Port = 8000,
    serves: Annotated[bool, typer.Option("--serve/--no-serve")] = True,
    opens: Open = True,
) -> None:
    """Make a reader study to try out: simulated scans and readers, and a sign-in link for you.

    Needs the extras: pip install 'bonescint[simulate,study]'

    Args:
        out: Folder to make.
        cases: Number of cases, an even number.
        readers: Number of simulated readers.
        serves: Serve it until Ctrl-C.

    Example:
      bonescint study demo --out study-demo/
    """
    from bonescint.study.serving import serve_study
    from bonescint.study.simulated import make_demonstration
    from bonescint.study.web.dependencies import ServeSettings

    with progress_shown() as shown:
        study, link = make_demonstration(out, cases=cases, readers=readers, progress=shown.progress)
    say(f"A study of simulated scans, read by {readers} simulated readers: {study.path}")
    say("Nothing based on their answers shows how physicians read.")
    if not serves:
        return

    def ready(address: str) -> None:
        say(f"Read it yourself: {address}{link}   (Ctrl-C stops)")
        if opens:
            open_in_browser(f"{address}{link}")

    serve_study(study, ServeSettings(port=port), ready=ready)


@command(study_app)
def backup(study: ReaderStudy, *, out: Path) -> None:
    """Write a reader study into one file, even while readers are at work.

    Args:
        out: ZIP file to write.

    Example:
      bonescint study backup my-study --out my-study-monday.zip
    """
    from bonescint.study import backup_study

    with progress_shown() as shown:
        file = backup_study(study, out, progress=shown.part("Packing files"))
    say(f"Backup: {file} (it holds truth and accounts)")


@command(study_app)
def restore(backup: Path, *, out: Path, database: Database = "") -> None:
    """Restore a reader study from a backup and check every file.

    Args:
        backup: The backup.
        out: Study folder to make.

    Example:
      bonescint study restore my-study-monday.zip --out my-study
    """
    from bonescint.study import restore_study

    with progress_shown() as shown:
        progress = shown.part("Unpacking files")
        study = restore_study(backup, out, database=database, progress=progress, notice=say)
    say(f"{study.protocol.title}: {study.path}")


@command(study_app)
def readers(
    study: ReaderStudy,
    *,
    add: Path | None = None,
    invite: list[str] | None = None,
    deactivate: str | None = None,
    activate: str | None = None,
) -> None:
    """Add readers, make new invitation links, activate or deactivate accounts.

    Without options, makes new links for everybody who has no password yet.

    Args:
        add: Table of readers.
        invite: Short name of a reader; may be repeated.
        deactivate: Short name of an account.
        activate: Short name of an account.

    Examples:
      bonescint study readers my-study
      bonescint study readers my-study --add more-readers.csv
      bonescint study readers my-study --invite r3
      bonescint study readers my-study --deactivate r3
    """
    from bonescint.study import add_readers, invite_readers, set_account_active

    if deactivate is not None:
        set_account_active(study, deactivate, active=False)
        say(f"Deactivated: {deactivate}")
    if activate is not None:
        set_account_active(study, activate, active=True)
        say(f"Activated: {activate}")
    if add is not None:
        _print_links(add_readers(study, add))
    if invite or (add is None and deactivate is None and activate is None):
        _print_links(invite_readers(study, invite or []))


def _print_links(links: Sequence[Link]) -> None:
    for link in links:
        show(f"{link.reader}  {link.path}  until {_utc(link.expires_s, '%Y-%m-%d')}")
    if links:
        say("Put the address of the server in front of each link.")
    else:
        say("Everybody has a password.")


def _utc(seconds: float, form: str) -> str:
    return time.strftime(form, time.gmtime(seconds))
