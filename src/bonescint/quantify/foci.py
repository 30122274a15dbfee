"""Foci of uptake: where the counts stand out of their bone, and how likely each is a metastasis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.quantify.bone_atlas import Floats
from bonescint.quantify.regions import BodyRegions
from bonescint.scan import ActivationMap, Focus, Prediction, Scan, View
from bonescint.scan.lesions import lesions_by_place
from bonescint.simulate.seen_foci import TWELVE_NAMES
from bonescint.simulate.skeleton import group_of_region

SMOOTHING_MM = 4.0
"""Standard deviation of the blur before maxima are sought."""
LEAST_CONTRAST = 1.25
"""Uptake at a focus' maximum relative to its bone's; lower maxima are the bone itself."""
LEAST_CONTRAST_TO_NOISE = 3.0
LEAST_AREA_MM2 = 80.0
"""Smaller outlines are narrower than the camera's resolution: noise."""
OUTLINE_LEVEL = 0.45
"""An outline encloses what exceeds the bone's uptake by this share of the maximum's excess."""
LEAST_PROBABILITY = 0.02
APART_MM = 14.0
_LARGEST_MM = 90.0
_TOUCHING = ndimage.generate_binary_structure(2, 1)
_CELL_LIMIT = 0.002
_FOCUS_WEIGHTS = (-2.58, 1.221, 0.368, 1.19)
"""Logistic regression on simulated foci (benchmarks/quantify.py weigh): constant, logit of the
cell's probability, logarithm of the contrast, seen in both views."""


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
        contrast_to_noise: counts that it adds over the square root of all counts in its outline;
            `None` without counts.
        share_of_bone: area relative to the area of all bones of the view.
        area_mm2: area, or `None` without a pixel spacing.
        probability: of being a metastasis, from the model's cells there, the contrast, and whether
            both views show it.
        finding_probabilities: what it is otherwise, with probabilities; `None` where the model
            does not say.
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
    probability: float
    finding_probabilities: Mapping[str, float] | None = None

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the view that the mask covers."""
        rows, columns = self.mask.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatchedFocus:
    """A focus as one view shows it, or as both do.

    Attributes:
        number: from 1, the most probable first.
        in_views: the focus in each view that shows it.
    """

    number: int
    in_views: tuple[FocusInView, ...]

    @property
    def probability(self) -> float:
        """Of being a metastasis: the higher of the two views."""
        return max(focus.probability for focus in self.in_views)

    @property
    def clearest(self) -> FocusInView:
        """The focus that stands out most."""
        return max(self.in_views, key=lambda focus: (focus.contrast_to_noise or 0, focus.contrast))

    @property
    def bone(self) -> str:
        """The bone of the clearest focus that lies on one."""
        named = [focus for focus in self.in_views if focus.bone]
        if not named:
            return ""
        return max(named, key=lambda focus: focus.contrast).bone

    @property
    def region(self) -> str:
        """The region of that focus."""
        return next((focus.region for focus in self.in_views if focus.bone == self.bone), "")


def matched_foci(scan: Scan, prediction: Prediction, body: BodyRegions) -> tuple[MatchedFocus, ...]:
    """Find foci in both views, and match those of the two views that are one.

    Args:
        scan: with counts, or pixels that increase with them.
        prediction: of the same scan, with the maps of a network that classifies cells.
        body: bones of the same scan.

    Returns:
        Foci, the most probable first.
    """
    found = [
        focus
        for view, image in scan.images()
        for focus in _foci_of_view(scan, view, image, prediction.activation_map(view), body)
    ]
    places = [Focus(view=focus.view, row=focus.row, column=focus.column) for focus in found]
    pixel_mm = body.registration.pixel_mm
    shifts = _shift_between_views(body)
    aligned = [
        replace(place, column=place.column + (shifts if place.view is View.POSTERIOR else 0.0))
        for place in places
    ]
    numbers = lesions_by_place(aligned, pixel_mm, columns=scan.shape[1])
    groups: dict[int, list[FocusInView]] = {}
    for number, focus in zip(numbers, found, strict=True):
        groups.setdefault(number, []).append(focus)
    matched = [MatchedFocus(number=1, in_views=_judged(group)) for group in groups.values()]
    matched.sort(key=lambda one: (-one.probability, -one.clearest.contrast))
    return tuple(replace(one, number=n) for n, one in enumerate(matched, start=1))


def _judged(foci: Sequence[FocusInView]) -> tuple[FocusInView, ...]:
    """Both views of a focus with its probability, for which contrast and views count, too."""
    two = float(len(foci) > 1)
    judged = []
    for focus in foci:
        cell = min(max(focus.probability, _CELL_LIMIT), 1 - _CELL_LIMIT)
        terms = (1.0, np.log(cell / (1 - cell)), np.log(focus.contrast), two)
        logit = float(np.dot(_FOCUS_WEIGHTS, terms))
        judged.append(replace(focus, probability=float(1 / (1 + np.exp(-logit)))))
    return tuple(judged)


def _shift_between_views(body: BodyRegions) -> float:
    """Columns by which a posterior focus is moved, so that its mirror image lies on the front."""
    origins = body.registration.pose.origin_mm
    if len(origins) < 2:
        return 0.0
    across = body.registration.pixel_mm[1]
    return float((origins[View.POSTERIOR][0] - origins[View.ANTERIOR][0]) / across)


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
    for number, compared in enumerate(_compared(tuple(names)), start=1):
        joined = np.concatenate([pixels[n] for n in compared])
        usual[number] = _median(joined) if joined.size else 0.0
    return usual


def _median(values: Floats) -> float:
    """Median; `np.median` costs several times as much for few values."""
    middle = (values.size - 1) // 2, values.size // 2
    parted = np.partition(values, middle)
    return float((parted[middle[0]] + parted[middle[1]]) / 2)


@cache
def _compared(names: tuple[str, ...]) -> list[list[int]]:
    """For each bone the numbers of the bones with which it is compared, itself among them."""
    return [_compared_with(number, names) for number in range(1, len(names) + 1)]


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


def _foci_of_view(
    scan: Scan, view: View, image: Floats, cells: ActivationMap | None, body: BodyRegions
) -> list[FocusInView]:
    pixel_mm = body.registration.pixel_mm
    sigma = [SMOOTHING_MM / size for size in pixel_mm]
    smooth = ndimage.gaussian_filter(image, sigma)
    bones = body.bones[view]
    background = usual_uptake(smooth, bones, body.bone_names)[bones]
    # Around bones the nearest bone's edge counts, so that a focus may reach over it.
    ratio = smooth / np.maximum(background, 1e-6 + 0.02 * float(np.percentile(smooth, 99)))
    probabilities = cell_values(cells, scan.shape)
    candidates = (ratio >= LEAST_CONTRAST) & (bones > 0) & (probabilities >= LEAST_PROBABILITY)
    reach = [2 * round(APART_MM / 2 / size) + 1 for size in pixel_mm]
    peaks = (ndimage.maximum_filter(smooth, size=reach) == smooth) & candidates
    rows, columns = np.nonzero(peaks)
    bone_area = max(int((bones > 0).sum()), 1)
    found = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        base = float(background[row, column])
        mask, top, left = _outline(smooth, row, column, base, pixel_mm)
        window = slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1])
        counts = scan.unit.value == "counts"
        within = float(image[window][mask].sum())
        added = within - base * float(mask.sum())
        noise = added / np.sqrt(max(within, 1.0)) if counts else None
        small = float(mask.sum()) * pixel_mm[0] * pixel_mm[1] < LEAST_AREA_MM2
        if small or (noise is not None and noise < LEAST_CONTRAST_TO_NOISE):
            continue
        number = int(bones[row, column])
        area = float(mask.sum())
        spacing = scan.pixel_spacing_mm
        found.append(
            FocusInView(
                view=view,
                row=row,
                column=column,
                bone=body.bone_names[number - 1],
                region=TWELVE_NAMES[int(body.regions[view][row, column]) - 1],
                mask=mask,
                top=top,
                left=left,
                contrast=float(ratio[row, column]),
                contrast_to_noise=noise,
                share_of_bone=area / bone_area,
                area_mm2=area * spacing[0] * spacing[1] if spacing else None,
                probability=float(np.clip(probabilities[row, column], 0, 1)),
            )
        )
    return _without_copies(found)


def _without_copies(foci: list[FocusInView]) -> list[FocusInView]:
    """Foci whose maximum lies in no other, clearer focus' outline."""
    kept: list[FocusInView] = []
    for focus in sorted(foci, key=lambda one: -one.contrast):
        row, column = focus.row, focus.column
        inside = any(
            other.top <= row < other.top + other.mask.shape[0]
            and other.left <= column < other.left + other.mask.shape[1]
            and other.mask[row - other.top, column - other.left]
            for other in kept
        )
        if not inside:
            kept.append(focus)
    return kept


def _outline(
    smooth: Floats, row: int, column: int, base: float, pixel_mm: tuple[float, float]
) -> tuple[NDArray[np.bool_], int, int]:
    """What exceeds a share of the maximum's excess around it, and where that lies.

    Where that runs out of the largest size (along a bone that is hot as a whole, or into an organ),
    the share is raised until it does not.
    """
    near, rim = _disc(pixel_mm)
    down, across = (size // 2 for size in near.shape)
    top, left = max(0, row - down), max(0, column - across)
    part = smooth[top : row + down + 1, left : column + across + 1]
    first = top - row + down, left - column + across
    cut = tuple(slice(at, at + size) for at, size in zip(first, part.shape, strict=True))
    near, rim = near[cut], rim[cut]
    excess = float(smooth[row, column]) - base
    for share in (OUTLINE_LEVEL, 0.55, 0.65, 0.75, 0.85):
        labels, _ = ndimage.label((part >= base + share * excess) & near, _TOUCHING)
        mask = labels == labels[row - top, column - left]
        if not (mask & rim).any():
            break
    inside_rows, inside_columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    first_row, first_column = int(inside_rows[0]), int(inside_columns[0])
    cropped = mask[first_row : inside_rows[-1] + 1, first_column : inside_columns[-1] + 1]
    return cropped, top + first_row, left + first_column


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
