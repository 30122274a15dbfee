"""At which height of the body its landmarks lie, read off prepared views.

An estimate for comparing cohorts, not for measuring a patient: each landmark is an edge or a peak
of a profile along the body, sought where it can be in a patient who lies straight with the arms
down. A profile without a clear edge or peak there gives none. It serves single scans and maps of
means alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.cohort.compare.maps import HALVES, SIDE, FrameMap
from bonescint.scan import View

Profile: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = tuple[int, int]
LANDMARKS: Mapping[str, str] = {
    "acromion": "half-way from the width of the neck to that of the shoulders",
    "elbow": "brightest level of the arms between shoulder and hip",
    "iliac crest": "steepest rise beside the lumbar spine",
    "symphysis": "steepest fall in the midline, from pelvis to thighs",
    "knee": "brightest level of the legs in their middle third",
    "ankle": "brightest level of the legs near their end",
}
"""Landmarks from head to foot, and what is taken for each."""

_BODY = 0.1
_MIDDLE = SIDE // 4
_SMOOTHING = 2.0
_LEAST_PEAK = 0.015
_LEAST_EDGE = 0.006
_LEAST_SHOULDERS = 1.4


def landmark_shares(prepared: FrameMap) -> dict[str, float]:
    """The height of each landmark, from 0 at the crown to 1 at the lowest point of the feet.

    Args:
        prepared: both views, (256, 256), of one scan or the mean of many.

    Returns:
        A share for each of `LANDMARKS`; not a number where there is no clear edge or peak.

    Examples:
        >>> landmark_shares(np.zeros((256, 256), np.float32))["knee"]
        nan
    """
    front, back = prepared[:, HALVES[View.ANTERIOR]], prepared[:, HALVES[View.POSTERIOR]]
    both: FrameMap = ndimage.gaussian_filter((front + back[:, ::-1]) / 2, 1.0).astype(np.float32)
    rows = np.flatnonzero(both.max(axis=1) > _BODY)
    if rows.size < SIDE // 2:
        return dict.fromkeys(LANDMARKS, float("nan"))
    top, height = float(rows[0]), float(rows[-1] + 1 - rows[0])

    def between(first: float, last: float) -> Rows:
        return round(top + first * height), round(top + last * height)

    width = ndimage.gaussian_filter1d((both > 1.2 * _BODY).sum(axis=1).astype(float), 1.0)
    found = {
        "acromion": _shoulder(width, between(0.09, 0.3)),
        "elbow": _peak(_sides(both, 36, 58, brightest=True), between(0.25, 0.44)),
        "iliac crest": _edge(_sides(back, 8, 24), between(0.34, 0.48)),
        "symphysis": _edge(-_centre(both, 6), between(0.43, 0.57)),
        "knee": _peak(_sides(both, 8, 32), between(0.6, 0.8)),
        "ankle": _peak(_sides(both, 6, 36), between(0.84, 0.98)),
    }
    return {name: (row + 0.5 - top) / height for name, row in found.items()}


def _sides(image: FrameMap, near: int, far: int, *, brightest: bool = False) -> Profile:
    """Profile along strips beside the midline, the mean of both sides."""
    strips = (image[:, _MIDDLE - far : _MIDDLE - near], image[:, _MIDDLE + near : _MIDDLE + far])
    of_sides = [strip.max(axis=1) if brightest else strip.mean(axis=1) for strip in strips]
    return np.asarray(np.mean(of_sides, axis=0), dtype=np.float64)


def _centre(image: FrameMap, far: int) -> Profile:
    return np.asarray(image[:, _MIDDLE - far : _MIDDLE + far].mean(axis=1), dtype=np.float64)


def _shoulder(width: Profile, where: Rows) -> float:
    """The row, after that of the neck, where the body is half-way to its widest."""
    part = width[slice(*where)]
    neck = int(np.argmin(part))
    below = part[neck:]
    widest = int(np.argmax(below))
    if part[neck] <= 0 or below[widest] < _LEAST_SHOULDERS * part[neck]:
        return float("nan")
    half = (part[neck] + below[widest]) / 2
    after = int(np.argmax(below >= half))
    step = below[after] - below[after - 1]
    return where[0] + neck + after - float((below[after] - half) / step)


def _peak(profile: Profile, where: Rows) -> float:
    """The highest point over the line between the ends, to a fraction of a row."""
    part = ndimage.gaussian_filter1d(profile, _SMOOTHING)[slice(*where)]
    return where[0] + _highest(part - np.linspace(part[0], part[-1], part.size), _LEAST_PEAK)


def _edge(profile: Profile, where: Rows) -> float:
    """The steepest rise, to a fraction of a row."""
    slope = ndimage.gaussian_filter1d(profile, _SMOOTHING, order=1)[slice(*where)]
    return where[0] + _highest(slope, _LEAST_EDGE)


def _highest(values: Profile, least: float) -> float:
    """The highest maximum between the ends, by the parabola through it and its neighbours."""
    inner = values[1:-1]
    maxima = 1 + np.flatnonzero((inner > values[:-2]) & (inner >= values[2:]) & (inner >= least))
    if not maxima.size:
        return float("nan")
    at = int(maxima[np.argmax(values[maxima])])
    before, here, after = values[at - 1 : at + 2]
    return at + float((before - after) / (2 * (before - 2 * here + after)))
