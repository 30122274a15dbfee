"""The reference skeleton: bones of a body model filled with samples, and how it takes a pose.

The bones are the meshes of the OpenSim community (CC BY 3.0) as packaged by
musclemimic-models; each is filled with samples once, in the zero pose. A patient's skeleton
is that cloud, moved: no mesh is filled again.

The patient's frame: x to the patient's left, y to the front, z to the head, in millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.extras import load
from bonescint.simulate.constants import SAMPLE_PITCH_MM
from bonescint.simulate.skeleton import Skeleton, group_of_region, region_of_mesh

_RIBCAGE = "ribcage_s"
_STERNUM_FACES = 1450
_RIB_FACES = range(90, 201)
_VERTEBRA_FACES = 200
_SLENDER = ("femur", "tibia", "humerus")
_SHAFT_WIDENING = 1.18
"""The meshes' femoral shaft is 23 mm wide; adults' are 25 (women) to 29 mm (men)."""


@lru_cache(1)
def _body_model() -> tuple[Any, Any]:
    mujoco = load("mujoco", extra="simulate")
    package = load("musclemimic_models", extra="simulate")
    return mujoco, mujoco.MjModel.from_xml_path(str(package.get_xml_path("myofullbody")))


@lru_cache(1)
def _couplings() -> tuple[tuple[int, int, tuple[float, ...]], ...]:
    """Addresses of every slave joint and its master (-1: none), and their polynomial.

    The polynomial's highest power comes first.
    """
    mujoco, model = _body_model()
    found = []
    for equality in range(model.neq):
        if model.eq_type[equality] != mujoco.mjtEq.mjEQ_JOINT:
            continue
        slave, master = int(model.eq_obj1id[equality]), int(model.eq_obj2id[equality])
        master_address = int(model.jnt_qposadr[master]) if master >= 0 else -1
        coefficients = tuple(float(value) for value in model.eq_data[equality][:5][::-1])
        found.append((int(model.jnt_qposadr[slave]), master_address, coefficients))
    return tuple(found)


def _kinematics(pose: Mapping[str, float]) -> Any:
    """Positions and rotations of every body for joint angles in radians."""
    mujoco, model = _body_model()
    state = mujoco.MjData(model)
    mujoco.mj_resetData(model, state)
    for joint, angle in pose.items():
        index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, joint)
        state.qpos[model.jnt_qposadr[index]] = angle
    # Slave joints (shoulder rhythm, patella) follow polynomials; chains need a few rounds.
    joints, rest = state.qpos.tolist(), model.qpos0.tolist()
    for _ in range(3):
        for slave, master, coefficients in _couplings():
            offset = joints[master] - rest[master] if master >= 0 else 0.0
            value = 0.0
            for coefficient in coefficients:
                value = value * offset + coefficient
            joints[slave] = rest[slave] + value
    state.qpos[:] = joints
    mujoco.mj_kinematics(model, state)
    return state


@lru_cache(1)
def _at_rest() -> tuple[NDArray[Any], NDArray[Any]]:
    """Rotations (bodies, 3, 3) and positions (bodies, 3) in the zero pose."""
    _, model = _body_model()
    state = _kinematics({})
    return np.array(state.xmat).reshape(model.nbody, 3, 3), np.array(state.xpos)


_TO_PATIENT = np.diag([1.0, -1.0, 1.0])


def posed(skeleton: Skeleton, pose: Mapping[str, float]) -> NDArray[np.float32]:
    """Move the samples of the reference skeleton into a pose.

    Args:
        skeleton: the reference.
        pose: joint angles in radians, by the body model's joint names.

    Returns:
        float32 array (n, 3) in millimetres, in the patient's frame.
    """
    _, model = _body_model()
    rest_turns, rest_places = _at_rest()
    state = _kinematics(pose)
    rotations = np.empty((model.nbody, 3, 3))
    offsets = np.empty((model.nbody, 3))
    for body in range(model.nbody):
        turn = state.xmat[body].reshape(3, 3) @ rest_turns[body].T
        shift = state.xpos[body] - turn @ rest_places[body]
        rotations[body] = _TO_PATIENT @ turn @ _TO_PATIENT
        offsets[body] = _TO_PATIENT @ shift * 1000
    positions = np.empty_like(skeleton.positions_mm)
    # Samples of one rigid body lie together: move them run by run.
    ends = np.flatnonzero(np.diff(skeleton.part, append=-1)) + 1
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        body = skeleton.part[start]
        turn = rotations[body].T.astype(np.float32)
        positions[start:end] = skeleton.positions_mm[start:end] @ turn
        positions[start:end] += offsets[body].astype(np.float32)
    return positions


def _components(vertices: NDArray[Any], faces: NDArray[Any]) -> tuple[NDArray[Any], list[Any]]:
    """Merge equal vertices and split a mesh into its connected pieces."""
    trimesh = load("trimesh", extra="simulate")
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    mesh.merge_vertices()
    labels = trimesh.graph.connected_component_labels(
        mesh.face_adjacency, node_count=len(mesh.faces)
    )
    pieces = [np.asarray(mesh.faces[labels == label]) for label in np.unique(labels)]
    return np.asarray(mesh.vertices), pieces


def _split_ribcage(vertices: NDArray[Any], faces: NDArray[Any]) -> dict[str, Any]:
    """Split the fused ribcage into 24 ribs and the sternum; drop the logo in the mesh."""
    vertices, pieces = _components(vertices, faces)
    middle = (vertices[:, 0].min() + vertices[:, 0].max()) / 2
    meshes: dict[str, Any] = {}
    ribs: dict[str, list[tuple[float, Any]]] = {"l": [], "r": []}
    for piece in pieces:
        if len(piece) == _STERNUM_FACES:
            meshes["sternum"] = (vertices, piece)
        elif len(piece) in _RIB_FACES:
            points = vertices[piece].reshape(-1, 3)
            at_spine = points[points[:, 1] < points[:, 1].min() + 30]
            side = "l" if points[:, 0].mean() > middle else "r"
            ribs[side].append((-float(at_spine[:, 2].mean()), piece))
    for side, found in ribs.items():
        for number, (_, piece) in enumerate(sorted(found, key=lambda rib: rib[0]), start=1):
            meshes[f"rib{number:02d}_{side}"] = (vertices, piece)
    return meshes


def _split_neck(vertices: NDArray[Any], faces: NDArray[Any]) -> dict[str, Any]:
    """Split the fused cervical spine into C1 to C7."""
    vertices, pieces = _components(vertices, faces)
    vertebrae = [piece for piece in pieces if len(piece) > _VERTEBRA_FACES]
    vertebrae.sort(key=lambda piece: -float(vertices[piece].reshape(-1, 3)[:, 2].mean()))
    return {
        f"cervical{number}": (vertices, piece) for number, piece in enumerate(vertebrae, start=1)
    }


def _meshes() -> list[tuple[str, int, NDArray[Any], NDArray[Any]]]:
    """Every bone in the zero pose: name, body, vertices in mm (patient's frame), faces."""
    mujoco, model = _body_model()
    state = _kinematics({})
    bones: list[tuple[str, int, NDArray[Any], NDArray[Any]]] = []
    for geom in range(model.ngeom):
        if model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_MESH:
            continue
        mesh = model.geom_dataid[geom]
        first_vertex, first_face = model.mesh_vertadr[mesh], model.mesh_faceadr[mesh]
        local = model.mesh_vert[first_vertex : first_vertex + model.mesh_vertnum[mesh]]
        faces = model.mesh_face[first_face : first_face + model.mesh_facenum[mesh]][:, ::-1]
        vertices = local @ state.geom_xmat[geom].reshape(3, 3).T + state.geom_xpos[geom]
        vertices = vertices @ _TO_PATIENT * 1000
        name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_MESH, mesh)
        if "_geom_" in name:
            name = name.split("_geom_")[-1].split("_", 1)[-1]
        body = int(model.geom_bodyid[geom])
        if name == _RIBCAGE:
            split = _split_ribcage(vertices, faces)
        elif name == "hat_cervical":
            split = _split_neck(vertices, faces)
        else:
            split = {name: (vertices, faces)}
        bones.extend((piece, body, *mesh_of) for piece, mesh_of in split.items())
    return bones


def _thickened(
    points: NDArray[np.float64], along: NDArray[np.float64], factor: float
) -> NDArray[np.float64]:
    """Widen the shaft of a long bone around its axis; the ends do not change."""
    stations = np.linspace(0, 1, 25)
    level = np.clip(np.searchsorted(stations, along) - 1, 0, 23)
    number = np.maximum(np.bincount(level, minlength=24), 1)
    centres = (stations[:-1] + stations[1:]) / 2
    wide = 1 + (factor - 1) * np.interp(along, (0.08, 0.2, 0.75, 0.88), (0, 1, 1, 0))
    widened = points.copy()
    for axis in (0, 1):
        middle = np.bincount(level, points[:, axis], minlength=24) / number
        centre = np.interp(along, centres, middle)
        widened[:, axis] = centre + wide * (points[:, axis] - centre)
    return widened


def _normalised(values: NDArray[Any]) -> NDArray[Any]:
    low, high = values.min(), values.max()
    return np.asarray((values - low) / max(high - low, 1e-6))


@lru_cache(1)
def reference_skeleton() -> Skeleton:
    """Build the reference skeleton, once per process (a few seconds).

    Raises:
        MissingExtraError: the libraries of the extra `simulate` are not installed.
    """
    rng = np.random.default_rng(20230212)  # the same cloud for all patients
    pitch = SAMPLE_PITCH_MM
    columns: dict[str, list[NDArray[Any]]] = {
        key: [] for key in ("position", "volume", "part", "region", "depth")
    }
    regions: list[str] = []
    for name, body, vertices, faces in _meshes():
        cells, coverage, occupied = filled_cells(vertices[faces], pitch)
        if len(cells) == 0:
            continue
        region = region_of_mesh(name)
        if region not in regions:
            regions.append(region)
        low = cells.min(axis=0)
        inside = np.pad(occupied > 0.4, 1)
        depth = ndimage.distance_transform_edt(inside, sampling=pitch)[1:-1, 1:-1, 1:-1]
        depth_of = depth[tuple((cells - low).T)]
        if region == "skull":  # an outer surface: keep the vault's shell, thin out the inside
            interior = depth_of > 16
            keep = ~interior | (rng.random(len(cells)) < 0.15)
            cells, coverage, depth_of = cells[keep], coverage[keep], depth_of[keep]
        jitter = rng.random(cells.shape)
        columns["position"].append((cells + jitter) * pitch)
        columns["volume"].append(coverage)
        columns["part"].append(np.full(len(cells), body))
        columns["region"].append(np.full(len(cells), regions.index(region)))
        columns["depth"].append(depth_of)
    region_index = np.concatenate(columns["region"])
    # Each bone in one run, as `Skeleton` requires.
    order = np.argsort(region_index, kind="stable")
    region_index = region_index[order]
    position, volume, part, depth_mm = (
        np.concatenate(columns[key])[order] for key in ("position", "volume", "part", "depth")
    )
    along, lateral, front = (np.empty(len(position)) for _ in range(3))
    middle = float(np.median(position[region_index == regions.index("sacrum"), 0]))
    position[:, 0] -= middle
    for index in range(len(regions)):
        mine = region_index == index
        along[mine] = _normalised(position[mine, 2])
        lateral[mine] = _normalised(np.abs(position[mine, 0]))
        front[mine] = _normalised(position[mine, 1])
        if group_of_region(regions[index]) in _SLENDER:
            position[mine] = _thickened(position[mine], along[mine], _SHAFT_WIDENING)
    return Skeleton(
        positions_mm=(position + np.array([middle, 0, 0])).astype(np.float32),
        volume=volume.astype(np.float32),
        part=part.astype(np.int16),
        region=region_index.astype(np.uint8),
        regions=tuple(regions),
        depth_mm=depth_mm.astype(np.float32),
        along=along.astype(np.float32),
        lateral=lateral.astype(np.float32),
        front=front.astype(np.float32),
    )


_INSIDE = 0.05
_OFF_CENTRE = (1.1e-4, 2.3e-4)  # rays never pass exactly through a vertex


def filled_cells(
    triangles: NDArray[Any], pitch: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Find the cells inside a mesh and how much of each is covered.

    A ray along y through every (x, z) cell centre crosses the surface; each crossing adds or
    takes away, by the triangle's orientation, all cells behind it. Rays that do not come out
    even (leaks of the mesh) take their neighbours' cells.

    Args:
        triangles: array (faces, 3 corners, 3 coordinates), consistently oriented.
        pitch: edge of a cell, in the unit of the coordinates.

    Returns:
        Cell indices (n, 3) in units of pitch, coverage (n,) from 0 to 1, and the dense
        coverage of the box around them, whose first cell is `cells.min(axis=0)`.

    Examples:
        >>> import trimesh
        >>> ball = trimesh.creation.icosphere(subdivisions=3, radius=10.0)
        >>> _, coverage, _ = filled_cells(ball.triangles, 1.0)
        >>> bool(abs(coverage.sum() / ball.volume - 1) < 0.02)
        True
    """
    corners = np.asarray(triangles, dtype=np.float64) / pitch
    low = np.floor(corners.min(axis=(0, 1))).astype(np.int64) - 1
    high = np.ceil(corners.max(axis=(0, 1))).astype(np.int64) + 2
    column, row, depth, sign = _crossings(corners)
    size_x, size_y, size_z = (int(extent) for extent in high - low)
    change = np.zeros((size_x, size_z, size_y + 1))
    behind = np.floor(depth).astype(np.int64)
    share = behind + 1 - depth
    at = (column - low[0], row - low[2], behind - low[1])
    np.add.at(change, at, sign * share)
    np.add.at(change, (at[0], at[1], at[2] + 1), sign * (1 - share))
    inside = np.cumsum(change, axis=2)
    leaking = np.abs(inside[:, :, -1]) > 0.5
    inside[leaking] = 0
    if inside.sum() < 0:
        inside = -inside
    inside = np.clip(inside, 0, 1)
    if leaking.any():
        closed = ndimage.grey_closing(inside, size=(3, 3, 1))
        inside[leaking] = closed[leaking]
    dense = inside[:, :, :-1].transpose(0, 2, 1)
    found = np.argwhere(dense > _INSIDE)
    if len(found) == 0:
        return found, np.empty(0), dense[:0]
    first, last = found.min(axis=0), found.max(axis=0) + 1
    box = dense[first[0] : last[0], first[1] : last[1], first[2] : last[2]]
    return found + low, dense[tuple(found.T)], box


def _crossings(
    corners: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Where rays along y through cell centres cross the triangles, and in which sense."""
    x, y, z = corners[:, :, 0], corners[:, :, 1], corners[:, :, 2]
    first_column = np.ceil(x.min(1) - 0.5).astype(np.int64)
    first_row = np.ceil(z.min(1) - 0.5).astype(np.int64)
    columns = np.maximum(np.floor(x.max(1) - 0.5).astype(np.int64) - first_column + 1, 0)
    rows = np.maximum(np.floor(z.max(1) - 0.5).astype(np.int64) - first_row + 1, 0)
    rays = columns * rows
    face = np.repeat(np.arange(len(corners)), rays)
    number = np.arange(rays.sum()) - np.repeat(np.cumsum(rays) - rays, rays)
    column = first_column[face] + number % columns[face]
    row = first_row[face] + number // columns[face]
    edge1_x, edge1_z = x[:, 1] - x[:, 0], z[:, 1] - z[:, 0]
    edge2_x, edge2_z = x[:, 2] - x[:, 0], z[:, 2] - z[:, 0]
    area = edge1_x * edge2_z - edge1_z * edge2_x
    area = np.where(np.abs(area) < 1e-9, np.nan, area)[face]
    from_x = column + 0.5 + _OFF_CENTRE[0] - x[face, 0]
    from_z = row + 0.5 + _OFF_CENTRE[1] - z[face, 0]
    u = (from_x * edge2_z[face] - from_z * edge2_x[face]) / area
    v = (from_z * edge1_x[face] - from_x * edge1_z[face]) / area
    hit = (u >= 0) & (v >= 0) & (u + v <= 1)
    face, u, v = face[hit], u[hit], v[hit]
    depth = y[face, 0] + u * (y[face, 1] - y[face, 0]) + v * (y[face, 2] - y[face, 0])
    return column[hit], row[hit], depth, np.sign(area[hit])
