"""What the simulated population is like, beside published ranges, as a markdown table.

    python benchmarks/simulator_population.py --patients 200

Uptake ratios are means of the noise-free posterior view in regions of the skeleton (pixels
where the region's bone lies), all over the lumbar spine's, in patients without disease.
Published ranges are those of the project's collection of facts; where there is none, nothing
is claimed.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import FocusKind, View, mirrored
from bonescint.simulate import (
    Anatomy,
    Projector,
    SimulatedScan,
    draw_anatomy,
    draw_camera,
    simulate_scan,
)
from bonescint.simulate.metastases import draw_lesion_number, draw_metastases
from bonescint.simulate.population import PRIMARIES
from bonescint.simulate.skeleton import group_of_region

LEVELS = (5, 50, 95)
REAL_RATIOS = {
    "femoral shaft": (0.22, 0.28),
    "thigh, soft tissue": (0.03, 0.09),
    "skull": (0.30, 0.53),
    "knee": (0.63, 0.90),
}
"""Four real scans, measured on 8-bit pictures."""

REAL_SITES = {
    "pelvis": 68, "vertebrae": 63, "ribs": 55, "sternum": 42, "femur": 41, "scapula": 41,
    "skull": 32, "clavicle": 29, "humerus": 23,
}  # fmt: skip
"""Patients with the site, of about 81 with prostate cancer (World J Radiol 2024;16(7):265)."""

ADVANCED_FROM = 5
"""More metastases than this count as advanced, as those patients' disease was. Assumed."""

REAL_EARLY = {
    ("breast", "ribs"): 27.2, ("prostate", "ribs"): 8.6, ("breast", "lumbar spine"): 13.9,
    ("prostate", "lumbar spine"): 39.7, ("breast", "sternum"): 17.9, ("prostate", "sternum"): 1.7,
}  # fmt: skip
"""Share of foci in early disease, per cent (Wang, Oncol Lett 2012)."""

REAL_REGIONS = {"breast": 5.7, "prostate": 4.8, "lung": 3.0}
"""Regions with disease a patient (420-scan series)."""

_SITE_OF = {
    "thoracic": "vertebrae", "lumbar": "vertebrae", "cervical": "vertebrae", "rib": "ribs",
    "sacrum": "pelvis",
}  # fmt: skip


def site_of(region: str) -> str:
    """The site as the published table names it."""
    group = group_of_region(region)
    return _SITE_OF.get(group, group)


def percentiles(values: Sequence[float]) -> str:
    """5th, 50th and 95th percentile."""
    low, middle, high = np.percentile(values, LEVELS)
    return ", ".join(f"{value:.2f}" for value in (low, middle, high))


@dataclass
class Seen:
    """What was seen in the simulated patients."""

    ratios: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[str, list[float]] = field(default_factory=dict)
    mimics: dict[bool, Counter[str]] = field(
        default_factory=lambda: {True: Counter(), False: Counter()}
    )
    number: Counter[bool] = field(default_factory=Counter)
    lesions: dict[str, list[list[str]]] = field(default_factory=dict)
    visible: list[float] = field(default_factory=list)
    benign: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    masses: list[float] = field(default_factory=list)


def _mean_at(
    image: NDArray[np.float32], projector: Projector, points: NDArray[np.float32]
) -> float:
    """Mean of a posterior image where points lie (each pixel once)."""
    front = mirrored(image)
    pixel = projector.camera.pixel_mm
    rows = ((projector.top_mm - points[:, 2]) / pixel).astype(int)
    columns = ((points[:, 0] - projector.left_mm) / pixel).astype(int)
    inside = (rows >= 0) & (rows < front.shape[0]) & (columns >= 0) & (columns < front.shape[1])
    if not inside.any():
        return float("nan")
    hit = np.zeros(front.shape, dtype=bool)
    hit[rows[inside], columns[inside]] = True
    return float(front[hit].mean())


def ratios_of(anatomy: Anatomy, simulated: SimulatedScan) -> dict[str, float]:
    """Uptake of regions over the lumbar spine's, posterior, both sides together."""
    skeleton, image = anatomy.skeleton, simulated.means[View.POSTERIOR]

    def points(regions: Sequence[str], low: float = 0.0, high: float = 1.0) -> NDArray[np.float32]:
        kept = []
        for region in regions:
            span = skeleton.span(region)
            along = skeleton.along[span]
            kept.append(anatomy.positions_mm[span][(along >= low) & (along <= high)])
        return np.concatenate(kept)

    femora = ("femur L", "femur R")
    thigh = points(("femur L",), 0.45, 0.55)
    beside = thigh.mean(axis=0) + np.stack([np.linspace(-48, -36, 30)] + [np.zeros(30)] * 2, axis=1)
    kidneys = [
        anatomy.landmarks.centre("L2") + np.array([side * 60, -22, 10]) + shift
        for side in (-1, 1)
        for shift in np.random.default_rng(0).normal(0, 10, size=(40, 3))
    ]
    places = {
        "femoral shaft": points(femora, 0.35, 0.65),
        "thigh, soft tissue": beside.astype(np.float32),
        "skull": points(("skull",), 0.4, 1.0),
        "knee": np.concatenate([points(femora, 0.0, 0.06), points(("tibia L", "tibia R"), 0.92)]),
        "kidney": np.asarray(kidneys, dtype=np.float32),
    }
    spine = _mean_at(image, simulated.projector, points(("L2", "L3", "L4")))
    return {
        name: _mean_at(image, simulated.projector, where) / spine for name, where in places.items()
    }


def simulated_population(patients: int, seed: int) -> Seen:
    """Simulate patients, every second one with metastases, and keep what is counted."""
    seen = Seen()
    for number in range(patients):
        rng = np.random.default_rng([seed, number])
        anatomy = draw_anatomy(rng)
        positive = number % 2 == 1
        camera = draw_camera(rng)
        simulated = simulate_scan(anatomy, camera, rng, positive=positive, scan_id=f"{number}")
        seen.number[positive] += 1
        seen.counts.setdefault(camera.name, []).append(simulated.scan.total(View.POSTERIOR) / 1e6)
        patient = anatomy.patient
        litres = float(anatomy.body.tissue.sum()) * 8.0**3 / 1e6
        seen.masses.append(litres / (patient.body_mass_index * (patient.height_mm / 1000) ** 2))
        found = {f.cause for f in simulated.truth.foci if f.kind is FocusKind.MIMIC}
        in_bone = {str(name) for name in anatomy.skeleton.regions}
        seen.benign[positive].append(
            max(
                (
                    focus.contrast_to_noise or 0.0
                    for focus in simulated.truth.foci
                    if focus.kind is FocusKind.MIMIC and focus.region in in_bone
                ),
                default=0.0,
            )
        )
        parameters = simulated.parameters["organs"]
        if isinstance(parameters, list):
            found |= {str(item["cause"]) for item in parameters if isinstance(item, dict)}
        seen.mimics[positive].update(found)
        if not positive:
            for name, value in ratios_of(anatomy, simulated).items():
                seen.ratios.setdefault(name, []).append(value)
        # Sites and numbers need no camera: draw them for every primary tumour.
        lesion_rng = np.random.default_rng([seed, number, 1])
        for primary in PRIMARIES:
            found_regions = [
                lesion.region
                for lesion in draw_metastases(
                    anatomy,
                    anatomy.skeleton.volume,
                    lesion_rng,
                    number=draw_lesion_number(lesion_rng, primary),
                    primary=primary,
                )
            ]
            seen.lesions.setdefault(primary, []).append(found_regions)
        if not positive:
            continue
        best: dict[tuple[str, float, float], float] = {}
        for focus in simulated.truth.foci:
            if focus.kind is FocusKind.METASTASIS:
                key = (focus.region, focus.radius_mm or 0.0, focus.contrast or 0.0)
                best[key] = max(best.get(key, 0.0), focus.contrast_to_noise or 0.0)
        seen.visible.append(max(best.values(), default=0.0))
    return seen


def _print_ratios(seen: Seen, outside: list[str]) -> None:
    print(
        "| ratio to the lumbar spine, posterior | simulated, 5th, 50th, 95th percentile "
        "| four real scans |"
    )
    print("|---|---|---|")
    for name, values in seen.ratios.items():
        kept = [value for value in values if np.isfinite(value)]
        real = REAL_RATIOS.get(name)
        shown = f"{real[0]:.2f} to {real[1]:.2f}" if real else "no figure"
        print(f"| {name} | {percentiles(kept)} | {shown} |")
        middle = float(np.median(kept))
        if real and not real[0] <= middle <= real[1]:
            outside.append(f"{name}: median {middle:.2f}, real {shown}")
    print("\n| | simulated, 5th, 50th, 95th percentile | published |\n|---|---|---|")
    for camera, values in sorted(seen.counts.items()):
        real_counts = {"discovery": "0.36 to 0.68", "millennium": "3.6 (one scan)"}
        print(f"| counts, {camera}, million, posterior | {percentiles(values)} "
              f"| {real_counts.get(camera, 'no figure')} |")  # fmt: skip
    print(f"| volume in litres over weight in kg | {percentiles(seen.masses)} | about 1 |")


def _print_lesions(seen: Seen, outside: list[str]) -> None:
    print("\n| primary tumour | patients | metastases per patient | regions per patient, mean "
          "(published) | superscan |")  # fmt: skip
    print("|---|---|---|---|---|")
    for primary, patients in sorted(seen.lesions.items()):
        regions = np.mean([len({group_of_region(r) for r in found}) for found in patients])
        real = REAL_REGIONS.get(primary)
        superscans = sum(len(found) >= 50 for found in patients)
        print(f"| {primary} | {len(patients)} | {percentiles([len(f) for f in patients])} "
              f"| {regions:.1f} ({real or 'no figure'}) | {superscans} |")  # fmt: skip
        if real and not 0.67 <= regions / real <= 1.5:
            outside.append(f"regions per patient, {primary}: {regions:.1f}, published {real}")
    # The published series had advanced disease: compare with simulated patients like it.
    patients = [found for found in seen.lesions.get("prostate", []) if len(found) > ADVANCED_FROM]
    print(f"\n| prostate, {len(patients)} patients with more than {ADVANCED_FROM} metastases: "
          "with the site | simulated | published |\n|---|---|---|")  # fmt: skip
    for site, number in REAL_SITES.items():
        share = np.mean([any(site_of(region) == site for region in found) for found in patients])
        real_share = number / 81
        print(f"| {site} | {100 * share:.0f} % | {100 * real_share:.0f} % |")
        if abs(share - real_share) > 0.15:
            outside.append(
                f"{site}, prostate: {100 * share:.0f} %, published {100 * real_share:.0f} %"
            )
    print("\n| share of foci, up to five per patient | simulated | early disease, published |")
    print("|---|---|---|")
    names = {"ribs": "rib", "lumbar spine": "lumbar", "sternum": "sternum"}
    for (primary, site), real in REAL_EARLY.items():
        few = [region for found in seen.lesions.get(primary, []) if len(found) <= 5
               for region in found]  # fmt: skip
        if not few:
            continue
        share = 100 * float(np.mean([group_of_region(region) == names[site] for region in few]))
        print(f"| {primary}, {site} | {share:.0f} % of {len(few)} | {real} % |")
        if not 0.5 <= share / real <= 2:
            outside.append(f"{site}, early {primary}: {share:.0f} %, published {real} %")


def _print_mimics(seen: Seen, outside: list[str]) -> None:
    print("\n| patients with | without metastases | with | published |\n|---|---|---|---|")
    every = seen.mimics[True] + seen.mimics[False]
    for cause, _ in every.most_common():
        shares = {
            positive: seen.mimics[positive][cause] / max(seen.number[positive], 1)
            for positive in (False, True)
        }
        real = "17.5 % of 450 scans" if cause == "injection site" else ""
        print(f"| {cause} | {100 * shares[False]:.1f} % | {100 * shares[True]:.1f} % | {real} |")
        pooled = (every[cause]) / max(sum(seen.number.values()), 1)
        error = np.sqrt(pooled * (1 - pooled) * sum(1 / n for n in seen.number.values()))
        if abs(shares[True] - shares[False]) > 3.5 * max(float(error), 1e-9):
            outside.append(
                f"{cause}: {shares[False]:.2f} of negative, {shares[True]:.2f} of positive"
            )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="The simulated population in figures.")
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    seen = simulated_population(options.patients, options.seed)
    outside: list[str] = []
    print(f"{options.patients} simulated patients, seed {options.seed}, half with metastases.\n")
    _print_ratios(seen, outside)
    _print_lesions(seen, outside)
    _print_mimics(seen, outside)
    visible = np.mean(np.array(seen.visible) >= 5)
    print(f"\nPositive patients with a metastasis at a contrast-to-noise ratio of 5 or more in "
          f"a view: {100 * visible:.0f} %.")  # fmt: skip
    for positive, name in ((False, "without"), (True, "with")):
        hot = np.mean(np.array(seen.benign[positive]) >= 5)
        print(f"Patients {name} metastases who have a benign bone finding as visible as that: "
              f"{100 * hot:.0f} %.")  # fmt: skip
    print("\nOutside a published range, or different between positive and negative:\n")
    print("\n".join(f"- {line}" for line in outside) if outside else "- nothing")


if __name__ == "__main__":
    main()
