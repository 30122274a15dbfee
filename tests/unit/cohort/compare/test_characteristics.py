"""Uptake ratios, noise and power spectra, against what was put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from tests.support.archive import bases

from bonescint.cohort.compare.characteristics import (
    BANDS,
    BOXES,
    CHARACTERISTICS,
    LUMBAR,
    characteristics_of,
    pixel_noise,
    power_spectrum,
    roll_off,
    uptake_ratios,
)
from bonescint.cohort.compare.maps import PREPROCESSING, reduced
from bonescint.prepare import prepare, preprocessing_named
from bonescint.scan import PixelUnit, Scan


def small(scan: Scan) -> np.ndarray:
    return reduced(prepare(scan, preprocessing_named(PREPROCESSING)).composite[0])


def test_boxes_hold_what_they_name_and_lie_in_their_view() -> None:
    for number, box in enumerate(BOXES):
        image = np.zeros((256, 256), np.float32)
        for window in LUMBAR[box.view].windows:
            image[window] = 2.0
        for window in box.windows:
            image[window] = 3.0
        expected = {one.name: 0.0 for one in BOXES} | {box.name: 1.5}
        found = uptake_ratios(image)
        assert found[box.name] == expected[box.name], number
        half = image[:, 128:] if box.view.value == "anterior" else image[:, :128]
        assert not half.any()
        assert np.array_equal(image[:, :128], image[:, :128][:, ::-1])


def test_without_a_spine_there_is_no_ratio() -> None:
    assert all(np.isnan(value) for value in uptake_ratios(np.zeros((256, 256))).values())


@pytest.mark.parametrize("gain", [1.0, 0.25, 4.0])
def test_variance_over_mean_is_the_gain_of_poisson_counts(gain: float) -> None:
    rng = np.random.default_rng(3)
    image = np.zeros((600, 240), np.float32)
    image[50:550, 40:200] = gain * rng.poisson(12, (500, 160))
    over_mean, relative = pixel_noise(image)
    assert over_mean == pytest.approx(gain, rel=0.05)
    assert relative == pytest.approx(12**-0.5, rel=0.05)


def test_smoothed_counts_have_less_noise_and_slopes_none() -> None:
    rng = np.random.default_rng(3)
    image = rng.poisson(20, (400, 200)).astype(np.float32)
    assert pixel_noise(ndimage.gaussian_filter(image, 1.0))[0] < 0.05
    slope = np.add.outer(np.arange(400.0), np.arange(200.0)).astype(np.float32) + 100
    assert pixel_noise(slope)[0] < 1e-6
    assert np.isnan(pixel_noise(np.zeros((50, 50), np.float32))).all()


def test_blur_lowers_the_spectrum_as_its_transfer_function_says() -> None:
    rng = np.random.default_rng(4)
    image = ndimage.gaussian_filter(rng.random((800, 300)), 1.0).astype(np.float32)
    sigma = 3.0
    given = {"variance_over_mean": 0.0, "body_rows": 700.0, "pixel_ratio": 1.0}
    before = power_spectrum(image, **given)
    after = power_spectrum(ndimage.gaussian_filter(image, sigma), **given)
    middles = np.sqrt(np.array(BANDS[1:]) * np.array(BANDS[:-1]))
    loss = 10 * np.log10(np.exp(-((2 * np.pi * sigma * middles / 700.0) ** 2)))
    inside = slice(2, 7)  # beyond, the slope within a band and the filter's end tell
    assert after[inside] - before[inside] == pytest.approx(loss[inside] - loss[:2].mean(), abs=0.7)


def test_frequencies_follow_the_body_not_the_matrix() -> None:
    rows = np.arange(800)
    wave = 1 + 0.5 * np.sin(2 * np.pi * 40 * rows / 600)[:, None] * np.ones(300)
    wave += 0.5 * np.sin(2 * np.pi * 5 * rows / 600)[:, None]
    found = power_spectrum(
        wave.astype(np.float32), variance_over_mean=0.0, body_rows=600, pixel_ratio=1.0
    )
    highest = int(np.nanargmax(found[3:])) + 3
    assert BANDS[highest] <= 40 < BANDS[highest + 1]
    coarse = power_spectrum(
        wave[::4, ::4].astype(np.float32), variance_over_mean=0, body_rows=150, pixel_ratio=1
    )
    assert np.isnan(coarse[-1])  # beyond what 150 rows can show


def test_the_roll_off_falls_with_blur() -> None:
    scan = bases()[0]
    blurred = scan.with_views(
        anterior=ndimage.gaussian_filter(scan.anterior, 2.0),
        posterior=ndimage.gaussian_filter(scan.posterior, 2.0),
        step="blurred",
    )
    sharp, _ = characteristics_of(scan, small(scan), 700.0)
    soft, _ = characteristics_of(blurred, small(blurred), 700.0)
    assert soft["roll_off"] < 0.9 * sharp["roll_off"]
    assert np.isnan(roll_off(np.zeros(10)))
    assert np.isnan(roll_off(np.array([0, 0, np.nan, -40, -50, -60, -70, -80, -90, -99.0])))


def test_every_characteristic_is_there_and_counts_only_of_counts() -> None:
    scan = bases()[0]
    found, spectrum = characteristics_of(scan, small(scan), 700.0)
    assert set(found) == {kind.name for kind in CHARACTERISTICS}
    assert spectrum.shape == (10,)
    assert scan.anterior is not None
    assert found["counts_anterior"] == pytest.approx(scan.anterior.sum(dtype=float) / 1000)
    both = {*np.unique(scan.anterior).tolist(), *np.unique(scan.posterior).tolist()}
    assert found["grey_levels"] == len(both)
    assert 2 ** found["bits"] > max(both) >= 2 ** (found["bits"] - 1)
    picture = replace(scan, unit=PixelUnit.INTENSITY, pixel_spacing_mm=None)
    found, _ = characteristics_of(picture, small(picture), 700.0)
    assert np.isnan(found["counts_anterior"])
    assert np.isnan(found["pixel_mm"])
