"""A part of a view in which a model sees evidence of disease."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bonescint.scan.errors import ParameterError
from bonescint.scan.views import View


class BodyPart(StrEnum):
    """A part of the body, as far as a planar view tells it without knowing bones."""

    HEAD_AND_NECK = "head and neck"
    CHEST = "chest"
    ABDOMEN_AND_PELVIS = "abdomen and pelvis"
    LOWER_LIMB = "lower limb"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvidenceRegion:
    """A connected part of one view whose evidence is at or above a threshold.

    Attributes:
        view: the view in which it lies.
        outline: float64 (n, 2) rows and columns of a polygon's corners, at least 3, along the
            edges of the view's pixels: the first pixel reaches from 0 to 1. The last corner is
            joined to the first.
        peak: the highest value of the activation map inside, in the map's unit.
        level: the same on the scale of the evidence, 0 to 1.
        pixels: number of pixels inside.
        body_part: where on the body it lies, or `None` where that is not certain.

    Raises:
        ParameterError: fewer than 3 corners, or a level outside [0, 1].

    Examples:
        >>> square = np.array([[0, 0], [0, 2], [2, 2], [2, 0]], dtype=float)
        >>> EvidenceRegion(view=View.ANTERIOR, outline=square, peak=0.8, level=1.0, pixels=4).centre
        (1.0, 1.0)
    """

    view: View
    outline: NDArray[np.float64]
    peak: float
    level: float
    pixels: int
    body_part: BodyPart | None = None

    def __post_init__(self) -> None:
        outline = np.array(self.outline, dtype=np.float64, copy=True)
        if outline.ndim != 2 or outline.shape[0] < 3 or outline.shape[1] != 2:
            raise ParameterError("outline", "EvidenceRegion", "3 corners or more", outline.shape)
        if not 0 <= self.level <= 1:
            raise ParameterError("level", "EvidenceRegion", "from 0 to 1", self.level)
        outline.flags.writeable = False
        object.__setattr__(self, "outline", outline)

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column of the middle of the box around it."""
        middle = (self.outline.min(axis=0) + self.outline.max(axis=0)) / 2
        return float(middle[0]), float(middle[1])
