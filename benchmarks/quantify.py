"""Measures regions and foci on simulated scans, with their truth.

    python benchmarks/quantify.py truth COHORT TRUTH --count 80     # regenerates maps of bones
    python benchmarks/quantify.py regions COHORT TRUTH [--pictures FOLDER]
    python benchmarks/quantify.py predict COHORT ANSWERS --count 80 --centre C
    python benchmarks/quantify.py foci COHORT ANSWERS

COHORT is what `bonescint simulate cohort` wrote; no scan of it may have served for the atlas.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from bonescint.classify.classify import model_folder
from bonescint.cohort import read_manifest
from bonescint.cohort.regenerate_truth import regenerate_truth
from bonescint.dicom import read
from bonescint.evaluate import Resampling
from bonescint.evaluate.lesions import (
    FoundFocus,
    FoundOutline,
    focus_measures,
    judge_foci,
    sensitivity_bands,
)
from bonescint.experiment.evaluation.true_lesions import case_lesions
from bonescint.model import Classifier
from bonescint.quantify import METASTASIS_FROM, MatchedFocus
from bonescint.quantify.bone_atlas import atlas_of
from bonescint.quantify.foci import matched_foci
from bonescint.quantify.regions import BodyRegions, body_regions, dice_by_region
from bonescint.scan import Prediction, Scan, UptakeSite, View
from bonescint.simulate import (
    TWELVE_NAMES,
)

FEW = Resampling(resamples=200)


def truth(cohort: Path, out: Path, count: int) -> None:
    """Regenerate the complete truth of the first scans."""
    out.mkdir(parents=True, exist_ok=True)
    for case in read_manifest(cohort / "manifest.csv").cases[:count]:
        file = out / f"{Path(case.file).stem}.npz"
        if not file.exists():
            regenerate_truth(cohort, case.scan_id, file)


def picture(scan: Scan, found: BodyRegions, true: dict, path: Path) -> None:
    """Both views under the regions that were found, beside the true ones."""
    palette = np.random.default_rng(1).integers(60, 255, (80, 3))
    drawn = []
    for view, image in scan.images():
        grey = 255 - np.clip(image / np.percentile(image[image > 0], 98) * 255, 0, 255)
        for maps in (found.regions[view], true.get(f"regions_{view.value}"), found.bones[view]):
            if maps is None:
                continue
            colour = np.repeat(grey[..., None], 3, axis=2)
            on = maps > 0
            colour[on] = 0.45 * colour[on] + 0.55 * palette[maps[on]]
            drawn.append(colour.astype(np.uint8))
    Image.fromarray(np.concatenate(drawn, axis=1)).save(path)


def regions(cohort: Path, truths: Path, pictures: Path | None, most: int | None, atlas) -> None:
    """Dice of each region, and the time."""
    rows, seconds, likeness = [], [], []
    for file in sorted(truths.glob("*.npz"))[:most]:
        scan = read(cohort / "scans" / f"{file.stem}.dcm")
        true = dict(np.load(file))
        began = time.process_time()
        found = body_regions(scan, atlas)
        seconds.append(time.process_time() - began)
        likeness.append(list(found.registration.likeness.values()))
        rows.append([dice_by_region(found.regions[v], true[f"regions_{v.value}"]) for v in View])
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
            picture(scan, found, true, pictures / f"{file.stem}.png")
    means = np.nanmean(rows, axis=0)
    for name, (front, back) in zip(TWELVE_NAMES, means.T, strict=True):
        print(f"{name:20} AP {front:.3f}  PA {back:.3f}")
    per_scan = np.nanmean(rows, axis=2)
    for view, of in zip(View, per_scan.T, strict=True):
        spread = of.std(ddof=1) / np.sqrt(len(of)) * 1.96
        print(f"{view.value} mean Dice {of.mean():.3f} +- {spread:.3f}, worst {of.min():.3f}")
    print("likeness, lowest, median", np.min(likeness, axis=0), np.median(likeness, axis=0))
    print(f"{len(rows)} scans, CPU seconds each {np.mean(seconds):.2f}")


def predictions(cohort: Path, out: Path, count: int, centre: str, split: str) -> None:
    """The shipped model's answers for the first scans of a centre and split, or of all."""
    out.mkdir(parents=True, exist_ok=True)
    with Classifier(model_folder(None), threads=1) as model:
        cases = [
            case
            for case in read_manifest(cohort / "manifest.csv").cases
            if centre in ("", case.centre) and split in ("", case.split)
        ]
        for case in cases[:count]:
            file = out / f"{Path(case.file).stem}.json"
            if not file.exists():
                file.write_text(json.dumps(model.predict(read(cohort / case.file)).to_json()))


def as_found(focus: MatchedFocus) -> FoundFocus:
    """A focus as the evaluation takes it."""
    return FoundFocus(
        number=focus.number,
        rating=focus.probability,
        views={
            one.view: FoundOutline(
                row=one.row, column=one.column, mask=one.mask, top=one.top, left=one.left
            )
            for one in focus.in_views
        },
    )


def foci(cohort: Path, answers: Path, atlas, most: int | None) -> None:
    """What `bonescint evaluate --lesions` says of foci, and how benign ones are named."""
    manifest = read_manifest(cohort / "manifest.csv")
    cases = {Path(case.file).stem: case for case in manifest.cases}
    patients = sorted({case.patient_id for case in manifest.cases})
    scans, alone, right, cold = [], [], [], 0
    for file in sorted(answers.glob("*.json"))[:most]:
        case = cases[file.stem]
        scan = read(manifest.path(case))
        prediction = Prediction.from_json(json.loads(file.read_text()))
        found = matched_foci(scan, prediction, body_regions(scan, atlas), atlas)
        lesions = case_lesions(
            manifest,
            case,
            views=scan.views,
            shape=scan.shape,
            pixel_mm=scan.pixel_spacing_mm,
        )
        cold += len({n for n, focus in lesions.metastases.foci if (focus.contrast or 0) < 1})
        foci = [as_found(one) for one in found]
        patient = patients.index(case.patient_id)
        scans.append(judge_foci(case.scan_id, patient, foci, lesions.truth))
        without = replace(lesions.truth, centres=())
        alone.append(judge_foci(case.scan_id, patient, foci, without))
        causes = {n: focus.cause for n, focus in lesions.benign.foci}
        for one, judged in zip(found, alone[-1].foci, strict=True):
            if judged.benign and not judged.on_metastasis:
                named = next(iter(one.finding_probabilities), "")
                right.append(named == UptakeSite.named(causes[judged.benign[0]]).group)
    number = sum(len(scan.foci) for scan in scans)
    print(f"{len(scans)} scans, {cold} metastases are cold, {number} found foci")
    for how, of in (("maximum or outline", scans), ("maximum alone", alone)):
        print(f"a metastasis is found by {how}")
        for edges in ((5.0, 10.0, 20.0), (10.0,)):
            for band in sensitivity_bands(of, FEW, edges=edges):
                said = " | ".join(f"{m.counted} {m.estimate.text(2)}" for m in band.measures)
                print(f"  contrast-to-noise {band.name}: {said}")
    for one in focus_measures(scans, FEW, called_from=METASTASIS_FROM):
        print(f"{one.words}: {one.estimate.text()} of {one.counted}")
    print(f"benign foci named rightly: {np.mean(right):.2f} of {len(right)}")
    every = [focus for scan in scans for focus in scan.foci]
    for low, high in pairwise((0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.01)):
        mine = [bool(one.metastases) for one in every if low <= one.rating < high]
        if mine:
            print(f"  probability {low:.2f} on: {len(mine)} foci, {np.mean(mine):.2f} are")


WORK = ("truth", "regions", "predict", "foci")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what",
        choices=WORK,
    )
    parser.add_argument("cohort", type=Path, nargs="?")
    parser.add_argument("truth", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--centre", default="")
    parser.add_argument("--split", default="")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--atlas", type=Path)
    given = parser.parse_args()
    atlas = atlas_of(dict(np.load(given.atlas))) if given.atlas else None
    if given.what == "truth":
        truth(given.cohort, given.truth, given.count or 80)
    elif given.what == "predict":
        predictions(given.cohort, given.truth, given.count or 80, given.centre, given.split)
    elif given.what == "foci":
        foci(given.cohort, given.truth, atlas, given.count)
    else:
        regions(given.cohort, given.truth, given.pictures, given.count, atlas)


if __name__ == "__main__":
    main()
