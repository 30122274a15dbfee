from __future__ import annotations

import re
import runpy
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi", reason="needs the extra 'teach'")
pytest.importorskip("fsrs", reason="needs the extra 'teach'")

from bonescint.study.web.dependencies import ServeSettings
from bonescint.teach.serving import Teaching, TeachOptions, running_teaching

TESTS = Path(__file__).parents[2]
PASSWORD = "a learner's password"  # noqa: S105 - of a classroom that a test makes
Serve = Callable[..., AbstractContextManager["Learning"]]


@pytest.fixture(scope="session")
def world() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(TESTS / "support" / "study_world.py")))


@pytest.fixture(scope="session")
def cohort(world: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = world.write_cohort(tmp_path_factory.mktemp("cohort"), 8)
    return path


class Learning:
    """A running server, and somebody who uses it without a browser."""

    def __init__(self, address: str, teaching: Teaching) -> None:
        self.address, self.teaching = address, teaching
        self._clients: list[httpx.Client] = []
        self.http = self.visitor()

    def visitor(self) -> httpx.Client:
        headers = {"origin": self.address}
        self._clients.append(httpx.Client(base_url=self.address, timeout=60, headers=headers))
        return self._clients[-1]

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def csrf(self, http: httpx.Client | None = None, page: str = "/") -> str:
        found = re.search('name="csrf" content="([^"]+)"', (http or self.http).get(page).text)
        return found[1] if found else ""

    def join(self, path: str) -> httpx.Client:
        """Somebody who follows an invitation."""
        http = self.visitor()
        token = re.search('name="form_token" value="([^"]+)"', http.get(path).text)
        assert token is not None
        content = {"password": PASSWORD, "again": PASSWORD, "form_token": token[1]}
        assert http.post(path, data=content).status_code == 303
        return http

    def case(self, course: str, http: httpx.Client | None = None) -> dict[str, Any]:
        """The case to read, once it is made."""
        until = time.monotonic() + 300
        while time.monotonic() < until:
            answer = (http or self.http).get("/api/case", params={"course": course})
            assert answer.status_code == 200, answer.text
            content: dict[str, Any] = answer.json()
            if content["case"] or not content["preparing"]:
                return content
            time.sleep(0.05)
        raise AssertionError("no case was made")

    def answer(
        self,
        token: str,
        *,
        positive: bool,
        marks: list[dict[str, Any]] | None = None,
        http: httpx.Client | None = None,
    ) -> httpx.Response:
        entered = {"positive": positive, "confidence": 70, "marks": marks or []}
        content = {"case": token, "answer": entered, "seconds": 4.5}
        headers = {"x-csrf-token": self.csrf(http)}
        return (http or self.http).post("/api/answer", json=content, headers=headers)


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serve what the options say; its records are in the test's own folder."""

    @contextmanager
    def started(**options: Any) -> Iterator[Learning]:
        options = {"progress": tmp_path / "teach.sqlite", "model": "none", **options}
        settings = ServeSettings(port=0)
        with running_teaching(TeachOptions(**options), settings) as (address, teaching):
            learning = Learning(address, teaching)
            try:
                yield learning
            finally:
                learning.close()

    return started


@pytest.fixture
def learning(serve: Serve, cohort: Path) -> Iterator[Learning]:
    """One learner, who reads the cohort."""
    with serve(cohort=cohort) as served:
        yield served


def routes_of(app: Any) -> list[tuple[str, str]]:
    """Every method and path that the application knows, whatever it is nested in."""
    found: list[tuple[str, str]] = []

    def walk(routes: Any, prefix: str) -> None:
        for route in routes:
            inner = getattr(route, "routes", None) or getattr(
                getattr(route, "original_router", None), "routes", None
            )
            path = prefix + getattr(route, "path", "")
            methods = getattr(route, "methods", None)
            if methods:
                found.extend((method, path) for method in sorted(methods))
            elif inner:
                walk(inner, path)
            else:
                found.append(("GET", path + "/reading.js"))

    walk(app.routes, "")
    return found


@pytest.fixture
def routes() -> Callable[[Any], list[tuple[str, str]]]:
    return routes_of
