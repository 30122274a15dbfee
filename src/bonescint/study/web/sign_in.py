"""Signing in and out, and choosing a password by an invitation: for any server with accounts."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from bonescint.study.errors import RefusedError
from bonescint.study.store import accounts
from bonescint.study.store.accounts import SignedInUser
from bonescint.study.store.tables import Account
from bonescint.study.web.dependencies import (
    OptionalUser,
    PageContext,
    ServedContext,
    ServedDep,
    require_csrf,
    same,
)

router = APIRouter()
_FORM_COOKIE = "study_form"
_Text = Annotated[str, Form(max_length=300)]


def page(
    context: PageContext,
    request: Request,
    template: str,
    *,
    user: SignedInUser | None = None,
    status: int = 200,
    **content: Any,
) -> Response:
    """Render a page with what all pages show."""
    shown = {
        **context.shown(),
        "user": user,
        "problem": "",
        **content,
    }
    return context.templates.TemplateResponse(request, template, shown, status_code=status)


def redirect(path: str) -> Response:
    """Send the browser to another page."""
    return RedirectResponse(path, status_code=303)


@router.get("/sign-in")
def sign_in_page(context: ServedDep, request: Request, user: OptionalUser) -> Response:
    """The page to sign in."""
    if user is not None:
        return redirect("/")
    return _form_page(context, request, "sign_in.html.jinja")


def _form_page(
    context: ServedContext, request: Request, template: str, *, status: int = 200, **content: Any
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


def _signed_in(context: ServedContext, token: str) -> Response:
    """The answer to a form that signs a user in."""
    answer = redirect("/")
    context.set_cookie(answer, token)
    answer.delete_cookie(_FORM_COOKIE, path="/")
    return answer


@router.post("/sign-in")
def sign_in(
    context: ServedDep, request: Request, name: _Text, password: _Text, form_token: _Text
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
def sign_out(context: ServedDep, user: OptionalUser, csrf: _Text) -> Response:
    """Sign out; drafts and answers stay."""
    if user is not None:
        require_csrf(csrf, user)
        with context.store.writing() as db:
            accounts.sign_out(db, user.sign_in_id, now=context.clock.now())
    answer = redirect("/sign-in")
    context.forget_cookie(answer)
    return answer


@router.get("/invitation/{token}")
def invitation_page(context: ServedDep, request: Request, token: str) -> Response:
    """The page on which an invited reader chooses a password."""
    return _invitation(context, request, _require_invited(context, token))


def _require_invited(context: ServedContext, token: str) -> Account:
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
    context: ServedContext, request: Request, account: Account, *, problem: str = ""
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
    context: ServedDep,
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
