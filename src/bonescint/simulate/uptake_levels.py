"""How much more or less each part of the body takes up than version 1's functions say.

The table was fitted to the mean of real scans without visible disease: non-negative least
squares on the mean of the squared prepared scans, to which each part's projection contributes in
proportion, with a pull towards 1 and towards its neighbours (`benchmarks/fit_uptake.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.simulate.landmarks import Landmarks
from bonescint.simulate.regions import group_of_region
from bonescint.simulate.skeleton import Skeleton

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
    """Where a rib or a vertebra stands in its series: 0 the first, 1 the last; others 0."""
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
        marks.box("foot")[0][2], marks.bottom("tibia L")[2], marks.bottom("femur L")[2],
        marks.top("femur L")[2], marks.box("pelvis")[1][2], marks.box("rib")[0][2],
        marks.top("humerus L")[2], marks.box("skull")[1][2],
    ]  # fmt: skip
    up = np.interp(z_mm, heights, np.linspace(0, 1, table.shape[0]))
    across = np.interp(np.abs(x_mm), _ACROSS_MM, np.linspace(0, 1, table.shape[1]))
    grid = np.broadcast_arrays(up[None, :], across[:, None])
    return _interpolated(table, list(grid))[:, None, :]
