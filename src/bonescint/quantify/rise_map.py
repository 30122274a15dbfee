"""How much uptake has risen between two scans of a patient, in standard deviations, everywhere.

The prior scan is deformed to fit the present one and scaled to its uptake, both locally, and then
subtracted. Registration of images by their gradients: Lucas and Kanade, IJCAI 1981;674; here with
the ratio of uptake as a further unknown, and with robust weights, so that a new focus changes
neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.quantify.bone_atlas import Floats
from bonescint.quantify.focus_network import shift_between_views
from bonescint.quantify.laid_atlas import LaidAtlas
from bonescint.quantify.regions import BodyRegions
from bonescint.scan import PixelUnit, Scan, View
from bonescint.simulate.skeleton import group_of_region

GRID_MM = 4.0
"""Between the points of the map."""
KERNEL_MM = 6.0
"""Standard deviation of the Gaussian that smooths both scans. Against counting noise alone, that of
a small lesion as the camera blurs it, 9 mm, would be best; against varying uptake, a smaller."""
UPTAKE_VARIES = 0.03
"""Share by which the uptake of a place differs between scans, relative to the bone within some
30 mm, which the fitted ratio follows. Assumed, as a least value: where two scans differ more,
`_spread_of_falls` shows it. With less, pairs whose uptake truly varies by 3 % have false foci."""
_FITTED_MM = 8.0
"""Between the points at which shift and ratio are fitted."""
_ROUNDS = ((15.0, 40.0, 4), (KERNEL_MM, 40.0, 2), (KERNEL_MM, 30.0, 4))
"""Standard deviations of kernel and window, mm, and number of steps, in which the fit is made."""
_MOST_STEP_MM = 8.0
_SHIFT_SD_MM, _RATIO_SD = 4.0, 0.5
"""How far a step is expected to change shift and ratio (relatively)."""
_OUTLIER = 2.0
"""Standard deviations beyond which a place loses its weight in the fit."""
_SPREAD_MM = 30.0
_ARM = ("humerus", "ulna", "radius", "hand")

_Pixel = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewRise:
    """The rise in one view of the present scan, each an array (rows, columns) of `grid_of`.

    Attributes:
        rise: float32, standard deviations, of both views together where that is larger; 0 where the
            prior scan does not show the place.
        own: float32, that of this view alone.
        had: float32, what the prior scan predicts, in counts per mm².
        added: float32, what the present scan has beyond it, in counts per mm².
        shared: float32, the share of the standard deviation that is variation of uptake: both views
            have it in common.
        shown: bool, whether the prior scan shows the place.
    """

    rise: Floats
    own: Floats
    had: Floats
    added: Floats
    shared: Floats
    shown: NDArray[np.bool_]


def view_rise(
    now: Floats, before: Floats, now_mm: _Pixel, before_mm: _Pixel, start: Floats, *, counts: bool
) -> ViewRise:
    """Subtract a prior view from a present one, after a local fit of place and ratio of uptake.

    The standard deviation is that of both scans' counts and of the share by which uptake varies; or
    the spread of falling uptake around the place, if that is larger. The spread is large where the
    scans do not match, it has the noise of pixels that are no counts, and a new focus does not
    raise it.

    Args:
        now: (rows, columns), a view of the present scan.
        before: the same view of the prior scan.
        now_mm: height and width of a pixel of the present scan.
        before_mm: the same of the prior scan.
        start: (2, grid rows, grid columns), from each point of the grid to where the prior scan is
            expected to show it, mm.
        counts: whether pixels are counts; otherwise their noise is taken from the spread alone.

    Examples:
        >>> before, now = np.random.default_rng(1).poisson(40, (2, 80, 80)).astype(np.float32)
        >>> now[38:43, 38:43] += 40
        >>> start = np.zeros_like(grid_of((80, 80), (2.5, 2.5)))
        >>> found = view_rise(now, before, (2.5, 2.5), (2.5, 2.5), start, counts=True)
        >>> bool(found.rise.max() > 5)
        True
    """
    grid = grid_of(now.shape, now_mm)
    fewer = [int(np.ceil(size * GRID_MM / _FITTED_MM)) for size in grid.shape[1:]]
    coarse = _grid(fewer, _FITTED_MM)
    begin = np.stack([_between(along, coarse, GRID_MM) for along in start])
    fitted = _fitted(now, before, now_mm, before_mm, coarse, begin)
    ratio, offset, *shift = (_between(of, grid, _FITTED_MM) for of in fitted)
    places = grid + np.stack(shift)
    later, earlier = (
        _Smooth(image, size, KERNEL_MM) for image, size in ((now, now_mm), (before, before_mm))
    )
    has, had = later.at(grid), np.maximum(ratio * earlier.at(places) + offset, 0)
    shown = earlier.shows(places)
    varies = UPTAKE_VARIES * had
    spread = np.sqrt((_variance(has, had, ratio, KERNEL_MM) if counts else 1e-12) + varies**2)
    rise = np.where(shown, (has - had) / spread, 0)
    rise = np.asarray(rise / np.maximum(_spread_of_falls(rise), 1), np.float32)
    return ViewRise(
        rise=rise,
        own=rise,
        had=had,
        added=has - had,
        shared=np.asarray(varies / spread, np.float32),
        shown=shown,
    )


@lru_cache(maxsize=8)  # each pair of a series is compared twice
def rise_map(
    prior: Scan, present: Scan, before: LaidAtlas, now: LaidAtlas, body: BodyRegions
) -> Mapping[View, ViewRise]:
    """The rise in each view that both scans have; where both views show a place, of both together.

    A rise is that of the view itself, or that of both views if it is larger: the sum of both
    divided by its standard deviation, which takes into account that uptake varies in both alike.

    Args:
        prior: the earlier scan.
        present: the later scan.
        before: the atlas on the earlier scan.
        now: the atlas on the later scan.
        body: bones of the later scan.
    """
    counts = {prior.unit, present.unit} == {PixelUnit.COUNTS}
    alone = {
        view: view_rise(
            image,
            earlier,
            now.pixel_mm,
            before.pixel_mm,
            _expected(before, now, view, grid_of(image.shape, now.pixel_mm)),
            counts=counts,
        )
        for view, image in present.images()
        if (earlier := prior.view(view)) is not None
    }
    if len(alone) < 2:
        return alone
    across = now.pixel_mm[1]
    width = (present.shape[1] - shift_between_views(body)) * across
    return {view: _with_other(own, alone[view.opposite], width) for view, own in alone.items()}


def _with_other(own: ViewRise, other: ViewRise, width_mm: float) -> ViewRise:
    """One view's rise, or that of both views where it is larger."""
    grid = _grid(own.rise.shape, GRID_MM)
    grid[1] = width_mm - grid[1]
    seen = _between(np.asarray(other.shown, np.float32), grid, GRID_MM) > 0.5
    beyond, shared = (_between(of, grid, GRID_MM) for of in (other.rise, other.shared))
    both = (own.rise + beyond) / np.sqrt(2 + 2 * own.shared * shared)
    return replace(own, rise=np.where(seen & own.shown, np.maximum(own.rise, both), own.rise))


def grid_of(shape: tuple[int, ...], pixel_mm: _Pixel) -> Floats:
    """Where the points of a map lie in a view: (2, rows, columns), mm from the corner."""
    return _grid([int(n * size / GRID_MM) for n, size in zip(shape, pixel_mm, strict=True)])


def in_pixels(values: Floats, shape: tuple[int, int], pixel_mm: _Pixel) -> Floats:
    """A map in counts per mm² as counts of each pixel of its view (rows, columns)."""
    centres = (np.indices(shape) + 0.5) * np.asarray(pixel_mm)[:, None, None]
    return _between(values, centres, GRID_MM) * np.float32(np.prod(pixel_mm))


def _grid(shape: Sequence[int], step_mm: float = GRID_MM) -> Floats:
    return np.asarray((np.indices(shape) + 0.5) * step_mm, np.float32)


def _between(image: Floats, places_mm: Floats, step_mm: float) -> Floats:
    """Values of a map at places, linearly between its points."""
    at = places_mm / step_mm - 0.5
    return np.asarray(ndimage.map_coordinates(image, at, order=1, mode="nearest"), np.float32)


class _Smooth:
    """A smoothed view in counts per mm², at any place: cubic, since a shift is found by slopes."""

    def __init__(self, image: Floats, pixel_mm: _Pixel, kernel_mm: float) -> None:
        self._shape = image.shape
        self._pixel_mm = np.asarray(pixel_mm, np.float32)[:, None, None]
        sigma = [kernel_mm / size for size in pixel_mm]
        smooth = ndimage.gaussian_filter(image / np.float32(np.prod(pixel_mm)), sigma)
        self._spline = ndimage.spline_filter(smooth, output=np.float32)

    def at(self, places_mm: Floats) -> Floats:
        found = ndimage.map_coordinates(
            self._spline, places_mm / self._pixel_mm - 0.5, mode="nearest", prefilter=False
        )
        return np.maximum(found, 0)

    def shows(self, places_mm: Floats) -> NDArray[np.bool_]:
        cells = places_mm / self._pixel_mm
        rows, columns = self._shape
        return np.asarray(
            (cells >= 0).all(axis=0) & (cells[0] < rows) & (cells[1] < columns), np.bool_
        )


def _variance(has: Floats, had: Floats, ratio: Floats, kernel_mm: float) -> Floats:
    """Of the difference of two smoothed scans by their counts; one count more, for empty places."""
    area = 4 * np.pi * kernel_mm**2
    return np.asarray((has + ratio * had + 1 / area) / area, np.float32)


def _fitted(
    now: Floats, before: Floats, now_mm: _Pixel, before_mm: _Pixel, grid: Floats, shift: Floats
) -> Floats:
    """What the present scan is of the prior one at each point of a grid: (4, rows, columns).

    The ratio of uptake, the counts per mm² that are added to it, and the shift along rows and
    columns, mm.
    """
    ratio: Floats = np.zeros(0, np.float32)
    offset: Floats = np.zeros(grid.shape[1:], np.float32)
    for kernel_mm, window_mm, rounds in _ROUNDS:
        has = _Smooth(now, now_mm, kernel_mm).at(grid)
        earlier = _Smooth(before, before_mm, kernel_mm)
        sigma = window_mm / _FITTED_MM
        # A window has so many places whose noise is independent: its sums count each of them once.
        weight = (kernel_mm / window_mm) ** 2
        least = weight * np.diag([_RATIO_SD**-2] * 2 + [_SHIFT_SD_MM**-2] * 2)
        for _ in range(rounds):
            there = earlier.at(grid + shift)
            if not ratio.size:
                level = np.maximum(_blurred(there, sigma), 1e-6)
                ratio = np.asarray(_blurred(has, sigma) / level, np.float32)
            scaled = ratio * there
            had = np.maximum(scaled + offset, 0)
            variance = _variance(has, had, ratio, kernel_mm) + (UPTAKE_VARIES * had) ** 2
            off = has - had
            robust = (1 + off**2 / (variance * _OUTLIER**2)) ** 2
            trust = earlier.shows(grid + shift) / (variance * robust)
            level = _blurred(scaled, sigma)
            terms = np.stack([scaled, level, *np.gradient(scaled, _FITTED_MM)])
            product = _blurred(trust * terms[:, None] * terms, sigma)
            wanted = _blurred(trust * terms * off, sigma)
            system = np.moveaxis(product, (0, 1), (-2, -1)) + least
            step = np.linalg.solve(system, np.moveaxis(wanted, 0, -1)[..., None])[..., 0]
            step = np.moveaxis(step, -1, 0).astype(np.float32)
            offset = offset + step[1].clip(-0.5, 0.5) * level
            ratio = ratio * np.clip(1 + step[0], 0.5, 2)
            shift = shift + step[2:].clip(-_MOST_STEP_MM, _MOST_STEP_MM)
    return np.stack([ratio, offset, *shift])


def _blurred(images: Floats, sigma: float) -> Floats:
    """Over the last two axes."""
    sigmas = (0,) * (images.ndim - 2) + (sigma, sigma)
    return np.asarray(ndimage.gaussian_filter(images, sigmas, truncate=2.5), np.float32)


def _spread_of_falls(rise: Floats) -> Floats:
    """Root mean square of the rises below zero around each point."""
    sigma = _SPREAD_MM / GRID_MM
    below = np.minimum(rise, 0).astype(np.float32)
    share = _blurred((below < 0).astype(np.float32), sigma)
    return np.sqrt(_blurred(below**2, sigma) / np.maximum(share, 1e-3))


def _expected(before: LaidAtlas, now: LaidAtlas, view: View, grid: Floats) -> Floats:
    """From each point of a grid to where the prior scan should show it, mm: affine.

    The atlas may lay arms, though not the trunk, differently on scans of the same posture.
    """
    bones = np.array([group_of_region(name) not in _ARM for name in now.atlas.bones])
    kept = bones[now.atlas.bone]
    at, there = (laid.at[view][kept] * laid.pixel_mm for laid in (now, before))
    terms = np.column_stack([at, np.ones(len(at))])
    fitted = np.linalg.lstsq(terms, there - at, rcond=None)[0]
    places = np.concatenate([grid, np.ones_like(grid[:1])])
    return np.asarray(np.tensordot(fitted.T, places, 1), np.float32)
