"""The atlas on one scan: samples of bone in an outline, and places on the average body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bonescint.quantify.bone_atlas import BoneAtlas, Floats, bone_atlas
from bonescint.quantify.candidates import FocusInView
from bonescint.quantify.regions import BodyRegions
from bonescint.quantify.registration import in_view_mm
from bonescint.scan import View
from bonescint.simulate.skeleton import group_of_region

_SPINE = ("cervical", "thoracic", "lumbar", "sacrum")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaidAtlas:
    """Where every sample of the atlas lies in the views of a scan.

    Attributes:
        atlas: the bones.
        at: for each view float32 (samples, 2), row and column in pixels from the corner, as seen
            from its own side.
        cells: for each view int (samples, 2), the pixel in which each sample lies.
        places_mm: float32 (samples, 2), to the patient's left of the atlas's origin, and up.
        pixel_mm: between rows and between columns.
        shares: float32 (bones,), share of the skeleton's volume per sample of each bone.
    """

    atlas: BoneAtlas
    at: Mapping[View, Floats]
    cells: Mapping[View, NDArray[np.intp]]
    places_mm: Floats
    pixel_mm: tuple[float, float]
    shares: Floats

    def enclosed(self, foci: Sequence[FocusInView], bone: str) -> NDArray[np.intp]:
        """The samples of a bone and of the bones next to it that lie in the outlines of a focus.

        Args:
            foci: the focus in each view that shows it; a sample must lie inside in all of them.
            bone: its bone.
        """
        span = self._continued(self.atlas.bones.index(bone))
        inside = np.arange(span.start, span.stop)
        for shown in foci:
            row, column = self.cells[shown.view][inside].T
            high, wide = shown.window
            near = (row >= high.start) & (row < high.stop)
            near &= (column >= wide.start) & (column < wide.stop)
            inside, row, column = inside[near], row[near], column[near]
            inside = inside[shown.mask[row - shown.top, column - shown.left]]
        return inside

    def _continued(self, bone: int) -> slice:
        """Samples of a bone, and for a vertebra also of its neighbours, into which foci extend."""
        bones, near = self.atlas.bones, [bone]
        if group_of_region(bones[bone]) in _SPINE:
            near = [n for n in (bone - 1, bone, bone + 1) if 0 <= n < len(bones)]
            near = [n for n in near if group_of_region(bones[n]) in _SPINE]
        return slice(self.atlas.span(near[0]).start, self.atlas.span(near[-1]).stop)

    def place_mm(self, foci: Sequence[FocusInView], bone: str) -> Floats:
        """Where a focus lies on the average body: (2,), mm to the left and up, mean of its views.

        Args:
            foci: the focus in each view that shows it.
            bone: its bone.
        """
        span = self.atlas.span(self.atlas.bones.index(bone))
        found = []
        for shown in foci:
            place = np.array([shown.row + 0.5, shown.column + 0.5], np.float32)
            beside = (place - self.at[shown.view][span]) * np.array(self.pixel_mm, np.float32)
            nearest = _nearest(beside)
            down, across = beside[nearest]
            left = across if shown.view is View.ANTERIOR else -across
            found.append(self.atlas.mean_mm[span][nearest] + np.array([left, -down]))
        return np.asarray(np.mean(found, axis=0), np.float32)

    def pixel_of(self, place_mm: Floats, bone: str, view: View) -> tuple[float, float]:
        """Row and column in a view of a place on the average body, the inverse of `place_mm`."""
        span = self.atlas.span(self.atlas.bones.index(bone))
        beside = place_mm - self.atlas.mean_mm[span]
        nearest = _nearest(beside)
        left, up = beside[nearest]
        across = left if view is View.ANTERIOR else -left
        row, column = self.at[view][span][nearest]
        return float(row - up / self.pixel_mm[0]), float(column + across / self.pixel_mm[1])


def _nearest(beside: Floats) -> int:
    """The place (n, 2) that is least far away."""
    return int((beside[:, 0] ** 2 + beside[:, 1] ** 2).argmin())


@lru_cache(maxsize=8)
def laid_atlas(
    body: BodyRegions, shape: tuple[int, int], atlas: BoneAtlas | None = None
) -> LaidAtlas:
    """Lay the atlas on a scan whose bones have been found.

    Args:
        body: the bones.
        shape: (rows, columns) of the views.
        atlas: the one of bonescint if `None`.
    """
    atlas = atlas or bone_atlas()
    pose, pixel_mm = body.registration.pose, body.registration.pixel_mm
    places = body.places_mm
    at = {}
    for view, origin in pose.origin_mm.items():
        laid = in_view_mm(places, origin)[:, ::-1] / np.asarray(pixel_mm, np.float32)
        if view is View.POSTERIOR:
            laid[:, 1] = shape[1] - laid[:, 1]
        at[view] = np.asarray(laid, np.float32)
    samples = np.bincount(atlas.bone, minlength=len(atlas.bones))
    shares = np.asarray(atlas.volume / samples, np.float32)
    cells = {view: np.floor(of).astype(np.intp) for view, of in at.items()}
    return LaidAtlas(
        atlas=atlas, at=at, cells=cells, places_mm=places, pixel_mm=pixel_mm, shares=shares
    )
