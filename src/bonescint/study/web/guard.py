"""What holds for every request, whatever its route: host, origin, size; headers of answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from bonescint.study.web.settings import ServeSettings

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
