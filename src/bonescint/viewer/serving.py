"""What the servers of pages share: their socket, their thread, and the headers of every answer."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from bonescint.scan import OutputError

if TYPE_CHECKING:
    import uvicorn
    from starlette.datastructures import MutableHeaders
    from starlette.types import Message, Receive

_STARTS_WITHIN_S = 30.0

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""HTTP methods that change nothing (RFC 9110, 9.2.1)."""

STATIC_PATHS = ("/static/", "/viewer/static/")
"""Where scripts and styles are served: they may stay in the browser's cache, pages may not."""

SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-security-policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        ),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "x-robots-tag": "noindex, nofollow",
    }
)
"""Headers of every answer: pages load nothing from elsewhere and are shown in no other page."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address.

    Args:
        host: a name or an IP address.

    Examples:
        >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_family(host: str) -> socket.AddressFamily:
    """The family of a socket for an address: IPv6 if it has colons.

    Examples:
        >>> address_family("::1").name, address_family("localhost").name
        ('AF_INET6', 'AF_INET')
    """
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def url_host(host: str) -> str:
    """A host as a URL has it: an IPv6 address in brackets.

    Examples:
        >>> url_host("::1"), url_host("localhost")
        ('[::1]', 'localhost')
    """
    return f"[{host}]" if ":" in host else host


def listen_on(listener: socket.socket, host: str, port: int) -> None:
    """Bind a socket and let it listen.

    Args:
        listener: a new socket, of the family that `address_family` gives.
        host: address to bind to.
        port: port to bind to; 0 for any free one.

    Raises:
        OutputError: the port is taken, or the address is not this machine's.
    """
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        raise OutputError(
            f"{host}:{port}: cannot listen there ({error.strerror or error}). Choose another "
            "--port."
        ) from error


@contextmanager
def running_in_thread(server: uvicorn.Server, listener: socket.socket) -> Iterator[None]:
    """Run a server in a thread of this process while the block runs.

    Raises:
        OutputError: it did not start.
    """
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise OutputError("The server did not start. Its log says why.")
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=_STARTS_WITHIN_S)


def secure_headers(headers: MutableHeaders, path: str) -> None:
    """Give the headers of an answer `SECURITY_HEADERS`, and say whether it may be kept.

    Args:
        headers: changed in place.
        path: path that was asked for.
    """
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    # Scripts and styles change with a release: the browser asks each time, by their hash.
    headers["cache-control"] = "no-cache" if path.startswith(STATIC_PATHS) else "no-store"


def bounded_body(receive: Receive, most_bytes: int, error: Exception) -> Receive:
    """Stop a body that exceeds a limit, whatever length it claims.

    Args:
        receive: gives the messages of the request.
        most_bytes: largest body.
        error: raised beyond it.
    """
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > most_bytes:
                raise error
        return message

    return bounded
