"""A synthetic patient: sex, age, build and position on the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bonescint.scan import ParameterError
from bonescint.simulate.anatomy_model import (
    AnatomyModel,
    LimbHabits,
    SharedAngle,
    anatomy_model,
)
from bonescint.simulate.population import SEXES, Population

_LEANEST = 16.0
_BUILD_SHAPE = 5.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPose:
    """Angles of one arm, in radians."""

    abduction: float
    rotation: float
    elbow_flexion: float
    forearm_rotation: float
    finger_flexion: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LegPose:
    """Angles of one leg, in radians."""

    rotation: float
    adduction: float
    knee_flexion: float
    ankle_flexion: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Everything that determines the shape of a body; lengths in millimetres.

    Attributes:
        sex: `"F"` or `"M"`.
        age: in years.
        height_mm: standing height.
        body_mass_index: in kg/m^2.
        central_fat: how much of the fat beyond a lean body is on the trunk rather than on the
            limbs; 0 evenly distributed, 1 all.
        primary: primary tumour, or empty for a patient without cancer.
        shoulder_width, chest_width, pelvis_width: relative to the reference skeleton at
            this height.
        chest_depth: the same, from back to front.
        scoliosis_mm, scoliosis_phase: amplitude and phase of the spine's side bend.
        kyphosis_mm: how far head and shoulders lie forward of the chest.
        lean: sideways lean, as a slope.
        head_turn, head_tilt: in radians.
        roll: rotation of the body on the table, in radians.
        arms, legs: left, then right.
        breathing_mm: movement of the ribs while the scan ran.
        anatomy: version of the simulated body.
        pelvis_tilt: rotation of the pelvis about the hip axis, in radians, forward at the top.
        shoulder_drop_mm: how much lower the shoulders lie than on the reference skeleton.
        segment_scales: factors of the lengths between the heights of `Proportions`, from the crown
            down, relative to the mean patient's; the arms' last.
        rib_slope_mm: how much lower the ribs' front ends lie than on the reference skeleton.
        uptake_spread: factor by which uptake varies more between places than in nature.
    """

    sex: str
    age: float
    height_mm: float
    body_mass_index: float
    central_fat: float
    primary: str
    shoulder_width: float
    chest_width: float
    pelvis_width: float
    chest_depth: float
    scoliosis_mm: float
    scoliosis_phase: float
    kyphosis_mm: float
    lean: float
    head_turn: float
    head_tilt: float
    roll: float
    arms: tuple[ArmPose, ArmPose]
    legs: tuple[LegPose, LegPose]
    breathing_mm: float
    anatomy: int = 1
    pelvis_tilt: float = 0.0
    shoulder_drop_mm: float = 0.0
    segment_scales: tuple[float, ...] = ()
    rib_slope_mm: float = 0.0
    uptake_spread: float = 1.0

    def __post_init__(self) -> None:
        if self.sex not in SEXES:
            raise ParameterError("sex", "Patient", "'F' or 'M'", self.sex)
        if not 1200 <= self.height_mm <= 2200:
            raise ParameterError("height_mm", "Patient", "from 1200 to 2200", self.height_mm)
        if not 12 <= self.body_mass_index <= 60:
            raise ParameterError(
                "body_mass_index", "Patient", "from 12 to 60 kg/m2", self.body_mass_index
            )
        if not 0 <= self.central_fat <= 1:
            raise ParameterError("central_fat", "Patient", "from 0 to 1", self.central_fat)


def _draw_arm(rng: np.random.Generator, body_mass_index: float, style: str) -> ArmPose:
    room = 0.006 * max(0.0, body_mass_index - 24)
    abduction = 0.01 + abs(rng.normal(0, 0.035)) + room
    elbow = 0.08 + abs(rng.normal(0, 0.08))
    if style == "hands on thighs":
        elbow += rng.uniform(0.1, 0.25)
    elif style == "arms out":
        abduction += rng.uniform(0.05, 0.25)
    return ArmPose(
        abduction=abduction,
        rotation=0.35 + rng.normal(0, 0.25),
        elbow_flexion=elbow,
        forearm_rotation=rng.normal(0.35, 0.5),
        finger_flexion=abs(rng.normal(0.15, 0.2)),
    )


def _draw_leg(rng: np.random.Generator) -> LegPose:
    return LegPose(
        rotation=-0.28 + rng.normal(0, 0.15),
        adduction=-0.06 + rng.normal(0, 0.035),
        knee_flexion=0.04 + abs(rng.normal(0, 0.04)),
        ankle_flexion=-0.55 + rng.normal(0, 0.15),
    )


def draw_patient(
    rng: np.random.Generator,
    population: Population | None = None,
    *,
    primary: str | None = None,
) -> Patient:
    """Draw a patient who comes for a bone scan: mostly elderly, of any build.

    Args:
        rng: source of randomness; the same state gives the same patient.
        population: population of the centre; the default one if `None`.
        primary: primary tumour to give, empty for none; drawn if `None`. A tumour that only
            one sex has in the population sets the sex.

    Raises:
        ParameterError: a primary tumour that nobody in the population has.

    Examples:
        >>> patient = draw_patient(np.random.default_rng(1))
        >>> patient == draw_patient(np.random.default_rng(1))
        True
    """
    population = population or Population()
    sex = "F" if rng.random() < population.female_share else "M"
    if primary:
        sex = _sex_with(primary, population, sex)
    age = float(np.clip(rng.normal(population.age_mean, population.age_sd), 22, 95))
    height = rng.normal(1625, 68) if sex == "F" else rng.normal(1750, 72)
    height = float(np.clip(height - 1.2 * max(0.0, age - 50), 1400, 2020))
    build = (population.body_mass_index_mean - _LEANEST) / _BUILD_SHAPE
    index = float(np.clip(_LEANEST + rng.gamma(_BUILD_SHAPE, build), 15.5, 50))
    cancer = rng.random() < population.cancer_share
    if primary is None:
        primary = _drawn_primary(rng, population.primaries(sex)) if cancer else ""
    style = str(rng.choice(["at sides", "hands on thighs", "arms out"], p=[0.60, 0.28, 0.12]))
    female = sex == "F"
    bend = abs(rng.normal(0, 4)) if rng.random() < 0.85 else rng.uniform(8, 25)
    patient = Patient(
        sex=sex,
        age=age,
        height_mm=height,
        body_mass_index=index,
        central_fat=float(np.clip(rng.normal(0.15 if female else 0.45, 0.2), 0, 1)),
        primary=primary,
        shoulder_width=float(np.clip(rng.normal(0.97 if female else 1.05, 0.045), 0.84, 1.2)),
        chest_width=float(np.clip(rng.normal(0.99 if female else 1.04, 0.05), 0.84, 1.22)),
        pelvis_width=float(np.clip(rng.normal(1.06 if female else 1.0, 0.045), 0.88, 1.2)),
        chest_depth=float(np.clip(rng.normal(1.0, 0.06), 0.82, 1.25)),
        scoliosis_mm=float(bend),
        scoliosis_phase=float(rng.uniform(0, 2 * np.pi)),
        kyphosis_mm=float(max(0.0, rng.normal(4 + 0.35 * max(0.0, age - 60), 7))),
        lean=float(rng.normal(0, 0.012)),
        head_turn=float(rng.normal(0, 0.13) if rng.random() < 0.8 else rng.normal(0, 0.5)),
        head_tilt=float(rng.normal(0, 0.10)),
        roll=float(rng.normal(0, 0.05)),
        arms=(_draw_arm(rng, index, style), _draw_arm(rng, index, style)),
        legs=(_draw_leg(rng), _draw_leg(rng)),
        breathing_mm=float(rng.uniform(3.0, 6.0)),
    )
    patient = _with_anatomy(patient, anatomy_model(population.anatomy), rng)
    if population.uptake_spread == 1:  # draws nothing: cohorts of release 0.1 stay as they are
        return patient
    return replace(patient, uptake_spread=float(rng.uniform(1, population.uptake_spread)))


def _with_anatomy(patient: Patient, model: AnatomyModel, rng: np.random.Generator) -> Patient:
    """Adapt a patient who was drawn for version 1 to a version of the body."""
    limbs, proportions = model.limbs, model.proportions
    if limbs is not None:
        # Stout people's arms are held off by the trunk.
        room = 0.006 * max(0.0, patient.body_mass_index - 24)
        patient = replace(
            patient, arms=_alike_arms(limbs, rng, room=room), legs=_alike_legs(limbs, rng)
        )
    if proportions is not None:
        patient = replace(
            patient,
            shoulder_width=patient.shoulder_width * proportions.shoulder_width,
            pelvis_width=patient.pelvis_width * proportions.pelvis_width,
            scoliosis_mm=patient.scoliosis_mm * proportions.bend,
            lean=patient.lean * proportions.bend,
            head_tilt=patient.head_tilt * proportions.head_tilt,
            pelvis_tilt=float(rng.normal(*proportions.pelvis_tilt)),
            shoulder_drop_mm=float(rng.normal(*proportions.shoulder_drop_mm)),
            segment_scales=tuple(
                np.exp(rng.normal(0, proportions.segment_sd, len(proportions.heights_mm))).tolist()
            ),
            rib_slope_mm=float(rng.normal(*proportions.rib_slope_mm)),
        )
    return replace(patient, anatomy=model.version)


def _both(angle: SharedAngle, rng: np.random.Generator) -> tuple[float, float]:
    """An angle of both sides, nearly the same."""
    shared = rng.normal(angle.mean, angle.sd)
    left, right = shared + rng.normal(0, angle.own_sd, size=2)
    return float(left), float(right)


def _alike_arms(
    limbs: LimbHabits, rng: np.random.Generator, *, room: float
) -> tuple[ArmPose, ArmPose]:
    drawn = [
        _both(angle, rng)
        for angle in (
            limbs.abduction,
            limbs.rotation,
            limbs.elbow_flexion,
            limbs.forearm_rotation,
            limbs.finger_flexion,
        )
    ]
    left, right = (
        ArmPose(
            abduction=max(0.0, abduction + room),
            rotation=rotation,
            elbow_flexion=max(0.03, elbow),
            forearm_rotation=forearm,
            finger_flexion=abs(finger),
        )
        for abduction, rotation, elbow, forearm, finger in zip(*drawn, strict=True)
    )
    return left, right


def _alike_legs(limbs: LimbHabits, rng: np.random.Generator) -> tuple[LegPose, LegPose]:
    drawn = [
        _both(angle, rng)
        for angle in (
            limbs.leg_rotation,
            limbs.leg_adduction,
            limbs.knee_flexion,
            limbs.ankle_flexion,
        )
    ]
    left, right = (
        LegPose(
            rotation=rotation,
            adduction=adduction,
            knee_flexion=max(0.02, knee),
            ankle_flexion=ankle,
        )
        for rotation, adduction, knee, ankle in zip(*drawn, strict=True)
    )
    return left, right


def _drawn_primary(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    names = list(shares)
    weights = np.array([shares[name] for name in names])
    return str(rng.choice(names, p=weights / weights.sum()))


def _sex_with(primary: str, population: Population, drawn: str) -> str:
    """The drawn sex if it can have the tumour, else the other one."""
    having = [sex for sex in SEXES if population.primaries(sex).get(primary, 0) > 0]
    if not having:
        known = sorted({name for sex in SEXES for name in population.primaries(sex)})
        raise ParameterError("primary", "draw_patient", f"one of {', '.join(known)}", primary)
    return drawn if drawn in having else having[0]
