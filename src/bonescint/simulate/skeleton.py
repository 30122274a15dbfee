"""A skeleton as a cloud of samples, its bones by name, and landmarks that place soft tissue."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ParameterError

_MESH_REGIONS: tuple[tuple[str, str], ...] = (
    (r"skull", "skull"),
    (r"jaw", "mandible"),
    (r"sacrum", "sacrum"),
    (r"sternum", "sternum"),
    (r"clavicle", "clavicle"),
    (r"scapula", "scapula"),
    (r"humerus", "humerus"),
    (r"ulna", "ulna"),
    (r"radius", "radius"),
    (r"pelvis", "pelvis"),
    (r"femur", "femur"),
    (r"patella", "patella"),
    (r"tibia", "tibia"),
    (r"fibula", "fibula"),
    (r"talus|foot", "foot"),
)


def region_of_mesh(mesh: str) -> str:
    """Name the bone region that a mesh of the skeleton belongs to.

    Args:
        mesh: name such as `"lumbar3"`, `"rib07_l"`, `"scaphoid_r"`.

    Returns:
        Region: `"L3"`, `"rib07 L"`, `"hand R"`.

    Examples:
        >>> [region_of_mesh(name) for name in ("lumbar3", "rib07_l", "scaphoid_r", "r_femur")]
        ['L3', 'rib07 L', 'hand R', 'femur R']
    """
    side = ""
    if mesh.endswith("_l") or mesh.startswith("l_"):
        side = " L"
    elif mesh.endswith("_r") or mesh.startswith("r_"):
        side = " R"
    if rib := re.match(r"rib(\d\d)", mesh):
        return f"rib{rib[1]}{side}"
    if vertebra := re.match(r"(cervical|thoracic|lumbar)(\d+)", mesh):
        return f"{vertebra[1][0].upper()}{vertebra[2]}"
    for pattern, region in _MESH_REGIONS:
        if re.search(pattern, mesh):
            return region + side
    return "hand" + side


@cache
def group_of_region(region: str) -> str:
    """The group of bones that a region belongs to, as the site tables name it.

    Examples:
        >>> [group_of_region(name) for name in ("L3", "rib07 L", "T12", "skull", "hand R")]
        ['lumbar', 'rib', 'thoracic', 'skull', 'hand']
    """
    if vertebra := re.fullmatch(r"([CTL])\d+", region):
        return {"C": "cervical", "T": "thoracic", "L": "lumbar"}[vertebra[1]]
    return "rib" if region.startswith("rib") else region.split(" ")[0]


def side_of_region(region: str) -> str:
    """The side of a bone: `"L"`, `"R"`, or empty for a bone in the midline.

    Examples:
        >>> side_of_region("femur R"), side_of_region("sternum")
        ('R', '')
    """
    return region[-1] if region.endswith((" L", " R")) else ""


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """Bones sampled on a grid of equal cells, with each sample's position inside its own bone.

    Attributes:
        positions_mm: float32 (n, 3), in the zero pose.
        volume: float32 (n,), share of its cell that is bone, 0 to 1.
        part: int16 (n,), the rigid body that carries the sample.
        region: uint8 (n,), index into `regions`, sorted.
        regions: names of the bones.
        depth_mm: float32 (n,), distance below the bone's surface.
        along: float32 (n,), 0 at the bone's caudal end to 1 at its cranial end.
        lateral: float32 (n,), 0 at the bone's medial edge to 1 at its lateral edge; for
            bones in the midline 0 in the middle and 1 at either side.
        front: float32 (n,), 0 at its posterior to 1 at its anterior end.
    """

    positions_mm: NDArray[np.float32]
    volume: NDArray[np.float32]
    part: NDArray[np.int16]
    region: NDArray[np.uint8]
    regions: tuple[str, ...]
    depth_mm: NDArray[np.float32]
    along: NDArray[np.float32]
    lateral: NDArray[np.float32]
    front: NDArray[np.float32]

    def __post_init__(self) -> None:
        if (self.region[1:] < self.region[:-1]).any():
            raise ParameterError("region", "Skeleton", "sorted: each bone in one run", "unsorted")

    def span(self, region: str) -> slice:
        """The slice of one bone's samples, which are consecutive.

        Raises:
            KeyError: no such region.
        """
        if region not in self.regions:
            raise KeyError(region)
        index = np.uint8(self.regions.index(region))
        first = int(np.searchsorted(self.region, index, side="left"))
        return slice(first, int(np.searchsorted(self.region, index, side="right")))

    def members(self, region: str) -> NDArray[np.intp]:
        """Indices of the samples of one bone.

        Raises:
            KeyError: no such region.
        """
        span = self.span(region)
        return np.arange(span.start, span.stop)


class Landmarks:
    """Ends, centres and boxes of the bones of one patient, in millimetres.

    Args:
        skeleton: the reference skeleton, which gives each sample's position inside its bone.
        positions_mm: positions of the samples in this patient, array (n, 3).
    """

    def __init__(self, skeleton: Skeleton, positions_mm: NDArray[np.float32]) -> None:
        self._skeleton = skeleton
        self._positions = positions_mm
        self._groups = [group_of_region(name) for name in skeleton.regions]
        self._boxes: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def _mean_of(self, region: str, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
        points = self._positions[self._skeleton.span(region)]
        return np.asarray(points[chosen].mean(axis=0), dtype=np.float32)

    def top(self, region: str) -> NDArray[np.float32]:
        """The centre of a bone's cranial end, (3,) in mm."""
        along = self._skeleton.along[self._skeleton.span(region)]
        return self._mean_of(region, along > 0.95)

    def bottom(self, region: str) -> NDArray[np.float32]:
        """The centre of a bone's caudal end, (3,) in mm."""
        along = self._skeleton.along[self._skeleton.span(region)]
        return self._mean_of(region, along < 0.05)

    def front(self, region: str) -> NDArray[np.float32]:
        """The centre of a bone's anterior end, (3,) in mm."""
        front = self._skeleton.front[self._skeleton.span(region)]
        return self._mean_of(region, front > 0.9)

    def back(self, region: str) -> NDArray[np.float32]:
        """The centre of a bone's posterior end, (3,) in mm."""
        front = self._skeleton.front[self._skeleton.span(region)]
        return self._mean_of(region, front < 0.12)

    def centre(self, region: str) -> NDArray[np.float32]:
        """The centroid of a bone, (3,) in mm."""
        return np.asarray(self._positions[self._skeleton.span(region)].mean(axis=0), np.float32)

    def box(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Lowest and highest corner of a bone, or of a group of bones such as `"rib"`."""
        if name not in self._boxes:
            spans = [
                self._positions[self._skeleton.span(region)].T
                for region, group in zip(self._skeleton.regions, self._groups, strict=True)
                if name in (region, group)
            ]
            self._boxes[name] = (
                np.min([points.min(axis=1) for points in spans], axis=0),
                np.max([points.max(axis=1) for points in spans], axis=0),
            )
        low, high = self._boxes[name]
        return low.copy(), high.copy()
