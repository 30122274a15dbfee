from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bonescint.scan import Acquisition, ActivationMap, PixelUnit, Prediction, Scan, View

MakeScan = Callable[..., Scan]
MakePrediction = Callable[..., Prediction]


@pytest.fixture
def make_scan() -> MakeScan:
    def make(
        *,
        shape: tuple[int, int] = (128, 64),
        views: tuple[View, ...] = tuple(View),
        spacing: tuple[float, float] | None = (2.4, 2.4),
        unit: PixelUnit = PixelUnit.COUNTS,
    ) -> Scan:
        rng = np.random.default_rng(1)
        body = np.zeros(shape)
        body[shape[0] // 8 : -shape[0] // 8, shape[1] // 4 : -shape[1] // 4] = 20
        image = rng.poisson(body).astype(np.float32)
        return Scan(
            anterior=image if View.ANTERIOR in views else None,
            posterior=image if View.POSTERIOR in views else None,
            pixel_spacing_mm=spacing,
            unit=unit,
            scan_id="bs-1",
            acquisition=Acquisition(modality="NM"),
        )

    return make


@pytest.fixture
def make_prediction() -> MakePrediction:
    def make(
        scan: Scan,
        *,
        probability: float = 0.9,
        positive: bool = True,
        values: NDArray[np.float32] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Prediction:
        cells = np.ones((32, 16), dtype=np.float32) if values is None else values
        extent = (0.0, 0.0, float(scan.shape[0]), float(scan.shape[1]))
        return Prediction(
            scan_id=scan.scan_id,
            mbd_probability=probability,
            positive=positive,
            model_id="stand-in@1",
            warnings=warnings,
            activation_maps=tuple(
                ActivationMap(view=view, target="mbd", values=cells, extent=extent)
                for view in scan.views
            ),
        )

    return make
