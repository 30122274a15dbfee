"""Training recipes side by side at half resolution: several seeds on one cohort.

    python benchmarks/recipes.py cohorts/ab/manifest.csv --test cohorts/de/manifest.csv \
        --settings ibrahim2023-converging --settings bonescint --seeds 1 2 3 \
        --work cohorts/recipes --weights vgg16.safetensors

Every recipe is trained with all its epochs at half its own resolution, and judged on the test
cohorts: area under the ROC curve and the pointing game (share of the positive scans whose
map's highest value lies on a metastasis, in either view), exact and within 25 mm. A row is added
to `recipes.csv` for each; what is there already is not done again.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from bonescint.cohort import Manifest, read_manifest, read_truth
from bonescint.dicom import read
from bonescint.evaluate.localisation import ViewEvidence, localise
from bonescint.explain import map_on_grid
from bonescint.model import Classifier, ModelFolder
from bonescint.scan import Prediction, Scan, Truth, View
from bonescint.train import Stage, TrainSettings, read_settings, train


def halved(settings: TrainSettings, *, rows: int, epochs: int | None, seed: int) -> TrainSettings:
    """The same recipe with all epochs at fewer rows."""
    wanted = settings.epochs if epochs is None else epochs
    return replace(
        settings,
        recipe=replace(settings.recipe, rows=rows, columns=rows // 2),
        stages=(Stage(epochs=wanted, rows=rows),),
        seed=seed,
    )


def pointing(prediction: Prediction, scan: Scan, truth: Truth) -> tuple[float, float] | None:
    """Whether the highest place of both maps lies on a metastasis, and within 25 mm of one."""
    rows, columns = scan.shape
    views = [
        ViewEvidence(
            values=np.maximum(map_on_grid(shown, scan.shape, rows=rows, columns=columns), 0),
            lesions=truth.masks.get(view, np.zeros(scan.shape)).astype(np.intp),
            pixel_mm=scan.pixel_spacing_mm or (1.0, 1.0),
        )
        for view in View
        if (shown := prediction.activation_map(view)) is not None
    ]
    if not any(view.lesions.any() for view in views):
        return None
    found = localise(views)
    return found.pointing, found.pointing_near


def judged(folder: ModelFolder, cohort: Manifest) -> tuple[float, float, float]:
    """Area under the ROC curve and the pointing game, exact and near, on a cohort."""
    probabilities, hits = [], []
    with Classifier(folder) as classifier:
        for case in cohort.cases:
            scan = read(cohort.path(case))
            prediction = classifier.predict(scan)
            probabilities.append(prediction.mbd_probability)
            if case.positive and case.truth:
                hit = pointing(prediction, scan, read_truth(cohort.folder / case.truth))
                if hit is not None:
                    hits.append(hit)
    labels = [case.positive for case in cohort.cases]
    exact, near = np.mean(hits, axis=0)
    return float(roc_auc_score(labels, probabilities)), float(exact), float(near)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description="Training recipes at half resolution.")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--test", type=Path, action="append", required=True)
    parser.add_argument("--settings", action="append", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=None)
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    table = options.work / "recipes.csv"
    done = table.read_text(encoding="utf-8") if table.is_file() else ""
    for name in options.settings:
        for seed in options.seeds:
            model = f"{Path(name).stem}-{options.rows}-{seed}"
            settings = halved(
                read_settings(name), rows=options.rows, epochs=options.epochs, seed=seed
            )
            start = time.perf_counter()
            folder = train(
                options.manifest,
                options.work / model,
                settings=settings,
                weights=options.weights,
                cache=options.work / "scans",
                progress=False,
            )
            minutes = (time.perf_counter() - start) / 60
            for test in options.test:
                key = f"{model},{test}"
                if key in done:
                    continue
                found = judged(folder, read_manifest(test))
                row = [model, test, *(f"{value:.4f}" for value in found), f"{minutes:.1f}"]
                with table.open("a", newline="", encoding="utf-8") as stream:
                    csv.writer(stream).writerow(row)
                print(f"{key}: AUC {found[0]:.3f}, pointing {found[1]:.3f}, near {found[2]:.3f}")


if __name__ == "__main__":
    main()
