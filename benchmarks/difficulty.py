"""How hard the protocol `ibrahim2023` is: a VGG16 that converges, on a twin of centre C.

    python benchmarks/difficulty.py --work cohorts/difficulty --weights vgg16.h5
    python benchmarks/difficulty.py --work cohorts/difficulty --weights vgg16.h5 --full-epochs 3

Simulates centres A and B, and a twin of C (the same centre, another seed: C itself is not drawn),
trains with the settings that learn (docs/training.md) at 256 rows, and prints the area under the
ROC curve on the twin. The protocol's disease was tuned until it lay from 0.85 to 0.93. With
`--full-epochs` the trained network goes on at 512 rows: the one check at full size.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from bonescint.cohort import Manifest, Protocol, read_protocol, simulate_cohort
from bonescint.dicom import read
from bonescint.model import Classifier, ModelFolder
from bonescint.prepare import preprocessing_named
from bonescint.train import TrainingConfiguration, TrainingStage, train

ROWS = 256
TWIN_SEED = 41


def simulated(protocol: Protocol, centres: str, folder: Path, seed: int) -> Manifest:
    """Simulate some centres of a protocol, and say how long it took."""
    part = protocol.of_centres(centres)
    start = time.perf_counter()
    cohort = simulate_cohort(folder, part, seed=seed)
    seconds = time.perf_counter() - start
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
    print(
        f"centres {centres}, seed {seed}: {part.count} studies in {seconds:.0f} s on "
        f"{os.cpu_count()} cores, {size:.0f} MB, {len(cohort.occult.cases)} occult",
        flush=True,
    )
    return cohort.manifest


def trained(
    settings: TrainingConfiguration, learn: Manifest, out: Path, weights: Path | None
) -> ModelFolder:
    """Train, or take the model that is there, and say how long it took."""
    if (out / "models" / "model.onnx").is_file():
        return ModelFolder.load(out)
    start = time.perf_counter()
    folder = train(learn.folder / "manifest.csv", out, settings=settings, weights=weights)
    print(f"trained {out.name} in {time.perf_counter() - start:.0f} s", flush=True)
    return folder


def auc_on(folder: ModelFolder, cohort: Manifest) -> float:
    """Area under the ROC curve of a model on a whole cohort."""
    with Classifier(folder) as classifier:
        probabilities = [
            classifier.predict(read(cohort.path(case))).mbd_probability for case in cohort.cases
        ]
    return float(roc_auc_score(np.array([case.positive for case in cohort.cases]), probabilities))


def main() -> None:
    """Simulate, train, judge."""
    parser = argparse.ArgumentParser(description="How hard the protocol ibrahim2023 is.")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=None, help="ImageNet weights of VGG16")
    parser.add_argument("--protocol", default="ibrahim2023")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--full-epochs", type=int, default=0)
    parser.add_argument("--judge", type=Path, help="a trained model, on a fresh twin alone")
    options = parser.parse_args()
    protocol = read_protocol(options.protocol)
    if options.judge is not None:
        fresh = simulated(protocol, "C", options.work / "twin", TWIN_SEED)
        area = auc_on(ModelFolder.load(options.judge), fresh)
        print(f"AUC on the twin of C: {area:.3f} ({len(fresh.cases)} studies)")
        return
    learn = simulated(protocol, "AB", options.work / "ab", options.seed)
    twin = simulated(protocol, "C", options.work / "twin", TWIN_SEED)
    half = trained(
        TrainingConfiguration(
            preprocessing=replace(preprocessing_named("body-root"), rows=ROWS, columns=ROWS // 2),
            stages=(TrainingStage(epochs=options.epochs, rows=ROWS),),
            backbone_learning_rate=3e-5,
            seed=options.seed,
        ),
        learn,
        options.work / "half-size",
        options.weights,
    )
    if not options.full_epochs:
        print(f"AUC on the twin of C: {auc_on(half, twin):.3f} ({len(twin.cases)} studies)")
        return
    full = trained(
        TrainingConfiguration(
            stages=(TrainingStage(epochs=options.full_epochs, rows=512),),
            backbone_learning_rate=2e-5,
            head_learning_rate=2e-4,
            seed=options.seed,
        ),
        learn,
        options.work / "full-size",
        half.path,
    )
    print(f"AUC on the twin of C, full size: {auc_on(full, twin):.3f} ({len(twin.cases)} studies)")


if __name__ == "__main__":
    main()
