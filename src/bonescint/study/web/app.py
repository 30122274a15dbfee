"""The web application of one study."""

from __future__ import annotations

import errno
import logging
import time
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.templating import Jinja2Templates
from jinja2 import FileSystemLoader
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from bonescint.report import page_environment
from bonescint.study.errors import RefusedError
from bonescint.study.folder import StudyFolder
from bonescint.study.store.database import Store, StoreError
from bonescint.study.web import pages, reading_api
from bonescint.study.web.desk import Desk, opening_clock
from bonescint.study.web.guard import Guard
from bonescint.study.web.settings import ServeSettings

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
