"""Tell planar whole-body bone scans from others, by header, geometry and the body's outline.

Three checks, the cheapest first. In doubt each of them accepts, because archives mislabel, crop,
stretch and cut off heads and feet; a model's out-of-distribution score comes later.

The outline check looks at the image shrunk to about 128 rows, where counts are no longer
noise. A body stands upright: darker left and right than along its axis, in most rows one
stretch around the same axis, and nearly the same left and right of that axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.dicom.header import Header
from bonescint.scan import InputError, NotABoneScanError

MIN_ROWS = 200
MIN_COLUMNS = 48
MIN_ASPECT = 1.7
"""Fewest rows per column of one view; the common matrix 1024 x 256 has 4."""
MAX_ASPECT = 7.0
REFUSED_HEIGHT_MM = (700.0, 3200.0)
USUAL_HEIGHT_MM = (900.0, 2600.0)

_MODALITIES_WORDS = "CR CT DX MG MR OT PT PR RF SC SEG SR US XA RTSTRUCT RTDOSE"
_MODALITIES = frozenset(_MODALITIES_WORDS.split(" "))
_OTHER_IMAGE_TYPES = frozenset(
    {"DYNAMIC", "GATED", "TOMO", "GATED TOMO", "RECON TOMO", "RECON GATED TOMO"}
)
_NM_STORAGE = "1.2.840.10008.5.1.4.1.1.20"
_EXPORT_COUNTS = "Give the planar whole-body scan, anterior and posterior"


def check_header(header: Header, source: str) -> tuple[str, ...]:
    """Refuse a file whose header says that it is no planar whole-body scan.

    Returns:
        Warnings about what was tolerated.

    Raises:
        NotABoneScanError: another modality, a tomogram, a dynamic or gated study.
    """
    modality = header.text("Modality").upper()
    if not modality and header.text("SOPClassUID") == _NM_STORAGE:
        modality = "NM"
    if modality != "NM":
        named = f"is {modality}" if modality in _MODALITIES else "is not NM"
        if not modality:
            raise NotABoneScanError(
                source, "its header names no modality, or is cut short", "Export the file again"
            )
        raise NotABoneScanError(
            source, f"its modality {named}, a bone scan's is NM", _EXPORT_COUNTS
        )
    image_type = header.texts("ImageType")
    kind = image_type[2].upper() if len(image_type) > 2 else ""
    if kind in _OTHER_IMAGE_TYPES:
        raise NotABoneScanError(source, f"its image type is {kind}, not WHOLE BODY", _EXPORT_COUNTS)
    if kind.replace(" ", "") == "WHOLEBODY":
        return ()
    if kind == "STATIC":
        return ("its image type is STATIC, not WHOLE BODY; its shape is a whole body's",)
    return ("its image type does not say WHOLE BODY; its shape does",)


def check_geometry(
    rows: int, columns: int, pixel_spacing_mm: tuple[float, float] | None, source: str
) -> tuple[str, ...]:
    """Refuse a matrix that cannot be a whole-body view.

    Args:
        rows: rows of one view.
        columns: columns of one view.
        pixel_spacing_mm: distance between rows and between columns, if known.
        source: what errors name.

    Returns:
        Warnings about an unusual size.

    Raises:
        NotABoneScanError: too small, too wide, or not as tall as a person.

    Examples:
        >>> check_geometry(1024, 256, (2.4, 2.4), "scan.dcm")
        ()
        >>> check_geometry(256, 256, None, "thyroid.dcm")
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.NotABoneScanError: thyroid.dcm: 256 x 256 pixels do not have the \
proportions of a whole-body image. Give the planar whole-body scan, anterior and posterior.
    """
    height, width = float(rows), float(columns)
    if pixel_spacing_mm:
        height, width = height * pixel_spacing_mm[0], width * pixel_spacing_mm[1]
    aspect = height / width
    if rows < MIN_ROWS or columns < MIN_COLUMNS or not MIN_ASPECT <= aspect <= MAX_ASPECT:
        raise NotABoneScanError(
            source,
            f"{rows} x {columns} pixels do not have the proportions of a whole-body image",
            _EXPORT_COUNTS,
        )
    if pixel_spacing_mm is None:
        return ()
    if not REFUSED_HEIGHT_MM[0] <= height <= REFUSED_HEIGHT_MM[1]:
        raise NotABoneScanError(
            source,
            f"the image is {height / 1000:.2f} m tall, a whole body's has 0.9 to 2.6 m",
            _EXPORT_COUNTS,
        )
    if not USUAL_HEIGHT_MM[0] <= height <= USUAL_HEIGHT_MM[1]:
        return (f"the image is {height / 1000:.2f} m tall: is its pixel spacing right?",)
    return ()


_LEAST_OCCUPIED = 0.5
"""Part of the rows that a body crosses at least: in a superscan thighs and shins nearly vanish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What the outline check measures on one view.

    Attributes:
        side_level: mean level of the outermost columns over that of the body's axis.
        occupied_rows: share of the rows from the body's first to its last that it crosses.
        height_over_width: aspect ratio of the box around the body.
        axis_wander: deviation of the rows' centres from a straight axis, in widths of the body.
        symmetry: correlation of the image with its mirror image about the axis.
        roughness: share of the shrunk image's variance that a 3 x 3 mean removes.
    """

    side_level: float
    occupied_rows: float
    height_over_width: float
    axis_wander: float
    symmetry: float
    roughness: float

    def complaint(self) -> str | None:
        """The reason why it is not a body, or `None`."""
        if self.side_level > 0.75:
            return "its sides are as bright as its middle"
        if self.occupied_rows < _LEAST_OCCUPIED or self.height_over_width < 1.2:
            return "it does not show one upright body"
        if self.roughness > 0.35:
            return "it is noise"
        if self.symmetry < 0.35 or self.axis_wander > 0.35:
            return "it is not symmetric left to right, as a body is"
        return None


_NO_OUTLINE = Outline(
    side_level=1,
    occupied_rows=0,
    height_over_width=0,
    axis_wander=1,
    symmetry=0,
    roughness=1,
)


def check_outline(image: NDArray[np.float32], source: str) -> None:
    """Refuse an image that is uniform or does not show an upright body.

    Args:
        image: one view, (rows, columns), at least 0, background dark.
        source: what errors name.

    Raises:
        InputError: all pixels are the same.
        NotABoneScanError: no body.
    """
    if image.max() == image.min():
        what = "every pixel is 0" if image.max() == 0 else "every pixel is the same"
        raise InputError(source, what, "Export the acquired image again")
    complaint = measure_outline(image).complaint()
    if complaint:
        raise NotABoneScanError(source, f"does not show a whole body: {complaint}", _EXPORT_COUNTS)


def holds_two_bodies(image: NDArray[np.float32]) -> bool:
    """Whether each half of an image shows a body, as an AP|PA picture does.

    Half a body has its spine at the seam; two bodies have their gap there.

    Args:
        image: (rows, columns), at least 0, background dark.
    """
    half = image.shape[1] // 2
    parts = (image[:, :half], image[:, -half:])
    if image.shape[0] < MIN_ROWS or half < MIN_COLUMNS:
        return False
    if not MIN_ASPECT <= image.shape[0] / half <= MAX_ASPECT:
        return False
    profile = np.sqrt(_above_background(shrunk(image))).mean(axis=0)
    quarter, reach = profile.size // 4, max(1, profile.size // 16)
    bodies = [profile[c - reach : c + reach].mean() for c in (quarter, profile.size - quarter)]
    seam = profile[profile.size // 2 - 1 : profile.size // 2 + 1].mean()
    if seam > 0.75 * min(bodies):
        return False
    return all(
        part.max() > part.min() and measure_outline(part).complaint() is None for part in parts
    )


def measure_outline(image: NDArray[np.float32]) -> Outline:
    """Measure the outline on the square root of the shrunk image.

    Args:
        image: one view, (rows, columns), at least 0.
    """
    level = np.sqrt(_above_background(shrunk(image)))
    ceiling = float(np.percentile(level, 98))
    level = np.minimum(level, ceiling if ceiling > 0 else float(level.max()))
    smooth = _smoothed(level)
    body = smooth > _threshold(smooth)
    row_hits = np.flatnonzero(body.any(axis=1))
    if not row_hits.size:
        return _NO_OUTLINE
    first, last = int(row_hits[0]), int(row_hits[-1]) + 1
    height = last - first
    columns = np.arange(body.shape[1])
    mass = smooth * body
    column_mass = mass.sum(axis=0)
    cumulated = np.cumsum(column_mass) / column_mass.sum()
    left, right = np.searchsorted(cumulated, (0.03, 0.97))
    width = max(int(right - left) + 1, 1)
    axis = float((column_mass * columns).sum() / column_mass.sum())
    row_mass = mass.sum(axis=1)
    filled = row_mass > 0
    centres = (mass[filled] * columns).sum(axis=1) / row_mass[filled]
    deviation = float(np.average(np.abs(centres - axis), weights=row_mass[filled]))
    residual = level - smooth
    return Outline(
        side_level=_side_level(smooth[first:last], axis, width),
        occupied_rows=row_hits.size / height,
        height_over_width=height / width,
        axis_wander=deviation / width,
        symmetry=_symmetry(smooth[first:last], axis),
        roughness=float(residual.var() / level.var()) if level.var() else 1.0,
    )


def shrunk(image: NDArray[np.float32], *, rows: int = 128) -> NDArray[np.float64]:
    """Block means, about `rows` rows; the remainder at the right and bottom is left out."""
    block = max(1, round(image.shape[0] / rows))
    height, width = image.shape[0] // block * block, image.shape[1] // block * block
    blocks = image[:height, :width].reshape(height // block, block, width // block, block)
    means: NDArray[np.float64] = blocks.mean(axis=(1, 3), dtype=np.float64)
    return means


def _above_background(small: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract the black level, which pictures have and counts do not."""
    black = float(np.percentile(small, 5))
    if black <= 0.05 * float(np.percentile(small, 98)):
        return small
    return np.maximum(small - black, 0)


def _smoothed(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """A 3 x 3 binomial mean."""
    padded = np.pad(level, 1, mode="edge")
    tall = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    mean: NDArray[np.float64] = (tall[:, :-2] + 2 * tall[:, 1:-1] + tall[:, 2:]) / 16
    return mean


def _threshold(smooth: NDArray[np.float64]) -> float:
    """Threshold between background and body: Otsu's, but at most 30 % of the range."""
    low, high = float(smooth.min()), float(smooth.max())
    counts, edges = np.histogram(smooth, bins=64, range=(low, high or 1.0))
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sum_below = np.cumsum(counts * middles)
    mean_below = sum_below / np.maximum(below, 1)
    mean_above = (sum_below[-1] - sum_below) / np.maximum(above, 1)
    otsu = float(middles[np.argmax(below * above * (mean_above - mean_below) ** 2)])
    return min(otsu, low + 0.3 * (high - low))


def _side_level(body_rows: NDArray[np.float64], axis: float, width: int) -> float:
    edge = max(1, body_rows.shape[1] // 25)
    sides = (body_rows[:, :edge].mean() + body_rows[:, -edge:].mean()) / 2
    half = max(1, width // 6)
    centre = round(axis)
    middle = body_rows[:, max(0, centre - half) : centre + half + 1].mean()
    return float(sides / middle) if middle > 0 else 1.0


def _symmetry(body_rows: NDArray[np.float64], axis: float) -> float:
    """Best correlation with the mirror image over axes near the centre of mass."""
    best = -1.0
    columns = body_rows.shape[1]
    for twice in range(round(2 * axis) - 6, round(2 * axis) + 7):
        left, right = max(0, twice - columns + 1), min(columns - 1, twice)
        if right - left < columns // 3:
            continue
        part = body_rows[:, left : right + 1]
        centred = part - part.mean()
        power = float((centred**2).sum())
        if power > 0:
            best = max(best, float((centred * centred[:, ::-1]).sum()) / power)
    return best
