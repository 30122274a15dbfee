"""The gamma camera, and the cameras to simulate with.

Sources. Holes and lengths of the low-energy high-resolution collimators: the table that the
Monte Carlo program SIMIND ships (collim.col). Pixel sizes of discovery and millennium, the
order of their counts, discovery's window (129.96 to 151.04 keV) and millennium's field (520
of 579 mm): real DICOM objects. Everything else is assumed: the other fields, about 54 by 40
cm, the crystals' resolution, gaps, speeds, counts, pixel sizes, and how often something fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import erf, hypot, sqrt
from types import MappingProxyType
from typing import TypedDict

import numpy as np

from bonescint.scan import ParameterError
from bonescint.simulate.constants import (
    PHOTOPEAK_KEV,
    REFERENCE_SPEED_CM_PER_MIN,
    REFERENCE_WINDOW,
    SCATTER_FRACTION,
)

FWHM_PER_SIGMA = 2.354820045
MATRIX_MULTIPLE = 4
"""Rows and columns are multiples of this, so that scatter can be computed on coarse pixels."""


_POSITIVE = (
    "pixel_mm",
    "field_length_mm",
    "intrinsic_fwhm_mm",
    "collimator_fwhm_mm",
    "scan_speed_cm_per_min",
    "median_counts",
    "energy_resolution",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A dual-head camera with low-energy high-resolution collimators.

    The defaults are those of a faultless camera; `CAMERAS` has real ones.

    Attributes:
        name: what it is called.
        maker: how its DICOM header names the maker.
        rows, columns: matrix of a whole-body view.
        pixel_mm: edge of a pixel.
        field_width_mm: field of view across the table, or `None` for the whole matrix; there are
            no counts outside it.
        field_length_mm: field of view along the table at one moment.
        intrinsic_fwhm_mm: resolution of the crystal.
        collimator_fwhm_mm: resolution of the collimator at its face.
        collimator_slope: increase of that with distance.
        gap_mm: distance from the anterior collimator to the skin.
        table_gap_mm: distance from the posterior collimator to the patient's back; the
            table is flat, so it is the same everywhere.
        contouring: whether the anterior head follows the body's outline; otherwise its height is
            constant, above the foremost point.
        window_width: energy window around the photopeak, over the peak's energy.
        energy_resolution: FWHM at the photopeak, over the peak's energy.
        scatter_fraction: scattered over primary counts in a window of 20 %.
        scan_speed_cm_per_min: speed of the table.
        median_counts: median of the counts in the posterior view at 10 cm/min in a window
            of 20 %.
        ripple: standard deviation of the crystals' remaining unevenness, relative to the
            sensitivity.
        weak_tube_share: probability that a head has a photomultiplier out of tune.
        seam_share: the same for a seam between two passes or crystals.
        dead_column_share: the same for a dead column.
        motion_share: probability that the patient moves during the pass.

    Raises:
        ParameterError: an impossible value.
    """

    name: str
    maker: str
    rows: int = 1024
    columns: int = 256
    pixel_mm: float = 2.40
    field_width_mm: float | None = None
    field_length_mm: float = 400.0
    intrinsic_fwhm_mm: float = 3.8
    collimator_fwhm_mm: float = 1.6
    collimator_slope: float = 0.043
    gap_mm: float = 60.0
    table_gap_mm: float = 60.0
    contouring: bool = False
    window_width: float = REFERENCE_WINDOW
    energy_resolution: float = 0.095
    scatter_fraction: float = SCATTER_FRACTION
    scan_speed_cm_per_min: float = REFERENCE_SPEED_CM_PER_MIN
    median_counts: float = 1.2e6
    ripple: float = 0.0
    weak_tube_share: float = 0.0
    seam_share: float = 0.0
    dead_column_share: float = 0.0
    motion_share: float = 0.0

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ParameterError(name, "Camera", "above 0", getattr(self, name))
        for name in ("rows", "columns"):
            size = getattr(self, name)
            if size < 64 or size % MATRIX_MULTIPLE:
                requirement = f"at least 64 and a multiple of {MATRIX_MULTIPLE}"
                raise ParameterError(name, "Camera", requirement, size)
        for name in ("gap_mm", "table_gap_mm", "scatter_fraction", "collimator_slope"):
            if not getattr(self, name) >= 0:
                raise ParameterError(name, "Camera", "at least 0", getattr(self, name))
        if self.field_width_mm is not None and not self.field_width_mm > 0:
            raise ParameterError("field_width_mm", "Camera", "above 0", self.field_width_mm)
        if not 0.05 <= self.window_width <= 0.40:
            raise ParameterError("window_width", "Camera", "from 0.05 to 0.40", self.window_width)
        if not 0 <= self.ripple <= 0.2:
            raise ParameterError("ripple", "Camera", "from 0 to 0.2", self.ripple)
        for name in ("weak_tube_share", "seam_share", "dead_column_share", "motion_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ParameterError(name, "Camera", "from 0 to 1", getattr(self, name))

    def sigma_mm(self, distance_mm: float) -> float:
        """Standard deviation of the blur at a distance from the collimator.

        Examples:
            >>> camera = Camera(name="c", maker="m", intrinsic_fwhm_mm=3.0,
            ...                 collimator_fwhm_mm=4.0, collimator_slope=0.0)
            >>> round(camera.sigma_mm(100.0) * 2.354820045, 6)
            5.0
        """
        collimator = self.collimator_fwhm_mm + self.collimator_slope * distance_mm
        return hypot(self.intrinsic_fwhm_mm, collimator) / FWHM_PER_SIGMA

    @property
    def energy_window_kev(self) -> tuple[float, float]:
        """Lower and upper limit of the window.

        Examples:
            >>> camera = Camera(name="c", maker="m", window_width=0.15)
            >>> [round(limit, 2) for limit in camera.energy_window_kev]
            [129.96, 151.04]
        """
        half = self.window_width / 2
        return PHOTOPEAK_KEV * (1 - half), PHOTOPEAK_KEV * (1 + half)

    @property
    def window_efficiency(self) -> float:
        """Share of the unscattered photons that the window accepts.

        The photopeak is a Gaussian; the window lies around it.
        """
        return self._accepted(self.window_width)

    def _accepted(self, width: float) -> float:
        return erf(width / 2 / (self.energy_resolution / FWHM_PER_SIGMA) / sqrt(2))

    @property
    def scatter_share(self) -> float:
        """Scattered over primary counts in this camera's window.

        Just below the photopeak the spectrum of scattered photons is flat up to its edge at the
        peak (assumed), which is blurred by the energy resolution. A window around the peak then
        contains half its width of that spectrum, whatever the resolution: what is lost below the
        peak is gained above. So scatter is proportional to the width.
        """
        scattered = self.window_width / REFERENCE_WINDOW
        primary = self.window_efficiency / self._accepted(REFERENCE_WINDOW)
        return self.scatter_fraction * scattered / primary

    @property
    def expected_counts(self) -> float:
        """Median of the counts in the posterior view at this speed and window.

        Counts are proportional to the time for which each point is in the field of view.

        Examples:
            >>> slow = Camera(name="c", maker="m", scan_speed_cm_per_min=10)
            >>> fast = Camera(name="c", maker="m", scan_speed_cm_per_min=20)
            >>> slow.expected_counts / fast.expected_counts
            2.0
        """
        primary = self.window_efficiency / self._accepted(REFERENCE_WINDOW)
        window = primary * (1 + self.scatter_share) / (1 + self.scatter_fraction)
        time = REFERENCE_SPEED_CM_PER_MIN / self.scan_speed_cm_per_min
        return self.median_counts * window * time

    @property
    def duration_s(self) -> float:
        """Duration of the scan: the length of the matrix over the scan speed."""
        return self.rows * self.pixel_mm / 10 / self.scan_speed_cm_per_min * 60


_LEAD_MU_PER_MM = 2.7
"""Attenuation of lead at 140 keV (NIST: 2.37 cm2/g, interpolated, at 11.35 g/cm3)."""

_BEHIND_COLLIMATOR_MM = 8.0
"""From the collimator's back to where photons are stopped: cover and half the crystal. Assumed."""


class _Collimator(TypedDict):
    collimator_fwhm_mm: float
    collimator_slope: float


def _collimator(hole_mm: float, length_mm: float) -> _Collimator:
    """Resolution of a parallel-hole collimator after Anger (J Nucl Med 1964;5:515).

    With holes of diameter D and effective length L it is D (L + distance + distance behind) / L;
    L is the length minus twice the mean free path in lead.
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
    """A camera as it may be set up on another day: gaps, speed, state of the crystal.

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
