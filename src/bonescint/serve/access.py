"""Who may use the HTTP service, how much, and what every answer carries."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bonescint.scan import InputError, ParameterError
from bonescint.viewer.serving import SAFE_METHODS, bounded_body, is_loopback, secure_headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LEAST_TOKEN = 16
_PROBLEMS = {
    401: "A valid token is needed: Authorization: Bearer TOKEN.",
    403: "The request does not come from a page of this server.",
    404: "There is nothing here, or no longer: results are kept for a limited time.",
    405: "That is not possible here.",
    413: "The upload is too large.",
    421: "This server does not answer to that name.",
    429: "Too many requests. Try again later.",
    503: "The server is busy. Try again later.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Where and within which limits the HTTP service runs.

    Attributes:
        host: address to bind to.
        port: port to bind to; 0 for any free one.
        tokens: file with one token a line, each of 16 characters or more; `#` begins a comment.
        keep_s: seconds that results are kept.
        most_upload_bytes: largest request.
        most_scans: largest number of scans of a request.
        most_kept_bytes: bytes of memory for results that are kept.
        rate_per_min: requests to classify that each client may make in a minute.
        at_once: requests that are classified at the same time.

    Raises:
        ParameterError: a host that is not loopback without tokens, or a limit that is not above 0.
    """

    host: str = "127.0.0.1"
    port: int = 8600
    tokens: Path | None = None
    keep_s: float = 3600.0
    most_upload_bytes: int = 256_000_000
    most_scans: int = 20
    most_kept_bytes: int = 512 * 1024 * 1024
    rate_per_min: int = 60
    at_once: int = 4

    def __post_init__(self) -> None:
        limits = ("keep_s", "most_upload_bytes", "most_scans", "rate_per_min", "at_once")
        for name in limits:
            if not getattr(self, name) > 0:
                raise ParameterError(name, "serve", "above 0", getattr(self, name))
        if not 0 <= self.port <= 65_535:
            raise ParameterError("port", "serve", "from 0 to 65535", self.port)
        if not self.is_loopback and self.tokens is None:
            raise ParameterError("host", "serve", "loopback, unless --tokens is given", self.host)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    def answers_to(self, host: str) -> bool:
        """Whether a request may have this Host header.

        On loopback only loopback's names, so that no page from elsewhere reaches the server under
        a name of its own (DNS rebinding); where tokens are needed, any.
        """
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        return not self.is_loopback or name in ("127.0.0.1", "localhost", "[::1]")


class TokenList:
    """The tokens that open the service, as hashes; without a file it is open.

    Args:
        file: one token a line.

    Raises:
        InputError: it cannot be read, holds no token, or one that is too short.
    """

    def __init__(self, file: Path | None) -> None:
        self._hashes: list[bytes] = []
        self.is_open = file is None
        if file is None:
            return
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(file, "cannot be read", "Give a text file of tokens") from error
        tokens = [line.split("#")[0].strip() for line in lines]
        for number, token in enumerate(tokens, start=1):
            if token and len(token) < _LEAST_TOKEN:
                problem = f"line {number}: a token of fewer than {_LEAST_TOKEN} characters"
                raise InputError(file, problem, "Give long random ones, such as 'openssl rand'")
        self._hashes = [_digest(token) for token in tokens if token]
        if not self._hashes:
            raise InputError(file, "holds no token", "Write one a line")

    def client(self, authorization: str) -> str | None:
        """A name for the client of an Authorization header, or `None` if it may not enter."""
        if self.is_open:
            return ""
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer":
            return None
        given = _digest(token.strip())
        found = [one for one in self._hashes if hmac.compare_digest(one, given)]
        return found[0].hex()[:12] if found else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class RequestRate:
    """Counts the requests of each client in a minute.

    Args:
        per_min: how many each may make.
        clock: seconds that only go forward.

    Examples:
        >>> rate = RequestRate(2, clock=lambda: 0.0)
        >>> [rate.wait_s("a") for _ in range(3)], rate.wait_s("b")
        ([0, 0, 60], 0)
    """

    _MOST_CLIENTS = 10_000

    def __init__(self, per_min: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_min, self._clock = per_min, clock
        self._seen: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def wait_s(self, client: str) -> int:
        """Count a request; 0, or the seconds to wait if it is one too many."""
        now = self._clock()
        with self._lock:
            if len(self._seen) > self._MOST_CLIENTS:
                self._seen.clear()
            recent = [at for at in self._seen.get(client, []) if now - at < 60.0]
            self._seen[client] = recent
            if len(recent) < self._per_min:
                recent.append(now)
                return 0
            return max(1, round(60.0 - (now - recent[0])))


def problem(status: int, detail: str = "", *, retry_s: int = 0) -> Response:
    """An error as RFC 9457 has it: one line, nothing of what was sent."""
    text = {
        "type": "about:blank",
        "status": status,
        "title": _title(status),
        "detail": detail or _PROBLEMS.get(status, "The request could not be answered."),
    }
    headers = {"retry-after": str(retry_s)} if retry_s else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(
        json.dumps(text), status, headers=headers, media_type="application/problem+json"
    )


def _title(status: int) -> str:
    from http import HTTPStatus

    return HTTPStatus(status).phrase


class ServiceChecks:
    """ASGI middleware: checks host, origin and size of requests, and adds headers of security.

    Args:
        app: the application.
        settings: of the service.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        secured = _with_headers(send, scope["path"])
        status = self._refusal(scope["method"], headers)
        if status:
            await problem(status)(scope, receive, secured)
            return
        bounded = bounded_body(receive, self._settings.most_upload_bytes, HTTPException(413))
        await self._app(scope, bounded, secured)

    def _refusal(self, method: str, headers: Headers) -> int:
        host = headers.get("host", "")
        if not self._settings.answers_to(host):
            return 421
        origin = headers.get("origin")  # which a browser always sends here, and programs do not
        if method not in SAFE_METHODS and origin is not None and origin.partition("://")[2] != host:
            return 403
        length = headers.get("content-length", "0")
        too_large = not length.isdigit() or int(length) > self._settings.most_upload_bytes
        return 413 if too_large else 0


def _with_headers(send: Send, path: str) -> Send:
    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            secure_headers(MutableHeaders(scope=message), path)
        await send(message)

    return secured
