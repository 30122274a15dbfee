"""Which bone, and which of twelve regions, a pixel of a scan shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.quantify.bone_atlas import BoneAtlas, Floats, bone_atlas
from bonescint.quantify.label_evidence import LabelEvidence, label_evidence
from bonescint.quantify.order_statistics import percentile
from bonescint.quantify.registration import Registration, in_view_mm, registered
from bonescint.scan import Scan, View, mirrored
from bonescint.simulate.seen_foci import TWELVE_NAMES, twelve_regions

_EDGE = 0.15
"""A bone's outline, as share of the 95th percentile of its projection: as in the simulator."""
_REACH = 3.2
_SMOOTHING_MM = 3.0
"""Further blur, since the atlas keeps one sample of bone in twelve."""
_STERNUM_HALF_WIDTH_MM = 30.0
_LIMB_BONES = ("humerus", "femur", "tibia", "foot")
_FEWEST_PIXELS = 30
_DARK = 0.35
"""A limb's bone is missing if the mean square root of its pixels is below this share of the other
side's: a tenth of the uptake. In simulated patients with all limbs the share is 0.52 or more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BodyRegions:
    """The bones of a scan.

    Attributes:
        registration: how they were found.
        places_mm: float32 (samples, 2), the atlas's samples in this body, to the left, and up.
        bone_names: names of the bones.
        bones: for each view uint8 (rows, columns), as seen from its own side: 0 for none, else 1 +
            the index of a bone.
        regions: the same for the twelve regions `TWELVE_NAMES`.
        shares_inside: for each view float32 (bones,), share of each bone that lies in the image.
        labels: how well the images agree with their labels.
        remarks: what may be wrong, in words.
    """

    registration: Registration
    places_mm: Floats
    bone_names: tuple[str, ...]
    bones: Mapping[View, NDArray[np.uint8]]
    regions: Mapping[View, NDArray[np.uint8]]
    shares_inside: Mapping[View, Floats]
    labels: LabelEvidence
    remarks: tuple[str, ...]


def body_regions(scan: Scan, atlas: BoneAtlas | None = None) -> BodyRegions:
    """Find the bones of a scan.

    Args:
        scan: one or two views.
        atlas: the one of bonescint if `None`.
    """
    atlas = atlas or bone_atlas()
    registration = registered(scan, atlas)
    places = atlas.places_mm(registration.pose.shape)
    bones, shares = {}, {}
    for view in scan.views:
        laid, shares[view] = bone_map(atlas, registration, places, view, scan.shape)
        bones[view] = laid if view is View.ANTERIOR else np.array(mirrored(laid))
    labels = label_evidence(registration, atlas)
    return BodyRegions(
        registration=registration,
        places_mm=places,
        bone_names=atlas.bones,
        bones=bones,
        regions=twelve_regions(bones, atlas.bones),
        shares_inside=shares,
        labels=labels,
        remarks=(
            *_remarks(registration),
            *labels.remarks(),
            *_on_unseen(unseen_limbs(scan, bones, atlas.bones)),
        ),
    )


def bone_map(
    atlas: BoneAtlas,
    registration: Registration,
    places_mm: Floats,
    view: View,
    shape: Sequence[int],
) -> tuple[NDArray[np.uint8], Floats]:
    """The bone that most of a pixel's photons would come from if all bones had the same uptake.

    Args:
        atlas: bones.
        registration: where they lie.
        places_mm: float32 (samples, 2), the samples in this body, to the patient's left, and up.
        view: which detector.
        shape: (rows, columns) of the map.

    Returns:
        uint8 (rows, columns) as seen from the front, and the share of each bone inside it.
    """
    pixel_mm = registration.pixel_mm
    at = in_view_mm(places_mm, registration.pose.origin_mm[view])[:, ::-1]
    row, column = np.floor(at / np.asarray(pixel_mm, np.float32)).astype(np.intp).T.copy()
    weight = atlas.photons[view] * _bony(atlas)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1]) & (weight > 0)
    numbers = len(atlas.bones)
    total = np.bincount(atlas.bone, weight, minlength=numbers)
    shares = np.bincount(atlas.bone[inside], weight[inside], minlength=numbers) / total
    bounds = np.searchsorted(atlas.bone[inside], np.arange(numbers + 1))
    row, column, weight = row[inside], column[inside], weight[inside]
    strongest = np.zeros(shape, np.float32)
    found = np.zeros(shape, np.uint8)
    for bone in np.flatnonzero(shares).tolist():
        part = slice(bounds[bone], bounds[bone + 1])
        blur_mm = float(np.hypot(atlas.blur_mm[view][bone], _SMOOTHING_MM))
        sigma = [blur_mm / size for size in pixel_mm]
        image, window = _projection((row[part], column[part]), weight[part], sigma, shape)
        outline = image >= _EDGE * percentile(image[image > 0], 95)
        wins = outline & (image > strongest[window])
        strongest[window][wins] = image[wins]
        found[window][wins] = bone + 1
    return found, np.asarray(shares, np.float32)


def _bony(atlas: BoneAtlas) -> NDArray[np.bool_]:
    """Which samples are bone; the sternum's mesh holds costal cartilage, too."""
    span = atlas.span(atlas.bones.index("sternum"))
    across = atlas.mean_mm[span, 0]
    bony = np.ones(len(atlas.bone), dtype=bool)
    bony[span] = np.abs(across - np.median(across)) < _STERNUM_HALF_WIDTH_MM
    return bony


def _projection(
    cells: Sequence[NDArray[np.intp]], weight: Floats, sigma: list[float], shape: Sequence[int]
) -> tuple[Floats, tuple[slice, slice]]:
    """Samples of a bone as a blurred image, and the rows and columns that it covers."""
    window = []
    for cell, blur, size in zip(cells, sigma, shape, strict=True):
        reach = 2 + int(np.ceil(_REACH * blur))
        last = min(int(cell.max()) + reach + 1, size)
        window.append(slice(max(int(cell.min()) - reach, 0), last))
    high, wide = window
    rows, columns = high.stop - high.start, wide.stop - wide.start
    flat = (cells[0] - high.start) * columns + cells[1] - wide.start
    image = np.bincount(flat, weight, minlength=rows * columns).reshape(rows, columns)
    smooth = image.astype(np.float32)
    for axis in (0, 1):
        smooth = ndimage.correlate1d(smooth, _gaussian(sigma[axis]), axis, mode="constant")
    return smooth, (high, wide)


@lru_cache(maxsize=1024)
def _gaussian(sigma: float) -> NDArray[np.float64]:
    """Weights of a Gaussian blur, kept for the next scan with the same pixels."""
    reach = int(_REACH * sigma + 0.5)
    weights = np.exp(-0.5 / sigma**2 * np.arange(-reach, reach + 1) ** 2)
    return np.asarray(weights / weights.sum())


def _remarks(registration: Registration) -> tuple[str, ...]:
    words = {View.ANTERIOR: "anterior", View.POSTERIOR: "posterior"}
    return tuple(
        f"The bones of the {words[view]} view were not found well "
        f"(likeness {registration.likeness[view]:.2f}): do not rely on regions and bones there."
        for view in registration.poor
    )


def unseen_limbs(
    scan: Scan, bones: Mapping[View, NDArray[np.uint8]], names: Sequence[str]
) -> tuple[str, ...]:
    """Bones of limbs without uptake, compared with the same bone of the other side.

    Forearms and hands are not compared: an injection site is brighter than any bone.

    Args:
        scan: the scan.
        bones: its maps of bones.
        names: names of the bones.
    """
    found = []
    for bone in _LIMB_BONES:
        values = {}
        for name in (f"{bone} R", f"{bone} L"):
            number = names.index(name) + 1
            pixels = np.concatenate([of[bones[view] == number] for view, of in scan.images()])
            if pixels.size >= _FEWEST_PIXELS:
                values[name] = float(np.sqrt(np.maximum(pixels, 0)).mean())
        if len(values) == 2:
            found += [name for name, of in values.items() if of < _DARK * max(values.values())]
    return tuple(found)


def _on_unseen(bones: tuple[str, ...]) -> tuple[str, ...]:
    if not bones:
        return ()
    return (
        f"There is hardly any uptake where {', '.join(bones)} should lie: a limb may be missing; "
        "its outline is only assumed.",
    )


def dice_by_region(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Dice coefficient of each of the twelve regions; NaN where the truth lacks one.

    Examples:
        >>> found, truth = np.array([[1, 1, 0]], np.uint8), np.array([[1, 0, 0]], np.uint8)
        >>> round(float(dice_by_region(found, truth)[0]), 3)
        0.667
    """
    numbers = np.arange(1, len(TWELVE_NAMES) + 1)
    here, there = (np.array([(of == n).sum() for n in numbers]) for of in (found, truth))
    both = np.array([((found == n) & (truth == n)).sum() for n in numbers])
    with np.errstate(invalid="ignore"):
        return np.where(there > 0, 2 * both / (here + there), np.nan)
