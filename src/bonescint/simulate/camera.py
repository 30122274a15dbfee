"""The gamma camera: attenuation, distance-dependent blur, scatter, counts.

Two heads pass over the patient together. Photons leave along y; what is deeper is weaker
and more blurred. Blur is Gaussian (a parallel-hole collimator's to good approximation), so
depth slabs are blurred from far to near in steps that add up in variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.scan import ParameterError, View, mirrored
from bonescint.simulate.body import Body
from bonescint.simulate.constants import (
    CELL_MM,
    SAMPLE_PITCH_MM,
    SCATTER_FRACTION,
    SCATTER_SIGMA_MM,
    SLABS,
)

_FWHM_PER_SIGMA = 2.354820045
_SCATTER_REDUCTION = 4
_NARROW = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A dual-head camera with low-energy high-resolution collimators.

    Attributes:
        name: what it is called.
        maker: how its DICOM header names the maker.
        rows, columns: matrix of a whole-body view.
        pixel_mm: edge of a pixel.
        intrinsic_fwhm_mm: resolution of the crystal.
        collimator_fwhm_mm: resolution of the collimator at its face.
        collimator_slope: growth of that with distance.
        gap_mm: distance from the collimator to the body.
        scatter_fraction: scattered over primary counts in the window.
        median_counts: median of the counts in the posterior view.
    """

    name: str
    maker: str
    rows: int = 1024
    columns: int = 256
    pixel_mm: float = 2.40
    intrinsic_fwhm_mm: float = 3.8
    collimator_fwhm_mm: float = 1.6
    collimator_slope: float = 0.043
    gap_mm: float = 60.0
    scatter_fraction: float = SCATTER_FRACTION
    median_counts: float = 1.2e6

    def __post_init__(self) -> None:
        for name in ("pixel_mm", "intrinsic_fwhm_mm", "collimator_fwhm_mm", "median_counts"):
            if not getattr(self, name) > 0:
                raise ParameterError(name, "Camera", "above 0", getattr(self, name))
        for name in ("rows", "columns"):
            size = getattr(self, name)
            if size < 64 or size % _SCATTER_REDUCTION:
                requirement = f"at least 64 and a multiple of {_SCATTER_REDUCTION}"
                raise ParameterError(name, "Camera", requirement, size)
        for name in ("gap_mm", "scatter_fraction", "collimator_slope"):
            if getattr(self, name) < 0:
                raise ParameterError(name, "Camera", "at least 0", getattr(self, name))

    def sigma_mm(self, distance_mm: float) -> float:
        """Standard deviation of the blur at a distance from the collimator.

        Examples:
            >>> camera = Camera(name="c", maker="m", intrinsic_fwhm_mm=3.0,
            ...                 collimator_fwhm_mm=4.0, collimator_slope=0.0)
            >>> round(camera.sigma_mm(100.0) * 2.354820045, 6)
            5.0
        """
        collimator = self.collimator_fwhm_mm + self.collimator_slope * distance_mm
        return float(np.hypot(self.intrinsic_fwhm_mm, collimator)) / _FWHM_PER_SIGMA


class ProjectedPart(NamedTuple):
    """A rectangle of a projected image, and where in the view it lies."""

    image: NDArray[np.float32]
    top: int
    left: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the view that it covers."""
        rows, columns = self.image.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)


class Projector:
    """Projects activity in one body onto both heads of one camera.

    Args:
        body: attenuation and extent.
        camera: resolution and matrix.
        top_mm: height (z) of the upper edge of row 0.
        left_mm: x of the left edge of the anterior view's column 0.
    """

    def __init__(self, body: Body, camera: Camera, *, top_mm: float, left_mm: float) -> None:
        self.body = body
        self.camera = camera
        self.top_mm = top_mm
        self.left_mm = left_mm
        back, front = body.depth_range_mm
        self._edges = np.linspace(back, front, SLABS + 1)
        middles = (self._edges[1:] + self._edges[:-1]) / 2
        self._distance = {
            View.ANTERIOR: front - middles + camera.gap_mm,
            View.POSTERIOR: middles - back + camera.gap_mm,
        }
        self._survival = {View.ANTERIOR: body.survival_front, View.POSTERIOR: body.survival_back}

    def _pixels(
        self, positions_mm: NDArray[np.float32]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Row, column (as seen from the front) and slab of each position."""
        pixel = self.camera.pixel_mm
        row = np.floor((self.top_mm - positions_mm[:, 2]) / pixel).astype(np.intp)
        column = np.floor((positions_mm[:, 0] - self.left_mm) / pixel).astype(np.intp)
        slab = np.searchsorted(self._edges[1:-1], positions_mm[:, 1])
        return row, column, slab

    def project(
        self, positions_mm: NDArray[np.float32], activity: NDArray[np.float32]
    ) -> dict[View, ProjectedPart]:
        """Project samples onto both heads.

        Args:
            positions_mm: array (n, 3).
            activity: array (n,), concentration times cell volume.

        Returns:
            For each view the part of a float32 image, as seen from its own side, that they
            reach: primary photons, without scatter and noise. Empty when all lie outside
            the field.
        """
        row, column, slab = self._pixels(positions_mm)
        rows, columns = self.camera.rows, self.camera.columns
        seen = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        if not seen.any():
            return {}
        row, column, slab = row[seen], column[seen], slab[seen]
        cells = self.body.cell_of(positions_mm[seen])
        # Only the part of the field that the samples and their blur reach.
        reach = 3 + int(3.2 * self.camera.sigma_mm(500.0) / self.camera.pixel_mm)
        top, bottom = max(0, row.min() - reach), min(rows, row.max() + reach + 1)
        left, right = max(0, column.min() - reach), min(columns, column.max() + reach + 1)
        size = (SLABS, bottom - top, right - left)
        flat = (slab * size[1] + (row - top)) * size[2] + (column - left)
        parts: dict[View, ProjectedPart] = {}
        for view in View:
            reached = activity[seen] * self._survival[view][cells]
            slabs = np.bincount(flat, reached, minlength=int(np.prod(size))).reshape(size)
            image = self._blurred(slabs.astype(np.float32), view)
            if view is View.ANTERIOR:
                parts[view] = ProjectedPart(image, int(top), int(left))
            else:
                parts[view] = ProjectedPart(mirrored(image), int(top), int(columns - right))
        return parts

    def project_tissue(self) -> dict[View, NDArray[np.float32]]:
        """Project the soft tissue at a concentration of 1 times its relative uptake."""
        camera, body = self.camera, self.body
        centres = [
            body.origin_mm[axis] + (np.arange(size) + 0.5) * CELL_MM
            for axis, size in enumerate(body.tissue.shape)
        ]
        slab_of = np.searchsorted(self._edges[1:-1], centres[1])
        pixel_z = self.top_mm - (np.arange(camera.rows) + 0.5) * camera.pixel_mm
        pixel_x = self.left_mm + (np.arange(camera.columns) + 0.5) * camera.pixel_mm
        to_rows = _linear_weights(centres[2], pixel_z)
        to_columns = _linear_weights(centres[0], pixel_x)
        # Concentration is per bone sample cell; a column of a pixel holds this many of them.
        per_pixel = (camera.pixel_mm**2) * CELL_MM / SAMPLE_PITCH_MM**3
        images = {}
        for view in View:
            weighted = body.uptake * self._survival[view] * np.float32(per_pixel)
            slabs = np.zeros((SLABS, *weighted[:, 0, :].T.shape), dtype=np.float32)
            for slab in range(SLABS):
                slabs[slab] = weighted[:, slab_of == slab, :].sum(axis=1).T
            coarse = self._blurred(slabs, view, pixel_mm=CELL_MM)
            image = (to_rows @ coarse @ to_columns.T).astype(np.float32)
            images[view] = image if view is View.ANTERIOR else mirrored(image)
        return images

    def _blurred(
        self, slabs: NDArray[np.float32], view: View, *, pixel_mm: float | None = None
    ) -> NDArray[np.float32]:
        """Blur slabs by their distance and add them, far ones first."""
        pixel = pixel_mm or self.camera.pixel_mm
        distances = self._distance[view]
        far_to_near = [slab for slab in np.argsort(-distances) if slabs[slab].any()]
        if not far_to_near:
            return np.zeros(slabs.shape[1:], dtype=np.float32)
        sigmas = [self.camera.sigma_mm(float(distances[slab])) / pixel for slab in far_to_near]
        total = slabs[far_to_near[0]]
        for slab, farther, sigma in zip(far_to_near[1:], sigmas, sigmas[1:], strict=False):
            total = _gaussian(total, float(np.sqrt(max(farther**2 - sigma**2, 0.0))))
            total = total + slabs[slab]
        return _gaussian(total, sigmas[-1])

    def with_scatter(self, primary: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add photons that were scattered on their way, as a wide blur of the primary ones."""
        step = _SCATTER_REDUCTION
        rows, columns = primary.shape
        coarse = primary.reshape(rows // step, step, columns // step, step).mean(axis=(1, 3))
        sigma = SCATTER_SIGMA_MM / (self.camera.pixel_mm * step)
        wide = ndimage.gaussian_filter(coarse, sigma, mode="constant")
        smooth = ndimage.zoom(wide, step, order=1, mode="nearest", grid_mode=True)
        return np.asarray(primary + np.float32(self.camera.scatter_fraction) * smooth)


def _gaussian(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    if sigma < 0.05:
        return image
    if sigma >= _NARROW:
        blurred = ndimage.gaussian_filter(image, sigma, mode="constant", truncate=3.0)
        return np.asarray(blurred, dtype=np.float32)
    # A Gaussian sampled so coarsely has too small a variance, which adds up over the slabs.
    # These three weights have the wanted one.
    side = sigma**2 / 2
    for axis in (0, 1):
        image = ndimage.correlate1d(image, [side, 1 - 2 * side, side], axis=axis, mode="constant")
    return image


def _linear_weights(
    grid: NDArray[np.floating[Any]], points: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """Matrix (points, grid) that interpolates linearly on an even grid; 0 outside it."""
    place = (points - grid[0]) / (grid[1] - grid[0])
    low = np.floor(place).astype(int)
    share = place - low
    weights = np.zeros((len(points), len(grid)), dtype=np.float32)
    index = np.arange(len(points))
    for neighbour, weight in ((low, 1 - share), (low + 1, share)):
        inside = (neighbour >= 0) & (neighbour < len(grid))
        weights[index[inside], neighbour[inside]] += weight[inside].astype(np.float32)
    return weights


def detected(mean: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw Poisson counts around a mean image (rows, columns)."""
    return rng.poisson(mean).astype(np.float32)
