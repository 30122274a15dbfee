"""Serving a study, or another application of ours: the server, its connections and its log.

A request must arrive, and its response must be received, within time limits. The number of open
connections is bounded. If one more arrives, the address with the most connections loses the one
that has waited longest, so that nobody can block others by opening many.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bonescint.logs import Bounded
from bonescint.study.folder import Progress, StudyFolder, open_study
from bonescint.study.integrity import require_whole
from bonescint.study.store.accounts import network_of
from bonescint.study.web.app import study_app
from bonescint.study.web.dependencies import ServeSettings
from bonescint.viewer.serving import address_family, listen_on, running_in_thread, url_host

if TYPE_CHECKING:
    import uvicorn

_MOST = 512
_QUEUE = 512
_SHARE_OF_FILES = 4  # the store, pictures and new connections need file numbers, too
_STARTS_WITHIN_S = 30.0
_AT_ONCE = 64  # connections that are accepted in one turn


def serve_study(
    folder: Path | str | StudyFolder,
    settings: ServeSettings | None = None,
    *,
    progress: Progress | None = None,
    ready: Callable[[str], None] | None = None,
    notice: Callable[[str], None] | None = None,
) -> None:
    """Serve a study until Ctrl-C.

    Args:
        folder: the study folder.
        settings: address and TLS; port 8000 on loopback if `None`.
        progress: called with the number of pictures that were checked, and of all.
        ready: called with the address once the server listens.
        notice: called with warnings for the person who runs the server, such as a wrong clock.

    Raises:
        StudyError: the folder or its store cannot be used; a picture or the key is missing or
            was altered.
        OutputError: the port is taken.
    """
    study = open_study(folder)
    settings = settings or ServeSettings()
    with study.open_store() as store, listening(settings) as listener:
        require_whole(study, store, progress=progress)
        app = study_app(study, store, settings)
        if notice is not None:
            for line in app.state.context.clock.notices():
                notice(line)
        serve_until_stopped(app, settings, listener, ready=ready)


def serve_until_stopped(
    app: object,
    settings: ServeSettings,
    listener: Listener,
    *,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve an application until Ctrl-C.

    Args:
        app: an ASGI application.
        settings: where it is served.
        listener: the listening socket.
        ready: called with the address once it can be opened.
    """
    server = _server(app, settings, listener)
    if ready is not None:
        ready(address_of(listener, settings))
    # What is loaded by now stays: garbage collection of it would delay requests.
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
        folder: the study folder.
        settings: address and TLS; any free port on loopback if `None`.
        limits: limits of its connections.

    Yields:
        The address, such as `http://127.0.0.1:8000`.
    """
    study = open_study(folder)
    settings = settings or ServeSettings(port=0)
    with study.open_store() as store, listening(settings, limits) as listener:
        require_whole(study, store)
        with running_app(study_app(study, store, settings), settings, listener) as address:
            yield address


@contextmanager
def running_app(app: object, settings: ServeSettings, listener: Listener) -> Iterator[str]:
    """Serve an application in a thread of this process.

    Args:
        app: an ASGI application.
        settings: where it is served.
        listener: the listening socket.

    Yields:
        The address, such as `http://127.0.0.1:8000`.
    """
    server = _server(app, settings, listener)
    with running_in_thread(server, listener):
        yield address_of(listener, settings)


def address_of(listener: socket.socket, settings: ServeSettings) -> str:
    """The URL to open in a browser: with the first host name of the settings, if there is one."""
    port = listener.getsockname()[1]
    host = settings.names[0] if settings.names else settings.host
    return f"{settings.scheme}://{url_host(host)}:{port}"


@contextmanager
def listening(settings: ServeSettings, limits: Limits | None = None) -> Iterator[Listener]:
    """A socket that listens where the settings say.

    Raises:
        OutputError: the port is taken.
    """
    listener = Listener(address_family(settings.host), limits or Limits())
    try:
        listen_on(listener, settings.host, settings.port)
        yield listener
    finally:
        listener.close()


def _server(app: object, settings: ServeSettings, listener: Listener) -> uvicorn.Server:
    import uvicorn

    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=partial(TimedProtocol, listener=listener),  # type: ignore[arg-type]
        loop="asyncio",  # other loops accept connections past the listener, which counts them
        backlog=_AT_ONCE,
        log_config=server_logging(),
        access_log=False,  # addresses contain the tokens of invitations
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


def server_logging() -> dict[str, Any]:
    """Logging of a server: warnings and errors to standard error, bounded."""
    handler = {
        "class": "logging.StreamHandler",
        "filters": ["bounded"],
        "formatter": "plain",
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"bounded": {"()": Bounded}},
        "formatters": {"plain": {"format": "%(levelname)s: %(message)s"}},
        "handlers": {"stderr": handler},
        "loggers": {
            name: {"handlers": ["stderr"], "level": "WARNING", "propagate": False}
            for name in ("uvicorn", "asyncio", "bonescint.study", "bonescint.teach")
        },
    }


def _most_connections() -> int:
    """A quarter of this process' limit of open files, at most 512."""
    if sys.platform == "win32":
        return _MOST
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(16, min(_MOST, soft // _SHARE_OF_FILES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of connections.

    Attributes:
        connections: largest number of open connections.
        header_s: seconds from the connection, or a request's first byte, to its header's end.
        body_s: seconds from there to the end of the request.
        answer_s: seconds from there until the response is received.
        idle_s: seconds between two requests.
    """

    connections: int = field(default_factory=_most_connections)
    header_s: float = 10.0
    body_s: float = 60.0
    answer_s: float = 120.0
    idle_s: float = 30.0


class Connection(socket.socket):
    """An accepted connection.

    Attributes:
        listener: the socket that accepted it; `None` once it is no longer counted.
        peer: address and port of the client.
        waiting: whether no request of it is being answered.
    """

    listener: Listener | None = None
    peer: Any = None
    waiting: bool = True

    def end(self) -> None:
        """Shut the connection down."""
        self.forget()
        with suppress(OSError):  # the other end was quicker
            self.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self.forget()
        super().close()

    def forget(self) -> None:
        """Remove the connection from the count."""
        if self.listener is not None:
            self.listener.connections.pop(self.peer, None)
            self.listener = None


class Listener(socket.socket):
    """A listening socket that holds a bounded number of connections open.

    Connections are counted when they are accepted, so that those count as well that never
    begin TLS.

    Attributes:
        limits: limits of connections.
        connections: open connections by the client's address, the oldest first.
    """

    def __init__(self, family: socket.AddressFamily, limits: Limits) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self.limits = limits
        self.connections: dict[Any, Connection] = {}

    def listen(self, backlog: int = 0) -> None:
        """Listen, with a queue of at least `_QUEUE` connections."""
        super().listen(max(backlog, _QUEUE))

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection; if there are too many, end one that waits."""
        number, peer = self._accept()  # type: ignore[attr-defined]  # as `socket.accept` does
        connection = Connection(self.family, self.type, self.proto, fileno=number)
        full = len(self.connections) >= self.limits.connections
        connection.listener, connection.peer = self, peer
        self.connections[peer] = connection
        if full:
            self._oldest_of_the_most().end()
        return connection, peer

    def _oldest_of_the_most(self) -> Connection:
        waiting = [one for one in self.connections.values() if one.waiting]
        held = Counter(network_of(one.peer[0]) for one in waiting)
        return max(waiting, key=lambda one: held[network_of(one.peer[0])])  # the first of them


class _Step(Enum):
    """The step that a connection has reached."""

    HEADER = "header"
    BODY = "body"
    ANSWER = "answer"
    IDLE = "idle"


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a time limit on every step of a request."""

    def __init__(self, *given: Any, listener: Listener, **named: Any) -> None:
        super().__init__(*given, **named)
        self._listener = listener
        self._step: tuple[_Step, int] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Handle a new connection, TLS included."""
        super().connection_made(transport)
        self._note_step()

    def data_received(self, data: bytes) -> None:
        """Handle more of a request."""
        super().data_received(data)
        self._note_step()

    def on_response_complete(self) -> None:
        """Handle the end of a response."""
        super().on_response_complete()
        self._note_step()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle a closed connection."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _note_step(self) -> None:
        """Start the time limit of a step; more bytes of the same step do not restart it."""
        step = self._step_now()
        if step == self._step or self.transport.is_closing():
            return
        self._step = step
        connection = self._listener.connections.get(self.transport.get_extra_info("peername"))
        if connection is not None:
            connection.waiting = step[0] is not _Step.ANSWER
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        limits = self._listener.limits
        lasts_s = {
            _Step.HEADER: limits.header_s,
            _Step.BODY: limits.body_s,
            _Step.ANSWER: limits.answer_s,
        }
        if step[0] in lasts_s:  # uvicorn itself limits idle time
            self._timer = self.loop.call_later(lasts_s[step[0]], self.transport.abort)

    def _step_now(self) -> tuple[_Step, int]:
        """The current step, and the identity of its request."""
        request = id(self.cycle)
        if self.conn.their_state is h11.SEND_BODY:  # even if the answer did not wait for it
            return _Step.BODY, request
        if self.cycle is not None and not self.cycle.response_complete:
            return _Step.ANSWER, request
        begun = self.cycle is None or bool(self.conn.trailing_data[0])
        return (_Step.HEADER if begun else _Step.IDLE), request
