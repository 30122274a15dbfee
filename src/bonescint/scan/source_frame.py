"""Where a view's pixels lie in the file that it was read from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.scan.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFrame:
    """The frame of a DICOM file that a view was read from, and how it was laid upright.

    A reader turns an image whose feet are at the top, takes one half of an image that shows both
    views, and pads views of slightly different size. This is what leads back from there.

    Attributes:
        shape: (rows, columns) of the frame as stored.
        number: number of the frame in its file, from 1.
        file: place of the file among those of the scan, from 0, in the order in which they were
            read.
        left: column of the upright frame at which the view begins; negative if columns were added
            on the left.
        turned: whether the frame was turned by 180 degrees to become upright.

    Raises:
        ParameterError: a number below 1, or a frame without pixels.

    Examples:
        >>> frame = SourceFrame(shape=(100, 40), number=2, turned=True)
        >>> frame.positions(np.array([[0.0, 0.0], [10.0, 5.0]])).tolist()
        [[100.0, 40.0], [90.0, 35.0]]
    """

    shape: tuple[int, int]
    number: int = 1
    file: int = 0
    left: int = 0
    turned: bool = False

    def __post_init__(self) -> None:
        if min(self.number, *self.shape) < 1 or self.file < 0:
            got = f"number {self.number} of file {self.file}, shape {self.shape}"
            raise ParameterError(
                "number", "SourceFrame", "a frame with pixels, counted from 1", got
            )

    def positions(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions in the stored frame of positions in the view.

        Positions are those of DICOM's spatial coordinates: the first pixel reaches from 0 to 1, so
        that its centre is at 0.5. What lies in padding comes to lie on the frame's edge.

        Args:
            points: (n, 2) rows and columns in the view.

        Returns:
            (n, 2) rows and columns in the frame as stored.
        """
        size = np.array(self.shape, dtype=np.float64)
        upright = np.asarray(points, dtype=np.float64) + np.array([0.0, self.left])
        found: NDArray[np.float64] = np.clip(size - upright if self.turned else upright, 0.0, size)
        return found
