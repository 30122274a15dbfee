"""What pages show of a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bonescint.explain import shown_output
from bonescint.scan import Acquisition, ActivationMap, PixelUnit, Prediction, Scan, View


@pytest.mark.parametrize("positive", [True, False, None])
def test_a_scan_without_a_call_is_shown_as_neither(positive: bool | None) -> None:
    scan = Scan(
        anterior=np.eye(64, 16), posterior=None, pixel_spacing_mm=None, unit=PixelUnit.COUNTS,
        scan_id="a", acquisition=Acquisition(modality="NM"),
    )  # fmt: skip
    values = np.full((4, 2), 0.5, dtype=np.float32)
    found = ActivationMap(view=View.ANTERIOR, target="mbd", values=values, extent=(0, 0, 64, 16))
    answer = Prediction(
        scan_id="a", mbd_probability=0.7, positive=positive, model_id="m", activation_maps=(found,)
    )
    shown = shown_output(scan, answer, 0.4)
    assert shown["positive"] is positive
    assert shown["maps"] == shown_output(scan, replace(answer, positive=True), 0.4)["maps"]
