"""Which values of a view are white and black."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import PixelUnit

_PERCENTILE = 99.0
_MOST_SAMPLES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyWindow:
    """Inverted grey scale from white at `low` to black at `high`; a gamma makes faint bone visible.

    Attributes:
        low: this value and those below are white.
        high: this value and those above are black.
    """

    low: float
    high: float

    def inverted_grey(self, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Grey values of a view, uint8 (rows, columns): dark where counts are high.

        Examples:
            >>> GreyWindow(low=0, high=10).inverted_grey(np.array([[0, 10, 99]])).tolist()
            [[255, 0, 0]]
        """
        share = np.clip((image - self.low) / (self.high - self.low), 0.0, 1.0)
        root = np.sqrt(share)  # gamma 0.75 as two roots, a tenth of the cost of a power
        return np.asarray(np.rint(255 - 255 * root * np.sqrt(root)), dtype=np.uint8)


def grey_window(image: NDArray[np.float32], unit: PixelUnit) -> GreyWindow:
    """A window for one view, unaffected by a hot bladder or injection site.

    Black is the 99th percentile of the values inside the body (those above a tenth of the median
    of the positive ones). White is 0 for counts; for a picture, whose background may not be 0, it
    is the 2nd percentile if that lies in the lower half.

    Args:
        image: array (rows, columns).
        unit: unit of its values.

    Examples:
        >>> body = np.ones((100, 10), dtype=np.float32)
        >>> body[0, 0] = 5000
        >>> grey_window(body, PixelUnit.COUNTS).high
        1.0
    """
    # For the percentiles of a large image a regular sample is enough.
    stride = 1 + int(np.sqrt(image.size / _MOST_SAMPLES))
    image = image[::stride, ::stride]
    low = 0.0
    if unit is PixelUnit.INTENSITY:
        background = float(np.percentile(image, 2))
        if background < 0.5 * float(image.max()):
            low = background
    above = image[image > low] - np.float32(low)
    if above.size == 0:
        return GreyWindow(low=low, high=low + 1.0)
    body = above[above > 0.1 * float(np.median(above))]
    high = float(np.percentile(body, _PERCENTILE))
    return GreyWindow(low=low, high=low + high)
