"""Feed the reader damaged, swollen and twisted files; it must answer each one, and rightly.

    python benchmarks/fuzz_reader.py --count 20000 --seed 1 --log fuzz.jsonl

`fuzz_cases.py` says what the cases are. Each must give scans or a `BonescintError`; where the truth
is known, each view must be the right one, or be refused, or come with a warning of what was done.
The reader runs in worker processes, so that a crash, a hang (over `--timeout` seconds) or memory
over 1 GB would be seen and counted; a case that takes the processor for over 5 s breaks the bar.
Case number n of a seed is always the same; `--keep FOLDER` writes the files that broke the bar.
With `--log` the outcomes are kept, and the same command goes on where it was stopped. Exits with 1
if the bar is broken.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from fuzz_cases import Truth, case_of

if TYPE_CHECKING:
    from bonescint.scan import Scan

MEMORY_BAR_BYTES = 1_000_000_000
SECONDS_BAR = 5.0


@dataclass(frozen=True)
class Outcome:
    """What the reader did with one case."""

    case: int
    name: str
    kind: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    decoder_deaths: int


def judged(scans: Sequence[Scan], truth: Truth | None) -> str:
    """What kind of an answer it was; `BROKEN: ...` for a wrong one.

    A view is wrong if it resembles another true view, or its own turned over, more than itself.
    A scan with a warning about views or orientation has said so. A true view that is missing must
    be told of.
    """
    if truth is None or not scans:
        return "scan"
    texts = [text for scan in scans for text in scan.warnings]
    said = any("view" in text for text in texts)
    turned = any(word in text for text in texts for word in _TURNED)
    patients = [
        {_patient_of(image, view.value, truth) for view, image in scan.images()} for scan in scans
    ]
    if any(len(owners) > 1 for owners in patients):
        return "BROKEN: two patients in one scan"
    for scan in scans:
        for view, image in scan.images():
            if _likest(image, truth) != (view.value, "as it is"):
                return "warned" if turned else "BROKEN: wrong view"
    found = sum(len(scan.views) for scan in scans)
    if found < sum(len(views) for views in truth.scans):
        return "warned" if said else "BROKEN: a view is lost"
    together = len(scans) == len(truth.scans)
    return "right" if together else "right, apart" if said else "BROKEN: apart unsaid"


_TURNED = ("orientation", "assumed")


def _likest(image: Any, truth: Truth) -> tuple[str, str]:
    """The true view, and how it is turned, that an image resembles most."""
    turns = {
        "as it is": lambda a: a,
        "upside down": lambda a: a[::-1],
        "mirrored": lambda a: a[:, ::-1],
        "turned": lambda a: a[::-1, ::-1],
    }
    scores = {
        (view, turn): _likeness(image, turned(np.asarray(true, float)))
        for views in truth.scans
        for view, true in views.items()
        for turn, turned in turns.items()
    }
    return max(scores, key=lambda key: scores[key])


def _patient_of(image: Any, view: str, truth: Truth) -> int:
    """Which scan of the truth an image comes from."""
    scores = [
        max(_likeness(image, np.asarray(true, float)) for true in views.values())
        for views in truth.scans
    ]
    return int(np.argmax(scores))


def _likeness(image: Any, true: Any) -> float:
    rows, columns = min(image.shape[0], true.shape[0]), min(image.shape[1], true.shape[1])
    return float(np.corrcoef(image[:rows, :columns].ravel(), true[:rows, :columns].ravel())[0, 1])


def answer(paths: Sequence[Path], truth: Truth | None) -> str:
    """Search and read; the kind of the outcome."""
    from bonescint.dicom import discover, read_study
    from bonescint.scan import BonescintError, NotABoneScanError, ViewConflictError

    scans: list[Scan] = []
    refusals: list[BonescintError] = []
    try:
        found = discover(paths)
        refusals += found.refused
        for study in found.studies:
            try:
                scans.append(read_study(study))
            except BonescintError as error:
                refusals.append(error)
        told = [str(error) for error in refusals]
    except BaseException as error:  # noqa: BLE001 - the very thing that is looked for
        return f"BROKEN: {type(error).__name__}"
    if any("\n" in text for text in told):
        return "BROKEN: error of two lines"
    if scans:
        kind = judged(scans, truth)
        return "right or refused" if refusals and kind == "BROKEN: a view is lost" else kind
    for sort, kind in ((ViewConflictError, "views contradict"), (NotABoneScanError, "no scan")):
        if any(isinstance(refusal, sort) for refusal in refusals):
            return kind
    return "input error" if refusals else "nothing"


def serve(seed: int, cases: Sequence[int], pipe: Connection) -> None:
    """Worker: read the cases and report each."""
    from bonescint.dicom.decoding import shared_decoder

    with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder:
        for number in cases:
            case = case_of(seed, number)
            paths = []
            for name, content in case.files.items():
                paths.append(Path(folder) / name)
                paths[-1].write_bytes(content)
            pipe.send(("begin", number, case.name))
            _forget_peak()
            started, cpu = time.perf_counter(), _cpu_seconds()
            kind = answer(paths, case.truth)
            seconds, cpu = time.perf_counter() - started, _cpu_seconds() - cpu
            ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
            peak = max(_peak_of("self") + _decoder_peak(shared_decoder()), ended)
            if not kind.startswith("BROKEN"):
                if cpu > SECONDS_BAR:
                    kind = "BROKEN: slow"
                if peak > MEMORY_BAR_BYTES:
                    kind = "BROKEN: memory"
            for path in paths:
                path.unlink()
            crashes = shared_decoder().crashes
            pipe.send(("end", Outcome(number, case.name, kind, seconds, cpu, peak, crashes)))
        shared_decoder().close()
    pipe.send(("done",))


def _cpu_seconds() -> float:
    """Processor time of this process and of those that it ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _memory_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


def _forget_peak() -> None:
    """Let the kernel count this process's highest memory anew (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # then the peak is that of all cases so far
        return


def _peak_of(process: object) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peaks[0]) * 1024 if peaks else 0


def _decoder_peak(decoder: object) -> int:
    process = getattr(decoder, "_process", None)
    return 0 if process is None else _peak_of(process.pid)


def run_worker(seed: int, cases: Sequence[int], timeout_s: float) -> Iterator[Outcome]:
    """Watch one worker; after a crash or a hang go on behind the case that did it."""
    context = multiprocessing.get_context("spawn")
    left = list(cases)
    while left:
        here, there = context.Pipe(duplex=False)
        worker = context.Process(target=serve, args=(seed, left, there))
        worker.start()
        there.close()
        current: tuple[int, str] = (left[0], "?")
        problem = ""
        while not problem:
            try:
                if not here.poll(timeout_s + (60 if current[1] == "?" else 0)):
                    problem = "BROKEN: hang"
                    break
                message = here.recv()
            except EOFError:
                problem = "BROKEN: crash"
                break
            if message[0] == "done":
                break
            if message[0] == "begin":
                current = message[1:]
            else:
                yield message[1]
        worker.kill() if problem else None
        worker.join()
        if not problem:
            return
        yield Outcome(*current, problem, timeout_s, timeout_s, 0, 0)
        left = left[left.index(current[0]) + 1 :]


def summary(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The table's numbers."""
    by_kind = Counter(outcome.kind for outcome in outcomes)
    by_family = Counter(f"{o.name.split()[0]}: {o.kind}" for o in outcomes)
    slowest = sorted(outcomes, key=lambda outcome: -outcome.cpu_seconds)[:5]
    return {
        "files": len(outcomes),
        "outcomes": dict(by_kind.most_common()),
        "by_family": dict(sorted(by_family.items())),
        "broken": sum(number for kind, number in by_kind.items() if kind.startswith("BROKEN")),
        "decoder_processes_lost": max((o.decoder_deaths for o in outcomes), default=0),
        "median_ms": 1000 * float(np.median([o.seconds for o in outcomes])),
        "slowest_cpu_s": slowest[0].cpu_seconds,
        "slowest": [asdict(outcome) for outcome in slowest],
        "peak_memory_mb": max(o.peak_bytes for o in outcomes) / 1e6,
    }


@contextmanager
def _kept(log: Path | None) -> Iterator[tuple[list[Outcome], Any]]:
    """Outcomes of an earlier run, and what keeps another one."""
    earlier: list[Outcome] = []
    if log is None:
        yield earlier, lambda _outcome: None
        return
    if log.exists():
        lines = log.read_text().splitlines(keepends=True)
        earlier = [Outcome(**json.loads(line)) for line in lines if line.endswith("\n")]
    lock = Lock()
    with log.open("a") as stream:

        def keep(outcome: Outcome) -> None:
            with lock:
                stream.write(json.dumps(asdict(outcome)) + "\n")
                stream.flush()

        yield earlier, keep


def main() -> int:
    """Run the corpus and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=120.0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    from concurrent.futures import ThreadPoolExecutor

    started = time.perf_counter()
    with _kept(options.log) as (outcomes, keep):
        done = {outcome.case for outcome in outcomes}
        left = [number for number in range(options.count) if number not in done]

        def watch(first: int) -> list[Outcome]:
            found = []
            cases = left[first :: options.workers]
            for outcome in run_worker(options.seed, cases, options.timeout):
                keep(outcome)
                found.append(outcome)
            return found

        with ThreadPoolExecutor(options.workers) as pool:
            runs = [pool.submit(watch, first) for first in range(options.workers)]
            outcomes += [outcome for run in runs for outcome in run.result()]
    table = summary(outcomes)
    table["seconds"] = time.perf_counter() - started
    if options.keep:
        _keep_broken(outcomes, options.seed, options.keep)
    print(json.dumps(table) if options.json else _as_text(table))
    return 1 if table["broken"] or len(outcomes) < options.count else 0


def _keep_broken(outcomes: Sequence[Outcome], seed: int, folder: Path) -> None:
    for outcome in outcomes:
        if outcome.kind.startswith("BROKEN"):
            target = folder / f"{outcome.case}-{outcome.name.replace(' ', '_')}"
            target.mkdir(parents=True, exist_ok=True)
            for name, content in case_of(seed, outcome.case).files.items():
                (target / name).write_bytes(content)


def _as_text(table: Mapping[str, object]) -> str:
    lines = [f"{key:24} {value}" for key, value in table.items() if key != "slowest"]
    slowest = table["slowest"]
    if isinstance(slowest, list):
        lines += [
            f"slow: case {o['case']:6} {o['name']:28} {o['kind']:18} {o['cpu_seconds']:.3f} s"
            for o in slowest
        ]
    return os.linesep.join(lines)


if __name__ == "__main__":
    sys.exit(main())
