"""Serving a study: until it is stopped, or as a context manager beside other work."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bonescint.scan import OutputError
from bonescint.study.errors import StudyError
from bonescint.study.folder import StudyFolder, open_study
from bonescint.study.integrity import require_whole
from bonescint.study.web.app import study_app
from bonescint.study.web.connections import Limits, Listener, TimedProtocol
from bonescint.study.web.logs import server_logging
from bonescint.study.web.settings import ServeSettings

if TYPE_CHECKING:
    import uvicorn

_STARTS_WITHIN_S = 30.0
_AT_ONCE = 64  # connections that are accepted in one turn


def serve_study(
    folder: Path | str | StudyFolder,
    settings: ServeSettings | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    ready: Callable[[str], None] | None = None,
    notice: Callable[[str], None] | None = None,
) -> None:
    """Serve a study until Ctrl-C.

    Args:
        folder: of the study.
        settings: where; on loopback's port 8000 if `None`.
        progress: called with the number of pictures that were checked, and of all.
        ready: called with the address once the server listens.
        notice: called with what whoever serves should look at: a clock that is wrong.

    Raises:
        StudyError: the folder or its store cannot be used; a picture or the key is missing or
            was altered.
        OutputError: the port is taken.
    """
    study = folder if isinstance(folder, StudyFolder) else open_study(folder)
    settings = settings or ServeSettings()
    with study.open_store() as store, _listening(settings, Limits()) as listener:
        require_whole(study, store, progress=progress)
        app = study_app(study, store, settings)
        server = _server(app, settings, listener)
        if notice is not None:
            for line in app.state.desk.clock.notices():
                notice(line)
        if ready is not None:
            ready(address_of(listener, settings))
        # What is loaded by now stays: looking through it for garbage would hold up requests.
        gc.collect()
        gc.freeze()
        try:
            server.run(sockets=[listener])
        finally:
            gc.unfreeze()


@contextmanager
def running_study(
    folder: Path | str | StudyFolder,
    settings: ServeSettings | None = None,
    *,
    limits: Limits | None = None,
) -> Iterator[str]:
    """Serve a study in a thread of this process.

    Args:
        folder: of the study.
        settings: where; on any free port of loopback if `None`.
        limits: of its connections.

    Yields:
        The address, such as `http://127.0.0.1:8000`.
    """
    study = folder if isinstance(folder, StudyFolder) else open_study(folder)
    settings = settings or ServeSettings(port=0)
    with study.open_store() as store, _listening(settings, limits or Limits()) as listener:
        require_whole(study, store)
        server = _server(study_app(study, store, settings), settings, listener)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            _await_start(server, thread)
            yield address_of(listener, settings)
        finally:
            server.should_exit = True
            thread.join(timeout=_STARTS_WITHIN_S)


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise StudyError("The server did not start.")
        time.sleep(0.01)


def address_of(listener: socket.socket, settings: ServeSettings) -> str:
    """The address that a browser on this machine, or behind the given name, opens."""
    port = listener.getsockname()[1]
    host = settings.names[0] if settings.names else settings.host
    host = f"[{host}]" if ":" in host else host
    return f"{settings.scheme}://{host}:{port}"


@contextmanager
def _listening(settings: ServeSettings, limits: Limits) -> Iterator[Listener]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = Listener(family, limits)
    try:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((settings.host, settings.port))
            listener.listen()
        except OSError as error:
            raise OutputError(
                f"{settings.host}:{settings.port}: cannot listen there "
                f"({error.strerror or error}). Choose another --port."
            ) from error
        yield listener
    finally:
        listener.close()


def _server(app: object, settings: ServeSettings, listener: Listener) -> uvicorn.Server:
    import uvicorn

    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=partial(TimedProtocol, listener=listener),  # type: ignore[arg-type]
        loop="asyncio",  # others accept connections past the listener, which counts them
        backlog=_AT_ONCE,
        log_config=server_logging(),
        access_log=False,  # invitations' tokens stand in addresses
        server_header=False,
        proxy_headers=settings.behind_proxy,
        ssl_certfile=str(settings.certificate) if settings.certificate else None,
        ssl_keyfile=str(settings.key) if settings.key else None,
        timeout_keep_alive=listener.limits.idle_s,  # type: ignore[arg-type]
        timeout_graceful_shutdown=5,
        ws="none",
        lifespan="off",
    )
    return uvicorn.Server(config)
