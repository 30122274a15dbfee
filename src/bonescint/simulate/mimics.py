"""Benign findings that look like metastases: worn joints, fractures, teeth, Paget, metal.

They are equally frequent in positive and negative patients, so that hot spots alone do not reveal
disease. The shares are assumed unless a source is given.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import FocusKind, UptakeSite
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.focal import FocalUptake

_Point = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Joint:
    """A joint that wears: its place in a bone, how often, how hot, how large."""

    cause: UptakeSite
    region: str
    place: tuple[float | None, float | None, float | None]  # along, lateral, front
    share: float
    excess: float
    radius_mm: tuple[float, float]


_PAIRED_JOINTS = (
    _Joint(UptakeSite.MEDIAL_KNEE, "tibia", (1.0, 0.0, None), 0.26, 1.3, (9, 18)),
    _Joint(UptakeSite.LATERAL_KNEE, "tibia", (1.0, 1.0, None), 0.18, 1.2, (9, 18)),
    _Joint(UptakeSite.FEMORAL_KNEE, "femur", (0.0, None, 1.0), 0.16, 1.2, (9, 18)),
    _Joint(UptakeSite.PATELLA, "patella", (0.5, 0.5, 1.0), 0.22, 2.2, (9, 16)),
    _Joint(UptakeSite.SHOULDER, "humerus", (1.0, None, None), 0.34, 1.5, (9, 22)),
    _Joint(UptakeSite.ACROMIOCLAVICULAR, "clavicle", (None, 1.0, None), 0.24, 2.0, (7, 12)),
    _Joint(UptakeSite.GLENOID, "scapula", (0.85, 1.0, None), 0.14, 1.6, (8, 13)),
    _Joint(UptakeSite.STERNOCLAVICULAR, "clavicle", (None, 0.0, None), 0.30, 2.2, (7, 13)),
    _Joint(UptakeSite.HIP, "pelvis", (0.36, 0.85, 0.45), 0.14, 1.6, (10, 20)),
    _Joint(UptakeSite.TROCHANTER, "femur", (0.86, 0.9, 0.4), 0.08, 1.6, (8, 15)),
    _Joint(UptakeSite.SACROILIAC, "pelvis", (0.6, 0.3, 0.15), 0.12, 1.2, (10, 18)),
    _Joint(UptakeSite.PUBIC_SYMPHYSIS, "pelvis", (0.08, 0.0, None), 0.10, 1.5, (7, 12)),
    _Joint(UptakeSite.ANKLE, "foot", (1.0, None, 0.3), 0.20, 2.4, (9, 15)),
    _Joint(UptakeSite.FIRST_TOE, "foot", (None, 0.1, 0.9), 0.22, 3.5, (6, 10)),
    _Joint(UptakeSite.MIDFOOT, "foot", (0.6, None, 0.55), 0.14, 2.6, (8, 13)),
    _Joint(UptakeSite.THUMB_BASE, "hand", (0.85, 0.1, None), 0.22, 3.2, (5, 9)),
    _Joint(UptakeSite.WRIST, "radius", (0.0, None, None), 0.14, 1.8, (7, 11)),
    _Joint(UptakeSite.FINGERS, "hand", (0.35, None, None), 0.12, 3.0, (4, 7)),
    _Joint(UptakeSite.ELBOW, "ulna", (1.0, None, None), 0.12, 1.8, (7, 12)),
    _Joint(UptakeSite.COSTOCHONDRAL, "rib05", (None, None, 1.0), 0.05, 2.2, (6, 9)),
    _Joint(UptakeSite.FIRST_RIB, "rib01", (None, None, 1.0), 0.22, 2.0, (7, 11)),
)
_MIDLINE = (
    _Joint(UptakeSite.MANUBRIUM, "sternum", (0.92, 0.15, None), 0.16, 0.9, (10, 18)),
    _Joint(UptakeSite.STERNAL_ANGLE, "sternum", (0.79, 0.0, None), 0.18, 1.4, (7, 11)),
    _Joint(UptakeSite.XIPHOID, "sternum", (0.38, 0.0, None), 0.08, 1.8, (6, 9)),
    _Joint(UptakeSite.DENTAL, "mandible", (None, 0.7, 0.6), 0.34, 2.8, (6, 11)),
    _Joint(UptakeSite.UPPER_JAW, "skull", (0.10, 0.25, 0.88), 0.34, 2.2, (7, 14)),
    _Joint(UptakeSite.SINUS, "skull", (0.30, 0.1, 0.92), 0.24, 1.8, (8, 16)),
    _Joint(UptakeSite.FRONTAL_SKULL, "skull", (0.65, 0.2, 0.95), 0.10, 1.0, (14, 28)),
    _Joint(UptakeSite.ATLAS, "C1", (0.5, 0.7, None), 0.10, 1.6, (6, 10)),
)
_WORN_LEVELS = (
    *(f"C{level}" for level in range(4, 8)),
    *(f"T{level}" for level in range(8, 13)),
    *(f"L{level}" for level in range(1, 6)),
)


_LIMB_FRACTURES = (
    ("radius", 0.06, 10.0),
    ("humerus", 0.86, 15.0),
    ("tibia", 0.10, 12.0),
    ("fibula", 0.10, 8.0),
    ("foot", 0.30, 6.0),
    ("femur", 0.85, 16.0),
    ("clavicle", 0.5, 9.0),
)
_PAGET_BONES = (
    "pelvis L",
    "pelvis R",
    "femur L",
    "femur R",
    "tibia L",
    "tibia R",
    "L2",
    "L3",
    "L4",
    "T11",
    "skull",
    "sacrum",
    "humerus L",
    "humerus R",
    "scapula R",
)


class _Draw:
    """Draws the mimics of one patient."""

    def __init__(
        self,
        anatomy: Anatomy,
        normal: NDArray[np.float32],
        rng: np.random.Generator,
        only: Collection[UptakeSite] | None,
    ) -> None:
        self.anatomy = anatomy
        self.normal = normal
        self.rng = rng
        self.only = only
        age = anatomy.patient.age
        self.wear = float(np.clip(0.35 + (age - 40) / 50, 0.25, 1.3))
        # In some people all joints are hot, in others none.
        self.wear *= float(np.exp(rng.normal(0, 0.35)))
        self.found: list[FocalUptake] = []

    def at(self, region: str, place: tuple[float | None, float | None, float | None]) -> _Point:
        """One of the samples of a bone that are nearest to a place inside it."""
        skeleton = self.anatomy.skeleton
        members = skeleton.members(region)
        distance = np.zeros(len(members))
        axes = (skeleton.along, skeleton.lateral, skeleton.front)
        for axis, wanted in zip(axes, place, strict=True):
            target = self.rng.random() if wanted is None else wanted
            weight = 0.3 if wanted is None else 1.0
            distance += weight * (axis[members] - target) ** 2
        nearest = members[np.argpartition(distance, min(12, len(members) - 1))[:12]]
        return np.asarray(self.anatomy.positions_mm[self.rng.choice(nearest)])

    def add(
        self,
        cause: UptakeSite,
        region: str,
        centre: _Point,
        radius_mm: float,
        contrast: float,
        elongation: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        if self.only is not None and cause not in self.only:
            return
        self.found.append(
            self.anatomy.bone_focus(
                region=region,
                centre_mm=centre,
                radius_mm=radius_mm,
                contrast=contrast,
                normal=self.normal,
                kind=FocusKind.MIMIC,
                cause=cause,
                elongation=elongation,
            )
        )

    def contrast(self, excess: float) -> float:
        return 1 + float(self.rng.gamma(2.0, excess / 2.0))

    def joints(self) -> None:
        for joint in _PAIRED_JOINTS:
            both = self.rng.random() < 0.5  # worn joints are often worn on both sides
            for side in "LR":
                share = joint.share * self.wear
                if both:
                    share = min(1.0, 1.6 * share) if self.rng.random() < 0.6 else 0.2 * share
                if self.rng.random() < share:
                    self.joint(joint, f"{joint.region} {side}")
        for joint in _MIDLINE:
            if self.rng.random() < joint.share * min(self.wear, 1.2):
                self.joint(joint, joint.region)

    def joint(self, joint: _Joint, region: str) -> None:
        radius = float(self.rng.uniform(*joint.radius_mm))
        self.add(
            joint.cause, region, self.at(region, joint.place), radius, self.contrast(joint.excess)
        )

    def spine(self) -> None:
        for level in _WORN_LEVELS:
            share = (0.16 if level[0] in "CL" else 0.06) * self.wear
            if self.rng.random() < share:  # one facet, or the edge of the disc
                place = (None, 0.75, 0.36) if self.rng.random() < 0.6 else (0.95, 0.5, 0.75)
                radius = float(self.rng.uniform(6, 12))
                self.add(UptakeSite.FACET, level, self.at(level, place), radius, self.contrast(1.6))
        if self.rng.random() < 0.035 * self.wear:  # compression fracture: a band
            level = str(self.rng.choice(["T7", "T8", "T11", "T12", "L1", "L2", "L3"]))
            centre = self.at(level, (0.8, 0.0, 0.7))
            self.add(
                UptakeSite.COMPRESSION_FRACTURE,
                level,
                centre,
                17.0,
                self.contrast(3.0),
                (1.5, 1.2, 0.45),
            )

    def fractures(self) -> None:
        rng = self.rng
        if rng.random() < 0.13:  # ribs in a row
            side, first = str(rng.choice(["L", "R"])), int(rng.integers(3, 9))
            front, heat = float(rng.uniform(0.25, 0.95)), float(rng.gamma(4.0, 1.8))
            for number in range(first, min(first + int(rng.integers(2, 6)), 12)):
                region = f"rib{number:02d} {side}"
                place = (None, None, float(np.clip(front + rng.normal(0, 0.03), 0, 1)))
                centre, radius = self.at(region, place), float(rng.uniform(7, 11))
                contrast = 1 + heat * float(rng.uniform(0.5, 1.5))
                self.add(UptakeSite.RIB_FRACTURE, region, centre, radius, contrast)
        if rng.random() < 0.09:  # a single one: the hardest to distinguish
            region = f"rib{int(rng.integers(3, 12)):02d} {rng.choice(['L', 'R'])}"
            self.add(
                UptakeSite.RIB_FRACTURE,
                region,
                self.at(region, (None, None, rng.uniform(0.3, 1.0))),
                float(rng.uniform(6, 10)),
                self.contrast(5.5),
            )
        if rng.random() < 0.035 * self.wear:  # an older one of a limb
            bone, along, size = _LIMB_FRACTURES[int(rng.integers(len(_LIMB_FRACTURES)))]
            region = f"{bone} {rng.choice(['L', 'R'])}"
            self.add(
                UptakeSite.LIMB_FRACTURE,
                region,
                self.at(region, (along, None, None)),
                size * float(rng.uniform(0.8, 1.3)),
                self.contrast(2.6),
                (1.2, 1.2, 0.7),
            )
        self.sacral_fracture()

    def sacral_fracture(self) -> None:
        """Insufficiency fracture: an upright bar in either wing, often a crossing one: an H."""
        rng, female = self.rng, self.anatomy.patient.sex == "F"
        if rng.random() >= (0.018 if female else 0.006) * self.wear:
            return
        excess = self.contrast(4.0)
        low, high = self.anatomy.landmarks.box("sacrum")
        middle, wing = (low + high) / 2, float(high[0] - low[0]) / 2
        height = float(low[2] + 0.74 * (high[2] - low[2]))
        sides = (-1, 1) if rng.random() < 0.7 else (int(rng.choice([-1, 1])),)
        for side in sides:
            at = np.array([middle[0] + side * 0.62 * wing, middle[1], height], dtype=np.float32)
            self.add(UptakeSite.SACRAL_FRACTURE, "sacrum", at, 17.0, excess, (0.55, 3.0, 1.5))
        if len(sides) == 2 and rng.random() < 0.7:
            at = np.array([middle[0], middle[1], height - 4], dtype=np.float32)
            self.add(UptakeSite.SACRAL_FRACTURE, "sacrum", at, 17.0, excess, (1.9, 3.0, 0.45))

    def paget(self) -> None:
        """Most of one bone, hot throughout, at times with an edge inside a long bone."""
        rng = self.rng
        if rng.random() >= 0.012 * min(self.wear, 1.5):
            return
        region = str(rng.choice(_PAGET_BONES))
        contrast = float(rng.uniform(2.5, 6.0))
        marks = self.anatomy.landmarks
        if region.startswith(("femur", "tibia")) and rng.random() < 0.5:
            length = float(np.linalg.norm(marks.top(region) - marks.bottom(region)))
            start = marks.top(region) if rng.random() < 0.6 else marks.bottom(region)
            radius = length * float(rng.uniform(0.4, 0.8))
            self.add(UptakeSite.PAGET, region, start, radius, contrast)
        else:
            self.add(UptakeSite.PAGET, region, marks.centre(region), 400.0, contrast)

    def metal(self) -> None:
        rng = self.rng
        if rng.random() < 0.05 * self.wear:
            self.hip_prosthesis(str(rng.choice(["L", "R"])))
        if rng.random() < 0.05 * self.wear:
            self.knee_prosthesis(str(rng.choice(["L", "R"])))
        if rng.random() < 0.01 * self.wear:
            region = f"humerus {rng.choice(['L', 'R'])}"
            self.add(
                UptakeSite.SHOULDER_PROSTHESIS,
                region,
                self.at(region, (0.96, 0.3, None)),
                30.0,
                0.15,
            )

    def hip_prosthesis(self, side: str) -> None:
        """Head, cup and stem are cold; bone around them may be hot for years."""
        rng, marks = self.rng, self.anatomy.landmarks
        femur, head = f"femur {side}", marks.top(f"femur {side}")
        self.add(UptakeSite.HIP_PROSTHESIS, femur, self.at(femur, (0.97, 0.3, None)), 34.0, 0.12)
        self.add(UptakeSite.HIP_PROSTHESIS, f"pelvis {side}", head, 30.0, 0.35)
        stem = (0.76 * head + 0.24 * marks.bottom(femur)).astype(np.float32)
        self.add(UptakeSite.HIP_PROSTHESIS, femur, stem, 13.0, 0.45, (1.0, 1.0, 4.5))
        if rng.random() < 0.5:  # a loose stem: hot at trochanters and tip
            for along, lateral, radius in ((0.88, 0.9, 13.0), (0.86, 0.2, 11.0), (0.64, 0.5, 14.0)):
                if rng.random() < 0.7:
                    self.add(
                        UptakeSite.AROUND_PROSTHESIS,
                        femur,
                        self.at(femur, (along, lateral, None)),
                        radius,
                        self.contrast(2.0),
                    )
        if rng.random() < 0.25:  # a hot rim around the cup
            rim = head + np.array([0, 0, 26], dtype=np.float32)
            self.add(
                UptakeSite.AROUND_PROSTHESIS,
                f"pelvis {side}",
                rim,
                16.0,
                self.contrast(1.6),
                (1.6, 1.5, 0.6),
            )

    def knee_prosthesis(self, side: str) -> None:
        """Caps of metal on both bones, a hot rim below and above them."""
        rng = self.rng
        rim = rng.random() < 0.6
        for bone, cap, beside in (("femur", 0.0, 0.10), ("tibia", 1.0, 0.88)):
            region = f"{bone} {side}"
            self.add(
                UptakeSite.KNEE_PROSTHESIS, region, self.at(region, (cap, 0.4, 0.5)), 36.0, 0.1
            )
            if rim:
                for lateral in (0.15, 0.85):
                    self.add(
                        UptakeSite.AROUND_PROSTHESIS,
                        region,
                        self.at(region, (beside, lateral, 0.5)),
                        float(rng.uniform(9, 14)),
                        self.contrast(1.6),
                    )
        self.add(
            UptakeSite.KNEE_PROSTHESIS,
            f"patella {side}",
            self.anatomy.landmarks.centre(f"patella {side}"),
            30.0,
            0.5,
        )


def draw_mimics(
    anatomy: Anatomy,
    normal: NDArray[np.float32],
    rng: np.random.Generator,
    *,
    only: Collection[UptakeSite] | None = None,
) -> list[FocalUptake]:
    """Draw benign focal uptake in bone, and metal, for one patient.

    Args:
        anatomy: the patient, whose age determines how worn the joints are.
        normal: normal uptake of the bone samples (n,).
        rng: source of randomness.
        only: kinds to return; the others are drawn, and left out. All if `None`.
    """
    draw = _Draw(anatomy, normal, rng, only)
    draw.joints()
    draw.spine()
    draw.fractures()
    draw.paget()
    draw.metal()
    return [focus for focus in draw.found if len(focus.positions_mm)]
