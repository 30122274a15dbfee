"""From the reference skeleton to one patient's: pose, proportions, curves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.simulate.anatomy_model import Proportions, anatomy_model
from bonescint.simulate.patient import Patient
from bonescint.simulate.reference_skeleton import posed
from bonescint.simulate.skeleton import Skeleton, group_of_region

REFERENCE_HEIGHT_MM = 1690.0
_VERTEBRA_STRETCH = {
    "thoracic": 1.16,
    "lumbar": 1.27,
}  # the meshes leave wider gaps than discs do on a planar scan
_JITTER_MM = {"rib": 1.0, "hand": 3.2, "foot": 3.2, "scapula": 1.2, "skull": 1.5, "lumbar": 1.5}
_SKULL_WIDTH = 1.08
_KNEE_REACH_MM = 4.0  # the meshes leave out the joint's cartilage on both sides
_KNEE_JITTER_MM = 2.0


def smoothstep(
    values: NDArray[np.floating[Any]], low: float | np.float32, high: float | np.float32
) -> NDArray[np.float32]:
    """0 at or before `low`, 1 at or after `high`, smooth between.

    Examples:
        >>> smoothstep(np.array([0.0, 0.5, 1.0]), 0.0, 1.0).tolist()
        [0.0, 0.5, 1.0]
    """
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def joint_angles(patient: Patient) -> dict[str, float]:
    """The patient's pose as joint angles of the body model, in radians."""
    angles: dict[str, float] = {}
    for side, arm, leg in zip("lr", patient.arms, patient.legs, strict=True):
        angles[f"elv_angle_{side}"] = 0.0
        angles[f"shoulder_elv_{side}"] = arm.abduction
        angles[f"shoulder_rot_{side}"] = arm.rotation
        angles[f"elbow_flex_{side}"] = arm.elbow_flexion
        angles[f"pro_sup_{side}"] = arm.forearm_rotation
        for finger in "2345":
            angles[f"mcp{finger}_flexion_{side}"] = arm.finger_flexion
            angles[f"pm{finger}_flexion_{side}"] = arm.finger_flexion
        angles[f"hip_rotation_{side}"] = leg.rotation
        angles[f"hip_adduction_{side}"] = leg.adduction
        angles[f"knee_angle_{side}"] = leg.knee_flexion
        angles[f"ankle_angle_{side}"] = leg.ankle_flexion
    return angles


def turned(
    points: NDArray[np.float32], centre: NDArray[np.float32], axes: tuple[int, int], angle: float
) -> NDArray[np.float32]:
    """Turn points (n, 3) around a centre (3,), in the plane of two axes, by radians.

    Examples:
        >>> quarter = turned(np.array([[1.0, 0.0, 5.0]]), np.zeros(3), (0, 1), np.pi / 2)
        >>> np.abs(quarter.round(6)).tolist()
        [[0.0, 1.0, 5.0]]
    """
    first, second = axes
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    across = points[:, first] - centre[first]
    along = points[:, second] - centre[second]
    result = np.array(points)
    result[:, first] = centre[first] + (cosine * across - sine * along)
    result[:, second] = centre[second] + (sine * across + cosine * along)
    return result


def patient_positions(
    skeleton: Skeleton, patient: Patient, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Where every sample of the skeleton lies in this patient.

    Args:
        skeleton: the reference.
        patient: whose body.
        rng: for the small movements that blur ribs, hands and feet.

    Returns:
        float32 array (n, 3) in millimetres: x to the patient's left of the midline, y to
        the front, z up from the soles.
    """
    positions = posed(skeleton, joint_angles(patient))
    proportions = anatomy_model(patient.anatomy).proportions
    if proportions is not None:
        positions = reproportioned(skeleton, positions, proportions, patient)
    groups = [group_of_region(name) for name in skeleton.regions]
    spans = [skeleton.span(region) for region in skeleton.regions]
    for span, group in zip(spans, groups, strict=True):
        if group in _VERTEBRA_STRETCH:
            centre = positions[span, 2].mean()
            stretch = np.float32(_VERTEBRA_STRETCH[group])
            positions[span, 2] = centre + stretch * (positions[span, 2] - centre)
    for side in "LR":  # knees: no empty gap between the bones
        for bone, sign in (("femur", -1), ("tibia", 1)):
            span = skeleton.span(f"{bone} {side}")
            along = skeleton.along[span]
            near = along < 0.10 if sign < 0 else along > 0.90
            low, high = (0.10, 0.0) if sign < 0 else (0.90, 1.0)
            reach = smoothstep(along[near], low, high)
            noise = rng.standard_normal(int(near.sum()), dtype=np.float32)
            move = sign * np.float32(_KNEE_REACH_MM) * reach + np.float32(_KNEE_JITTER_MM) * noise
            positions[span.start + np.flatnonzero(near), 2] += move
    sacrum = positions[skeleton.span("sacrum")]
    # Contiguous coordinates: x, y and z each in one run of memory.
    x, y, z = np.ascontiguousarray(positions.T)
    x -= np.median(sacrum[:, 0])
    y -= sacrum[:, 1].mean()
    z -= z.min()
    positions = np.stack([x, y, z], axis=1)
    pivot = positions[skeleton.span("C2")].mean(axis=0)
    # The mesh's skull is narrow; adults' are 140 to 160 mm wide.
    head_span = skeleton.span("skull")
    middle = positions[head_span, 0].mean()
    positions[head_span, 0] = middle + np.float32(_SKULL_WIDTH) * (positions[head_span, 0] - middle)
    for region in ("skull", "mandible"):
        span = skeleton.span(region)
        head = turned(positions[span], pivot, (0, 1), patient.head_turn)
        positions[span] = turned(head, pivot, (0, 2), patient.head_tilt)
    positions = _proportioned(positions, patient)
    for span, group in zip(spans, groups, strict=True):
        if group not in _JITTER_MM:
            continue
        number = span.stop - span.start
        if group == "rib":
            # Breathing moves the ribs up and down, and more so at their front ends.
            swing = patient.breathing_mm * (0.5 + 0.5 * skeleton.front[span])
            positions[span, 2] += swing * rng.standard_normal(number, dtype=np.float32)
        jitter = rng.standard_normal((number, 3), dtype=np.float32)
        positions[span] += np.float32(_JITTER_MM[group]) * jitter
    return positions


def _proportioned(positions: NDArray[np.float32], patient: Patient) -> NDArray[np.float32]:
    """Apply stature, widths and curves that vary smoothly with height."""
    scale = np.float32(patient.height_mm / REFERENCE_HEIGHT_MM)
    x, y, z = np.ascontiguousarray(positions.T)
    # Widths and shifts depend on height alone: tabulate them, once a millimetre.
    heights = np.arange(0, max(1800.0, float(z.max())) + 2)
    level = z.astype(np.int32)
    # Heights on the reference skeleton: hip joint 860, lowest ribs 1150, shoulders 1430.
    # One width for the whole shoulder, or the heads of the humeri would be stretched.
    stations = [0, 700, 860, 1000, 1180, 1320, 1400, 1480, 1540, 1800]
    limbs = (1 + patient.pelvis_width) / 2
    pelvis, chest, shoulder = patient.pelvis_width, patient.chest_width, patient.shoulder_width
    widths = [limbs, limbs, pelvis, pelvis, chest, chest, shoulder, shoulder, 1.0, 1.0]
    depths = [1, 1, 1, 1, patient.chest_depth, patient.chest_depth, 1.0, 1.0, 1.0, 1.0]
    trunk = smoothstep(heights, 850, 1050)
    bend = (
        patient.scoliosis_mm
        * trunk
        * np.sin(2 * np.pi * (heights - 900) / 750 + patient.scoliosis_phase)
    )
    bend += patient.lean * (heights - 900)
    forward = patient.kyphosis_mm * smoothstep(heights, 1250, 1600)
    width, depth, bend, forward = (
        line.astype(np.float32)
        for line in (
            np.interp(heights, stations, widths),
            np.interp(heights, stations, depths),
            bend,
            forward,
        )
    )
    # Hands lie beside the pelvis, but follow the shoulder.
    outside = smoothstep(np.abs(x), np.float32(120), np.float32(200)) * (z > 600)
    own = width[level]
    x *= own + outside * (np.float32(patient.shoulder_width) - own)
    x += bend[level]
    y *= depth[level]
    y += forward[level]
    cosine, sine = np.float32(np.cos(patient.roll)), np.float32(np.sin(patient.roll))
    return np.stack(
        [(cosine * x - sine * y) * scale, (sine * x + cosine * y) * scale, z * scale], axis=1
    )


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
        proportions: proportions of the body.
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
