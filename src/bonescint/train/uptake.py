"""Normal uptake that differs from place to place, more than a simulator knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from bonescint.scan import View
from bonescint.train.sample import Sample

_Range = tuple[float, float]
_GRID_ROWS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class UptakeVariation:
    """A smooth field multiplies the scan, so that no region's brightness can be relied on.

    Bones of healthy people take up more or less by age, load and disease of no concern here, and
    real ones do so more than simulated ones: domain randomisation (Tobin et al., IROS 2017). The
    field is log-normal and much smoother than a metastasis is wide. Most of it belongs to the
    patient, so both views share it, one mirrored; the rest belongs to each view.

    Attributes:
        probability: of varying at all.
        spread: standard deviations of the field's logarithm.
        length_share: lengths over which it varies, as shares of the rows (of about 2 m).
        own_share: share of the field's variance that each view has to itself.
    """

    probability: float = 0.5
    spread: _Range = (0.05, 0.35)
    length_share: _Range = (0.02, 0.1)
    own_share: float = 0.2
    kind: ClassVar[str] = "uptake_variation"

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
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
