"""The part of the body of a region: told where it is certain, and not told where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from bonescint.explain.body_parts import BodyInView
from bonescint.scan import BodyPart

ROWS, COLUMNS, PIXEL_MM = 900, 250, (2.0, 2.0)


def _patient(first: int = 25, last: int = 875) -> np.ndarray:
    """A patient of 1.7 m: 850 rows of 2 mm, 60 columns wide, around column 125."""
    image = np.zeros((ROWS, COLUMNS), np.float32)
    image[first:last, 95:155] = 20
    return image


def _outline(height: float, aside_mm: float = 0.0) -> np.ndarray:
    """A square of 2 x 2 cm at a share of the height and a distance from the axis."""
    row, column = 25 + 850 * height, 125 + aside_mm / 2
    corners = np.array([[-5, -5], [-5, 5], [5, 5], [5, -5]])
    return corners + np.array([row, column])


@pytest.mark.parametrize(
    ("height", "aside_mm", "part"),
    [
        (0.05, 0, BodyPart.HEAD_AND_NECK),
        (0.05, 80, BodyPart.HEAD_AND_NECK),
        (0.15, 0, None),  # neck, clavicle or thorax
        (0.24, 0, BodyPart.CHEST),
        (0.24, 90, None),  # a rib, or an arm
        (0.33, 0, None),
        (0.40, 20, BodyPart.ABDOMEN_AND_PELVIS),
        (0.40, 150, None),  # the pelvis, or a hand
        (0.55, 0, None),
        (0.80, 60, BodyPart.LOWER_LIMB),
    ],
)
def test_height_and_distance_tell_the_part(
    height: float, aside_mm: float, part: BodyPart | None
) -> None:
    body = BodyInView.of(_patient(), PIXEL_MM)
    assert body.part_of(_outline(height, aside_mm)) is part


def test_a_region_that_reaches_beyond_a_part_has_none() -> None:
    body = BodyInView.of(_patient(), PIXEL_MM)
    tall = np.vstack([_outline(0.24), _outline(0.34)])
    assert body.part_of(tall) is None


@pytest.mark.parametrize(
    ("image", "spacing"),
    [
        (_patient(first=0), PIXEL_MM),  # the head is cut off
        (_patient(last=ROWS), PIXEL_MM),  # the feet are
        (_patient(), None),
        (_patient(), (1.0, 1.0)),  # 0.85 m
        (np.zeros((ROWS, COLUMNS), np.float32), PIXEL_MM),
    ],
)
def test_without_the_whole_patient_nothing_is_told(
    image: np.ndarray, spacing: tuple[float, float] | None
) -> None:
    assert BodyInView.of(image, spacing).part_of(_outline(0.24)) is None
