"""The server is killed with -9 while somebody learns: no answered case is lost."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from bonescint.teach.records import Records

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
]


class TeachServer:
    """`bonescint teach` in a process of its own, to be killed."""

    def __init__(self, progress: Path, cohort: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self._command = [
            sys.executable, "-m", "bonescint", "teach", "--no-open", "--port", str(port),
            "--progress", str(progress), "--cohort", str(cohort), "--model", "none",
        ]  # fmt: skip

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 300
        while time.monotonic() < until:
            try:
                httpx.get(f"{self.address}/health", timeout=5)
            except httpx.TransportError:
                assert self._process.poll() is None, "the server ended"
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()


def read_one(server: TeachServer, told: list[str]) -> None:
    """Answer a case; it counts as answered once the server says so."""
    with httpx.Client(base_url=server.address, headers={"origin": server.address}) as http:
        content: dict[str, Any] = {"case": None}
        while not content["case"]:
            content = http.get("/api/case", params={"course": "cohort"}, timeout=60).json()
        found = re.search('name="csrf" content="([^"]+)"', http.get("/").text)
        assert found is not None
        token = content["case"]["token"]
        entered = {"positive": True, "confidence": 60, "marks": []}
        sent = {"case": token, "answer": entered, "seconds": 1.0}
        answer = http.post("/api/answer", json=sent, headers={"x-csrf-token": found[1]}, timeout=60)
        assert answer.status_code in (200, 409), answer.text
        told.append(token)


def kill_while_learning(cohort: Path, progress: Path, *, times: int, seed: int) -> None:
    server = TeachServer(progress, cohort)
    rng = random.Random(seed)  # noqa: S311 - moments, not secrets
    told: list[str] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def learn() -> None:
        while not done.is_set():
            try:
                read_one(server, told)
            except httpx.TransportError:
                time.sleep(0.05)  # it was killed, and comes back
            except BaseException as error:  # noqa: BLE001 - told below
                failed.append(error)
                return

    learner = threading.Thread(target=learn)
    server.start()
    learner.start()
    for number in range(times):
        while len(told) <= number and not failed:
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, 0.3))
        server.kill()
        server.start()
    done.set()
    learner.join()
    server.kill()
    assert failed == []
    with Records(progress) as records:
        (me,) = records.trainees()
        stored = [one.issued.case_id for one in records.answered(me)]
    assert set(told) <= set(stored), "an acknowledged answer is lost"
    assert len(stored) == len(set(stored)), "answered once each"
    assert len(told) >= times


def test_killed_in_the_middle_no_answered_case_is_lost(cohort: Path, tmp_path: Path) -> None:
    kill_while_learning(cohort, tmp_path / "teach.sqlite", times=3, seed=1)


@pytest.mark.slow
def test_killed_fifty_times_no_answered_case_is_lost(cohort: Path, tmp_path: Path) -> None:
    kill_while_learning(cohort, tmp_path / "teach.sqlite", times=50, seed=2)
