"""Studies in a row through the node, against `bonescint classify` on the same scans.

    python benchmarks/node_rate.py --count 1000 --workers 2

Both read, classify, and make the same DICOM objects with the same number of workers; the node also
receives and sends. Prints both rates and the node's memory on the way.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pydicom

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import dicom_files, pacs_peers

TEMPLATES = 10


def main() -> None:
    """Read the command line, run both, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_scans(folder / "scans", chosen.count)
        classified_s = classify(folder, chosen.workers)
        node_s = through_node(folder, chosen.count, chosen.workers)
    print(f"classify: {chosen.count / classified_s:.2f} studies/s")
    print(f"node:     {chosen.count / node_s:.2f} studies/s, {classified_s / node_s:.0%} of it")


def make_scans(folder: Path, count: int) -> None:
    """Studies of full size, each with UIDs of its own; ten bodies in turn."""
    folder.mkdir()
    for number in range(TEMPLATES):
        views = [dicom_files.paint_body(2 * number + side, posterior=bool(side)) for side in (0, 1)]
        dicom_files.save(dicom_files.ge_discovery(*views), folder / "template.dcm")
        dataset = pydicom.dcmread(folder / "template.dcm")
        for study in range(number, count, TEMPLATES):
            pacs_peers.identified(dataset, study)
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.save_as(folder / f"{study:05d}.dcm")
    (folder / "template.dcm").unlink()


def classify(folder: Path, workers: int) -> float:
    """Seconds that `classify` takes, its start included."""
    words = ("classify", folder / "scans", "--out", folder / "out", "--dicom")
    command = (sys.executable, "-m", "bonescint", *words, "--workers", str(workers))
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - began


def through_node(folder: Path, count: int, workers: int) -> float:
    """Seconds from the first object in to the last study answered."""
    got = folder / "got"
    with pacs_peers.storescp(got, "--ignore") as pacs:
        options = ("--quiet-seconds", "1", "--workers", str(workers), "--max-queue", "100000")
        with pacs_peers.node(folder / "node", *options, to=f"PACS@127.0.0.1:{pacs}") as node:
            process = psutil.Process(node.process.pid)
            began = time.monotonic()
            said = node.send(*sorted((folder / "scans").iterdir()))
            if said.returncode:
                raise SystemExit(said.stdout + said.stderr)
            print(f"received {count} in {time.monotonic() - began:.0f} s")
            told = 0
            while (done := len(node.studies_in("done"))) < count:
                if done >= told + max(1, count // 10):
                    told = done
                    memory = [one.memory_info().rss >> 20 for one in (process, *process.children())]
                    print(f"{done} answered, MiB of node and workers: {memory}", flush=True)
                time.sleep(0.2)
            seconds = time.monotonic() - began
            wrong = [one for one in node.studies_in("done") if not list((one / "answer").iterdir())]
            left = sum(len(node.studies_in(one)) for one in ("studies", "classifying", "answers"))
            print(f"{count} studies: {len(wrong)} without an answer, {left} left over")
    return seconds


if __name__ == "__main__":
    main()
