"""What `bonescint cohort compare` costs, and how far its figures can be trusted.

Usage:
    python benchmarks/cohort_compare.py speed [--count 300] [--repeats 1] [--workers 2]
    python benchmarks/cohort_compare.py landmarks [--count 48] [--anatomy 2]
    python benchmarks/cohort_compare.py intervals [--draws 120]
    python benchmarks/cohort_compare.py blur

`speed` simulates two cohorts of `count` scans (`simulate_cohort`, seeds 1 and 2), lists each of
their scans `repeats` times under other names, and compares them with a run of its own process:
wall time, processor time and the highest memory of all its processes. `landmarks` compares
estimates on simulated scans with the skeletons that they were made from. `intervals` draws cohorts
of a known distance and counts how often the interval of the classifier's area covers. `blur`
compares scans with the same scans seen less sharply.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from normal_maps import CAMERAS
from scipy import ndimage

from bonescint.cohort import read_manifest, simulate_cohort, write_manifest
from bonescint.cohort.compare.characteristics import LANDMARKS, characteristics_of, landmark_shares
from bonescint.cohort.compare.maps import PREPROCESSING, reduced
from bonescint.cohort.compare.separation import separation
from bonescint.cohort.protocol import mixed_protocol
from bonescint.prepare import prepare, preprocessing_named
from bonescint.simulate import camera_named, draw_anatomy, set_up_camera, simulate_scan
from bonescint.simulate.population import Population


def repeated(folder: Path, times: int) -> Path:
    """A manifest that lists each scan of a cohort so many times."""
    cases = [
        replace(case, scan_id=f"{case.scan_id}-{time}", patient_id=f"{case.patient_id}-{time}")
        for time in range(times)
        for case in read_manifest(folder).cases
    ]
    write_manifest(cases, folder / "repeated.csv")
    return folder / "repeated.csv"


def speed(args: argparse.Namespace) -> None:
    """Print time and memory of a comparison."""
    with tempfile.TemporaryDirectory() as place:
        sides = []
        for seed in (1, 2):
            folder = Path(place) / f"side-{seed}"
            simulate_cohort(mixed_protocol(args.count), folder, seed=seed, workers=args.workers)
            sides.append(repeated(folder, args.repeats))
        command = [sys.executable, "-m", "bonescint", "cohort", "compare", *map(str, sides),
                   "--out", f"{place}/report", "--workers", str(args.workers)]  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"2 x {args.count * args.repeats} scans, {args.workers} workers: {wall:.0f} s, "
              f"{seconds:.0f} s of processor time, largest process "
              f"{after.ru_maxrss / 1024:.0f} MB")  # fmt: skip


def landmarks(args: argparse.Namespace) -> None:
    """Print errors of the estimates against the simulated skeletons."""
    errors = []
    for seed in range(args.count):
        rng = np.random.default_rng([7, seed])
        body = draw_anatomy(rng, Population(anatomy=args.anatomy))
        camera = set_up_camera(camera_named(CAMERAS[seed % len(CAMERAS)]), rng)
        scan = simulate_scan(body, camera, rng, positive=seed % 2 == 1, scan_id="one").scan
        found = landmark_shares(
            reduced(prepare(scan, preprocessing_named(PREPROCESSING)).composite[0])
        )
        bones, z = body.landmarks, body.positions_mm[:, 2]
        heights = {
            "acromion": [bones.box(f"scapula {side}")[1][2] for side in "LR"],
            "elbow": [bones.bottom(f"humerus {side}")[2] for side in "LR"],
            "iliac crest": [bones.box(f"pelvis {side}")[1][2] for side in "LR"],
            "symphysis": [bones.box(f"pelvis {side}")[0][2] for side in "LR"],
            "knee": [bones.top(f"tibia {side}")[2] for side in "LR"],
            "ankle": [bones.bottom(f"tibia {side}")[2] for side in "LR"],
        }
        errors.append([
            found[name] - (z.max() - np.mean(heights[name])) / (z.max() - z.min())
            for name in LANDMARKS
        ])  # fmt: skip
    for name, error in zip(LANDMARKS, np.array(errors).T, strict=True):
        known = error[np.isfinite(error)]
        print(f"{name:12} found {known.size / error.size:.2f}  mean error {known.mean():+.3f}  "
              f"SD {known.std():.3f}  largest from the mean "
              f"{np.abs(known - known.mean()).max():.3f}")  # fmt: skip


def intervals(args: argparse.Namespace) -> None:
    """Print how often intervals cover, for cohorts of a known distance."""
    basis = np.random.default_rng(0).normal(0, 1, (30, 256))

    def drawn(seed: list[int], count: int, shift: float) -> np.ndarray:
        rng = np.random.default_rng(seed)
        weights = rng.normal(0, 1, (count, 30)) * np.geomspace(3, 0.3, 30)
        weights[:, 2] += shift
        return weights @ basis + rng.normal(0, 0.5, (count, 256))

    for shift in (0.0, 1.5, 3.0, 6.0):
        for first, second in ((21, 12), (20, 20), (40, 40), (100, 100)):
            names = [f"a{n}" for n in range(first)], [f"b{n}" for n in range(second)]
            areas = [
                separation(
                    (drawn([first, n, 0], first, 0.0), drawn([first, n, 1], second, shift)), names
                ).area
                for n in range(args.draws)
            ]
            values = [area.value for area in areas]
            target = float(np.mean(values)) if shift else 0.5
            # Where there is no interval, every pair was ranked right.
            covers = [not area.low > target and not area.high < target for area in areas]
            width = np.nanmean([area.high - area.low for area in areas])
            print(f"shift {shift:.1f}, {first} and {second}: area {np.mean(values):.3f} "
                  f"(SD {np.std(values):.3f}), covered {np.mean(covers):.2f}, "
                  f"width {width:.2f}")  # fmt: skip


def blur(args: argparse.Namespace) -> None:
    """Print the roll-off of scans that are blurred step by step."""
    rows: dict[float, list[float]] = {}
    for seed in range(args.count):
        rng = np.random.default_rng([8, seed])
        body = draw_anatomy(rng, Population(anatomy=args.anatomy))
        camera = set_up_camera(camera_named(CAMERAS[seed % len(CAMERAS)]), rng)
        simulated = simulate_scan(body, camera, rng, positive=False, scan_id="one")
        for sigma in (0.0, 1.0, 2.0, 3.0):
            anterior, posterior = (
                rng.poisson(np.maximum(ndimage.gaussian_filter(mean, sigma), 0))
                for mean in simulated.means.values()
            )
            scan = replace(simulated.scan, anterior=anterior, posterior=posterior)
            prepared = reduced(prepare(scan, preprocessing_named(PREPROCESSING)).composite[0])
            found, _ = characteristics_of(scan, prepared, 740.0)
            rows.setdefault(sigma, []).append(found["roll_off"])
    for sigma, values in rows.items():
        print(f"blurred by {sigma:.0f} pixels: roll-off {np.nanmedian(values):.1f} "
              f"(SD {np.nanstd(values):.1f}) cycles per body height")  # fmt: skip


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "landmarks", "intervals", "blur"))
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--anatomy", type=int, default=2)
    parser.add_argument("--draws", type=int, default=120)
    args = parser.parse_args()
    {"speed": speed, "landmarks": landmarks, "intervals": intervals, "blur": blur}[args.what](args)


if __name__ == "__main__":
    main()
