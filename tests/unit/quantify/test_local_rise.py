"""The rise of uptake at a place, against closed forms and images that were moved by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.quantify.local_rise import DISC_MM, UPTAKE_VARIES, local_rise

PIXEL_MM = (2.4, 2.4)
PLACE = (70.5, 70.5)


def mean_image(seed: int) -> NDArray[np.float64]:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).uniform(size=(140, 140)), 4)
    return 20 + 60 * (smooth - smooth.min()) / np.ptp(smooth)


def disc() -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:140, :140]
    return np.hypot(rows - 70, columns - 70) * PIXEL_MM[0] <= DISC_MM


def rises(
    added: float, *, move: tuple[int, int] = (0, 0), ratio: float = 1.0
) -> NDArray[np.float64]:
    rng, mean = np.random.default_rng(3), mean_image(1)
    found = []
    for _ in range(60):
        before = np.roll(rng.poisson(ratio * mean), move, (0, 1)).astype(np.float32)
        now = rng.poisson(mean + added * disc()).astype(np.float32)
        found.append(local_rise(now, before, PLACE, PLACE, PIXEL_MM, counts=True))
    return np.array(found, dtype=np.float64)


def test_nothing_rises_where_nothing_changes() -> None:
    found = rises(0)
    assert abs(found.mean()) < 0.3
    assert found.std() < 1.1


def test_a_rise_is_that_of_the_closed_form() -> None:
    added, had = 20.0 * disc().sum(), mean_image(1)[disc()].sum()
    most = added / np.sqrt(2 * had + added + (UPTAKE_VARIES * had) ** 2)
    found = rises(20)
    # Below it by what a shift of one pixel changes, which the closed form leaves out.
    assert 0.6 * most < found.mean() <= 1.05 * most


@pytest.mark.parametrize("move", [(6, -3), (-4, 4)])
def test_the_surroundings_are_found_where_they_are(move: tuple[int, int]) -> None:
    assert rises(20, move=move).mean() == pytest.approx(rises(20).mean(), rel=0.1)


def test_another_dose_is_no_rise() -> None:
    assert abs(rises(0, ratio=2.5).mean()) < 0.3


def test_a_place_that_the_prior_scan_does_not_show_has_no_answer() -> None:
    image = np.ones((140, 140), np.float32)
    assert local_rise(image, image, PLACE, (-20.5, 70.5), PIXEL_MM, counts=True) is None
    assert local_rise(image, image[:60], PLACE, PLACE, PIXEL_MM, counts=True) is None
