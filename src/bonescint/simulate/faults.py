"""Faults of a detector: uneven crystals, tubes out of tune, seams, dead columns.

In a whole-body scan the table carries the patient past a detector that does not move. Each row is
seen by the whole length of the detector, and each column always by the same line of the crystal.
So a fault at one place of a crystal is smeared along the rows and appears as a vertical stripe over
the whole view, weaker in proportion to its share of the length. All shares, depths and widths are
assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ParameterError, View
from bonescint.scan.checked import check_member
from bonescint.simulate.camera import Camera

_TUBE_MM = 60.0
"""Distance between photomultipliers: tubes of 51 and 76 mm are usual."""


class FaultKind(StrEnum):
    """The cause of a stripe."""

    WEAK_TUBE = "weak tube"
    SEAM = "seam"
    DEAD_COLUMN = "dead column"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripe:
    """A vertical stripe in which a detector counts too little or too much.

    Attributes:
        kind: its cause.
        centre_mm: distance of its middle from the middle of the field, to the right in the
            view as seen from its own side.
        width_mm: full width, of a weak tube's soft stripe at half its depth.
        loss: share of the counts that is lost in its middle; below 0 counts are gained.

    Raises:
        ParameterError: no width, or a loss above 1 or below -1.
    """

    kind: FaultKind
    centre_mm: float
    width_mm: float
    loss: float

    def __post_init__(self) -> None:
        check_member(self, "kind", FaultKind)
        if not self.width_mm > 0:
            raise ParameterError("width_mm", "Stripe", "above 0", self.width_mm)
        if not -1 <= self.loss <= 1:
            raise ParameterError("loss", "Stripe", "from -1 to 1", self.loss)

    def sensitivity(self, x_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sensitivity at distances from the middle of the field; 1 outside the stripe.

        Examples:
            >>> seam = Stripe(kind=FaultKind.SEAM, centre_mm=0.0, width_mm=4.0, loss=0.25)
            >>> seam.sensitivity(np.array([-3.0, 0.0, 1.9, 2.1])).tolist()
            [1.0, 0.75, 0.75, 1.0]
        """
        away = np.abs(x_mm - self.centre_mm) / self.width_mm
        if self.kind is FaultKind.WEAK_TUBE:
            depth = np.where(away < 1, np.cos(np.pi / 2 * away) ** 2, 0.0)
        else:
            depth = np.where(away < 0.5, 1.0, 0.0)
        return 1 - self.loss * depth


@dataclass(frozen=True, slots=True, kw_only=True)
class Ripple:
    """A wave of sensitivity across a detector: the tubes' pattern that remains after correction.

    Attributes:
        amplitude: over the sensitivity.
        period_mm: about the distance of the tubes.
        phase: in radians.
    """

    amplitude: float
    period_mm: float
    phase: float

    def __post_init__(self) -> None:
        if not 0 <= self.amplitude < 1:
            raise ParameterError("amplitude", "Ripple", "from 0 to below 1", self.amplitude)
        if not self.period_mm > 0:
            raise ParameterError("period_mm", "Ripple", "above 0", self.period_mm)

    def sensitivity(self, x_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sensitivity at distances from the middle of the field, 1 on average."""
        return 1 + self.amplitude * np.cos(2 * np.pi * x_mm / self.period_mm + self.phase)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFaults:
    """All faults of one detector on one day.

    Attributes:
        ripples: waves of sensitivity.
        stripes: tubes out of tune, seams, dead columns.
    """

    ripples: tuple[Ripple, ...] = ()
    stripes: tuple[Stripe, ...] = ()

    def sensitivity(self, camera: Camera) -> NDArray[np.float32]:
        """Sensitivity of each column of the view (columns,), 1 for a faultless head."""
        x = across_field_mm(camera)
        total = np.ones(camera.columns)
        for ripple in self.ripples:
            total *= ripple.sensitivity(x)
        for stripe in self.stripes:
            total *= stripe.sensitivity(x)
        return total.astype(np.float32)


def across_field_mm(camera: Camera) -> NDArray[np.float64]:
    """Distance of each column's middle from the middle of the field."""
    columns = np.arange(camera.columns, dtype=np.float64) + 0.5
    return np.asarray((columns - camera.columns / 2) * camera.pixel_mm)


def field_of(camera: Camera) -> NDArray[np.float32]:
    """1 for columns inside the camera's field, 0 outside: (columns,)."""
    if camera.field_width_mm is None:
        return np.ones(camera.columns, dtype=np.float32)
    inside = np.abs(across_field_mm(camera)) < camera.field_width_mm / 2
    return inside.astype(np.float32)


def draw_faults(camera: Camera, rng: np.random.Generator) -> dict[View, HeadFaults]:
    """Draw the faults of both detectors, with the camera's own probabilities.

    Args:
        camera: with the probabilities.
        rng: source of randomness.

    Examples:
        >>> faultless = Camera(name="c", maker="m")
        >>> draw_faults(faultless, np.random.default_rng(0))[View.ANTERIOR]
        HeadFaults(ripples=(), stripes=())
    """
    return {view: _draw_head(camera, rng) for view in View}


def _draw_head(camera: Camera, rng: np.random.Generator) -> HeadFaults:
    half = (camera.field_width_mm or camera.columns * camera.pixel_mm) / 2
    ripples: list[Ripple] = []
    if camera.ripple > 0:
        # Waves of a tube's distance, half and twice that; their variances add up.
        shares = rng.dirichlet([2.0, 1.0, 1.0])
        for share, factor in zip(shares, (1.0, 0.5, 2.0), strict=True):
            ripples.append(
                Ripple(
                    amplitude=float(camera.ripple * np.sqrt(2 * share)),
                    period_mm=float(_TUBE_MM * factor * rng.uniform(0.85, 1.15)),
                    phase=float(rng.uniform(0, 2 * np.pi)),
                )
            )
    stripes: list[Stripe] = []
    if rng.random() < camera.weak_tube_share:
        # One tube among those along the head's length: the stripe is that much weaker.
        length = _TUBE_MM / camera.field_length_mm
        stripes.append(
            Stripe(
                kind=FaultKind.WEAK_TUBE,
                centre_mm=float(rng.uniform(-half, half)),
                width_mm=float(_TUBE_MM * rng.uniform(0.8, 1.3)),
                loss=float(length * rng.uniform(0.15, 1.0)),
            )
        )
    if rng.random() < camera.seam_share:
        stripes.append(
            Stripe(
                kind=FaultKind.SEAM,
                centre_mm=float(rng.normal(0, 40)),
                width_mm=float(camera.pixel_mm * rng.integers(1, 4)),
                loss=float(rng.uniform(0.05, 0.25) * rng.choice([-1.0, 1.0], p=[0.3, 0.7])),
            )
        )
    if rng.random() < camera.dead_column_share:
        stripes.append(
            Stripe(
                kind=FaultKind.DEAD_COLUMN,
                centre_mm=float(rng.uniform(-half, half)),
                width_mm=camera.pixel_mm,
                loss=1.0,
            )
        )
    return HeadFaults(ripples=tuple(ripples), stripes=tuple(stripes))
