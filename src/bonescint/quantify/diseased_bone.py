"""Which share of each piece of bone is diseased: a small network on both views.

A piece is the part of one bone that lies in one pixel of a grid of 6 mm, in the frame of the body,
so that both views and the samples of the atlas lie on the same pixels. What the network sees of a
piece are numbers: uptake, foci, the model's cells and the bone, here, around it, and in the whole
bone. It was trained on simulated scans, whose truth names every diseased sample of bone
(`benchmarks/diseased_bone.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.files import json_in
from bonescint.quantify.bone_atlas import BoneAtlas, Floats
from bonescint.quantify.candidates import (
    SMOOTHING_MM,
    cell_values,
    expected_uptake,
    usual_uptake,
)
from bonescint.quantify.foci import MatchedFocus
from bonescint.quantify.focus_network import USUAL
from bonescint.quantify.laid_atlas import LaidAtlas
from bonescint.quantify.regions import BodyRegions
from bonescint.scan import PixelUnit, Prediction, Scan, View
from bonescint.simulate.seen_foci import TWELVE_REGIONS
from bonescint.simulate.skeleton import group_of_region

STEP_MM = 6.0
"""Edge of a pixel of the grid."""
ROWS, COLUMNS = 336, 96
_TOP_MM, _LEFT_MM = 810.0, -288.0
"""Edges of the grid, up and to the patient's left of the atlas's origin."""
_NEAR_MM, _FAR_MM = 12.0, 30.0
"""Standard deviations of the blurs that show what lies around a piece."""
_PEAK_MM = 24.0
"""How far away, in rows and in columns, a peak of uptake may lie of which a piece is the flank."""
OF_UPTAKE = 8
"""Numbers on the uptake in a view."""
_LARGEST_LOG = 3.5
_GROUPS = tuple(TWELVE_REGIONS)


class Pieces(NamedTuple):
    """The pieces of bone of one scan.

    Attributes:
        bone: intp (pieces,), index of the bone.
        pixel: intp (pieces,), row x 96 + column on the grid.
        share: float64 (pieces,), share of the bone's samples.
        of_sample: intp (samples,), piece of each sample of the atlas.
    """

    bone: NDArray[np.intp]
    pixel: NDArray[np.intp]
    share: NDArray[np.float64]
    of_sample: NDArray[np.intp]


def pieces_of(laid: LaidAtlas) -> Pieces:
    """Divide the bones of a scan.

    Args:
        laid: the atlas on the scan; samples beyond the grid lie on its edge.
    """
    atlas = laid.atlas
    left, up = laid.places_mm.T
    row = np.clip((_TOP_MM - up) / STEP_MM, 0, ROWS - 1).astype(np.intp)
    column = np.clip((left - _LEFT_MM) / STEP_MM, 0, COLUMNS - 1).astype(np.intp)
    keys = (atlas.bone.astype(np.intp) * ROWS + row) * COLUMNS + column
    found, of_sample, count = np.unique(keys, return_inverse=True, return_counts=True)
    bone, pixel = np.divmod(found, ROWS * COLUMNS)
    return Pieces(bone, pixel, count / np.bincount(atlas.bone)[bone], of_sample)


class PieceNumbers:
    """What the network sees of the pieces of one scan, of which the counts can be exchanged.

    A missing view is taken to look like the other one.

    Args:
        scan: the scan.
        prediction: of the scan.
        body: its bones.
        foci: its foci, with their probabilities.
        laid: the atlas on the scan.

    Attributes:
        pieces: the pieces of bone.
    """

    def __init__(
        self,
        scan: Scan,
        prediction: Prediction,
        body: BodyRegions,
        foci: Sequence[MatchedFocus],
        laid: LaidAtlas,
    ) -> None:
        self.body, self.pieces, atlas = body, pieces_of(laid), laid.atlas
        self.grids = {view: Grid(body, view, scan.shape) for view in scan.views}
        self.bones = {view: grid.nearest(body.bones[view]) for view, grid in self.grids.items()}
        self._other_side = _other_side(atlas.bones)
        seen = {}
        for view, grid in self.grids.items():
            cells = np.clip(cell_values(prediction.activation_map(view), scan.shape), 0, 1)
            ill, benign = (grid.nearest(of) for of in _painted(foci, view, scan.shape))
            blurred = [ndimage.gaussian_filter(ill, of / STEP_MM) for of in (_NEAR_MM, _FAR_MM)]
            seen[view] = [self._here(of) for of in (grid.nearest(cells), ill, benign, *blurred)]
        first, second = (seen.get(view, seen[scan.views[0]]) for view in View)
        most = np.maximum(first[1], second[1])
        volume = np.asarray(atlas.volume, np.float64)[self.pieces.bone] * self.pieces.share
        totals = [
            float(np.log(0.05 + 100 * (volume @ of)))
            for of in (most, np.minimum(first[1], second[1]), np.maximum(first[2], second[2]))
        ]
        samples = np.bincount(self.pieces.of_sample)
        place = np.stack([np.abs(laid.places_mm[:, 0]) / 200, laid.places_mm[:, 1] / 500], axis=1)
        place = np.column_stack([place, _in_front(atlas)])
        self._fixed: list[NDArray[Any]] = [
            *first,
            *second,
            np.minimum(first[1], second[1]),
            self._mean_of_bone(most),
            *(np.bincount(self.pieces.of_sample, of) / samples for of in place.T),
            *(_groups(atlas.bones)[self.pieces.bone].T),
        ]
        self._of_scan = [*totals, 3 * (prediction.mbd_probability - 0.5)]

    def of(self, scan: Scan) -> Floats:
        """The numbers of this scan, or of one with other counts.

        Args:
            scan: with the views of the first.

        Returns:
            float32 (pieces, numbers).
        """
        seen = {view: self._uptake(view, image) for view, image in scan.images()}
        first, second = (seen.get(view, seen[scan.views[0]]) for view in View)
        counts = max(scan.total(view) for view in scan.views)
        known = scan.unit is PixelUnit.COUNTS and counts > 1
        of_scan = [*self._of_scan, float(np.log10(counts)) - 6 if known else 0.0]
        columns = [
            *first,
            *second,
            np.minimum(first[0], second[0]),
            np.maximum(first[0], second[0]),
            *self._fixed,
            *(np.full(len(self.pieces.bone), of) for of in of_scan),
        ]
        return np.stack([np.asarray(of, np.float32) for of in columns], axis=1)

    def shares_of_bones(self, scan: Scan) -> NDArray[np.float64]:
        """Diseased share of each bone, as the network that comes with bonescint estimates it.

        Args:
            scan: with the views of the first.
        """
        return self._by_bone(diseased_bone().shares(self.of(scan)))

    def _here(self, grid: NDArray[Any]) -> NDArray[Any]:
        return grid.ravel()[self.pieces.pixel]

    def _mean_of_bone(self, values: NDArray[Any]) -> NDArray[Any]:
        return self._by_bone(values)[self.pieces.bone]

    def _by_bone(self, values: NDArray[Any]) -> NDArray[np.float64]:
        weighted = np.asarray(self.pieces.share * values, np.float64)
        return np.asarray(np.bincount(self.pieces.bone, weighted, len(self.body.bone_names)))

    def _uptake(self, view: View, image: Floats) -> list[NDArray[Any]]:
        """Logarithms of uptake relative to a normal bone's and to the bone's own, and around."""
        smooth, bones, of = self.grids[view].blurred(image), self.bones[view], self.pieces.bone
        usual = usual_uptake(smooth, bones, self.body.bone_names)
        normal = expected_uptake(usual, view, self.body.bone_names)
        usual = np.where(usual > 0, usual, normal)
        normal[0] = np.median(normal[1:])  # outside bones
        least = 1e-6 + 0.005 * float(np.percentile(smooth, 99))
        log = np.log(smooth + least)
        normal_log, usual_log = (np.log(np.maximum(one, least)) for one in (normal, usual))
        here = self._here(log)
        raised = np.clip(here - normal_log[1 + of], -_LARGEST_LOG, _LARGEST_LOG)
        around = np.clip(log - normal_log[bones], -_LARGEST_LOG, _LARGEST_LOG)
        mean = self._by_bone(raised)
        excess = np.maximum(np.exp(around) - 1, 0)
        peak = ndimage.maximum_filter(excess, 2 * round(_PEAK_MM / STEP_MM) + 1)
        return [
            raised,
            np.clip(here - usual_log[1 + of], -_LARGEST_LOG, _LARGEST_LOG),
            self._here(ndimage.gaussian_filter(around, _NEAR_MM / STEP_MM)),
            self._here(excess / (peak + 0.3)),
            self._here(np.log1p(peak)),
            mean[of],
            (mean - mean[self._other_side])[of],
            np.clip(usual_log - normal_log, -_LARGEST_LOG, _LARGEST_LOG)[1 + of],
        ]


@cache
def _other_side(bones: tuple[str, ...]) -> NDArray[np.intp]:
    """Index of the same bone of the other side; of a bone in the midline itself."""
    swapped = {"L": "R", "R": "L"}
    names = [f"{b[:-1]}{swapped[b[-1]]}" if b[-2:] in (" L", " R") else b for b in bones]
    return np.array([bones.index(name) for name in names], np.intp)


@cache
def _groups(bones: tuple[str, ...]) -> NDArray[np.float32]:
    """1 for the group of each bone (bones, groups)."""
    groups = [group_of_region(bone) for bone in bones]
    return np.array([[of == group for group in _GROUPS] for of in groups], np.float32)


@cache
def _in_front(atlas: BoneAtlas) -> NDArray[np.float32]:
    """Logarithm of the photons of each sample that reach the front over those at the back."""
    front, back = (np.log(atlas.photons[view] + 1e-4) for view in View)
    return np.asarray(np.clip(front - back, -3, 3) / 3, np.float32)


def _painted(
    foci: Sequence[MatchedFocus], view: View, shape: tuple[int, int]
) -> tuple[Floats, Floats]:
    """The probabilities of a metastasis, and of benign findings, in the outlines of a view."""
    ill, benign = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for focus in foci:
        other = 1 - focus.probability - focus.finding_probabilities.get(USUAL, 0.0)
        for shown in focus.in_views:
            if shown.view is view:
                for painted, value in ((ill, focus.probability), (benign, other)):
                    part = painted[shown.window]
                    part[shown.mask] = np.maximum(part[shown.mask], value)
    return ill, benign


class Grid:
    """One view on the grid, as seen from the front."""

    def __init__(self, body: BodyRegions, view: View, shape: tuple[int, int]) -> None:
        left, down = (float(of) for of in body.registration.pose.origin_mm[view])
        pixel_mm = body.registration.pixel_mm
        rows = down - (_TOP_MM - STEP_MM * (np.arange(ROWS) + 0.5))
        columns = left + _LEFT_MM + STEP_MM * (np.arange(COLUMNS) + 0.5)
        if view is View.POSTERIOR:
            columns = shape[1] * pixel_mm[1] - columns
        self.weights = [
            _gaussian(at, count, size)
            for at, count, size in zip((rows, columns), shape, pixel_mm, strict=True)
        ]
        cells = [np.floor(of / size) for of, size in zip((rows, columns), pixel_mm, strict=True)]
        held = [np.clip(of, 0, n - 1).astype(np.intp) for of, n in zip(cells, shape, strict=True)]
        self.inside = np.logical_and.outer(*(of == at for of, at in zip(held, cells, strict=True)))
        self.cells = np.ix_(*held)

    def nearest(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of a view at the middles of the grid's pixels; 0 outside the view."""
        return np.asarray(np.where(self.inside, values[self.cells], 0), values.dtype)

    def blurred(self, image: Floats) -> Floats:
        """The view, blurred, at the middles of the grid's pixels; 0 outside the view."""
        rows, columns = self.weights
        return np.asarray(rows @ (image @ columns.T), np.float32)


def _gaussian(at_mm: NDArray[np.floating], count: int, pixel_mm: float) -> Floats:
    """Weights of the pixels of one axis at places on it (places, pixels)."""
    away = at_mm[:, None] - (np.arange(count) + 0.5) * pixel_mm
    height = pixel_mm / (SMOOTHING_MM * np.sqrt(2 * np.pi))
    return np.asarray(height * np.exp(-0.5 * (away / SMOOTHING_MM) ** 2), np.float32)


class DiseasedBone:
    """The network, ready to run: a perceptron with two hidden layers.

    Args:
        content: of its JSON file.

    Attributes:
        properties: what its file says of settings and training.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.properties: Mapping[str, Any] = content["properties"]
        self._least = float(self.properties["settings"]["least_share"])
        self._layers = [
            (np.array(of["weights"], np.float32), np.array(of["bias"], np.float32))
            for of in content["layers"]
        ]

    def shares(self, numbers: Floats) -> Floats:
        """The diseased share of each piece.

        Args:
            numbers: float32 (pieces, numbers), see `PieceNumbers`.

        Returns:
            float32 (pieces,), 0 to 1.
        """
        values = numbers
        for place, (weights, bias) in enumerate(self._layers):
            values = values @ weights + bias
            if place < len(self._layers) - 1:
                values = np.maximum(values, 0)
        said = 1 / (1 + np.exp(-np.clip(values[:, 0], -30, 30)))
        # Small shares are nothing, so that a normal scan has an index of nothing.
        return np.asarray(np.maximum(said - self._least, 0) / (1 - self._least), np.float32)


@cache
def diseased_bone() -> DiseasedBone:
    """The network that comes with bonescint."""
    text = files("bonescint.quantify").joinpath("diseased_bone.json").read_text(encoding="utf-8")
    return DiseasedBone(dict(json_in(text)))
