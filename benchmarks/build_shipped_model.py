"""Build the model that travels with the package, from nothing but the simulator.

    python benchmarks/build_shipped_model.py --settings compact --coarse 5 --fine 2 --rows 384 \
        --steps 400 --vary --count 4500 --calibrate-count 600 --test-count 400

or one that begins with ImageNet's weights:

    bonescint experiment run ibrahim2023 --out cohorts/runs/ibrahim2023 --weights vgg16.h5
    python benchmarks/build_shipped_model.py --work cohorts --out learnt \
        --weights cohorts/runs/ibrahim2023/models/bonescint
    python benchmarks/build_shipped_model.py --work cohorts --out shipped --vary --fine 3 \
        --weights cohorts/learnt-fp32

The first begins with nothing learnt; the others with the study's best model (or with ImageNet's
weights: then give `--coarse 8`) and go on with the configuration `bonescint`. Simulates patients on
every camera, learns from them, and writes float and int8 model folders. Calibration, operating
point and uncertain band of the int8 one come from a second cohort, its figures from a third one;
the training is watched on neither; `benchmarks/quantise.py` compares the two folders there. With
`--vary` normal uptake varies from place to place more than the simulator's, and every seventh scan
has one view: for scans that no simulator made. None of the patients is one of the protocol
`ibrahim2023`. Stopped at any point, the same command goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bonescint.cohort import (
    Centre,
    Protocol,
    Studies,
    read_manifest,
    simulate_cohort,
    write_manifest,
)
from bonescint.dicom import read
from bonescint.evaluate import GivenSpecificity, ScoredCases, margins
from bonescint.model import Classifier, ModelCard, ModelFolder, write_model_folder
from bonescint.model.recalibration import recalibrated
from bonescint.scan import UNCALIBRATED, Split
from bonescint.simulate import CAMERAS
from bonescint.simulate.population import Population
from bonescint.train import TrainingConfiguration, TrainingStage, read_configuration, train
from bonescint.train.appearance import ArchivePicture, UptakeVariation
from bonescint.train.augment import (
    SCAN_AUGMENTATIONS,
    Augmentation,
    Blur,
    Crop,
    DropView,
    Pose,
    Thinning,
)
from bonescint.train.dataset import resized
from bonescint.train.finalize import figures
from bonescint.train.quantise import quantise

LEARN_SEED, TEST_SEED, CALIBRATION_SEED = 2026, 2027, 2028
VALIDATION_EVERY = 12
VARIED: tuple[Augmentation, ...] = (
    Thinning(),
    UptakeVariation(),
    Blur(),
    Pose(),
    Crop(),
    ArchivePicture(),
    DropView(probability=0.15),
)


def ship_settings(
    name: str, coarse: int, fine: int, steps: int, *, rows: int = 512, vary: bool
) -> TrainingConfiguration:
    """A training configuration for a cohort so large that an epoch is a part of it."""
    wanted = ((256, coarse), (rows, fine))
    settings = read_configuration(name)
    return replace(
        settings,
        preprocessing=resized(settings.preprocessing, rows),
        scan_augmentations=VARIED if vary else SCAN_AUGMENTATIONS,
        stages=tuple(TrainingStage(epochs=epochs, rows=rows) for rows, epochs in wanted if epochs),
        steps_per_epoch=steps,
        seed=LEARN_SEED,
    )


LEARNT_BODIES = {
    "wide": (0.6, Population(anatomy=2, uptake_spread=3.0)),
    "natural": (0.2, Population(anatomy=2)),
    "first": (0.2, Population(anatomy=1, uptake_spread=2.0)),
}
"""Share and patients of each centre to learn from: uptake that no bone's brightness can be relied
on, and another body, so that the network reads scans that no simulator made."""
MEASURED_BODIES = {"natural": (1.0, Population(anatomy=2))}


def every_camera(
    name: str, studies: Mapping[Split, int], bodies: Mapping[str, tuple[float, Population]]
) -> Protocol:
    """Patients of every kind on cameras of every kind, half of them with metastases."""
    centres = {
        body: Centre(
            cameras={camera: 1 / len(CAMERAS) for camera in CAMERAS},
            population=population,
            studies={
                split: Studies(positive=round(share * count / 2), negative=round(share * count / 2))
                for split, count in studies.items()
            },
        )
        for body, (share, population) in bodies.items()
    }
    return Protocol(name=name, version=1, centres=centres)


def cohort_to_learn_from(work: Path, count: int) -> Path:
    """Simulate; a twelfth of the patients is for validation, none for testing."""
    validation = count // VALIDATION_EVERY
    protocol = every_camera(
        "learn",
        {Split.TRAIN: count - validation, Split.VALIDATION: validation},
        LEARNT_BODIES,
    )
    cohort = simulate_cohort(work / "ship", protocol, seed=LEARN_SEED).manifest
    path = work / "ship" / f"learn-{count}.csv"
    write_manifest(cohort.cases, path)
    return path


def cohort_to_calibrate_on(work: Path, count: int) -> Path:
    """Simulate patients that only the calibration comes from.

    Their uptake differs more than in nature, as those to learn from: real normal scans score
    between these and natural simulated ones (docs/training.md).
    """
    protocol = every_camera("calibrate", {Split.VALIDATION: count}, LEARNT_BODIES)
    simulate_cohort(work / "calibration", protocol, seed=CALIBRATION_SEED)
    return work / "calibration" / "manifest.csv"


def cohort_to_test_on(work: Path, count: int) -> Path:
    """Simulate patients that nothing was learnt from."""
    protocol = every_camera("unseen", {Split.TEST: count}, MEASURED_BODIES)
    simulate_cohort(work / "unseen", protocol, seed=TEST_SEED)
    return work / "unseen" / "manifest.csv"


def read_by(folder: ModelFolder, manifest: Path, split: Split | None = None) -> ScoredCases:
    """The probabilities that a model gives a cohort's scans, or those of a split."""
    cohort = read_manifest(manifest)
    cases = cohort.cases if split is None else cohort.split(split)
    with Classifier(folder) as classifier:
        probabilities = [
            classifier.predict(read(cohort.path(case))).mbd_probability for case in cases
        ]
    return ScoredCases(
        scores=np.array(probabilities),
        positive=np.array([case.positive for case in cases]),
    )


def calibrated(folder: ModelFolder, manifest: Path) -> ModelFolder:
    """Fit calibration, operating point and uncertain band to scans on which it was not trained."""
    card, _ = recalibrated(
        folder.card,
        read_by(folder, manifest),
        GivenSpecificity(0.9),
        scans="simulated scans set aside for calibration",
        the_scans="the simulated scans set aside for calibration",
    )
    return rewritten(folder, card)


def measured(folder: ModelFolder, manifest: Path, split: Split | None = None) -> ModelFolder:
    """Measure the final model on patients that it never saw; the card says so."""
    cases = read_by(folder, manifest, split)
    metrics = figures(
        cases.with_scores(margins(cases.scores)),
        calibration=UNCALIBRATED,  # the probabilities are calibrated already
        operating_point=folder.card.operating_point,
        measured_on=f"{cases.count} simulated scans ({cases.positives} positive) of patients on "
        "whom it was not trained",
    )
    return rewritten(folder, replace(folder.card, metrics=(*metrics, *folder.card.metrics)))


def rewritten(folder: ModelFolder, card: ModelCard) -> ModelFolder:
    """The same graph with another card."""
    onnx = folder.onnx_path.read_bytes()
    return write_model_folder(folder.path, card=card, onnx=onnx, ood=folder.ood)


def main() -> None:
    """Simulate, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("cohorts"))
    parser.add_argument("--weights", type=Path, default=None, help="model folder, or ImageNet's")
    parser.add_argument(
        "--settings", default="bonescint", help="training configuration: bonescint or compact"
    )
    parser.add_argument("--count", type=int, default=6000, help="patients to learn from")
    parser.add_argument(
        "--calibrate-count", type=int, default=1000, help="patients to calibrate on"
    )
    parser.add_argument("--test-count", type=int, default=1000, help="patients to test on")
    parser.add_argument("--coarse", type=int, default=0, help="epochs at 256 rows")
    parser.add_argument("--fine", type=int, default=6, help="epochs at the model's own rows")
    parser.add_argument("--rows", type=int, default=512, help="rows that the model reads")
    parser.add_argument("--steps", type=int, default=200, help="batches of an epoch")
    parser.add_argument("--vary", action="store_true", help="vary normal uptake, drop more views")
    parser.add_argument("--out", default="shipped", help="the folders are OUT-fp32 and OUT-int8")
    options = parser.parse_args()
    if options.coarse and options.rows <= 256:
        parser.error("--coarse is for a model of more than 256 rows: its epochs are --fine.")
    settings = ship_settings(
        options.settings,
        options.coarse,
        options.fine,
        options.steps,
        rows=options.rows,
        vary=options.vary,
    )
    manifest = cohort_to_learn_from(options.work, options.count)
    folder = train(
        manifest,
        options.work / f"{options.out}-fp32",
        settings=settings,
        weights=options.weights,
        name=f"bonescint-{settings.network}",
        version="0.3.0",
    )
    int8 = options.work / f"{options.out}-int8"
    test = cohort_to_test_on(options.work, options.test_count)
    calibration = cohort_to_calibrate_on(options.work, options.calibrate_count)
    shipped = measured(calibrated(quantise(folder, manifest, int8), calibration), test)
    print(f"{folder.model_id} {folder.path}")
    print(f"{shipped.model_id} {int8}: copy it to src/bonescint/model/shipped")
    print(
        f"python benchmarks/quantise.py --fp32 {folder.path} --int8 {int8} "
        f"--cohort {test} --split test"
    )


if __name__ == "__main__":
    main()
