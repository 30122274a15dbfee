"""Detectability on one scan: the contrast at which a small lesion in each bone is found.

Lesions are added to the scan, with counting noise; then model and detection of foci are run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.quantify.bone_atlas import BoneAtlas, Floats, bone_atlas
from bonescint.quantify.bone_scan_index import METASTASIS_FROM
from bonescint.quantify.candidates import SMOOTHING_MM, usual_uptake
from bonescint.quantify.foci import MatchedFocus, matched_foci
from bonescint.quantify.regions import BodyRegions
from bonescint.quantify.registration import in_view_mm
from bonescint.scan import ParameterError, PixelUnit, Prediction, Scan, View
from bonescint.simulate.skeleton import group_of_region

DIAMETER_MM = 10.0
CONTRASTS = (2.0, 4.0, 8.0, 16.0, 32.0)
WANTED = 0.8
"""Probability with which a lesion of the stated contrast is found."""
_SLOPE = 3.0
"""Slope of the logistic curve over the logarithm of contrast, for all bones. Assumed."""
_PLACES = 3
_AT_ONCE, _APART_MM, _NEAR_MM = 6, 160.0, 15.0
_SKELETON_MM3 = 5.1e6
"""Volume of the simulator's skeleton, of which the atlas keeps the bones' shares."""
_LEFT_OUT = ("hand", "foot", "patella", "fibula", "ulna", "radius", "mandible")


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionLimit:
    """The contrast at which a lesion of 10 mm in a bone of one scan is found.

    Attributes:
        bone: name of the bone.
        contrast: uptake of the lesion relative to the bone's, at which 80 % are found; `None`
            if that is above the highest contrast that was tried.
        found: number of added lesions that were found.
        tried: number of lesions that were added.
    """

    bone: str
    contrast: float | None
    found: int
    tried: int

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        shown = None if self.contrast is None else round(self.contrast, 2)
        return {"bone": self.bone, "contrast": shown, "found": self.found, "tried": self.tried}


class _Place(NamedTuple):
    """Where a lesion is added: its bone, and row and column in each view."""

    bone: int
    at: dict[View, tuple[float, float]]
    thickness_mm: float


def detection_limits(
    scan: Scan,
    body: BodyRegions,
    predict: Callable[[Scan], Prediction],
    *,
    seed: int = 0,
    contrasts: Sequence[float] = CONTRASTS,
    atlas: BoneAtlas | None = None,
) -> tuple[DetectionLimit, ...]:
    """Add lesions to a scan, and see which are found.

    A lesion is a sphere of 10 mm whose uptake per volume is that of its bone times the contrast,
    blurred as the camera blurs at that depth, in both views, with Poisson noise. It is found if a
    focus within 15 mm is called a metastasis; none is added there where the scan has one already.

    Args:
        scan: with counts and a pixel spacing.
        body: its bones.
        predict: the model.
        seed: of places and noise.
        contrasts: to try, increasing.
        atlas: the one of bonescint if `None`.

    Returns:
        A limit for each bone of which at least one view shows enough and that has room between the
        scan's own metastases, in the atlas' order.

    Raises:
        ParameterError: a scan without counts or without a pixel spacing.
    """
    if scan.unit is not PixelUnit.COUNTS or scan.pixel_spacing_mm is None:
        got = f"{scan.unit.value}, spacing {scan.pixel_spacing_mm}"
        raise ParameterError("scan", "detection_limits", "counts with a pixel spacing", got)
    atlas = atlas or bone_atlas()
    rng = np.random.default_rng(seed)
    usual = {view: _usual(scan, body, view) for view in scan.views}
    own = matched_foci(scan, predict(scan), body, atlas)
    trials: dict[int, list[tuple[float, bool]]] = {}
    for contrast in contrasts:
        free = [
            place
            for place in _places(scan, body, atlas, rng)
            if not any(_is_near(focus, place, scan.pixel_spacing_mm) for focus in own)
        ]
        for together in _far_apart(free, scan.pixel_spacing_mm):
            other = _with_lesions(scan, together, contrast, usual, atlas, rng)
            foci = matched_foci(other, predict(other), body, atlas)
            for place in together:
                hit = any(_is_near(focus, place, scan.pixel_spacing_mm) for focus in foci)
                trials.setdefault(place.bone, []).append((contrast, hit))
    return tuple(
        DetectionLimit(
            bone=atlas.bones[bone],
            contrast=_limit(trials[bone], max(contrasts)),
            found=sum(hit for _, hit in trials[bone]),
            tried=len(trials[bone]),
        )
        for bone in sorted(trials)
    )


def _usual(scan: Scan, body: BodyRegions, view: View) -> Floats:
    image = scan.view(view)
    if image is None:
        raise ParameterError("view", "detection_limits", "present", view)
    sigma = [SMOOTHING_MM / size for size in body.registration.pixel_mm]
    return usual_uptake(ndimage.gaussian_filter(image, sigma), body.bones[view], body.bone_names)


def _places(
    scan: Scan, body: BodyRegions, atlas: BoneAtlas, rng: np.random.Generator
) -> list[_Place]:
    """Some places in each bone that a view shows."""
    pose, pixel_mm = body.registration.pose, body.registration.pixel_mm
    found = []
    for bone, name in enumerate(atlas.bones):
        seen = max(float(shares[bone]) for shares in body.shares_inside.values())
        if group_of_region(name) in _LEFT_OUT or seen < 0.5:
            continue
        places = atlas.places_mm(pose.shape, atlas.span(bone))
        for sample in rng.choice(len(places), _PLACES):
            away = np.linalg.norm(places - places[sample], axis=1)
            near = float((away <= DIAMETER_MM / 2).mean())
            volume = float(atlas.volume[bone]) * _SKELETON_MM3
            thickness = near * volume / (np.pi * (DIAMETER_MM / 2) ** 2)
            at = {}
            for view, origin in pose.origin_mm.items():
                across, down = in_view_mm(places[sample], origin) / np.array(pixel_mm[::-1])
                if view is View.POSTERIOR:
                    across = scan.shape[1] - across
                if 0 <= down < scan.shape[0] and 0 <= across < scan.shape[1]:
                    at[view] = (float(down), float(across))
            if at:
                found.append(_Place(bone, at, max(thickness, DIAMETER_MM / 2)))
    rng.shuffle(found)
    return found


def _far_apart(places: list[_Place], pixel_mm: tuple[float, float]) -> Iterator[list[_Place]]:
    """Places in groups that do not disturb each other."""
    waiting = list(places)
    while waiting:
        together: list[_Place] = []
        rest: list[_Place] = []
        for place in waiting:
            far = all(_distance_mm(place, other, pixel_mm) >= _APART_MM for other in together)
            (together if far and len(together) < _AT_ONCE else rest).append(place)
        yield together
        waiting = rest


def _distance_mm(one: _Place, other: _Place, pixel_mm: tuple[float, float]) -> float:
    return min(
        (
            float(np.hypot(*((np.array(one.at[v]) - other.at[v]) * np.array(pixel_mm))))
            for v in one.at.keys() & other.at.keys()
        ),
        default=float("inf"),
    )


def _with_lesions(
    scan: Scan,
    places: Sequence[_Place],
    contrast: float,
    usual: dict[View, Floats],
    atlas: BoneAtlas,
    rng: np.random.Generator,
) -> Scan:
    """The scan with a lesion at each place."""
    spacing = scan.pixel_spacing_mm or (1.0, 1.0)
    images: dict[View, NDArray[np.float32]] = {}
    for view, image in scan.images():
        added = np.zeros(scan.shape, np.float32)
        for place in places:
            if view not in place.at:
                continue
            lesion = _sphere(
                place.at[view], scan.shape, spacing, float(atlas.blur_mm[view][place.bone])
            )
            per_mm = float(usual[view][place.bone + 1]) / place.thickness_mm
            added += (contrast - 1) * per_mm * lesion
        images[view] = image + rng.poisson(np.maximum(added, 0)).astype(np.float32)
    return scan.with_views(
        anterior=images.get(View.ANTERIOR), posterior=images.get(View.POSTERIOR), step="lesions"
    )


def _sphere(
    at: tuple[float, float], shape: tuple[int, int], spacing: tuple[float, float], blur_mm: float
) -> Floats:
    """Path through a blurred sphere in mm, for each pixel; its sum is the sphere's volume."""
    volume = np.pi / 6 * DIAMETER_MM**3 / (spacing[0] * spacing[1])
    # A sphere's own variance along each axis is a fifth of its squared radius.
    variance = blur_mm**2 + (DIAMETER_MM / 2) ** 2 / 5
    rows = (np.arange(shape[0]) + 0.5 - at[0]) * spacing[0]
    columns = (np.arange(shape[1]) + 0.5 - at[1]) * spacing[1]
    profile = [
        np.exp(-(of**2) / (2 * variance)) * size / np.sqrt(2 * np.pi * variance)
        for of, size in ((rows, spacing[0]), (columns, spacing[1]))
    ]
    return np.asarray(volume * np.outer(*profile), np.float32)


def _is_near(focus: MatchedFocus, place: _Place, pixel_mm: tuple[float, float]) -> bool:
    if focus.probability < METASTASIS_FROM:
        return False
    return any(
        shown.view in place.at
        and np.hypot(
            (shown.row + 0.5 - place.at[shown.view][0]) * pixel_mm[0],
            (shown.column + 0.5 - place.at[shown.view][1]) * pixel_mm[1],
        )
        <= _NEAR_MM
        for shown in focus.in_views
    )


def _limit(trials: Sequence[tuple[float, bool]], highest: float) -> float | None:
    """The contrast at which the fitted logistic curve reaches the wanted probability."""
    log = np.log([contrast for contrast, _ in trials])
    hit = np.array([found for _, found in trials], dtype=bool)
    middles = np.linspace(-1, np.log(highest) + 2, 200)  # contrast found in half of the cases
    chance = 1 / (1 + np.exp(-_SLOPE * (log[None, :] - middles[:, None])))
    likelihood = np.where(hit, np.log(chance + 1e-9), np.log(1 - chance + 1e-9)).sum(axis=1)
    at = middles[int(likelihood.argmax())] + np.log(WANTED / (1 - WANTED)) / _SLOPE
    return None if at > np.log(highest) else max(float(np.exp(at)), 1.0)
