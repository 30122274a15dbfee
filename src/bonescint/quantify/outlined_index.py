"""The Bone Scan Index of outlined lesions: the reference for the index of found foci."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bonescint.quantify.bone_atlas import BoneAtlas, bone_atlas
from bonescint.quantify.bone_scan_index import MassTable, bone_masses
from bonescint.quantify.regions import BodyRegions
from bonescint.quantify.registration import in_view_mm
from bonescint.scan import View


def outlined_index(
    body: BodyRegions,
    areas: Mapping[View, NDArray[np.intp]],
    bones: Mapping[int, str],
    *,
    table: MassTable = MassTable.SPIERS,
    atlas: BoneAtlas | None = None,
) -> float:
    """Share of the skeleton's mass that lies in the outlines of lesions, in per cent.

    A sample of bone is diseased if it lies in the area of a lesion in each view that shows this
    lesion, and belongs to the lesion's bone or, if that is unknown, to the bone that the
    registration places there.

    Args:
        body: where the bones of the scan are.
        areas: for each view int (rows, columns), number of the lesion that a pixel shows, or 0.
        bones: bone of each lesion whose bone is known, by the atlas' names.
        table: the bones' shares of mass.
        atlas: the one of bonescint if `None`.
    """
    atlas = atlas or bone_atlas()
    pose, pixel_mm = body.registration.pose, body.registration.pixel_mm
    places = atlas.places_mm(pose.shape)
    lesion, shown = {}, {}
    for view, area in areas.items():
        at = in_view_mm(places, pose.origin_mm[view])[:, ::-1] / np.asarray(pixel_mm, np.float32)
        row, column = np.floor(at).astype(np.intp).T
        if view is View.POSTERIOR:
            column = area.shape[1] - 1 - column
        inside = (row >= 0) & (row < area.shape[0]) & (column >= 0) & (column < area.shape[1])
        lesion[view], shown[view] = np.zeros(len(row), np.intp), np.zeros(len(row), bool)
        lesion[view][inside] = area[row[inside], column[inside]]
        found = body.bones[view][row[inside], column[inside]]
        shown[view][inside] = found == atlas.bone[inside] + 1
    diseased = np.zeros(len(atlas.bone), dtype=bool)
    for number in {int(of) for area in areas.values() for of in np.unique(area)} - {0}:
        views = [view for view, area in areas.items() if (area == number).any()]
        here = np.all([lesion[view] == number for view in views], axis=0)
        if bones.get(number) in atlas.bones:
            here &= atlas.bone == atlas.bones.index(bones[number])
        else:
            here &= np.any([shown[view] for view in views], axis=0)
        diseased |= here
    total = np.bincount(atlas.bone, minlength=len(atlas.bones))
    shares = np.bincount(atlas.bone, diseased, minlength=len(total)) / total
    return 100 * float(bone_masses(table, atlas) @ shares)
