"""Load of the reader study: 50 simulated readers at once against `bonescint study serve`.

    python benchmarks/study_load.py --readers 50 --cases 20 --think 3

Each reader does what the page does: asks for the case, sends a draft half-way, submits, and reads
for a random time of the given mean before every answer. Ten times faster than people read, so
that 50 of them are worth 500. `--burst` lets all of them submit their first answers in one
moment. Prints the times of every submit as a reader's client sees them, and the server's memory
and processor time. Readers, clients and server share this machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import psutil

from bonescint.study import Reader, StudyFolder, open_study
from bonescint.study.reader_client import ReaderClient
from bonescint.study.simulated import PASSWORD, invitation_links

SUPPORT = Path(__file__).parents[1] / "tests" / "support" / "study_world.py"
BAR_S, BAR_SHARE, BAR_MB = 0.3, 0.99, 500
ENTER_WITHIN_S = 600.0


def main() -> None:
    """Read the command line, make a study, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--think", type=float, default=3.0, help="mean seconds before an answer")
    parser.add_argument("--burst", action="store_true", help="all first answers in one moment")
    parser.add_argument("--clients", type=int, default=2, help="processes for the readers")
    parser.add_argument("--finer", type=int, default=4, help="4: scans of 1024 x 256; 1: small")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        study = make_study(Path(scratch), chosen.readers, chosen.cases, chosen.finer)
        measure(study, chosen)


def make_study(folder: Path, readers: int, cases: int, finer: int) -> StudyFolder:
    """A study of blobs in the usual size of scans for so many readers."""
    world = SimpleNamespace(**runpy.run_path(str(SUPPORT)))
    cohort = world.write_cohort(folder / "cohort", cases + 2 + cases % 2, finer=finer)
    people = [Reader(reader=f"sim-{n}", name=f"Simulated {n}") for n in range(1, readers + 1)]
    made: StudyFolder = world.make_study(
        folder / "study", cohort, readers=people, sample=cases, simulated_readers=True
    )
    return made


def measure(study: StudyFolder, chosen: argparse.Namespace) -> None:
    """Let all of them read, and print what it took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "bonescint", "study", "serve", str(study.path)]
    server = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
    process = psutil.Process(server.pid)
    await_start(address)
    spawn = multiprocessing.get_context("spawn")
    begin, told = spawn.Barrier(chosen.clients + 1), spawn.Queue()
    shares = [range(1 + n, chosen.readers + 1, chosen.clients) for n in range(chosen.clients)]
    clients = [
        spawn.Process(
            target=read_all,
            args=(str(study.path), address, list(share), chosen.think, chosen.burst, begin, told),
        )
        for share in shares
    ]
    for client in clients:
        client.start()
    begin.wait(ENTER_WITHIN_S)
    entered, began = process.cpu_times(), time.perf_counter()
    most = 0
    while any(client.is_alive() for client in clients) and told.qsize() < len(clients):
        most = max(most, process.memory_info().rss)
        time.sleep(0.2)
    seconds = np.array([one for _ in clients for one in told.get()])
    wall, cpu = time.perf_counter() - began, process.cpu_times()
    server.kill()
    server.wait()
    used = cpu.user + cpu.system - entered.user - entered.system
    share = float((seconds < BAR_S).mean())
    print(f"{chosen.readers} simulated readers, {seconds.size} answers in {wall:.1f} s; "
          f"load of the machine {os.getloadavg()[0]:.1f}")  # fmt: skip
    print(f"submit: median {np.median(seconds):.3f} s, 99 % {np.quantile(seconds, 0.99):.3f} s, "
          f"longest {seconds.max():.3f} s, under {BAR_S} s {100 * share:.2f} % "
          f"({said(share >= BAR_SHARE)}: 99 %)")  # fmt: skip
    print(f"server: at most {most / 2**20:.0f} MB ({said(most < BAR_MB * 2**20)}: {BAR_MB} MB), "
          f"{used:.1f} s of processor time, {1000 * used / seconds.size:.1f} ms an answer with "
          "its picture and draft")  # fmt: skip


def said(reached: bool) -> str:
    """Whether a bar was reached."""
    return "bar reached" if reached else "bar MISSED"


def read_all(
    folder: str,
    address: str,
    numbers: list[int],
    think: float,
    burst: bool,
    begin: Barrier,
    told: Any,
) -> None:
    """A process full of readers; all processes begin to read together."""
    study = open_study(folder)
    links = invitation_links(study)
    seconds: list[float] = []
    entered = threading.Barrier(len(numbers) + 1)

    def read(number: int) -> None:
        with ReaderClient(address) as client:
            client.accept_invitation(links[f"sim-{number}"], PASSWORD)
            client.enter_environment("simulated reader")
            client.take_tab()
            entered.wait(ENTER_WITHIN_S)
            begun.wait(ENTER_WITHIN_S)
            read_cases(client, number, think, burst)
            seconds.extend(client.submit_seconds)

    begun = threading.Event()
    threads = [threading.Thread(target=read, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    entered.wait(ENTER_WITHIN_S)
    begin.wait(ENTER_WITHIN_S)
    begun.set()
    for thread in threads:
        thread.join()
    told.put(seconds)


def read_cases(client: ReaderClient, number: int, think: float, burst: bool) -> None:
    """Read one reader's cases to the end."""
    rng = random.Random(number)  # noqa: S311 - pauses and answers, not secrets
    state = client.state()
    while state["phase"] == "reading":
        token, stage = state["case"]["token"], state["case"]["stage"]
        fetch(client, token)
        marks = [
            {"view": "anterior", "row": 40.0, "column": 20.0, "rating": rng.randrange(101)}
            for _ in range(rng.randrange(4))
        ]
        answer = {"positive": bool(marks), "confidence": rng.randrange(101),
                  "no_focus": not marks, "marks": marks}  # fmt: skip
        events = [client.event("shown", token, stage=stage)]
        wait = 0.0 if burst and not client.submit_seconds else rng.expovariate(1 / think)
        time.sleep(wait / 2)
        client.tell("/api/draft", {"case": token, "stage": stage, "tab": client.tab,
                                   "draft": answer, "events": events})  # fmt: skip
        time.sleep(wait / 2)
        events = [client.event("mark-added", token) for _ in marks]
        state = client.submit(
            token, stage, answer, [*events, client.event("submit", token, stage=stage)]
        )["state"]


def fetch(client: ReaderClient, token: str) -> None:
    """Take a picture as it comes: unpacking it is the browser's work, on another machine."""
    with client._http.stream("GET", f"/api/images/{token}") as answer:
        answer.raise_for_status()
        for _ in answer.iter_raw():
            pass


def await_start(address: str) -> None:
    """Wait until the server answers."""
    for _ in range(3000):
        try:
            httpx.get(f"{address}/health", timeout=1)
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    main()
