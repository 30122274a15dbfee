"""The readers of a study: their table, invitations, access and progress."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from bonescint.files import write_table
from bonescint.scan import InputError
from bonescint.study.errors import StudyError
from bonescint.study.folder import StudyFolder, open_study
from bonescint.study.sampling import assign_sessions
from bonescint.study.store import accounts
from bonescint.study.store.accounts import INVITATION_S, Reader, Role
from bonescint.study.store.clock import clock_of
from bonescint.study.store.sessions import ReaderProgress, progress_of_all
from bonescint.study.store.tables import Account
from bonescint.tables import Columns, Numbers, Row, folded, read_table

_COLUMNS = Columns(
    names={
        "reader": ("reader",),
        "name": ("name",),
        "experience_years": ("experience years",),
    },
    required=("reader", "name"),
    remedy="Give reader, name, experience_years",
)
_SHORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_LONGEST_NAME = 100
_MODEL = "model"  # the model's name in tables and figures of the analysis


def read_readers(path: Path | str) -> tuple[Reader, ...]:
    """Read a table of readers, as CSV or .xlsx.

    Raises:
        InputError: unreadable, columns missing, or wrong rows, all of which are named.
    """
    table = read_table(path, _COLUMNS)
    table.warn()
    years_of = table.numbers("experience_years")
    readers, problems = [], []
    for row in table.rows:
        try:
            readers.append(_reader(row, years_of))
        except ValueError as error:
            problems.append(f"{row.where}: {error}")
    problems += _shared_names(readers)
    if not len(table):
        problems.append("no reader")
    if problems:
        raise InputError(table.source, "; ".join(problems), "Correct the table")
    return tuple(readers)


def _reader(row: Row, years_of: Numbers) -> Reader:
    short, name = row.text("reader"), row.name("name")
    if not _SHORT.fullmatch(short):
        raise ValueError("reader must be up to 40 letters, digits, '_', '.' or '-'")
    if folded(short) == _MODEL:
        raise ValueError("reader must not be 'model': the analysis uses this name for the model")
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"name must be a line of up to {_LONGEST_NAME} letters")
    years = row.text("experience_years")
    experience = years_of(years)
    if years and experience is None:
        raise ValueError("experience_years must be a number")
    if experience is not None and not 0 <= experience <= 80:
        raise ValueError("experience_years must be from 0 to 80")
    return Reader(reader=short, name=name, experience_years=experience)


def _shared_names(readers: list[Reader]) -> list[str]:
    """Names that two readers share; a reader can sign in with either name."""
    owner: dict[str, str] = {}
    problems = []
    for reader in readers:
        for key in {folded(reader.reader), folded(reader.name)}:
            if key in owner:
                problems.append(
                    f"two readers have the name '{key}' ({owner[key]} and {reader.reader})"
                )
            owner[key] = reader.reader
    return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An invitation.

    Attributes:
        reader: short name.
        name: as shown.
        path: on the server, to be appended to its address.
        expires_s: when it becomes invalid, seconds since 1970.
    """

    reader: str
    name: str
    path: str
    expires_s: float


def study_status(folder: Path | str | StudyFolder) -> list[ReaderProgress]:
    """The progress of every account, without any answer or result.

    Raises:
        StudyError: the study cannot be used.
    """
    study = open_study(folder)
    with study.open_store() as store, store.reading() as db:
        return progress_of_all(db, study.protocol, now=clock_of(db).now())


def add_readers(folder: Path | str, table: Path | str) -> list[Link]:
    """Add readers to a study; each gets an order of cases of their own.

    Raises:
        InputError: the table is wrong.
        StudyError: a name is taken.
    """
    study = open_study(folder)
    people = read_readers(table)
    with study.open_store() as store, store.writing() as db:
        now = clock_of(db).now()
        links = [add_reader(db, study, one, now=now) for one in people]
    write_invitations(study, links)
    return links


def add_reader(
    db: Session,
    study: StudyFolder,
    reader: Reader,
    *,
    now: float,
    role: Role = Role.READER,
    simulated: bool = False,
    lasts_s: float = INVITATION_S,
) -> Link:
    """Add one account with its orders of cases, and invite it."""
    account = accounts.add_account(db, reader, role=role, now=now, simulated=simulated)
    if role is Role.READER:
        assign_sessions(db, account, study.protocol, now=now)
    return _invite(db, account, now=now, lasts_s=lasts_s)


def _invite(db: Session, account: Account, *, now: float, lasts_s: float) -> Link:
    token = accounts.invite(db, account, now=now, lasts_s=lasts_s)
    return Link(
        reader=account.reader,
        name=account.name,
        path=f"/invitation/{token}",
        expires_s=now + lasts_s,
    )


def invite_readers(folder: Path | str, names: list[str], *, days: float = 14.0) -> list[Link]:
    """Make new links; earlier ones become invalid.

    Args:
        folder: the study folder.
        names: short names; all accounts without a password if empty.
        days: how long the links are valid.

    Raises:
        StudyError: there is no such account.
    """
    study = open_study(folder)
    with study.open_store() as store, store.writing() as db:
        now = clock_of(db).now()
        if names:
            chosen = [_account_named(db, name) for name in names]
        else:
            chosen = list(db.scalars(select(Account).where(Account.password_hash == "")))
        links = [_invite(db, account, now=now, lasts_s=days * 86_400) for account in chosen]
    write_invitations(study, links)
    return links


def set_account_active(folder: Path | str, name: str, *, active: bool) -> None:
    """Activate or deactivate an account; its answers stay.

    Raises:
        StudyError: there is no such account, or it is the last administrator.
    """
    study = open_study(folder)
    with study.open_store() as store, store.writing() as db:
        account = _account_named(db, name)
        accounts.set_active(db, account, active=active, now=clock_of(db).now())


def _account_named(db: Session, name: str) -> Account:
    account = accounts.find_account(db, name)
    if account is None:
        raise StudyError(f"There is no account '{name}' in this study.")
    return account


def write_invitations(study: StudyFolder, links: Sequence[Link]) -> None:
    """Write the links that were made last, if there are any."""
    rows = [
        (
            link.reader,
            link.name,
            link.path,
            time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(link.expires_s)),
        )
        for link in links
    ]
    if rows:
        columns = ("reader", "name", "link", "expires")
        write_table(study.invitations_file, columns, rows, line_end="\r\n", private=True)
