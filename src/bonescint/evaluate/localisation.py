"""Compare one scan's activation maps with its lesion masks.

Maps must be resampled onto the views' pixels. Lesions are numbered areas, with the same number for
the same lesion in both views.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.scan import ParameterError
from bonescint.scan.checked import require_number

LEVELS: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Shares of a scan's highest value at which one common threshold is tried."""

_LEAST_PEAK = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewEvidence:
    """A view's map and its lesions on the same pixels.

    Attributes:
        values: float32 (rows, columns), evidence for disease, at least 0; both views of a scan
            share one scale.
        lesions: int (rows, columns), number of the lesion that a pixel shows; 0 for none.
        pixel_mm: distance between rows and between columns.

    Raises:
        ParameterError: arrays of different shape, values below 0 or not finite, or a pixel size
            that is not above 0.
    """

    values: NDArray[np.float32]
    lesions: NDArray[np.intp]
    pixel_mm: tuple[float, float]

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float32)
        lesions = np.asarray(self.lesions)
        if values.ndim != 2 or values.shape != lesions.shape:
            got = (values.shape, lesions.shape)
            raise ParameterError("lesions", "ViewEvidence", "of the map's shape", got)
        if not np.isfinite(values).all() or values.min(initial=0) < 0:
            raise ParameterError("values", "ViewEvidence", "finite and at least 0", "others")
        if lesions.min(initial=0) < 0:
            raise ParameterError("lesions", "ViewEvidence", "at least 0", int(lesions.min()))
        for size in self.pixel_mm:
            require_number("ViewEvidence", "pixel_mm", size, 0.01, 100)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "lesions", lesions.astype(np.intp))


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """A local maximum of a map.

    Attributes:
        view: index of the view in the scan's list.
        row: row of the peak, in pixels.
        column: column of the peak, in pixels.
        height: value of the map.
        lesion: number of the lesion that it lies on, within the tolerance; 0 for none.
    """

    view: int
    row: float
    column: float
    height: float
    lesion: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionHit:
    """How much evidence lies on one lesion.

    Attributes:
        number: number of the lesion.
        reached: highest value of the map on it (within the tolerance, in any view), as a share
            of the scan's highest; 0 where the map is empty.
    """

    number: int
    reached: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScanLocalisation:
    """How much of a map's evidence lies on the lesions of one scan.

    Attributes:
        pointing: 1 if the map's maximum lies on a lesion, else 0; a fraction if several pixels
            share the maximum. 0 for an empty map.
        pointing_near: the same, counting pixels within the tolerance as on the lesion.
        energy_inside: share of the map's sum that lies on lesions; 0 for an empty map.
        lesion_share: share of all pixels that lesions cover, which a random pixel would score.
        near_share: the same, with pixels within the tolerance.
        best_iou: highest intersection over union that any threshold gives for this scan.
        iou_at: intersection over union at each of `LEVELS`, as shares of the map's maximum, (19,).
        high_share: share of all pixels where the map reaches half its maximum: the chance that a
            lesion at a random place counts as hit.
        lesions: each lesion, hit or not.
        peaks: local maxima, highest first.
    """

    pointing: float
    pointing_near: float
    energy_inside: float
    lesion_share: float
    near_share: float
    best_iou: float
    iou_at: NDArray[np.float64]
    high_share: float
    lesions: tuple[LesionHit, ...]
    peaks: tuple[Peak, ...]


def localise(
    views: Sequence[ViewEvidence], *, tolerance_mm: float = 25.0, separation_mm: float = 30.0
) -> ScanLocalisation:
    """Measure the maps of one scan with lesions.

    Pointing game: Zhang et al., Int J Comput Vis 2018;126:1084 (their tolerance is 15 pixels of
    a photograph; here it is in mm, and the result without tolerance is given, too). Energy
    inside: Wang et al., Score-CAM, CVPR Workshops 2020.

    Args:
        views: one or both views of the scan.
        tolerance_mm: distance from a lesion's edge that still counts as on it, for the figures
            that have a tolerance.
        separation_mm: peaks closer than half of it are merged.

    Raises:
        ParameterError: no view, or no lesion in any.

    Examples:
        >>> values, lesions = np.zeros((9, 9), np.float32), np.zeros((9, 9), int)
        >>> values[4, 4], values[0, 0], lesions[4, 3:6] = 3, 1, 1
        >>> view = ViewEvidence(values=values, lesions=lesions, pixel_mm=(10.0, 10.0))
        >>> found = localise([view])
        >>> found.pointing, found.energy_inside, round(found.best_iou, 2)
        (1.0, 0.75, 0.33)
    """
    inside = [view.lesions > 0 for view in views]
    if not any(mask.any() for mask in inside):
        raise ParameterError("views", "localise", "with a lesion in at least one", "none")
    near = [nearest_lesion(view, tolerance_mm) for view in views]
    values = np.concatenate([view.values.ravel() for view in views])
    flat = np.concatenate([mask.ravel() for mask in inside])
    flat_near = np.concatenate([numbers.ravel() > 0 for numbers in near])
    highest, total = float(values.max()), float(values.sum(dtype=np.float64))
    at_top = values == highest
    empty = highest <= 0
    best, levels = _overlaps(values, flat, highest)
    return ScanLocalisation(
        pointing=0.0 if empty else float(flat[at_top].mean()),
        pointing_near=0.0 if empty else float(flat_near[at_top].mean()),
        energy_inside=0.0 if empty else float(values[flat].sum(dtype=np.float64)) / total,
        lesion_share=float(flat.mean()),
        near_share=float(flat_near.mean()),
        best_iou=best,
        iou_at=levels,
        high_share=0.0 if empty else float((values >= highest / 2).mean()),
        lesions=_hits(views, near, highest),
        peaks=find_peaks(views, near, separation_mm=separation_mm),
    )


def nearest_lesion(view: ViewEvidence, tolerance_mm: float) -> NDArray[np.intp]:
    """Number of the nearest lesion at each pixel within the tolerance of its edge, else 0.

    Args:
        view: a view with lesions.
        tolerance_mm: distance from a lesion's edge; 0 gives the lesions themselves.

    Raises:
        ParameterError: a tolerance below 0.
    """
    require_number("nearest_lesion", "tolerance_mm", tolerance_mm, 0, 1000)
    if not view.lesions.any():
        return np.zeros_like(view.lesions)
    distance, places = ndimage.distance_transform_edt(
        view.lesions == 0, sampling=view.pixel_mm, return_indices=True
    )
    nearest = view.lesions[places[0], places[1]]
    return np.asarray(np.where(distance <= tolerance_mm, nearest, 0), dtype=np.intp)


def _overlaps(
    values: NDArray[np.float32], inside: NDArray[np.bool_], highest: float
) -> tuple[float, NDArray[np.float64]]:
    """Best intersection over union of all thresholds, and that at each level."""
    if highest <= 0:
        return 0.0, np.zeros(len(LEVELS))
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), ranked.size - 1)
    shared = np.cumsum(inside[order])[last]
    marked = last + 1
    overlap = shared / (marked + int(inside.sum()) - shared)
    # Thresholds above 0 only: a map does not mark where it has no evidence.
    overlap = overlap[ranked[last] > 0]
    wanted = np.searchsorted(-ranked[last], -np.array(LEVELS) * highest, side="right") - 1
    return float(overlap.max()), np.where(wanted >= 0, overlap[wanted.clip(0)], 0.0)


def _hits(
    views: Sequence[ViewEvidence], near: Sequence[NDArray[np.intp]], highest: float
) -> tuple[LesionHit, ...]:
    numbers = sorted({int(n) for view in views for n in np.unique(view.lesions)} - {0})
    reached = dict.fromkeys(numbers, 0.0)
    for view, area in zip(views, near, strict=True):
        there = [number for number in numbers if (view.lesions == number).any()]
        own = np.where(view.lesions > 0, view.lesions, area)
        for number, top in zip(
            there, ndimage.maximum(view.values, labels=own, index=there), strict=True
        ):
            reached[number] = max(reached[number], float(top))
    scale = highest if highest > 0 else math.inf
    return tuple(LesionHit(number=n, reached=top / scale) for n, top in reached.items())


def find_peaks(
    views: Sequence[ViewEvidence], near: Sequence[NDArray[np.intp]], *, separation_mm: float
) -> tuple[Peak, ...]:
    """Local maxima of at least a twentieth of the scan's highest value, highest first.

    A pixel is a peak if none within half the separation is higher; touching pixels of equal height
    are one peak at their centre.

    Args:
        views: the views of the scan.
        near: for each view, the lesion of each pixel, as `nearest_lesion` gives it.
        separation_mm: peaks closer than half of it are merged.

    Raises:
        ParameterError: a separation of 0 or below.
    """
    require_number("find_peaks", "separation_mm", separation_mm, 0.01, 1000)
    highest = max(float(view.values.max()) for view in views)
    found: list[Peak] = []
    if highest <= 0:
        return ()
    for number, (view, area) in enumerate(zip(views, near, strict=True)):
        size = [2 * max(1, round(separation_mm / 2 / step)) + 1 for step in view.pixel_mm]
        top = ndimage.maximum_filter(view.values, size=size, mode="constant", cval=0.0)
        at = (view.values == top) & (view.values >= _LEAST_PEAK * highest)
        pieces, count = ndimage.label(at, structure=np.ones((3, 3)))
        for centre in ndimage.center_of_mass(at, pieces, range(1, count + 1)):
            row, column = round(centre[0]), round(centre[1])
            found.append(
                Peak(
                    view=number,
                    row=float(centre[0]),
                    column=float(centre[1]),
                    height=float(view.values[row, column]),
                    lesion=int(area[row, column]),
                )
            )
    return tuple(sorted(found, key=lambda peak: -peak.height))
