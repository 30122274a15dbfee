"""Hostile associations and objects against the node: does it stand, and say why it refuses?

    python benchmarks/node_hostile.py --count 20000

Connections of every kind in `tests/support/hostile_peers.py`, and damaged objects in good
associations, from several threads. Every 500 the node must answer C-ECHO. What it accepted is
classified at the end: each such study must have an outcome.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import hostile_peers, pacs_peers

from bonescint.serve.associations import associated, context
from bonescint.serve.peers import Peer, PeerError, silence_libraries
from bonescint.serve.receiving import STORED_CLASSES

OBJECTS = "damaged objects"
_ANSWERS = {b"\x03": "rejected", b"\x04": "a status", b"\x07": "aborted", b"": "closed"}


class Attack:
    """Hostile peers in threads, and what they were answered."""

    def __init__(self, port: int, folder: Path, seed: int) -> None:
        self.answers: Counter[str] = Counter()
        self.hung = 0
        self._port = port
        self._folder = folder
        self._seed = seed
        self._lock = threading.Lock()
        self._whole = pacs_peers.nm_study(folder / "whole.dcm").read_bytes()
        self._bomb = hostile_peers.deflated_bomb(folder / "bomb.dcm")

    def run(self, numbers: list[int]) -> None:
        """Attack once for each number, which decides how."""
        for number in numbers:
            rng = random.Random(f"{self._seed}/{number}")  # noqa: S311
            kind = rng.choice((*hostile_peers.KINDS, *3 * [OBJECTS]))
            try:
                said = self._objects(rng) if kind == OBJECTS else self._connection(kind, rng)
            except TimeoutError:
                said = "HUNG"
                self.hung += 1
            except (OSError, PeerError):
                said = "connection refused"
            with self._lock:
                self.answers[f"{kind}: {said}"] += 1

    def _connection(self, kind: str, rng: random.Random) -> str:
        answer = hostile_peers.attack(self._port, hostile_peers.hostile_bytes(kind, rng))
        if answer[:1] != b"\x02":
            return _ANSWERS.get(answer[:1], "other")
        following = answer[6 + int.from_bytes(answer[2:6], "big") :]
        return "accepted, then " + _ANSWERS.get(following[:1], "other")

    def _objects(self, rng: random.Random) -> str:
        peer = Peer("127.0.0.1", self._port, "BONESCINT")
        syntax = ExplicitVRLittleEndian
        if rng.random() < 0.01:
            path, syntax = self._bomb, DeflatedExplicitVRLittleEndian
        else:
            path = self._folder / f"{threading.get_ident()}.dcm"
            path.write_bytes(damaged(self._whole, rng))
        with associated(peer, [context(STORED_CLASSES[0], syntax)], calling="HOSTILE") as one:
            try:
                status = one.send_c_store(path)
            except (AttributeError, ValueError, RuntimeError, KeyError):
                return "not sent"
            return f"status {int(status.Status):04X}" if "Status" in status else "ended"


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """An object that is cut, or has wrong bytes and lengths, after its File Meta Information."""
    content = bytearray(whole)
    start = 132 + 12 + int.from_bytes(content[140:144], "little")
    for _ in range(rng.randrange(1, 12)):
        content[rng.randrange(start, min(len(content), start + 2000))] = rng.randrange(256)
    return bytes(content[: rng.randrange(start, len(content))] if rng.random() < 0.3 else content)


def main() -> None:
    """Read the command line, attack, and look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    silence_libraries()
    from pynetdicom import _config

    _config.STORE_SEND_CHUNKED_DATASET = True  # sent as it is, however damaged
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        failed = attack(folder, chosen)
        failed |= classified(folder)
    print("FAILED" if failed else "PASSED")


def attack(folder: Path, chosen: argparse.Namespace) -> bool:
    """Attack a node that classifies nothing; whether it failed."""
    options = ("--quiet-seconds", "86400", "--max-queue", "100000")
    with pacs_peers.node(folder / "node", *options) as node:
        process = psutil.Process(node.process.pid)
        hostile = Attack(node.port, folder, chosen.seed)
        began, failed = time.monotonic(), False
        for first in range(0, chosen.count, 500):
            numbers = list(range(first, min(chosen.count, first + 500)))
            threads = [
                threading.Thread(target=hostile.run, args=(numbers[at :: chosen.threads],))
                for at in range(chosen.threads)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            failed |= node.process.poll() is not None or not node.echo()
            print(
                f"{numbers[-1] + 1}: echo {'FAILED' if failed else 'answered'}, "
                f"{process.memory_info().rss >> 20} MiB, {process.num_threads()} threads, "
                f"{process.num_fds()} files, {time.monotonic() - began:.0f} s",
                flush=True,
            )
        for said, count in sorted(hostile.answers.items()):
            print(f"{count:6d}  {said}")
        return failed or hostile.hung > 0


def classified(folder: Path) -> bool:
    """Classify what was accepted; whether it failed."""
    queue = folder / "node" / "queue"
    count = len(list((queue / "studies").iterdir()))
    with pacs_peers.storescp(folder / "got", "--unique-filenames") as port:
        to = f"PACS@127.0.0.1:{port}"
        with pacs_peers.node(folder / "node", "--quiet-seconds", "0", to=to) as node:
            done = node.await_done(count, within_s=36000)
    answered = sum(1 for one in done if list((one / "answer").glob("*.sent")))
    headers = [
        pydicom.dcmread(path, stop_before_pixels=True) for path in (folder / "got").iterdir()
    ]
    # Damage that changes the study's UID alone gives two studies with one object, and one answer.
    got = {(str(one.StudyInstanceUID), str(one.SOPInstanceUID)) for one in headers}
    sent = sum(len(list((one / "answer").glob("*.sent"))) for one in done)
    print(f"accepted: {count} studies, of which {answered} have an answer, {sent} objects")
    return len(done) != count or len(got) != sent


if __name__ == "__main__":
    main()
