"""What a comparison of cohorts measures on one scan: landmarks, uptake, image quality.

Heights of landmarks are estimates for comparing cohorts, not for measuring a patient. Each is an
edge or a peak of a profile along the body, searched where it is expected in a patient who lies
straight with the arms down; without a clear edge or peak there, it is NaN. Landmarks are found on
single scans and on mean maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from bonescint.cohort.compare.maps import HALVES, SIDE, FrameMap
from bonescint.scan import PixelUnit, Scan, View

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
"""Landmarks from head to foot, and how each is found."""

_BODY_LEVEL = 0.1
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
        The relative height of each of `LANDMARKS`; NaN where there is no clear edge or peak.

    Examples:
        >>> landmark_shares(np.zeros((256, 256), np.float32))["knee"]
        nan
    """
    front, back = prepared[:, HALVES[View.ANTERIOR]], prepared[:, HALVES[View.POSTERIOR]]
    both: FrameMap = ndimage.gaussian_filter((front + back[:, ::-1]) / 2, 1.0).astype(np.float32)
    rows = np.flatnonzero(both.max(axis=1) > _BODY_LEVEL)
    if rows.size < SIDE // 2:
        return dict.fromkeys(LANDMARKS, float("nan"))
    top, height = float(rows[0]), float(rows[-1] + 1 - rows[0])

    def between(first: float, last: float) -> Rows:
        return round(top + first * height), round(top + last * height)

    width = ndimage.gaussian_filter1d((both > 1.2 * _BODY_LEVEL).sum(axis=1).astype(float), 1.0)
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
    """The row of the highest peak above the straight line between the ends, with a fraction."""
    part = ndimage.gaussian_filter1d(profile, _SMOOTHING)[slice(*where)]
    return where[0] + _highest(part - np.linspace(part[0], part[-1], part.size), _LEAST_PEAK)


def _edge(profile: Profile, where: Rows) -> float:
    """The row of the steepest rise, with a fraction."""
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


_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
_LAPLACIAN_SQUARES = 36.0
_BODY_SHARE = 0.25
_HOT = 90.0
_FALL_DB = 30.0
BANDS = tuple(float(edge) for edge in 4.0 * 2.0 ** (np.arange(11) / 2))
"""Edges of the bands of the power spectrum, in cycles per height of the body."""
_REFERENCE_BANDS = 2


class Subject(StrEnum):
    """What a characteristic is about."""

    LANDMARK = "landmark"
    UPTAKE = "uptake"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True, kw_only=True)
class Characteristic:
    """A number that each scan has.

    Attributes:
        name: its key in tables.
        subject: what it is about.
        words: its name in reports.
        digits: decimals to show.
    """

    name: str
    subject: Subject
    words: str
    digits: int = 2


@dataclass(frozen=True, slots=True)
class Box:
    """A region of the common frame, on both sides of the midline alike.

    Attributes:
        name: name of the region.
        view: the view on which it is seen.
        rows: first row and one past the last, of 256.
        beside: nearest and farthest distance from the midline, in columns (128 per view).
    """

    name: str
    view: View
    rows: tuple[int, int]
    beside: tuple[int, int]

    @property
    def windows(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Rows and columns of both sides in a map (256, 256)."""
        start = HALVES[self.view].start + _MIDDLE
        rows, (near, far) = slice(*self.rows), self.beside
        return (rows, slice(start - far, start - near)), (rows, slice(start + near, start + far))


LUMBAR: Mapping[View, Box] = {view: Box("lumbar spine", view, (84, 102), (0, 4)) for view in View}
"""The reference of each view."""
BOXES: tuple[Box, ...] = (
    Box("skull vault", View.POSTERIOR, (9, 22), (0, 16)),
    Box("face", View.ANTERIOR, (22, 32), (0, 10)),
    Box("shoulders", View.ANTERIOR, (44, 57), (28, 42)),
    Box("sternum", View.ANTERIOR, (48, 66), (0, 5)),
    Box("ribs at the side", View.ANTERIOR, (60, 86), (16, 30)),
    Box("thoracic spine", View.POSTERIOR, (50, 78), (0, 4)),
    Box("kidneys", View.POSTERIOR, (78, 94), (7, 18)),
    Box("abdomen beside the spine", View.ANTERIOR, (86, 100), (10, 24)),
    Box("sacroiliac joints", View.POSTERIOR, (104, 116), (6, 14)),
    Box("sacrum", View.POSTERIOR, (104, 118), (0, 4)),
    Box("iliac wings", View.ANTERIOR, (104, 120), (14, 28)),
    Box("bladder", View.ANTERIOR, (118, 132), (0, 8)),
    Box("hips", View.ANTERIOR, (120, 136), (14, 28)),
    Box("elbows", View.ANTERIOR, (80, 96), (40, 56)),
    Box("hands", View.ANTERIOR, (112, 136), (42, 58)),
    Box("femoral shafts", View.ANTERIOR, (144, 166), (10, 28)),
    Box("knees", View.ANTERIOR, (170, 188), (8, 32)),
    Box("lower legs", View.ANTERIOR, (194, 220), (8, 30)),
    Box("ankles and feet", View.ANTERIOR, (222, 246), (6, 34)),
)
"""Regions whose uptake is compared."""

_QUALITY: Mapping[str, tuple[str, int]] = {
    "counts_anterior": ("counts, anterior view (thousands)", 0),
    "counts_posterior": ("counts, posterior view (thousands)", 0),
    "variance_over_mean": ("noise: variance over mean of a pixel (1: counts as acquired)", 2),
    "relative_noise": ("noise of a pixel over its mean", 3),
    "roll_off": ("resolution: cycles per body height where structure has fallen by 30 dB", 1),
    "rows": ("rows of the matrix", 0),
    "columns": ("columns of the matrix", 0),
    "bits": ("bits that the highest value needs", 0),
    "grey_levels": ("different values in both views", 0),
    "pixel_mm": ("distance between rows (mm)", 2),
    "body_rows": ("rows that the body takes", 0),
}
CHARACTERISTICS: tuple[Characteristic, ...] = (
    *(
        Characteristic(name=name, subject=Subject.LANDMARK, words=name, digits=3)
        for name in LANDMARKS
    ),
    *(
        Characteristic(
            name=box.name, subject=Subject.UPTAKE, words=f"{box.name} ({box.view.value})"
        )
        for box in BOXES
    ),
    *(
        Characteristic(name=name, subject=Subject.QUALITY, words=words, digits=digits)
        for name, (words, digits) in _QUALITY.items()
    ),
)
"""Every characteristic, in the order of tables."""


def uptake_ratios(squares: FrameMap) -> dict[str, float]:
    """Mean of each of `BOXES` over that of the lumbar spine in the same view.

    Args:
        squares: squares of prepared values, (256, 256), which are proportional to counts up to
            where the preprocessing cuts off (twice the 98th percentile of the body's counts).

    Examples:
        >>> uptake_ratios(np.ones((256, 256), np.float32))["sacrum"]
        1.0
    """
    spine = {view: _mean_in(box, squares) for view, box in LUMBAR.items()}
    return {
        box.name: _mean_in(box, squares) / spine[box.view] if spine[box.view] > 0 else float("nan")
        for box in BOXES
    }


def _mean_in(box: Box, image: FrameMap) -> float:
    return float(np.mean([image[window].mean() for window in box.windows]))


def characteristics_of(
    scan: Scan, prepared: FrameMap, body_rows: float
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Every characteristic of a scan that has both views, and its power spectrum.

    Args:
        scan: as read.
        prepared: its reduced composite, (256, 256).
        body_rows: height of the body, in rows of the scan.

    Returns:
        A number for each of `CHARACTERISTICS`, NaN where it cannot be measured; and the mean
        of both views' `power_spectrum`, float64 (10,).
    """
    found = landmark_shares(prepared) | uptake_ratios(prepared**2)
    row_mm, column_mm = scan.pixel_spacing_mm or (1.0, 1.0)
    noises, spectra = [], []
    for view, image in scan.images():
        counts = float(image.sum(dtype=np.float64)) / 1000
        found[f"counts_{view.value}"] = counts if scan.unit is PixelUnit.COUNTS else float("nan")
        noises.append(pixel_noise(image))
        spectra.append(
            power_spectrum(
                image,
                variance_over_mean=noises[-1][0],
                body_rows=body_rows,
                pixel_ratio=column_mm / row_mm,
            )
        )
    spectrum = np.asarray(np.mean(spectra, axis=0), dtype=np.float64)
    found["variance_over_mean"], found["relative_noise"] = np.mean(noises, axis=0).tolist()
    found["roll_off"] = roll_off(spectrum)
    found["rows"], found["columns"] = map(float, scan.shape)
    values = np.unique(np.concatenate([image.ravel() for _, image in scan.images()]))
    found["bits"] = float(np.ceil(np.log2(max(float(values[-1]), 1.0) + 1)))
    found["grey_levels"] = float(values.size)
    found["pixel_mm"] = scan.pixel_spacing_mm[0] if scan.pixel_spacing_mm else float("nan")
    found["body_rows"] = body_rows
    return found, spectrum


def pixel_noise(image: NDArray[np.float32]) -> tuple[float, float]:
    """Estimate the pixel noise of a view inside the body.

    The mask of Immerkaer (Comput Vis Image Underst 1996;64:300) cancels linear gradients and leaves
    noise and the sharpest edges. It is applied where the smoothed view is above a quarter of its
    level in the body, without the hottest tenth.

    Args:
        image: a view, (rows, columns).

    Returns:
        Variance over mean, 1 for Poisson counts; and standard deviation over mean.

    Examples:
        >>> image = np.random.default_rng(1).poisson(30, (400, 200)).astype(np.float32)
        >>> [round(value, 1) for value in pixel_noise(image)]
        [1.0, 0.2]
    """
    smooth = ndimage.uniform_filter(image, 5)
    level = smooth[smooth > smooth.mean()]
    if not level.size:
        return float("nan"), float("nan")
    body = (smooth > _BODY_SHARE * np.median(level)) & (smooth < np.percentile(level, _HOT))
    body[[0, -1]], body[:, [0, -1]] = False, False
    mean = float(image[body].mean(dtype=np.float64)) if body.any() else 0.0
    if mean <= 0:
        return float("nan"), float("nan")
    rest = ndimage.convolve(image, _LAPLACIAN)[body]
    variance = float((rest**2).mean(dtype=np.float64)) / _LAPLACIAN_SQUARES
    return variance / mean, variance**0.5 / mean


def power_spectrum(
    image: NDArray[np.float32], *, variance_over_mean: float, body_rows: float, pixel_ratio: float
) -> NDArray[np.float64]:
    """Mean power of structure in bands of spatial frequency, in decibels.

    The view is weighted with a Hann window; the power of white noise whose variance is a multiple
    of the local mean is subtracted.

    Args:
        image: a view, (rows, columns).
        variance_over_mean: variance over mean of its noise, see `pixel_noise`.
        body_rows: the body's height, in rows.
        pixel_ratio: distance between columns over that between rows.

    Returns:
        float64 (10,), one value per band of `BANDS`, relative to the two lowest bands; NaN where
        noise exceeds structure or the matrix is too coarse.
    """
    rows, columns = image.shape
    window = np.outer(np.hanning(rows), np.hanning(columns)).astype(np.float32)
    weighted = image * window
    power = np.abs(fft.rfft2(weighted)) ** 2
    noise = variance_over_mean * float(np.vdot(weighted, window))
    vertical = fft.fftfreq(rows).astype(np.float32) * np.float32(body_rows)
    across = fft.rfftfreq(columns).astype(np.float32) * np.float32(body_rows / pixel_ratio)
    frequency = np.hypot(vertical[:, None], across[None, :])
    band = np.digitize(frequency.ravel(), BANDS)
    count = np.bincount(band, minlength=len(BANDS) + 1)[1:-1]
    total = np.bincount(band, power.ravel(), minlength=len(BANDS) + 1)[1:-1]
    nyquist = min(0.5 * body_rows, 0.5 * body_rows / pixel_ratio)
    with np.errstate(divide="ignore", invalid="ignore"):
        structure = total / count - noise
        structure[(np.array(BANDS[1:]) > nyquist) | (structure <= 0)] = np.nan
        decibels = 10 * np.log10(structure / structure[:_REFERENCE_BANDS].mean())
    return np.asarray(decibels, dtype=np.float64)


def roll_off(spectrum: NDArray[np.float64]) -> float:
    """Frequency at which a spectrum first falls by 30 dB, in cycles per body height; else NaN.

    Examples:
        >>> round(roll_off(np.array([0.0, 0, -10, -20, -40, -50, -60, -70, -80, -90])), 1)
        16.0
    """
    below = np.flatnonzero(spectrum < -_FALL_DB)
    if not below.size or below[0] == 0 or not np.isfinite(spectrum[: below[0] + 1]).all():
        return float("nan")
    after = int(below[0])
    edges = np.log2(np.array(BANDS))
    middle = (edges[1:] + edges[:-1]) / 2
    step = (-_FALL_DB - spectrum[after - 1]) / (spectrum[after] - spectrum[after - 1])
    return float(2 ** (middle[after - 1] + step * (middle[after] - middle[after - 1])))


def about(subject: Subject) -> Iterator[Characteristic]:
    """The characteristics of one subject, such as image quality."""
    return (kind for kind in CHARACTERISTICS if kind.subject is subject)
