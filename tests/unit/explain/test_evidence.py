from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonescint.explain import EvidenceScale
from bonescint.scan import ActivationMap, ParameterError, Prediction, View


def _prediction(probability: float, *, anterior: float, posterior: float) -> Prediction:
    maps = tuple(
        ActivationMap(view=view, target="mbd", values=np.full((2, 2), value), extent=(0, 0, 4, 4))
        for view, value in ((View.ANTERIOR, anterior), (View.POSTERIOR, posterior))
    )
    other = ActivationMap(
        view=View.ANTERIOR, target="no_mbd", values=np.full((2, 2), 99.0), extent=(0, 0, 4, 4)
    )
    return Prediction(
        scan_id="bs-1",
        mbd_probability=probability,
        positive=False,
        model_id="m",
        activation_maps=(*maps, other),
    )


def test_both_views_share_one_scale() -> None:
    scale = EvidenceScale.of(_prediction(0.9, anterior=1.0, posterior=4.0), operating_point=0.5)
    assert scale.levels(np.array([1.0, 4.0], dtype=np.float32)).tolist() == [0.25, 1.0]


@given(st.floats(0, 1), st.floats(0.01, 1))
def test_a_calm_scan_does_not_fill_the_scale(probability: float, operating_point: float) -> None:
    prediction = _prediction(probability, anterior=3.0, posterior=1.0)
    scale = EvidenceScale.of(prediction, operating_point=operating_point)
    expected = min(1.0, probability / operating_point)
    assert scale.levels(np.array([3.0], dtype=np.float32))[0] == pytest.approx(expected)


def test_without_an_operating_point_the_probability_is_the_level() -> None:
    assert EvidenceScale.of(_prediction(0.3, anterior=1, posterior=1)).reached == 0.3


def test_an_operating_point_of_zero_calls_everything_positive() -> None:
    scale = EvidenceScale.of(_prediction(0.0, anterior=1, posterior=1), operating_point=0.0)
    assert scale.reached == 1.0


def test_empty_maps_have_no_level() -> None:
    scale = EvidenceScale.of(_prediction(0.9, anterior=0.0, posterior=0.0), operating_point=0.5)
    assert scale.levels(np.zeros((2, 2), dtype=np.float32)).max() == 0


def test_an_operating_point_beyond_one_is_refused() -> None:
    with pytest.raises(ParameterError, match="operating_point"):
        EvidenceScale.of(_prediction(0.3, anterior=1, posterior=1), operating_point=1.5)
