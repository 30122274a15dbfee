"""A simulated scan with the bone that each pixel shows, and answers of a model, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ActivationMap, Prediction, Scan, UptakeSite, View


@dataclass(frozen=True)
class KnownScan:
    """A simulated scan, with the bone and the region that each pixel shows."""

    scan: Scan
    bones: Mapping[View, NDArray[np.uint8]]
    regions: Mapping[View, NDArray[np.uint8]]


def known_scan(
    *, scoliosis_mm: float | None = None, sites: tuple[UptakeSite, ...] = ()
) -> KnownScan:
    """A scan without metastases of the newest body, which the atlas has not seen.

    Args:
        scoliosis_mm: how far the spine bends to the sides; as drawn if `None`.
        sites: benign uptake, or metal, that the patient has for certain.
    """
    from bonescint.simulate import (
        RequestedUptake,
        camera_named,
        draw_patient,
        region_maps,
        simulate_scan,
        twelve_regions,
    )
    from bonescint.simulate.anatomy import build_anatomy
    from bonescint.simulate.population import Population

    rng = np.random.default_rng(2711)
    patient = draw_patient(rng, Population(anatomy=2))
    if scoliosis_mm is not None:
        patient = replace(patient, scoliosis_mm=scoliosis_mm)
    anatomy = build_anatomy(patient, rng)
    simulated = simulate_scan(
        anatomy,
        camera_named("symbia"),
        rng,
        positive=False,
        scan_id="known",
        counts=1.5e6,
        requested=RequestedUptake(sites=sites) if sites else None,
    )
    bones = region_maps(simulated.projector, anatomy)
    return KnownScan(simulated.scan, bones, twelve_regions(bones, anatomy.skeleton.regions))


def answer(scan: Scan, probability: float = 0.9) -> Prediction:
    """A model's answer with the same probability in every cell."""
    rows, columns = scan.shape
    return Prediction(
        scan_id=scan.scan_id,
        mbd_probability=probability,
        positive=probability > 0.5,
        model_id="stand-in@1",
        activation_maps=tuple(
            ActivationMap(
                view=view,
                target="mbd",
                values=np.full((48, 24), probability, np.float32),
                extent=(0.0, 0.0, float(rows), float(columns)),
            )
            for view in scan.views
        ),
    )


def with_images(scan: Scan, images: Mapping[View, NDArray[np.float32]]) -> Scan:
    """The scan with other images; a view without one is missing."""
    return scan.with_views(
        anterior=images.get(View.ANTERIOR), posterior=images.get(View.POSTERIOR), step="changed"
    )
