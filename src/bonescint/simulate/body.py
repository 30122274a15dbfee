"""The patient's soft tissue: envelope, lungs, uptake and attenuation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.simulate.anatomy_model import anatomy_model
from bonescint.simulate.constants import CELL_MM, LUNG_DENSITY, MU_PER_MM
from bonescint.simulate.patient import Patient
from bonescint.simulate.skeleton import Landmarks
from bonescint.simulate.uptake import tissue_levels

_HALF_WIDTH_MM = 420.0
_HALF_DEPTH_MM = 270.0
_HEADROOM_MM = 60.0
_BLOOD_UPTAKE = 1.5
"""Between the lungs, over muscle. Tuned."""

Point = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Soft tissue on cubic cells.

    Attributes:
        origin_mm: corner of the first cell (x, y, z).
        tissue: bool (nx, ny, nz), inside the skin.
        uptake: float32 (nx, ny, nz), relative concentration, about 1 in muscle.
        survival_front: float32 (nx, ny, nz), share of photons from a cell that reach the
            front of the patient.
        survival_back: the same for the back.
    """

    origin_mm: NDArray[np.float32]
    tissue: NDArray[np.bool_]
    uptake: NDArray[np.float32]
    survival_front: NDArray[np.float32]
    survival_back: NDArray[np.float32]

    def cell_of(self, positions_mm: NDArray[np.float32]) -> tuple[NDArray[np.intp], ...]:
        """Indices of the cells that hold the given points (n, 3), clipped to the grid."""
        return tuple(np.unravel_index(self.flat_cell_of(positions_mm), self.tissue.shape))

    def flat_cell_of(self, positions_mm: NDArray[np.float32]) -> NDArray[np.int32]:
        """Indices (n,) into the flattened grid of the cells that hold the given points (n, 3)."""
        return _flat_cells(positions_mm, self.origin_mm, self.tissue.shape)

    @property
    def depth_range_mm(self) -> tuple[float, float]:
        """The y coordinates of the back and the front of the body, in mm."""
        outline = np.asarray(self.tissue.any(axis=0), dtype=bool)
        used = np.flatnonzero(outline.any(axis=1))
        first = float(self.origin_mm[1])
        return first + CELL_MM * float(used[0]), first + CELL_MM * float(used[-1] + 1)

    @property
    def height_range_mm(self) -> tuple[float, float]:
        """The z coordinates of the soles and the vertex, in mm."""
        outline = np.asarray(self.tissue.any(axis=0), dtype=bool)
        used = np.flatnonzero(outline.any(axis=0))
        first = float(self.origin_mm[2])
        return first + CELL_MM * float(used[0]), first + CELL_MM * float(used[-1] + 1)


class _Modeller:
    """Adds simple solids to a grid of cells."""

    def __init__(self, vertex_mm: float) -> None:
        self.origin = np.array([-_HALF_WIDTH_MM, -_HALF_DEPTH_MM, -60.0], dtype=np.float32)
        extent = np.array([2 * _HALF_WIDTH_MM, 2 * _HALF_DEPTH_MM, vertex_mm + 60 + _HEADROOM_MM])
        self.shape = tuple(int(n) for n in np.ceil(extent / CELL_MM))
        self.solid = np.zeros(self.shape, dtype=bool)
        centres = [
            self.origin[axis] + (np.arange(size) + 0.5) * CELL_MM
            for axis, size in enumerate(self.shape)
        ]
        self.x = centres[0].astype(np.float32)[:, None, None]
        self.y = centres[1].astype(np.float32)[None, :, None]
        self.z = centres[2].astype(np.float32)[None, None, :]

    def window(self, low: Point, high: Point) -> tuple[slice, slice, slice]:
        """Slices of the cells between two corners."""
        first = np.floor((low - self.origin) / CELL_MM).astype(int)
        last = np.ceil((high - self.origin) / CELL_MM).astype(int) + 1
        slices = [
            slice(max(0, a), max(0, min(size, b)))
            for a, b, size in zip(first, last, self.shape, strict=True)
        ]
        return slices[0], slices[1], slices[2]

    def ellipsoid(self, centre: Point, radii: Point) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
        """The cells of an ellipsoid: a window and a mask in it."""
        at = self.window(centre - radii, centre + radii)
        sx, sy, sz = at
        inside = (
            ((self.x[sx] - centre[0]) / radii[0]) ** 2
            + ((self.y[:, sy] - centre[1]) / radii[1]) ** 2
            + ((self.z[:, :, sz] - centre[2]) / radii[2]) ** 2
        ) < 1
        return at, inside

    def add_ellipsoid(self, centre: Point, radii: Point) -> None:
        at, inside = self.ellipsoid(centre, radii)
        self.solid[at] |= inside

    def add_limb(self, start: Point, end: Point, radius_start: float, radius_end: float) -> None:
        """A tapered capsule between two points."""
        reach = max(radius_start, radius_end) * 1.05
        sx, sy, sz = self.window(np.minimum(start, end) - reach, np.maximum(start, end) + reach)
        axis = end - start
        offsets = (
            self.x[sx] - start[0],
            self.y[:, sy] - start[1],
            self.z[:, :, sz] - start[2],
        )
        along = sum(offset * part for offset, part in zip(offsets, axis, strict=True))
        share = np.clip(along / float(axis @ axis), 0, 1)
        radius = radius_start + (radius_end - radius_start) * share
        distance = sum(
            (offset - share * part) ** 2 for offset, part in zip(offsets, axis, strict=True)
        )
        self.solid[sx, sy, sz] |= distance < radius**2

    def add_trunk(self, stations: NDArray[np.float32]) -> None:
        """Stacked superellipses: rows of (z, half width, half depth, middle x, middle y)."""
        order = np.argsort(stations[:, 0])
        stations = stations[order]
        z = self.z.ravel()
        half_width, half_depth, middle_x, middle_y = (
            np.interp(z, stations[:, 0], stations[:, column]) for column in range(1, 5)
        )
        for k in np.flatnonzero((z > stations[0, 0]) & (z < stations[-1, 0])):
            across = np.abs((self.x[:, :, 0] - middle_x[k]) / half_width[k]) ** 2.3
            through = np.abs((self.y[:, :, 0] - middle_y[k]) / half_depth[k]) ** 2.3
            self.solid[:, :, k] |= (across + through) < 1


def _add_legs(shape: _Modeller, marks: Landmarks, fat: float) -> None:
    for side in "LR":
        hip, knee = marks.top(f"femur {side}"), marks.bottom(f"femur {side}")
        ankle = marks.bottom(f"tibia {side}")
        thigh = 0.55 * hip + 0.45 * knee
        shape.add_limb(hip, thigh, 84 + 1.15 * fat, 74 + 0.9 * fat)
        shape.add_limb(thigh, knee, 74 + 0.9 * fat, 56 + 0.45 * fat)
        calf = 0.3 * ankle + 0.7 * knee + np.array([0, -12, 0], dtype=np.float32)
        shape.add_limb(knee, calf, 55 + 0.4 * fat, 54 + 0.4 * fat)
        shape.add_limb(calf, ankle, 54 + 0.4 * fat, 33 + 0.1 * fat)
        heel, toes = marks.back(f"foot {side}"), marks.front(f"foot {side}")
        shape.add_limb(ankle, heel, 34, 32)
        shape.add_limb(heel, toes, 34, 24)
        shape.add_limb(ankle, toes, 36, 24)
        # Supine: the buttocks are pressed wide against the table.
        buttock = hip + np.array([0, -46, -8], dtype=np.float32)
        shape.add_ellipsoid(buttock, np.array([86 + fat, 66 + 0.8 * fat, 92 + fat]))


def _add_arms(shape: _Modeller, marks: Landmarks, fat: float) -> None:
    neck = marks.centre("C7") + np.array([0, 8, -12], dtype=np.float32)
    for side in "LR":
        shoulder, elbow = marks.top(f"humerus {side}"), marks.bottom(f"humerus {side}")
        wrist = marks.bottom(f"radius {side}")
        fingers = marks.bottom(f"hand {side}")
        # The trapezius slopes from the neck to the shoulder; the deltoid rounds it off.
        shape.add_limb(neck, shoulder, 56 + 0.4 * fat, 32 + 0.15 * fat)
        deltoid = 0.78 * shoulder + 0.22 * elbow
        shape.add_limb(shoulder, deltoid, 40 + 0.25 * fat, 50 + 0.7 * fat)
        shape.add_limb(deltoid, elbow, 49 + 0.7 * fat, 40 + 0.4 * fat)
        forearm = 0.75 * elbow + 0.25 * wrist
        shape.add_limb(elbow, forearm, 40 + 0.4 * fat, 43 + 0.35 * fat)
        shape.add_limb(forearm, wrist, 43 + 0.35 * fat, 28 + 0.05 * fat)
        palm = (wrist + fingers) / 2
        shape.add_limb(wrist, palm, 28, 34)
        shape.add_limb(palm, fingers, 34, 16)


def _add_head(shape: _Modeller, marks: Landmarks, fat: float) -> None:
    low, high = marks.box("skull")
    centre = (low + high) / 2
    shape.add_ellipsoid(centre, (high - low) / 2 + 9)
    jaw_low, jaw_high = marks.box("mandible")
    shape.add_limb(centre, (jaw_low + jaw_high) / 2, 66, 50 + 0.5 * fat)
    neck = marks.centre("C7") + np.array([0, 25, -20], dtype=np.float32)
    shape.add_limb(marks.centre("C2"), neck, 56 + 0.4 * fat, 66 + 0.6 * fat)


def _add_trunk(
    shape: _Modeller, marks: Landmarks, patient: Patient, fat: float, *, belly: float
) -> None:
    pelvis_low, pelvis_high = marks.box("pelvis")
    ribs_low, ribs_high = marks.box("rib")
    shoulders = (marks.top("humerus L") + marks.top("humerus R")) / 2
    half_shoulders = abs(marks.top("humerus L")[0] - marks.top("humerus R")[0]) / 2
    pelvis_half = (pelvis_high - pelvis_low) / 2
    ribs_half = (ribs_high - ribs_low) / 2
    pelvis_middle = (pelvis_low + pelvis_high) / 2
    ribs_middle = (ribs_low + ribs_high) / 2
    waist = (pelvis_high[2] + ribs_low[2]) / 2
    hips = abs(marks.top("femur L")[0] - marks.top("femur R")[0]) / 2 + 76
    narrow = 0.87 if patient.sex == "F" else 0.97
    rows = [
        # Between the thighs the trunk closes to the perineum.
        (pelvis_low[2] - 45, 0.25 * hips, 30 + 0.5 * belly, *pelvis_middle[:2]),
        (pelvis_low[2] - 10, 0.62 * hips, pelvis_half[1] - 10 + 0.7 * fat, *pelvis_middle[:2]),
        (pelvis_low[2] + 25, 0.95 * hips + 0.8 * fat, pelvis_half[1] + 10 + fat,
         *pelvis_middle[:2]),
        (pelvis_low[2] + 70, hips + 6 + fat, pelvis_half[1] + 17 + fat, *pelvis_middle[:2]),
        (pelvis_high[2] - 50, pelvis_half[0] + 22 + 1.3 * fat,
         pelvis_half[1] + 16 + 1.2 * fat + 0.4 * belly,
         pelvis_middle[0], pelvis_middle[1] + 2 + 0.6 * belly),
        (waist, narrow * ((pelvis_half[0] + ribs_half[0]) / 2 + 12) + 1.2 * fat + 0.3 * belly,
         (pelvis_half[1] + ribs_half[1]) / 2 + 9 + 1.2 * fat + 0.6 * belly,
         (pelvis_middle[0] + ribs_middle[0]) / 2,
         (pelvis_middle[1] + ribs_middle[1]) / 2 + 4 + 0.7 * belly),
        (ribs_low[2] + 80, ribs_half[0] + 14 + 1.2 * fat, ribs_half[1] + 17 + 1.3 * fat,
         *ribs_middle[:2]),
        (ribs_high[2] - 110, ribs_half[0] + 22 + 1.0 * fat, ribs_half[1] + 18 + 0.9 * fat,
         *ribs_middle[:2]),
        (shoulders[2] - 55, 0.96 * half_shoulders, 88 + 0.6 * fat, shoulders[0], shoulders[1]),
        (shoulders[2] - 15, 0.72 * half_shoulders, 72 + 0.5 * fat, shoulders[0], shoulders[1]),
        (shoulders[2] + 35, 62 + 0.5 * fat, 58 + 0.3 * fat, shoulders[0], shoulders[1]),
    ]  # fmt: skip
    shape.add_trunk(np.array(rows, dtype=np.float32))
    if patient.sex == "F":
        # Supine: breasts lie flat and fall to the sides.
        size = 46 + 1.2 * max(0.0, fat)
        for sign in (-1, 1):
            centre = np.array(
                [
                    ribs_middle[0] + sign * (0.55 * ribs_half[0] + 0.15 * size),
                    ribs_high[1] - 16,
                    ribs_middle[2] + 0.05 * ribs_half[2],
                ]
            )
            shape.add_ellipsoid(centre, np.array([1.3 * size, 0.75 * size, 1.05 * size]))


def _lungs(shape: _Modeller, marks: Landmarks) -> NDArray[np.bool_]:
    low, high = marks.box("rib")
    half, middle = (high - low) / 2, (low + high) / 2
    lungs = np.zeros(shape.shape, dtype=bool)
    for sign in (-1, 1):
        centre = np.array([middle[0] + sign * 0.50 * half[0], middle[1] - 3, middle[2] + 25])
        at, inside = shape.ellipsoid(
            centre, np.array([0.40 * half[0], 0.78 * half[1], 0.78 * half[2]])
        )
        lungs[at] |= inside
    return lungs


def _mediastinum(shape: _Modeller, marks: Landmarks) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
    """The cells of the mediastinum, with heart and great vessels, where there is much blood."""
    low, high = marks.box("rib")
    half, middle = (high - low) / 2, (low + high) / 2
    centre = np.array([middle[0] + 0.08 * half[0], middle[1] + 0.25 * half[1], middle[2] + 10])
    return shape.ellipsoid(centre, np.array([0.42 * half[0], 0.62 * half[1], 0.75 * half[2]]))


def build_body(marks: Landmarks, patient: Patient, bones_mm: NDArray[np.float32]) -> Body:
    """Wrap soft tissue around a patient's skeleton.

    Args:
        marks: where the bones are.
        patient: sex and build.
        bones_mm: positions of the bones' samples (n, 3); none may lie outside the skin.

    Returns:
        Envelope, relative uptake and attenuation.
    """
    shape = _Modeller(float(bones_mm[:, 2].max()))
    # Soft tissue over the bones of a lean body, tuned to the weight that the index gives.
    fat = 2.3 * (patient.body_mass_index - 23.5)
    central = patient.central_fat if fat > 0 else 0.0
    on_limbs, on_trunk = fat * (1 - 0.7 * central), fat * (1 + 0.25 * central)
    _add_legs(shape, marks, on_limbs)
    _add_arms(shape, marks, on_limbs)
    _add_head(shape, marks, on_limbs)
    _add_trunk(shape, marks, patient, on_trunk, belly=max(0.0, fat) * (1 + 1.3 * central))
    bones = _flat_cells(bones_mm, shape.origin, shape.shape)
    shape.solid.reshape(-1)[bones] = True
    bone_cells = np.zeros(shape.shape, dtype=bool)
    bone_cells.reshape(-1)[bones] = True
    used = _window_of(shape.solid)
    solid, bone_cells, lungs = shape.solid[used], bone_cells[used], _lungs(shape, marks)[used]
    origin = shape.origin + np.float32(CELL_MM) * np.array(
        [part.start for part in used], dtype=np.float32
    )
    # Round the creases where solids meet: the share of solid cells among the neighbours.
    near = _summed_over_neighbours(solid.astype(np.uint8))
    tissue = _summed_over_neighbours(near.astype(np.uint16)) > 0.45 * 27**2
    tissue |= bone_cells
    lungs &= tissue
    # Fat takes up little: the deeper below the skin, the more muscle.
    inner = np.clip((np.arange(28, dtype=np.float32) / 27 - 0.5) * 2, 0, 1)
    leanness = 0.55 if patient.body_mass_index > 30 else 0.7
    uptake = (leanness + (1 - leanness) * inner).astype(np.float32)[near] * tissue
    uptake[lungs] = 0.45
    blood = np.zeros(shape.shape, dtype=bool)
    at, inside = _mediastinum(shape, marks)
    blood[at] = inside
    uptake[blood[used] & tissue] = _BLOOD_UPTAKE
    if anatomy_model(patient.anatomy).uptake_levels:
        across, _, up = used
        uptake *= tissue_levels(marks, shape.x.ravel()[across], shape.z.ravel()[up])
    density = tissue.astype(np.float32)
    density[lungs] = LUNG_DENSITY
    front, back = survival(density)
    return Body(
        origin_mm=origin,
        tissue=tissue,
        uptake=uptake,
        survival_front=front,
        survival_back=back,
    )


def survival(density: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Share of photons from the middle of each cell that reach the front, and the back.

    Args:
        density: (nx, ny, nz) relative to water; y runs from back to front.

    Examples:
        >>> front, back = survival(np.ones((1, 3, 1), dtype=np.float32))
        >>> bool(np.allclose(front[0, 0, 0], np.exp(-MU_PER_MM * 2.5 * CELL_MM)))
        True
    """
    step = density * np.float32(-MU_PER_MM * CELL_MM)
    path = np.cumsum(step, axis=1)
    step *= np.float32(0.5)
    behind = path - step
    front = path[:, -1:, :] - behind
    return np.exp(front, out=front), np.exp(behind, out=behind)


def _flat_cells(
    positions_mm: NDArray[np.float32], origin_mm: NDArray[np.float32], shape: tuple[int, ...]
) -> NDArray[np.int32]:
    """Flat indices of the cells that hold points (n, 3); points outside go to the edge."""
    flat = np.zeros(len(positions_mm), dtype=np.int32)
    for axis, size in enumerate(shape):
        place = (positions_mm[:, axis] - origin_mm[axis]) * np.float32(1 / CELL_MM)
        flat *= np.int32(size)
        flat += np.clip(place, 0, size - 1, out=place).astype(np.int32)
    return flat


def _window_of(solid: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """Slices of the cells that are used, with a margin of three cells."""
    depths_and_heights = np.asarray(solid.any(axis=0), dtype=bool)
    used = [
        np.asarray(line, dtype=bool)
        for line in (
            solid.reshape(len(solid), -1).any(axis=1),
            depths_and_heights.any(axis=1),
            depths_and_heights.any(axis=0),
        )
    ]
    first = [max(0, int(line.argmax()) - 3) for line in used]
    last = [len(line) - max(0, int(line[::-1].argmax()) - 3) for line in used]
    return slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2])


def _summed_over_neighbours(cells: NDArray[Any]) -> NDArray[Any]:
    """Sum over each cell and its 26 neighbours, in the cells' own integers."""
    for axis in range(3):
        line = np.moveaxis(cells, axis, 0)
        total = cells.copy()
        along = np.moveaxis(total, axis, 0)
        along[1:] += line[:-1]
        along[:-1] += line[1:]
        cells = total
    return cells
