"""Maps of mean, spread and asymmetry, against numpy on all scans at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

from bonescint.cohort.compare.maps import (
    FrameMaps,
    MapSums,
    against_mirror,
    agreement,
    mirror_difference,
    reduced,
)
from bonescint.scan import ParameterError, View


@pytest.fixture(scope="module")
def scans() -> np.ndarray:
    rng = np.random.default_rng(1)
    level = np.linspace(0.02, 0.8, 256)[:, None] * np.ones(256)
    return np.clip(level + rng.normal(0, 0.1, (7, 256, 256)), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def maps(scans: np.ndarray) -> FrameMaps:
    sums = MapSums()
    for scan in scans:
        sums.add(scan)
    return sums.maps()


def brute_force_difference(view: np.ndarray) -> np.ndarray:
    """A view minus its mirror image, every midline tried pixel by pixel."""
    smooth = ndimage.gaussian_filter(view, 1.5)
    columns = smooth.shape[1]
    best, least = None, np.inf
    for shift in range(-12, 13):
        difference = np.empty_like(smooth)
        for column in range(columns):
            opposite = (columns - 1 - (column - shift)) % columns
            difference[:, column] = smooth[:, column] - smooth[:, opposite]
        if (difference.astype(float) ** 2).sum() < least:
            best, least = difference, (difference.astype(float) ** 2).sum()
    assert best is not None
    return best


def test_running_sums_are_the_mean_and_the_deviation_of_all(
    scans: np.ndarray, maps: FrameMaps
) -> None:
    assert maps.scans == 7
    assert np.allclose(maps.mean, scans.mean(axis=0, dtype=float), atol=1e-6)
    assert np.allclose(maps.sd, scans.std(axis=0, dtype=float), atol=1e-6)


def test_asymmetry_is_the_deviation_of_the_differences_from_the_mirror(
    scans: np.ndarray, maps: FrameMaps
) -> None:
    views = [[brute_force_difference(scan[:, half]) for scan in scans]
             for half in (slice(0, 128), slice(128, 256))]  # fmt: skip
    expected = np.concatenate([np.std(one, axis=0, dtype=float) for one in views], axis=1)
    assert np.allclose(maps.asymmetry_sd, expected, atol=1e-6)


@pytest.mark.parametrize("shift", [0, -5, 3])
def test_a_symmetric_image_has_no_asymmetry_wherever_its_midline_lies(shift: int) -> None:
    rng = np.random.default_rng(2)
    half = np.zeros((256, 64), np.float32)
    half[20:230, 25:] = rng.random((210, 39))
    view = np.roll(np.concatenate([half, half[:, ::-1]], axis=1), shift, axis=1)
    assert np.abs(against_mirror(view)).max() < 1e-6
    view[100:110, 30:35] += 0.5
    assert np.abs(against_mirror(view)).max() > 0.2


def test_scans_that_do_not_vary_have_no_spread() -> None:
    sums = MapSums()
    for _ in range(3):
        sums.add(np.full((256, 256), 0.3, np.float32))
    maps = sums.maps()
    assert not maps.sd.any()
    assert not maps.asymmetry_sd.any()


def test_a_difference_that_a_worker_computed_is_the_same(scans: np.ndarray) -> None:
    here, there = MapSums(), MapSums()
    for scan in scans[:3]:
        here.add(scan)
        there.add(scan, mirror_difference(scan))
    assert np.array_equal(here.maps().asymmetry_sd, there.maps().asymmetry_sd)


def test_agreement_is_pearsons_inside_the_body_alone(scans: np.ndarray, maps: FrameMaps) -> None:
    other = FrameMaps(mean=maps.mean + 0.1 * scans[0], sd=scans[1], asymmetry_sd=scans[2], scans=0)
    found = agreement(maps, other)
    for view, half in zip(View, (slice(0, 128), slice(128, 256)), strict=True):
        body = (maps.mean[:, half] > 0.05) | (other.mean[:, half] > 0.05)
        assert 0 < body.mean() < 1
        for name, of in found[view].to_json().items():
            if name == "mean_difference":
                gap = np.abs(maps.mean - other.mean)[:, half][body]
                assert of == pytest.approx(gap.mean() / maps.mean[:, half][body].mean(), rel=1e-5)
            else:
                pair = (getattr(maps, name)[:, half][body], getattr(other, name)[:, half][body])
                assert of == pytest.approx(stats.pearsonr(*pair).statistic, abs=1e-5)


def test_a_flat_map_has_no_correlation() -> None:
    flat = np.full((256, 256), 0.5, np.float32)
    maps = FrameMaps(mean=flat, sd=flat, asymmetry_sd=flat, scans=1)
    found = agreement(maps, maps)[View.POSTERIOR].to_json()
    assert found["mean"] is None
    assert found["mean_difference"] == 0


def test_blocks_are_averaged() -> None:
    composite = np.arange(512 * 512, dtype=np.float32).reshape(512, 512)
    assert reduced(composite)[3, 5] == composite[6:8, 10:12].mean()
    assert reduced(composite, 64)[63, 0] == composite[504:, :8].mean()


def test_maps_of_another_shape_are_refused() -> None:
    right, wrong = np.zeros((256, 256), np.float32), np.zeros((256, 128), np.float32)
    with pytest.raises(ParameterError, match="sd"):
        FrameMaps(mean=right, sd=wrong, asymmetry_sd=right, scans=1)
    with pytest.raises(ParameterError, match="at least 1"):
        MapSums().maps()
