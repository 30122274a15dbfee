"""Objects over the web: STOW-RS, and the client that fetching uses (dicomweb-client)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from bonescint import extras
from bonescint.dicom.header import quiet
from bonescint.scan import InputError, ParameterError, os_reason
from bonescint.serve.associations import in_words
from bonescint.serve.peers import DicomObject, ObjectRefusedError, PeerError, TlsFiles
from bonescint.viewer.serving import is_loopback

if TYPE_CHECKING:
    from dicomweb_client import DICOMwebClient
    from requests import Response

TOKEN, PASSWORD = "BONESCINT_TOKEN", "BONESCINT_PASSWORD"
"""Environment variables of the token, and of the password that belongs to a user's name."""

_CONNECT_S, _READ_S = 15.0, 120.0
_LATER = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Login:
    """How this device identifies itself to a web server.

    Attributes:
        user: a user's name for basic authentication; empty for a token.
        secret: the password, or the token.
    """

    user: str
    secret: str = field(repr=False)

    @classmethod
    def found(cls, *, user: str = "", secret_file: Path | None = None) -> Self | None:
        """Take the secret from a file or from the environment; it never stands in a command.

        Args:
            user: a user's name, whose password is the secret; empty for a token.
            secret_file: a file that holds the secret; otherwise it is in `BONESCINT_TOKEN`, or
                with a user's name in `BONESCINT_PASSWORD`.

        Returns:
            `None` if there is neither a name nor a secret.

        Raises:
            InputError: the file cannot be read, or is empty.
            ParameterError: a name without a password.
        """
        variable = PASSWORD if user else TOKEN
        if secret_file is not None:
            try:
                secret = secret_file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                problem = f"cannot be read ({os_reason(error)})"
                raise InputError(secret_file, problem, "Check the path") from None
            if not secret:
                raise InputError(secret_file, "is empty", "Write the secret into it")
        else:
            secret = os.environ.get(variable, "").strip()
        if user and not secret:
            requirement = f"with a password in {PASSWORD} or in --secret-file"
            raise ParameterError("user", "bonescint", requirement, user)
        return cls(user=user, secret=secret) if secret else None


@dataclass(frozen=True, slots=True)
class WebServer:
    """A DICOMweb server.

    Attributes:
        url: its root, such as `https://pacs.example.org/dicom-web`; `/studies` at its end is
            ignored.
        login: a token, or name and password; sent over https only, or to this machine.
        tls: certificates; those of the system are trusted if `None`.

    Raises:
        ParameterError: no such URL, or a login that would go over the network unencrypted.

    Examples:
        >>> str(WebServer("https://pacs.example.org/dicom-web/studies"))
        'https://pacs.example.org/dicom-web'
        >>> WebServer("http://pacs.example.org/", Login("", "secret"))
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.ParameterError: The 'url' parameter of WebServer must be https, \
because a login goes with it. Got 'http://pacs.example.org' instead.
    """

    url: str
    login: Login | None = None
    tls: TlsFiles | None = None

    def __post_init__(self) -> None:
        bare = self.url.rstrip("/").removesuffix("/studies").rstrip("/")
        object.__setattr__(self, "url", bare)
        try:
            parts = urlsplit(bare)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            usable = usable and not (parts.username or parts.password or parts.query)
        except ValueError:
            usable = False
        if not usable:
            requirement = "an address like https://host/dicom-web, without a login or a query"
            raise ParameterError("url", "WebServer", requirement, "another one")
        if self.login and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            requirement = "https, because a login goes with it"
            raise ParameterError("url", "WebServer", requirement, bare)

    def __str__(self) -> str:
        return self.url

    @contextmanager
    def opened(self, *, tries: int = 1) -> Iterator[DICOMwebClient]:
        """A client of the server.

        Args:
            tries: how many times it tries a request that fails, after waits that grow.

        Raises:
            InputError: a certificate cannot be used.
        """
        library = extras.load("dicomweb_client", extra="pacs")
        requests = extras.load("requests", extra="pacs")
        with requests.Session() as session:
            session.trust_env = False  # no proxy and no login that a file of the user's may name
            if self.login and self.login.user:
                session.auth = (self.login.user.encode(), self.login.secret.encode())
            elif self.login:
                session.headers["Authorization"] = f"Bearer {self.login.secret}"
            if self.tls:
                self.tls.for_client()  # what is wrong with the files is said clearly
                session.verify = str(self.tls.authority) if self.tls.authority else True
                if self.tls.certificate:
                    session.cert = (str(self.tls.certificate), str(self.tls.key))
            client = library.DICOMwebClient(
                self.url, session=session, timeout=(_CONNECT_S, _READ_S)
            )
            client.set_http_retry_params(max_attempts=tries, wait_exponential_multiplier=500)
            yield client

    @contextmanager
    def connected(self, objects: Sequence[DicomObject]) -> Iterator[_StowConnection]:
        """Open a client by which these objects can be stored."""
        del objects
        with self.opened() as client:
            yield _StowConnection(client, self)

    def failure(self, error: Exception) -> PeerError:
        """What went wrong in a request, in words; nothing of what the server answered."""
        requests = extras.load("requests", extra="pacs").exceptions
        answer: Response | None = getattr(error, "response", None)
        if answer is None:
            answer = _last_answer(error)
        if answer is not None:
            code = int(answer.status_code)
            if code in (401, 403):
                return PeerError(f"{self}: login refused (HTTP {code}). Check it.", again=False)
            return PeerError(f"{self}: HTTP {code}. Check the URL.", again=code in _LATER)
        if isinstance(error, requests.SSLError):
            problem = "its certificate is not trusted. Give its --authority."
            return PeerError(f"{self}: {problem}", again=False)
        if isinstance(error, requests.Timeout):
            return PeerError(f"{self}: did not answer in time.", again=True)
        if isinstance(error, requests.ConnectionError | OSError):
            return PeerError(f"{self}: cannot be reached. Check the URL.", again=True)
        return PeerError(f"{self}: its answer cannot be read.", again=True)


def _last_answer(error: Exception) -> Response | None:
    """The answer that came after the last try."""
    last = getattr(error, "last_attempt", None)
    answer: Any = getattr(last, "value", None)
    return answer if hasattr(answer, "status_code") else None


class _StowConnection:
    """Stores objects one at a time, so that each has an answer of its own."""

    def __init__(self, client: DICOMwebClient, server: WebServer) -> None:
        self._client = client
        self._server = server

    def store(self, one: DicomObject) -> None:
        """Post one object and read the answer.

        Raises:
            ObjectRefusedError: the server does not take this object.
            PeerError: the server cannot be reached, or fails.
        """
        from pydicom import dcmread

        try:
            with quiet():
                dataset = dcmread(one.path)
        except Exception:  # noqa: BLE001 - a damaged value may raise anything in pydicom
            raise ObjectRefusedError("the file is damaged", again=False) from None
        try:
            with quiet():
                answer = self._client.store_instances([dataset])
        except Exception as error:  # noqa: BLE001 - of requests, retrying or the answer's parser
            failure = self._server.failure(error)
            response = getattr(error, "response", None)
            code = getattr(response, "status_code", 0)
            if code in (400, 409, 413, 415, 422):
                raise ObjectRefusedError(f"HTTP {code}", again=False) from None
            raise failure from None
        for failed in answer.get("FailedSOPSequence", None) or ():
            code = int(failed.get("FailureReason", 0x0110))
            raise ObjectRefusedError(in_words(code), again=code >> 8 == 0xA7)
