"""Readers of a study that exists: who they are, new links, letting in and keeping out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from bonescint.study.creating import write_invitations
from bonescint.study.errors import StudyError
from bonescint.study.folder import StudyFolder, open_study
from bonescint.study.readers_file import read_readers
from bonescint.study.store import accounts
from bonescint.study.store.accounts import INVITATION_S, Role
from bonescint.study.store.filling import assign_sessions
from bonescint.study.store.known_time import clock_of
from bonescint.study.store.progress import ReaderProgress, progress_of_all
from bonescint.study.store.tables import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An invitation.

    Attributes:
        reader: short name.
        name: as shown.
        path: on the server, behind its address.
        expires_s: until when it holds, seconds since 1970.
    """

    reader: str
    name: str
    path: str
    expires_s: float


def study_status(folder: Path | str | StudyFolder) -> list[ReaderProgress]:
    """How far everybody is; never an answer or a result.

    Raises:
        StudyError: the study cannot be used.
    """
    study = folder if isinstance(folder, StudyFolder) else open_study(folder)
    with study.open_store() as store, store.reading() as db:
        return progress_of_all(db, study.protocol, now=clock_of(db).now())


def add_readers(folder: Path | str, table: Path | str) -> list[Link]:
    """Add readers to a study; each gets an order of their own.

    Raises:
        InputError: the table is wrong.
        StudyError: a name is taken.
    """
    study = open_study(folder)
    people = read_readers(table)
    with study.open_store() as store, store.writing() as db:
        now = clock_of(db).now()
        links = []
        for reader in people:
            account = accounts.add_account(db, reader, role=Role.READER, now=now)
            assign_sessions(db, account, study.protocol, now=now)
            token = accounts.invite(db, account, now=now)
            links.append(_link(account, token, now))
    return _written(study, links)


def invite_readers(folder: Path | str, names: list[str], *, days: float = 14.0) -> list[Link]:
    """Make new links; earlier ones no longer work.

    Args:
        folder: of the study.
        names: short names; everybody without a password if empty.
        days: how long the links hold.

    Raises:
        StudyError: nobody of that name.
    """
    study = open_study(folder)
    with study.open_store() as store, store.writing() as db:
        now = clock_of(db).now()
        if names:
            chosen = [_named(accounts.find_account(db, name), name) for name in names]
        else:
            chosen = list(db.scalars(select(Account).where(Account.password_hash == "")))
        links = []
        for account in chosen:
            token = accounts.invite(db, account, now=now, lasts_s=days * 86_400)
            links.append(_link(account, token, now, days * 86_400))
    return _written(study, links)


def keep_out(folder: Path | str, name: str, *, out: bool = True) -> None:
    """Keep an account out, or let it in again; what was read stays.

    Raises:
        StudyError: nobody of that name, or the last administrator.
    """
    study = open_study(folder)
    with study.open_store() as store, store.writing() as db:
        account = _named(accounts.find_account(db, name), name)
        accounts.set_active(db, account, active=not out, now=clock_of(db).now())


def _named(account: Account | None, name: str) -> Account:
    if account is None:
        raise StudyError(f"There is no account '{name}' in this study.")
    return account


def _link(account: Account, token: str, now: float, lasts_s: float = INVITATION_S) -> Link:
    return Link(
        reader=account.reader,
        name=account.name,
        path=f"/invitation/{token}",
        expires_s=now + lasts_s,
    )


def _written(study: StudyFolder, links: list[Link]) -> list[Link]:
    if links:
        write_invitations(study, [(one.reader, one.name, one.path, one.expires_s) for one in links])
    return links
