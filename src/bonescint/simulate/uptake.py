"""Normal uptake: between bones, inside each, and in soft tissue.

Values are relative concentrations: 1 is a standard bone. They are tuned by eye, and to the
ratios of docs/simulator.md. Version 2 of the body multiplies them by a table that was fitted to the
mean of real scans without visible disease: non-negative least squares on the mean of the squared
prepared scans, to which each part's projection contributes in proportion, with a pull towards 1 and
towards its neighbours (`benchmarks/fit_uptake.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.simulate.anatomy_model import anatomy_model
from bonescint.simulate.constants import BONE_GROUP_UPTAKE_SD, BONE_UPTAKE_SD, SIDE_UPTAKE_SD
from bonescint.simulate.patient import Patient
from bonescint.simulate.posture import smoothstep
from bonescint.simulate.skeleton import Landmarks, Skeleton, group_of_region, side_of_region

_Values = NDArray[np.float32]
_TEXTURE_CELL_MM = 12.0
_AGE_SLOPE = 0.005  # a year; assumed


class _Bone:
    """The samples of one bone, and the draws that shape its uptake."""

    def __init__(
        self,
        skeleton: Skeleton,
        span: slice,
        rng: np.random.Generator,
        *,
        age: float,
        knees: float,
    ) -> None:
        self.along = skeleton.along[span]
        self.lateral = skeleton.lateral[span]
        self.front = skeleton.front[span]
        self.depth_mm = skeleton.depth_mm[span]
        self.x_mm = skeleton.positions_mm[span, 0]
        self.rng = rng
        self.age = age
        self.knees = knees
        # Joints wear: their uptake grows with age, and differs from joint to joint.
        self.wear = float(np.exp(rng.normal(0, 0.30)) * (0.8 + 0.006 * max(0.0, age - 30)))


def _long_bone(
    shaft: float, head_end: float, foot_end: float, *, knee: bool = False
) -> Callable[[_Bone], _Values]:
    def uptake(bone: _Bone) -> _Values:
        head = smoothstep(bone.along, 0.80, 0.94) * (bone.knees if knee else 1.0)
        foot = smoothstep(bone.along, 0.16, 0.04)
        # Cortex holds more tracer than marrow.
        cortex = 1.15 - 0.3 * smoothstep(bone.depth_mm, 3, 9)
        return np.asarray(shaft * cortex + bone.wear * (head_end * head + foot_end * foot))

    return uptake


def _femur(bone: _Bone) -> _Values:
    proximal = smoothstep(bone.along, 0.72, 0.88)
    trochanter = smoothstep(bone.along, 0.80, 0.86) * smoothstep(bone.lateral, 0.6, 0.9)
    condyles = smoothstep(bone.along, 0.12, 0.03)
    # Marrow of the wide ends holds little.
    shaft = 0.42 * (1.15 - 0.3 * smoothstep(bone.depth_mm, 4, 10) - 0.22 * condyles)
    return np.asarray(
        shaft + 0.22 * proximal + 0.22 * trochanter + bone.wear * bone.knees * 0.18 * condyles
    )


def _pelvis(bone: _Bone) -> _Values:
    crest = smoothstep(bone.along, 0.84, 0.97)
    sacroiliac = (
        smoothstep(bone.lateral, 0.42, 0.24)
        * smoothstep(bone.front, 0.40, 0.15)
        * smoothstep(bone.along, 0.45, 0.55)
    )
    acetabulum = np.exp(-(((bone.along - 0.36) / 0.09) ** 2)) * smoothstep(bone.lateral, 0.5, 0.75)
    spine = smoothstep(bone.front, 0.80, 0.95) * smoothstep(bone.along, 0.55, 0.7)
    return np.asarray(
        0.50 + 0.30 * crest + 0.95 * bone.wear * sacroiliac + 0.30 * acetabulum + 0.30 * spine
    )


def _sacrum(bone: _Bone) -> _Values:
    wings = smoothstep(bone.lateral, 0.45, 0.8) * smoothstep(bone.along, 0.35, 0.55)
    fade = 0.55 + 0.45 * smoothstep(bone.along, 0.1, 0.45)
    return np.asarray((0.72 + 0.45 * bone.wear * wings) * fade)


def _vertebra(level: float) -> Callable[[_Bone], _Values]:
    def uptake(bone: _Bone) -> _Values:
        body = smoothstep(bone.front, 0.45, 0.6)
        facets = np.exp(-(((bone.front - 0.38) / 0.12) ** 2)) * smoothstep(bone.lateral, 0.15, 0.4)
        return np.asarray(level * (0.78 + 0.26 * body + 0.32 * bone.wear * facets))

    return uptake


def _rib(bone: _Bone) -> _Values:
    spine_end = smoothstep(bone.front, 0.10, 0.0)
    costochondral = smoothstep(bone.front, 0.93, 1.0)
    level = float(np.exp(bone.rng.normal(0, 0.06)))
    # Seen edge-on at the side of the chest, where a rib of one level would shine.
    side = np.exp(-(((bone.front - 0.5) / 0.22) ** 2))
    return np.asarray(
        level * (1.0 - 0.35 * side + 0.25 * spine_end + 0.30 * bone.wear * costochondral)
    )


def _sternum(bone: _Bone) -> _Values:
    offset = np.abs(bone.x_mm - np.median(bone.x_mm))
    # The mesh holds the arch of cartilage below 0.35, too; the body tapers to the xiphoid.
    waist = smoothstep(bone.along, 0.33, 0.56)
    half_width = 6 + 10 * waist + 14 * smoothstep(bone.along, 0.76, 0.90)
    bone_share = smoothstep(half_width + 4 - offset, 0, 10) * smoothstep(bone.along, 0.33, 0.50)
    manubrium = 0.32 * bone.wear * smoothstep(bone.along, 0.76, 0.86)
    angle = 0.45 * bone.wear * np.exp(-(((bone.along - 0.79) / 0.025) ** 2))
    joints = 0.5 * bone.wear * smoothstep(bone.along, 0.90, 0.97) * smoothstep(offset, 10, 24)
    # Cartilage of the ribs turns to bone with age.
    usual = np.log(0.10) + 0.012 * (bone.age - 60)
    cartilage = float(np.exp(bone.rng.normal(usual, 0.5)))
    return np.asarray(
        bone_share * (1.25 + manubrium + angle + joints) + (1 - bone_share) * cartilage
    )


def _scapula(bone: _Bone) -> _Values:
    glenoid = smoothstep(bone.lateral, 0.70, 0.9)
    tip = smoothstep(bone.along, 0.14, 0.03)
    return np.asarray(0.72 + 0.45 * bone.wear * glenoid + 0.55 * tip)


def _clavicle(bone: _Bone) -> _Values:
    sternal = smoothstep(bone.lateral, 0.20, 0.06)
    acromial = smoothstep(bone.lateral, 0.84, 0.96)
    return np.asarray(0.45 + bone.wear * (0.55 * sternal + 0.40 * acromial))


def _humerus(bone: _Bone) -> _Values:
    head = smoothstep(bone.along, 0.82, 0.93)
    elbow = smoothstep(bone.along, 0.10, 0.03)
    shaft = 0.30 * (1.15 - 0.3 * smoothstep(bone.depth_mm, 4, 9))
    # Shoulders are often hot and benign, far more in some people than in others.
    return np.asarray(shaft + 0.32 * bone.wear**1.5 * head + 0.30 * bone.wear * elbow)


def _skull(bone: _Bone) -> _Values:
    # The mesh ends below in a flat floor, which would shine as a hard line: the vault thins
    # out towards the neck, later at the back than at the front.
    rise = bone.along + 0.12 * bone.front
    above_floor = smoothstep(rise, 0.16, 0.62)
    # Temples are thin, forehead and occiput thick; what lies inside is diffuse.
    thick = 1 - 0.5 * smoothstep(bone.lateral, 0.55, 0.95)
    shell = smoothstep(bone.depth_mm, 14, 5)
    vault = (0.28 * thick * shell + 0.08 * (1 - shell)) * above_floor
    face = (
        smoothstep(bone.front, 0.62, 0.82)
        * smoothstep(bone.along, 0.58, 0.40)
        * smoothstep(bone.depth_mm, 60, 5)
    )
    # Base of the skull: diffuse, no hard line.
    base = np.exp(-(((bone.along - 0.27) / 0.11) ** 2)) * smoothstep(bone.front, 0.15, 0.5)
    # Thickened in some women past sixty (hyperostosis).
    thickness = float(np.exp(bone.rng.normal(0.003 * max(0.0, bone.age - 60), 0.25)))
    face_level = 0.26 * float(np.exp(bone.rng.normal(0, 0.35)))
    return np.asarray(vault * thickness + face_level * face + 0.06 * base * bone.wear)


def _mandible(bone: _Bone) -> _Values:
    teeth = 0.5 * smoothstep(bone.front, 0.5, 0.8)
    return np.asarray(0.42 * float(np.exp(bone.rng.normal(0, 0.3))) * (1 + teeth))


def _hand(bone: _Bone) -> _Values:
    wrist = smoothstep(bone.along, 0.70, 0.85)
    return np.asarray(0.42 + 0.35 * bone.wear * wrist)


def _foot(bone: _Bone) -> _Values:
    ankle = smoothstep(bone.along, 0.45, 0.75)
    return np.asarray(0.30 + 0.26 * bone.wear * ankle)


_UPTAKE: dict[str, Callable[[_Bone], _Values]] = {
    "femur": _femur,
    "tibia": _long_bone(0.33, 0.23, 0.28, knee=True),
    "fibula": _long_bone(0.36, 0.30, 0.40, knee=True),
    "patella": lambda bone: np.full(
        len(bone.along), 0.42 * bone.wear * bone.knees, dtype=np.float32
    ),
    "humerus": _humerus,
    "ulna": _long_bone(0.42, 0.40, 0.35),
    "radius": _long_bone(0.42, 0.30, 0.45),
    "pelvis": _pelvis,
    "sacrum": _sacrum,
    "lumbar": _vertebra(1.28),
    "thoracic": _vertebra(1.0),
    "cervical": _vertebra(0.95),
    "rib": _rib,
    "sternum": _sternum,
    "scapula": _scapula,
    "clavicle": _clavicle,
    "skull": _skull,
    "mandible": _mandible,
    "hand": _hand,
    "foot": _foot,
}


@lru_cache(2)
def _texture_cells(skeleton: Skeleton) -> tuple[NDArray[np.int32], tuple[int, int, int]]:
    """For each sample the flat index of its texture cell, and the cells' grid."""
    places = skeleton.positions_mm - skeleton.positions_mm.min(axis=0)
    cells = (places / _TEXTURE_CELL_MM).astype(np.int32)
    nx, ny, nz = (int(size) for size in cells.max(axis=0) + 1)
    return (cells[:, 0] * ny + cells[:, 1]) * nz + cells[:, 2], (nx, ny, nz)


def _texture(skeleton: Skeleton, rng: np.random.Generator, amplitude: float) -> NDArray[np.float32]:
    """Slow unevenness of uptake inside bones: a smooth random field around 1."""
    cells, shape = _texture_cells(skeleton)
    field = rng.standard_normal(shape, dtype=np.float32)
    field = ndimage.gaussian_filter(field, 0.9)
    field *= amplitude / float(field.std())
    field += 1
    return np.asarray(field.reshape(-1)[cells], dtype=np.float32)


def normal_uptake(
    skeleton: Skeleton, patient: Patient, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw a patient's normal bone uptake.

    Args:
        skeleton: the reference.
        patient: determines how worn the joints are.
        rng: source of randomness.

    Returns:
        float32 array (n,): concentration in every sample, times the share of it that is
        bone; 1 in a standard bone.
    """
    uptake = np.zeros(len(skeleton.region), dtype=np.float32)
    group_level: dict[str, float] = {}
    # Knees are inconspicuous in some people and the hottest place in others. Tuned.
    knees = float(np.exp(rng.normal(-0.25, 0.45)))
    # A single bone that differs much from its neighbours suggests disease: bones vary less.
    between_groups, between_bones = patient.uptake_spread, patient.uptake_spread**0.5
    side_level = {"L": rng.normal(0, SIDE_UPTAKE_SD), "R": rng.normal(0, SIDE_UPTAKE_SD), "": 0.0}
    wear_of_group: dict[str, float] = {}
    for region in skeleton.regions:
        group = group_of_region(region)
        span = skeleton.span(region)
        bone = _Bone(skeleton, span, rng, age=patient.age, knees=knees)
        # Wear is similar, but not the same, on both sides and along the spine.
        shared = wear_of_group.setdefault(group, bone.wear)
        bone.wear = float(bone.wear**0.4 * shared**0.6)
        level = group_level.setdefault(group, between_groups * rng.normal(0, BONE_GROUP_UPTAKE_SD))
        own = rng.normal(0, BONE_UPTAKE_SD * (0.5 if group in ("rib", "thoracic") else 1.0))
        own *= between_bones
        scale = np.exp(level + own + side_level[side_of_region(region)])
        uptake[span] = _UPTAKE[group](bone) * scale
    # Bone turnover decreases with age, so that tissue and organs become more visible. Assumed.
    uptake *= np.float32(np.exp(-_AGE_SLOPE * (patient.age - 60)))
    texture = _texture(skeleton, rng, between_bones * float(rng.uniform(0.05, 0.14)))
    uptake *= texture
    uptake *= skeleton.volume
    if anatomy_model(patient.anatomy).uptake_levels:
        uptake *= bone_levels(skeleton)
    return uptake


_LAST_OF_SERIES = {"rib": 12, "C": 7, "T": 12, "L": 5}
_ACROSS_MM = (0.0, 100.0, 190.0)
"""Distances from the midline of the table's columns of soft tissue."""


@lru_cache(1)
def _tables() -> Mapping[str, NDArray[np.float64]]:
    """Factors by group of bones (along, lateral, front, rank), `"tissue"` (height, across)."""
    text = resources.files("bonescint.simulate").joinpath("uptake_levels.json").read_text("utf-8")
    return {name: np.array(table) for name, table in json.loads(text).items()}


def organ_level(cause: str) -> float:
    """Factor of an organ's concentration; 1 for those that were not fitted."""
    return float(_tables().get(cause, np.ones(())))


def _rank(region: str) -> float:
    """Position of a rib or a vertebra in its series: 0 for the first, 1 for the last; others 0."""
    found = re.match(r"(rib|C|T|L)(\d+)", region)
    return (int(found[2]) - 1) / (_LAST_OF_SERIES[found[1]] - 1) if found else 0.0


def _interpolated(table: NDArray[Any], shares: list[NDArray[Any]]) -> NDArray[np.float32]:
    """A table at shares from 0 to 1 along each of its axes, linear between its nodes."""
    places = [share * (size - 1) for share, size in zip(shares, table.shape, strict=True)]
    return np.asarray(
        ndimage.map_coordinates(table, places, order=1, mode="nearest"), dtype=np.float32
    )


def inside_bone(skeleton: Skeleton, region: str, table: NDArray[np.float64]) -> NDArray[np.float32]:
    """A table of a group of bones read at every sample of one of them (n of that bone,)."""
    span = skeleton.span(region)
    rank = np.full(span.stop - span.start, _rank(region))
    inside = [skeleton.along[span], skeleton.lateral[span], skeleton.front[span], rank]
    return _interpolated(table, inside)


@lru_cache(2)
def bone_levels(skeleton: Skeleton) -> NDArray[np.float32]:
    """Factor of every sample of the skeleton (n,)."""
    levels = np.ones(len(skeleton.region), dtype=np.float32)
    for region in skeleton.regions:
        table = _tables().get(group_of_region(region))
        if table is not None:
            levels[skeleton.span(region)] = inside_bone(skeleton, region, table)
    levels.flags.writeable = False
    return levels


def tissue_levels(
    marks: Landmarks,
    x_mm: NDArray[np.float32],
    z_mm: NDArray[np.float32],
    *,
    table: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Factor of soft tissue by place.

    Args:
        marks: landmarks of the patient, between whose heights the table is read.
        x_mm: places across (nx,).
        z_mm: heights (nz,).
        table: factors by height and distance from the midline; the fitted ones if `None`.

    Returns:
        float32 array (nx, 1, nz).
    """
    table = _tables()["tissue"] if table is None else table
    heights = [
        marks.box("foot")[0][2],
        marks.bottom("tibia L")[2],
        marks.bottom("femur L")[2],
        marks.top("femur L")[2],
        marks.box("pelvis")[1][2],
        marks.box("rib")[0][2],
        marks.top("humerus L")[2],
        marks.box("skull")[1][2],
    ]
    up = np.interp(z_mm, heights, np.linspace(0, 1, table.shape[0]))
    across = np.interp(np.abs(x_mm), _ACROSS_MM, np.linspace(0, 1, table.shape[1]))
    grid = np.broadcast_arrays(up[None, :], across[:, None])
    return _interpolated(table, list(grid))[:, None, :]
