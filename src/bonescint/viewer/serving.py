"""What the servers of pages share: the headers of every answer, and who can reach an address."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType

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
