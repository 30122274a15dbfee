"""Pictures of simulated scans: bodies, disease, what is none, and details beside NM1.

    python benchmarks/simulator_pictures.py --out pictures/

Writes bodies.png, disease.png, mimics.png and details.png. Everything on them is simulated,
except what is labelled NM1 (NEMA WG04, in pydicom-data). Inverted grey on a square-root scale,
black at the 99.5th percentile of the body.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bonescint.dicom import read
from bonescint.scan import FocusKind, View
from bonescint.simulate import (
    Anatomy,
    SimulatedScan,
    build_anatomy,
    camera_named,
    draw_anatomy,
    draw_patient,
    simulate_scan,
)
from bonescint.simulate.mimics import draw_mimics
from bonescint.simulate.organs import draw_organs
from bonescint.simulate.population import Disease
from bonescint.simulate.uptake import normal_uptake
from bonescint.simulate.worn_objects import draw_worn_objects

ROWS = 840
MIMICS = (
    "rib fracture", "compression fracture", "sacral insufficiency fracture", "Paget's disease",
    "hip prosthesis", "knee prosthesis", "limb fracture", "dental", "injection site",
    "lymph node", "urine contamination", "catheter", "hydronephrosis", "pacemaker",
    "belt buckle", "coin", "breast prosthesis", "necklace",
)  # fmt: skip
DISEASE = (
    ("one faint focus", Disease(contrast_median=0.8, contrast_sd=0.1), 1, "prostate"),
    ("one hot focus", Disease(contrast_median=8.0, contrast_sd=0.1), 1, "breast"),
    ("four", Disease(), 4, "breast"),
    ("twelve", Disease(), 12, "prostate"),
    ("cold", Disease(cold_share=1.0, mixed_share=0.0, radius_median_mm=22), 5, "other"),
    ("mixed", Disease(cold_share=0.0, mixed_share=1.0, radius_median_mm=20), 6, "lung"),
    ("forty", Disease(), 40, "breast"),
    ("superscan", Disease(), 100, "prostate"),
)

_Grey = NDArray[np.uint8]


def grey(image: NDArray[np.float32]) -> _Grey:
    """Inverted grey on a square-root scale."""
    body = image[image > 0.1 * np.median(image[image > 0])]
    share = np.sqrt(np.clip(image / np.percentile(body, 99.5), 0, 1))
    return np.asarray(np.rint(255 - 255 * share), dtype=np.uint8)


def labelled(picture: _Grey, lines: Sequence[str], *, size: int = 14) -> _Grey:
    """A picture below its label."""
    head = Image.new("L", (picture.shape[1], 6 + (size + 4) * len(lines)), 255)
    draw = ImageDraw.Draw(head)
    for number, line in enumerate(lines):
        draw.text(
            (6, 3 + number * (size + 4)), line, fill=0, font=ImageFont.load_default(size=size)
        )
    return np.concatenate([np.asarray(head), picture])


def tile(simulated: SimulatedScan, patient_line: str, title: str, mark: str = "") -> _Grey:
    """Anterior and posterior view, with short dashes beside what is to be seen."""
    views = dict(simulated.scan.images())
    picture = Image.fromarray(
        np.concatenate([grey(views[view]) for view in View], axis=1)[:ROWS], mode="L"
    )
    draw = ImageDraw.Draw(picture)
    for focus in simulated.truth.foci:
        if mark and focus.cause == mark:
            column = focus.column + (views[View.ANTERIOR].shape[1] * list(View).index(focus.view))
            draw.line([column - 34, focus.row, column - 24, focus.row], fill=90, width=1)
    return labelled(np.asarray(picture), [title, patient_line])


def of_patient(anatomy: Anatomy) -> str:
    """Sex, age and build in one line."""
    patient = anatomy.patient
    return (
        f"{patient.sex}, {patient.age:.0f} years, {patient.height_mm / 10:.0f} cm, "
        f"BMI {patient.body_mass_index:.0f}"
    )


def sheet(tiles: Sequence[_Grey], columns: int) -> Image.Image:
    """Tiles in rows."""
    height = max(one.shape[0] for one in tiles)
    width = max(one.shape[1] for one in tiles)
    white = np.full((height, width), 255, dtype=np.uint8)
    padded = []
    for one in tiles:
        full = white.copy()
        full[: one.shape[0], : one.shape[1]] = one
        padded.append(full)
    padded += [white] * (-len(padded) % columns)
    rows = [
        np.concatenate(padded[first : first + columns], axis=1)
        for first in range(0, len(padded), columns)
    ]
    return Image.fromarray(np.concatenate(rows))


def a_patient(seed: int, sex: str, body_mass_index: float, age: float) -> Anatomy:
    """A patient of given sex, build and age."""
    rng = np.random.default_rng([seed, 31])
    patient = draw_patient(rng)
    while patient.sex != sex:
        patient = draw_patient(rng)
    return build_anatomy(replace(patient, body_mass_index=body_mass_index, age=age), rng)


def bodies() -> Image.Image:
    """Patients of different sex, build and age, without metastases."""
    tiles = []
    men = ((19.0, 45.0), (26.0, 66.0), (34.0, 70.0), (42.0, 60.0))
    women = ((18.0, 30.0), (24.0, 64.0), (33.0, 72.0), (29.0, 90.0))
    kinds = [("M", *man) for man in men] + [("F", *woman) for woman in women]
    cameras = ("discovery", "symbia", "millennium", "discovery")
    for number, (sex, index, age) in enumerate(kinds):
        anatomy = a_patient(number, sex, index, age)
        camera = camera_named(cameras[number % 4])
        simulated = simulate_scan(
            anatomy, camera, np.random.default_rng([number, 5]), positive=False, scan_id="body"
        )
        counts = simulated.scan.total(View.POSTERIOR) / 1e6
        tiles.append(tile(simulated, of_patient(anatomy), f"{camera.name}, {counts:.2f} M counts"))
    return sheet(tiles, 4)


def disease() -> Image.Image:
    """From one faint focus to diffuse disease."""
    tiles = []
    for number, (title, kind, lesions, primary) in enumerate(DISEASE):
        sex = {"breast": "F", "prostate": "M"}.get(primary, "F" if number % 2 else "M")
        anatomy = a_patient(20 + number, sex, 23.0 + 1.2 * number, 55.0 + 3 * number)
        anatomy = replace(anatomy, patient=replace(anatomy.patient, primary=primary))
        simulated = simulate_scan(
            anatomy, camera_named("symbia"), np.random.default_rng([number, 6]), positive=True,
            scan_id="disease", lesions=lesions, disease=kind,
        )  # fmt: skip
        visible = max(
            focus.contrast_to_noise or 0.0
            for focus in simulated.truth.foci
            if focus.kind is FocusKind.METASTASIS
        )
        line = f"{of_patient(anatomy)}; greatest contrast-to-noise {visible:.0f}"
        mark = "metastasis" if lesions < 10 else ""
        tiles.append(tile(simulated, line, f"{primary}: {title}", mark))
    return sheet(tiles, 4)


def causes_of(anatomy: Anatomy, rng: np.random.Generator) -> set[str]:
    """What a negative scan drawn with this generator shows; in the simulator's own order."""
    normal = normal_uptake(anatomy.skeleton, anatomy.patient, rng)
    foci = draw_mimics(anatomy, normal, rng) + draw_organs(anatomy, rng)
    return {f.cause for f in foci} | {worn.cause for worn in draw_worn_objects(anatomy, rng)}


def mimics(wanted: Sequence[str] = MIMICS) -> Image.Image:
    """One patient for each thing that is no metastasis."""
    found: dict[str, _Grey] = {}
    for seed in range(4000):
        missing = [cause for cause in wanted if cause not in found]
        if not missing:
            break
        if seed % 3 == 0:
            anatomy = draw_anatomy(np.random.default_rng([seed, 9]))
        shown = causes_of(anatomy, np.random.default_rng([seed, 10]))
        cause = next((cause for cause in missing if cause in shown), None)
        if cause is None:
            continue
        simulated = simulate_scan(
            anatomy, camera_named("symbia"), np.random.default_rng([seed, 10]),
            positive=False, scan_id="mimic", counts=1.2e6,
        )  # fmt: skip
        found[cause] = tile(simulated, of_patient(anatomy), cause, cause)
    return sheet([found[cause] for cause in wanted if cause in found], 6)


def crop(
    image: NDArray[np.float32], row: float, column: float, size: tuple[int, int], title: str
) -> _Grey:
    """A detail at three times its size, on its own grey scale."""
    rows, columns = size
    top = int(np.clip(row - rows / 2, 0, image.shape[0] - rows))
    left = int(np.clip(column - columns / 2, 0, image.shape[1] - columns))
    part = image[top : top + rows, left : left + columns]
    share = np.sqrt(np.clip(part / max(np.percentile(part, 99.5), 1.0), 0, 1))
    small = Image.fromarray(np.asarray(np.rint(255 - 255 * share), dtype=np.uint8))
    large = small.resize((3 * columns, 3 * rows), Image.Resampling.BICUBIC)
    return labelled(np.asarray(large), [title])


def seen_at(
    simulated: SimulatedScan, point_mm: NDArray[np.floating[Any]], view: View
) -> tuple[float, float]:
    """Row and column of a point of the patient in a view."""
    at = simulated.projector
    column = (float(point_mm[0]) - at.left_mm) / at.camera.pixel_mm
    if view is View.POSTERIOR:
        column = at.camera.columns - column
    return (at.top_mm - float(point_mm[2])) / at.camera.pixel_mm, column


def details() -> Image.Image:
    """What an early version got wrong, as it is now, and the same places of NM1."""
    from pydicom.data import get_testdata_file

    real = dict(read(Path(str(get_testdata_file("JPEG-LL.dcm", download=False)))).images())
    nm1 = real[View.ANTERIOR]
    tiles: list[_Grey] = []
    size = (90, 110)
    places = {
        "ribs": (255, 175), "hand": (468, 222), "foot": (845, 110), "noise: thigh": (520, 90),
        "lumbar discs": (345, 145), "sternum": (235, 137), "skull": (140, 134),
        "outline": (250, 55),
    }  # fmt: skip
    tiles += [crop(nm1, *at, size, f"NM1: {name}") for name, at in places.items()]
    for seed, (sex, index) in enumerate((("M", 32.0), ("F", 23.0))):
        anatomy = a_patient(40 + seed, sex, index, 66.0)
        simulated = simulate_scan(
            anatomy, camera_named("millennium"), np.random.default_rng([seed, 11]),
            positive=False, scan_id="detail", counts=3.6e6,
        )  # fmt: skip
        views, marks = dict(simulated.scan.images()), anatomy.landmarks
        skull = marks.centre("skull") + np.array([0, 0, -40])
        shown = (
            ("ribs", marks.centre("rib05 L"), View.ANTERIOR),
            ("hand", marks.centre("hand R"), View.ANTERIOR),
            ("foot", marks.centre("foot R"), View.ANTERIOR),
            ("noise: thigh", marks.centre("femur R"), View.ANTERIOR),
            ("lumbar discs", marks.centre("L3"), View.POSTERIOR),
            ("sternum", marks.centre("sternum"), View.ANTERIOR),
            ("skull base, posterior", skull, View.POSTERIOR),
            ("outline", marks.top("humerus R") + np.array([0, 0, -90]), View.ANTERIOR),
        )
        tiles += [
            crop(views[view], *seen_at(simulated, point, view), size, f"simulated: {name}")
            for name, point, view in shown
        ]
    return sheet(tiles, 8)


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description="Pictures of simulated scans.")
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, make in (
        ("bodies", bodies), ("disease", disease), ("mimics", mimics), ("details", details),
    ):  # fmt: skip
        make().save(out / f"{name}.png")
        print(out / f"{name}.png")


if __name__ == "__main__":
    main()
