"""How many connections a server holds and how long each may take, so that nobody blocks others.

A request must arrive whole, and its answer be taken, within stated times. There is a bound on
open connections; where one more comes, the oldest that waits is closed, of the address that
holds most of them. Whoever opens many closes their own.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bonescint.study.addresses import network_of

_MOST = 512
_QUEUE = 512
_SHARE_OF_FILES = 4  # the store, pictures and connections on their way need file numbers, too


def _most_connections() -> int:
    """A quarter of the files that the system lets this process open, at most 512."""
    if sys.platform == "win32":
        return _MOST
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(16, min(_MOST, soft // _SHARE_OF_FILES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What connections may take.

    Attributes:
        connections: open at once.
        header_s: from the connection, or the first byte of a request, to its header's end.
        body_s: from there to the end of the request.
        answer_s: from there until the answer is taken.
        idle_s: between two requests.
    """

    connections: int = field(default_factory=_most_connections)
    header_s: float = 10.0
    body_s: float = 60.0
    answer_s: float = 120.0
    idle_s: float = 30.0


class Connection(socket.socket):
    """A connection that was accepted.

    Attributes:
        listener: that accepted it; `None` once it no longer counts.
        peer: address and port at its other end.
        waiting: no whole request of it is being answered.
    """

    listener: Listener | None = None
    peer: Any = None
    waiting: bool = True

    def end(self) -> None:
        """Let its owner find it closed."""
        self.forget()
        with suppress(OSError):  # the other end was quicker
            self.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it."""
        self.forget()
        super().close()

    def forget(self) -> None:
        """Count it no longer."""
        if self.listener is not None:
            self.listener.connections.pop(self.peer, None)
            self.listener = None


class Listener(socket.socket):
    """A listening socket that holds a bounded number of connections open.

    Connections are counted when they are accepted: those that never begin TLS count as well.

    Attributes:
        limits: how many.
        connections: by the address at their other end, the oldest first.
    """

    def __init__(self, family: socket.AddressFamily, limits: Limits) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self.limits = limits
        self.connections: dict[Any, Connection] = {}

    def listen(self, backlog: int = 0) -> None:
        """Listen; more may queue up than the caller accepts in one turn."""
        super().listen(max(backlog, _QUEUE))

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection; where it is one too many, one that waits is closed."""
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
    """What a connection is at."""

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
        """A connection is there, TLS included."""
        super().connection_made(transport)
        self._note_step()

    def data_received(self, data: bytes) -> None:
        """More of a request."""
        super().data_received(data)
        self._note_step()

    def on_response_complete(self) -> None:
        """An answer is on its way."""
        super().on_response_complete()
        self._note_step()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _note_step(self) -> None:
        """Begin the time of a step; more bytes of the same step begin nothing anew."""
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
        if step[0] in lasts_s:  # uvicorn itself times what is idle
            self._timer = self.loop.call_later(lasts_s[step[0]], self.transport.abort)

    def _step_now(self) -> tuple[_Step, int]:
        """The step, and of which request."""
        request = id(self.cycle)
        if self.conn.their_state is h11.SEND_BODY:  # even if the answer did not wait for it
            return _Step.BODY, request
        if self.cycle is not None and not self.cycle.response_complete:
            return _Step.ANSWER, request
        begun = self.cycle is None or bool(self.conn.trailing_data[0])
        return (_Step.HEADER if begun else _Step.IDLE), request
