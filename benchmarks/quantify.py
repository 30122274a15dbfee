"""Measures regions, foci and Bone Scan Index on simulated scans, with their truth.

    python benchmarks/quantify.py truth COHORT TRUTH --count 80     # regenerates maps of bones
    python benchmarks/quantify.py regions COHORT TRUTH [--pictures FOLDER]
    python benchmarks/quantify.py predict COHORT ANSWERS --count 80
    python benchmarks/quantify.py foci COHORT ANSWERS
    python benchmarks/quantify.py index OUT.json --count 50     # Bone Scan Index against truth
    python benchmarks/quantify.py calibrate OUT.json [MORE.json]
    python benchmarks/quantify.py change --count 20             # new foci in pairs of scans
    python benchmarks/quantify.py agreement OUT.json            # of other patients

COHORT is what `bonescint simulate cohort` wrote; no scan of it may have served for the atlas.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.spatial import KDTree

from bonescint.classify.classify import model_folder
from bonescint.cohort import read_manifest
from bonescint.cohort.regenerate_truth import regenerate_truth
from bonescint.dicom import read
from bonescint.model import Classifier
from bonescint.quantify import (
    FocusChange,
    MassTable,
    QuantifiedScan,
    bone_atlas,
    bone_masses,
    bone_scan_index,
    changed_foci,
)
from bonescint.quantify.bone_atlas import atlas_of
from bonescint.quantify.detectability import _sphere
from bonescint.quantify.foci import matched_foci
from bonescint.quantify.regions import BodyRegions, body_regions, dice_by_region
from bonescint.quantify.registration import in_view_mm
from bonescint.scan import Focus, FocusKind, Prediction, Scan, View
from bonescint.scan.lesions import lesions_by_description, numbered_areas
from bonescint.simulate import (
    TWELVE_NAMES,
    Disease,
    camera_named,
    draw_anatomy,
    set_up_camera,
    simulate_scan,
    simulated_scan,
)
from bonescint.simulate.population import Population


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


def predictions(cohort: Path, out: Path, count: int) -> None:
    """The shipped model's answers for the first scans."""
    out.mkdir(parents=True, exist_ok=True)
    with Classifier(model_folder(None), threads=1) as model:
        for case in read_manifest(cohort / "manifest.csv").cases[:count]:
            file = out / f"{Path(case.file).stem}.json"
            if not file.exists():
                file.write_text(json.dumps(model.predict(read(cohort / case.file)).to_json()))


class TrueLesions:
    """Metastases and mimics of a scan, numbered, with the area of each in each view."""

    def __init__(self, stored: dict, shape: tuple[int, int]) -> None:
        content = json.loads(str(stored["json"]))
        foci = [Focus(**{**entry, "view": View(entry["view"])}) for entry in content["foci"]]
        numbers = np.array(lesions_by_description(foci), dtype=int)
        self.kind, self.noise = {}, {}
        for number, focus in zip(numbers.tolist(), foci, strict=True):
            self.kind[number] = FocusKind(focus.kind)
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


BANDS = ((0, 5), (5, 10), (10, 20), (20, 1e9))


def foci(cohort: Path, answers: Path, atlas, most: int | None) -> None:
    """FROC by contrast-to-noise, outlines, and benign against malignant."""
    marks, total, scans, dices, judged, seconds = [], [], 0, [], [], []
    for file in sorted(answers.glob("*.json"))[:most]:
        scan = read(cohort / "scans" / f"{file.stem}.dcm")
        truth = TrueLesions(dict(np.load(cohort / "truth" / f"{file.stem}.npz")), scan.shape)
        prediction = Prediction.from_json(json.loads(file.read_text()))
        began = time.process_time()
        body = body_regions(scan, atlas)
        found = matched_foci(scan, prediction, body)
        seconds.append(time.process_time() - began)
        scans += 1
        ill = [n for n, kind in truth.kind.items() if kind is FocusKind.METASTASIS]
        total += [truth.noise[n] for n in ill]
        for lesion in found:
            hit = {truth.at(f.view, f.row, f.column) for f in lesion.in_views} - {0}
            kinds = {truth.kind[n] for n in hit}
            ills = [n for n in hit if truth.kind[n] is FocusKind.METASTASIS]
            marks.append((lesion.probability, [(scans, n, truth.noise[n]) for n in ills]))
            if kinds:
                judged.append((lesion.probability, FocusKind.METASTASIS in kinds))
            for focus in lesion.in_views:
                number = truth.at(focus.view, focus.row, focus.column)
                if number in ills:
                    mask = np.zeros(scan.shape, bool)
                    mask[focus.window] = focus.mask
                    there = truth.areas[focus.view] == number
                    dices.append(2 * (mask & there).sum() / (mask.sum() + there.sum()))
    marks.sort(key=lambda mark: -mark[0])
    noise = np.array(total)
    print(f"{scans} scans, {len(noise)} metastases, {len(marks)} found foci")
    for rate in (0.5, 1, 2, 4):
        hits, wrong = {}, 0
        for _, ills in marks:
            if not ills:
                wrong += 1
                if wrong > rate * scans:
                    break
            for scan, number, of in ills:
                hits[scan, number] = of
        said = [f"all {len(hits) / len(noise):.2f}"]
        got = np.array(list(hits.values()))
        for low, high in BANDS:
            there = int(((noise >= low) & (noise < high)).sum())
            said.append(f"{low}+: {((got >= low) & (got < high)).sum()}/{there}")
        there, mine = int((noise >= 10).sum()), int((got >= 10).sum())
        print(f"at {rate} false a scan:", *said, f"| 10 and more: {mine / there:.3f}")
    p, ill = np.array(judged).T
    pairs = (p[ill == 1][:, None] > p[ill == 0]) + 0.5 * (p[ill == 1][:, None] == p[ill == 0])
    print(
        f"benign or malignant: AUC {pairs.mean():.3f} of {int(ill.sum())}, {int((1 - ill).sum())}"
    )
    print(
        f"outlines: mean Dice {np.mean(dices):.3f} (median {np.median(dices):.3f}) of {len(dices)}"
    )
    print(f"CPU seconds a scan {np.mean(seconds):.2f}")


class KnownPatient(NamedTuple):
    """A simulated patient, the expected counts of both views, and the true shares of disease."""

    means: dict[View, np.ndarray]
    pixel_mm: float
    scan: Scan
    diseased: np.ndarray


def known_patient(seed: int, lesions: int, radius_mm: float) -> KnownPatient:
    """A patient with so many metastases, and the share of each bone's volume that they take.

    A sample of bone is diseased where the lesion's profile exceeds a half.
    """
    caught = {}
    draw = simulated_scan._draw_tracer

    def catch(*given, **named):
        caught["tracer"] = draw(*given, **named)
        return caught["tracer"]

    rng = np.random.default_rng([seed, 77])
    anatomy = draw_anatomy(rng, Population(anatomy=2), primary="prostate")
    simulated_scan._draw_tracer = catch
    try:
        simulated = simulate_scan(
            anatomy,
            set_up_camera(camera_named("discovery"), rng),
            rng,
            positive=True,
            scan_id=f"bsi-{seed}",
            lesions=lesions,
            counts=1.5e6,
            disease=Disease(radius_median_mm=radius_mm),
        )
    finally:
        simulated_scan._draw_tracer = draw
    skeleton, normal = anatomy.skeleton, caught["tracer"].normal
    ill = np.zeros(len(normal), bool)
    for focus in caught["tracer"].metastases:
        span = skeleton.span(focus.region)
        _, at = KDTree(anatomy.positions_mm[span]).query(focus.positions_mm)
        at = at + span.start
        local = np.maximum(normal[at], 0.45 * skeleton.volume[at] if focus.contrast > 1 else 0)
        profile = np.abs(focus.activity) / np.maximum(abs(focus.contrast - 1) * local, 1e-9)
        ill[at[profile > 0.5]] = True
    volume = np.array([skeleton.volume[skeleton.span(r)].sum() for r in skeleton.regions])
    sick = np.array([(skeleton.volume * ill)[skeleton.span(r)].sum() for r in skeleton.regions])
    return KnownPatient(
        simulated.means, simulated.scan.pixel_spacing_mm[0], simulated.scan, sick / volume
    )


def index(out: Path, patients: int, levels: tuple[float, ...], seed: int, atlas) -> None:
    """After Anand et al. 2016: indices of patients at several counts, beside the truth."""
    masses = bone_masses(MassTable.SPIERS, atlas)
    rows = []
    with Classifier(model_folder(None), threads=1) as model:
        for number in range(patients):
            rng = np.random.default_rng([seed, number])
            lesions = int(np.exp(rng.uniform(0, np.log(46))))
            radius_mm = float(rng.uniform(11, 24))
            patient = known_patient(seed * 1000 + number, lesions, radius_mm)
            true = 100 * float(masses @ patient.diseased)
            for level in levels:
                for repeat in range(2 if level == levels[0] else 1):
                    images = {
                        view.value: rng.poisson(mean * (level / 1.5e6)).astype(np.float32)
                        for view, mean in patient.means.items()
                    }
                    scan = patient.scan.with_views(step="again", **images)
                    prediction = model.predict(scan)
                    body = body_regions(scan, atlas)
                    found = matched_foci(scan, prediction, body)
                    said = bone_scan_index(scan, prediction, body, found, atlas=atlas)
                    rows.append(
                        (
                            number,
                            level,
                            repeat,
                            true,
                            said.percent,
                            said.low,
                            said.high,
                            said.own_sd,
                        )
                    )
                    print(*rows[-1], flush=True)
    out.write_text(json.dumps(rows))


def change(patients: int, seed: int, noise: float) -> None:
    """Pairs of scans of one patient, unchanged and with two new foci of a contrast-to-noise."""
    stable = wrong = new = found_new = 0
    atlas = bone_atlas()
    with Classifier(model_folder(None), threads=1) as model:

        def quantified(images: dict, scan: Scan) -> QuantifiedScan:
            other = scan.with_views(step="again", **images)
            prediction = model.predict(other)
            body = body_regions(other)
            return QuantifiedScan(
                scan=other,
                prediction=prediction,
                body=body,
                index=None,
                foci=matched_foci(other, prediction, body),
                remarks=(),
            )

        for number in range(patients):
            rng = np.random.default_rng([seed, number])
            patient = known_patient(seed * 1000 + number, 1 + number % 8, 13.0)
            before = quantified(
                {v.value: rng.poisson(m).astype(np.float32) for v, m in patient.means.items()},
                patient.scan,
            )
            move = rng.integers(-8, 9, 2)
            again, more = {}, {}
            places = atlas.places_mm(before.body.registration.pose.shape)
            trunk = np.isin(
                atlas.bone,
                [
                    n
                    for n, name in enumerate(atlas.bones)
                    if name[0] in "TL" or name.startswith("rib")
                ],
            )
            sites = places[rng.choice(np.flatnonzero(trunk), 2)]
            for view, mean in patient.means.items():
                sign = 1 if view is View.ANTERIOR else -1
                added = np.zeros_like(mean)
                for site in sites:
                    at = in_view_mm(site, before.body.registration.pose.origin_mm[view])
                    row, column = at[::-1] / patient.pixel_mm
                    if view is View.POSTERIOR:
                        column = mean.shape[1] - column
                    shape = _sphere((row, column), mean.shape, (patient.pixel_mm,) * 2, 9.0)
                    mask = shape > 0.4 * shape.max()
                    base = float(mean[mask].sum())
                    # own / sqrt(own + base) is the contrast-to-noise ratio
                    own = noise**2 / 2 + np.sqrt(noise**4 / 4 + noise**2 * base)
                    added += shape * own / float(shape[mask].sum())
                for images, expected in ((again, mean), (more, mean + added)):
                    drawn = rng.poisson(expected).astype(np.float32)
                    images[view.value] = np.roll(drawn, (move[0], sign * move[1]), (0, 1))
            after = changed_foci(before, quantified(again, patient.scan))
            wrong += any(one.change is FocusChange.NEW for one in after)
            stable += 1
            grown = changed_foci(before, quantified(more, patient.scan))
            new += 2
            found_new += min(2, sum(one.change is FocusChange.NEW for one in grown))
            print(
                f"{wrong} of {stable} unchanged pairs with a new focus; "
                f"{found_new} of {new} new foci found",
                flush=True,
            )


CALIBRATION = Path("src/bonescint/quantify/bsi_calibration.json")


def calibrate(files: list[Path], out: Path) -> None:
    """The factor of the index, and the errors that are left, by counts and by index."""
    rows = np.concatenate([np.array(json.loads(f.read_text()), dtype=float) for f in files])
    old = json.loads(out.read_text())["values"]["factor"][0][0]
    rows = rows[rows[:, 2] == 0]
    true, said, own = rows[:, 3], rows[:, 4] / old, rows[:, 7]
    factor = float((true @ said) / (said @ said))
    said = said * factor
    levels, knots = np.unique(rows[:, 1]), np.array([0.05, 0.3, 1.0, 4.0])
    off = np.log(said + 0.02) - np.log(true + 0.02)
    lines = []
    for level in levels:
        mine = rows[:, 1] == level
        line = []
        for knot in knots:
            near = np.exp(-0.5 * (np.log((said + 0.02) / (knot + 0.02)) / 0.6) ** 2) * mine
            variance = (near @ np.maximum(off**2, 0)) / near.sum() - (near @ own**2) / near.sum()
            line.append(round(float(np.sqrt(max(variance, 0.01))), 3))
        lines.append(line)
    content = {
        "source": f"benchmarks/quantify.py calibrate, {sum(rows[:, 1] == levels[-1])} patients",
        "values": {
            "factor": [[round(factor, 3)]],
            "counts": [levels.tolist()],
            "index": [knots.tolist()],
            "sd": lines,
        },
    }
    out.write_text(json.dumps(content, indent=1) + "\n")
    print(out.read_text())


def agreement(file: Path) -> None:
    """The table of the experiment."""
    rows = np.array(json.loads(file.read_text()), dtype=float)
    for level in np.unique(rows[:, 1])[::-1]:
        mine = rows[(rows[:, 1] == level) & (rows[:, 2] == 0)]
        true, said, low, high = mine[:, 3:7].T
        error = said - true
        inside = (true >= low) & (true <= high)
        print(
            f"{level / 1e6:.2g} M counts, {len(mine)} patients: "
            f"r {np.corrcoef(true, said)[0, 1]:.3f}, "
            f"bias {error.mean():+.2f}, sd of error {error.std(ddof=1):.2f}, "
            f"CV {100 * error.std(ddof=1) / true.mean():.0f} %, "
            f"coverage {100 * inside.mean():.0f} %"
        )
    top = rows[:, 1].max()
    first = rows[(rows[:, 1] == top) & (rows[:, 2] == 0)][:, 4]
    again = rows[(rows[:, 1] == top) & (rows[:, 2] == 1)][:, 4]
    if len(again):
        off = first - again
        print(f"repeat difference {off.mean():+.2f} +- {off.std(ddof=1):.2f}")


WORK = (
    "truth",
    "regions",
    "predict",
    "foci",
    "index",
    "calibrate",
    "agreement",
    "change",
)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what",
        choices=(
            "truth",
            "regions",
            "predict",
            "foci",
            "index",
            "agreement",
            "calibrate",
            "change",
        ),
    )
    parser.add_argument("cohort", type=Path, nargs="?")
    parser.add_argument("truth", type=Path, nargs="?")
    parser.add_argument("--counts", type=float, nargs="+", default=[1.5e6, 1e6, 0.5e6, 0.2e6])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--noise", type=float, default=10.0)
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--atlas", type=Path)
    given = parser.parse_args()
    atlas = atlas_of(dict(np.load(given.atlas))) if given.atlas else None
    if given.what == "truth":
        truth(given.cohort, given.truth, given.count or 80)
    elif given.what == "predict":
        predictions(given.cohort, given.truth, given.count or 80)
    elif given.what == "index":
        index(given.cohort, given.count or 50, tuple(given.counts), given.seed, atlas)
    elif given.what == "change":
        change(given.count or 20, given.seed, given.noise)
    elif given.what == "calibrate":
        calibrate([given.cohort, *([given.truth] if given.truth else [])], CALIBRATION)
    elif given.what == "agreement":
        agreement(given.cohort)
    elif given.what == "foci":
        foci(given.cohort, given.truth, atlas, given.count)
    else:
        regions(given.cohort, given.truth, given.pictures, given.count, atlas)


if __name__ == "__main__":
    main()
