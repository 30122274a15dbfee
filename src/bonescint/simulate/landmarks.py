"""Points of a patient's skeleton that organs, envelope and mimics hang on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonescint.simulate.regions import group_of_region
from bonescint.simulate.skeleton import Skeleton


class Landmarks:
    """Ends, centres and boxes of the bones of one patient, in millimetres.

    Args:
        skeleton: the reference, for where a sample lies inside its bone.
        positions_mm: where the samples lie in this patient, array (n, 3).
    """

    def __init__(self, skeleton: Skeleton, positions_mm: NDArray[np.float32]) -> None:
        self._skeleton = skeleton
        self._positions = positions_mm
        self._groups = np.array([group_of_region(name) for name in skeleton.regions])

    def _mean_of(self, region: str, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
        members = self._skeleton.members(region)
        return np.asarray(self._positions[members[chosen]].mean(axis=0), dtype=np.float32)

    def top(self, region: str) -> NDArray[np.float32]:
        """The middle of a bone's head end."""
        along = self._skeleton.along[self._skeleton.members(region)]
        return self._mean_of(region, along > 0.95)

    def bottom(self, region: str) -> NDArray[np.float32]:
        """The middle of a bone's foot end."""
        along = self._skeleton.along[self._skeleton.members(region)]
        return self._mean_of(region, along < 0.05)

    def front(self, region: str) -> NDArray[np.float32]:
        """The middle of a bone's front end."""
        front = self._skeleton.front[self._skeleton.members(region)]
        return self._mean_of(region, front > 0.9)

    def back(self, region: str) -> NDArray[np.float32]:
        """The middle of a bone's back end."""
        front = self._skeleton.front[self._skeleton.members(region)]
        return self._mean_of(region, front < 0.12)

    def centre(self, region: str) -> NDArray[np.float32]:
        """The centroid of a bone."""
        members = self._skeleton.members(region)
        return np.asarray(self._positions[members].mean(axis=0), dtype=np.float32)

    def box(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Lowest and highest corner of a bone, or of a group of bones such as `"rib"`."""
        wanted = np.flatnonzero((self._groups == name) | (np.array(self._skeleton.regions) == name))
        points = self._positions[np.isin(self._skeleton.region, wanted)]
        return points.min(axis=0), points.max(axis=0)
