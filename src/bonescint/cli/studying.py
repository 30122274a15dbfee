"""`bonescint study`."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bonescint.cli.console import (
    clear_failures,
    messages_console,
    progress_bar,
    progress_shown,
    results_console,
)
from bonescint.report import displayable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bonescint.study import Link, ReaderProgress

_PHASES = {
    "environment": "before reading",
    "reading": "reading",
    "review": "reviewing",
    "waiting": "wash-out",
    "finished": "finished",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateChoices:
    """What the command line says of a new study.

    Attributes:
        sample: number of cases.
        balanced: as many with as without disease.
        seed: of everything that is random.
        split: to draw from; `None` for all.
        training: number of training cases.
        title: shown to readers.
        second_session: none, repeat or aided.
        washout_days: between the sessions.
        revisions: whether answers may be changed.
        invitation_days: how long links hold.
        database: URL, or empty.
    """

    sample: int | None
    balanced: bool
    seed: int
    split: str | None
    training: int
    title: str
    second_session: str
    washout_days: float
    revisions: bool
    invitation_days: float
    database: str


def run_study_create(
    folder: Path, cohort: Path, readers: Path, choices: CreateChoices, *, model: Path | None
) -> None:
    """Make a study and say what comes next."""
    with clear_failures():
        from bonescint.scan import Split
        from bonescint.study import SecondSession, StudyOptions, create_study

        given = asdict(choices)
        given["split"] = None if choices.split is None else Split(choices.split)
        given["second_session"] = SecondSession(choices.second_session)
        with _progress("Preparing cases") as progress:
            study = create_study(
                folder, cohort, readers, StudyOptions(**given), model=model, progress=progress
            )
        protocol = study.protocol
        _say(
            f"{protocol.cases} cases, {protocol.training_cases} for training: "
            f"{displayable(study.path)}"
        )
        _say(f"Invitation links: {displayable(study.invitations_file)} (keep this file private)")
        _say(f"Next: bonescint study serve {displayable(study.path)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeChoices:
    """Where the command line says to serve.

    Attributes:
        host: address to bind to.
        port: to bind to.
        certificate: TLS certificate.
        key: its key.
        behind_proxy: a proxy does TLS.
        names: host names that browsers use.
    """

    host: str
    port: int
    certificate: Path | None
    key: Path | None
    behind_proxy: bool
    names: tuple[str, ...]


def run_study_serve(folder: Path, choices: ServeChoices) -> None:
    """Serve a study until Ctrl-C."""
    with clear_failures():
        from bonescint.study import open_study
        from bonescint.study.serving import serve_study
        from bonescint.study.web.dependencies import ServeSettings

        study = open_study(folder)
        settings = ServeSettings(**asdict(choices))

        def ready(address: str) -> None:
            _say(f"{study.protocol.title}: {address}   (Ctrl-C stops)")
            _say(
                "Readers sign in there with the name and password of their invitation; the links "
                f"are in {displayable(study.invitations_file)}; append them to the address."
            )
            if settings.is_loopback and not settings.behind_proxy:
                _say("Only this machine can connect. See --help for how others can.")

        with progress_bar() as bar:
            task = bar.add_task("Checking pictures", total=None)

            def started(address: str) -> None:
                bar.stop()
                ready(address)

            serve_study(
                study,
                settings,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
                ready=started,
                notice=_say,
            )


def run_study_status(folder: Path, *, as_json: bool) -> None:
    """Print how far the readers are."""
    with clear_failures():
        from bonescint.study import study_status

        rows = [row for row in study_status(folder) if row.role == "reader"]
        if as_json:
            typer.echo(json.dumps([{**asdict(r), "phase": r.phase.value} for r in rows], indent=1))
        else:
            _print_status(rows)


def _print_status(rows: Sequence[ReaderProgress]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("Reader", "Name", "Session", "Cases", "State", "Last answer (UTC)"):
        table.add_column(column)
    for row in rows:
        state = _PHASES[row.phase.value]
        if not row.active:
            state = "blocked"
        elif not row.has_password:
            state = "invited"
        last = (
            "" if row.last_s is None else time.strftime("%Y-%m-%d %H:%M", time.gmtime(row.last_s))
        )
        name = f"{displayable(row.name)}{' (simulated reader)' if row.simulated else ''}"
        table.add_row(
            row.reader, name, str(row.session), f"{row.answered} of {row.total}", state, last
        )
    results_console().print(table)


def run_study_export(folder: Path, out: Path, *, radius_mm: float) -> None:
    """Write what was read."""
    with clear_failures():
        from bonescint.study import export_study

        with _progress("Collecting answers") as progress:
            written = export_study(folder, out, radius_mm=radius_mm, progress=progress)
        _say(f"Excel, CSV and .imrmc: {displayable(written)}")


def run_study_analyse(
    folder: Path, out: Path, *, model: str, draws: int, seed: int, radius_mm: float
) -> None:
    """Analyse a study and say where the report is."""
    with clear_failures():
        from bonescint.study import analyse_study

        with progress_shown() as shown:
            found = analyse_study(
                folder, out, model=model, draws=draws, seed=seed, radius_mm=radius_mm,
                progress=shown.progress,
            )  # fmt: skip
        _say(displayable(found.title))
        _say(f"Look at {displayable(out / 'index.html')}")


def run_study_demo(
    out: Path, *, cases: int, readers: int, port: int, serves: bool, opens: bool
) -> None:
    """Make a study to try, then serve it."""
    with clear_failures():
        from bonescint.cli.console import open_in_browser
        from bonescint.study.serving import serve_study
        from bonescint.study.simulated import make_demonstration
        from bonescint.study.web.dependencies import ServeSettings

        with progress_bar() as bar:
            task = bar.add_task("Beginning", total=None)

            def progress(what: str, done: int, total: int) -> None:
                bar.update(task, description=what, completed=done, total=total)

            study, link = make_demonstration(out, cases=cases, readers=readers, progress=progress)
        _say(f"A study of simulated scans, read by {readers} simulated readers: {study.path}")
        _say("Nothing based on their answers shows how physicians read.")
        if not serves:
            return

        def ready(address: str) -> None:
            _say(f"Read it yourself: {address}{link}   (Ctrl-C stops)")
            if opens:
                open_in_browser(f"{address}{link}")

        serve_study(study, ServeSettings(port=port), ready=ready)


def run_study_backup(folder: Path, out: Path) -> None:
    """Write a backup."""
    with clear_failures():
        from bonescint.study import backup_study

        with _progress("Packing files") as progress:
            file = backup_study(folder, out, progress=progress)
        _say(f"Backup: {displayable(file)} (it holds truth and accounts)")


def run_study_restore(backup: Path, out: Path, *, database: str) -> None:
    """Put a study back."""
    with clear_failures():
        from bonescint.study import restore_study

        with _progress("Unpacking files") as progress:
            study = restore_study(backup, out, database=database, progress=progress, notice=_say)
        _say(f"{study.protocol.title}: {displayable(study.path)}")


def run_study_readers(
    folder: Path,
    *,
    add: Path | None,
    invite: list[str],
    deactivate: str | None,
    activate: str | None,
) -> None:
    """Change accounts, and print new links."""
    with clear_failures():
        from bonescint.study import add_readers, invite_readers, set_account_active

        if deactivate is not None:
            set_account_active(folder, deactivate, active=False)
            _say(f"Deactivated: {displayable(deactivate)}")
        if activate is not None:
            set_account_active(folder, activate, active=True)
            _say(f"Activated: {displayable(activate)}")
        if add is not None:
            _print_links(add_readers(folder, add))
        if invite or (add is None and deactivate is None and activate is None):
            _print_links(invite_readers(folder, invite))


def _print_links(links: Sequence[Link]) -> None:
    for link in links:
        until = time.strftime("%Y-%m-%d", time.gmtime(link.expires_s))
        typer.echo(f"{displayable(link.reader)}  {link.path}  until {until}")
    if links:
        _say("Put the address of the server in front of each link.")
    else:
        _say("Everybody has a password.")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, as a function of what is done and of how much."""
    with progress_bar() as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _say(text: str) -> None:
    messages_console().print(text, soft_wrap=True)
