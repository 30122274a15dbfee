"""Feed the reader mutated, truncated and bit-flipped files; it must answer each one.

    python benchmarks/fuzz_reader.py --count 20000 --seed 1

Each file must give a `Scan` or a `BonescintError`. The reader runs in worker processes, so that a
crash, a hang (over `--timeout` seconds) or memory over 1 GB would be seen and counted. Case
number n of a seed is always the same file; `--keep FOLDER` writes the files that broke the bar.
Exits with 1 if the bar is broken.
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
import zlib
from collections import Counter
from dataclasses import asdict, dataclass
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

MEMORY_BAR_BYTES = 1_000_000_000
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)


@dataclass(frozen=True)
class Outcome:
    """What the reader did with one case."""

    case: int
    seed_name: str
    kind: str
    seconds: float
    peak_bytes: int
    decoder_deaths: int


def make_seeds() -> dict[str, bytes]:
    """Well-formed files of every kind that the reader takes, small enough to be quick."""
    import dicom_files as files
    from PIL import Image

    seeds: dict[str, bytes] = {}
    anterior = files.paint_body(1, rows=320, columns=80)
    posterior = files.paint_body(2, rows=320, columns=80, posterior=True)
    deflated, big_endian, implicit = (
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2",
    )
    compressed = {
        "rle": "1.2.840.10008.1.2.5",
        "jpeg lossless": "1.2.840.10008.1.2.4.70",
        "jpeg-ls": "1.2.840.10008.1.2.4.80",
        "jpeg 2000": "1.2.840.10008.1.2.4.90",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed.dcm"

        def ge() -> object:
            dataset = files.ge_discovery(anterior, posterior)
            dataset.PixelSpacing = ["6", "6"]
            return dataset

        seeds["ge"] = files.save(ge(), path).read_bytes()
        siemens = files.siemens(anterior, posterior)
        siemens.PixelSpacing = ["6", "6"]
        seeds["siemens"] = files.save(siemens, path).read_bytes()
        single = files.one_view(anterior, 1, image_id="ANT")
        single.PixelSpacing = ["6", "6"]
        seeds["one view"] = files.save(single, path).read_bytes()
        for name, syntax in (
            ("deflated", deflated),
            ("big endian", big_endian),
            ("implicit", implicit),
        ):
            seeds[name] = files.save(ge(), path, transfer_syntax=syntax).read_bytes()
        for name, syntax in compressed.items():
            seeds[name] = files.save_compressed(ge(), path, transfer_syntax=syntax).read_bytes()
    picture = np.hstack([anterior, posterior]).clip(0, 255).astype(np.uint8)
    for kind in ("PNG", "JPEG"):
        stream = BytesIO()
        Image.fromarray(picture).save(stream, kind)
        seeds[kind] = stream.getvalue()
    return {**seeds, **_real_seeds()}


def _real_seeds() -> dict[str, bytes]:
    from pydicom.data import get_testdata_file

    seeds = {}
    for name in ("JPEG-LL.dcm", "JPGExtended.dcm", "JPEG2000.dcm"):
        found = get_testdata_file(name, download=False)
        if found:
            seeds[name] = Path(str(found)).read_bytes()
    return seeds


def mutated(seeds: dict[str, bytes], case: int, seed: int) -> tuple[str, bytes]:
    """The file of one case: a seed's name and its mutated bytes."""
    rng = np.random.default_rng([seed, case])
    name = sorted(seeds)[rng.integers(len(seeds))]
    content = bytearray(seeds[name])
    if name == "deflated" and rng.random() < 0.5:
        return name, _mutated_inside(bytes(content), rng)
    for _ in range(int(rng.geometric(0.6))):
        _mutate_once(content, seeds, rng)
    return name, bytes(content)


def _mutated_inside(content: bytes, rng: np.random.Generator) -> bytes:
    """Mutate a deflated data set before it is deflated."""
    start = 132 + 12 + int.from_bytes(content[140:144], "little")
    inner = bytearray(zlib.decompressobj(-15).decompress(content[start:]))
    for _ in range(int(rng.geometric(0.6))):
        _mutate_once(inner, {}, rng)
    packer = zlib.compressobj(wbits=-15)
    return content[:start] + packer.compress(bytes(inner)) + packer.flush()


def _mutate_once(content: bytearray, seeds: dict[str, bytes], rng: np.random.Generator) -> None:
    if not content:
        return
    reach = min(len(content), 3000) if rng.random() < 0.6 else len(content)
    at = int(rng.integers(reach))
    match int(rng.integers(8)):
        case 0:
            content[at] ^= 1 << int(rng.integers(8))
        case 1:
            for place in rng.integers(reach, size=int(rng.integers(2, 60))):
                content[place] = int(rng.integers(256))
        case 2:
            del content[int(rng.integers(len(content))) :]
        case 3:
            del content[at : at + int(rng.integers(1, 64))]
        case 4:
            content[at:at] = rng.bytes(int(rng.integers(1, 64)))
        case 5:
            width = int(rng.choice([1, 2, 4]))
            value = INTERESTING[rng.integers(len(INTERESTING))] % (1 << (8 * width))
            order = "little" if rng.random() < 0.7 else "big"
            content[at : at + width] = value.to_bytes(width, order)
        case 6:
            end = at + int(rng.integers(1, 400))
            content[at:end] = bytes(len(content[at:end]))
        case _:
            other = seeds[sorted(seeds)[rng.integers(len(seeds))]] if seeds else bytes(content)
            start = int(rng.integers(len(other)))
            content[at : at + 256] = other[start : start + int(rng.integers(1, 256))]


def serve(seed: int, first: int, step: int, count: int, pipe: Connection) -> None:
    """Worker: read the cases first, first + step, ... and report each."""
    from bonescint.dicom import StudyFiles, discover, read_study
    from bonescint.dicom.decoding import shared_decoder
    from bonescint.scan import BonescintError, NotABoneScanError, ViewConflictError

    seeds = make_seeds()
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder:
        for case in range(first, count, step):
            name, content = mutated(seeds, case, seed)
            suffix = name.lower() if name in ("PNG", "JPEG") else "dcm"
            path = Path(folder) / f"case.{suffix}"
            path.write_bytes(content)
            pipe.send(("begin", case, name))
            started = time.perf_counter()
            try:
                discover([path])
                read_study(StudyFiles((path,), str(path)))
                kind = "scan"
            except ViewConflictError:
                kind = "views contradict"
            except NotABoneScanError:
                kind = "not a bone scan"
            except BonescintError as error:
                kind = "input error" if "\n" not in str(error) else "BROKEN: error of two lines"
            except BaseException as error:  # noqa: BLE001 - the very thing that is looked for
                kind = f"BROKEN: {type(error).__name__}"
            seconds = time.perf_counter() - started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            peak += _decoder_peak(shared_decoder())
            outcome = Outcome(case, name, kind, seconds, peak, shared_decoder().crashes)
            pipe.send(("end", outcome))
        shared_decoder().close()
    pipe.send(("done",))


def _memory_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


def _decoder_peak(decoder: object) -> int:
    process = getattr(decoder, "_process", None)
    dead = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if process is None:
        return dead
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return dead
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return max(dead, int(peaks[0]) * 1024 if peaks else 0)


def run_worker(seed: int, first: int, step: int, count: int, timeout_s: float) -> list[Outcome]:
    """Watch one worker; after a crash or a hang go on behind the case that did it."""
    context = multiprocessing.get_context("spawn")
    outcomes: list[Outcome] = []
    deaths_before = 0
    while first < count:
        here, there = context.Pipe(duplex=False)
        worker = context.Process(target=serve, args=(seed, first, step, count, there))
        worker.start()
        there.close()
        current: tuple[int, str] = (first, "?")
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
                outcomes.append(message[1])
        worker.kill() if problem else None
        worker.join()
        if not problem:
            return outcomes
        deaths_before += 1
        outcomes.append(Outcome(*current, problem, timeout_s, 0, 0))
        first = current[0] + step
    return outcomes


def summary(outcomes: list[Outcome]) -> dict[str, object]:
    """The table's numbers."""
    by_kind = Counter(outcome.kind for outcome in outcomes)
    slowest = sorted(outcomes, key=lambda outcome: -outcome.seconds)[:5]
    return {
        "files": len(outcomes),
        "outcomes": dict(by_kind.most_common()),
        "broken": sum(number for kind, number in by_kind.items() if kind.startswith("BROKEN")),
        "decoder_processes_lost": max((o.decoder_deaths for o in outcomes), default=0),
        "median_ms": 1000 * float(np.median([o.seconds for o in outcomes])),
        "slowest": [asdict(outcome) for outcome in slowest],
        "peak_memory_mb": max(o.peak_bytes for o in outcomes) / 1e6,
    }


def main() -> int:
    """Run the corpus and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=30.0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started = time.perf_counter()
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(options.workers) as pool:
        runs = [
            pool.submit(
                run_worker, options.seed, first, options.workers, options.count, options.timeout
            )
            for first in range(options.workers)
        ]
        outcomes = [outcome for run in runs for outcome in run.result()]
    table = summary(outcomes)
    table["seconds"] = time.perf_counter() - started
    if options.keep:
        _keep_broken(outcomes, options.seed, options.keep)
    print(json.dumps(table) if options.json else _as_text(table))
    over = float(str(table["peak_memory_mb"])) * 1e6 > MEMORY_BAR_BYTES
    return 1 if table["broken"] or over or len(outcomes) < options.count else 0


def _keep_broken(outcomes: list[Outcome], seed: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    seeds = make_seeds()
    for outcome in outcomes:
        if outcome.kind.startswith("BROKEN"):
            name, content = mutated(seeds, outcome.case, seed)
            (folder / f"{outcome.case}-{name.replace(' ', '_')}").write_bytes(content)


def _as_text(table: dict[str, object]) -> str:
    lines = [f"{key:24} {value}" for key, value in table.items() if key != "slowest"]
    slowest = table["slowest"]
    if isinstance(slowest, list):
        lines += [
            f"slow: case {o['case']:6} {o['seed_name']:16} {o['kind']:18} {o['seconds']:.3f} s"
            for o in slowest
        ]
    return os.linesep.join(lines)


if __name__ == "__main__":
    sys.exit(main())
