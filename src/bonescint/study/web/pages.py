"""The pages: signing in, environment, reading, waiting, finished, and the administrator's."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from bonescint.study.errors import RefusedError
from bonescint.study.folder import opaque_token
from bonescint.study.store import accounts
from bonescint.study.store.accounts import Role, SignedInUser
from bonescint.study.store.sessions import Phase, progress_of_all
from bonescint.study.store.tables import Account
from bonescint.study.web.dependencies import (
    AppContext,
    ContextDep,
    CurrentAdministrator,
    OptionalUser,
    require_csrf,
    same,
)

router = APIRouter()
_FORM_COOKIE = "study_form"
_PAGE_OF = {
    Phase.ENVIRONMENT: "/start",
    Phase.READING: "/read",
    Phase.REVIEW: "/read",
    Phase.WAITING: "/waiting",
    Phase.FINISHED: "/finished",
}
_Text = Annotated[str, Form(max_length=300)]


def page(
    context: AppContext,
    request: Request,
    template: str,
    *,
    user: SignedInUser | None = None,
    status: int = 200,
    **content: Any,
) -> Response:
    """Render a page with what all pages show."""
    shown = {
        "title": context.study.protocol.title,
        "protocol": context.study.protocol,
        "simulated_scans": context.study.simulated_scans,
        "user": user,
        "problem": "",
        **content,
    }
    return context.templates.TemplateResponse(request, template, shown, status_code=status)


def _redirect(path: str) -> Response:
    return RedirectResponse(path, status_code=303)


@router.get("/")
def home(context: ContextDep, user: OptionalUser) -> Response:
    """Redirect to the page that the user needs."""
    if user is None:
        return _redirect("/sign-in")
    if user.role is Role.ADMINISTRATOR:
        return _redirect("/progress")
    with context.store.reading() as db:
        return _redirect(_PAGE_OF[context.reader_state(db, user).phase])


@router.get("/health")
def health() -> dict[str, str]:
    """Whether the server answers; nothing else."""
    return {"status": "ok"}


@router.get("/sign-in")
def sign_in_page(context: ContextDep, request: Request, user: OptionalUser) -> Response:
    """The page to sign in."""
    if user is not None:
        return _redirect("/")
    return _form_page(context, request, "sign_in.html.jinja")


def _form_page(
    context: AppContext, request: Request, template: str, *, status: int = 200, **content: Any
) -> Response:
    """A page with a form for someone who is not signed in; its token is also in a cookie."""
    token = request.cookies.get(_FORM_COOKIE, "") or secrets.token_urlsafe(24)
    answer = page(context, request, template, status=status, form_token=token, **content)
    secure = context.settings.secure
    answer.set_cookie(
        _FORM_COOKIE, token, path="/", httponly=True, secure=secure, samesite="strict"
    )
    return answer


def _require_form(request: Request, token: str) -> None:
    wanted = request.cookies.get(_FORM_COOKIE, "")
    if not wanted or not same(token, wanted):
        raise RefusedError("csrf", "The form has expired. Reload the page.", status=403)


def _signed_in(context: AppContext, token: str) -> Response:
    """The answer to a form that signs a user in."""
    answer = _redirect("/")
    context.set_cookie(answer, token)
    answer.delete_cookie(_FORM_COOKIE, path="/")
    return answer


@router.post("/sign-in")
def sign_in(
    context: ContextDep, request: Request, name: _Text, password: _Text, form_token: _Text
) -> Response:
    """Sign in with a name and a password."""
    _require_form(request, form_token)
    now = context.clock.now()
    address = request.client.host if request.client else ""
    with context.store.writing() as db:
        attempt = accounts.count_attempt(db, name, address, now=now)
    if attempt.wait_s > 0:
        problem = f"Too many attempts. Try again in {max(1, round(attempt.wait_s / 60))} minutes."
        answer = _form_page(context, request, "sign_in.html.jinja", status=429, problem=problem)
        answer.headers["retry-after"] = str(int(attempt.wait_s) + 1)
        return answer
    account = attempt.account
    password_hash = account.password_hash if account else ""
    if not accounts.password_fits(password_hash, password) or account is None or not account.active:
        problem = "Name and password do not match."
        return _form_page(context, request, "sign_in.html.jinja", status=403, problem=problem)
    with context.store.writing() as db:
        accounts.forget_attempt(db, attempt)
        token = accounts.sign_in(db, account, now=now)
    return _signed_in(context, token)


@router.post("/sign-out")
def sign_out(context: ContextDep, user: OptionalUser, csrf: _Text) -> Response:
    """Sign out; drafts and answers stay."""
    if user is not None:
        require_csrf(csrf, user)
        with context.store.writing() as db:
            accounts.sign_out(db, user.sign_in_id, now=context.clock.now())
    answer = _redirect("/sign-in")
    context.forget_cookie(answer)
    return answer


@router.get("/invitation/{token}")
def invitation_page(context: ContextDep, request: Request, token: str) -> Response:
    """The page on which an invited reader chooses a password."""
    return _invitation(context, request, _require_invited(context, token))


def _require_invited(context: AppContext, token: str) -> Account:
    with context.store.reading() as db:
        account = accounts.invited(db, token, now=context.clock.now())
    if account is None:
        raise RefusedError(
            "invitation",
            "This link is not or no longer valid. Ask the administrator for a new one.",
            status=410,
        )
    return account


def _invitation(
    context: AppContext, request: Request, account: Account, *, problem: str = ""
) -> Response:
    return _form_page(
        context,
        request,
        "invitation.html.jinja",
        status=422 if problem else 200,
        invited=account.name,
        reader=account.reader,
        least=accounts.LEAST_PASSWORD,
        problem=problem,
    )


@router.post("/invitation/{token}")
def accept_invitation(
    context: ContextDep,
    request: Request,
    token: str,
    password: _Text,
    again: _Text,
    form_token: _Text,
) -> Response:
    """Choose a password, and be signed in."""
    _require_form(request, form_token)
    account = _require_invited(context, token)
    try:
        password_hash = accounts.hash_password(password, again)
    except RefusedError as error:
        return _invitation(context, request, account, problem=str(error))
    now = context.clock.now()
    with context.store.writing() as db:
        account = accounts.accept(db, token, password_hash, now=now)
        cookie = accounts.sign_in(db, account, now=now)
    return _signed_in(context, cookie)


def _reader_page(
    context: AppContext,
    request: Request,
    user: SignedInUser | None,
    template: str,
    *phases: Phase,
) -> Response:
    """The page of a reader, if it belongs to the reader's phase; else a redirect to that one."""
    if user is None:
        return _redirect("/sign-in")
    if user.role is not Role.READER:
        return _redirect("/progress")
    with context.store.reading() as db:
        state = context.reader_state(db, user)
    if state.phase not in phases:
        return _redirect(_PAGE_OF[state.phase])
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
        return _redirect("/sign-in")
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
