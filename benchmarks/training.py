"""Training: is data the brake, and does a killed run end as an undisturbed one?

    python benchmarks/training.py throughput cohorts/ab/manifest.csv --weights vgg16.safetensors
    python benchmarks/training.py throughput cohorts/ab/manifest.csv --settings compact
    python benchmarks/training.py scans cohorts/ab/manifest.csv
    python benchmarks/training.py kills --weights vgg16.safetensors --work /tmp/kills

`throughput` times steps of a configuration as they are trained, with reading and augmenting, and
steps on one batch that is repeated; the share is what the data loader leaves of the speed.
`scans` times what a loader does for one scan: read, prepare, and augment where it happens.
`kills` trains on a small simulated cohort once undisturbed and once killed with -9 at random
moments, begun anew with the same command each time, and compares the weights byte by byte.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TypeVar
from unittest import mock

import numpy as np
import yaml

from bonescint.cohort import Centre, Protocol, Studies, read_manifest, simulate_cohort
from bonescint.model import ModelFolder
from bonescint.prepare import prepare
from bonescint.scan import Split
from bonescint.simulate import CAMERAS
from bonescint.train import TrainingStage, read_configuration
from bonescint.train.cached import cached_scans
from bonescint.train.dataset import TrainingBatch, training_loader
from bonescint.train.run import RunFolder
from bonescint.train.training import fit
from bonescint.train.weights import NOTHING_LEARNT, load_weights

T = TypeVar("T")
_WARM_UP = 5  # steps before the workers' queues are full and memory is laid out


@dataclass
class Stamped:
    """Batches of a loader, or its first one again and again, with the time of each step."""

    loader: Sequence[TrainingBatch]
    repeated: bool
    stamps: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[TrainingBatch]:
        batches = iter(self.loader)
        first = next(batches)
        for number in range(len(self)):
            self.stamps.append(time.perf_counter())
            yield first if self.repeated or not number else next(batches)
        self.stamps.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Mean time of a step."""
        return float(np.mean(np.diff(self.stamps)[_WARM_UP:]))


def throughput(options: argparse.Namespace) -> None:
    """Print steps a second with the data and without."""
    settings = replace(
        read_configuration(options.settings),
        stages=(TrainingStage(epochs=1, rows=options.rows),),
        steps_per_epoch=options.steps,
    )
    cohort = read_manifest(options.manifest)
    weights = load_weights(options.weights) if options.weights else NOTHING_LEARNT
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        sources = {
            split: cached_scans(cohort, split, Path(folder) / "scans", workers=2)
            for split in (Split.TRAIN, Split.VALIDATION)
        }
        for name, repeated in (("data", False), ("one batch", True)):
            made: list[Stamped] = []

            def stamped(
                *given: object,
                repeated: bool = repeated,
                made: list[Stamped] = made,
                **more: object,
            ) -> object:
                loader = training_loader(*given, **more)  # type: ignore[arg-type]
                if more.get("persistent") is False:  # that which standardises the features
                    return loader
                made.append(Stamped(loader, repeated))  # type: ignore[arg-type]
                return made[-1]

            run = RunFolder(Path(folder) / name)
            run.path.mkdir()
            with mock.patch("bonescint.train.training.training_loader", stamped):
                fit(
                    sources[Split.TRAIN],
                    sources[Split.VALIDATION],
                    settings=settings,
                    weights=weights,
                    run=run,
                )
            seconds[name] = made[-1].seconds
            print(f"{name}: {seconds[name]:.3f} s a step, {1 / seconds[name]:.2f} steps a second")
    print(f"data leave {seconds['one batch'] / seconds['data']:.1%} of the speed")


def scans(options: argparse.Namespace) -> None:
    """Print milliseconds of a scan: read, prepared, and changed by each augmentation."""
    settings = read_configuration(options.settings)
    rng = np.random.default_rng(1)
    spent: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        made = work()
        spent.setdefault(name, []).append(1000 * (time.perf_counter() - start))
        return made

    with tempfile.TemporaryDirectory() as folder:
        source = cached_scans(
            read_manifest(options.manifest), Split.VALIDATION, Path(folder), workers=2
        )
        for index in range(min(options.scans, len(source))):
            sample = timed("read", partial(source.sample, index))
            timed("prepared", partial(prepare, sample.scan, settings.preprocessing))
            for augmentation in settings.scan_augmentations:
                always = (
                    replace(augmentation, probability=1.0)
                    if is_dataclass(augmentation) and hasattr(augmentation, "probability")
                    else augmentation
                )
                timed(augmentation.kind, partial(always, sample, rng))
    for name, found in spent.items():
        middle, high = np.percentile(found[_WARM_UP:], (50, 95))
        print(f"{name:<18} median {middle:5.1f} ms, 95th percentile {high:5.1f} ms")


def kills(options: argparse.Namespace) -> None:
    """Print whether a run that was killed ends with an undisturbed one's weights."""
    work = options.work
    shutil.rmtree(work, ignore_errors=True)
    centre = Centre(
        cameras={camera: 1 / len(CAMERAS) for camera in CAMERAS},
        studies={
            Split.TRAIN: Studies(positive=16, negative=24),
            Split.VALIDATION: Studies(positive=6, negative=6),
        },
    )
    protocol = Protocol(name="kills", version=1, centres={"one": centre})
    simulate_cohort(work / "cohort", protocol, seed=1)
    configurations = resources.files("bonescint.train") / "configurations"
    configuration = {
        **yaml.safe_load(configurations.joinpath(f"{options.settings}.yaml").read_text("utf-8")),
        "stages": [{"epochs": 14, "rows": 64}, {"epochs": 1, "rows": 128}],
        "checkpoint_steps": 2,
    }
    (work / "configuration.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    start = time.perf_counter()
    subprocess.run(command(options, work / "whole"), check=True)
    usual = time.perf_counter() - start
    rng = random.Random(options.seed)  # noqa: S311
    done = 0
    while done < options.kills:
        process = subprocess.Popen(command(options, work / "killed"))
        try:
            process.wait(timeout=rng.uniform(0.1, 0.3) * usual)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
            print(f"killed for time {done}")
    subprocess.run(command(options, work / "killed"), check=True)
    hashes = [
        hashlib.sha256(ModelFolder.load(work / name).onnx_path.read_bytes()).hexdigest()
        for name in ("whole", "killed")
    ]
    print(f"killed {done} times: {'the same' if len(set(hashes)) == 1 else 'OTHER'} weights")
    sys.exit(len(set(hashes)) - 1)


def command(options: argparse.Namespace, out: Path) -> list[str]:
    """The command that trains, and goes on."""
    return [
        sys.executable, "-m", "bonescint", "train", str(options.work / "cohort" / "manifest.csv"),
        "--out", str(out), "--settings", str(options.work / "configuration.yaml"),
        *(["--weights", str(options.weights)] if options.weights else []),
    ]  # fmt: skip


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(required=True)
    for name, function in (("throughput", throughput), ("scans", scans), ("kills", kills)):
        kind = kinds.add_parser(name)
        kind.set_defaults(function=function)
        kind.add_argument(
            "--settings", default="bonescint", help="a training configuration by name"
        )
        if name != "kills":
            kind.add_argument("manifest", type=Path)
        if name != "scans":
            kind.add_argument("--weights", type=Path, help="ImageNet's of VGG16; none for compact")
        if name == "scans":
            kind.add_argument("--scans", type=int, default=100, help="at most so many")
        elif name == "throughput":
            kind.add_argument("--rows", type=int, default=256)
            kind.add_argument("--steps", type=int, default=40)
        else:
            kind.add_argument("--work", type=Path, required=True)
            kind.add_argument("--kills", type=int, default=5)
            kind.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
