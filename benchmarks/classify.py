"""How long `bonescint classify` takes, and how much memory, from files to results.

    python benchmarks/classify.py                 # 134 two-view studies, as in the paper
    python benchmarks/classify.py --count 2000    # memory must not grow with the list
    python benchmarks/classify.py --studies DIR   # DICOM studies that are there already

Studies are simulated once and kept in `--cache`. A list longer than what was simulated is made
of copies with UIDs of their own, so that each is a study. The real command runs as a process of
its own; memory is sampled over it and all its children: proportional set size (PSS, which
counts shared pages once) where Linux tells it, otherwise resident set size.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_SIMULATED = 134
_SAMPLE_S = 0.1


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run took."""

    studies: int
    classified: int
    wall_s: float
    cpu_s: float
    peak_bytes: int
    peak_parent_bytes: int
    half_way_bytes: int


def main() -> None:
    """Measure and print a table."""
    options = _options()
    studies = options.studies or _simulated(options.cache)
    files = sorted(studies.rglob("*.dcm"))
    with tempfile.TemporaryDirectory(prefix="bonescint-benchmark-") as name:
        folder = Path(name)
        _lay_out(files, folder / "studies", options.count)
        measured = [_measured(folder, options) for _ in range(options.repeat)]
    best = min(measured, key=lambda one: one.wall_s)
    print(f"{_machine()}")
    rows = [
        ("studies", f"{best.studies}"),
        ("classified", f"{best.classified}"),
        ("wall time", f"{best.wall_s:.1f} s (best of {options.repeat})"),
        ("CPU time, all processes", f"{best.cpu_s:.1f} s"),
        ("a study", f"{1000 * best.wall_s / best.studies:.0f} ms"),
        ("peak memory, all processes", f"{best.peak_bytes / 2**20:.0f} MiB"),
        ("peak memory, first half", f"{best.half_way_bytes / 2**20:.0f} MiB"),
        ("peak memory, main process", f"{best.peak_parent_bytes / 2**20:.0f} MiB"),
    ]
    for label, text in rows:
        print(f"{label:<28}{text}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=_SIMULATED, help="studies to classify")
    parser.add_argument("--studies", type=Path, help="folder of DICOM studies to use")
    parser.add_argument("--cache", type=Path, default=Path("build/benchmark-studies"))
    parser.add_argument("--model", type=Path, help="model folder (default: the shipped one)")
    parser.add_argument("--workers", type=int, help="passed on")
    parser.add_argument("--repeat", type=int, default=1)
    return parser.parse_args()


def _simulated(cache: Path) -> Path:
    """Simulate the studies, or go on where that was stopped."""
    from bonescint.cohort import mixed_protocol, simulate_cohort

    print(f"Studies in {cache} (simulated if missing) ...", file=sys.stderr)
    simulate_cohort(cache, mixed_protocol(_SIMULATED), seed=134)
    return cache / "scans"


def _lay_out(files: list[Path], target: Path, count: int) -> None:
    """Put `count` studies in a folder: links, then copies that are studies of their own."""
    import pydicom

    if not files:
        sys.exit("No DICOM file was found.")
    target.mkdir()
    for number in range(count):
        source, turn = files[number % len(files)], number // len(files)
        place = target / f"{number:05d}.dcm"
        if turn == 0:
            place.symlink_to(source.resolve())
            continue
        dataset = pydicom.dcmread(source)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(dataset, keyword, f"{getattr(dataset, keyword)[:55]}.{turn}")
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(place)


def _measured(folder: Path, options: argparse.Namespace) -> Measurement:
    out = folder / "results"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-c", "from bonescint.cli import main; main()", "classify"]
    command += [str(folder / "studies"), "--out", str(out), "--json"]
    if options.model:
        command += ["--model", str(options.model)]
    if options.workers is not None:
        command += ["--workers", str(options.workers)]
    with (folder / "summary.json").open("w") as summary:
        used, began = _cpu_s(), time.perf_counter()
        process = subprocess.Popen(command, stdout=summary)
        samples = _memory_until_end(process)
        wall_s, cpu_s = time.perf_counter() - began, _cpu_s() - used
    if process.returncode not in (0, 1):
        sys.exit(f"bonescint classify ended with status {process.returncode}.")
    content = json.loads((folder / "summary.json").read_text())
    half = samples[: max(1, len(samples) // 2)]
    return Measurement(
        studies=options.count,
        classified=len(content["results"]),
        wall_s=wall_s,
        cpu_s=cpu_s,
        peak_bytes=max(total for total, _ in samples),
        peak_parent_bytes=max(parent for _, parent in samples),
        half_way_bytes=max(total for total, _ in half),
    )


def _cpu_s() -> float:
    """CPU time of ended children and theirs: what wall time would be on one idle core."""
    times = os.times()
    return times.children_user + times.children_system


def _memory_until_end(process: subprocess.Popen[bytes]) -> list[tuple[int, int]]:
    """(all processes, main process) in bytes, sampled until the process ends."""
    samples = [(0, 0)]
    parent = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            family = [parent, *parent.children(recursive=True)]
            sizes = [_bytes_of(member) for member in family]
        except psutil.NoSuchProcess:
            continue
        samples.append((sum(sizes), sizes[0]))
        time.sleep(_SAMPLE_S)
    return samples


def _bytes_of(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
        return int(getattr(memory, "pss", memory.rss))
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0
    except psutil.AccessDenied:
        return int(process.memory_info().rss)


def _machine() -> str:
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory().total / 2**30
    return f"{name}, {cores} cores, {memory:.0f} GiB, load {os.getloadavg()[0]:.1f} at the end"


if __name__ == "__main__":
    main()
