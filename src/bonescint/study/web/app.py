"""The web application of one study."""

from __future__ import annotations

import time
from importlib import resources
from pathlib import Path

from fastapi import FastAPI
from fastapi.templating import Jinja2Templates
from jinja2 import FileSystemLoader

from bonescint.report import page_environment
from bonescint.study.folder import StudyFolder
from bonescint.study.protocol import running_software
from bonescint.study.store.clock import clock_of, record_start
from bonescint.study.store.database import Store
from bonescint.study.web import pages, reading_api, sign_in
from bonescint.study.web.checks import checked_app
from bonescint.study.web.dependencies import AppContext, ServeSettings
from bonescint.viewer import TEMPLATES


def study_app(study: StudyFolder, store: Store, settings: ServeSettings) -> FastAPI:
    """The application that serves a study.

    Args:
        study: the folder.
        store: its open store; the caller closes it.
        settings: where it is served.
    """
    here = Path(str(resources.files("bonescint.study.web")))
    environment = page_environment(FileSystemLoader([here / "templates", TEMPLATES]))
    environment.filters["date"] = _date
    with store.writing() as db:
        clock = clock_of(db)
        record_start(db, clock, running_software().to_json())
    context = AppContext(
        study=study,
        store=store,
        clock=clock,
        settings=settings,
        templates=Jinja2Templates(env=environment),
    )
    app = checked_app("bonescint study", context, here / "static")
    for router in (sign_in.router, pages.router, reading_api.router):
        app.include_router(router)
    return app


def _date(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
