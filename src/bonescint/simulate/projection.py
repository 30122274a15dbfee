"""Projection of a patient onto both detectors: attenuation, blur, scatter, counts.

Two detectors pass over the patient together. Photons leave along y; deeper activity is weaker and
more blurred. Blur is Gaussian (a parallel-hole collimator's to good approximation), so
slabs of equal distance are blurred from far to near in steps that add up in variance.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.scan import View, mirrored
from bonescint.simulate.body import Body
from bonescint.simulate.camera import MATRIX_MULTIPLE, Camera
from bonescint.simulate.constants import (
    BACKGROUND_SHARE,
    CELL_MM,
    MU_PER_MM,
    SAMPLE_PITCH_MM,
    SCATTER_SIGMA_MM,
    SLAB_MM,
)

_NARROW = 0.75
"""Standard deviation in pixels below which a sampled Gaussian has too small a variance."""

_REACH = 3.2
"""How far blur is followed, in standard deviations."""


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


class _Seen(NamedTuple):
    """Samples inside the field: row and column (as seen from the front), y, cell, activity."""

    row: NDArray[np.int32]
    column: NDArray[np.int32]
    y_mm: NDArray[np.float32]
    cell: NDArray[np.int32]
    activity: NDArray[np.float32]


class Projector:
    """Projects activity in one body onto both detectors of one camera.

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
        height_mm = body.origin_mm[2] + (np.arange(body.tissue.shape[2]) + 0.5) * CELL_MM
        row_mm = top_mm - (np.arange(camera.rows) + 0.5) * camera.pixel_mm
        table_mm = body.depth_range_mm[0] - camera.table_gap_mm
        self._face_mm = {
            View.ANTERIOR: anterior_face_mm(body, camera),
            View.POSTERIOR: np.full(len(height_mm), table_mm),
        }
        self._face_of_row_mm = {
            view: np.interp(row_mm, height_mm, face).astype(np.float32)
            for view, face in self._face_mm.items()
        }
        self._survival = {View.ANTERIOR: body.survival_front, View.POSTERIOR: body.survival_back}

    def _distance(self, view: View, y: NDArray[Any], face: NDArray[Any]) -> NDArray[np.float32]:
        """Distance from the collimator's face, at least 0."""
        away = face - y if view is View.ANTERIOR else y - face
        return np.asarray(np.maximum(away, 0), dtype=np.float32)

    def _seen(
        self, positions_mm: NDArray[np.float32], activity: NDArray[np.float32]
    ) -> _Seen | None:
        per_mm = np.float32(1 / self.camera.pixel_mm)
        row = (np.float32(self.top_mm) - positions_mm[:, 2]) * per_mm
        column = (positions_mm[:, 0] - np.float32(self.left_mm)) * per_mm
        seen = (row >= 0) & (row < self.camera.rows)
        seen &= (column >= 0) & (column < self.camera.columns)
        if not seen.all():
            if not seen.any():
                return None
            row, column = row[seen], column[seen]
            positions_mm, activity = positions_mm[seen], activity[seen]
        return _Seen(
            row.astype(np.int32),
            column.astype(np.int32),
            np.ascontiguousarray(positions_mm[:, 1]),
            self.body.flat_cell_of(positions_mm),
            activity,
        )

    def project(
        self, positions_mm: NDArray[np.float32], activity: NDArray[np.float32]
    ) -> dict[View, ProjectedPart]:
        """Project samples onto both detectors.

        Args:
            positions_mm: array (n, 3).
            activity: array (n,), concentration times cell volume.

        Returns:
            For each view the part of a float32 image, as seen from its own side, that they
            reach: primary photons, without scatter and noise. Empty when all lie outside
            the field.
        """
        seen = self._seen(positions_mm, activity)
        if seen is None:
            return {}
        pixel = self.camera.pixel_mm
        first_row, last_row = int(seen.row.min()), int(seen.row.max())
        first_column, last_column = int(seen.column.min()), int(seen.column.max())
        parts: dict[View, ProjectedPart] = {}
        for view in View:
            distance = self._distance(view, seen.y_mm, self._face_of_row_mm[view][seen.row])
            weight = seen.activity * self._survival[view].reshape(-1)[seen.cell]
            # Only the part of the field that the samples and their blur reach.
            reach = 2 + int(_REACH * self.camera.sigma_mm(float(distance.max())) / pixel)
            top, bottom = max(0, first_row - reach), min(self.camera.rows, last_row + reach + 1)
            left = max(0, first_column - reach)
            right = min(self.camera.columns, last_column + reach + 1)
            slab, middle = _slabs(distance)
            size = (len(middle), bottom - top, right - left)
            flat = (slab * size[1] + (seen.row - np.int32(top))) * size[2]
            flat += seen.column - np.int32(left)
            stack = np.zeros(size, dtype=np.float32)
            np.add.at(stack.reshape(-1), flat, weight)
            # A slab's blur is that at its samples' own mean distance; of many, some suffice.
            some = slice(None, None, 1 + len(slab) // 50_000)
            share = np.abs(weight[some])
            total = np.bincount(slab[some], share, minlength=len(middle))
            weighted = np.bincount(slab[some], share * distance[some], minlength=len(middle))
            np.divide(weighted, total, out=middle, where=total > 0)
            image = self._blurred(stack, middle, pixel)
            if view is View.ANTERIOR:
                parts[view] = ProjectedPart(image, top, left)
            else:
                parts[view] = ProjectedPart(mirrored(image), top, self.camera.columns - right)
        return parts

    def project_tissue(self, concentration: float = 1.0) -> dict[View, NDArray[np.float32]]:
        """Project the soft tissue at a concentration times its relative uptake.

        Returns:
            For each view a float32 image (rows, columns) of its own, as `project` gives.
        """
        camera, body = self.camera, self.body
        x, y, z = (
            body.origin_mm[axis] + (np.arange(size) + 0.5) * CELL_MM
            for axis, size in enumerate(body.tissue.shape)
        )
        pixel_z = self.top_mm - (np.arange(camera.rows) + 0.5) * camera.pixel_mm
        pixel_x = self.left_mm + (np.arange(camera.columns) + 0.5) * camera.pixel_mm
        # Concentration is per bone sample cell; a column of a pixel holds this many of them.
        per_pixel = np.float32(concentration * camera.pixel_mm**2 * CELL_MM / SAMPLE_PITCH_MM**3)
        images = {}
        for view in View:
            weighted = body.uptake * self._survival[view]
            distance = self._distance(view, y[:, None], self._face_mm[view][None, :])
            slab, middle = _slabs(distance)
            # Room for blur beyond the skin, in cells.
            reach = 2 + int(_REACH * camera.sigma_mm(float(distance.max())) / CELL_MM)
            size = (len(middle), len(z) + 2 * reach, len(x) + 2 * reach)
            stack = np.zeros(size, dtype=np.float32)
            for number in range(len(stack)):
                mine = slab == number
                levels = np.flatnonzero(mine.any(axis=1))
                if not len(levels):
                    continue
                low, high = int(levels[0]), int(levels[-1]) + 1
                inside = np.einsum(
                    "xyz,yz->zx", weighted[:, low:high], mine[low:high].astype(np.float32)
                )
                stack[number, reach:-reach, reach:-reach] = inside
                middle[number] = float(distance[mine].mean())
            coarse = self._blurred(stack, middle, CELL_MM)
            origin_z, origin_x = z[0] - reach * CELL_MM, x[0] - reach * CELL_MM
            image = _interpolated(coarse, (pixel_z - origin_z) / CELL_MM)
            image = _interpolated(image.T, (pixel_x - origin_x) / CELL_MM).T * per_pixel
            images[view] = np.array(image if view is View.ANTERIOR else mirrored(image), order="C")
        return images

    def _blurred(
        self, stack: NDArray[np.float32], distances_mm: NDArray[np.float64], pixel_mm: float
    ) -> NDArray[np.float32]:
        """Blur slabs, near ones first in the stack, by their distance, and add them."""
        sigmas = [self.camera.sigma_mm(float(distance)) / pixel_mm for distance in distances_mm]
        sigmas = [0.0, *sigmas]  # what has been blurred by all steps is as sharp as it gets
        total = np.zeros_like(stack[0])
        first, last = len(total), 0  # rows that hold anything so far
        for slab in range(len(stack) - 1, -1, -1):
            used = np.flatnonzero(stack[slab].any(axis=1))
            if len(used):
                first, last = min(first, int(used[0])), max(last, int(used[-1]) + 1)
                total[used[0] : used[-1] + 1] += stack[slab, used[0] : used[-1] + 1]
            step = float(np.sqrt(max(sigmas[slab + 1] ** 2 - sigmas[slab] ** 2, 0.0)))
            reach = 2 + int(_REACH * step)
            first, last = max(0, first - reach), min(len(total), last + reach)
            if first < last:
                total[first:last] = gaussian(total[first:last], step)
        return np.asarray(total)

    def _scatterers(self, view: View) -> NDArray[np.float32]:
        """Amount of scattering tissue along the line of each coarse pixel: 0 in air, up to 1."""
        body, pixel = self.body, self.camera.pixel_mm * MATRIX_MULTIPLE
        cells = body.tissue.sum(axis=1, dtype=np.uint8).T  # 255 cells would be two metres
        thickness = cells * np.float32(CELL_MM)
        share = 1 - np.exp(np.float32(-MU_PER_MM) * thickness)
        z = self.top_mm - (np.arange(self.camera.rows // MATRIX_MULTIPLE) + 0.5) * pixel
        x = self.left_mm + (np.arange(self.camera.columns // MATRIX_MULTIPLE) + 0.5) * pixel
        tall = _interpolated(share, (z - body.origin_mm[2]) / CELL_MM - 0.5)
        found = _interpolated(tall.T, (x - body.origin_mm[0]) / CELL_MM - 0.5).T
        return found if view is View.ANTERIOR else mirrored(found)

    def with_scatter(self, primary: NDArray[np.float32], view: View) -> NDArray[np.float32]:
        """Add scattered photons and background.

        Scattered photons are a wide blur of the primary ones, but only where there is tissue:
        beside the body there are hardly any (as in NM1). Photons that penetrated septa and those
        from the surroundings are evenly distributed over the field.

        Args:
            primary: unscattered photons (rows, columns).
            view: view of the detector that they reach.
        """
        step = MATRIX_MULTIPLE
        rows, columns = primary.shape
        coarse = primary.reshape(rows // step, step, columns // step, step).mean(axis=(1, 3))
        sigma = SCATTER_SIGMA_MM / (self.camera.pixel_mm * step)
        wide = ndimage.gaussian_filter(coarse, sigma, mode="constant")
        total = float(wide.sum())
        wide *= self._scatterers(view)
        wide *= np.float32(self.camera.scatter_share * total / max(float(wide.sum()), 1e-30))
        wide += np.float32(BACKGROUND_SHARE * float(coarse.mean()))
        tall = _interpolated(np.pad(wide, 1, mode="edge"), _coarse_places(rows))
        return primary + _interpolated(tall.T, _coarse_places(columns)).T


def anterior_face_mm(body: Body, camera: Camera) -> NDArray[np.float64]:
    """Position of the anterior collimator's face while each height is imaged.

    A detector is flat and as long as its field: it clears the foremost skin anywhere below it, and
    a height is imaged from the arrival of its leading edge until its trailing edge has left. So
    even a detector that follows the body stays well above the legs until it has passed the belly.

    Args:
        body: whose outline it follows.
        camera: its gap, its field's length, and whether it follows.

    Returns:
        y of the face for each of the body's levels (nz,), averaged over the time for which
        that level is seen.
    """
    outline = np.asarray(body.tissue.any(axis=0))
    depths, heights = outline.shape
    highest = body.origin_mm[1] + CELL_MM * (depths - outline[::-1].argmax(axis=0))
    foremost = body.depth_range_mm[1]
    if not camera.contouring:
        return np.full(heights, foremost + camera.gap_mm)
    highest = np.where(outline.any(axis=0), highest, body.depth_range_mm[0])
    length = max(1, round(camera.field_length_mm / CELL_MM))
    cleared = ndimage.maximum_filter1d(highest.astype(np.float64), length, mode="nearest")
    face = ndimage.uniform_filter1d(cleared, length, mode="nearest")
    return np.asarray(face + camera.gap_mm)


def _slabs(distance: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The slab of each distance, nearest first, and the distance of each slab's middle."""
    nearest, farthest = float(distance.min()), float(distance.max())
    slabs = max(1, round((farthest - nearest) / SLAB_MM))
    thickness = (farthest - nearest + 1e-3) / slabs
    slab = ((distance - np.float32(nearest)) * np.float32(1 / thickness)).astype(np.int32)
    middle = nearest + (np.arange(slabs) + 0.5) * thickness
    return np.minimum(slab, np.int32(slabs - 1), out=slab), np.asarray(middle, dtype=np.float64)


def _coarse_places(size: int) -> NDArray[np.float64]:
    """Where fine pixels lie between coarse ones with one more at each end."""
    return (np.arange(size) + 0.5) / MATRIX_MULTIPLE + 0.5


def _interpolated(image: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows of an image at fractional places, linearly between its rows; 0 outside them."""
    low = np.floor(places).astype(np.intp)
    inside = (low >= 0) & (low < len(image) - 1)
    low = np.where(inside, low, 0)
    share = np.where(inside, places - low, 0).astype(np.float32)[:, None]
    near = image[low]
    result = near + share * (image[low + 1] - near)
    result[~inside] = 0
    return result


def gaussian(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Blur an image (rows, columns) by a Gaussian of a standard deviation in pixels.

    Narrow ones also have the wanted variance: that of a coarsely sampled Gaussian would be too
    small, and the error would add up over many steps.
    """
    if sigma < 0.05:
        return image
    if sigma < _NARROW:
        side = sigma**2 / 2
        weights = np.array([1 - 2 * side, side], dtype=np.float32)
    else:
        reach = np.arange(int(3.0 * sigma + 0.5) + 1)
        half = np.exp(-0.5 * (reach / sigma) ** 2)
        weights = (half / (2 * half.sum() - half[0])).astype(np.float32)
    # Down the rows by whole rows: contiguous memory; across them scipy's loop is faster.
    down = image * weights[0]
    for offset in range(1, min(len(weights), len(image))):
        down[offset:] += weights[offset] * image[:-offset]
        down[:-offset] += weights[offset] * image[offset:]
    across = np.concatenate([weights[:0:-1], weights])
    return np.asarray(ndimage.correlate1d(down, across, axis=1, mode="constant"))


def detected(mean: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw Poisson counts around a mean image (rows, columns)."""
    return rng.poisson(mean).astype(np.float32)
