"""What a pixel's side and a pixel's value mean: millimetres, counts, intensity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonescint.dicom.header import Header
from bonescint.dicom.pictures import with_dark_background
from bonescint.dicom.pixels import PixelLayout
from bonescint.scan import PixelUnit

_COUNTS_AGREE = 0.01


def pixel_spacing_mm(header: Header) -> tuple[float, float] | None:
    """Distance between rows and between columns in mm, or `None` if it is not said."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = header.numbers(keyword)
        if len(spacing) == 2 and all(0.05 <= value <= 50 for value in spacing):
            return spacing[0], spacing[1]
    return None


def in_known_unit(
    images: tuple[NDArray[np.float32], ...], header: Header, layout: PixelLayout
) -> tuple[tuple[NDArray[np.float32], ...], PixelUnit, tuple[str, ...]]:
    """Tell counts from a screen's grey values.

    Camera objects hold counts. Eight bits that reach their ceiling, colour, or MONOCHROME1 with a
    bright background come from a screen: intensity. Eight bits below the ceiling are believed
    to be counts, since a faint scan fits into them.

    Args:
        images: (rows, columns) each, negative values removed.
        header: of their file.
        layout: how the pixels were stored.

    Returns:
        The images with a dark background, their unit, and warnings.
    """
    if header.text("PhotometricInterpretation").upper() == "MONOCHROME1":
        turned = [with_dark_background(image) for image in images]
        if any(inverted for _, inverted in turned):
            warning = "MONOCHROME1 with a bright background: grey values were inverted"
            return tuple(image for image, _ in turned), PixelUnit.INTENSITY, (warning,)
        return images, PixelUnit.COUNTS, ("MONOCHROME1: values kept, the background is dark",)
    if layout.samples == 3:
        return images, PixelUnit.INTENSITY, ("a picture of a screen, not the camera's counts",)
    if layout.bits_stored <= 8:
        return _eight_bit(images, header)
    return images, PixelUnit.COUNTS, ()


def _eight_bit(
    images: tuple[NDArray[np.float32], ...], header: Header
) -> tuple[tuple[NDArray[np.float32], ...], PixelUnit, tuple[str, ...]]:
    accumulated = header.number("CountsAccumulated")
    total = sum(float(image.sum(dtype=np.float64)) for image in images)
    if accumulated and abs(total - accumulated) <= _COUNTS_AGREE * accumulated:
        return images, PixelUnit.COUNTS, ()
    if any(has_wrapped_round(image) for image in images):
        warning = "8-bit pixels that wrapped round: the hottest places are dark"
        return images, PixelUnit.INTENSITY, (warning,)
    if max(float(image.max()) for image in images) >= 255:
        warning = "8-bit pixels up to 255: grey values, perhaps clipped, not counts"
        return images, PixelUnit.INTENSITY, (warning,)
    return images, PixelUnit.COUNTS, ()


def has_wrapped_round(image: NDArray[np.float32]) -> bool:
    """Whether hot pixels jump from near 255 to near 0, as an overflow of eight bits does.

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
