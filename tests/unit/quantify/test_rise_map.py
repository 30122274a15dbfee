"""The rise of uptake, against closed forms and images that were moved by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.quantify.rise_map import (
    GRID_MM,
    KERNEL_MM,
    UPTAKE_VARIES,
    ViewRise,
    _with_other,
    grid_of,
    in_pixels,
    view_rise,
)

PIXEL_MM = (2.4, 2.4)
SHAPE = (140, 140)
PLACE = (70, 70)
LESION_MM = 9.0


def mean_image(seed: int = 1) -> NDArray[np.float64]:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).uniform(size=SHAPE), 4)
    return 20 + 60 * (smooth - smooth.min()) / np.ptp(smooth)


def lesion(counts: float) -> NDArray[np.float64]:
    rows, columns = np.mgrid[:140, :140]
    away2 = ((rows - PLACE[0]) ** 2 + (columns - PLACE[1]) ** 2) * PIXEL_MM[0] ** 2
    shape = np.exp(-away2 / (2 * LESION_MM**2))
    return counts * shape / shape.sum()


def compared(
    now: NDArray[np.float64], before: NDArray[np.float64], before_mm: float = PIXEL_MM[0]
) -> ViewRise:
    start = np.zeros_like(grid_of(SHAPE, PIXEL_MM))
    images = now.astype(np.float32), before.astype(np.float32)
    return view_rise(*images, PIXEL_MM, (before_mm, before_mm), start, counts=True)


def at_place(found: ViewRise) -> float:
    row, column = (int((at + 0.5) * PIXEL_MM[0] / GRID_MM) for at in PLACE)
    return float(found.rise[row - 1 : row + 2, column - 1 : column + 2].max())


def rises(added: float, before: NDArray[np.float64], before_mm: float = 2.4) -> NDArray[np.float64]:
    """Rises at the place in ten pairs of scans."""
    rng = np.random.default_rng(3)
    now = mean_image() + lesion(added)
    return np.array(
        [at_place(compared(rng.poisson(now), rng.poisson(before), before_mm)) for _ in range(10)]
    )


def test_a_rise_is_that_of_the_closed_form() -> None:
    added, area = 1500.0, PIXEL_MM[0] ** 2
    background = ndimage.gaussian_filter(mean_image(), KERNEL_MM / PIXEL_MM[0])[PLACE] / area
    peak = added / (2 * np.pi * (KERNEL_MM**2 + LESION_MM**2))
    variance = (2 * background + peak) / (4 * np.pi * KERNEL_MM**2)
    wanted = peak / np.sqrt(variance + (UPTAKE_VARIES * background) ** 2)
    found = rises(added, mean_image()).mean()
    # The fit follows a small part of the lesion; the largest of nine points is sought.
    assert 0.85 * wanted < found < 1.1 * wanted


def test_nothing_rises_where_nothing_changes() -> None:
    rng = np.random.default_rng(4)
    found = compared(rng.poisson(mean_image()), rng.poisson(mean_image())).rise[10:-10, 10:-10]
    assert abs(found.mean()) < 0.1
    assert found.std() < 1.1
    assert np.abs(found).max() < 4


@pytest.mark.parametrize("move", [(2.3, -1.6), (-3.4, 2.5)], ids=str)
def test_another_posture_changes_no_rise(move: tuple[float, float]) -> None:
    moved = ndimage.shift(mean_image(), move, mode="nearest")
    assert abs(rises(0, moved).mean()) < 1
    assert rises(1500, moved).mean() == pytest.approx(rises(1500, mean_image()).mean(), rel=0.12)


def test_another_dose_is_no_rise() -> None:
    assert abs(rises(0, 2.5 * mean_image()).mean()) < 1


@pytest.mark.parametrize("factor", [0.5, 2])
def test_other_pixels_change_no_rise(factor: float) -> None:
    """The same counts on pixels of half and of twice the size."""
    mean = mean_image()
    if factor < 1:
        other = np.kron(mean, np.full((2, 2), 0.25))
    else:
        other = mean.reshape(70, 2, 70, 2).sum(axis=(1, 3))
    assert abs(rises(0, other, 2.4 * factor).mean()) < 1
    same = rises(1500, mean_image()).mean()
    assert rises(1500, other, 2.4 * factor).mean() == pytest.approx(same, rel=0.12)


def test_scans_that_do_not_match_have_no_rise() -> None:
    """Another body: by their counts alone the differences would be significant everywhere."""
    rng = np.random.default_rng(5)
    found = compared(rng.poisson(4 * mean_image(1)), rng.poisson(4 * mean_image(7)))
    by_counts = found.added / np.sqrt((2 * found.had + found.added) / (4 * np.pi * KERNEL_MM**2))
    assert by_counts.max() > 30
    assert (by_counts > 3.75).mean() > 0.2
    assert found.rise.max() < 0.2 * by_counts.max()
    assert (found.rise > 3.75).mean() < 0.01


def test_a_place_that_the_prior_scan_does_not_show_has_no_rise() -> None:
    now = np.full(SHAPE, 30.0)
    found = compared(now, now[:60])
    beyond = grid_of(SHAPE, PIXEL_MM)[0] > 64 * PIXEL_MM[0]
    assert not found.shown[beyond].any()
    assert not found.rise[beyond].any()
    assert found.shown[~beyond].mean() > 0.9


def test_both_views_together_against_drawn_errors() -> None:
    """What both views have in common does not cancel."""
    rng = np.random.default_rng(6)
    shared = 0.6
    common = rng.normal(size=(200, 200))
    alone = [
        shared * common + np.sqrt(1 - shared**2) * rng.normal(size=(200, 200)) for _ in range(2)
    ]
    own, other = (
        ViewRise(
            rise=rise,
            own=rise,
            had=np.ones((200, 200), np.float32),
            added=np.ones((200, 200), np.float32),
            shared=np.full((200, 200), shared, np.float32),
            shown=np.ones((200, 200), np.bool_),
        )
        for rise in alone
    )
    # Mirrored onto itself, so that each point meets another one's noise but for the common part.
    mirror = replace(other, rise=other.rise[:, ::-1])
    both = _with_other(own, mirror, 200 * GRID_MM).rise
    joined = (own.rise + other.rise) / np.std(own.rise + other.rise)
    assert both == pytest.approx(np.maximum(own.rise, joined), abs=0.06)
    assert _with_other(own, mirror, 200 * GRID_MM).own is own.own


def test_a_map_in_pixels_keeps_its_counts() -> None:
    values = np.zeros(grid_of(SHAPE, PIXEL_MM).shape[1:], np.float32)
    values[30:40, 30:40] = 2.0
    found = in_pixels(values, SHAPE, PIXEL_MM)
    assert found.sum() == pytest.approx(2.0 * 100 * GRID_MM**2, rel=0.01)
