"""The pages: signing in, environment, reading, waiting, finished, the administrator's."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from bonescint.study.errors import RefusedError
from bonescint.study.folder import opaque_token
from bonescint.study.store import accounts
from bonescint.study.store.accounts import Role, Visitor
from bonescint.study.store.sessions import Phase, Standing, progress_of_all, standing_of
from bonescint.study.web.dependencies import AnAdministrator, AnyVisitor, AtDesk, Desk, same

router = APIRouter()
_FORM_COOKIE = "study_form"
_WHERE = {
    Phase.ENVIRONMENT: "/start",
    Phase.READING: "/read",
    Phase.REVIEW: "/read",
    Phase.WAITING: "/waiting",
    Phase.FINISHED: "/finished",
}
_Text = Annotated[str, Form(max_length=300)]


def page(
    desk: Desk,
    request: Request,
    template: str,
    *,
    visitor: Visitor | None = None,
    status: int = 200,
    **content: Any,
) -> Response:
    """Render a page with what all pages show."""
    shown = {
        "title": desk.study.protocol.title,
        "protocol": desk.study.protocol,
        "simulated_scans": desk.study.simulated_scans,
        "visitor": visitor,
        "problem": "",
        **content,
    }
    return desk.templates.TemplateResponse(request, template, shown, status_code=status)


def _redirect(path: str) -> Response:
    return RedirectResponse(path, status_code=303)


def _standing(desk: Desk, visitor: Visitor) -> Standing:
    with desk.store.reading() as db:
        return standing_of(db, visitor.account_id, desk.study.protocol, now=desk.clock.now())


@router.get("/")
def home(desk: AtDesk, visitor: AnyVisitor) -> Response:
    """To wherever the visitor belongs."""
    if visitor is None:
        return _redirect("/sign-in")
    if visitor.role is Role.ADMINISTRATOR:
        return _redirect("/progress")
    return _redirect(_WHERE[_standing(desk, visitor).phase])


@router.get("/health")
def health() -> dict[str, str]:
    """Whether the server answers; nothing else."""
    return {"status": "ok"}


@router.get("/sign-in")
def sign_in_page(desk: AtDesk, request: Request, visitor: AnyVisitor) -> Response:
    """The page to sign in."""
    if visitor is not None:
        return _redirect("/")
    return _form_page(desk, request, "sign_in.html.jinja")


def _form_page(
    desk: Desk, request: Request, template: str, *, status: int = 200, **content: Any
) -> Response:
    """A page with a form for somebody who is not signed in; its token is also in a cookie."""
    token = request.cookies.get(_FORM_COOKIE, "") or secrets.token_urlsafe(24)
    answer = page(desk, request, template, status=status, form_token=token, **content)
    answer.set_cookie(
        _FORM_COOKIE, token, path="/", httponly=True, secure=desk.settings.secure,
        samesite="strict",
    )  # fmt: skip
    return answer


def _require_form(request: Request, token: str) -> None:
    wanted = request.cookies.get(_FORM_COOKIE, "")
    if not wanted or not same(token, wanted):
        raise RefusedError("csrf", "The form has expired. Reload the page.", status=403)


@router.post("/sign-in")
def sign_in(
    desk: AtDesk, request: Request, name: _Text, password: _Text, form_token: _Text
) -> Response:
    """Sign in with a name and a password."""
    _require_form(request, form_token)
    now = desk.clock.now()
    address = request.client.host if request.client else ""
    with desk.store.writing() as db:
        attempt = accounts.count_attempt(db, name, address, now=now)
    if attempt.wait_s > 0:
        problem = f"Too many attempts. Try again in {max(1, round(attempt.wait_s / 60))} minutes."
        answer = _form_page(desk, request, "sign_in.html.jinja", status=429, problem=problem)
        answer.headers["retry-after"] = str(int(attempt.wait_s) + 1)
        return answer
    account = attempt.account
    password_hash = account.password_hash if account else ""
    if not accounts.password_fits(password_hash, password) or account is None or not account.active:
        problem = "Name and password do not match."
        return _form_page(desk, request, "sign_in.html.jinja", status=403, problem=problem)
    with desk.store.writing() as db:
        accounts.forget_attempt(db, attempt)
        token = accounts.sign_in(db, account, now=now)
    answer = _redirect("/")
    desk.set_cookie(answer, token)
    answer.delete_cookie(_FORM_COOKIE, path="/")
    return answer


@router.post("/sign-out")
def sign_out(desk: AtDesk, visitor: AnyVisitor, csrf: _Text) -> Response:
    """Sign out; drafts and answers stay."""
    if visitor is not None:
        if not same(csrf, visitor.csrf):
            raise RefusedError("csrf", "The request does not come from a page.", status=403)
        with desk.store.writing() as db:
            accounts.sign_out(db, visitor.sign_in_id, now=desk.clock.now())
    answer = _redirect("/sign-in")
    desk.forget_cookie(answer)
    return answer


@router.get("/invitation/{token}")
def invitation_page(desk: AtDesk, request: Request, token: str) -> Response:
    """The page on which an invited reader chooses a password."""
    with desk.store.reading() as db:
        account = accounts.invited(db, token, now=desk.clock.now())
    if account is None:
        raise RefusedError("invitation", "This link is not or no longer valid. Ask the "
        "administrator for a new one.", status=410)  # fmt: skip
    return _form_page(
        desk, request, "invitation.html.jinja", invited=account.name, reader=account.reader,
        least=accounts.LEAST_PASSWORD,
    )  # fmt: skip


@router.post("/invitation/{token}")
def accept_invitation(
    desk: AtDesk, request: Request, token: str, password: _Text, again: _Text, form_token: _Text
) -> Response:
    """Choose a password, and be signed in."""
    _require_form(request, form_token)
    now = desk.clock.now()
    with desk.store.reading() as db:
        account = accounts.invited(db, token, now=now)
    if account is None:
        raise RefusedError("invitation", "This link is not or no longer valid. Ask the "
        "administrator for a new one.", status=410)  # fmt: skip
    try:
        password_hash = accounts.hash_password(password, again)
    except RefusedError as error:
        return _form_page(
            desk, request, "invitation.html.jinja", status=422, invited=account.name,
            reader=account.reader, least=accounts.LEAST_PASSWORD, problem=str(error),
        )  # fmt: skip
    with desk.store.writing() as db:
        account = accounts.accept(db, token, password_hash, now=now)
        cookie = accounts.sign_in(db, account, now=now)
    answer = _redirect("/")
    desk.set_cookie(answer, cookie)
    answer.delete_cookie(_FORM_COOKIE, path="/")
    return answer


def _reader_page(desk: Desk, visitor: Visitor | None, phases: set[Phase]) -> Standing | Response:
    """The standing of a reader who may see this page, or where to go instead."""
    if visitor is None:
        return _redirect("/sign-in")
    if visitor.role is not Role.READER:
        return _redirect("/progress")
    standing = _standing(desk, visitor)
    return standing if standing.phase in phases else _redirect(_WHERE[standing.phase])


@router.get("/start")
def start_page(desk: AtDesk, request: Request, visitor: AnyVisitor) -> Response:
    """Monitor, light, grey steps; also for whoever wants to enter them anew."""
    standing = _reader_page(desk, visitor, {Phase.ENVIRONMENT, Phase.READING})
    if isinstance(standing, Response):
        return standing
    return page(desk, request, "environment.html.jinja", visitor=visitor, standing=standing)


@router.get("/read")
def read_page(desk: AtDesk, request: Request, visitor: AnyVisitor) -> Response:
    """The reading page."""
    standing = _reader_page(desk, visitor, {Phase.READING, Phase.REVIEW})
    if isinstance(standing, Response):
        return standing
    assert visitor is not None  # noqa: S101 - `_reader_page` sent others away
    drawer = opaque_token(desk.study.secret(), f"drawer {visitor.reader}")
    return page(
        desk, request, "reading.html.jinja", visitor=visitor, standing=standing, drawer=drawer
    )


@router.get("/waiting")
def waiting_page(desk: AtDesk, request: Request, visitor: AnyVisitor) -> Response:
    """Until the wash-out is over."""
    standing = _reader_page(desk, visitor, {Phase.WAITING})
    if isinstance(standing, Response):
        return standing
    opens = time.strftime("%d %B %Y, %H:%M UTC", time.gmtime(standing.opens_s))
    return page(desk, request, "waiting.html.jinja", visitor=visitor, opens=opens)


@router.get("/finished")
def finished_page(desk: AtDesk, request: Request, visitor: AnyVisitor) -> Response:
    """Thanks."""
    standing = _reader_page(desk, visitor, {Phase.FINISHED})
    if isinstance(standing, Response):
        return standing
    return page(desk, request, "finished.html.jinja", visitor=visitor)


@router.get("/progress")
def progress_page(desk: AtDesk, request: Request, visitor: AnyVisitor) -> Response:
    """How far everybody is; no answer, no result."""
    if visitor is None:
        return _redirect("/sign-in")
    if visitor.role is not Role.ADMINISTRATOR:
        raise RefusedError("role", "Only the administrator may open this page.", status=403)
    return _progress(desk, request, visitor)


def _progress(
    desk: Desk, request: Request, visitor: Visitor, *, link: str = "", invited: str = ""
) -> Response:
    now = desk.clock.now()
    with desk.store.reading() as db:
        rows = progress_of_all(db, desk.study.protocol, now=now)
    readers = [row for row in rows if row.role == Role.READER.value]
    return page(
        desk, request, "progress.html.jinja", visitor=visitor, readers=readers, now=now,
        link=link, invited=invited,
    )  # fmt: skip


@router.post("/progress/invite")
def invite_again(
    desk: AtDesk, request: Request, visitor: AnAdministrator, reader: _Text, csrf: _Text
) -> Response:
    """A new link for a reader who lost the link or the password."""
    if not same(csrf, visitor.csrf):
        raise RefusedError("csrf", "The request does not come from a page.", status=403)
    with desk.store.writing() as db:
        account = accounts.find_account(db, reader)
        if account is None or account.role != Role.READER.value:
            raise RefusedError("not-found", "There is no such reader.", status=404)
        token = accounts.invite(db, account, now=desk.clock.now())
        name = account.name
    link = f"{desk.settings.scheme}://{request.headers['host']}/invitation/{token}"
    return _progress(desk, request, visitor, link=link, invited=name)
