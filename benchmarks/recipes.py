"""Training recipes side by side at half resolution: several seeds on one cohort.

    python benchmarks/recipes.py cohorts/ab/manifest.csv --test cohorts/de/manifest.csv \
        --settings ibrahim2023-converging --settings bonescint --seeds 1 2 3 \
        --work cohorts/recipes --weights vgg16.safetensors

Every recipe is trained with all its epochs at half its own resolution, and judged on the test
cohorts: area under the ROC curve and the pointing game (share of the positive scans whose
map's highest value lies on a metastasis, in either view). A row is added to `recipes.csv` for
each; what is there already is not done again.
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
from bonescint.model import Classifier, ModelFolder
from bonescint.scan import Prediction, Truth, View
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


def points_at(prediction: Prediction, truth: Truth) -> bool | None:
    """Whether the highest value of both maps lies on a metastasis; `None` without masks."""
    best: tuple[float, View, float, float] | None = None
    for view in View:
        shown = prediction.activation_map(view)
        if shown is None or view not in truth.masks:
            continue
        row, column = np.unravel_index(int(shown.values.argmax()), shown.values.shape)
        top, left, bottom, right = shown.extent
        rows, columns = shown.values.shape
        place = (
            top + (row + 0.5) / rows * (bottom - top),
            left + (column + 0.5) / columns * (right - left),
        )
        value = float(shown.values.max())
        if best is None or value > best[0]:
            best = (value, view, *place)
    if best is None:
        return None
    _, view, height, across = best
    reach = 6  # a cell of the map is some pixels wide: near counts
    first_row, first_column = max(0, int(height) - reach), max(0, int(across) - reach)
    near = truth.masks[view][
        first_row : int(height) + reach + 1, first_column : int(across) + reach + 1
    ]
    return bool(near.any())


def judged(folder: ModelFolder, cohort: Manifest) -> tuple[float, float]:
    """Area under the ROC curve and the pointing game on a cohort."""
    probabilities, hits = [], []
    with Classifier(folder) as classifier:
        for case in cohort.cases:
            prediction = classifier.predict(read(cohort.path(case)))
            probabilities.append(prediction.mbd_probability)
            if case.positive and case.truth:
                hit = points_at(prediction, read_truth(cohort.folder / case.truth))
                if hit is not None:
                    hits.append(hit)
    labels = [case.positive for case in cohort.cases]
    return float(roc_auc_score(labels, probabilities)), float(np.mean(hits))


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
                area, pointing = judged(folder, read_manifest(test))
                with table.open("a", newline="", encoding="utf-8") as stream:
                    csv.writer(stream).writerow(
                        [model, test, f"{area:.4f}", f"{pointing:.3f}", f"{minutes:.1f}"]
                    )
                print(f"{key}: AUC {area:.3f}, pointing game {pointing:.3f}, {minutes:.0f} min")


if __name__ == "__main__":
    main()
