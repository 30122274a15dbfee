"""Fill a closed triangle mesh with cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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
