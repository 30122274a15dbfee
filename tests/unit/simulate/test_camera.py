"""Cameras: energy window, time, and what the named ones are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bonescint.scan import ParameterError
from bonescint.simulate import CAMERAS, Camera, camera_named, draw_camera, set_up_camera

FWHM = 2.354820045
PLAIN = Camera(name="plain", maker="none")
ENERGY_KEV = np.linspace(60, 220, 160_001)


def spectra(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Photopeak, and scatter flat up to the peak, both smeared by the energy resolution.

    The scatter is smeared by a sum over the crystal's response, not by an error function.
    """
    sigma = 140.5 * camera.energy_resolution / FWHM
    peak = np.exp(-0.5 * ((ENERGY_KEV - 140.5) / sigma) ** 2)
    step = ENERGY_KEV[1] - ENERGY_KEV[0]
    peak /= peak.sum() * step
    scatter = np.cumsum(peak[::-1])[::-1] * step  # a step convolved with a Gaussian
    return peak, scatter


def accepted(spectrum: np.ndarray, window_kev: tuple[float, float]) -> float:
    inside = (window_kev[0] <= ENERGY_KEV) & (window_kev[1] >= ENERGY_KEV)
    return float(spectrum[inside].sum() * (ENERGY_KEV[1] - ENERGY_KEV[0]))


@pytest.mark.parametrize("width", [0.10, 0.15, 0.20, 0.30])
@pytest.mark.parametrize("resolution", [0.08, 0.10])
def test_the_window_accepts_what_its_spectra_say(width: float, resolution: float) -> None:
    camera = replace(PLAIN, window_width=width, energy_resolution=resolution)
    peak, scatter = spectra(camera)
    primary = accepted(peak, camera.energy_window_kev)
    assert camera.window_efficiency == pytest.approx(primary, rel=1e-3)
    usual = replace(camera, window_width=0.20).energy_window_kev
    more = accepted(scatter, camera.energy_window_kev) / accepted(scatter, usual)
    less = primary / accepted(peak, usual)
    expected = camera.scatter_fraction * more / less
    assert camera.scatter_share == pytest.approx(expected, rel=2e-3)


def test_a_narrow_window_lets_less_scatter_in() -> None:
    narrow, wide = (replace(PLAIN, window_width=width) for width in (0.15, 0.20))
    assert narrow.scatter_share < 0.85 * wide.scatter_share
    assert wide.scatter_share == pytest.approx(PLAIN.scatter_fraction)
    assert narrow.expected_counts < wide.expected_counts


@pytest.mark.parametrize("speed", [5.0, 12.5, 30.0])
def test_counts_are_proportional_to_time(speed: float) -> None:
    camera = replace(PLAIN, scan_speed_cm_per_min=speed)
    ratio = camera.expected_counts / PLAIN.expected_counts
    assert ratio == pytest.approx(camera.duration_s / PLAIN.duration_s)
    # 1024 rows of 2.4 mm are 245.76 cm.
    assert camera.duration_s == pytest.approx(245.76 / speed * 60)


def test_the_usual_window_and_speed_give_the_median_counts() -> None:
    assert PLAIN.expected_counts == pytest.approx(PLAIN.median_counts)


@pytest.mark.parametrize("name", list(CAMERAS))
def test_named_cameras_are_as_their_makers_say(name: str) -> None:
    camera = camera_named(name)
    assert camera.name == name
    assert (camera.rows, camera.columns) == (1024, 256)
    assert 2.26 <= camera.pixel_mm <= 2.41
    assert 10 <= camera.scan_speed_cm_per_min <= 15  # EANM 2016
    assert 0.15 <= camera.window_width <= 0.20  # EANM 2016
    # Data sheets of low-energy high-resolution collimators: 7.4 to 7.5 mm at 10 cm.
    assert 6.9 <= camera.sigma_mm(100.0) * FWHM <= 7.9
    assert camera.motion_share > 0
    assert camera.ripple > 0


def test_three_makers_are_there() -> None:
    assert {"discovery", "millennium", "infinia", "symbia", "ecam", "brightview", "forte"} <= set(
        CAMERAS
    )
    makers = {camera.maker.split()[0].upper() for camera in CAMERAS.values()}
    assert makers == {"GE", "SIEMENS", "PHILIPS"}


def test_cameras_are_set_up_differently_each_day() -> None:
    days = [set_up_camera(camera_named("ecam"), np.random.default_rng(day)) for day in range(20)]
    assert len({camera.gap_mm for camera in days}) == 20
    assert {camera.name for camera in days} == {"ecam"}
    assert days[3] == set_up_camera(camera_named("ecam"), np.random.default_rng(3))
    drawn = {draw_camera(np.random.default_rng(seed)).name for seed in range(80)}
    assert drawn == set(CAMERAS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pixel_mm", 0.0),
        ("rows", 30),
        ("columns", 257),
        ("gap_mm", -1.0),
        ("gap_mm", float("nan")),
        ("table_gap_mm", -1.0),
        ("field_width_mm", 0.0),
        ("field_length_mm", 0.0),
        ("window_width", 0.01),
        ("window_width", 0.5),
        ("energy_resolution", 0.0),
        ("scan_speed_cm_per_min", 0.0),
        ("median_counts", -1.0),
        ("scatter_fraction", -0.1),
        ("ripple", 0.5),
        ("weak_tube_share", 1.5),
        ("seam_share", -0.1),
        ("dead_column_share", 2.0),
        ("motion_share", -0.2),
    ],
)
def test_impossible_cameras_are_refused(name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=name):
        replace(PLAIN, **{name: value})
