"""How much uptake has risen at one place between two scans, in standard deviations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

DISC_MM = 9.0
"""Radius of the disc over which counts are summed: a small focus, blurred by the camera."""
UPTAKE_VARIES = 0.05
"""Share by which the uptake of a place, relative to what surrounds it, differs between scans.
Assumed."""
_SEARCHED_MM = 20.0
"""How far the place on the prior scan may lie from where the atlas has it."""
_AROUND_MM = 40.0
_SPARED_MM = 15.0
"""The surroundings that are brought to match are a ring between these radii."""
_SMOOTHING_MM = 4.0
_LEAST_INSIDE = 0.8

_Image = NDArray[np.float32]
_Place = tuple[float, float]


def local_rise(
    now: _Image, before: _Image, place: _Place, expected: _Place, pixel_mm: _Place, *, counts: bool
) -> float | None:
    """By how many standard deviations the uptake of a place has risen since the prior scan.

    What surrounds the place is found again on the prior scan, near where it is expected, and gives
    the ratio of both scans' uptake; so neither posture, nor dose, nor the course of the kidneys
    matters. The disc at the place is then compared with that on the prior scan times this ratio.
    Its standard deviation is that of both scans' counts, of what a shift by one pixel changes, and
    of the share by which uptake varies.

    Args:
        now: (rows, columns), a view of the present scan.
        before: the same view of the prior scan, with pixels of the same size.
        place: row and column on the present scan.
        expected: where the atlas has that place on the prior scan.
        pixel_mm: height and width of a pixel.
        counts: whether pixels are counts; otherwise their noise is unknown, and left out.

    Returns:
        The rise, or `None` where one of the scans does not show the surroundings.

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> before, now = rng.poisson(40, (2, 80, 80)).astype(np.float32)
        >>> now[38:43, 38:43] += 40
        >>> rise = local_rise(now, before, (40.5, 40.5), (40.5, 40.5), (2.5, 2.5), counts=True)
        >>> rise > 5
        True
    """
    reach = [round((_AROUND_MM + _SEARCHED_MM) / size) for size in pixel_mm]
    around = [round(_AROUND_MM / size) for size in pixel_mm]
    rows, columns = np.mgrid[-around[0] : around[0] + 1, -around[1] : around[1] + 1]
    away = np.hypot(rows * pixel_mm[0], columns * pixel_mm[1])
    disc, ring = away <= DISC_MM, (away > _SPARED_MM) & (away <= _AROUND_MM)
    here, shown = _window(now, place, around)
    there, seen = _window(before, expected, reach)
    searched = [most - least for most, least in zip(reach, around, strict=True)]
    middle = (slice(searched[0], -searched[0] or None), slice(searched[1], -searched[1] or None))
    if (shown & seen[middle])[ring].mean() < _LEAST_INSIDE:
        return None
    blur = [_SMOOTHING_MM / size for size in pixel_mm]
    smooth_here = ndimage.gaussian_filter(here, blur)
    smooth_there = ndimage.gaussian_filter(there, blur)
    slid = np.lib.stride_tricks.sliding_window_view(smooth_there, here.shape)
    earlier, later = slid[:, :, ring].astype(np.float64), smooth_here[ring].astype(np.float64)
    ratio = later.sum() / np.maximum(earlier.sum(axis=-1), 1e-9)
    scaled = ratio[..., None] * earlier
    off = ((later - scaled) ** 2 / (later + scaled + 1e-9)).sum(axis=-1)
    best = np.unravel_index(int(off.argmin()), off.shape)
    matched = there[best[0] : best[0] + here.shape[0], best[1] : best[1] + here.shape[1]]
    scale = float(here[ring].sum() / max(float(matched[ring].sum()), 1e-9))
    had, has = scale * float(matched[disc].sum()), float(here[disc].sum())
    near = tuple(slice(max(at - 1, 0), at + 2) for at in best)
    moved = scale * slid[near][:, :, disc].sum(axis=-1)
    noise = has + scale * had if counts else 0.0
    return (has - had) / float(np.sqrt(noise + moved.var() + (UPTAKE_VARIES * had) ** 2 + 1e-9))


def _window(image: _Image, place: _Place, reach: list[int]) -> tuple[_Image, NDArray[np.bool_]]:
    """The image around a place, zero outside of it, and what lies inside the image."""
    shape = tuple(2 * most + 1 for most in reach)
    window, inside = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    starts = [int(np.floor(at)) - most for at, most in zip(place, reach, strict=True)]
    source = tuple(
        slice(max(start, 0), max(0, min(start + long, size)))
        for start, long, size in zip(starts, shape, image.shape, strict=True)
    )
    target = tuple(
        slice(part.start - start, part.stop - start)
        for part, start in zip(source, starts, strict=True)
    )
    if all(part.stop > part.start for part in source):
        window[target] = image[source]
        inside[target] = True
    return window, inside
