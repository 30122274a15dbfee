"""The web application of one study, and what holds for every request."""

from __future__ import annotations

import errno
import json
import logging
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.templating import Jinja2Templates
from jinja2 import FileSystemLoader
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from bonescint.report import page_environment
from bonescint.study.errors import RefusedError
from bonescint.study.folder import StudyFolder
from bonescint.study.store.database import Store, StoreError
from bonescint.study.web import pages, reading_api
from bonescint.study.web.dependencies import Desk, ServeSettings, opening_clock

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


MOST_BYTES = 2 * 1024 * 1024
_SAFE = {"GET", "HEAD", "OPTIONS"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-robots-tag": "noindex, nofollow",
}


class _TooLargeError(HTTPException):
    """Passes through FastAPI's parsing, to the handler of refusals."""

    def __init__(self) -> None:
        super().__init__(413, "The request is too large.")


class Guard:
    """ASGI middleware that refuses what no page of ours sends, and adds the headers.

    Args:
        app: what comes after.
        settings: where the study is served.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        static = scope["path"].startswith("/static/")
        guarded = self._with_headers(send, static=static)
        refused = self._refusal(scope["method"], headers)
        if refused is not None:
            await _refuse(guarded, *refused)
            return
        await self._app(scope, _limited(receive), guarded)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str, str] | None:
        host = headers.get("host", "")
        if not self._settings.allows(host):
            return 421, "host", "This server does not answer to that name."
        if method not in _SAFE:
            origin = headers.get("origin")
            if origin != f"{self._settings.scheme}://{host}":
                return 403, "origin", "The request does not come from a page of this server."
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return 413, "too-large", "The request is too large."
        return None

    def _with_headers(self, send: Send, *, static: bool) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                # Assets change with a release: the browser asks each time, by their hash.
                headers["cache-control"] = "no-cache" if static else "no-store"
                if self._settings.secure:
                    headers["strict-transport-security"] = "max-age=31536000"
                if "server" in headers:
                    del headers["server"]
            await send(message)

        return guarded


def _limited(receive: Receive) -> Receive:
    """Stop a body that grows beyond what it may be, whatever length it claims."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > MOST_BYTES:
                raise _TooLargeError
        return message

    return limited


async def _refuse(send: Send, status: int, problem: str, message: str) -> None:
    body = json.dumps({"problem": problem, "message": message}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


_LOG = logging.getLogger("bonescint.study")
_PROBLEMS = {
    404: ("not-found", "This page does not exist."),
    405: ("method", "That is not possible here."),
    413: ("too-large", "The request is too large."),
}


def study_app(study: StudyFolder, store: Store, settings: ServeSettings) -> FastAPI:
    """The application that serves a study.

    Args:
        study: the folder.
        store: its open store; the caller closes it.
        settings: where it is served.
    """
    here = Path(str(resources.files("bonescint.study.web")))
    environment = page_environment(FileSystemLoader(here / "templates"))
    environment.filters["date"] = _date
    app = FastAPI(title="bonescint study", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.desk = Desk(
        study=study, store=store, clock=opening_clock(store), settings=settings,
        templates=Jinja2Templates(env=environment),
    )  # fmt: skip
    app.include_router(pages.router)
    app.include_router(reading_api.router)
    app.mount("/static", StaticFiles(directory=here / "static"), name="static")
    app.add_middleware(Guard, settings=settings)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _not_there)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(StoreError, _store_failed)
    app.add_exception_handler(SQLAlchemyError, _store_failed)
    app.add_exception_handler(OSError, _store_failed)
    return app


def _date(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def _problem(request: Request, status: int, problem: str, message: str) -> Response:
    """JSON for programs, a page for people."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"problem": problem, "message": message}, status_code=status)
    desk: Desk = request.app.state.desk
    return pages.page(desk, request, "problem.html.jinja", status=status, message=message)


def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        raise error
    return _problem(request, error.status, error.problem, str(error))


def _not_there(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    problem, message = _PROBLEMS.get(status, ("refused", "That is not possible."))
    return _problem(request, status, problem, message)


def _malformed(request: Request, error: Exception) -> Response:
    # What was sent is not said back: it may be a password.
    where: list[Any] = []
    if isinstance(error, RequestValidationError):
        where = [entry.get("loc", ()) for entry in error.errors()]
    _LOG.info("malformed request to %s: %s", request.url.path, where)
    return _problem(request, 422, "malformed", "The request is malformed.")


def _store_failed(request: Request, error: Exception) -> Response:
    """A full disk, a store out of reach: said so that the page keeps what it has."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    if full or (isinstance(error, StoreError) and error.full):
        _LOG.error("the disk is full")
        message = "The server's disk is full. Your draft is kept in this browser."
        return _problem(request, 507, "disk-full", message)
    _LOG.error("%s", str(error).splitlines()[0] if str(error) else type(error).__name__)
    message = "The server cannot store anything now. Your draft is kept in this browser."
    return _problem(request, 503, "store", message)
