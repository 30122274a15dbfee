"""Measures the Bone Scan Index against the truth of simulated patients.

python benchmarks/bone_scan_index.py index OUT.json --count 50          # against the truth
python benchmarks/bone_scan_index.py agreement OUT.json
python benchmarks/bone_scan_index.py index CAL.json --count 60 --seed 5 --resamples 0
python benchmarks/bone_scan_index.py calibrate CAL.json [MORE.json]     # of other patients
python benchmarks/bone_scan_index.py normal COHORT --count 40           # scans without metastases
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

from bonescint.classify.classify import model_folder
from bonescint.cohort import read_manifest
from bonescint.dicom import read
from bonescint.model import Classifier
from bonescint.quantify import (
    MassTable,
    bone_atlas,
    bone_masses,
    bone_scan_index,
)
from bonescint.quantify.bone_scan_index import RESAMPLES
from bonescint.quantify.foci import MatchedFocus, matched_foci
from bonescint.quantify.laid_atlas import LaidAtlas, laid_atlas
from bonescint.quantify.regions import body_regions
from bonescint.scan import Scan, View
from bonescint.simulate import (
    Disease,
    camera_named,
    draw_anatomy,
    set_up_camera,
    simulate_scan,
    simulated_scan,
)
from bonescint.simulate.population import Population


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


def index(out: Path, patients: int, levels: tuple[float, ...], seed: int, resamples: int) -> None:
    """After Anand et al. 2016: indices of patients at several counts, beside the truth."""
    atlas = bone_atlas()
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
                    found = matched_foci(scan, prediction, body, atlas)
                    said = bone_scan_index(
                        scan, prediction, body, found, atlas=atlas, resamples=resamples
                    )
                    laid = laid_atlas(body, scan.shape, atlas)
                    rows.append(
                        {
                            "patient": number,
                            "counts": level,
                            "repeat": repeat,
                            "true": true,
                            "percent": said.percent,
                            "low": said.low,
                            "high": said.high,
                            "own_sd": said.own_sd,
                            "foci": [focus_mass(one, laid, masses) for one in found],
                        }
                    )
            print(number, true, rows[-1]["percent"], flush=True)
            out.write_text(json.dumps(rows))


def focus_mass(focus: MatchedFocus, laid: LaidAtlas, masses: np.ndarray) -> tuple[float, float]:
    """Probability of a focus, and the percentage of the skeleton's mass that it would be."""
    each = masses / np.bincount(laid.atlas.bone, minlength=len(masses))
    inside = laid.enclosed(focus.in_views, focus.bone)
    share = float(each[laid.atlas.bone[inside]].sum())
    share = max(share, 0.5 * float(each[laid.atlas.bones.index(focus.bone)]))
    return focus.probability, 100 * share * focus.volume_ratio


def normal_index(cohort: Path, count: int, centre: str) -> None:
    """Indices of a centre's scans without metastases."""
    cases = [
        case
        for case in read_manifest(cohort / "manifest.csv").cases
        if not case.positive and case.centre == centre
    ]
    said = []
    with Classifier(model_folder(None), threads=1) as model:
        for case in cases[:count]:
            scan = read(cohort / case.file)
            prediction = model.predict(scan)
            body = body_regions(scan)
            found = matched_foci(scan, prediction, body)
            said.append(bone_scan_index(scan, prediction, body, found, resamples=0).percent)
    middle, high = np.percentile(said, [50, 90])
    zero = float(np.mean(np.array(said) < 0.005))
    print(
        f"{len(said)} normal scans: median {middle:.3f}, 90th percentile {high:.3f}, "
        f"most {max(said):.3f}, under 0.005: {zero:.2f}"
    )


CALIBRATION = Path("src/bonescint/quantify/bsi_calibration.json")
LEAST = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def calibrate(files: list[Path], out: Path) -> None:
    """The least probability that counts, the factor, and the errors by counts and by index."""
    rows = [row for file in files for row in json.loads(file.read_text()) if not row["repeat"]]
    true = np.array([row["true"] for row in rows])
    counts = np.array([row["counts"] for row in rows])
    tried = {}
    for least in LEAST:
        sums = [sum(p * share for p, share in row["foci"] if p >= least) for row in rows]
        said = np.array(sums)
        # A median, so that a patient of whom the skull is mistaken does not set the factor.
        seen = (true > 0.1) & (said > 0.02)
        factor = float(np.exp(np.median(np.log(true[seen] / said[seen]))))
        error = float(np.median(np.abs(said * factor - true)))
        tried[least] = (error, factor, said * factor)
        print(f"from {least}: factor {factor:.2f}, median error {error:.3f}")
    least = min(tried, key=lambda of: tried[of][0])
    _, factor, said = tried[least]
    levels, knots = np.unique(counts), np.array([0.05, 0.3, 1.0, 4.0])
    off = np.log(said + 0.02) - np.log(true + 0.02)
    lines = []
    for level in levels:
        mine = counts == level
        line = []
        for knot in knots:
            near = np.exp(-0.5 * (np.log((said + 0.02) / (knot + 0.02)) / 0.6) ** 2) * mine
            line.append(round(float(np.sqrt((near @ off**2) / near.sum())), 3))
        lines.append(line)
    content = {
        "source": f"benchmarks/bone_scan_index.py calibrate, {sum(counts == levels[-1])} patients",
        "values": {
            "least_probability": [[least]],
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
    rows = json.loads(file.read_text())
    most = max(row["counts"] for row in rows)
    of_patient = {
        row["patient"]: row["percent"]
        for row in rows
        if row["counts"] == most and not row["repeat"]
    }
    for level in sorted({row["counts"] for row in rows}, reverse=True):
        mine = [row for row in rows if row["counts"] == level and not row["repeat"]]
        true, said, low, high = (
            np.array([row[name] for row in mine]) for name in ("true", "percent", "low", "high")
        )
        error = said - true
        inside = (true >= low) & (true <= high)
        apart = said - np.array([of_patient[row["patient"]] for row in mine])
        rng = np.random.default_rng(0)
        again = [rng.choice(len(true), len(true)) for _ in range(500)]
        r = np.percentile([np.corrcoef(true[k], said[k])[0, 1] for k in again], [2.5, 97.5])
        print(
            f"{level / 1e6:.2g} M counts, {len(mine)} patients: "
            f"r {np.corrcoef(true, said)[0, 1]:.3f} ({r[0]:.2f} to {r[1]:.2f}), "
            f"bias {error.mean():+.2f}, absolute error {np.abs(error).mean():.2f}, "
            f"sd of error {error.std(ddof=1):.2f}, "
            f"CV {100 * error.std(ddof=1) / true.mean():.0f} %, "
            f"coverage {inside.sum()} of {len(inside)}, "
            f"high over low {np.median(high / np.maximum(low, 1e-3)):.1f}, "
            f"from the same patient at most counts {np.abs(apart).mean():.2f}"
        )
    top = [row for row in rows if row["counts"] == most]
    first = np.array([row["percent"] for row in top if not row["repeat"]])
    again = np.array([row["percent"] for row in top if row["repeat"]])
    if len(again):
        off = first - again
        print(f"repeat difference {off.mean():+.2f} +- {off.std(ddof=1):.2f}")


WORK = ("index", "agreement", "calibrate", "normal")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=WORK)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--counts", type=float, nargs="+", default=[1.5e6, 1e6, 0.5e6, 0.2e6])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--centre", default="C")
    given = parser.parse_args()
    if given.what == "index":
        levels = tuple(given.counts)
        index(given.files[0], given.count or 50, levels, given.seed, given.resamples)
    elif given.what == "normal":
        normal_index(given.files[0], given.count or 40, given.centre)
    elif given.what == "calibrate":
        calibrate(given.files, CALIBRATION)
    else:
        agreement(given.files[0])


if __name__ == "__main__":
    main()
