"""Candidates for foci: maxima of a view that exceed the usual uptake of their bone.

Benign candidates are kept here: a network classifies the candidates (`focus_network`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.files import json_in
from bonescint.quantify.bone_atlas import Floats
from bonescint.quantify.order_statistics import median, percentile
from bonescint.quantify.regions import BodyRegions
from bonescint.scan import ActivationMap, PixelUnit, Scan, View
from bonescint.simulate.seen_foci import TWELVE_REGIONS
from bonescint.simulate.skeleton import group_of_region

SMOOTHING_MM = 4.0
"""Standard deviation of the blur before maxima are sought."""
LEAST_CONTRAST = 1.2
"""Uptake at a focus' maximum relative to its bone's; lower maxima are variation of the bone."""
LEAST_CONTRAST_TO_NOISE = 3.0
LEAST_AREA_MM2 = 60.0
"""Smaller outlines are narrower than the camera's resolution: noise."""
MOST_OF_EXPECTED = 1.5
"""A bone's usual uptake is at most this multiple of what its share in normal scans predicts."""
OUTLINE_LEVEL = 0.45
"""An outline encloses what exceeds the bone's uptake by this share of the maximum's excess."""
APART_MM = 10.0
_BESIDE_MM = 5.0
"""A maximum within this distance of a bone belongs to it: bones are not found to the pixel."""
_LARGEST_MM = 90.0
_TOUCHING = np.pad(ndimage.generate_binary_structure(2, 1)[None], ((1, 1), (0, 0), (0, 0)))
_SPARED_PERCENT, _SPARED_LOG = 20.0, 0.134
"""A percentile of the bones, and how far below the scan's level it lies in normal scans (log)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FocusInView:
    """One focus in one view.

    Attributes:
        view: the view.
        row, column: its maximum, in pixels of the view as seen from its own side.
        bone: name of the bone, or empty outside bones.
        region: one of the twelve regions, or empty.
        mask: bool, the outline's inside.
        top, left: where the mask lies in the view.
        contrast: uptake at the maximum relative to that of its bone, neighbours and other side.
        contrast_to_noise: excess counts divided by the square root of all counts in its outline;
            `None` without counts.
        share_of_bone: area relative to the area of all bone in the view.
        area_mm2: area, or `None` without a pixel spacing.
        cell: probability that the model's cells give its place.
        probability: of being a metastasis.
        finding_probabilities: probability of each finding, metastasis included.
    """

    view: View
    row: int
    column: int
    bone: str
    region: str
    mask: NDArray[np.bool_]
    top: int
    left: int
    contrast: float
    contrast_to_noise: float | None
    share_of_bone: float
    area_mm2: float | None
    cell: float = 0.0
    probability: float = 0.0
    finding_probabilities: Mapping[str, float] = field(default_factory=dict)

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the view that the mask covers."""
        rows, columns = self.mask.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)


def usual_uptake(smooth: Floats, bones: NDArray[np.uint8], names: Sequence[str]) -> Floats:
    """Usual values of each bone: median over it, its neighbours and its other side.

    Args:
        smooth: smoothed view (rows, columns).
        bones: its map of bones.
        names: names of the bones.

    Returns:
        float32 (bones + 1,); the first, for pixels outside bones, is 0.
    """
    on = bones > 0
    numbers = bones[on]
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(1, len(names) + 2))
    pixels = np.split(smooth[on][order], bounds[:-1])  # the first part is empty: no bone
    usual = np.zeros(len(names) + 1, np.float32)
    for compared, those in _compared(tuple(names)).items():
        joined = np.concatenate([pixels[n] for n in compared])
        usual[those] = median(joined) if joined.size else 0.0
    return usual


@cache
def _normal_shares() -> Mapping[str, Mapping[str, float]]:
    """Logarithm of each bone's usual uptake in normal scans, against the median of all bones."""
    text = files("bonescint.quantify").joinpath("normal_uptake.json").read_text(encoding="utf-8")
    return dict(json_in(text)["logarithms"])


def expected_uptake(usual: Floats, view: View, names: Sequence[str]) -> Floats:
    """Usual uptake of each bone in a normal scan at the same level of counts.

    Where uptake is raised throughout a bone, its own median would hide its foci. The level of a
    scan is estimated from the fifth of its bones with the lowest uptake: disease affects them last.

    Args:
        usual: of each bone, and 0 for pixels outside bones, as `usual_uptake` gives it.
        view: which.
        names: names of the bones.

    Returns:
        float32 (bones + 1,); the first is 0.
    """
    stored = _normal_shares()[view.value]
    normal = np.array([stored[name] for name in names])
    seen = usual[1:] > 0
    if not seen.any():
        return np.zeros_like(usual)
    level = np.percentile(np.log(usual[1:][seen]) - normal[seen], _SPARED_PERCENT) + _SPARED_LOG
    return np.asarray(np.concatenate([[0.0], np.exp(normal + level)]), np.float32)


@cache
def _compared(names: tuple[str, ...]) -> Mapping[tuple[int, ...], list[int]]:
    """Numbers of bones that are joined, and of the bones whose usual value is their median."""
    found: dict[tuple[int, ...], list[int]] = {}
    for number in range(1, len(names) + 1):
        found.setdefault(tuple(_compared_with(number, names)), []).append(number)
    return found


def _compared_with(number: int, names: tuple[str, ...]) -> list[int]:
    """Numbers of the bones with which one is compared, itself among them."""
    name = names[number - 1]
    group = group_of_region(name)
    others = [n for n, other in enumerate(names, start=1) if group_of_region(other) == group]
    if group in ("cervical", "thoracic", "lumbar", "rib"):
        near = {number - 1, number, number + 1}
        if group == "rib":
            near |= {n + s for n in near for s in (-12, 12)}
        others = [n for n in others if n in near]
    if group == "lumbar" or name == "T12":
        others += [names.index(other) + 1 for other in ("T12", "L1") if other in names]
    return others or [number]


class ViewUptake(NamedTuple):
    """One view as it is searched, each an array (rows, columns) as seen from its own side.

    Attributes:
        smooth: float32, smoothed values.
        bones: uint8, 0 for none, else 1 + the index of a bone; a little wider than in the regions.
        usual: float32, usual uptake of the pixel's bone; 0 outside bones.
        cells: float32, probability of the model's cells.
        by_bone: float32 (bones + 1,), usual uptake of each bone; the first is 0.
    """

    smooth: Floats
    bones: NDArray[np.uint8]
    usual: Floats
    cells: Floats
    by_bone: Floats


def view_uptake(
    scan: Scan, view: View, image: Floats, cells: ActivationMap | None, body: BodyRegions
) -> ViewUptake:
    """Smooth a view, and find the usual uptake of each pixel's bone.

    Args:
        scan: the scan.
        view: which of its views.
        image: that view.
        cells: the model's map of it.
        body: bones of the scan.
    """
    pixel_mm = body.registration.pixel_mm
    smooth = ndimage.gaussian_filter(image, [SMOOTHING_MM / size for size in pixel_mm])
    bones = body.bones[view]
    usual = usual_uptake(smooth, bones, body.bone_names)
    usual = np.minimum(usual, MOST_OF_EXPECTED * expected_uptake(usual, view, body.bone_names))
    beside = [2 * round(_BESIDE_MM / size) + 1 for size in pixel_mm]
    bones = np.where(bones > 0, bones, highest_near(bones, beside))
    certain = np.clip(cell_values(cells, scan.shape), 0, 1)
    return ViewUptake(smooth, bones, usual[bones], certain, usual)


def candidates_of_view(
    scan: Scan, view: View, image: Floats, uptake: ViewUptake, body: BodyRegions
) -> list[FocusInView]:
    """Maxima of a view that exceed the usual uptake of their bone, with outlines.

    Args:
        scan: the scan.
        view: which of its views.
        image: that view.
        uptake: the same, smoothed, with bones and their usual uptake.
        body: bones of the scan.

    Returns:
        Candidates, the one with the highest contrast first.
    """
    smooth, bones, background, _, _ = uptake
    pixel_mm = body.registration.pixel_mm
    # Outside the skeleton a small share of the brightest pixels stands for usual uptake.
    ratio = smooth / np.maximum(background, 1e-6 + 0.02 * percentile(smooth.ravel(), 99))
    candidates = (ratio >= LEAST_CONTRAST) & (bones > 0)
    reach = [2 * round(APART_MM / 2 / size) + 1 for size in pixel_mm]
    rows, columns = np.nonzero((highest_near(smooth, reach) == smooth) & candidates)
    if not rows.size:
        return []
    first = np.argsort(-ratio[rows, columns], kind="stable")
    rows, columns = rows[first], columns[first]
    base = background[rows, columns].astype(np.float64)
    masks = _outlines(smooth, rows, columns, base, pixel_mm)
    area = masks.sum(axis=(1, 2))
    within = _around(image, rows, columns, pixel_mm).sum(axis=(1, 2), where=masks, dtype=np.float64)
    noise = (within - base * area) / np.sqrt(np.maximum(within, 1.0))
    counts = scan.unit is PixelUnit.COUNTS
    clear = area * pixel_mm[0] * pixel_mm[1] >= LEAST_AREA_MM2
    if counts:
        clear &= noise >= LEAST_CONTRAST_TO_NOISE
    taken = np.zeros(scan.shape, dtype=bool)
    found = []
    down, across = (size // 2 for size in masks.shape[1:])
    numbers = np.arange(1, len(rows) + 1)[:, None, None]
    for n, (_, high, wide) in enumerate(ndimage.find_objects(masks * numbers)):
        row, column = int(rows[n]), int(columns[n])
        # An outline that holds the maximum belongs to a candidate with more contrast.
        if taken[row, column] or not clear[n]:
            continue
        mask = masks[n, high, wide]
        top, left = row - down + high.start, column - across + wide.start
        taken[top : top + mask.shape[0], left : left + mask.shape[1]] |= mask
        outline = mask, top, left
        seen = float(noise[n]) if counts else None
        contrast = float(ratio[row, column])
        found.append(_focus(scan, view, uptake, body, (row, column), outline, contrast, seen))
    return found


def risen_candidate(
    scan: Scan,
    view: View,
    uptake: ViewUptake,
    body: BodyRegions,
    place: tuple[int, int],
    had: Floats,
    added: Floats,
) -> FocusInView:
    """A candidate where uptake has risen since a prior scan, whatever the usual uptake.

    Args:
        scan: the present scan.
        view: which of its views.
        uptake: the same, smoothed, with bones and their usual uptake.
        body: bones of the scan.
        place: row and column of the rise's maximum, on or near a bone.
        had: (rows, columns), what the prior scan predicts for each pixel.
        added: (rows, columns), what the present scan has beyond it: it gives outline and contrast.
    """
    row, column = (np.array([of], np.intp) for of in place)
    near = _outlines(added, row, column, np.zeros(1), body.registration.pixel_mm)[0]
    ((high, wide),) = ndimage.find_objects(near.astype(np.uint8))
    top, left = (
        of - size // 2 + part.start
        for of, size, part in zip(place, near.shape, (high, wide), strict=True)
    )
    mask = near[high, wide]
    window = slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1])
    excess = float(added[window][mask].sum())
    within = excess + float(had[window][mask].sum())
    noise = excess / np.sqrt(max(within, 1.0)) if scan.unit is PixelUnit.COUNTS else None
    contrast = 1 + float(added[place]) / max(float(had[place]), 1e-6)
    return _focus(scan, view, uptake, body, place, (mask, top, left), contrast, noise)


def _focus(
    scan: Scan,
    view: View,
    uptake: ViewUptake,
    body: BodyRegions,
    place: tuple[int, int],
    outline: tuple[NDArray[np.bool_], int, int],
    contrast: float,
    noise: float | None,
) -> FocusInView:
    """A focus with its bone and area."""
    mask, top, left = outline
    bone = body.bone_names[int(uptake.bones[place]) - 1]
    area = float(mask.sum())
    spacing = scan.pixel_spacing_mm
    return FocusInView(
        view=view,
        row=place[0],
        column=place[1],
        bone=bone,
        region=TWELVE_REGIONS[group_of_region(bone)],
        mask=mask,
        top=top,
        left=left,
        contrast=contrast,
        contrast_to_noise=noise,
        share_of_bone=area / max(int((body.bones[view] > 0).sum()), 1),
        area_mm2=area * spacing[0] * spacing[1] if spacing else None,
        cell=float(uptake.cells[place]),
    )


def highest_near(values: Floats | NDArray[np.uint8], reach: Sequence[int]) -> NDArray[Any]:
    """Maximum of the pixels around each one; the same filter of SciPy takes ten times as long.

    Args:
        values: (rows, columns).
        reach: odd numbers of rows and columns.

    Examples:
        >>> highest_near(np.array([[0, 1, 0, 0, 5]], np.uint8), (1, 3)).tolist()
        [[1, 1, 1, 5, 5]]
    """
    rows, columns = values.shape
    padded = np.pad(values, [(size // 2,) * 2 for size in reach], mode="edge")
    tallest = reduce(np.maximum, [padded[n : n + rows] for n in range(reach[0])])
    return reduce(np.maximum, [tallest[:, n : n + columns] for n in range(reach[1])])


def _outlines(
    smooth: Floats,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    base: NDArray[np.float64],
    pixel_mm: tuple[float, float],
) -> NDArray[np.bool_]:
    """The outlines of maxima: for each the pixels around it above a share of its excess.

    If an outline exceeds the largest size (along a bone whose uptake is raised throughout, or into
    an organ), the share is raised until it does not.
    """
    near, rim = _disc(pixel_mm)
    parts = _around(smooth, rows, columns, pixel_mm)
    masks = np.zeros(parts.shape, dtype=bool)
    excess = smooth[rows, columns] - base
    large = np.arange(len(rows))
    for share in (OUTLINE_LEVEL, 0.55, 0.65, 0.75, 0.85):
        level = np.asarray(base + share * excess, np.float32)[large, None, None]
        labels, _ = ndimage.label((parts[large] >= level) & near, _TOUCHING)
        middle = labels[:, near.shape[0] // 2, near.shape[1] // 2]
        masks[large] = labels == middle[:, None, None]
        large = large[(masks[large] & rim).any(axis=(1, 2))]
    return masks


def _around(
    image: Floats,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    pixel_mm: tuple[float, float],
) -> Floats:
    """What lies around each maximum, as far as an outline may reach; minus infinity outside."""
    shape = _disc(pixel_mm)[0].shape
    padded = np.pad(image, [(size // 2,) * 2 for size in shape], constant_values=-np.inf)
    return np.asarray(sliding_window_view(padded, shape)[rows, columns])


@cache
def _disc(pixel_mm: tuple[float, float]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where an outline may lie around its maximum, and what lies at or beyond that size's edge."""
    down, across = (int(_LARGEST_MM / 2 / size) for size in pixel_mm)
    rows, columns = np.ogrid[-down : down + 1, -across : across + 1]
    far = np.hypot(rows * pixel_mm[0], columns * pixel_mm[1])
    return far <= _LARGEST_MM / 2, far > _LARGEST_MM / 2 - max(pixel_mm)


def cell_values(cells: ActivationMap | None, shape: tuple[int, int]) -> Floats:
    """Probability of each pixel, linearly between the centres of the map's cells; 0 outside it."""
    if cells is None:
        return np.zeros(shape, np.float32)
    top, left, bottom, right = cells.extent
    down, across = cells.values.shape
    row = (np.arange(shape[0]) + 0.5 - top) / (bottom - top) * down - 0.5
    column = (np.arange(shape[1]) + 0.5 - left) / (right - left) * across - 0.5
    values = _between(_between(cells.values, row).T, column).T
    inside = ((row >= -0.5) & (row < down - 0.5))[:, None] & (
        (column >= -0.5) & (column < across - 0.5)
    )
    return np.asarray(np.where(inside, values, 0), dtype=np.float32)


def _between(rows: Floats, places: NDArray[np.float64]) -> Floats:
    """Rows of an array at fractional places."""
    at = np.clip(places, 0, len(rows) - 1)
    low = np.minimum(at.astype(np.intp), max(len(rows) - 2, 0))
    share = (at - low).astype(np.float32)[:, None]
    return np.asarray((1 - share) * rows[low] + share * rows[np.minimum(low + 1, len(rows) - 1)])
