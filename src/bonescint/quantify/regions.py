"""Which bone, and which of twelve regions, a pixel of a scan shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.quantify.bone_atlas import BoneAtlas, Floats, bone_atlas
from bonescint.quantify.label_evidence import LabelEvidence, label_evidence
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
        bone_names: names of the bones.
        bones: for each view uint8 (rows, columns), as seen from its own side: 0 for none, else 1 +
            the index of a bone.
        regions: the same for the twelve regions `TWELVE_NAMES`.
        shares_inside: for each view float32 (bones,), share of each bone that lies in the image.
        labels: how well the images agree with their labels.
        remarks: what may be wrong, in words.
    """

    registration: Registration
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
    bones, shares = {}, {}
    for view in scan.views:
        laid, shares[view] = bone_map(atlas, registration, view, scan.shape)
        bones[view] = laid if view is View.ANTERIOR else np.array(mirrored(laid))
    labels = label_evidence(scan, registration, atlas)
    return BodyRegions(
        registration=registration,
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
    atlas: BoneAtlas, registration: Registration, view: View, shape: tuple[int, int]
) -> tuple[NDArray[np.uint8], Floats]:
    """The bone that most of a pixel's photons would come from if all bones had the same uptake.

    Args:
        atlas: bones.
        registration: where they lie.
        view: which detector.
        shape: (rows, columns) of the map.

    Returns:
        uint8 (rows, columns) as seen from the front, and the share of each bone inside it.
    """
    pose, pixel_mm = registration.pose, registration.pixel_mm
    places = in_view_mm(atlas.places_mm(pose.shape), pose.origin_mm[view])
    at = places[:, ::-1] / np.asarray(pixel_mm, np.float32)
    strongest = np.zeros(shape, np.float32)
    found = np.zeros(shape, np.uint8)
    shares = np.zeros(len(atlas.bones), np.float32)
    limit = np.asarray(shape)
    for bone in range(len(atlas.bones)):
        span = atlas.span(bone)
        weight = atlas.photons[view][span] * _bony(atlas, bone)
        cell = np.floor(at[span]).astype(np.intp)
        inside = ((cell >= 0) & (cell < limit)).all(axis=1) & (weight > 0)
        shares[bone] = weight[inside].sum() / weight.sum()
        if not inside.any():
            continue
        blur_mm = float(np.hypot(atlas.blur_mm[view][bone], _SMOOTHING_MM))
        sigma = [blur_mm / size for size in pixel_mm]
        image, window = _projection(cell[inside], weight[inside], sigma, limit)
        outline = image >= _EDGE * np.percentile(image[image > 0], 95)
        wins = outline & (image > strongest[window])
        strongest[window][wins] = image[wins]
        found[window][wins] = bone + 1
    return found, shares


def _bony(atlas: BoneAtlas, bone: int) -> Floats | float:
    """1 for bone, 0 for the costal cartilage that the sternum's mesh holds."""
    if atlas.bones[bone] != "sternum":
        return 1.0
    across = atlas.mean_mm[atlas.span(bone), 0]
    return np.asarray(np.abs(across - np.median(across)) < _STERNUM_HALF_WIDTH_MM, np.float32)


def _projection(
    cell: NDArray[np.intp], weight: Floats, sigma: list[float], limit: NDArray[np.intp]
) -> tuple[Floats, tuple[slice, slice]]:
    """Samples of a bone as a blurred image, and the rows and columns that it covers."""
    reach = 2 + np.ceil(_REACH * np.asarray(sigma)).astype(np.intp)
    first = np.maximum(cell.min(axis=0) - reach, 0)
    last = np.minimum(cell.max(axis=0) + reach + 1, limit)
    rows, columns = last - first
    flat = (cell[:, 0] - first[0]) * columns + cell[:, 1] - first[1]
    image = np.bincount(flat, weight, minlength=rows * columns).reshape(rows, columns)
    smooth = ndimage.gaussian_filter(
        image.astype(np.float32), sigma, truncate=_REACH, mode="constant"
    )
    window = (slice(first[0], last[0]), slice(first[1], last[1]))
    return np.asarray(smooth, np.float32), window


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
