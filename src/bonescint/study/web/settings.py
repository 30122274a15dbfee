"""Where a study is served, and what that asks of whoever connects."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from bonescint.scan import InputError, ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Where a study is served.

    Attributes:
        host: address to bind to; loopback unless told otherwise.
        port: to bind to; 0 for any that is free.
        certificate: TLS certificate, PEM.
        key: its key, PEM.
        behind_proxy: a proxy in front does TLS, and says so by this being set.
        names: host names that requests may carry; loopback's own, or any, if empty.

    Raises:
        ParameterError: not loopback, and neither TLS nor a proxy.
        InputError: a file that is not there, or two that are no certificate and its key.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ParameterError("port", "ServeSettings", "from 0 to 65535", self.port)
        if (self.certificate is None) is not (self.key is None):
            raise ParameterError(
                "key", "ServeSettings", "given together with the certificate", self.key
            )
        for file in (self.certificate, self.key):
            if file is not None and not file.is_file():
                raise InputError(file, "no such file", "Give a PEM file")
        if self.certificate is not None and self.key is not None:
            _require_pair(self.certificate, self.key)
        if not self.is_loopback and self.certificate is None and not self.behind_proxy:
            raise ParameterError(
                "host",
                "study serve",
                "loopback, unless --certificate and --key are given, or --behind-proxy says that "
                "a proxy in front provides TLS",
                self.host,
            )

    @property
    def is_loopback(self) -> bool:
        """Whether nobody else can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def secure(self) -> bool:
        """Whether browsers see https."""
        return self.certificate is not None or self.behind_proxy

    @property
    def scheme(self) -> str:
        """`"https"` or `"http"`, as browsers see it."""
        return "https" if self.secure else "http"

    def allows(self, host: str) -> bool:
        """Whether a request may carry this host (with or without a port).

        Examples:
            >>> ServeSettings().allows("127.0.0.1:8000"), ServeSettings().allows("evil.example")
            (True, False)
        """
        name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() else host
        if self.names:
            return name in self.names
        if self.is_loopback and not self.behind_proxy:
            return name in {"localhost", "127.0.0.1", "[::1]", self.host}
        return bool(name)


def _require_pair(certificate: Path, key: Path) -> None:
    """Refuse what TLS could not begin with, before anybody is told an address."""
    locked: list[bool] = []

    def no_passphrase() -> str:
        locked.append(True)
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, no_passphrase)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        if locked:
            raise InputError(key, "is locked", "Give a key without a passphrase") from error
        raise InputError(
            certificate,
            f"no certificate that fits the key {key}",
            "Give the two PEM files of one pair",
        ) from error
