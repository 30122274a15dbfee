"""Cameras to simulate with, as the makers' data and published objects have them.

Sources. Holes and lengths of the low-energy high-resolution collimators: the table that the
Monte Carlo program SIMIND ships (collim.col). Pixel sizes of discovery and millennium, the
order of their counts, discovery's window (129.96 to 151.04 keV) and millennium's field (520
of 579 mm): real DICOM objects. Everything else is assumed: the other fields, about 54 by 40
cm, the crystals' resolution, gaps, speeds, counts, pixel sizes, and how often something fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypedDict

import numpy as np

from bonescint.scan import ParameterError
from bonescint.simulate.camera import Camera

_LEAD_MU_PER_MM = 2.7
"""Attenuation of lead at 140 keV (NIST: 2.37 cm2/g, interpolated, at 11.35 g/cm3)."""

_BEHIND_COLLIMATOR_MM = 8.0
"""From the collimator's back to where photons are stopped: cover and half the crystal. Assumed."""


class _Collimator(TypedDict):
    collimator_fwhm_mm: float
    collimator_slope: float


def _collimator(hole_mm: float, length_mm: float) -> _Collimator:
    """Resolution of a parallel-hole collimator after Anger (J Nucl Med 1964;5:515).

    With holes of diameter D and effective length L it is D (L + distance + what lies behind)
    / L; L is the length less twice the mean free path in lead.
    """
    effective = length_mm - 2 / _LEAD_MU_PER_MM
    return _Collimator(
        collimator_fwhm_mm=hole_mm * (1 + _BEHIND_COLLIMATOR_MM / effective),
        collimator_slope=hole_mm / effective,
    )


_GE = _collimator(1.5, 35.0)
_SIEMENS = _collimator(1.11, 24.05)
_PHILIPS = _collimator(1.22, 27.0)

CAMERAS: Mapping[str, Camera] = MappingProxyType({
    camera.name: camera
    for camera in (
        Camera(
            name="discovery", maker="GE MEDICAL SYSTEMS", pixel_mm=2.40112,
            field_width_mm=540.0, contouring=True, gap_mm=25.0, table_gap_mm=50.0,
            window_width=0.15, energy_resolution=0.095, scan_speed_cm_per_min=14.0,
            median_counts=1.0e6, ripple=0.006, weak_tube_share=0.01, seam_share=0.003,
            dead_column_share=0.002, motion_share=0.05, **_GE,
        ),
        Camera(
            name="millennium", maker="GE MEDICAL SYSTEMS", pixel_mm=2.26,
            field_width_mm=520.0, gap_mm=60.0, table_gap_mm=60.0, intrinsic_fwhm_mm=4.0,
            energy_resolution=0.10, scan_speed_cm_per_min=10.0, median_counts=2.2e6,
            ripple=0.012, weak_tube_share=0.03, seam_share=0.02, dead_column_share=0.006,
            motion_share=0.06, **_GE,
        ),
        Camera(
            name="infinia", maker="GE MEDICAL SYSTEMS", pixel_mm=2.26,
            field_width_mm=540.0, contouring=True, gap_mm=30.0, table_gap_mm=55.0,
            energy_resolution=0.098, scan_speed_cm_per_min=12.0, median_counts=1.3e6,
            ripple=0.008, weak_tube_share=0.02, seam_share=0.005, dead_column_share=0.003,
            motion_share=0.05, **_GE,
        ),
        Camera(
            name="symbia", maker="SIEMENS", pixel_mm=2.397,
            field_width_mm=533.0, contouring=True, gap_mm=25.0, table_gap_mm=45.0,
            window_width=0.15, energy_resolution=0.099, scan_speed_cm_per_min=12.0,
            median_counts=1.4e6, ripple=0.006, weak_tube_share=0.01, seam_share=0.003,
            dead_column_share=0.002, motion_share=0.05, **_SIEMENS,
        ),
        Camera(
            name="ecam", maker="SIEMENS", pixel_mm=2.397,
            field_width_mm=533.0, gap_mm=60.0, table_gap_mm=55.0, energy_resolution=0.099,
            scan_speed_cm_per_min=15.0, median_counts=1.6e6, ripple=0.010,
            weak_tube_share=0.03, seam_share=0.01, dead_column_share=0.004,
            motion_share=0.05, **_SIEMENS,
        ),
        Camera(
            name="brightview", maker="Philips Medical Systems", pixel_mm=2.33,
            field_width_mm=540.0, contouring=True, gap_mm=30.0, table_gap_mm=50.0,
            intrinsic_fwhm_mm=3.5, energy_resolution=0.096, scan_speed_cm_per_min=13.0,
            median_counts=1.3e6, ripple=0.007, weak_tube_share=0.01, seam_share=0.003,
            dead_column_share=0.002, motion_share=0.05, **_PHILIPS,
        ),
        Camera(
            name="forte", maker="Philips Medical Systems", pixel_mm=2.33,
            field_width_mm=508.0, gap_mm=65.0, table_gap_mm=60.0, intrinsic_fwhm_mm=3.8,
            energy_resolution=0.10, scan_speed_cm_per_min=12.0, median_counts=1.5e6,
            ripple=0.012, weak_tube_share=0.03, seam_share=0.015, dead_column_share=0.005,
            motion_share=0.06, **_PHILIPS,
        ),
    )
})  # fmt: skip
"""The cameras by name."""


def camera_named(name: str) -> Camera:
    """Look up a camera by its name.

    Raises:
        ParameterError: no camera has that name; the message lists those that exist.

    Examples:
        >>> camera_named("symbia").pixel_mm
        2.397
    """
    if name not in CAMERAS:
        raise ParameterError("name", "camera_named", f"one of {', '.join(CAMERAS)}", name)
    return CAMERAS[name]


def set_up_camera(camera: Camera, rng: np.random.Generator) -> Camera:
    """A camera as a technologist set it up on another day: gaps, speed, state of the crystal.

    Args:
        camera: its usual state.
        rng: source of randomness.
    """
    return replace(
        camera,
        collimator_slope=camera.collimator_slope * float(rng.uniform(0.95, 1.10)),
        intrinsic_fwhm_mm=camera.intrinsic_fwhm_mm * float(rng.uniform(0.95, 1.20)),
        gap_mm=float(np.clip(rng.normal(camera.gap_mm, 12), 10, 130)),
        table_gap_mm=float(np.clip(rng.normal(camera.table_gap_mm, 8), 25, 110)),
        scatter_fraction=camera.scatter_fraction * float(rng.uniform(0.8, 1.4)),
        scan_speed_cm_per_min=camera.scan_speed_cm_per_min * float(rng.uniform(0.85, 1.2)),
    )


def draw_camera(rng: np.random.Generator) -> Camera:
    """Draw one of the known cameras, set up on another day."""
    return set_up_camera(CAMERAS[str(rng.choice(list(CAMERAS)))], rng)
