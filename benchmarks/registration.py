"""Measures the bones' registration in hard cases: views mislabelled or mirrored, parts missing.

    python benchmarks/registration.py simulate FOLDER [--count 40] [--hard 12] [--seed 1]
    python benchmarks/registration.py views FOLDER      # what tells a mislabelled or mirrored view
    python benchmarks/registration.py cases FOLDER      # Dice of regions in each case

FOLDER receives simulated scans with the bone that each pixel shows; no patient of them served for
the atlas.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.quantify import TWELVE_NAMES, body_regions, dice_by_region
from bonescint.quantify.regions import unseen_limbs
from bonescint.scan import Acquisition, PixelUnit, Scan, UptakeSite, View, mirrored
from bonescint.simulate import (
    RequestedUptake,
    camera_named,
    draw_anatomy,
    draw_patient,
    region_maps,
    set_up_camera,
    simulate_scan,
    twelve_regions,
)
from bonescint.simulate.anatomy import build_anatomy
from bonescint.simulate.population import Population

CAMERAS = ("discovery", "symbia", "infinia", "forte")
Images = dict[View, NDArray[np.float32]]
Maps = dict[View, NDArray[np.uint8]]


def simulate(folder: Path, count: int, hard: int, seed: int) -> None:
    """Simulate patients: as they come, with scoliosis, and with a prosthesis of the hip."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, number in (("plain", count), ("scoliosis", hard), ("prosthesis", hard)):
        for n in range(number):
            file = folder / f"{kind}-{n:03}.npz"
            if file.exists():
                continue
            rng = np.random.default_rng([seed, n, ("plain", "scoliosis", "prosthesis").index(kind)])
            anatomy = draw_anatomy(rng, Population(anatomy=2))
            if kind == "scoliosis":  # half of the width of a vertebral body, and more
                bend = float(rng.uniform(25, 50))
                patient = replace(draw_patient(rng, Population(anatomy=2)), scoliosis_mm=bend)
                anatomy = build_anatomy(patient, rng)
            sites = (UptakeSite.HIP_PROSTHESIS,) if kind == "prosthesis" else ()
            simulated = simulate_scan(
                anatomy,
                set_up_camera(camera_named(CAMERAS[n % len(CAMERAS)]), rng),
                rng,
                positive=n % 2 == 1,
                scan_id=file.stem,
                requested=RequestedUptake(sites=sites) if sites else None,
            )
            bones = region_maps(simulated.projector, anatomy)
            regions = twelve_regions(bones, anatomy.skeleton.regions)
            stored = {f"image_{v.value}": i for v, i in simulated.scan.images()}
            stored |= {f"regions_{v.value}": regions[v] for v in View}
            spacing = simulated.scan.pixel_spacing_mm
            np.savez_compressed(file, spacing=spacing, **stored)
            print(file.stem, flush=True)


def stored(folder: Path, kind: str, most: int | None) -> Iterator[tuple[Scan, Maps]]:
    """Scans of a kind with the region that each pixel shows."""
    for file in sorted(folder.glob(f"{kind}-*.npz"))[:most]:
        content = dict(np.load(file))
        images = {view: content[f"image_{view.value}"] for view in View}
        scan = Scan(
            anterior=images[View.ANTERIOR],
            posterior=images[View.POSTERIOR],
            pixel_spacing_mm=tuple(content["spacing"].tolist()),
            unit=PixelUnit.COUNTS,
            scan_id=file.stem,
            acquisition=Acquisition(modality="NM"),
        )
        yield scan, {view: content[f"regions_{view.value}"] for view in View}


def _with(scan: Scan, front: NDArray | None, back: NDArray | None) -> Scan:
    return scan.with_views(anterior=front, posterior=back, step="changed")


def _views(scan: Scan) -> dict[str, Scan]:
    """A scan as it is, and as a mistake may leave it."""
    front, back = scan.anterior, scan.posterior
    return {
        "both views": scan,
        "both views, swapped": _with(scan, back, front),
        "both views, anterior mirrored": _with(scan, mirrored(front), back),
        "both views, posterior mirrored": _with(scan, front, mirrored(back)),
        "both views, both mirrored": _with(scan, mirrored(front), mirrored(back)),
        "both views, upside down": _with(scan, front[::-1], back[::-1]),
        "anterior": _with(scan, front, None),
        "anterior, labelled posterior": _with(scan, None, front),
        "anterior, mirrored": _with(scan, mirrored(front), None),
        "posterior": _with(scan, None, back),
        "posterior, labelled anterior": _with(scan, back, None),
        "posterior, mirrored": _with(scan, None, mirrored(back)),
    }


def views(folder: Path, most: int | None) -> None:
    """Likeness, advantage and agreement of right and of wrong labels, and what is remarked."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    for scan, _ in stored(folder, "plain", most):
        for name, changed in _views(scan).items():
            body = body_regions(changed)
            rows.setdefault(name, []).append(
                (
                    float(np.mean(list(body.registration.likeness.values()))),
                    float(np.mean(list(body.labels.advantage.values()))),
                    np.nan if body.labels.agreement is None else body.labels.agreement,
                    body.labels.looks_opposite,
                    body.labels.looks_mirrored,
                    bool(body.registration.poor),
                )
            )
    print("likeness, advantage, agreement: lowest, median, highest; opposite, mirrored, poor")
    for name, of in rows.items():
        values = np.array(of, dtype=float)
        low, middle, high = (np.quantile(values[:, :3], q, axis=0) for q in (0, 0.5, 1))
        spread = [f"{a:.2f} {b:.2f} {c:.2f}" for a, b, c in zip(low, middle, high, strict=True)]
        print(f"{name:32}", *spread, *values[:, 3:].sum(axis=0).astype(int), "of", len(of))


Changed = tuple[Scan, Maps]


def _height(regions: Maps) -> tuple[int, int]:
    rows = np.flatnonzero(regions[View.ANTERIOR].any(axis=1))
    return int(rows[0]), int(rows[-1])


def _cut(scan: Scan, regions: Maps, first: float, last: float) -> Changed:
    """The rows between two shares of the body's height."""
    top, bottom = _height(regions)
    part = slice(int(top + first * (bottom - top)), int(top + last * (bottom - top)))
    cut = _with(scan, scan.anterior[part], scan.posterior[part])
    return cut, {view: of[part] for view, of in regions.items()}


def _without(scan: Scan, regions: Maps, names: tuple[str, ...], from_row: float = 0.0) -> Changed:
    """A scan without a limb: what is left of the middle of the trunk, of some regions."""
    top, bottom = _height(regions)
    images, maps = {}, {}
    for view, image in scan.images():
        front = view is View.ANTERIOR
        laid, seen = (of if front else mirrored(of) for of in (image, regions[view]))
        laid, seen = np.array(laid), np.array(seen)
        numbers = [TWELVE_NAMES.index(name) + 1 for name in names]
        spine = np.flatnonzero((seen == TWELVE_NAMES.index("lumbar spine") + 1).any(axis=0))
        limb = np.isin(seen, numbers)
        limb[:, : int(spine.mean())] = False
        limb[: int(top + from_row * (bottom - top))] = False
        gone = ndimage.binary_dilation(limb, iterations=10) & ((seen == 0) | limb)
        laid[gone], seen[gone] = 0, 0
        images[view] = laid if front else mirrored(laid)
        maps[view] = seen if front else mirrored(seen)
    return _with(scan, images[View.ANTERIOR], images[View.POSTERIOR]), maps


CASES: dict[str, tuple[str, Callable[[Scan, Maps], Changed]]] = {
    "as they come": ("plain", lambda scan, regions: (scan, regions)),
    "without pixel spacing": (
        "plain",
        lambda scan, regions: (replace(scan, pixel_spacing_mm=None), regions),
    ),
    "head cut off": ("plain", lambda scan, regions: _cut(scan, regions, 0.16, 1.0)),
    "cut above the knees": ("plain", lambda scan, regions: _cut(scan, regions, 0.0, 0.62)),
    "head and legs cut off": ("plain", lambda scan, regions: _cut(scan, regions, 0.16, 0.62)),
    "leg lost below the thigh": (
        "plain",
        lambda scan, regions: _without(scan, regions, ("femora", "lower legs"), 0.62),
    ),
    "leg lost at the hip": (
        "plain",
        lambda scan, regions: _without(scan, regions, ("femora", "lower legs")),
    ),
    "arm lost": ("plain", lambda scan, regions: _without(scan, regions, ("arms",))),
    "scoliosis, 25 to 50 mm": ("scoliosis", lambda scan, regions: (scan, regions)),
    "hip prosthesis": ("prosthesis", lambda scan, regions: (scan, regions)),
}
TRUNK = [TWELVE_NAMES.index(n) for n in ("thoracic spine", "lumbar spine", "sacrum", "pelvis")]


def cases(folder: Path, most: int | None) -> None:
    """Dice of the regions that are there, of the trunk's, of the worst scan, and remarks."""
    print(
        "case: scans; mean Dice AP, PA; trunk AP, PA; worst trunk; poor, opposite, mirrored, limb"
    )
    for name, (kind, change) in CASES.items():
        dice, flags = [], []
        for scan, regions in stored(folder, kind, most):
            changed, true = change(scan, regions)
            body = body_regions(changed)
            dice.append([dice_by_region(body.regions[view], true[view]) for view in View])
            labels = body.labels
            flags.append(
                (
                    bool(body.registration.poor),
                    labels.looks_opposite,
                    labels.looks_mirrored,
                    bool(unseen_limbs(changed, body.bones, body.bone_names)),
                )
            )
        values = np.array(dice)
        trunk = np.nanmean(values[:, :, TRUNK], axis=2)
        print(
            f"{name:26} {len(dice):3}",
            *(f"{of:.3f}" for of in np.nanmean(values, axis=(0, 2))),
            *(f"{of:.3f}" for of in trunk.mean(axis=0)),
            f"{trunk.min():.2f}",
            *np.sum(flags, axis=0),
            "|",
            *(f"{np.nanmean(of):.2f}" for of in np.moveaxis(values, 2, 0) if (of > 0).any()),
            flush=True,
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("simulate", "views", "cases"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int)
    parser.add_argument("--hard", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.what == "simulate":
        simulate(given.folder, given.count or 40, given.hard, given.seed)
    else:
        {"views": views, "cases": cases}[given.what](given.folder, given.count)


if __name__ == "__main__":
    main()
