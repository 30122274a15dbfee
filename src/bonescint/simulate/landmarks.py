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
        self._groups = [group_of_region(name) for name in skeleton.regions]
        self._boxes: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def _mean_of(self, region: str, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
        points = self._positions[self._skeleton.span(region)]
        return np.asarray(points[chosen].mean(axis=0), dtype=np.float32)

    def top(self, region: str) -> NDArray[np.float32]:
        """The middle of a bone's head end."""
        along = self._skeleton.along[self._skeleton.span(region)]
        return self._mean_of(region, along > 0.95)

    def bottom(self, region: str) -> NDArray[np.float32]:
        """The middle of a bone's foot end."""
        along = self._skeleton.along[self._skeleton.span(region)]
        return self._mean_of(region, along < 0.05)

    def front(self, region: str) -> NDArray[np.float32]:
        """The middle of a bone's front end."""
        front = self._skeleton.front[self._skeleton.span(region)]
        return self._mean_of(region, front > 0.9)

    def back(self, region: str) -> NDArray[np.float32]:
        """The middle of a bone's back end."""
        front = self._skeleton.front[self._skeleton.span(region)]
        return self._mean_of(region, front < 0.12)

    def centre(self, region: str) -> NDArray[np.float32]:
        """The centroid of a bone."""
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
