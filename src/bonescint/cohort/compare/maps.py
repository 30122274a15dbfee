"""What scans look like on average: mean, spread and asymmetry in the common frame.

Scans are prepared with `body-root` version 1, which frames the body and takes a root of its counts,
and reduced to 256 x 256 pixels, the anterior view on the left, the posterior view on the right,
each as seen from its own side. Sums are taken as scans come, so memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.scan import ParameterError, View

FrameMap: TypeAlias = NDArray[np.float32]
PREPROCESSING = "body-root"
SIDE = 256
"""Rows and columns of a map."""
INSIDE = 0.05
"""A pixel belongs to the body where either mean is above this."""
HALVES: Mapping[View, slice] = {
    View.ANTERIOR: slice(0, SIDE // 2),
    View.POSTERIOR: slice(SIDE // 2, SIDE),
}
_SMOOTHING = 1.5
_MOST_SHIFT = 12


def reduced(composite: NDArray[np.float32], rows: int = SIDE) -> FrameMap:
    """A composite of both views as means of square blocks.

    Args:
        composite: (512, 512), or any multiple of `rows`.
        rows: rows of the result, which has as many columns.

    Returns:
        float32 (rows, rows).

    Examples:
        >>> reduced(np.ones((512, 512), np.float32)).shape
        (256, 256)
    """
    step = composite.shape[0] // rows
    return np.asarray(composite.reshape(rows, step, rows, step).mean(axis=(1, 3)), np.float32)


def against_mirror(view: FrameMap) -> FrameMap:
    """A smoothed view minus its mirror image about its own best midline.

    Args:
        view: (rows, columns).

    Returns:
        float32 (rows, columns), antisymmetric about that midline. The midline is sought within 6
        pixels of the middle: the shift of the mirror image with the least sum of squares.

    Examples:
        >>> view = np.zeros((8, 64), np.float32)
        >>> view[:, 20:40] = 1
        >>> float(np.abs(against_mirror(view)).max())
        0.0
    """
    smooth = ndimage.gaussian_filter(view, _SMOOTHING)
    mirrored = smooth[:, ::-1]
    found = [
        smooth - np.roll(mirrored, shift, axis=1) for shift in range(-_MOST_SHIFT, _MOST_SHIFT + 1)
    ]
    return np.asarray(min(found, key=lambda difference: float(np.vdot(difference, difference))))


def mirror_difference(scan: FrameMap) -> FrameMap:
    """`against_mirror` of both views of a reduced composite, (256, 256)."""
    return np.concatenate([against_mirror(scan[:, half]) for half in HALVES.values()], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameMaps:
    """Maps over the scans of a cohort, float32 (256, 256).

    Attributes:
        mean: mean of the prepared scans.
        sd: their standard deviation.
        asymmetry_sd: standard deviation of `mirror_difference`.
        scans: how many; 0 where that is not known.

    Raises:
        ParameterError: a map of another shape, or values that are not finite or below 0.
    """

    mean: FrameMap
    sd: FrameMap
    asymmetry_sd: FrameMap
    scans: int

    def __post_init__(self) -> None:
        for name, values in self.arrays().items():
            if values.shape != (SIDE, SIDE) or not (np.isfinite(values) & (values >= 0)).all():
                wanted = f"({SIDE}, {SIDE}), finite and at least 0"
                raise ParameterError(name, "FrameMaps", wanted, values.shape)

    def arrays(self) -> dict[str, FrameMap]:
        """The three maps by name."""
        return {"mean": self.mean, "sd": self.sd, "asymmetry_sd": self.asymmetry_sd}


class MapSums:
    """Running mean and sum of squared deviations (Welford, Technometrics 1962;4:419).

    Examples:
        >>> sums = MapSums()
        >>> for level in (0.25, 0.75):
        ...     sums.add(np.full((256, 256), level, np.float32))
        >>> maps = sums.maps()
        >>> float(maps.mean[0, 0]), float(maps.sd[0, 0]), float(maps.asymmetry_sd.max())
        (0.5, 0.25, 0.0)
    """

    def __init__(self) -> None:
        self.count = 0
        self._means = np.zeros((2, SIDE, SIDE))
        self._squares = np.zeros((2, SIDE, SIDE))

    def add(self, scan: FrameMap, difference: FrameMap | None = None) -> None:
        """Add a scan.

        Args:
            scan: reduced composite, (256, 256).
            difference: its `mirror_difference`, if it was computed elsewhere.
        """
        both = np.stack([scan, mirror_difference(scan) if difference is None else difference])
        self.count += 1
        gap = both - self._means
        self._means += gap / self.count
        self._squares += gap * (both - self._means)

    def maps(self) -> FrameMaps:
        """Maps of the scans so far.

        Raises:
            ParameterError: no scan yet.
        """
        if not self.count:
            raise ParameterError("count", "MapSums.maps", "at least 1", 0)
        sd, asymmetry = np.sqrt(self._squares / self.count).astype(np.float32)
        mean = self._means[0].astype(np.float32)
        return FrameMaps(mean=mean, sd=sd, asymmetry_sd=asymmetry, scans=self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapAgreement:
    """How alike the maps of two cohorts are in one view, inside the body.

    Attributes:
        mean: Pearson's correlation of the mean maps.
        sd: the same of the maps of standard deviation.
        asymmetry_sd: the same of the maps of asymmetry.
        mean_difference: mean absolute difference of the mean maps, over the mean of the first.
    """

    mean: float
    sd: float
    asymmetry_sd: float
    mean_difference: float

    def to_json(self) -> dict[str, float | None]:
        """By name; what is undefined becomes `None`."""
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}


def agreement(first: FrameMaps, second: FrameMaps) -> dict[View, MapAgreement]:
    """Correlations and mean difference of the maps of two cohorts, for each view.

    The body is where either mean is above 0.05. A map without any spread there has no correlation:
    it is NaN.

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> some = {name: rng.random((256, 256), np.float32)
        ...         for name in ("mean", "sd", "asymmetry_sd")}
        >>> maps = FrameMaps(**some, scans=20)
        >>> found = agreement(maps, maps)[View.ANTERIOR]
        >>> round(found.mean, 6), found.mean_difference
        (1.0, 0.0)
    """
    found = {}
    for view, half in HALVES.items():
        inside = np.maximum(first.mean, second.mean)[:, half] > INSIDE
        pairs = {
            name: (values[:, half][inside], second.arrays()[name][:, half][inside])
            for name, values in first.arrays().items()
        }
        one, other = pairs["mean"]
        level = float(one.mean()) if one.size else 0.0
        found[view] = MapAgreement(
            **{name: _correlation(*pair) for name, pair in pairs.items()},
            mean_difference=float(np.abs(one - other).mean()) / level if level else float("nan"),
        )
    return found


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    if one.size < 2 or one.std() == 0 or other.std() == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
