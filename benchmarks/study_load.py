"""Load of the reader study: 50 simulated readers at once against `bonescint study serve`.

    python benchmarks/study_load.py --readers 50 --cases 20 --think 3

Prints the times of every submit as a reader's client sees them, and the server's memory and
processor time. Readers, clients and server share this machine.
"""

from __future__ import annotations

import argparse
import os
import random
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import psutil

from bonescint.study import Reader, StudyFolder
from bonescint.study.simulated import ReaderClient, SimulatedReader, read_study, truth_by_picture
from bonescint.study.simulated.reading import PASSWORD, invitation_links

SUPPORT = Path(__file__).parents[1] / "tests" / "support" / "study_world.py"


def main() -> None:
    """Read the command line, make a study, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--think", type=float, default=3.0, help="mean seconds between answers")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        study = make_study(Path(scratch), chosen.readers, chosen.cases)
        measure(study, chosen.readers, chosen.think)


def make_study(folder: Path, readers: int, cases: int) -> StudyFolder:
    """A study of small simulated scans for so many readers."""
    world = SimpleNamespace(**runpy.run_path(str(SUPPORT)))
    cohort = world.write_cohort(folder / "cohort", cases + 2 + cases % 2)
    people = [Reader(reader=f"sim-{n}", name=f"Simulated {n}") for n in range(1, readers + 1)]
    made: StudyFolder = world.make_study(
        folder / "study", cohort, readers=people, sample=cases, simulated_readers=True
    )
    return made


def measure(study: StudyFolder, readers: int, think: float) -> None:
    """Let all of them read, and print what it took."""
    with study.open_store() as store:
        truths = truth_by_picture(study, store)
    links = invitation_links(study)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "bonescint", "study", "serve", str(study.path)]
    server = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
    process = psutil.Process(server.pid)
    await_start(address)
    seconds: list[float] = []
    entered = threading.Barrier(readers)

    def read(number: int) -> None:
        rng = random.Random(number)  # noqa: S311 - pauses, not secrets
        with ReaderClient(address) as client:
            client.accept_invitation(links[f"sim-{number}"], PASSWORD)
            entered.wait()
            who = SimulatedReader(reader=f"sim-{number}")
            pause = lambda *_: time.sleep(rng.expovariate(1 / think) if think else 0)  # noqa: E731
            read_study(client, who, truths, told=pause)
            seconds.extend(client.submit_seconds)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(1, readers + 1)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    most = 0
    while any(thread.is_alive() for thread in threads):
        most = max(most, process.memory_info().rss)
        time.sleep(0.2)
    wall = time.perf_counter() - began
    cpu = process.cpu_times()
    server.kill()
    server.wait()
    told = np.array(seconds)
    print(f"{readers} simulated readers, {told.size} answers in {wall:.1f} s; "
          f"load of the machine {os.getloadavg()[0]:.1f}")  # fmt: skip
    print(f"submit: median {np.median(told):.3f} s, 99 % {np.quantile(told, 0.99):.3f} s, "
          f"longest {told.max():.3f} s, under 0.3 s {100 * (told < 0.3).mean():.2f} %")  # fmt: skip
    used = cpu.user + cpu.system
    print(f"server: at most {most / 2**20:.0f} MB, {used:.1f} s of processor time, "
          f"{1000 * used / told.size:.1f} ms an answer with all its requests")  # fmt: skip


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
