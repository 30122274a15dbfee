"""How our web applications begin: files, an answer to what fails, and checks of every request."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from bonescint.study.errors import RefusedError
from bonescint.study.store.database import StoreError
from bonescint.study.web.dependencies import PageContext, ServeSettings
from bonescint.study.web.sign_in import page
from bonescint.viewer import mount_viewer
from bonescint.viewer.serving import SAFE_METHODS, bounded_body, secure_headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 2 * 1024 * 1024
_LOG = logging.getLogger("bonescint.study")
_PROBLEMS = {
    404: ("not-found", "This page does not exist."),
    405: ("method", "That is not possible here."),
    413: ("too-large", "The request is too large."),
}


def checked_app(name: str, context: PageContext, static: Path) -> FastAPI:
    """An application without routes yet, in which every request is checked.

    Args:
        name: of the application.
        context: what its routes and pages get.
        static: folder of its scripts and styles, which are served at `/static`.
    """
    app = FastAPI(title=name, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.context = context
    app.mount("/static", StaticFiles(directory=static), name="static")
    mount_viewer(app)
    app.add_middleware(RequestChecks, settings=context.settings)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _not_there)
    app.add_exception_handler(RequestValidationError, _malformed)
    for failure in (StoreError, SQLAlchemyError, OSError):
        app.add_exception_handler(failure, _store_failed)
    return app


def _problem(request: Request, status: int, problem: str, message: str) -> Response:
    """JSON for programs, a page for people."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"problem": problem, "message": message}, status_code=status)
    context: PageContext = request.app.state.context
    return page(context, request, "problem.html.jinja", status=status, message=message)


def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        raise error
    return _problem(request, error.status, error.problem, str(error))


def _not_there(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _problem(request, status, *_PROBLEMS.get(status, ("refused", "That is not possible.")))


def _malformed(request: Request, error: Exception) -> Response:
    # What was sent is not repeated: it may be a password.
    where: list[Any] = []
    if isinstance(error, RequestValidationError):
        where = [entry.get("loc", ()) for entry in error.errors()]
    _LOG.info("malformed request to %s: %s", request.url.path, where)
    return _problem(request, 422, "malformed", "The request is malformed.")


def _store_failed(request: Request, error: Exception) -> Response:
    """A full disk, or a store out of reach: the page keeps the answer and tells the reader."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    if full or (isinstance(error, StoreError) and error.full):
        _LOG.error("the disk is full")
        message = "The server's disk is full. Your draft is kept in this browser."
        return _problem(request, 507, "disk-full", message)
    _LOG.error("%s", str(error).splitlines()[0] if str(error) else type(error).__name__)
    message = "The server cannot store anything now. Your draft is kept in this browser."
    return _problem(request, 503, "store", message)


class _TooLargeError(HTTPException):
    """Passes through FastAPI's parsing, to the handler of refusals."""

    def __init__(self) -> None:
        super().__init__(413, "The request is too large.")


class RequestChecks:
    """ASGI middleware that checks host, origin and size of requests, and adds security headers.

    Starlette's TrustedHostMiddleware is not used: it answers 400 in plain text, without these
    headers, where a server that does not serve a name should answer 421 (RFC 9110, 15.5.20).

    Args:
        app: the application.
        settings: where it is served.
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
        secured = self._with_headers(send, scope["path"])
        refused = self._refusal(scope["method"], headers)
        if refused is not None:
            status, problem, message = refused
            answer = JSONResponse({"problem": problem, "message": message}, status_code=status)
            await answer(scope, receive, secured)
            return
        bounded = bounded_body(receive, MOST_BYTES, _TooLargeError())
        await self._app(scope, bounded, secured)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str, str] | None:
        host = headers.get("host", "")
        if not self._settings.allows(host):
            return 421, "host", "This server does not answer to that name."
        if method not in SAFE_METHODS:
            origin = headers.get("origin")
            if origin != f"{self._settings.scheme}://{host}":
                return 403, "origin", "The request does not come from a page of this server."
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return 413, "too-large", "The request is too large."
        return None

    def _with_headers(self, send: Send, path: str) -> Send:
        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                secure_headers(headers, path)
                if self._settings.secure:
                    headers["strict-transport-security"] = "max-age=31536000"
                if "server" in headers:
                    del headers["server"]
            await send(message)

        return secured
