"""What an archive of a million studies costs: time, memory and bytes.

    python benchmarks/archive.py join --rows 1000000
    python benchmarks/archive.py rate --scans scans/ --workers 1 2
    python benchmarks/archive.py stragglers

`join` makes results of `--folders` runs (a hundredth of the rows are in two of them, a tenth are
refused inputs), joins them, and filters and summarises the joined table, each in a process of its
own: wall time, processor time and the highest memory of that process.

`rate` classifies scans in a process of its own, once all of them and once two, so that what a start
costs can be taken off: processor time and wall time per scan, and bytes of results per scan.

`stragglers` simulates a cluster whose tasks last unequally long and whose nodes are lost: blocks of
studies go to the next free core; a lost node comes back empty after a while, and its blocks begin
anew on any core. It prints how much longer this takes than the same work on cores that are never
idle and never lost, and compares the simulation with two closed forms.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from bonescint.classify.table import RunFacts, results_schema, write_part

BAR_S, BAR_GB = 60.0, 2.0
LOST, BACK = -1, -2
RUN = RunFacts(
    model_id="bonescint-compact-cells@0.3.0+4f2f4b43",
    model_sha256="4f2f4b43" * 8,
    operating_point=0.545,
    settings='{"call_anyway": false, "operating_point": 0.545, "preprocessing": "body-root"}',
    software="bonescint 0.1.0, python 3.11.7, numpy 2.4.6, openvino 2026.4.1, device cpu",
)
CAMERAS = ("Symbia Intevo", "Symbia Evo", "Discovery NM 670", "Infinia Hawkeye", "BRIGHTVIEW")
REASONS = (
    "is not a whole-body image: 128 x 128 pixels. Leave this file out.",
    "is a CT, not a planar nuclear medicine image. Leave this file out.",
    "is empty. Export it again.",
)


def table_of_numbers(numbers: np.ndarray, site: str) -> pa.Table:
    """Rows whose content follows from their numbers, so that a number occurs twice alike."""
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    uniform = (mixed >> np.uint64(11)).astype(float) / 2**53
    refused = numbers % 10 == 0
    probability = uniform**3
    names = [f"{value:016x}" for value in mixed.tolist()]
    many = len(numbers)

    def text(values: object) -> pa.Array:
        return pa.array(values, pa.string(), mask=refused)

    def picked(choices: tuple[str, ...], *, mask: np.ndarray) -> pa.Array:
        places = (mixed >> np.uint64(40)) % np.uint64(len(choices))
        return pa.array(np.array(choices, object)[places.astype(int)], pa.string(), mask=mask)

    score, unlike = 10 * uniform, uniform > 0.98
    positive = probability >= 0.545
    columns = {
        "scan_id": text([f"bs-{name}" for name in names]),
        "source": pa.array([f"{site}/{name[:2]}/{name}/IM0001" for name in names]),
        "site": pa.array([site] * many),
        "year": pa.array(2005 + numbers % 20, pa.int16(), mask=refused),
        "manufacturer": text(["SIEMENS NM"] * many),
        "camera": picked(CAMERAS, mask=refused),
        "views": text(["anterior+posterior"] * many),
        "mbd_probability": pa.array(probability, mask=refused),
        "call": text(np.where(unlike, "no call", np.where(positive, "positive", "negative"))),
        "positive": pa.array(positive, mask=refused | unlike),
        "uncertain": pa.array(np.abs(probability - 0.545) < 0.1, mask=refused),
        "ood_score": pa.array(np.round(score, 3), mask=refused),
        "unlike": pa.array(unlike, mask=refused),
        "warnings": pa.array([["the view is assumed"] if n % 7 else [] for n in numbers.tolist()]),
        "picture": text([f"pictures/bs-{name}.png" for name in names]),
        "refusal": pa.array(["NotABoneScanError"] * many, mask=~refused),
        "reason": picked(REASONS, mask=~refused),
        "content_sha256": text([hashlib.sha256(name.encode()).hexdigest() for name in names]),
        "model_id": pa.array([RUN.model_id] * many),
        "model_sha256": pa.array([RUN.model_sha256] * many),
        "operating_point": pa.array([RUN.operating_point] * many),
        "settings": pa.array([RUN.settings] * many),
        "software": pa.array([RUN.software] * many),
    }
    schema = results_schema(RUN)
    empty = {
        field.name: pa.nulls(many, field.type) for field in schema if field.name not in columns
    }
    arrays = [(columns | empty)[field.name].cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def make_archive(place: Path, rows: int, folders: int) -> int:
    """Write the results folders; the number of rows that a join keeps."""
    each = rows // folders
    shared = each // 100
    for number in range(folders):
        first = number * (each - shared) if number else 0
        numbers = np.arange(first, first + each)
        table = table_of_numbers(numbers, "all sites")
        write_part(table, place / f"{number:03d}" / "results.parquet")
    return (folders - 1) * (each - shared) + each


def measured(words: list[str], *, quiet: bool = False) -> tuple[float, float, float, str]:
    """Wall time and processor time in seconds, memory in GB, and what a command printed."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        shown = subprocess.DEVNULL if quiet else None
        command = [sys.executable, "-m", "bonescint", *words]
        process = subprocess.Popen(command, stdout=shown, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        said.seek(0)
        text = said.read().decode()
    if status:
        raise SystemExit(f"bonescint {' '.join(words)} ended with {status}: {text}")
    took = time.perf_counter() - began
    return took, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20, text


def join(chosen: argparse.Namespace) -> None:
    """Make results, join them, and say what it took."""
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as scratch:
        place = Path(scratch)
        kept = make_archive(place / "results", chosen.rows, chosen.folders)
        folders = sorted(map(str, (place / "results").iterdir()))
        size = sum(file.stat().st_size for file in place.rglob("*.parquet"))
        print(f"{chosen.rows} rows in {len(folders)} folders, {size / chosen.rows:.0f} bytes a row")
        joined = str(place / "all.parquet")
        where = "mbd_probability > 0.5 and not unlike"
        steps = {
            "join": ["results", "join", *folders, "--out", joined],
            "filter": [
                *("results", "join", joined, "--where", where),
                *("--out", str(place / "called.parquet")),
            ],
            "summarise": [
                *("results", "summarise", joined, "--no-open", "--out", str(place / "summary")),
            ],
        }
        total = 0.0
        for name, words in steps.items():
            took, used, memory, said = measured(words)
            total += took if name != "filter" else 0
            print(f"{name}: {took:.1f} s, {used:.1f} s of processor time, {memory:.2f} GB")
            print("  " + said.replace("\n", "\n  ").strip())
        print(f"joined: {Path(joined).stat().st_size / kept:.0f} bytes a row")
        print(f"join and summarise: {total:.1f} s (bar {BAR_S:.0f} s, {BAR_GB:.0f} GB)")


def bytes_below(folder: Path) -> dict[str, int]:
    """Bytes of each file or folder of results."""
    return {
        place.name: sum(
            file.stat().st_size for file in [place, *place.rglob("*")] if file.is_file()
        )
        for place in sorted(folder.iterdir())
    }


def rate(chosen: argparse.Namespace) -> None:
    """Classify the scans of a folder, and say what each costs."""
    scans = sorted(str(path) for path in Path(chosen.scans).rglob("*.dcm"))[: chosen.count]
    few = 2
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as scratch:
        for workers in chosen.workers:
            for more in (["--parquet"], ["--parquet", "--maps", "--no-pictures"]):
                times = []
                for which in (scans[:few], scans):
                    out = Path(scratch) / f"{workers}-{len(more)}-{len(which)}"
                    words = ["classify", *which, "--out", str(out), "--workers", str(workers)]
                    times.append(measured([*words, *more], quiet=True))
                (short, used_short, *_), (took, used, memory, _) = times
                count = len(scans) - few
                print(
                    f"{workers} workers, {' '.join(more)}: {count / (took - short):.2f} scans a "
                    f"second, {(used - used_short) / count:.3f} s of processor time each; start "
                    f"{used_short:.1f} s; {memory:.2f} GB in one process"
                )
                for name, size in bytes_below(out).items():
                    print(f"  {name}: {size / len(scans):.0f} bytes a scan")


@dataclass(frozen=True)
class Cluster:
    """A cluster that works through blocks of studies.

    Attributes:
        nodes: number of nodes.
        cores: of each.
        lost_every_s: mean time after which a node is lost; infinity if none is.
        back_s: time until a lost node is back.
    """

    nodes: int
    cores: int
    lost_every_s: float = np.inf
    back_s: float = 300.0


def makespan(lengths: np.ndarray, cluster: Cluster, rng: np.random.Generator) -> float:
    """Seconds until all blocks are done, each given to the next free core, in order.

    Args:
        lengths: seconds of each block.
        cluster: what works on them.
        rng: draws when nodes are lost (exponential waiting times).
    """
    waiting = deque(range(len(lengths)))
    free = [(node, 0) for node in range(cluster.nodes) for _ in range(cluster.cores)][::-1]
    life = [0] * cluster.nodes
    working: list[dict[int, None]] = [{} for _ in range(cluster.nodes)]
    events: list[tuple[float, int, int, int]] = []  # time, node, its life, block or -1
    for node in range(cluster.nodes):
        if np.isfinite(cluster.lost_every_s):
            heapq.heappush(events, (rng.exponential(cluster.lost_every_s), node, 0, LOST))
    now, done = 0.0, 0
    while done < len(lengths):
        while waiting and free:
            node, born = free.pop()
            if born == life[node]:
                block = waiting.popleft()
                working[node][block] = None
                heapq.heappush(events, (now + lengths[block], node, born, block))
        now, node, born, what = heapq.heappop(events)
        if what == BACK:
            free += [(node, life[node])] * cluster.cores
            heapq.heappush(
                events, (now + rng.exponential(cluster.lost_every_s), node, life[node], LOST)
            )
        elif born != life[node]:
            continue
        elif what == LOST:
            life[node] += 1
            waiting.extendleft(working[node])
            working[node] = {}
            heapq.heappush(events, (now + cluster.back_s, node, life[node], BACK))
        else:
            del working[node][what]
            done += 1
            free.append((node, born))
    return now


def block_lengths(
    studies: int,
    block: int,
    rng: np.random.Generator,
    *,
    mean_s: float,
    spread: float,
    start_s: float,
) -> np.ndarray:
    """Seconds of each block: lognormal times of its studies, and what a block costs by itself."""
    shift = np.log(mean_s) - spread**2 / 2
    times = rng.lognormal(shift, spread, studies)
    starts = np.arange(0, studies, block)
    return np.add.reduceat(times, starts) + start_s


def stragglers(chosen: argparse.Namespace) -> None:
    """Print the table of block sizes and losses, and the comparison with closed forms."""
    rng = np.random.default_rng(chosen.seed)
    same = np.full(1003, 60.0)
    found = makespan(same, Cluster(nodes=8, cores=4), rng)
    print(f"equal blocks, no loss: {found:.0f} s, closed form {np.ceil(1003 / 32) * 60:.0f} s")
    mean, back, length, blocks = 600.0, 120.0, 400.0, 5000
    one = Cluster(nodes=1, cores=1, lost_every_s=mean, back_s=back)
    found = makespan(np.full(blocks, length), one, rng)
    expected = blocks * (mean + back) * np.expm1(length / mean)
    print(
        f"one core that is lost: {found:.0f} s, expected {expected:.0f} s ({found / expected:.3f})"
    )
    cores = chosen.nodes * chosen.cores
    ideal = chosen.studies * chosen.mean / cores
    print(
        f"{chosen.studies} studies on {chosen.nodes} nodes of {chosen.cores} cores: {ideal:.0f} s"
    )
    for block in chosen.blocks:
        cells = []
        for hours in (np.inf, 24.0, 1.0, 0.25):
            cluster = Cluster(chosen.nodes, chosen.cores, lost_every_s=3600 * hours)
            ratios = []
            for draw in range(chosen.draws):
                rng = np.random.default_rng([chosen.seed, block, draw])
                lengths = block_lengths(
                    chosen.studies,
                    block,
                    rng,
                    mean_s=chosen.mean,
                    spread=chosen.spread,
                    start_s=chosen.start,
                )
                ratios.append(makespan(lengths, cluster, rng) / ideal)
            cells.append(f"{np.mean(ratios):.3f}")
        print(f"| {block} | {block * chosen.mean:.0f} | {' | '.join(cells)} |")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    joining = commands.add_parser("join", help="join and summarise results")
    joining.add_argument("--rows", type=int, default=1_000_000)
    joining.add_argument("--folders", type=int, default=40)
    joining.add_argument("--scratch", default=None, help="folder for the files")
    joining.set_defaults(work=join)
    rating = commands.add_parser("rate", help="processor time and bytes per scan")
    rating.add_argument("--scans", required=True, help="folder of scans")
    rating.add_argument("--count", type=int, default=60)
    rating.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    rating.add_argument("--scratch", default=None, help="folder for the files")
    rating.set_defaults(work=rate)
    losing = commands.add_parser("stragglers", help="simulate slow tasks and lost nodes")
    losing.add_argument("--studies", type=int, default=1_000_000)
    losing.add_argument("--nodes", type=int, default=4)
    losing.add_argument("--cores", type=int, default=16)
    losing.add_argument("--mean", type=float, default=0.13, help="seconds of a core per study")
    losing.add_argument("--spread", type=float, default=0.6, help="sigma of the logarithm")
    losing.add_argument("--start", type=float, default=0.5, help="seconds that a block costs")
    losing.add_argument("--blocks", type=int, nargs="+", default=[10, 100, 1000, 5000])
    losing.add_argument("--draws", type=int, default=5)
    losing.add_argument("--seed", type=int, default=1)
    losing.set_defaults(work=stragglers)
    chosen = parser.parse_args()
    chosen.work(chosen)


if __name__ == "__main__":
    main()
