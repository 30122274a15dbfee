"""Dependencies of the routes: where a study is served, the study itself, and who is asking."""

from __future__ import annotations

import secrets
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.templating import Jinja2Templates
from sqlalchemy.orm import Session

from bonescint.scan import InputError, ParameterError
from bonescint.study.errors import RefusedError
from bonescint.study.folder import StudyFolder
from bonescint.study.protocol import Software, running_software
from bonescint.study.store.accounts import SIGN_IN_S, Role, SignedInUser, note_seen, signed_in_user
from bonescint.study.store.clock import StudyClock
from bonescint.study.store.database import Store
from bonescint.study.store.sessions import ReaderState, find_reader_state
from bonescint.viewer.serving import is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Where a study is served.

    Attributes:
        host: address to bind to.
        port: port to bind to; 0 for any free one.
        certificate: TLS certificate, PEM.
        key: its key, PEM.
        behind_proxy: whether a reverse proxy provides TLS.
        names: host names that requests may have; if empty, those of loopback, or any behind a
            proxy.

    Raises:
        ParameterError: the host is not loopback, and there is neither TLS nor a proxy.
        InputError: a file is missing, or the two are no certificate with its key.
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
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    @property
    def secure(self) -> bool:
        """Whether browsers connect by https."""
        return self.certificate is not None or self.behind_proxy

    @property
    def scheme(self) -> str:
        """The scheme with which browsers connect: `"https"` or `"http"`."""
        return "https" if self.secure else "http"

    def allows(self, host: str) -> bool:
        """Whether requests to this host (with or without a port) are accepted.

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
    """Refuse a certificate and key that TLS cannot use, before the server starts."""
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
class PageContext:
    """What every server of pages needs.

    Attributes:
        settings: where it is served.
        templates: templates of the pages.
    """

    settings: ServeSettings
    templates: Jinja2Templates

    def shown(self) -> dict[str, Any]:
        """What every page shows."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedContext(PageContext):
    """What a server with accounts needs besides.

    Attributes:
        store: the database with the accounts.
        clock: its clock.
    """

    store: Store
    clock: StudyClock

    @property
    def cookie(self) -> str:
        """Name of the cookie; the prefix `__Host-` keeps other sites from setting it."""
        return "__Host-study" if self.settings.secure else "study"

    def set_cookie(self, response: Response, token: str) -> None:
        """Set the sign-in cookie in a response."""
        response.set_cookie(
            self.cookie,
            token,
            max_age=int(SIGN_IN_S),
            path="/",
            httponly=True,
            secure=self.settings.secure,
            samesite="strict",
        )

    def forget_cookie(self, response: Response) -> None:
        """Delete the sign-in cookie in a response."""
        response.delete_cookie(
            self.cookie, path="/", httponly=True, secure=self.settings.secure, samesite="strict"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AppContext(ServedContext):
    """A study that is being served.

    Attributes:
        study: the study folder.
        software: versions of this process' software.
        verified: pictures whose hash was checked, with size and times of their files.
    """

    study: StudyFolder
    software: Software = field(default_factory=running_software)
    verified: set[tuple[str, int, int, int]] = field(default_factory=set)

    def shown(self) -> dict[str, Any]:
        """What every page shows."""
        return {
            "title": self.study.protocol.title,
            "protocol": self.study.protocol,
            "simulated_scans": self.study.simulated_scans,
        }

    def reader_state(
        self, db: Session, user: SignedInUser, *, now: float | None = None, lock: bool = False
    ) -> ReaderState:
        """The reader's state; `lock` locks it until the transaction ends."""
        now = self.clock.now() if now is None else now
        return find_reader_state(db, user.account_id, self.study.protocol, now=now, lock=lock)


async def app_context(request: Request) -> AppContext:  # async: needs no thread
    """The study that this server serves."""
    context: AppContext = request.app.state.context
    return context


ContextDep = Annotated[AppContext, Depends(app_context)]


async def served_context(request: Request) -> ServedContext:
    """What this server needs for its accounts."""
    context: ServedContext = request.app.state.context
    return context


ServedDep = Annotated[ServedContext, Depends(served_context)]


def optional_user(request: Request, context: ServedDep) -> SignedInUser | None:
    """The user, if signed in."""
    token = request.cookies.get(context.cookie, "")
    if not token:
        return None
    now = context.clock.now()
    with context.store.reading() as db:
        found = signed_in_user(db, token, now=now)
    if found is None:
        return None
    user, stale = found
    if stale:
        with context.store.writing() as db:
            note_seen(db, user.sign_in_id, now=now)
    return user


OptionalUser = Annotated[SignedInUser | None, Depends(optional_user)]


def _require(user: SignedInUser | None, role: Role) -> SignedInUser:
    if user is None:
        raise RefusedError("signed-out", "Sign in first.", status=401)
    if user.role is not role:
        raise RefusedError("role", "This account may not do that.", status=403)
    return user


async def current_reader(user: OptionalUser) -> SignedInUser:
    """The reader who sends the request."""
    return _require(user, Role.READER)


async def current_administrator(user: OptionalUser) -> SignedInUser:
    """The administrator who sends the request."""
    return _require(user, Role.ADMINISTRATOR)


def require_csrf(given: str, user: SignedInUser) -> None:
    """Refuse a request without the CSRF token of the user's pages."""
    if not same(given, user.csrf):
        raise RefusedError("csrf", "The request does not come from a page.", status=403)


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that does not depend on where they differ."""
    return secrets.compare_digest(given.encode(errors="replace"), wanted.encode())


CurrentReader = Annotated[SignedInUser, Depends(current_reader)]
CurrentAdministrator = Annotated[SignedInUser, Depends(current_administrator)]


async def writing_reader(request: Request, user: CurrentReader) -> SignedInUser:
    """The reader who sends a request that changes something, from one of our pages."""
    require_csrf(request.headers.get("x-csrf-token", ""), user)
    return user


WritingReader = Annotated[SignedInUser, Depends(writing_reader)]
