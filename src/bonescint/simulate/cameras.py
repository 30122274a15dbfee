"""Cameras to simulate with: resolution, pixel size and counts as published objects have them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bonescint.scan import ParameterError
from bonescint.simulate.camera import Camera

CAMERAS: Mapping[str, Camera] = {
    camera.name: camera
    for camera in (
        Camera(name="discovery", maker="GE MEDICAL SYSTEMS", pixel_mm=2.40112, median_counts=0.7e6),
        Camera(
            name="millennium", maker="GE MEDICAL SYSTEMS", pixel_mm=2.26, median_counts=2.2e6,
            gap_mm=75.0, collimator_fwhm_mm=2.0,
        ),
        Camera(
            name="symbia", maker="SIEMENS", pixel_mm=2.397, median_counts=1.1e6,
            collimator_slope=0.046, gap_mm=50.0,
        ),
    )
}  # fmt: skip


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


def draw_camera(rng: np.random.Generator) -> Camera:
    """Draw a camera as one of the known ones set up on another day: gap, collimator, window."""
    from dataclasses import replace

    base = CAMERAS[str(rng.choice(list(CAMERAS)))]
    return replace(
        base,
        collimator_slope=base.collimator_slope * float(rng.uniform(0.88, 1.22)),
        intrinsic_fwhm_mm=base.intrinsic_fwhm_mm * float(rng.uniform(0.9, 1.25)),
        gap_mm=float(np.clip(rng.normal(base.gap_mm, 20), 15, 130)),
        scatter_fraction=base.scatter_fraction * float(rng.uniform(0.7, 1.6)),
    )
