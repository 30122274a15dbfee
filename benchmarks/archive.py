"""What an archive of a million studies costs, after classifying: time, memory and bytes.

    python benchmarks/archive.py join --rows 1000000

`join` makes results of `--folders` runs (a hundredth of the rows are in two of them, a tenth are
refused inputs), joins them, and filters and summarises the joined table, each in a process of its
own: wall time, processor time and the highest memory of that process.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from bonescint.classify.table import RunFacts, results_schema, write_part

BAR_S, BAR_GB = 60.0, 2.0
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


def measured(words: list[str]) -> tuple[float, float, float, str]:
    """Wall time and processor time in seconds, memory in GB, and what a command printed."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, "-m", "bonescint", *words], stderr=said)
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
    chosen = parser.parse_args()
    chosen.work(chosen)


if __name__ == "__main__":
    main()
