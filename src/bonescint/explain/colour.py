"""A colour map of evenly decreasing lightness, and the opacity of each level."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

STEPS = 256


def _oklab_to_srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """OKLab (steps, 3) to sRGB in [0, 1]; Ottosson 2020, "A perceptual color space"."""
    to_lms = np.array(
        [
            [1.0, 0.3963377774, 0.2158037573],
            [1.0, -0.1055613458, -0.0638541728],
            [1.0, -0.0894841775, -1.2914855480],
        ]
    )
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip((lab @ to_lms.T) ** 3 @ to_linear.T, 0.0, 1.0)
    encoded: NDArray[np.float64] = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return encoded


@lru_cache(maxsize=1)
def heat_colours() -> NDArray[np.uint8]:
    """The colour of each level of evidence, from pale yellow over orange to deep red.

    Lightness decreases evenly in OKLab, so that equal steps of evidence look equal, also in grey
    print and to readers with colour vision deficiency; the hues differ from the grey of the counts.

    Returns:
        Read-only uint8 array (256, 3), red, green, blue.

    Examples:
        >>> heat_colours().shape
        (256, 3)
    """
    level = np.linspace(0.0, 1.0, STEPS)
    lightness = 0.92 - 0.40 * level
    chroma = 0.13 + 0.08 * level
    hue = np.deg2rad(98.0 - 72.0 * level)
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)
    colours = np.rint(255 * _oklab_to_srgb(lab)).astype(np.uint8)
    colours.flags.writeable = False
    return colours


@lru_cache(maxsize=1)
def opacity() -> NDArray[np.float32]:
    """How opaque each level of evidence is, from 0 to 0.7, growing with the evidence.

    Below 8 % of the scale nothing is painted; at the top 30 % of the anatomy's contrast remains,
    so that bone is visible under the strongest evidence.

    Returns:
        Read-only float32 array (256,).

    Examples:
        >>> float(opacity()[0]), bool((np.diff(opacity()) >= 0).all())
        (0.0, True)
    """
    level = np.linspace(0.0, 1.0, STEPS, dtype=np.float32)
    ramp = np.clip((level - 0.08) / 0.62, 0.0, 1.0)
    alpha: NDArray[np.float32] = (0.7 * ramp ** np.float32(0.8)).astype(np.float32)
    alpha.flags.writeable = False
    return alpha


def painted(grey: NDArray[np.uint8], levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Paint evidence over a grey image.

    Args:
        grey: uint8 array (rows, columns).
        levels: array (rows, columns), 0 to 1; what lies beyond is clipped.

    Returns:
        uint8 array (rows, columns, 3).

    Examples:
        >>> white = np.full((1, 2), 255, dtype=np.uint8)
        >>> painted(white, np.array([[0.0, 1.0]], dtype=np.float32))[0, 0].tolist()
        [255, 255, 255]
    """
    step = np.rint(np.clip(levels, 0.0, 1.0) * (STEPS - 1)).astype(np.uint16)
    packed = np.take(_mixtures(), (step << 8) | grey)
    return packed.view(np.uint8).reshape(*grey.shape, 4)[:, :, :3]


@lru_cache(maxsize=1)
def _mixtures() -> NDArray[np.uint32]:
    """The colour of each of 256 levels over each of 256 greys, four bytes each."""
    opaque = opacity()[:, None, None]
    greys = np.arange(256, dtype=np.float32)[None, :, None]
    table = np.zeros((STEPS, 256, 4), dtype=np.uint8)
    mixed = heat_colours()[:, None, :] * opaque + greys * (1.0 - opaque)
    table[:, :, :3] = np.rint(mixed).astype(np.uint8)
    return table.view(np.uint32).ravel()
