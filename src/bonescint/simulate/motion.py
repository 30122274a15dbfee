"""A patient who moves during the pass: a head turns, an arm is taken away, a leg rolls.

A point of the patient is imaged while the detector's field passes over it, for some minutes. What
is far above the field when the patient moves was imaged already, what is far below will be imaged
at the new place, and what is in the field is imaged at both, so that its edges are doubled. The
shares and angles are assumed. Soft tissue does not move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ParameterError
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.posture import turned


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """One movement of one part of the body.

    Attributes:
        part: such as `"head"`, `"arm L"`.
        regions: bones and places that move.
        pivot_mm: (x, y, z) around which they turn.
        axes: the two axes (0 x, 1 y, 2 z) in whose plane they turn.
        angle: in radians.
        moment_mm: height of the middle of the field at the time of the movement.

    Raises:
        ParameterError: no region, or axes that are not two of three.
    """

    part: str
    regions: tuple[str, ...]
    pivot_mm: tuple[float, float, float]
    axes: tuple[int, int]
    angle: float
    moment_mm: float

    def __post_init__(self) -> None:
        if not self.regions:
            raise ParameterError("regions", "Motion", "at least one region", self.regions)
        if self.axes[0] == self.axes[1] or not set(self.axes) <= {0, 1, 2}:
            raise ParameterError("axes", "Motion", "two of 0, 1 and 2", self.axes)

    def share_after(self, z_mm: NDArray[np.float32], field_length_mm: float) -> NDArray[np.float32]:
        """Share of the acquisition time at each height that lies after the movement, 0 to 1.

        Args:
            z_mm: heights in the body, in mm.
            field_length_mm: length of the camera's field, from the head to the feet.

        Examples:
            >>> motion = Motion(part="head", regions=("skull",), pivot_mm=(0, 0, 0),
            ...                 axes=(0, 1), angle=0.2, moment_mm=1500.0)
            >>> motion.share_after(np.array([1800.0, 1600.0, 1500.0, 1200.0]), 400.0).tolist()
            [0.0, 0.25, 0.5, 1.0]
        """
        share = (self.moment_mm + field_length_mm / 2 - z_mm) / field_length_mm
        return np.asarray(np.clip(share, 0, 1))

    def applied(
        self,
        positions_mm: NDArray[np.float32],
        activity: NDArray[np.float32],
        field_length_mm: float,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Samples of a moving part as the camera sees them: at the old and at the new place.

        Args:
            positions_mm: (n, 3), all of them in the part that moves.
            activity: (n,).
            field_length_mm: length of the camera's field.

        Returns:
            Positions (2 n, 3) and activity (2 n,), each in proportion to its share of the time.
        """
        centre = np.array(self.pivot_mm, dtype=np.float32)
        after = turned(positions_mm, centre, self.axes, self.angle)
        early = activity * (1 - self.share_after(positions_mm[:, 2], field_length_mm))
        late = activity * self.share_after(after[:, 2], field_length_mm)
        return (
            np.concatenate([positions_mm, after]),
            np.concatenate([early, late]).astype(np.float32, copy=False),
        )


def draw_motion(anatomy: Anatomy, share: float, rng: np.random.Generator) -> Motion | None:
    """Draw whether and how a patient moves during the pass.

    Args:
        anatomy: the patient.
        share: probability of a movement.
        rng: source of randomness.
    """
    if rng.random() >= share:
        return None
    marks = anatomy.landmarks
    part = rng.random()
    if part < 0.55:
        low, high = marks.box("skull")
        turns = rng.random() < 0.7
        pivot = marks.centre("C2")
        return Motion(
            part="head",
            regions=("skull", "mandible"),
            pivot_mm=(float(pivot[0]), float(pivot[1]), float(pivot[2])),
            axes=(0, 1) if turns else (0, 2),
            angle=float(rng.normal(0, 0.35 if turns else 0.12)),
            moment_mm=float(rng.uniform(low[2], high[2])),
        )
    side = str(rng.choice(["L", "R"]))
    outwards = 1.0 if side == "L" else -1.0
    if part < 0.70:
        hip, heel = marks.top(f"femur {side}"), marks.back(f"foot {side}")
        legs = ("femur", "patella", "tibia", "fibula", "foot")
        return Motion(
            part=f"leg {side}",
            regions=tuple(f"{bone} {side}" for bone in legs),
            pivot_mm=(float(hip[0]), float(hip[1]), float(hip[2])),
            axes=(0, 1),
            angle=outwards * float(rng.normal(0, 0.2)),
            moment_mm=float(rng.uniform(heel[2], hip[2])),
        )
    shoulder, fingers = marks.top(f"humerus {side}"), marks.bottom(f"hand {side}")
    bones = ("humerus", "ulna", "radius", "hand", "elbow", "forearm", "wrist")
    return Motion(
        part=f"arm {side}",
        regions=tuple(f"{bone} {side}" for bone in bones),
        pivot_mm=(float(shoulder[0]), float(shoulder[1]), float(shoulder[2])),
        axes=(0, 2),
        angle=outwards * float(abs(rng.normal(0, 0.07)) + 0.02),
        moment_mm=float(rng.uniform(fingers[2], shoulder[2])),
    )
