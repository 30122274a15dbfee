"""The Ray engine against the local one: rate, lost workers and nodes, and paths that are no scans.

    python benchmarks/archive_cluster.py engine --studies 2000
    python benchmarks/archive_cluster.py kills --studies 2000 --every 20
    python benchmarks/archive_cluster.py refusals --paths 100000
    python benchmarks/archive_cluster.py bucket --studies 500

A cluster of two nodes with a core each is started on the loopback interface, as `ray start` does.
Scans are the simulated ones that travel with the package, each with counts drawn anew.

`engine` classifies the same scans with the shipped model by both engines, without pictures, once
all of them and once eight, so that what a start costs can be taken off: processor time and wall
time a study, and whether the tables are the same. Processor time is that of all processes, the
nodes' own included, by sampling; beside other work it says more than wall time.

`kills` ends a classifying worker with SIGKILL every so many seconds, and once the head with all of
its node; the cluster is started again, and the same command runs until it ends by itself. The table
must be that of the local engine.

`refusals` searches so many files that are no scans, with a few that are: rows, and the highest
memory of the command, at a tenth of the paths and at all.

`bucket` classifies scans that lie in a bucket of moto's server on the loopback interface, and
writes the results to another; the table must be that of the same scans in a folder.
"""

from __future__ import annotations

import argparse
import logging
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bonescint.dicom import write_nm

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPPORT = Path(__file__).parents[1] / "tests" / "support"
FEW = 8
BAR = 0.85
ACTOR = "MapWorker(MapBatches(_ClassifyActor))"


def make_scans(folder: Path, count: int) -> None:
    """Write scans that differ in content and UIDs."""
    another = runpy.run_path(str(SUPPORT / "archive.py"))["another"]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f"{number:06d}.dcm"
        if not path.exists():
            write_nm(another(number), path)


@contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """A cluster of so many nodes."""
    with runpy.run_path(str(SUPPORT / "ray_cluster.py"))["running_cluster"](nodes) as running:
        yield running


class Sampled:
    """Processor time and memory of a command, and processor time of a cluster, while it runs."""

    def __init__(self, roots: list[int]) -> None:
        self._roots = roots
        self._times: dict[int, float] = {}
        self.most_bytes = 0
        self._over = threading.Event()
        self._sampler = threading.Thread(target=self._sample)
        self._before = 0.0

    def __enter__(self) -> Sampled:
        self._note()
        self._before = sum(self._times.values())
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._sampler.join()
        self._note()

    @property
    def cpu_s(self) -> float:
        """Processor time since the beginning, in seconds."""
        return sum(self._times.values()) - self._before

    def follow(self, pid: int) -> None:
        """Also sample this process, the one whose memory counts."""
        self._roots.insert(0, pid)
        self._command = pid

    def _sample(self) -> None:
        while not self._over.wait(0.3):
            self._note()

    def _note(self) -> None:
        for root in self._roots:
            try:
                top = psutil.Process(root)
                for process in (top, *top.children(recursive=True)):
                    spent = process.cpu_times()
                    self._times[process.pid] = spent.user + spent.system
                    if process.pid == getattr(self, "_command", 0):
                        self.most_bytes = max(self.most_bytes, process.memory_info().rss)
            except psutil.Error:
                continue


def command(scans: Path, out: Path, *words: str) -> list[str]:
    """The command line of a run."""
    start = [sys.executable, "-m", "bonescint", "classify", str(scans), "--out", str(out)]
    return [*start, *words]


def measured(words: list[str], roots: list[int]) -> tuple[float, float, int]:
    """Processor time, wall time and highest memory of a command that must succeed."""
    began = time.perf_counter()
    with Sampled(list(roots)) as sampled:
        running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        sampled.follow(running.pid)
        said = running.communicate()[1]
    if running.returncode not in (0, 1):
        raise SystemExit(said.decode())
    return sampled.cpu_s, time.perf_counter() - began, sampled.most_bytes


def same_table(one: Path, other: Path) -> bool:
    """Whether both engines wrote the same bytes."""
    return (one / "results.csv").read_bytes() == (other / "results.csv").read_bytes()


def engine(chosen: argparse.Namespace) -> None:
    """Rate by both engines."""
    with tempfile.TemporaryDirectory() as made, cluster(2) as running:
        place = Path(made)
        make_scans(place / "few", FEW)
        make_scans(place / "all", chosen.studies)
        on_ray = ("--engine", "ray", "--address", running.address)
        local = ("--no-pictures", "--parquet", "--workers", str(chosen.workers))
        spent = {}
        for name, words, roots in (("local", local, []), ("ray", on_ray, running.pids)):
            for scans in ("few", "all"):
                cpu, wall, memory = measured(
                    command(place / scans, place / f"{name}-{scans}", *words), roots
                )
                spent[name, scans] = cpu, wall
                print(
                    f"{name:5} {scans:4} cpu {cpu:7.1f} s  wall {wall:7.1f} s  "
                    f"command's memory {memory / 2**20:5.0f} MB",
                    flush=True,
                )
        more = chosen.studies - FEW
        for kind, unit in enumerate(("processor time", "wall time")):
            each = {
                name: (spent[name, "all"][kind] - spent[name, "few"][kind]) / more
                for name in ("local", "ray")
            }
            share = each["local"] / each["ray"]
            print(
                f"{unit} a study: local {each['local']:.3f} s, Ray {each['ray']:.3f} s: "
                f"{100 * share:.0f} % of the local rate (bar {100 * BAR:.0f} %)"
            )
        print("same table:", same_table(place / "local-all", place / "ray-all"))


def kills(chosen: argparse.Namespace) -> None:
    """A worker killed every so often, the head once."""
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        make_scans(place / "scans", chosen.studies)
        subprocess.run(
            command(place / "scans", place / "local", "--no-pictures", "--parquet"),
            check=False,
            stdout=subprocess.DEVNULL,
        )
        killed, head_lost = 0, False
        for attempt in range(1, 20):
            with cluster(2) as running:
                words = command(
                    place / "scans", place / "ray", "--engine", "ray", "--address", running.address
                )
                began = time.perf_counter()
                run = subprocess.Popen(words, stdout=subprocess.DEVNULL)
                while run.poll() is None:
                    try:
                        run.wait(chosen.every)
                    except subprocess.TimeoutExpired:
                        finished = len(list((place / "ray" / "finished").glob("*.block")))
                        if not head_lost and finished and killed >= chosen.before:
                            print(f"head lost with {finished} blocks finished", flush=True)
                            head_lost = True
                            running.stop(kill=True)
                            try:
                                run.wait(180)
                            except subprocess.TimeoutExpired:
                                print("the command waits for the head: ended")
                                run.send_signal(signal.SIGINT)
                        else:
                            killed += kill_an_actor()
                wall = time.perf_counter() - began
            print(f"run {attempt}: exit {run.returncode}, {wall:.0f} s, {killed} workers killed")
            if (place / "ray" / "run.json").exists():
                break
        print("same table:", same_table(place / "local", place / "ray"))


def kill_an_actor() -> int:
    """Kill one actor that classifies; return how many were killed."""
    for process in psutil.process_iter():
        try:
            if ACTOR in "".join(process.cmdline()[:1]) and process.uids().real == os.getuid():
                process.send_signal(signal.SIGKILL)
                return 1
        except psutil.Error:
            continue
    return 0


def refusals(chosen: argparse.Namespace) -> None:
    """Many files that are no scans."""
    with tempfile.TemporaryDirectory() as made, cluster(2) as running:
        place = Path(made)
        for paths in (chosen.paths // 10, chosen.paths):
            scans = place / f"in-{paths}"
            make_scans(scans / "scans", FEW)
            for number in range(paths):
                folder = scans / f"{number // 1000:04d}"
                folder.mkdir(exist_ok=True)
                (folder / f"{number:06d}.txt").write_text(f"no scan, number {number}\n" * 8)
            out = place / f"out-{paths}"
            words = command(scans, out, "--engine", "ray", "--address", running.address)
            cpu, wall, memory = measured(words, running.pids)
            import pyarrow.parquet as pq

            table = pq.read_table(out / "results.parquet", columns=["scan_id", "refusal", "source"])
            refused = table.num_rows - table["refusal"].null_count
            distinct = len(set(table["source"].to_pylist()))
            print(
                f"{paths} paths: {table.num_rows} rows, {refused} refused, {distinct} sources; "
                f"cpu {cpu:.0f} s, wall {wall:.0f} s, command's memory {memory / 2**20:.0f} MB",
                flush=True,
            )


def bucket(chosen: argparse.Namespace) -> None:
    """Scans in one bucket, results in another."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    client = boto3.client("s3")
    for name in ("archive", "results"):
        client.create_bucket(Bucket=name)
    with tempfile.TemporaryDirectory() as made, cluster(2) as running:
        place = Path(made)
        make_scans(place / "nm", chosen.studies)
        for path in sorted((place / "nm").iterdir()):
            client.upload_file(str(path), "archive", f"nm/{path.name}")
        source, out = "s3://archive/nm", "s3://results/run"
        words = [sys.executable, "-m", "bonescint", "classify", source, "--out", out]
        words += ["--engine", "ray", "--address", running.address]
        cpu, wall, _ = measured(words, running.pids)
        written = client.get_object(Bucket="results", Key="run/results.csv")["Body"].read()
        measured(command(place / "nm", place / "local", "--no-pictures"), [])
        same = written == (place / "local" / "results.csv").read_bytes()
        print(
            f"{chosen.studies} studies in and out of a bucket: cpu {cpu:.0f} s, wall {wall:.0f} s"
        )
        print("same table:", same)
    server.stop()


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    rating = commands.add_parser("engine", help="rate by both engines")
    rating.add_argument("--studies", type=int, default=2000)
    rating.add_argument("--workers", type=int, default=2, help="of the local engine")
    rating.set_defaults(function=engine)
    killing = commands.add_parser("kills", help="lost workers and a lost head")
    killing.add_argument("--studies", type=int, default=2000)
    killing.add_argument("--every", type=float, default=20.0)
    killing.add_argument("--before", type=int, default=2, help="workers killed before the head")
    killing.set_defaults(function=kills)
    refusing = commands.add_parser("refusals", help="paths that are no scans")
    refusing.add_argument("--paths", type=int, default=100_000)
    refusing.set_defaults(function=refusals)
    reading = commands.add_parser("bucket", help="scans and results in S3 buckets")
    reading.add_argument("--studies", type=int, default=500)
    reading.set_defaults(function=bucket)
    chosen = parser.parse_args()
    chosen.function(chosen)


if __name__ == "__main__":
    main()
