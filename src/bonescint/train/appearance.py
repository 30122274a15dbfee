"""Random changes of what a scan looks like: counts, sharpness, uptake, grey values."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from bonescint.scan import PixelUnit, View
from bonescint.train.sample import TrainingSample

_Range = tuple[float, float]
_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinning:
    """Fewer counts: each photon is kept with one probability (exactly Poisson again).

    A lower activity, a later or faster scan, a heavier patient. Only for pixels in counts.
    """

    probability: float = 0.4
    kept: _Range = (0.2, 0.9)
    kind: ClassVar[str] = "thinning"

    def __call__(self, sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
        """Thin both views alike."""
        if sample.scan.unit is not PixelUnit.COUNTS or rng.random() >= self.probability:
            return sample
        share = float(np.exp(rng.uniform(np.log(self.kept[0]), np.log(self.kept[1]))))
        images = {view: _kept(image, share, rng) for view, image in sample.scan.images()}
        return sample.changed(images, step="thinned")


def _kept(
    image: NDArray[np.float32], share: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The photons of each pixel that are kept; an empty pixel draws nothing."""
    counts = np.rint(image).astype(np.int64).ravel()
    some = np.flatnonzero(counts != 0)
    # numpy prepares the distribution for each number of counts unless it is the same as the one
    # before, so equal numbers are drawn together. Numbers beyond 16 bits are only sorted worse.
    some = some[np.argsort(counts[some].astype(np.uint16), kind="stable")]
    kept = np.zeros(counts.size, dtype=np.float32)
    kept[some] = rng.binomial(counts[some], share)
    return kept.reshape(image.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blur:
    """Smoothing, as by the camera's distance or by a workstation's filter, in pixels."""

    probability: float = 0.4
    sigma_pixels: _Range = (0.4, 1.8)
    kind: ClassVar[str] = "blur"

    def __call__(self, sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
        """Blur both views alike."""
        if rng.random() >= self.probability:
            return sample
        sigma = rng.uniform(*self.sigma_pixels)
        images = {
            view: ndimage.gaussian_filter(image, sigma, truncate=3.0)
            for view, image in sample.scan.images()
        }
        return sample.changed(images, step="blurred")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePicture:
    """The scan as a picture archive keeps it: 8 bits, windowed, another matrix, JPEG.

    Attributes:
        probability: probability of becoming a picture.
        saturation: percentiles of the positive values that may become white; every third
            picture is scaled to its maximum instead.
        lower_share: share of the window that becomes black; in half of the pictures what lies
            above keeps its grey, as where low counts were cut to zero.
        gamma: exponents of the grey scale.
        matrix: factors of the matrix size.
        stretch: largest additional stretch, of rows and of columns separately; a third of the
            pictures repeat rows and columns instead of interpolating.
        jpeg_quality: quality of pictures that went through JPEG (half of them).
    """

    probability: float = 0.4
    saturation: _Range = (97.0, 99.95)
    lower_share: float = 0.05
    gamma: _Range = (0.6, 1.2)
    matrix: _Range = (0.5, 1.3)
    stretch: float = 0.12
    jpeg_quality: tuple[int, int] = (60, 96)
    kind: ClassVar[str] = "archive_picture"

    def __call__(self, sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
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


_GRID_ROWS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class UptakeVariation:
    """A smooth field multiplies the scan, so that no region's brightness can be relied on.

    The uptake of healthy bones varies with age, load and unrelated disease, and more so in real
    than in simulated scans: domain randomisation (Tobin et al., IROS 2017). The field is
    log-normal and varies over much longer distances than a metastasis is wide. Most of it belongs
    to the patient, so both views share it, one mirrored; the rest belongs to each view.

    Attributes:
        probability: that the uptake is changed at all.
        spread: standard deviations of the field's logarithm.
        length_share: lengths over which it varies, as shares of the rows (of about 2 m).
        own_share: share of the field's variance that belongs to each view alone.
    """

    probability: float = 0.5
    spread: _Range = (0.05, 0.35)
    length_share: _Range = (0.02, 0.1)
    own_share: float = 0.2
    kind: ClassVar[str] = "uptake_variation"

    def __call__(self, sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
        """Multiply both views."""
        if rng.random() >= self.probability:
            return sample
        rows, columns = sample.scan.shape
        size = (_GRID_ROWS, max(8, round(_GRID_ROWS * columns / rows)))
        spread = rng.uniform(*self.spread)
        length = float(np.exp(rng.uniform(*np.log(self.length_share)))) * _GRID_ROWS
        patient = _field(size, length, rng)
        images = {}
        for view, image in sample.scan.images():
            seen = patient if view is View.ANTERIOR else patient[:, ::-1]
            mixed = np.sqrt(1 - self.own_share) * seen
            mixed = mixed + np.sqrt(self.own_share) * _field(size, length, rng)
            grown = Image.fromarray(mixed.astype(np.float32)).resize(
                (columns, rows), Image.Resampling.BICUBIC
            )
            images[view] = image * np.exp(np.float32(spread) * np.asarray(grown))
        return sample.changed(images, step="uptake varied")


def _field(size: tuple[int, int], length: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth noise of mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(size), length, mode="wrap")
    return np.asarray((noise - noise.mean()) / noise.std())
