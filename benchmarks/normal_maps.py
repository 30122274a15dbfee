"""How far simulated scans without metastases are from an average of real ones.

Usage:
    python benchmarks/normal_maps.py MAPS.npz [--count 300] [--anatomy 2] [--picture OUT.png]

MAPS.npz holds float arrays (256, 256) `real_mean`, `real_sd` and `real_asymmetry_sd` of scans
prepared with `body-root` version 1 and reduced to 256 x 256, anterior left, posterior right.
Asymmetry is the standard deviation, over patients, of a scan minus its mirror image about its own
best midline, both smoothed by 1.5 pixels. Prints, for each view and inside the body (either mean
above 0.05), the correlation of the maps and the mean absolute difference over the real mean.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from bonescint.prepare import prepare, recipe_named
from bonescint.simulate import camera_named, draw_anatomy, set_up_camera, simulate_scan
from bonescint.simulate.population import Population

Map = NDArray[np.float32]
CAMERAS = ("brightview", "discovery", "ecam", "forte", "infinia", "symbia")
SIDE = 256
INSIDE = 0.05
HALVES = {"anterior": slice(0, SIDE // 2), "posterior": slice(SIDE // 2, SIDE)}
MOST_SHIFT = 12


def prepared_normal(seed: int, anatomy: int) -> Map:
    """One simulated scan without metastases as the maps have it."""
    rng = np.random.default_rng([99, seed])
    body = draw_anatomy(rng, Population(anatomy=anatomy))
    camera = set_up_camera(camera_named(CAMERAS[seed % len(CAMERAS)]), rng)
    simulated = simulate_scan(body, camera, rng, positive=False, scan_id=f"sim-{seed}")
    composite = prepare(simulated.scan, recipe_named("body-root")).composite[0]
    step = composite.shape[0] // SIDE
    return np.asarray(composite.reshape(SIDE, step, SIDE, step).mean(axis=(1, 3)), np.float32)


def against_mirror(view: Map) -> Map:
    """A smoothed view minus its mirror image about its own best midline."""
    smooth = ndimage.gaussian_filter(view, 1.5)
    mirrored = smooth[:, ::-1]
    found = [
        smooth - np.roll(mirrored, shift, axis=1) for shift in range(-MOST_SHIFT, MOST_SHIFT + 1)
    ]
    return np.asarray(min(found, key=lambda difference: float((difference**2).sum())))


def maps_of(scans: Sequence[Map]) -> dict[str, Map]:
    """Mean, spread and asymmetry of prepared scans."""
    stack = np.stack(scans)
    asymmetry = np.empty((SIDE, SIDE), np.float32)
    for half in HALVES.values():
        asymmetry[:, half] = np.std([against_mirror(scan[:, half]) for scan in scans], axis=0)
    return {"mean": stack.mean(axis=0), "sd": stack.std(axis=0), "asymmetry_sd": asymmetry}


def compared(real: dict[str, Map], simulated: dict[str, Map]) -> dict[str, dict[str, float]]:
    """Correlations of the maps, and the mean difference, of each view inside the body."""
    figures = {}
    for view, half in HALVES.items():
        inside = np.maximum(real["mean"], simulated["mean"])[:, half] > INSIDE
        pairs = {name: (real[name][:, half][inside], simulated[name][:, half][inside])
                 for name in real}  # fmt: skip
        figures[view] = {name: float(np.corrcoef(*pair)[0, 1]) for name, pair in pairs.items()}
        wanted, got = pairs["mean"]
        figures[view]["mean difference"] = float(np.abs(wanted - got).mean() / wanted.mean())
    return figures


def draw(real: dict[str, Map], simulated: dict[str, Map], out: Path) -> None:
    """Mean, spread and asymmetry below each other; real left, simulated right."""
    rows = []
    for name, wanted in real.items():
        both = np.concatenate([wanted, simulated[name]], axis=1)
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
    with np.load(args.maps) as stored:
        real = {name: stored[f"real_{name}"].astype(np.float32)
                for name in ("mean", "sd", "asymmetry_sd")}  # fmt: skip
    with ProcessPoolExecutor(args.workers) as pool:
        scans = list(pool.map(prepared_normal, range(args.count), [args.anatomy] * args.count))
    simulated = maps_of(scans)
    print(f"{args.count} simulated scans without metastases, anatomy {args.anatomy}")
    for view, figures in compared(real, simulated).items():
        print(f"{view:10}" + "  ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    if args.picture:
        draw(real, simulated, args.picture)


if __name__ == "__main__":
    main()
