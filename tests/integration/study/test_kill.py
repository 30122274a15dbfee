"""The server is killed with -9 while readers read: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from sqlalchemy import func, select

from bonescint.study import StudyFolder
from bonescint.study.reader_client import ReaderClient
from bonescint.study.simulated import (
    PASSWORD,
    SimulatedReader,
    invitation_links,
    read_study,
    truth_by_picture,
)
from bonescint.study.store.database import integrity_problems
from bonescint.study.store.tables import (
    Answer,
    Assignment,
    Event,
    Mark,
    ReadingSession,
)

pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
]
READERS = 6


class Server:
    """`bonescint study serve` in a process of its own, to be killed."""

    def __init__(self, study: StudyFolder) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._study = study
        self.address = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "bonescint", "study", "serve", str(self._study.path)]
        self._process = subprocess.Popen(
            [*command, "--port", str(self._port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(3000):
            try:
                httpx.get(f"{self.address}/health", timeout=1)
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()


def kill_while_reading(study: StudyFolder, *, times: int, seed: int) -> None:
    with study.open_store() as store:
        truths = truth_by_picture(study, store)
    links = invitation_links(study)
    rng = random.Random(seed)  # noqa: S311 - moments, not secrets
    told: Counter[tuple[str, str]] = Counter()
    failed: list[BaseException] = []
    server = Server(study)
    server.start()

    def read(name: str) -> None:
        try:
            with ReaderClient(server.address, patience_s=300) as client:
                client.accept_invitation(links[name], PASSWORD)
                who = SimulatedReader(reader=name)

                def note(key: str, case: str) -> None:
                    told[(key, case)] += 1
                    time.sleep(0.1)

                read_study(client, who, truths, told=note)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    # Passwords first: a killed invitation is another matter than a killed answer.
    threads = [threading.Thread(target=read, args=(f"r{n}",)) for n in range(1, READERS + 1)]
    for thread in threads:
        thread.start()
    while not told and not failed:
        time.sleep(0.05)
    kills = 0
    while kills < times and any(thread.is_alive() for thread in threads):
        time.sleep(rng.uniform(0.0, 0.6))
        server.kill()
        kills += 1
        server.start()
    for thread in threads:
        thread.join()
    server.kill()
    assert failed == []
    assert kills == times, f"readers were done after {kills} kills: give them more cases"
    require_whole(study, told)


def require_whole(study: StudyFolder, told: Counter[tuple[str, str]]) -> None:
    assert set(told.values()) == {1}
    with study.open_store() as store, store.reading() as db:
        assert integrity_problems(store) == []
        rows = db.execute(
            select(Answer.key, Assignment.token, Answer.no_focus, Answer.id, Assignment.id).join(
                Assignment, Assignment.id == Answer.assignment_id
            )
        ).all()
        stored = Counter((key, case) for key, case, *_ in rows)
        assert stored == told  # every acknowledged answer, once, and no other
        for _, _, no_focus, answer, assignment in rows:
            marks = db.scalar(select(func.count()).select_from(Mark).filter_by(answer_id=answer))
            assert bool(marks) is not no_focus
            kinds = list(db.scalars(select(Event.kind).filter_by(assignment_id=assignment)))
            assert kinds.count("shown") == kinds.count("submit") == 1
            assert kinds.count("mark-added") == marks
        total = len(told) / READERS
        for session in db.scalars(select(ReadingSession).where(ReadingSession.number == 1)):
            assert session.finished_s is not None
            places = db.scalars(
                select(Assignment.position)
                .join(Answer, Answer.assignment_id == Assignment.id)
                .where(Assignment.session_id == session.id)
            ).all()
            assert sorted(places) == list(range(int(total)))


def test_killed_a_few_times_nothing_is_lost(
    world: SimpleNamespace, cohort: Path, tmp_path: Path
) -> None:
    study = world.make_study(tmp_path / "study", cohort, readers=READERS, sample=14)
    kill_while_reading(study, times=4, seed=1)


@pytest.mark.slow
def test_killed_at_200_moments_nothing_is_lost(world: SimpleNamespace, tmp_path: Path) -> None:
    cohort = world.write_cohort(tmp_path / "cohort", 452)
    study = world.make_study(tmp_path / "study", cohort, readers=READERS, sample=450, split=None)
    kill_while_reading(study, times=200, seed=2)
