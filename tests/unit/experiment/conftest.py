from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bonescint.cohort import write_manifest, write_truth
from bonescint.scan import ActivationMap, Case, Focus, FocusKind, Prediction, Split, Truth, View

ROWS, COLUMNS = 64, 24
BLADDER = tuple(
    Focus(view=view, row=33.5, column=11.5, radius_mm=20.0, kind=FocusKind.ORGAN, cause="bladder",
          region="bladder")
    for view in View
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """A small cohort on disk with predictions, truth and maps."""

    folder: Path
    manifest: Path
    predictions: Path
    maps: Path
    probability: Mapping[str, float]
    cases: Sequence[Case]


def write_rows(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def _truth(case: Case, rng: np.random.Generator, folder: Path) -> Truth:
    mimic = Focus(view=View.ANTERIOR, row=50.0, column=6.0, radius_mm=10.0,
                  kind=FocusKind.MIMIC, cause="rib fracture", region="rib07 L", contrast=3.0,
                  contrast_to_noise=4.0)  # fmt: skip
    masks = {view: np.zeros((ROWS, COLUMNS), dtype=bool) for view in View}
    foci = [mimic, *BLADDER]
    if case.positive:
        row, column = int(rng.integers(8, 50)), int(rng.integers(6, 18))
        contrast, radius = float(rng.uniform(2, 9)), float(rng.uniform(6, 20))
        for view, seen in ((View.ANTERIOR, column), (View.POSTERIOR, COLUMNS - 1 - column)):
            masks[view][row - 2 : row + 3, seen - 2 : seen + 3] = True
            foci.append(
                Focus(view=view, row=row, column=seen, radius_mm=radius, cause="metastasis",
                      region="L3", contrast=contrast, contrast_to_noise=5.0)
            )  # fmt: skip
    truth = Truth(positive=case.positive, foci=tuple(foci), masks=masks)
    parameters = {"counts": float(rng.uniform(5e5, 2e6)), "camera": {"pixel_mm": 10.0}}
    write_truth(truth, folder / case.truth, parameters=parameters)
    return truth


def _result(case: Case, probability: float, truth: Truth) -> dict[str, object]:
    """Maps whose highest cell lies on the lesion, or on the bladder where there is none."""
    maps = []
    for view in View:
        values = np.full((ROWS // 4, COLUMNS // 4), 0.1, dtype=np.float32)
        here = [f for f in truth.foci if f.kind is FocusKind.METASTASIS and f.view is view]
        row, column = (here[0].row, here[0].column) if here else (33.5, 11.5)
        values[int(row) // 4, int(column) // 4] = 1.0
        maps.append(ActivationMap(view=view, target="mbd", values=values,
                                  extent=(0.0, 0.0, float(ROWS), float(COLUMNS))))  # fmt: skip
    prediction = Prediction(scan_id=case.scan_id, mbd_probability=probability, positive=True,
                            model_id="m", activation_maps=tuple(maps))  # fmt: skip
    return {"scan_id": case.scan_id, "shape": [ROWS, COLUMNS], "pixel_spacing_mm": [10.0, 10.0],
            "unit": "counts", "total": {"anterior": 9e5, "posterior": 1e6}, "picture": "",
            "prediction": prediction.to_json()}  # fmt: skip


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    (folder / "truth").mkdir()
    rng = np.random.default_rng(1)
    cases, probability, results = [], {}, []
    sizes = {Split.TRAIN: 60, Split.VALIDATION: 40, Split.TEST: 60}
    for split, size in sizes.items():
        for number in range(size):
            name = f"{split}-{number:03d}"
            case = Case(
                scan_id=name, patient_id=f"p-{name}", centre="AB"[number % 2], split=split,
                positive=bool(number % 2 == 0), sex="FM"[(number // 2) % 2],
                age=float(rng.integers(40, 85)), primary=["", "breast", "prostate"][number % 3],
                truth=f"truth/{name}.npz",
            )  # fmt: skip
            line = rng.normal(1.3 if case.positive else -1.3, 1.2)
            cases.append(case)
            probability[name] = round(float(1 / (1 + np.exp(-line))), 6)
            results.append(_result(case, probability[name], _truth(case, rng, folder)))
    write_manifest(cases, folder / "manifest.csv")
    write_rows(
        folder / "predictions.csv",
        [["scan_id", "mbd_probability"], *probability.items()],
    )
    content = {"schema_version": 1, "results": results}
    (folder / "results.json").write_text(json.dumps(content), encoding="utf-8")
    return Study(
        folder=folder,
        manifest=folder / "manifest.csv",
        predictions=folder / "predictions.csv",
        maps=folder / "results.json",
        probability=probability,
        cases=cases,
    )
