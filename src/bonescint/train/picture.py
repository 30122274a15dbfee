"""Scans as picture archives keep them: 8 bits, windowed, stretched, through JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonescint.scan import PixelUnit, View
from bonescint.train.sample import Sample

_Range = tuple[float, float]
_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePicture:
    """The scan as a picture archive keeps it: 8 bits, windowed, another matrix, JPEG.

    Attributes:
        probability: of becoming a picture.
        saturation: percentiles of the positive values that may become white; every third
            picture is scaled to its maximum instead.
        lower_share: share of the window that becomes black; in half of the pictures what lies
            above keeps its grey, as where low counts were cut to zero.
        gamma: exponents of the grey scale.
        matrix: factors of the matrix size.
        stretch: the most that rows or columns are stretched besides, each by itself; a third of
            the pictures repeat rows and columns instead of interpolating.
        jpeg_quality: of pictures that went through JPEG (half of them).
    """

    probability: float = 0.4
    saturation: _Range = (97.0, 99.95)
    lower_share: float = 0.05
    gamma: _Range = (0.6, 1.2)
    matrix: _Range = (0.5, 1.3)
    stretch: float = 0.12
    jpeg_quality: tuple[int, int] = (60, 96)
    kind: ClassVar[str] = "archive_picture"

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Turn both views into 8-bit pictures, each with its own window."""
        if rng.random() >= self.probability:
            return sample
        rows, columns = sample.scan.shape
        zoom = rng.uniform(*self.matrix)
        size = (
            max(64, round(columns * zoom * np.exp(rng.uniform(-self.stretch, self.stretch)))),
            max(128, round(rows * zoom * np.exp(rng.uniform(-self.stretch, self.stretch)))),
        )
        percentile = None if rng.random() < 1 / 3 else rng.uniform(*self.saturation)
        gamma, lower = rng.uniform(*self.gamma), rng.uniform(0, self.lower_share)
        cut, repeats = rng.random() < 0.5, rng.random() < 1 / 3
        filled = Image.Resampling.NEAREST if repeats else Image.Resampling.BILINEAR
        quality = int(rng.integers(*self.jpeg_quality)) if rng.random() < 0.5 else None
        images = {}
        for view, image in sample.scan.images():
            resized = Image.fromarray(image).resize(size, filled)
            grey = _windowed(np.asarray(resized), percentile, lower, gamma, cut=cut)
            images[view] = _through_jpeg(grey, quality).astype(np.float32)

        def moved(view: View, plane: NDArray[_Value]) -> NDArray[_Value]:  # noqa: ARG001
            picture = Image.fromarray(plane.astype(np.uint8))
            return np.asarray(picture.resize(size, Image.Resampling.NEAREST)).astype(plane.dtype)

        return sample.changed(images, step="picture", moved=moved, unit=PixelUnit.INTENSITY)


def _windowed(
    image: NDArray[np.float32],
    percentile: float | None,
    lower: float,
    gamma: float,
    *,
    cut: bool,
) -> NDArray[np.uint8]:
    positive = image[image > 0]
    if positive.size == 0:
        return np.zeros(image.shape, dtype=np.uint8)
    white = float(positive.max() if percentile is None else np.percentile(positive, percentile))
    share = image / white
    shown = np.where(share < lower, 0, share) if cut else (share - lower) / (1 - lower)
    grey = np.clip(shown, 0, 1) ** np.float32(gamma)
    return np.asarray(np.rint(255 * grey), dtype=np.uint8)


def _through_jpeg(grey: NDArray[np.uint8], quality: int | None) -> NDArray[np.uint8]:
    if quality is None:
        return grey
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))
