"""Which bone each pixel shows: maps of the regions in both views."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import View
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.projection import Projector
from bonescint.simulate.regions import group_of_region

_EDGE = 0.15
"""A bone's outline: this share of the 95th percentile of its own projection. Assumed."""

_STERNUM_HALF_WIDTH_MM = 30.0
"""Half the manubrium's width on the reference skeleton, which `uptake` uses, too."""

TWELVE_REGIONS: Mapping[str, str] = {
    "skull": "skull",
    "mandible": "skull",
    "cervical": "cervical spine",
    "thoracic": "thoracic spine",
    "lumbar": "lumbar spine",
    "sacrum": "sacrum",
    "sternum": "sternum",
    "rib": "ribs",
    "clavicle": "shoulder girdle",
    "scapula": "shoulder girdle",
    "humerus": "arms",
    "ulna": "arms",
    "radius": "arms",
    "hand": "arms",
    "pelvis": "pelvis",
    "femur": "femora",
    "patella": "lower legs",
    "tibia": "lower legs",
    "fibula": "lower legs",
    "foot": "lower legs",
}
"""The coarse region of each group of bones."""

TWELVE_NAMES: tuple[str, ...] = tuple(dict.fromkeys(TWELVE_REGIONS.values()))
"""The twelve coarse regions in the order of their numbers, which begin at 1."""


def region_maps(projector: Projector, anatomy: Anatomy) -> dict[View, NDArray[np.uint8]]:
    """The bone that most of a pixel's photons would come from, were all bones alike.

    Every bone is projected on its own, attenuated and blurred as in the scan, with one uptake
    for all. A pixel belongs to the strongest, if it lies within that bone's outline.

    Args:
        projector: of the scan.
        anatomy: of its patient.

    Returns:
        For each view a uint8 array (rows, columns): 0 for none, else 1 + the index of the
        bone in `anatomy.skeleton.regions`.
    """
    camera = projector.camera
    strongest = {view: np.zeros((camera.rows, camera.columns), np.float32) for view in View}
    maps = {view: np.zeros((camera.rows, camera.columns), np.uint8) for view in View}
    for index, region in enumerate(anatomy.skeleton.regions):
        members = _bone_of(anatomy, region)
        parts = projector.project(anatomy.positions_mm[members], anatomy.skeleton.volume[members])
        for view, part in parts.items():
            seen = part.image[part.image > 0]
            if not seen.size:
                continue
            outline = part.image >= _EDGE * np.percentile(seen, 95)
            wins = outline & (part.image > strongest[view][part.window])
            strongest[view][part.window][wins] = part.image[wins]
            maps[view][part.window][wins] = index + 1
    return maps


def _bone_of(anatomy: Anatomy, region: str) -> NDArray[np.intp]:
    """Samples of a bone, the sternum's without the costal cartilage that its mesh holds."""
    skeleton = anatomy.skeleton
    members = skeleton.members(region)
    if region == "sternum":
        x_mm = skeleton.positions_mm[members, 0]
        members = members[np.abs(x_mm - np.median(x_mm)) < _STERNUM_HALF_WIDTH_MM]
    return members


def twelve_regions(
    maps: Mapping[View, NDArray[np.uint8]], regions: tuple[str, ...]
) -> dict[View, NDArray[np.uint8]]:
    """Join the bones of a map to the twelve coarse regions.

    Args:
        maps: what `region_maps` gives.
        regions: `anatomy.skeleton.regions`.

    Returns:
        uint8 arrays of the same shape: 0 for none, else 1 + the index in `TWELVE_NAMES`.
    """
    numbers = [
        1 + TWELVE_NAMES.index(TWELVE_REGIONS[group_of_region(region)]) for region in regions
    ]
    joined = np.array([0, *numbers], dtype=np.uint8)
    return {view: joined[bones] for view, bones in maps.items()}
