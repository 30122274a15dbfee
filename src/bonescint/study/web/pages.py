"""The pages of a study: environment, reading, waiting, finished, and the administrator's."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from bonescint.study.errors import RefusedError
from bonescint.study.folder import opaque_token
from bonescint.study.store import accounts
from bonescint.study.store.accounts import Role, SignedInUser
from bonescint.study.store.sessions import Phase, progress_of_all
from bonescint.study.web.dependencies import (
    AppContext,
    ContextDep,
    CurrentAdministrator,
    OptionalUser,
    require_csrf,
)
from bonescint.study.web.sign_in import page, redirect

router = APIRouter()
_PAGE_OF = {
    Phase.ENVIRONMENT: "/start",
    Phase.READING: "/read",
    Phase.REVIEW: "/read",
    Phase.WAITING: "/waiting",
    Phase.FINISHED: "/finished",
}
_Text = Annotated[str, Form(max_length=300)]


@router.get("/")
def home(context: ContextDep, user: OptionalUser) -> Response:
    """Redirect to the page that the user needs."""
    if user is None:
        return redirect("/sign-in")
    if user.role is Role.ADMINISTRATOR:
        return redirect("/progress")
    with context.store.reading() as db:
        return redirect(_PAGE_OF[context.reader_state(db, user).phase])


@router.get("/health")
def health() -> dict[str, str]:
    """Whether the server answers; nothing else."""
    return {"status": "ok"}


def _reader_page(
    context: AppContext,
    request: Request,
    user: SignedInUser | None,
    template: str,
    *phases: Phase,
) -> Response:
    """The page of a reader, if it belongs to the reader's phase; else a redirect to that one."""
    if user is None:
        return redirect("/sign-in")
    if user.role is not Role.READER:
        return redirect("/progress")
    with context.store.reading() as db:
        state = context.reader_state(db, user)
    if state.phase not in phases:
        return redirect(_PAGE_OF[state.phase])
    opens = time.strftime("%d %B %Y, %H:%M UTC", time.gmtime(state.opens_s))
    # The browser's database of what is not stored yet; "drawer" is in names that exist already.
    store_name = opaque_token(context.study.secret(), f"drawer {user.reader}")
    return page(context, request, template, user=user, opens=opens, store_name=store_name)


@router.get("/start")
def start_page(context: ContextDep, request: Request, user: OptionalUser) -> Response:
    """Monitor, light, grey steps; they can be entered again later."""
    phases = (Phase.ENVIRONMENT, Phase.READING)
    return _reader_page(context, request, user, "environment.html.jinja", *phases)


@router.get("/read")
def read_page(context: ContextDep, request: Request, user: OptionalUser) -> Response:
    """The reading page."""
    phases = (Phase.READING, Phase.REVIEW)
    return _reader_page(context, request, user, "reading.html.jinja", *phases)


@router.get("/waiting")
def waiting_page(context: ContextDep, request: Request, user: OptionalUser) -> Response:
    """Shown until the wash-out is over."""
    return _reader_page(context, request, user, "waiting.html.jinja", Phase.WAITING)


@router.get("/finished")
def finished_page(context: ContextDep, request: Request, user: OptionalUser) -> Response:
    """Shown when all sessions are finished."""
    return _reader_page(context, request, user, "finished.html.jinja", Phase.FINISHED)


@router.get("/progress")
def progress_page(context: ContextDep, request: Request, user: OptionalUser) -> Response:
    """The progress of all readers, without any answer or result."""
    if user is None:
        return redirect("/sign-in")
    if user.role is not Role.ADMINISTRATOR:
        raise RefusedError("role", "Only the administrator may open this page.", status=403)
    return _progress(context, request, user)


def _progress(
    context: AppContext, request: Request, user: SignedInUser, *, link: str = "", invited: str = ""
) -> Response:
    with context.store.reading() as db:
        rows = progress_of_all(db, context.study.protocol, now=context.clock.now())
    readers = [row for row in rows if row.role == Role.READER.value]
    name = "progress.html.jinja"
    return page(context, request, name, user=user, readers=readers, link=link, invited=invited)


@router.post("/progress/invite")
def invite_again(
    context: ContextDep, request: Request, user: CurrentAdministrator, reader: _Text, csrf: _Text
) -> Response:
    """A new link for a reader who lost the link or the password."""
    require_csrf(csrf, user)
    with context.store.writing() as db:
        account = accounts.find_account(db, reader)
        if account is None or account.role != Role.READER.value:
            raise RefusedError("not-found", "There is no such reader.", status=404)
        token = accounts.invite(db, account, now=context.clock.now())
    link = f"{context.settings.scheme}://{request.headers['host']}/invitation/{token}"
    return _progress(context, request, user, link=link, invited=account.name)
