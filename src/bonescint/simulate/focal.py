"""Focal uptake: activity added at a place in bone or soft tissue, with its cause."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import FocusKind, ParameterError, UptakeSite
from bonescint.simulate.constants import SAMPLE_PITCH_MM

_SHIFTS = (0.7548776662466927, 0.5698402909980532)
"""Shares of the pitch by which a layer of samples is shifted against the one before it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FocalUptake:
    """Activity that a metastasis, a worn joint or an injection adds.

    Attributes:
        kind: metastasis, mimic or organ.
        cause: what it is.
        region: bone or organ.
        radius_mm: size.
        contrast: uptake at its core over the bone around it; below 1 for a cold focus.
        positions_mm: float32 (n, 3), samples that carry it.
        activity: float32 (n,), added concentration times volume (negative where cold).

    Raises:
        ParameterError: a cause that is not listed in `UptakeSite`.
    """

    kind: FocusKind
    cause: UptakeSite
    region: str
    radius_mm: float
    contrast: float
    positions_mm: NDArray[np.float32]
    activity: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not isinstance(self.cause, UptakeSite):  # else tables could not count it
            raise ParameterError("cause", "FocalUptake", "one of UptakeSite", self.cause)


def with_cold_core(focus: FocalUptake, centre_mm: NDArray[np.float32]) -> FocalUptake:
    """A hot focus whose middle takes up less than normal bone: a ring, as in mixed disease.

    Args:
        focus: a hot focus in bone.
        centre_mm: (3,) its middle.
    """
    if focus.contrast <= 1:
        return focus
    distance = np.sqrt(((focus.positions_mm - centre_mm) ** 2).sum(axis=1)) / focus.radius_mm
    core = np.exp(-((distance / 0.55) ** 4))
    # In the core seven tenths of the bone's own uptake are removed.
    change = 1 - core * (1 + 0.7 / (focus.contrast - 1))
    return replace(focus, activity=np.asarray(focus.activity * change, dtype=np.float32))


def tube_samples(points_mm: NDArray[np.float32], pitch_mm: float) -> NDArray[np.float32]:
    """Samples along a line through points: a vein, a ureter, a catheter.

    Args:
        points_mm: (n, 3) corners of the line.
        pitch_mm: distance of the samples in a layer, and of the layers.

    Returns:
        float32 array (m, 3).

    Examples:
        >>> len(tube_samples(np.array([[0.0, 0, 0], [10.0, 0, 0]]), 2.0))
        6
    """
    pieces = []
    for start, end in pairwise(points_mm):
        steps = max(1, round(float(np.linalg.norm(end - start)) / pitch_mm))
        share = np.linspace(0, 1, steps + 1)[:, None]
        pieces.append(start + share * (end - start))
    return np.concatenate(pieces).astype(np.float32)


def soft_tube(
    *,
    cause: UptakeSite,
    region: str,
    points_mm: NDArray[np.float32],
    radius_mm: float,
    concentration: float,
    kind: FocusKind = FocusKind.MIMIC,
) -> FocalUptake:
    """Activity along a line outside bone.

    Args:
        cause: what it is.
        region: where it is.
        points_mm: (n, 3) corners of the line.
        radius_mm: radius of its lumen.
        concentration: relative to a standard bone.
        kind: mimic or organ.
    """
    pitch = 2.0
    positions = tube_samples(points_mm, pitch)
    volume = np.pi * radius_mm**2 * pitch / SAMPLE_PITCH_MM**3
    return FocalUptake(
        kind=kind,
        cause=cause,
        region=region,
        radius_mm=radius_mm,
        contrast=concentration,
        positions_mm=positions,
        activity=np.full(len(positions), concentration * volume, dtype=np.float32),
    )


def ellipsoid_samples(
    centre_mm: NDArray[np.float32], radii_mm: NDArray[np.float32], pitch_mm: float
) -> NDArray[np.float32]:
    """Fill an ellipsoid with samples.

    They lie on layers from back to front, each shifted against the others, so that no grid shows in
    a projection (the shifts: Roberts' R2 sequence).

    Args:
        centre_mm: (3,) centre.
        radii_mm: (3,) semi-axes.
        pitch_mm: distance of the samples in a layer, and of the layers.

    Returns:
        float32 array (n, 3); at least one sample.

    Examples:
        >>> points = ellipsoid_samples(np.zeros(3), np.full(3, 10.0), 1.0)
        >>> bool(abs(len(points) / (4 / 3 * np.pi * 1000) - 1) < 0.05)
        True
    """
    axes = [
        np.arange(-np.ceil(radius / pitch_mm), np.ceil(radius / pitch_mm) + 1) * pitch_mm
        for radius in radii_mm
    ]
    x, y, z = axes
    layer = np.arange(y.size)
    across = x[:, None] + (layer * _SHIFTS[0] % 1 - 0.5) * pitch_mm
    along = z[None, :] + ((layer * _SHIFTS[1] % 1 - 0.5) * pitch_mm)[:, None]
    inside = np.nonzero(
        ((across / radii_mm[0]) ** 2 + (y / radii_mm[1]) ** 2)[:, :, None]
        + (along / radii_mm[2]) ** 2
        <= 1
    )
    first, second, third = inside
    places = np.stack([across[first, second], y[second], along[second, third]], axis=1)
    if not len(places):
        places = np.zeros((1, 3))
    return np.asarray(places + centre_mm, dtype=np.float32)


def soft_focus(
    *,
    cause: UptakeSite,
    region: str,
    centre_mm: NDArray[np.float32],
    radii_mm: NDArray[np.float32],
    concentration: float,
    kind: FocusKind = FocusKind.MIMIC,
) -> FocalUptake:
    """Activity in an ellipsoid outside bone: an organ, urine, an injection site.

    Args:
        cause: what it is.
        region: where it is.
        centre_mm: (3,) centre.
        radii_mm: (3,) semi-axes.
        concentration: relative to a standard bone.
        kind: mimic or organ.
    """
    smallest = float(np.min(radii_mm))
    pitch = float(np.clip(smallest / 3, 1.5, 4.0))
    positions = ellipsoid_samples(centre_mm, radii_mm, pitch)
    per_sample = concentration * (pitch / SAMPLE_PITCH_MM) ** 3
    # Organs move and are no ellipsoids: a flat core and a soft rim.
    away = (positions - centre_mm) / radii_mm
    depth = 1 - np.einsum("ij,ij->i", away, away)
    return FocalUptake(
        kind=kind,
        cause=cause,
        region=region,
        radius_mm=float(np.cbrt(np.prod(radii_mm))),
        contrast=concentration,
        positions_mm=positions,
        activity=np.asarray(per_sample * np.clip(1.6 * depth, 0.05, 1), dtype=np.float32),
    )
