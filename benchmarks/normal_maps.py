"""How far simulated scans without metastases are from an average of real ones.

Usage:
    python benchmarks/normal_maps.py MAPS.npz [--count 300] [--anatomy 2] [--picture OUT.png]

MAPS.npz is a normal database, or holds maps laid out like one (`bonescint cohort compare --help`).
Prints, for each view and inside the body (either mean above 0.05), the correlation of the maps and
the mean absolute difference over the mean of MAPS.npz.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from bonescint.cohort.compare import read_normal_database
from bonescint.cohort.compare.maps import (
    INSIDE,
    PREPROCESSING,
    SIDE,
    FrameMaps,
    MapSums,
    agreement,
    reduced,
)
from bonescint.cohort.compare.maps import FrameMap as Map
from bonescint.prepare import prepare, preprocessing_named
from bonescint.simulate import camera_named, draw_anatomy, set_up_camera, simulate_scan
from bonescint.simulate.population import Population

CAMERAS = ("brightview", "discovery", "ecam", "forte", "infinia", "symbia")

__all__ = ["CAMERAS", "INSIDE", "SIDE", "Map", "prepared_normal"]


def prepared_normal(seed: int, anatomy: int) -> Map:
    """One simulated scan without metastases as the maps have it."""
    rng = np.random.default_rng([99, seed])
    body = draw_anatomy(rng, Population(anatomy=anatomy))
    camera = set_up_camera(camera_named(CAMERAS[seed % len(CAMERAS)]), rng)
    simulated = simulate_scan(body, camera, rng, positive=False, scan_id=f"sim-{seed}")
    return reduced(prepare(simulated.scan, preprocessing_named(PREPROCESSING)).composite[0])


def draw(real: FrameMaps, simulated: FrameMaps, out: Path) -> None:
    """Mean, spread and asymmetry below each other; real left, simulated right."""
    rows = []
    for name, wanted in real.arrays().items():
        both = np.concatenate([wanted, simulated.arrays()[name]], axis=1)
        rows.append(1 - np.clip(both / wanted.max(), 0, 1) ** 0.75)
    grey = (255 * np.concatenate(rows)).astype(np.uint8)
    picture = Image.fromarray(grey)
    picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.BICUBIC).save(out)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("maps", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--anatomy", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    real, sums = read_normal_database(args.maps).maps, MapSums()
    with ProcessPoolExecutor(args.workers) as pool:
        for scan in pool.map(prepared_normal, range(args.count), [args.anatomy] * args.count):
            sums.add(scan)
    simulated = sums.maps()
    print(f"{args.count} simulated scans without metastases, anatomy {args.anatomy}")
    for view, found in agreement(real, simulated).items():
        figures = "  ".join(f"{name} {value:.3f}" for name, value in found.to_json().items())
        print(f"{view.value:10}{figures}")
    if args.picture:
        draw(real, simulated, args.picture)


if __name__ == "__main__":
    main()
