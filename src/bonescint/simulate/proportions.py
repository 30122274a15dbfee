"""The proportions of the body: heights, shoulders, arms and the pelvis' tilt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonescint.simulate.anatomy_model import Proportions
from bonescint.simulate.patient import Patient
from bonescint.simulate.regions import group_of_region
from bonescint.simulate.skeleton import Skeleton

_ARM = ("humerus", "ulna", "radius", "hand")
_LEG = ("femur", "patella", "tibia", "fibula", "foot")
_SHOULDER_SHARE = {"scapula": 0.9, "clavicle": 0.85}
"""How much of the shoulders' drop these follow; the clavicle at its outer end."""


def reproportioned(
    skeleton: Skeleton,
    positions_mm: NDArray[np.float32],
    proportions: Proportions,
    patient: Patient,
) -> NDArray[np.float32]:
    """Change a posed skeleton's proportions.

    Args:
        skeleton: the reference.
        positions_mm: its samples in the patient's pose (n, 3).
        proportions: of the body.
        patient: how this one differs from the mean.

    Returns:
        float32 array (n, 3): new positions.
    """
    moved = _tilted(skeleton, positions_mm, patient.pelvis_tilt)
    crown = float(moved[skeleton.span("skull"), 2].max())
    before, after = np.array(proportions.heights_mm, dtype=np.float64).T
    *segments, arm = patient.segment_scales
    after = np.concatenate([[0.0], np.cumsum(np.diff(after) * segments)])
    shoulder_drop_mm = patient.shoulder_drop_mm
    shoulder = max(float(moved[skeleton.span(f"humerus {side}"), 2].max()) for side in "LR")
    lower = float(np.interp(crown - shoulder, before, after)) - (crown - shoulder)
    for region in skeleton.regions:
        group, span = group_of_region(region), skeleton.span(region)
        z = moved[span, 2]
        if group in _ARM:
            z = shoulder + np.float32(proportions.arm_length * arm) * (z - shoulder)
            moved[span, 2] = z - np.float32(shoulder_drop_mm + lower)
            continue
        z = crown - np.interp(crown - z, before, after).astype(np.float32)
        drop = np.float32(shoulder_drop_mm * _SHOULDER_SHARE.get(group, 0.0))
        moved[span, 2] = z - drop * (skeleton.lateral[span] if group == "clavicle" else 1)
        if group in ("skull", "mandible"):  # a long head is a wide one
            moved[span, 0] *= np.float32(segments[0])
        if group == "rib":
            moved[span, 2] -= np.float32(patient.rib_slope_mm) * skeleton.front[span]
    return moved


def _tilted(
    skeleton: Skeleton, positions_mm: NDArray[np.float32], angle: float
) -> NDArray[np.float32]:
    """Turn pelvis and sacrum about the hip axis; the spine follows, the legs stay."""
    moved = positions_mm.copy()
    heads = [skeleton.span(f"femur {side}") for side in "LR"]
    hips = np.mean([moved[head][skeleton.along[head] > 0.95].mean(axis=0) for head in heads], 0)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))

    def turned(y: NDArray[np.float32], z: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        along, up = y - hips[1], z - hips[2]
        return [hips[1] + cosine * along - sine * up, hips[2] + sine * along + cosine * up]

    lowest = moved[skeleton.span("L5")]
    base = np.array([lowest[:, 1].mean()]), np.array([lowest[:, 2].min()])
    forward, upward = (new[0] - old[0] for new, old in zip(turned(*base), base, strict=True))
    for region in skeleton.regions:
        group, span = group_of_region(region), skeleton.span(region)
        if group in ("pelvis", "sacrum"):
            moved[span, 1], moved[span, 2] = turned(moved[span, 1], moved[span, 2])
        elif group not in _LEG:
            moved[span, 2] += np.float32(upward)
            if group == "lumbar":  # L5 follows the sacrum forward most, L1 hardly
                moved[span, 1] += np.float32(forward * (int(region[1]) - 0.5) / 5)
    return moved
