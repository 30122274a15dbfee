"""Measures which new foci are found when two scans of a simulated patient are compared.

python benchmarks/change.py --count 20                  # the same tracer, in another posture
python benchmarks/change.py --count 20 --other          # other urine, soft tissue, counts, pixels
python benchmarks/change.py --count 20 --varies 0.03    # uptake that varies
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from known_patients import known_patient
from scipy import ndimage

from bonescint.classify.classify import model_folder
from bonescint.model import Classifier
from bonescint.quantify import FocusChange, QuantifiedScan, bone_atlas, changed_foci
from bonescint.quantify import change as change_module
from bonescint.quantify.detectability import _sphere
from bonescint.quantify.foci import MatchedFocus, named_candidates
from bonescint.quantify.regions import body_regions
from bonescint.quantify.registration import in_view_mm
from bonescint.scan import Scan, UptakeSite, View
from bonescint.simulate import simulated_scan
from bonescint.simulate.organs import draw_organs

LIMITS = (3.5, 3.75, 4.0, 4.5)
"""Tried for the standard deviations by which uptake has risen where a focus is new."""
POSTURE_MM = 3.0
"""Standard deviation of the places of the body from one scan of a pair to the other."""
NEW_FOCI = 2
OTHER_COUNTS = 1.0 / 1.5
"""Counts of the later scan relative to the earlier one's, and height of its pixels (--other)."""
OTHER_PIXELS = 4 / 3
ORGANS_SD, TISSUE_SD = 0.5, 0.3
"""Standard deviation of the logarithm by which organs and soft tissue differ (--other)."""
PASSING = {
    UptakeSite.URETER,
    UptakeSite.RENAL_PELVIS,
    UptakeSite.URINE_CONTAMINATION,
    UptakeSite.INJECTION_SITE,
}
"""Uptake that the later scan may have, and the earlier one not (--other)."""
VARIES_MM = 15.0


def with_other_organs(seed: int, lesions: int) -> dict[View, np.ndarray]:
    """Expected counts of a known patient with other urine, injection site and soft tissue."""
    rng = np.random.default_rng([seed, 99])
    draw = simulated_scan._draw_tracer

    def changed(anatomy, *given, **named):
        tracer = draw(anatomy, *given, **named)
        organs = [
            replace(one, activity=one.activity * np.float32(np.exp(rng.normal(0, ORGANS_SD))))
            for one in tracer.organs
        ]
        return replace(
            tracer,
            organs=organs + draw_organs(anatomy, rng, only=PASSING),
            tissue=tracer.tissue * float(np.exp(rng.normal(0, TISSUE_SD))),
        )

    simulated_scan._draw_tracer = changed
    try:
        return known_patient(seed, lesions, 13.0).means
    finally:
        simulated_scan._draw_tracer = draw


def quantified(model: Classifier, images: dict, scan: Scan) -> QuantifiedScan:
    """A scan with other images, without an index."""
    other = scan.with_views(step="again", **images)
    prediction = model.predict(other)
    body = body_regions(other)
    foci, usual = named_candidates(other, prediction, body)
    return QuantifiedScan(
        scan=other,
        prediction=prediction,
        body=body,
        index=None,
        foci=foci,
        remarks=(),
        usual=usual,
    )


def with_foci(
    mean: np.ndarray, places: list[tuple[float, float]], noise: float, pixel_mm: float
) -> np.ndarray:
    """Expected counts of a view with small foci of a contrast-to-noise ratio."""
    added = np.zeros_like(mean)
    for place in places:
        shape = _sphere(place, mean.shape, (pixel_mm,) * 2, 9.0)
        mask = shape > 0.4 * shape.max()
        base = float(mean[mask].sum())
        # own / sqrt(own + base) is the contrast-to-noise ratio
        own = noise**2 / 2 + np.sqrt(noise**4 / 4 + noise**2 * base)
        added += shape * own / float(shape[mask].sum())
    return mean + added


def in_other_posture(mean: np.ndarray, pixel_mm: float, seed: list[int]) -> np.ndarray:
    """Expected counts of a view whose places have moved a little, near ones together."""
    rng = np.random.default_rng(seed)
    moved = []
    for _ in range(2):
        field = ndimage.gaussian_filter(rng.normal(size=mean.shape), 80 / pixel_mm)
        moved.append(field / field.std() * POSTURE_MM / pixel_mm)
    grid = np.indices(mean.shape)
    return ndimage.map_coordinates(mean, grid + moved, order=1, mode="nearest")


def varied(mean: np.ndarray, pixel_mm: float, share: float, seed: list[int]) -> np.ndarray:
    """Expected counts of a view whose uptake varies from place to place by a share."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=mean.shape), VARIES_MM / pixel_mm)
    return mean * np.exp(share * field / field.std())


class Pairs(NamedTuple):
    """How the later scan of each pair differs from the earlier one.

    Attributes:
        seed: of patients and noise.
        other: whether organs, soft tissue, counts and pixels differ.
        varies: share by which uptake varies from place to place.
    """

    seed: int
    other: bool
    varies: float


class AddedFoci(NamedTuple):
    """The kind of bone of each added focus, and their places in each view."""

    kinds: list[str]
    places: dict[View, list[tuple[float, float]]]


def added_foci(before: QuantifiedScan, pixel_mm: float, rng: np.random.Generator) -> AddedFoci:
    """Places for foci in vertebrae or ribs."""
    atlas = bone_atlas()
    trunk = [n for n, name in enumerate(atlas.bones) if name[0] in "TL" or name.startswith("rib")]
    samples = np.flatnonzero(np.isin(atlas.bone, trunk))
    pose = before.body.registration.pose
    chosen = rng.choice(samples, NEW_FOCI)
    kinds = ["rib" if atlas.bones[atlas.bone[n]][0] == "r" else "vertebra" for n in chosen]
    places = {}
    for view in before.scan.views:
        at = [
            in_view_mm(site, pose.origin_mm[view]) for site in atlas.places_mm(pose.shape)[chosen]
        ]
        wide = before.scan.shape[1]
        places[view] = [
            (row / pixel_mm, abs((wide if view is View.POSTERIOR else 0) - column / pixel_mm))
            for column, row in at
        ]
    return AddedFoci(kinds, places)


def later_images(
    pairs: Pairs,
    number: int,
    later: dict[View, np.ndarray],
    added: AddedFoci,
    noise: float,
    move: np.ndarray,
    pixel_mm: float,
    rng: np.random.Generator,
) -> tuple[dict[str, np.ndarray], list[tuple[str, float]]]:
    """The later scan's images, and the contrast of each added focus in each view."""
    images, contrasts = {}, []
    for view, mean in later.items():
        sign = 1 if view is View.ANTERIOR else -1
        # The same in both views: it is the bone's.
        field_seed = [pairs.seed, number, 7]
        usual = varied(mean[:, ::sign], pixel_mm, pairs.varies, field_seed)[:, ::sign]
        mean = with_foci(usual, added.places[view], noise, pixel_mm) if noise else usual
        for (row, column), kind in zip(added.places[view], added.kinds, strict=True):
            at = min(int(row), mean.shape[0] - 1), min(int(column), mean.shape[1] - 1)
            contrasts.append((kind, mean[at] / max(usual[at], 1e-9)))
        mean = in_other_posture(mean, pixel_mm, [pairs.seed, number, view is View.ANTERIOR])
        if not pairs.other:
            counted = rng.poisson(mean).astype(np.float32)
            images[view.value] = np.roll(counted, (move[0], sign * move[1]), (0, 1))
            continue
        mean = np.roll(mean, (move[0], sign * move[1]), (0, 1))
        fewer = ndimage.zoom(mean, 1 / OTHER_PIXELS, order=1, grid_mode=True, mode="nearest")
        images[view.value] = rng.poisson(fewer * OTHER_PIXELS**2).astype(np.float32)
    return images, contrasts


def change(patients: int, pairs: Pairs, noises: tuple[float, ...]) -> None:
    """Pairs of scans of one patient, unchanged, and with two new foci in vertebrae or ribs."""
    wrong, found = Counter(), Counter()
    contrasts = {}
    with Classifier(model_folder(None), threads=1) as model:
        for number in range(patients):
            rng = np.random.default_rng([pairs.seed, number])
            seed, lesions = pairs.seed * 1000 + number, 1 + number % 8
            patient = known_patient(seed, lesions, 13.0)
            drawn = {v.value: rng.poisson(m).astype(np.float32) for v, m in patient.means.items()}
            before = quantified(model, drawn, patient.scan)
            move = rng.integers(-8, 9, 2)
            added = added_foci(before, patient.pixel_mm, rng)
            later, scan, scale = patient.means, patient.scan, 1.0
            if pairs.other:
                means = with_other_organs(seed, lesions)
                later = {view: mean * OTHER_COUNTS for view, mean in means.items()}
                scale = OTHER_PIXELS
            for noise in (0.0, *noises):
                images, said = later_images(
                    pairs, number, later, added, noise, move, patient.pixel_mm, rng
                )
                for kind, contrast in said if noise else ():
                    contrasts.setdefault((noise, kind), []).append(contrast)
                size = (patient.pixel_mm * scale,) * 2
                after = quantified(model, images, replace(scan, pixel_spacing_mm=size, **images))
                for limit in LIMITS:
                    change_module.RISEN_BY = limit
                    changes = changed_foci(before, after)
                    new = [one.present for one in changes if one.change is FocusChange.NEW]
                    if not noise:
                        wrong[limit] += bool(new)
                        continue
                    found[noise, limit] += sum(
                        any(
                            _near(one, added.places, k, move, patient.pixel_mm, scale)
                            for one in new
                        )
                        for k in range(NEW_FOCI)
                    )
            print(number, dict(wrong), dict(found), flush=True)
    for (noise, kind), said in sorted(contrasts.items()):
        low, middle, high = np.percentile(said, [10, 50, 90])
        print(f"{noise:g} in a {kind}: contrast {middle:.2f} ({low:.2f} to {high:.2f})")
    for limit in LIMITS:
        said = [f"{noise:g}: {found[noise, limit]}/{NEW_FOCI * patients}" for noise in noises]
        print(f"from {limit}: {wrong[limit]}/{patients} unchanged pairs; new foci", *said)


def _near(
    focus: MatchedFocus, places: dict, k: int, move: np.ndarray, pixel_mm: float, scale: float
) -> bool:
    """Whether a focus lies within 20 mm of an added one in a view."""
    for shown in focus.in_views:
        sign = 1 if shown.view is View.ANTERIOR else -1
        row, column = places[shown.view][k]
        away = (
            scale * (shown.row + 0.5) - row - move[0],
            scale * (shown.column + 0.5) - column - sign * move[1],
        )
        if np.hypot(*away) * pixel_mm <= 20:
            return True
    return False


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--noise", type=float, nargs="*", default=[10.0, 25.0])
    parser.add_argument("--other", action="store_true")
    parser.add_argument("--varies", type=float, default=0.0)
    given = parser.parse_args()
    change(given.count, Pairs(given.seed, given.other, given.varies), tuple(given.noise))


if __name__ == "__main__":
    main()
