"""Readings of the paper: which of what it leaves open lets its network learn?

    python benchmarks/readings.py --work runs/readings --weights vgg16.safetensors
    python benchmarks/readings.py --work runs/readings --weights vgg16.safetensors --rows 512 \
        --steps 1200 --batch-sizes 16 --precisions bfloat16 --page docs/training.md

Ibrahim et al. 2023 give neither a batch size nor a precision, nor how pixels from 0 to 1 reach
ImageNet's filters. Every combination is a reading, and is trained as the configuration
`ibrahim2023` says otherwise: on centres A and B of the protocol of that name, both simulated into
the working folder unless `--learn` names their manifest. Steps are those of epochs of at most 200,
each with all positive scans and as many negative ones drawn afresh, repeated in another order until
the steps are full. A reading is judged on the validation scans, and, unless it has collapsed, on
centres D and E of `development` (`--test`); centre C is refused.

A row is added to `benchmarks/readings.csv` for each, with hashes of settings, weights and cohorts;
what is there already is not done again, so several machines and sessions may share the work, most
telling readings first. `benchmarks/readings_diagnosis.csv` has, every 50 steps, the loss, the
spread of the outputs, dead ReLUs, updates against weights and the norm of the gradient. A training
that was stopped goes on at its last checkpoint. `--page` writes the table into a page, between the
comments `<!-- readings -->` and `<!-- /readings -->`; `--page` alone, with `--readings 0`, trains
nothing.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import pandas as pd
import torch
from torch.nn import functional
from training_configurations import centres_of, is_done, rows_of, settings_hash, simulated

from bonescint.cohort import Manifest, cohort_fingerprint, read_manifest
from bonescint.evaluate import ScoredCases, roc_auc_score
from bonescint.experiment.paths import fingerprint
from bonescint.files import write_whole
from bonescint.prepare import Preprocessing, prepare
from bonescint.scan import PixelUnit, Scan, Split
from bonescint.train import (
    HeadInitialisation,
    InputScale,
    Precision,
    TrainingConfiguration,
    TrainingStage,
    read_configuration,
)
from bonescint.train.cached import CachedScans, cached_scans
from bonescint.train.dataset import TrainingBatch, plain_loader, resized
from bonescint.train.run import RunFolder
from bonescint.train.sample import ListedSource, TrainingSample
from bonescint.train.training import fit
from bonescint.train.vgg16 import Vgg16Classifier
from bonescint.train.weights import load_weights

EVERY = 50
STEPS_PER_EPOCH = 200
PROBED = 32
COLLAPSED = 0.05
"""Standard deviation of the probabilities below which all scans have the same answer."""
BEGIN, END = "<!-- readings -->", "<!-- /readings -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A choice of what the paper leaves open."""

    batch_size: int
    head_initialisation: HeadInitialisation
    precision: Precision
    input_scale: InputScale
    seed: int

    @property
    def name(self) -> str:
        """For files and messages."""
        return "-".join(str(value) for value in astuple(self))

    @property
    def changes(self) -> int:
        """In how many of its choices it differs from Keras' draw, float32 and 0 to 1."""
        return (
            (self.head_initialisation is not HeadInitialisation.GLOROT_UNIFORM)
            + (self.precision is not Precision.FLOAT32)
            + (self.input_scale is not InputScale.UNIT)
        )

    def settings(self, rows: int, steps: int) -> TrainingConfiguration:
        """The paper's configuration in this reading."""
        paper = read_configuration("ibrahim2023")
        epochs = math.ceil(steps / STEPS_PER_EPOCH)
        return replace(
            paper,
            preprocessing=resized(paper.preprocessing, rows),
            stages=(TrainingStage(epochs=epochs, rows=rows),),
            steps_per_epoch=math.ceil(steps / epochs),
            batch_size=self.batch_size,
            head_initialisation=self.head_initialisation,
            precision=self.precision,
            input_scale=self.input_scale,
            seed=self.seed,
            loader_workers=0,  # scans are prepared already
        )


def readings(options: argparse.Namespace) -> list[Reading]:
    """All readings, the most telling first: single changes, their other seeds, then the rest."""
    grid = itertools.product(
        options.seeds,
        options.initialisations,
        options.precisions,
        options.scales,
        options.batch_sizes,
    )
    found = [
        Reading(
            batch_size=batch_size,
            head_initialisation=HeadInitialisation(initialisation),
            precision=Precision(precision),
            input_scale=InputScale(scale),
            seed=seed,
        )
        for seed, initialisation, precision, scale, batch_size in grid
    ]

    def order(reading: Reading) -> tuple[object, ...]:
        return (
            reading.changes > 1,
            options.seeds.index(reading.seed),
            reading.changes,
            reading.input_scale is not InputScale.UNIT,
            reading.precision is not Precision.FLOAT32,
        )

    return sorted(found, key=order)  # batch sizes stay in the order in which they are given


class Diagnosis(lightning.Callback):
    """Measures at an interval what tells a training that learns from one that collapses.

    Args:
        probe: scans that every measurement looks at.
        file: table of the measurements.
        every: steps between two measurements.
    """

    def __init__(self, probe: TrainingBatch, file: Path, *, every: int) -> None:
        self._probe = probe
        self._file = file
        self._every = every
        self._rows: list[dict[str, float]] = []
        self._losses: list[float] = []
        self._gradient = math.nan
        self._before: dict[str, torch.Tensor] = {}

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Keep the measurements up to the checkpoint; the first one comes before the training."""
        if trainer.global_step and self._file.is_file():
            found = pd.read_csv(self._file)
            self._rows = found[found["step"] <= trainer.global_step].to_dict("records")
        else:
            self._note(0, module.network)

    def on_before_optimizer_step(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        optimizer: object,  # noqa: ARG002
    ) -> None:
        """Keep the weights and the gradient of a step that is measured."""
        if (trainer.global_step + 1) % self._every:
            return
        learnt = [p.grad for p in module.network.parameters() if p.grad is not None]
        self._gradient = float(torch.linalg.vector_norm(torch.stack([g.norm() for g in learnt])))
        self._before = {name: w.detach().clone() for name, w in kernels(module.network)}

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        outputs: Any,
        batch: object,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Measure if it is time."""
        self._losses.append(float(outputs["loss"]))
        if trainer.global_step % self._every == 0:
            self._note(trainer.global_step, module.network)

    def _note(self, step: int, network: Vgg16Classifier) -> None:
        found = {
            "step": step,
            "loss": float(np.mean(self._losses[-self._every :])) if self._losses else math.nan,
            "gradient_norm": self._gradient,
            **seen_by(network, self._probe),
        }
        for name, weight in kernels(network):
            before = self._before.get(name)
            moved = math.nan if before is None else float((weight - before).norm() / before.norm())
            found[f"update_{name}"] = moved
        self._rows.append(found)
        pd.DataFrame(self._rows).to_csv(self._file, index=False, float_format="%.5g")
        print(
            f"  step {step}: loss {found['loss']:.4f}, spread {found['spread']:.4f}, dead "
            f"{found['dead_block5_conv3']:.0%} and {found['dead_hidden']:.0%}",
            flush=True,
        )


def kernels(network: Vgg16Classifier) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights of every layer by its name."""
    for name, layer in (
        *network.convolutions(),
        ("hidden", network.hidden),
        ("output", network.output),
    ):
        yield name, layer.weight.detach()


@torch.no_grad()
def seen_by(network: Vgg16Classifier, probe: TrainingBatch) -> dict[str, float]:
    """Loss and spread of the outputs on some scans, and the dead units of each layer.

    A unit is dead if its ReLU gives 0 at every place of every scan.
    """
    highest: dict[str, torch.Tensor] = {}

    def note(name: str, values: torch.Tensor) -> None:
        found = values.amax(dim=[axis for axis in range(values.ndim) if axis != 1])
        highest[name] = torch.maximum(found, highest.get(name, found))

    layers = [*network.convolutions(), ("hidden", network.hidden)]
    hooks = [
        layer.register_forward_hook(lambda _, __, values, name=name: note(name, values))
        for name, layer in layers
    ]
    try:
        device = network.hidden.weight.device
        logits = torch.cat([network(part.to(device)).cpu() for part in probe.composites.split(8)])
    finally:
        for hook in hooks:
            hook.remove()
    return {
        "probe_loss": float(functional.cross_entropy(logits, probe.labels)),
        "spread": float(logits.softmax(1)[:, 1].std()),
        **{f"dead_{name}": float((top <= 0).float().mean()) for name, top in highest.items()},
    }


def prepared(source: CachedScans, preprocessing: Preprocessing) -> ListedSource:
    """Scans as the preprocessing leaves them, in memory: preparing them again changes nothing."""
    samples = []
    for index in range(len(source)):
        sample = source.sample(index)
        found = prepare(sample.scan, preprocessing)
        half = preprocessing.columns
        scan = Scan(
            anterior=found.composite[0, :, :half],
            posterior=found.composite[0, :, half:],
            pixel_spacing_mm=None,
            unit=PixelUnit.INTENSITY,
            scan_id=sample.scan.scan_id,
            acquisition=sample.scan.acquisition,
        )
        if not index and not np.array_equal(
            prepare(scan, preprocessing).composite, found.composite
        ):
            raise SystemExit(f"{preprocessing.name} cannot be applied twice.")
        samples.append(TrainingSample(scan=scan, positive=sample.positive))
    return ListedSource(tuple(samples))


def cohort_hash(cohort: Manifest) -> str:
    """Of a cohort's rows and truth, twelve digits."""
    digest = hashlib.sha256(cohort_fingerprint(cohort).encode())
    for case in cohort.cases:
        if case.truth:
            digest.update((cohort.folder / case.truth).read_bytes())
    return digest.hexdigest()[:12]


def work_of(
    reading: Reading, options: argparse.Namespace, cohorts: dict[str, str]
) -> dict[str, str]:
    """What is to be done, in the columns of the table that tell it from other work."""
    settings = reading.settings(options.rows, options.steps)
    return {
        "batch_size": str(reading.batch_size),
        "head_initialisation": reading.head_initialisation.value,
        "precision": reading.precision.value,
        "input_scale": reading.input_scale.value,
        "rows": str(options.rows),
        "steps": str(settings.epochs * (settings.steps_per_epoch or 0)),
        "settings_sha256": settings_hash(settings),
        "weights_sha256": fingerprint(options.weights)[:12],
        **cohorts,
        "seed": str(reading.seed),
    }


@torch.no_grad()
def judged(
    network: Vgg16Classifier, source: ListedSource, preprocessing: Preprocessing
) -> tuple[ScoredCases, float]:
    """Margins of all scans in float32, and the standard deviation of their probabilities."""
    loader = plain_loader(source, preprocessing, batch_size=16, workers=0)
    logits = torch.cat([network(batch.composites) for batch in loader])
    cases = ScoredCases(
        scores=(logits[:, 1] - logits[:, 0]).double().numpy(), positive=source.positives
    )
    return cases, float(logits.softmax(1)[:, 1].std())


def area_of(name: str, cases: ScoredCases) -> dict[str, str]:
    """Area under the ROC curve with its interval, in the table's columns."""
    found = roc_auc_score(cases)
    ends = {"low": found.low, "high": found.high}
    written = {key: "" if end is None else f"{end:.4f}" for key, end in ends.items()}
    return {f"{name}_auc": f"{found.value:.4f}"} | {
        f"{name}_{key}": text for key, text in written.items()
    }


class Cohorts:
    """What is learnt from and judged on, prepared once.

    Args:
        options: of the command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        work = options.work
        learn = read_manifest(options.learn or simulated("ibrahim2023", "AB", work / "ab"))
        test = read_manifest(options.test or simulated("development", "DE", work / "de"))
        if "C" in centres_of(test, tuple(Split)).split():
            raise SystemExit("Readings are not chosen on centre C.")
        self.hashes = {"learnt_sha256": cohort_hash(learn), "judged_sha256": cohort_hash(test)}
        self.preprocessing = resized(read_configuration("ibrahim2023").preprocessing, options.rows)

        def read(cohort: Manifest, split: Split) -> ListedSource:
            print(f"preparing {len(cohort.split(split))} {split.value} scans", flush=True)
            cached = cached_scans(cohort, split, work / "scans", workers=2)
            return prepared(cached, self.preprocessing)

        self.training = read(learn, Split.TRAIN)
        self.validation = read(learn, Split.VALIDATION)
        self.development = read(test, Split.TEST)

    @property
    def probe(self) -> TrainingBatch:
        """Some validation scans, as many of either class as there are."""
        labels = np.asarray(self.validation.positives)
        chosen = [np.flatnonzero(labels == label)[: PROBED // 2] for label in (True, False)]
        samples = tuple(self.validation.samples[index] for index in np.concatenate(chosen))
        loader = plain_loader(
            ListedSource(samples), self.preprocessing, batch_size=PROBED, workers=0
        )
        return next(iter(loader))


def tried(reading: Reading, options: argparse.Namespace, cohorts: Cohorts) -> dict[str, str]:
    """Train one reading, judge it, and keep its diagnosis; its row of the table."""
    settings = reading.settings(options.rows, options.steps)
    work = work_of(reading, options, cohorts.hashes)
    name = f"{reading.name}-{options.rows}-{work['steps']}"
    run = RunFolder(options.work / f"{name}.run")
    weights = load_weights(options.weights)
    asked = {"settings": settings.to_json(), **cohorts.hashes, "weights": weights.sha256}
    resume = run.begin(asked, resume=True)
    diagnosis = run.path / "diagnosis.csv"
    start = time.perf_counter()
    network = fit(
        cohorts.training,
        cohorts.validation,
        settings=settings,
        weights=weights,
        run=run,
        resume=resume,
        accelerator=options.device,
        watchers=(Diagnosis(cohorts.probe, diagnosis, every=min(EVERY, options.steps)),),
    )
    minutes = (time.perf_counter() - start) / 60
    if not isinstance(network, Vgg16Classifier):
        raise TypeError("The paper's network is a VGG16.")
    validation, spread = judged(network, cohorts.validation, cohorts.preprocessing)
    collapsed = spread < COLLAPSED
    development = {f"development_{name}": "" for name in ("auc", "low", "high")}
    if not collapsed:
        cases, _ = judged(network, cohorts.development, cohorts.preprocessing)
        development = area_of("development", cases)
    measured = pd.read_csv(diagnosis)
    note_diagnosis(options.diagnosis, work, measured)
    last = measured.iloc[-1]
    run.checkpoint.unlink(missing_ok=True)  # 180 MB
    return work | {
        "loss": f"{last['loss']:.4f}",
        "spread": f"{spread:.4f}",
        "dead_block5_conv3": f"{last['dead_block5_conv3']:.4f}",
        "dead_hidden": f"{last['dead_hidden']:.4f}",
        **area_of("validation", validation),
        **development,
        "collapsed": "yes" if collapsed else "no",
        "minutes": f"{minutes:.1f}" + (" resumed" if resume else ""),
    }


def note_diagnosis(table: Path, work: dict[str, str], measured: pd.DataFrame) -> None:
    """Add the measurements of one training to those of the others."""
    named = measured.assign(**work)[[*work, *measured.columns]]
    named.to_csv(table, mode="a", header=not table.is_file(), index=False, float_format="%.5g")


def appended(table: Path, row: dict[str, str]) -> None:
    """Add a row to a table, with a header if there is none."""
    new = not table.is_file()
    with table.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        if new:
            writer.writerow(row)
        writer.writerow(row.values())


def area_text(row: pd.Series[str], name: str) -> str:
    """An area under the ROC curve with its interval, if there is one."""
    value, low, high = (row[f"{name}_{part}"] for part in ("auc", "low", "high"))
    if not value:
        return "-"
    interval = f" ({float(low):.3f} to {float(high):.3f})" if low else ""
    return f"{float(value):.3f}{interval}"


def documented(table: Path) -> str:
    """The table as a page shows it."""
    lines = [
        "| batch | draw of the head | precision | input | seed | rows | steps | last loss "
        "| spread | dead: block5_conv3, hidden | validation AUC | D and E AUC | collapsed "
        "| training scans |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    inputs = {InputScale.UNIT.value: "0 to 1", InputScale.KERAS_BGR.value: "`preprocess_input`"}
    for _, row in rows_of(table).iterrows():
        areas = [area_text(row, name) for name in ("validation", "development")]
        cells = (
            row["batch_size"],
            row["head_initialisation"].replace("_", " "),
            row["precision"],
            inputs.get(row["input_scale"], row["input_scale"]),
            row["seed"],
            row["rows"],
            row["steps"],
            row["loss"],
            row["spread"],
            f"{float(row['dead_block5_conv3']):.0%}, {float(row['dead_hidden']):.0%}",
            *areas,
            row["collapsed"],
            f"`{row['learnt_sha256'][:4]}`",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_page(page: Path, table: Path) -> None:
    """Put the table between the two comments of a page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in rest:
        raise SystemExit(f"{page}: needs {BEGIN} and {END}")
    write_whole(page, f"{before}{BEGIN}\n\n{documented(table)}\n\n{END}{after}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Try what is left to try, and write the tables."""
    parser = argparse.ArgumentParser(description="Which reading of the paper learns?")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="VGG16's of ImageNet")
    parser.add_argument("--learn", type=Path, help="manifest; A and B if not given")
    parser.add_argument("--test", type=Path, help="manifest; D and E if not given")
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--readings", type=int, default=None, help="train at most so many")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 4, 8, 32])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    draws = [HeadInitialisation.GLOROT_UNIFORM.value, HeadInitialisation.KAIMING_UNIFORM.value]
    parser.add_argument("--initialisations", nargs="+", choices=draws, default=draws)
    precisions = [precision.value for precision in Precision]
    parser.add_argument("--precisions", nargs="+", choices=precisions, default=precisions)
    scales = [InputScale.UNIT.value, InputScale.KERAS_BGR.value]
    parser.add_argument("--scales", nargs="+", choices=scales, default=scales)
    parser.add_argument("--device", default="cpu", choices=["cpu", "gpu"])
    parser.add_argument("--table", type=Path, default=Path("benchmarks/readings.csv"))
    parser.add_argument("--diagnosis", type=Path, default=Path("benchmarks/readings_diagnosis.csv"))
    parser.add_argument("--page", type=Path, help="a page that shows the table")
    options = parser.parse_args(arguments)
    if options.readings != 0:
        options.work.mkdir(parents=True, exist_ok=True)
        cohorts = Cohorts(options)
        asked = readings(options)
        left = [
            one
            for one in asked
            if not is_done(options.table, work_of(one, options, cohorts.hashes))
        ][: options.readings]
        print(f"{len(asked)} readings, {len(left)} to try now", flush=True)
        for number, reading in enumerate(left, start=1):
            print(f"{number} of {len(left)}: {reading.name}", flush=True)
            row = tried(reading, options, cohorts)
            appended(options.table, row)
            print(
                f"  validation AUC {row['validation_auc']}, D and E "
                f"{row['development_auc'] or '-'}, collapsed: {row['collapsed']}, "
                f"{row['minutes']} minutes",
                flush=True,
            )
            if options.page is not None:
                write_page(options.page, options.table)
    if options.page is not None:
        write_page(options.page, options.table)
    if options.table.is_file():
        print(documented(options.table))


if __name__ == "__main__":
    main()
