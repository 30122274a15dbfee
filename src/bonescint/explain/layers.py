"""A scan's views as two pictures to lay over each other: counts in grey, evidence in colour."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonescint.explain.colour import STEPS, heat_colours, opacity
from bonescint.explain.panels import DrawnView
from bonescint.scan import View

_COARSER = 2
"""A map has some dozen cells: half the pixels show it as well."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layers:
    """Two pictures of the same place, for a page that lays one over the other.

    The present views stand side by side, anterior first, each as wide as the other.

    Attributes:
        grey_webp: the views in inverted grey, a WebP file's content.
        evidence_webp: the evidence over them, transparent where there is none; empty if there is
            none anywhere.
        width: of the grey picture, in pixels.
        height: of the grey picture, in pixels.
        pixel_mm: how long a pixel of it is on the patient, or `None` if the spacing is unknown.
    """

    grey_webp: bytes
    evidence_webp: bytes
    width: int
    height: int
    pixel_mm: float | None


def layers_of(views: Mapping[View, DrawnView], *, pixel_mm: float | None) -> Layers:
    """Encode what was drawn of a scan's views.

    Args:
        views: of one scan, all of one size.
        pixel_mm: how long a drawn pixel is on the patient, or `None`.
    """
    grey = np.hstack([drawn.grey for drawn in views.values()])
    levels = np.hstack([drawn.levels for drawn in views.values()])
    rows, columns = grey.shape
    return Layers(
        grey_webp=_webp(Image.fromarray(grey).convert("RGB"), quality=72),
        evidence_webp=_webp(_evidence(levels), quality=60) if levels.any() else b"",
        width=columns,
        height=rows,
        pixel_mm=pixel_mm,
    )


def _evidence(levels: NDArray[np.float32]) -> Image.Image:
    """The colours of the evidence, as opaque as they are painted."""
    rows, columns = levels.shape
    size = (max(1, columns // _COARSER), max(1, rows // _COARSER))
    smaller = np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BOX))
    steps = np.rint(np.clip(smaller, 0.0, 1.0) * (STEPS - 1)).astype(np.uint8)
    return Image.fromarray(_palette()[steps])


def _palette() -> NDArray[np.uint8]:
    """Red, green, blue and opacity of each level, uint8 (256, 4)."""
    alpha = np.rint(255 * opacity()).astype(np.uint8)
    return np.concatenate([heat_colours(), alpha[:, None]], axis=1)


def _webp(picture: Image.Image, *, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=quality, method=0)
    return buffer.getvalue()
