"""What every route needs: the settings, the study, its store, the clock, and who is asking."""

from __future__ import annotations

import ipaddress
import secrets
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.templating import Jinja2Templates

from bonescint.scan import InputError, ParameterError
from bonescint.study.errors import RefusedError
from bonescint.study.folder import StudyFolder
from bonescint.study.protocol import Software, running_software
from bonescint.study.store.accounts import SIGN_IN_S, Role, Visitor, note_seen, visitor_of
from bonescint.study.store.clock import StudyClock, clock_of, note_start
from bonescint.study.store.database import Store


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A study that is being served.

    Attributes:
        study: the folder.
        store: its database.
        clock: the server's.
        settings: where it is served.
        templates: of the pages.
        software: that runs.
        verified: pictures whose hash was checked, by what their files look like.
    """

    study: StudyFolder
    store: Store
    clock: StudyClock
    settings: ServeSettings
    templates: Jinja2Templates
    software: Software = field(default_factory=running_software)
    verified: set[tuple[str, int, int, int]] = field(default_factory=set)

    @property
    def cookie(self) -> str:
        """Name of the cookie; browsers let nobody else set one of the secure name."""
        return "__Host-study" if self.settings.secure else "study"

    def set_cookie(self, response: Response, token: str) -> None:
        """Give a browser its sign-in."""
        response.set_cookie(
            self.cookie, token, max_age=int(SIGN_IN_S), path="/", httponly=True,
            secure=self.settings.secure, samesite="strict",
        )  # fmt: skip

    def forget_cookie(self, response: Response) -> None:
        """Take a browser's sign-in away."""
        response.delete_cookie(
            self.cookie, path="/", httponly=True, secure=self.settings.secure, samesite="strict"
        )


def opening_clock(store: Store) -> StudyClock:
    """The clock, not before anything that the store knows; says so if the machine's is behind."""
    with store.writing() as db:
        clock = clock_of(db)
        note_start(db, clock, running_software().to_json())
    return clock


async def desk_of(request: Request) -> Desk:  # async: no thread for what does not wait
    """The study that this server serves."""
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(desk_of)]


def visitor_or_none(request: Request, desk: AtDesk) -> Visitor | None:
    """Who asks, if signed in."""
    token = request.cookies.get(desk.cookie, "")
    if not token:
        return None
    now = desk.clock.now()
    with desk.store.reading() as db:
        found = visitor_of(db, token, now=now)
    if found is None:
        return None
    visitor, stale = found
    if stale:
        with desk.store.writing() as db:
            note_seen(db, visitor.sign_in_id, now=now)
    return visitor


AnyVisitor = Annotated[Visitor | None, Depends(visitor_or_none)]


def _require(visitor: Visitor | None, role: Role) -> Visitor:
    if visitor is None:
        raise RefusedError("signed-out", "Sign in first.", status=401)
    if visitor.role is not role:
        raise RefusedError("role", "This account may not do that.", status=403)
    return visitor


async def reader_only(visitor: AnyVisitor) -> Visitor:
    """A reader, or the request is refused."""
    return _require(visitor, Role.READER)


async def administrator_only(visitor: AnyVisitor) -> Visitor:
    """An administrator, or the request is refused."""
    return _require(visitor, Role.ADMINISTRATOR)


def _with_token(request: Request, visitor: Visitor) -> Visitor:
    given = request.headers.get("x-csrf-token", "")
    if not same(given, visitor.csrf):
        raise RefusedError("csrf", "The request does not come from a page.", status=403)
    return visitor


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell where they differ."""
    return secrets.compare_digest(given.encode(errors="replace"), wanted.encode())


async def reader_with_token(
    request: Request, visitor: Annotated[Visitor, Depends(reader_only)]
) -> Visitor:
    """A reader whose request comes from a page of ours."""
    return _with_token(request, visitor)


AReader = Annotated[Visitor, Depends(reader_only)]
ReaderWriting = Annotated[Visitor, Depends(reader_with_token)]
AnAdministrator = Annotated[Visitor, Depends(administrator_only)]
