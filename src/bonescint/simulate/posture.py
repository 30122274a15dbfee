"""From the reference skeleton to one patient's: pose, proportions, curves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonescint.simulate.patient import Patient
from bonescint.simulate.regions import group_of_region
from bonescint.simulate.skeleton import Skeleton, posed

REFERENCE_HEIGHT_MM = 1690.0
_VERTEBRA_STRETCH = 1.16  # the meshes leave wider gaps than discs do on a planar scan
_JITTER_MM = {"rib": 1.0, "hand": 2.2, "foot": 2.0, "scapula": 1.2}


def smoothstep(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
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


def _turned(
    points: NDArray[np.float32], centre: NDArray[np.float32], axes: tuple[int, int], angle: float
) -> NDArray[np.float32]:
    first, second = axes
    offset = points - centre
    turned = points.copy()
    turned[:, first] = (
        centre[first] + np.cos(angle) * offset[:, first] - np.sin(angle) * offset[:, second]
    )
    turned[:, second] = (
        centre[second] + np.sin(angle) * offset[:, first] + np.cos(angle) * offset[:, second]
    )
    return turned


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
    groups = np.array([group_of_region(name) for name in skeleton.regions])
    for region, group in zip(skeleton.regions, groups, strict=True):
        if group in ("thoracic", "lumbar"):
            mine = skeleton.members(region)
            centre = positions[mine, 2].mean()
            positions[mine, 2] = centre + _VERTEBRA_STRETCH * (positions[mine, 2] - centre)
    sacrum = positions[skeleton.members("sacrum")]
    positions -= np.array([np.median(sacrum[:, 0]), sacrum[:, 1].mean(), 0], dtype=np.float32)
    positions[:, 2] -= positions[:, 2].min()
    head = np.concatenate([skeleton.members("skull"), skeleton.members("mandible")])
    pivot = positions[skeleton.members("C2")].mean(axis=0)
    positions[head] = _turned(positions[head], pivot, (0, 1), patient.head_turn)
    positions[head] = _turned(positions[head], pivot, (0, 2), patient.head_tilt)
    positions = _proportioned(positions, patient)
    for group, amount in _JITTER_MM.items():
        mine = np.flatnonzero((groups == group)[skeleton.region])
        if group == "rib":
            # Breathing moves the ribs up and down, and more so at their front ends.
            swing = patient.breathing_mm * (0.5 + 0.5 * skeleton.front[mine])
            positions[mine, 2] += swing * rng.standard_normal(len(mine), dtype=np.float32)
        positions[mine] += amount * rng.standard_normal((len(mine), 3), dtype=np.float32)
    return positions


def _proportioned(positions: NDArray[np.float32], patient: Patient) -> NDArray[np.float32]:
    """Apply stature, widths and curves that vary smoothly with height."""
    scale = patient.height_mm / REFERENCE_HEIGHT_MM
    x, y, z = positions.T.copy()
    # Heights on the reference skeleton: hip joint 860, lowest ribs 1150, shoulders 1430.
    stations = [0, 700, 860, 1000, 1180, 1320, 1430, 1500, 1800]
    limbs = (1 + patient.pelvis_width) / 2
    widths = [limbs, limbs, patient.pelvis_width, patient.pelvis_width, patient.chest_width,
              patient.chest_width, patient.shoulder_width, 1.0, 1.0]  # fmt: skip
    width = np.interp(z, stations, widths)
    # Hands hang beside the pelvis: they follow the shoulder, not the pelvis.
    outside = smoothstep(np.abs(x), 120, 200) * (z > 600)
    width = width * (1 - outside) + outside * patient.shoulder_width
    depth = np.interp(
        z, stations, [1, 1, 1, 1, patient.chest_depth, patient.chest_depth, 1.0, 1.0, 1.0]
    )
    x = x * width
    y = y * depth
    trunk = smoothstep(z, 850, 1050)
    x = x + patient.scoliosis_mm * trunk * np.sin(
        2 * np.pi * (z - 900) / 750 + patient.scoliosis_phase
    )
    x = x + patient.lean * (z - 900)
    y = y + patient.kyphosis_mm * smoothstep(z, 1250, 1600)
    turned = _turned(
        np.stack([x, y, z], axis=1).astype(np.float32),
        np.zeros(3, dtype=np.float32),
        (0, 1),
        patient.roll,
    )
    return np.asarray(turned * np.float32(scale), dtype=np.float32)
