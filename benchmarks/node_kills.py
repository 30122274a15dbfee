"""Kills of the node at random moments while devices send: is every study answered exactly once?

    python benchmarks/node_kills.py --kills 200 --senders 10

Each sender (dcmtk's storescu) sends studies of its own, one after another, each until the node says
that it accepted it. The node is killed with SIGKILL at random moments of its life, its start
included, and started again. At the end every accepted study must have an outcome, and the PACS
(dcmtk's storescp) exactly the objects that the outcome names, each once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import pydicom

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import pacs_peers

from bonescint.serve.peers import hashed_uid


class Load:
    """Senders that send until they are told to end."""

    def __init__(self, folder: Path, port: int, senders: int, pause_s: float) -> None:
        self.accepted: set[int] = set()
        self.tries = 0
        self._folder, self._port, self._pause_s = folder, port, pause_s
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(number, senders)) for number in range(senders)
        ]
        self._template = pydicom.dcmread(pacs_peers.nm_study(folder / "template.dcm"))
        self._lock = threading.Lock()
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Let each sender finish the study that it sends."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int, step: int) -> None:
        while not self._ended.is_set():
            path = self._folder / f"{number}.dcm"
            with self._lock:
                pacs_peers.identified(self._template, number)
                self._template.file_meta.MediaStorageSOPInstanceUID = self._template.SOPInstanceUID
                self._template.save_as(path)
            words = ("storescu", "-R", "-aec", "BONESCINT", "127.0.0.1", str(self._port))
            while pacs_peers.dcmtk(*words, path).returncode:
                self.tries += 1
                time.sleep(2)
            self.accepted.add(number)
            path.unlink()
            number += step
            self._ended.wait(self._pause_s)


def main() -> None:
    """Read the command line, kill, and look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--senders", type=int, default=10)
    parser.add_argument("--longest", type=float, default=8.0, help="most seconds until a kill")
    parser.add_argument("--pause", type=float, default=10.0, help="seconds between two studies")
    parser.add_argument("--minutes", type=float, default=1e6, help="ends after so long")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as place:
        folder, port = Path(place), pacs_peers.free_port()
        (folder / "scans").mkdir()
        options = ("--quiet-seconds", "0.5", "--max-queue", "50")
        with pacs_peers.storescp(folder / "got") as pacs_port:
            to = f"PACS@127.0.0.1:{pacs_port}"
            load = Load(folder / "scans", port, chosen.senders, chosen.pause)
            began, states = time.monotonic(), Counter[str]()
            for number in range(chosen.kills):
                after_s, starts = rng.uniform(0, chosen.longest), rng.random() < 0.8
                kill_one(folder, options, to, port, after_s, starts=starts)
                states.update(where(folder / "node" / "queue"))
                if time.monotonic() - began > 60 * chosen.minutes:
                    print(f"ended after {number + 1} kills")
                    break
                if number % 10 == 9:
                    told = (
                        f"{number + 1} kills, {len(load.accepted)} accepted, {load.tries} retries"
                    )
                    print(f"{told}, {time.monotonic() - began:.0f} s", flush=True)
            with pacs_peers.node(folder / "node", *options, to=to, port=port) as node:
                load.end()
                done = node.await_done(len(load.accepted), within_s=36000)
                left = [one for state in ("studies", "classifying", "answers")
                        for one in node.studies_in(state)]  # fmt: skip
        print(f"studies found in each state after the kills: {dict(states)}")
        report(folder, load.accepted, done, left)


def kill_one(
    folder: Path, options: tuple[str, ...], to: str, port: int, after_s: float, *, starts: bool
) -> None:
    """Start the node and kill it after a time, whatever it does then.

    Args:
        folder: where its folder is.
        options: of the node.
        to: where it answers to.
        port: on which it listens.
        after_s: seconds until it is killed.
        starts: wait until it listens; otherwise the kill may come while it starts.
    """
    (folder / "node").mkdir(exist_ok=True)
    words = ("listen", "--port", str(port), "--queue", folder / "node" / "queue", "--answer-to", to)
    command = (sys.executable, "-m", "bonescint", *words, *options)
    with pacs_peers.running(*command, log=folder / "node" / "log") as process:
        if starts:
            pacs_peers.await_port(port, process)
        time.sleep(after_s)
        if process.poll() is not None:
            print((folder / "node" / "log").read_text())
            raise SystemExit("FAILED: the node ended by itself")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def where(queue: Path) -> Counter[str]:
    """How many studies a kill left in each state."""
    states = ("incoming", "studies", "classifying", "answers", "done")
    return Counter({one: len(list((queue / one).glob("*"))) for one in states if queue.exists()})


def report(folder: Path, accepted: set[int], done: list[Path], left: list[Path]) -> None:
    """Compare what was accepted, what has an outcome, and what the PACS got."""
    got: dict[str, list[str]] = defaultdict(list)
    for path in (folder / "got").iterdir():
        one = pydicom.dcmread(path, stop_before_pixels=True)
        got[hashed_uid(str(one.StudyInstanceUID))].append(str(one.SOPInstanceUID))
    wanted = {hashed_uid(pacs_peers.study_uid(number)) for number in accepted}
    outcomes = {one.name: json.loads((one / "outcome.json").read_text()) for one in done}
    without = wanted - set(outcomes) | wanted - set(got)
    wrong = [
        name
        for name in wanted & set(outcomes)
        if [one["objects"] for one in outcomes[name]["scans"]] != [len(set(got[name]))]
    ]
    again = sum(len(uids) - len(set(uids)) for uids in got.values())
    print(f"{len(accepted)} studies accepted, {len(outcomes)} outcomes, {len(left)} left over")
    print(f"{len(without)} without a result, {len(wrong)} with another result, "
          f"{again} objects kept twice by the PACS")  # fmt: skip
    print("PASSED" if not (without or wrong or left) else "FAILED")


if __name__ == "__main__":
    main()
