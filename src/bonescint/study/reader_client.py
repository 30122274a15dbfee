"""A client of the HTTP interface that behaves like the reading page, without a browser."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Sequence
from typing import Any

import httpx

from bonescint.study.errors import RefusedError, StudyError

_CSRF = re.compile(r'<meta name="csrf" content="([^"]+)"')
_FORM = re.compile(r'name="form_token" value="([^"]+)"')
_AGAIN_S = 0.05


class ReaderClient:
    """Signs in and reads like the page: one request at a time, answers kept until stored.

    Args:
        address: address of the server.
        patience_s: how long to retry if the server does not answer.

    Raises:
        RefusedError: the server refuses a request.
    """

    def __init__(self, address: str, *, patience_s: float = 0.0) -> None:
        # The study's own address, mostly of this machine: no proxy of the environment knows it.
        self._http = httpx.Client(
            base_url=address, headers={"origin": address}, timeout=30, trust_env=False
        )
        self._patience_s = patience_s
        self._csrf = ""
        self._events = 0
        self._began = time.perf_counter()
        self._extra_ms = 0.0
        self.tab = uuid.uuid4().hex
        self.submit_seconds: list[float] = []

    def __enter__(self) -> ReaderClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the sign-in remains valid."""
        self._http.close()

    def accept_invitation(self, link: str, password: str) -> None:
        """Open an invitation's link and choose a password, which signs in."""
        form = self._form_token(link)
        content = {"password": password, "again": password, "form_token": form}
        self._require(self._request("POST", link, data=content), 303)
        self._load_token()

    def sign_in(self, name: str, password: str) -> None:
        """Sign in."""
        form = self._form_token("/sign-in")
        content = {"name": name, "password": password, "form_token": form}
        self._require(self._request("POST", "/sign-in", data=content), 303)
        self._load_token()

    def _form_token(self, path: str) -> str:
        page = self._require(self._request("GET", path), 200)
        found = _FORM.search(page.text)
        if found is None:
            raise StudyError("The page has no form.")
        return found[1]

    def _load_token(self) -> None:
        page = self._request("GET", "/", follow_redirects=True)
        found = _CSRF.search(page.text)
        if found is None:
            raise StudyError("Signing in did not work.")
        self._csrf = found[1]

    def enter_environment(self, monitor: str) -> None:
        """Enter the environment, which begins the session."""
        content = {
            "monitor": monitor,
            "calibrated": "unknown",
            "light": "dim",
            "steps_seen": 16,
            "screen_width": 1920,
            "screen_height": 1080,
            "window_width": 1920,
            "window_height": 1000,
            "pixel_ratio": 1,
            "colour_depth": 24,
            "browser": "simulated reader, no browser",
        }
        self.tell("/api/environment", content)

    def take_tab(self) -> None:
        """Become the active tab."""
        self.tell("/api/tab", {"tab": self.tab, "take": True})

    def state(self) -> dict[str, Any]:
        """What the reader does next."""
        return self.ask("/api/state")

    def pixels(self, token: str) -> bytes:
        """A case's picture."""
        return self._require(self._request("GET", f"/api/images/{token}"), 200).content

    def pass_time(self, seconds: float) -> None:
        """Advance the client's own clock without waiting."""
        self._extra_ms += 1000 * seconds

    def event(self, kind: str, case: str | None, **body: Any) -> dict[str, Any]:
        """An event as the page records it."""
        self._events += 1
        t_ms = 1000 * (time.perf_counter() - self._began) + self._extra_ms
        return {
            "key": f"{self.tab}.{self._events}",
            "kind": kind,
            "tab": self.tab,
            "case": case,
            "t_ms": t_ms,
            "client_s": time.time() + self._extra_ms / 1000,
            "body": body,
        }

    def submit(
        self,
        case: str,
        stage: str,
        answer: dict[str, Any],
        events: Sequence[dict[str, Any]] = (),
        *,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Send an answer until it is acknowledged."""
        last = events[-1] if events else self.event("submit", case, stage=stage)
        content = {
            "key": key or uuid.uuid4().hex,
            "case": case,
            "stage": stage,
            "tab": self.tab,
            "t_ms": last["t_ms"],
            "client_s": last["client_s"],
            "answer": answer,
            "events": [*events, *([] if events else [last])],
        }
        began = time.perf_counter()
        receipt = self.tell("/api/submit", content)
        self.submit_seconds.append(time.perf_counter() - began)
        return receipt

    def ask(self, path: str) -> dict[str, Any]:
        """Get what a route answers."""
        content: dict[str, Any] = self._require(self._request("GET", path), 200).json()
        return content

    def tell(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        """Send content to a route and return its answer."""
        headers = {"x-csrf-token": self._csrf, "content-type": "application/json"}
        answer = self._request("POST", path, content=json.dumps(content), headers=headers)
        told: dict[str, Any] = self._require(answer, 200).json()
        return told

    def _request(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """One request, repeated while the server is away."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return self._http.request(method, path, **rest)
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_S)

    def _require(self, answer: httpx.Response, status: int) -> httpx.Response:
        if answer.status_code != status:
            try:
                told = answer.json()
            except ValueError:
                told = {}
            raise RefusedError(
                told.get("problem", "refused"),
                told.get("message", f"The server answered {answer.status_code}."),
                status=answer.status_code,
            )
        return answer
