"""Which side of the patient a planar image shows, and how that was decided."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class View(StrEnum):
    """A planar whole-body view, as seen from its own side.

    ANTERIOR: the patient's right is on the image's left.
    POSTERIOR: the patient's right is on the image's right.
    """

    ANTERIOR = "anterior"
    POSTERIOR = "posterior"

    @property
    def opposite(self) -> View:
        """The other view."""
        return View.POSTERIOR if self is View.ANTERIOR else View.ANTERIOR


class ViewRule(StrEnum):
    """The rule that told which view an image is, strongest first."""

    VIEW_CODE = "view code sequence"
    GE_PRIVATE = "GE private view name"
    START_ANGLE = "detector start angle"
    ORIENTATION = "image orientation"
    DESCRIPTION = "image or series description"
    FILE_NAME = "file name"
    PICTURE_HALF = "left or right half of an AP|PA picture"
    PAGE_ORDER = "order of a picture's pages (assumed)"
    DETECTOR_ORDER = "detector number (assumed)"
    SIMULATED = "simulated"
    GIVEN = "given by the caller"


def mirrored(image: NDArray[Any]) -> NDArray[Any]:
    """Flip a view left to right, to lay a posterior view onto an anterior one.

    The only place where a scan's view is mirrored: views are stored and shown as seen from
    their own side, and only registration needs them alike. (Training may also mirror whole
    composites, at random, as the paper does.)

    Args:
        image: array of shape (rows, columns).

    Returns:
        A read-only view of the same shape with the columns reversed.

    Examples:
        >>> mirrored(np.array([[1, 2, 3]])).tolist()
        [[3, 2, 1]]
    """
    flipped = np.asarray(image)[:, ::-1]
    flipped.flags.writeable = False
    return flipped
