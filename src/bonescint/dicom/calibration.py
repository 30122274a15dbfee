"""Find the size of a pixel in millimetres and the unit of its value: counts or intensity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bonescint.dicom.header import Header
from bonescint.dicom.pictures import with_dark_background
from bonescint.dicom.pixels import PixelLayout
from bonescint.scan import PixelUnit

_COUNTS_AGREE = 0.01


def pixel_spacing_mm(header: Header) -> tuple[float, float] | None:
    """Distance between rows and between columns in mm, or `None` if the header does not say."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = header.numbers(keyword)
        if len(spacing) == 2 and all(0.05 <= value <= 50 for value in spacing):
            return spacing[0], spacing[1]
    return None


def in_known_unit(
    images: tuple[NDArray[np.float32], ...], header: Header, layout: PixelLayout
) -> tuple[tuple[NDArray[np.float32], ...], PixelUnit, tuple[str, ...]]:
    """Decide whether pixels are counts or the grey values of a screen capture.

    Pixels of a camera's object are counts. Colour, a bright background, or 8-bit values that reach
    255 as stored mean a screen capture, whose unit is intensity. 8-bit values below 255 are taken
    as counts, since a faint scan fits into 8 bits. Pixels that sum to Counts Accumulated are
    counts; a warning says if they do not.

    Args:
        images: (rows, columns) each, negative values removed.
        header: header of their file.
        layout: how the pixels were stored.

    Returns:
        The images with a dark background, their unit, and warnings.
    """
    photometric = header.text("PhotometricInterpretation").upper()
    turned = [with_dark_background(image) for image in images]
    if any(inverted for _, inverted in turned):
        what = "MONOCHROME1 with" if photometric == "MONOCHROME1" else "dark body on"
        warning = f"{what} a bright background: grey values were inverted"
        return tuple(image for image, _ in turned), PixelUnit.INTENSITY, (warning,)
    if photometric == "MONOCHROME1":
        return images, PixelUnit.COUNTS, ("MONOCHROME1: values kept, the background is dark",)
    if layout.samples == 3:
        return images, PixelUnit.INTENSITY, ("a screen capture, not the camera's counts",)
    are_counts = _sum_agrees(images, header)
    if layout.bits_stored <= 8 and not are_counts:
        slope = header.number("RescaleSlope") or 1.0
        intercept = header.number("RescaleIntercept") or 0.0
        warning = _why_no_counts([np.rint((image - intercept) / slope) for image in images])
        if warning:
            return images, PixelUnit.INTENSITY, (warning,)
    if are_counts is False and len(images) == layout.frame_count:
        warning = "its pixels do not sum to its Counts Accumulated: they may not be counts"
        return images, PixelUnit.COUNTS, (warning,)
    return images, PixelUnit.COUNTS, ()


def _sum_agrees(images: tuple[NDArray[np.float32], ...], header: Header) -> bool | None:
    """Whether the pixels of all images, or of one, sum to Counts Accumulated; `None` without it."""
    accumulated = header.number("CountsAccumulated")
    if not accumulated or accumulated < 0:
        return None
    sums = [float(image.sum(dtype=np.float64)) for image in images]
    tolerance = _COUNTS_AGREE * accumulated
    return any(abs(total - accumulated) <= tolerance for total in (sum(sums), *sums))


def _why_no_counts(stored: Sequence[NDArray[np.floating]]) -> str:
    """Why 8-bit pixels must come from a screen, by stored values; empty if nothing says so."""
    if any(has_wrapped_round(image) for image in stored):
        return "8-bit pixels that overflowed: the hottest places are dark"
    if max(float(image.max()) for image in stored) >= 255:
        return "8-bit pixels up to 255: grey values, perhaps clipped, not counts"
    return ""


def has_wrapped_round(image: NDArray[np.floating]) -> bool:
    """Whether hot pixels jump from near 255 to near 0, as they do when 8 bits overflow.

    Examples:
        >>> hot = np.zeros((5, 5), np.float32)
        >>> hot[1:4, 1:4] = 250
        >>> has_wrapped_round(hot)
        False
        >>> hot[2, 2] = 9
        >>> has_wrapped_round(hot)
        True
    """
    inner = image[1:-1, 1:-1]
    lowest = np.minimum.reduce(
        [image[:-2, 1:-1], image[2:, 1:-1], image[1:-1, :-2], image[1:-1, 2:]]
    )
    return bool(((inner < 60) & (lowest > 200)).any())
