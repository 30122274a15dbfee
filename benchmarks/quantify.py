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
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from bonescint.classify.classify import model_folder
from bonescint.cohort import read_manifest
from bonescint.cohort.regenerate_truth import regenerate_truth
from bonescint.dicom import read
from bonescint.model import Classifier
from bonescint.quantify import (
    METASTASIS_FROM,
)
from bonescint.quantify.bone_atlas import atlas_of
from bonescint.quantify.foci import matched_foci
from bonescint.quantify.regions import BodyRegions, body_regions, dice_by_region
from bonescint.scan import Focus, FocusKind, Prediction, Scan, UptakeSite, View
from bonescint.scan.lesions import lesions_by_description, numbered_areas
from bonescint.simulate import (
    TWELVE_NAMES,
)


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


class TrueLesions:
    """Metastases and mimics of a scan, numbered, with the area of each in each view."""

    def __init__(self, stored: dict, shape: tuple[int, int]) -> None:
        content = json.loads(str(stored["json"]))
        foci = [Focus(**{**entry, "view": View(entry["view"])}) for entry in content["foci"]]
        numbers = np.array(lesions_by_description(foci), dtype=int)
        self.kind, self.noise, self.contrast, self.cause, self.described = {}, {}, {}, {}, {}
        self.centres = []
        for number, focus in zip(numbers.tolist(), foci, strict=True):
            self.kind[number] = FocusKind(focus.kind)
            self.contrast[number] = focus.contrast or 0.0
            self.cause[number] = focus.cause
            self.described[number] = (focus.region, focus.cause, focus.radius_mm, focus.contrast)
            self.centres.append((number, focus.view, round(focus.row), round(focus.column)))
            self.noise[number] = max(self.noise.get(number, 0.0), focus.contrast_to_noise or 0.0)
        self.areas = {}
        for view in View:
            area = np.zeros(shape, np.intp)
            for kind, name in ((FocusKind.MIMIC, "mimics"), (FocusKind.METASTASIS, "mask")):
                mine = [n for n, f in enumerate(foci) if f.view is view and f.kind == kind]
                centres = np.array([(foci[n].row, foci[n].column) for n in mine]).reshape(-1, 2)
                mask = stored[f"{name}_{view.value}"]
                if len(mine):
                    part = numbered_areas(mask, centres, numbers[mine], (1.0, 1.0))
                    area[part > 0] = part[part > 0]
            self.areas[view] = area

    def at(self, view: View, row: int, column: int, near: int = 5) -> int:
        """The lesion at a place, or the nearest within some pixels; 0 for none."""
        area = self.areas[view]
        top, left = max(0, row - near), max(0, column - near)
        part = area[top : row + near + 1, left : column + near + 1]
        rows, columns = np.nonzero(part)
        if not rows.size:
            return 0
        far = (rows + top - row) ** 2 + (columns + left - column) ** 2
        return int(part[rows[far.argmin()], columns[far.argmin()]])

    def enclosed(self, foci) -> set[int]:
        """The lesions whose centre lies in an outline."""
        found = set()
        for shown in foci:
            rows, columns = shown.mask.shape
            for number, view, row, column in self.centres:
                down, across = row - shown.top, column - shown.left
                inside = view is shown.view and 0 <= down < rows and 0 <= across < columns
                if inside and shown.mask[down, across]:
                    found.add(number)
        return found


BANDS = ((0, 5), (5, 10), (10, 20), (20, 1e9))


class Mark(NamedTuple):
    """A found focus: its scan, probability, true findings, and the metastases that it finds."""

    scan: int
    probability: float
    kinds: set
    ills: dict
    at_maximum: dict
    named: str
    cause: str


def marks_of(cohort: Path, file: Path, number: int, atlas) -> tuple[list, dict]:
    """Found foci of a scan, and its metastases with their contrast-to-noise ratios.

    A focus finds the metastasis on which its maximum lies, or within five pixels, and those whose
    centre its outline encloses.
    """
    scan = read(cohort / "scans" / f"{file.stem}.dcm")
    truth = TrueLesions(dict(np.load(cohort / "truth" / f"{file.stem}.npz")), scan.shape)
    prediction = Prediction.from_json(json.loads(file.read_text()))
    found = matched_foci(scan, prediction, body_regions(scan, atlas), atlas)
    marks, dices = [], []
    for lesion in found:
        on = {truth.at(f.view, f.row, f.column) for f in lesion.in_views} - {0}
        ills, at_maximum = (
            {n: truth.noise[n] for n in hit if truth.kind[n] is FocusKind.METASTASIS}
            for hit in (on | truth.enclosed(lesion.in_views), on)
        )
        cause = next((truth.cause[n] for n in on), "")
        named = next(iter(lesion.finding_probabilities), "")
        kinds = {truth.kind[n] for n in on}
        marks.append(Mark(number, lesion.probability, kinds, ills, at_maximum, named, cause))
        for focus in lesion.in_views if lesion.probability >= METASTASIS_FROM else ():
            there = np.isin(truth.areas[focus.view], list(ills))
            mask = np.zeros(scan.shape, bool)
            mask[focus.window] = focus.mask
            if (mask & there).any():
                dices.append(2 * (mask & there).sum() / (mask.sum() + there.sum()))
    ill = {n: truth.noise[n] for n, kind in truth.kind.items() if kind is FocusKind.METASTASIS}
    cold = {n for n in ill if truth.contrast[n] < 1}
    return marks, {"ill": ill, "cold": cold, "dices": dices}


def sensitivity(marks: list[Mark], truths: list[dict], scans: np.ndarray, rate: float) -> list:
    """Found metastases and all, by band of contrast-to-noise, at so many false foci per scan."""
    times = np.bincount(scans, minlength=len(truths))
    hits, wrong = {}, 0
    for mark in sorted(marks, key=lambda one: -one.probability):
        if not mark.ills:
            wrong += int(times[mark.scan])
            if wrong > rate * len(scans):
                break
        hits |= {(mark.scan, n): of for n, of in mark.ills.items()}
    counted = []
    for low, high in (*BANDS, (10, 1e9), (0, 1e9)):
        there = sum(
            int(times[k]) * sum(low <= of < high for of in truth["ill"].values())
            for k, truth in enumerate(truths)
        )
        mine = sum(int(times[k]) for (k, _), of in hits.items() if low <= of < high)
        counted.append((mine, there))
    return counted


def foci(cohort: Path, answers: Path, atlas, most: int | None) -> None:
    """FROC by contrast-to-noise, outlines, and benign against malignant."""
    marks, truths = [], []
    for number, file in enumerate(sorted(answers.glob("*.json"))[:most]):
        of_scan, truth = marks_of(cohort, file, number, atlas)
        marks += of_scan
        truths.append(truth)
    say_foci(marks, truths)


def say_sensitivity(marks: list, truths: list, every: np.ndarray, rate: float) -> None:
    """Print one row of the table, with an interval over resampled scans."""
    rng = np.random.default_rng(0)
    counted = sensitivity(marks, truths, every, rate)
    again = [
        np.divide(*sensitivity(marks, truths, rng.choice(every, len(every)), rate)[-2])
        for _ in range(200)
    ]
    low, high = np.percentile(again, [2.5, 97.5])
    bands = " ".join(f"{mine}/{there}" for mine, there in counted)
    share = np.divide(*counted[-2])
    print(f"at {rate} false a scan: {bands} | 10 and more: {share:.3f} ({low:.2f} to {high:.2f})")


def say_foci(marks: list[Mark], truths: list[dict]) -> None:
    """Print the tables of foci."""
    every = np.arange(len(truths))
    cold = sum(len(truth["cold"]) for truth in truths)
    print(f"{len(truths)} scans, {cold} metastases are cold, {len(marks)} found foci")
    alone = [mark._replace(ills=mark.at_maximum) for mark in marks]
    for how, of in (("maximum or outline", marks), ("maximum alone", alone)):
        print(f"a metastasis is found by {how}")
        for rate in (0.5, 1, 2, 4):
            say_sensitivity(of, truths, every, rate)
    judged = [mark for mark in marks if mark.kinds]
    p = np.array([mark.probability for mark in judged])
    ill = np.array([FocusKind.METASTASIS in mark.kinds for mark in judged])
    pairs = (p[ill][:, None] > p[~ill]) + 0.5 * (p[ill][:, None] == p[~ill])
    print(f"benign or malignant: AUC {pairs.mean():.3f} of {int(ill.sum())}, {int((~ill).sum())}")
    benign = [mark for mark in judged if FocusKind.METASTASIS not in mark.kinds]
    right = [mark.named == UptakeSite.named(mark.cause).group for mark in benign]
    print(f"benign foci named rightly: {np.mean(right):.2f} of {len(right)}")
    dices = np.concatenate([truth["dices"] for truth in truths])
    print(f"outlines: mean Dice {dices.mean():.3f} (median {np.median(dices):.3f}) of {len(dices)}")
    called = [mark for mark in marks if mark.probability >= METASTASIS_FROM]
    print(f"of {len(called)} called metastases, {np.mean([bool(m.ills) for m in called]):.2f} are")
    edges = np.array([0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.01])
    every_p = np.array([mark.probability for mark in marks])
    true = np.array([bool(mark.ills) for mark in marks])
    for low, high in pairwise(edges):
        mine = (every_p >= low) & (every_p < high)
        if mine.any():
            print(f"  probability {low:.2f} on: {mine.sum()} foci, {true[mine].mean():.2f} are")


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
