"""What looks like a metastasis and is none: worn joints, fractures, teeth, Paget, metal.

Positive and negative patients have them alike, so that "anything hot" is no answer. The
shares are assumed unless a source stands beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import FocusKind
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.focal import FocalUptake

_Point = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Joint:
    """A joint that wears: which bone's which place, how often, how hot, how large."""

    cause: str
    region: str
    place: tuple[float | None, float | None, float | None]  # along, lateral, front
    share: float
    excess: float
    radius_mm: tuple[float, float]


_PAIRED_JOINTS = (
    _Joint("knee, medial", "tibia", (1.0, 0.0, None), 0.26, 1.3, (9, 18)),
    _Joint("knee, lateral", "tibia", (1.0, 1.0, None), 0.18, 1.2, (9, 18)),
    _Joint("knee, femoral", "femur", (0.0, None, 1.0), 0.16, 1.2, (9, 18)),
    _Joint("patella", "patella", (0.5, 0.5, 1.0), 0.22, 2.2, (9, 16)),
    _Joint("shoulder", "humerus", (1.0, None, None), 0.34, 1.5, (9, 22)),
    _Joint("acromioclavicular", "clavicle", (None, 1.0, None), 0.24, 2.0, (7, 12)),
    _Joint("glenoid", "scapula", (0.85, 1.0, None), 0.14, 1.6, (8, 13)),
    _Joint("sternoclavicular", "clavicle", (None, 0.0, None), 0.30, 2.2, (7, 13)),
    _Joint("hip", "pelvis", (0.36, 0.85, 0.45), 0.14, 1.6, (10, 20)),
    _Joint("sacroiliac", "pelvis", (0.6, 0.3, 0.15), 0.12, 1.2, (10, 18)),
    _Joint("pubic symphysis", "pelvis", (0.08, 0.0, None), 0.10, 1.5, (7, 12)),
    _Joint("ankle", "foot", (1.0, None, 0.3), 0.20, 2.4, (9, 15)),
    _Joint("first toe", "foot", (None, 0.1, 0.9), 0.22, 3.5, (6, 10)),
    _Joint("midfoot", "foot", (0.6, None, 0.55), 0.14, 2.6, (8, 13)),
    _Joint("thumb base", "hand", (0.85, 0.1, None), 0.22, 3.2, (5, 9)),
    _Joint("wrist", "radius", (0.0, None, None), 0.14, 1.8, (7, 11)),
    _Joint("fingers", "hand", (0.35, None, None), 0.12, 3.0, (4, 7)),
    _Joint("elbow", "ulna", (1.0, None, None), 0.12, 1.8, (7, 12)),
    _Joint("costochondral", "rib05", (None, None, 1.0), 0.05, 2.2, (6, 9)),
    _Joint("first rib", "rib01", (None, None, 1.0), 0.22, 2.0, (7, 11)),
)
_MIDLINE = (
    _Joint("manubrium", "sternum", (0.92, 0.15, None), 0.16, 0.9, (10, 18)),
    _Joint("sternal angle", "sternum", (0.79, 0.0, None), 0.18, 1.4, (7, 11)),
    _Joint("xiphoid", "sternum", (0.14, 0.0, None), 0.08, 1.8, (6, 9)),
    _Joint("dental", "mandible", (None, 0.7, 0.6), 0.34, 2.8, (6, 11)),
    _Joint("upper jaw", "skull", (0.10, 0.25, 0.88), 0.34, 2.2, (7, 14)),
    _Joint("sinus", "skull", (0.30, 0.1, 0.92), 0.24, 1.8, (8, 16)),
    _Joint("frontal skull", "skull", (0.65, 0.2, 0.95), 0.10, 1.0, (14, 28)),
    _Joint("atlas", "C1", (0.5, 0.7, None), 0.10, 1.6, (6, 10)),
)
_WORN_LEVELS = ("C4", "C5", "C6", "C7", "T8", "T9", "T10", "T11", "T12",
                "L1", "L2", "L3", "L4", "L5")  # fmt: skip


class _Draw:
    """Draws the mimics of one patient."""

    def __init__(
        self, anatomy: Anatomy, normal: NDArray[np.float32], rng: np.random.Generator
    ) -> None:
        self.anatomy = anatomy
        self.normal = normal
        self.rng = rng
        age = anatomy.patient.age
        self.wear = float(np.clip(0.35 + (age - 40) / 50, 0.25, 1.3))
        # Some people's joints are all hot, others' none.
        self.wear *= float(np.exp(rng.normal(0, 0.35)))
        self.found: list[FocalUptake] = []

    def at(self, region: str, place: tuple[float | None, float | None, float | None]) -> _Point:
        """The sample of a bone nearest to a place inside it, with some scatter."""
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
        self, cause: str, region: str, centre: _Point, radius_mm: float, contrast: float,
        elongation: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:  # fmt: skip
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
                self.add("facet or osteophyte", level, self.at(level, place), radius,
                         self.contrast(1.6))  # fmt: skip
        if self.rng.random() < 0.035 * self.wear:  # compression fracture: a band
            level = str(self.rng.choice(["T7", "T8", "T11", "T12", "L1", "L2", "L3"]))
            centre = self.at(level, (0.8, 0.0, 0.7))
            self.add("compression fracture", level, centre, 17.0, self.contrast(3.0),
                     (1.5, 1.2, 0.45))  # fmt: skip

    def fractures(self) -> None:
        rng = self.rng
        if rng.random() < 0.13:  # ribs in a row
            side, first = str(rng.choice(["L", "R"])), int(rng.integers(3, 9))
            front, heat = float(rng.uniform(0.25, 0.95)), float(rng.gamma(4.0, 0.9))
            for number in range(first, min(first + int(rng.integers(2, 6)), 12)):
                region = f"rib{number:02d} {side}"
                place = (None, None, float(np.clip(front + rng.normal(0, 0.03), 0, 1)))
                centre, radius = self.at(region, place), float(rng.uniform(6, 10))
                contrast = 1 + heat * float(rng.uniform(0.5, 1.5))
                self.add("rib fracture", region, centre, radius, contrast)
        if rng.random() < 0.09:  # a single one: in a scan, the hardest to tell
            region = f"rib{int(rng.integers(3, 12)):02d} {rng.choice(['L', 'R'])}"
            self.add("rib fracture", region, self.at(region, (None, None, rng.uniform(0.3, 1.0))),
                     float(rng.uniform(5, 8)), self.contrast(2.4))  # fmt: skip
        if rng.random() < 0.012 * self.wear:  # insufficiency fracture of the sacrum
            for lateral in (0.7, 0.9):
                self.add("sacral insufficiency fracture", "sacrum",
                         self.at("sacrum", (0.75, lateral, 0.5)), 16.0, self.contrast(3.0),
                         (0.6, 1.0, 1.6))  # fmt: skip

    def paget(self) -> None:
        if self.rng.random() < 0.012:
            regions = ["pelvis L", "pelvis R", "femur L", "femur R", "tibia L", "L3", "skull"]
            region = str(self.rng.choice(regions))
            self.add("Paget's disease", region, self.anatomy.landmarks.centre(region), 400.0,
                     float(self.rng.uniform(2.5, 6.0)))  # fmt: skip

    def metal(self) -> None:
        if self.rng.random() < 0.05 * self.wear:  # hip prosthesis: cold, with a hot rim at times
            region = f"femur {self.rng.choice(['L', 'R'])}"
            self.add("hip prosthesis", region, self.at(region, (0.97, 0.3, None)), 34.0, 0.12)
            if self.rng.random() < 0.5:
                self.add("around prosthesis", region, self.at(region, (0.72, 0.6, None)), 14.0,
                         self.contrast(2.0))  # fmt: skip
        if self.rng.random() < 0.05 * self.wear:
            side = str(self.rng.choice(["L", "R"]))
            for region, along in ((f"femur {side}", 0.0), (f"tibia {side}", 1.0)):
                self.add("knee prosthesis", region, self.at(region, (along, 0.4, 0.5)), 30.0, 0.2)
            if self.rng.random() < 0.5:
                centre = self.at(f"tibia {side}", (0.86, 0.4, 0.5))
                self.add("around prosthesis", f"tibia {side}", centre, 16.0, self.contrast(1.6))


def draw_mimics(
    anatomy: Anatomy, normal: NDArray[np.float32], rng: np.random.Generator
) -> list[FocalUptake]:
    """Draw benign focal uptake in bone, and metal, for one patient.

    Args:
        anatomy: the patient, whose age sets how worn the joints are.
        normal: normal uptake of the bone samples (n,).
        rng: source of randomness.
    """
    draw = _Draw(anatomy, normal, rng)
    draw.joints()
    draw.spine()
    draw.fractures()
    draw.paget()
    draw.metal()
    return [focus for focus in draw.found if len(focus.positions_mm)]
