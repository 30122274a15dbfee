"""Intensity scaling: from counts to values from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True)
class MinMax:
    """Scale linearly from the image's minimum to its maximum (as in the paper).

    A full bladder or an injection site determines the maximum and darkens everything else.
    """

    kind: ClassVar[Literal["min_max"]] = "min_max"

    def normalised(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale one view, array (rows, columns), to [0, 1]; a constant image becomes 0.

        Examples:
            >>> MinMax().normalised(np.array([[0, 5, 10]], dtype=np.float32)).tolist()
            [[0.0, 0.5, 1.0]]
        """
        low, high = float(image.min()), float(image.max())
        if high <= low:
            return np.zeros_like(image)
        return (image - np.float32(low)) / np.float32(high - low)


@dataclass(frozen=True, slots=True)
class PercentileRoot:
    """Divide by a percentile of the body's values, clip, and take a root.

    The percentile is taken over values above a tenth of the median of the positive ones, that
    is inside the body, so margins and cropping do not affect it. The root stabilises the variance
    of Poisson noise and keeps faint bone distinct from the background while hot spots saturate.

    Attributes:
        percentile: percentile of the values inside the body that becomes `1 / headroom`.
        headroom: how far above that percentile the scale ends.
        exponent: exponent of the root, 0.5 for the square root.
    """

    percentile: float = 98.0
    headroom: float = 2.0
    exponent: float = 0.5
    kind: ClassVar[Literal["percentile_root"]] = "percentile_root"

    def __post_init__(self) -> None:
        if not 50 <= self.percentile <= 100:
            raise ParameterError("percentile", "PercentileRoot", "from 50 to 100", self.percentile)
        if not self.headroom > 0:
            raise ParameterError("headroom", "PercentileRoot", "above 0", self.headroom)
        if not 0 < self.exponent <= 1:
            raise ParameterError("exponent", "PercentileRoot", "in (0, 1]", self.exponent)

    def normalised(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale one view, array (rows, columns), to [0, 1]; an empty image stays 0.

        Examples:
            >>> hot = np.array([[0, 1, 1, 1, 400]], dtype=np.float32)
            >>> PercentileRoot(percentile=50, headroom=4).normalised(hot).tolist()
            [[0.0, 0.5, 0.5, 0.5, 1.0]]
        """
        positive = image[image > 0]
        if positive.size == 0:
            return np.zeros_like(image)
        # The median does not follow a hot spot as the mean would.
        inside = positive[positive > 0.1 * float(np.median(positive))]
        top = float(np.percentile(inside, self.percentile)) * self.headroom
        scaled = np.clip(image / np.float32(top), 0.0, 1.0)
        return np.asarray(scaled ** np.float32(self.exponent), dtype=np.float32)


Intensity = MinMax | PercentileRoot
