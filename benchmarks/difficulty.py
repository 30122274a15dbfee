"""How hard the protocol `ibrahim2023` is: VGG16 at half resolution on a twin of centre C.

    python benchmarks/difficulty.py --work cohorts/difficulty --weights vgg16.h5

Simulates centres A and B, and a twin of C (the same centre, another seed: C itself is not drawn),
trains with the settings that learn (docs/training.md) at 256 rows, and prints the area under the
ROC curve on the twin. The protocol's disease is to be tuned until it lies from 0.85 to 0.93.
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
from bonescint.prepare import recipe_named
from bonescint.train import Stage, TrainSettings, train

ROWS = 256
TWIN_SEED = 41


def simulated(protocol: Protocol, centres: str, folder: Path, seed: int) -> Manifest:
    """Simulate some centres of a protocol, and say how long it took."""
    part = replace(protocol, centres={name: protocol.centres[name] for name in centres})
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
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    protocol = read_protocol(options.protocol)
    learn = simulated(protocol, "AB", options.work / "ab", options.seed)
    twin = simulated(protocol, "C", options.work / "twin", TWIN_SEED)
    settings = TrainSettings(
        recipe=replace(recipe_named("body-root"), rows=ROWS, columns=ROWS // 2),
        stages=(Stage(epochs=options.epochs, rows=ROWS),),
        backbone_learning_rate=3e-5,
        seed=options.seed,
    )
    start = time.perf_counter()
    folder = train(
        learn.folder / "manifest.csv",
        options.work / "half-size",
        settings=settings,
        weights=options.weights,
    )
    print(f"trained in {time.perf_counter() - start:.0f} s", flush=True)
    print(f"AUC on the twin of C: {auc_on(folder, twin):.3f} ({len(twin.cases)} studies)")


if __name__ == "__main__":
    main()
