"""One patient's anatomy: bones in place, landmarks, soft tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import FocusKind, UptakeSite
from bonescint.simulate.body import Body, build_body
from bonescint.simulate.focal import FocalUptake
from bonescint.simulate.patient import Patient, draw_patient
from bonescint.simulate.population import Population
from bonescint.simulate.posture import patient_positions
from bonescint.simulate.reference_skeleton import reference_skeleton
from bonescint.simulate.skeleton import Landmarks, Skeleton


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anatomy:
    """A patient's body, before any tracer.

    Attributes:
        patient: who it is.
        skeleton: the reference that it was made from.
        positions_mm: float32 (n, 3), where the bone samples lie.
        landmarks: ends and boxes of the bones.
        body: soft tissue and attenuation.
    """

    patient: Patient
    skeleton: Skeleton
    positions_mm: NDArray[np.float32]
    landmarks: Landmarks
    body: Body

    def bone_focus(
        self,
        *,
        region: str,
        centre_mm: NDArray[np.float32],
        radius_mm: float,
        contrast: float,
        normal: NDArray[np.float32],
        kind: FocusKind,
        cause: UptakeSite,
        elongation: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> FocalUptake:
        """Change the uptake of one bone around a point; other bones do not change.

        Args:
            region: the bone.
            centre_mm: (3,) middle of the focus.
            radius_mm: distance at which the focus has decreased to about a third.
            contrast: uptake at its core relative to the bone's own; below 1 is cold.
            normal: the patient's normal uptake (n,), by which it is scaled.
            kind: metastasis or mimic.
            cause: what it is.
            elongation: stretch along x, y and z.
        """
        span = self.skeleton.span(region)
        scale = (np.asarray(elongation) * radius_mm).astype(np.float32)
        x, y, z = ((self.positions_mm[span] - np.float32(centre_mm)) / scale).T
        squared = x * x + y * y + z * z
        # Nearly flat inside with a soft edge: lesions are neither points nor Gaussians.
        profile = np.exp(-(squared**2))
        chosen = np.flatnonzero(profile > 0.02)
        members, profile = span.start + chosen, profile[chosen]
        volume = self.skeleton.volume[members]
        # New bone forms at its own rate, even where normal uptake is low.
        floor = 0.45 * volume if contrast > 1 else np.float32(0)
        local = np.maximum(normal[members], floor)
        return FocalUptake(
            kind=kind,
            cause=cause,
            region=region,
            radius_mm=radius_mm,
            contrast=contrast,
            positions_mm=self.positions_mm[members],
            activity=np.asarray((contrast - 1) * profile * local, dtype=np.float32),
        )


def build_anatomy(patient: Patient, rng: np.random.Generator) -> Anatomy:
    """Build the anatomy of a given patient.

    Raises:
        MissingExtraError: the libraries of the extra `simulate` are not installed.
    """
    skeleton = reference_skeleton()
    positions = patient_positions(skeleton, patient, rng)
    landmarks = Landmarks(skeleton, positions)
    return Anatomy(
        patient=patient,
        skeleton=skeleton,
        positions_mm=positions,
        landmarks=landmarks,
        body=build_body(landmarks, patient, positions),
    )


def draw_anatomy(
    rng: np.random.Generator,
    population: Population | None = None,
    *,
    primary: str | None = None,
) -> Anatomy:
    """Draw a patient (see `draw_patient`) and build the anatomy."""
    return build_anatomy(draw_patient(rng, population, primary=primary), rng)
