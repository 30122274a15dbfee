"""The web application of `bonescint teach`: for one learner, or for a classroom."""

from __future__ import annotations

import logging
from importlib import resources
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.templating import Jinja2Templates
from jinja2 import FileSystemLoader

from bonescint.report import page_environment
from bonescint.study.web import sign_in
from bonescint.study.web.checks import checked_app
from bonescint.study.web.dependencies import ServeSettings
from bonescint.teach.classroom import Classroom
from bonescint.teach.records import RecordsError
from bonescint.teach.web import api, classroom, pages
from bonescint.teach.web.board import Board
from bonescint.teach.web.context import TITLE, ClassroomContext, LocalContext
from bonescint.teach.web.desk import Desk
from bonescint.viewer import TEMPLATES

_LOG = logging.getLogger("bonescint.teach")
_HERE = Path(str(resources.files("bonescint.teach.web")))
_ACCOUNTS = Path(str(resources.files("bonescint.study.web"))) / "templates"


def local_app(desk: Desk, board: Board, settings: ServeSettings) -> FastAPI:
    """The application for one learner without an account.

    Args:
        desk: hands out cases and takes answers; the caller closes it.
        board: content of the other pages.
        settings: where it is served, on loopback.
    """
    context = LocalContext(settings=settings, templates=_templates(), desk=desk, board=board)
    app = checked_app(TITLE, context, _HERE / "static")
    app.add_exception_handler(RecordsError, _failed)
    for router in (pages.router, api.router):
        app.include_router(router)
    return app


def classroom_app(desk: Desk, board: Board, held: Classroom, settings: ServeSettings) -> FastAPI:
    """The application for a teacher and students, who sign in.

    Args:
        desk: hands out cases and takes answers; the caller closes it.
        board: content of the other pages.
        held: the classroom; the caller closes it.
        settings: where it is served.
    """
    context = ClassroomContext(
        settings=settings,
        templates=_templates(),
        desk=desk,
        board=board,
        store=held.store,
        clock=held.clock,
    )
    app = checked_app(TITLE, context, _HERE / "static")
    app.add_exception_handler(RecordsError, _failed)
    for router in (sign_in.router, pages.router, api.router, classroom.router):
        app.include_router(router)
    return app


def _failed(request: Request, error: Exception) -> Response:
    """Records that cannot be read or written: nothing is lost, and the page says so."""
    _LOG.error("%s: %s", request.url.path, str(error).splitlines()[0])
    message = "The server cannot read or store anything now. Answer again in a moment."
    return JSONResponse({"problem": "records", "message": message}, status_code=503)


def _templates() -> Jinja2Templates:
    # Signing in looks the same for readers of a study: its pages extend our base.
    folders = [_HERE / "templates", TEMPLATES, _ACCOUNTS]
    return Jinja2Templates(env=page_environment(FileSystemLoader(folders)))
