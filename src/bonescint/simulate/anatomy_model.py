"""Versions of the simulated body: 1 as in release 0.1, 2 fitted to real normal scans.

Version 2 was fitted to aggregates of 44 real scans without visible disease (mean and spread of
the prepared scans; docs/simulator.md): no single scan was used, and none can be reconstructed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bonescint.scan import ParameterError

_Normal = tuple[float, float]
"""Mean and standard deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedAngle:
    """An angle that both limbs of a pair nearly share, in radians.

    Attributes:
        mean: over patients.
        sd: between patients.
        own_sd: standard deviation of one side against the other.
    """

    mean: float
    sd: float
    own_sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LimbHabits:
    """How patients lie: each angle is drawn per patient, and per side around the patient's value.

    Attributes:
        abduction, rotation, elbow_flexion, forearm_rotation, finger_flexion: of the arms.
        leg_rotation, leg_adduction, knee_flexion, ankle_flexion: of the legs.
    """

    abduction: SharedAngle
    rotation: SharedAngle
    elbow_flexion: SharedAngle
    forearm_rotation: SharedAngle
    finger_flexion: SharedAngle
    leg_rotation: SharedAngle
    leg_adduction: SharedAngle
    knee_flexion: SharedAngle
    ankle_flexion: SharedAngle


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportions:
    """How the reference skeleton is changed to a body of version 2, before a patient is drawn.

    Attributes:
        heights_mm: pairs of distances below the crown, on the reference skeleton and on the new
            body; linear between them.
        arm_length: length of the arms, relative to the reference.
        shoulder_width, pelvis_width: relative to what the patient draws.
        pelvis_tilt: rotation of the pelvis about the hip axis, in radians, forward at the top.
        shoulder_drop_mm: how much lower the shoulders lie than on the reference.
        segment_sd: SD of the logarithm of each length between two of `heights_mm`, and of the
            arms', between patients.
        rib_slope_mm: how much lower the ribs' front ends lie than on the reference.
        bend: bend of the spine to the side, relative to version 1.
        head_tilt: tilt of the head to the side, relative to version 1.
        bladder_rise_mm: how much higher the bladder lies than in version 1.
    """

    heights_mm: tuple[tuple[float, float], ...]
    arm_length: float
    shoulder_width: float
    pelvis_width: float
    pelvis_tilt: _Normal
    shoulder_drop_mm: _Normal
    segment_sd: float
    rib_slope_mm: _Normal
    bend: float
    head_tilt: float
    bladder_rise_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnatomyModel:
    """One version of the simulated body.

    Attributes:
        version: as a protocol names it.
        limbs: how arms and legs lie; `None` draws each limb on its own, as version 1 does.
        proportions: proportions of the body; `None` leaves the reference skeleton as it is.
        uptake_levels: whether uptake follows the table that was fitted to real scans.
    """

    version: int
    limbs: LimbHabits | None
    proportions: Proportions | None
    uptake_levels: bool


_REFERENCE_HEIGHTS_MM = (0, 196, 256, 286, 555, 674, 825, 887, 1249, 1615, 1690, 1900)
_NEW_HEIGHTS_MM = (0, 194, 264, 298, 598, 686, 848, 930, 1250, 1580, 1650, 1860)

ANATOMIES: Mapping[int, AnatomyModel] = MappingProxyType(
    {
        1: AnatomyModel(version=1, limbs=None, proportions=None, uptake_levels=False),
        2: AnatomyModel(
            version=2,
            limbs=LimbHabits(
                abduction=SharedAngle(mean=0.25, sd=0.05, own_sd=0.015),
                rotation=SharedAngle(mean=1.2, sd=0.15, own_sd=0.05),
                elbow_flexion=SharedAngle(mean=0.26, sd=0.08, own_sd=0.02),
                forearm_rotation=SharedAngle(mean=0.3, sd=0.4, own_sd=0.1),
                finger_flexion=SharedAngle(mean=0.3, sd=0.15, own_sd=0.1),
                leg_rotation=SharedAngle(mean=-0.25, sd=0.26, own_sd=0.13),
                leg_adduction=SharedAngle(mean=-0.015, sd=0.02, own_sd=0.016),
                knee_flexion=SharedAngle(mean=0.08, sd=0.03, own_sd=0.01),
                ankle_flexion=SharedAngle(mean=-0.38, sd=0.22, own_sd=0.1),
            ),
            proportions=Proportions(
                heights_mm=tuple(zip(_REFERENCE_HEIGHTS_MM, _NEW_HEIGHTS_MM, strict=True)),
                arm_length=1.02,
                shoulder_width=0.96,
                pelvis_width=1.04,
                pelvis_tilt=(0.12, 0.06),
                shoulder_drop_mm=(17.0, 10.0),
                segment_sd=0.05,
                rib_slope_mm=(0.0, 12.0),
                bend=0.6,
                head_tilt=1.5,
                bladder_rise_mm=20.0,
            ),
            uptake_levels=True,
        ),
    }
)


def anatomy_model(version: int) -> AnatomyModel:
    """Look up a version of the simulated body.

    Raises:
        ParameterError: no such version.

    Examples:
        >>> anatomy_model(1).proportions is None
        True
    """
    if version not in ANATOMIES:
        known = f"one of {', '.join(map(str, ANATOMIES))}"
        raise ParameterError("anatomy", "anatomy_model", known, version)
    return ANATOMIES[version]
