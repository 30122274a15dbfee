"""Detector faults: where they are, and that they leave the rest alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bonescint.scan import ParameterError, View
from bonescint.simulate import Camera
from bonescint.simulate.faults import (
    FaultKind,
    HeadFaults,
    Ripple,
    Stripe,
    across_field_mm,
    draw_faults,
    field_of,
)

CAMERA = Camera(name="test", maker="none", pixel_mm=2.4)


def stripe(kind: FaultKind, **changes: float) -> Stripe:
    given = {"centre_mm": 61.2, "width_mm": 24.0, "loss": 0.2} | changes
    return Stripe(kind=kind, **given)


def test_a_faultless_head_sees_all_columns_alike() -> None:
    assert (HeadFaults().sensitivity(CAMERA) == 1).all()


@pytest.mark.parametrize("loss", [0.2, -0.1])
def test_a_seam_leaves_the_counts_elsewhere_alone(loss: float) -> None:
    head = HeadFaults(stripes=(stripe(FaultKind.SEAM, width_mm=7.2, loss=loss),))
    sensitivity = head.sensitivity(CAMERA)
    # The field's middle is between columns 127 and 128: 61.2 mm is the middle of column 153.
    assert np.flatnonzero(sensitivity != 1).tolist() == [152, 153, 154]
    assert sensitivity[153] == pytest.approx(1 - loss)


def test_a_dead_column_counts_nothing() -> None:
    dead = stripe(FaultKind.DEAD_COLUMN, width_mm=2.4, loss=1.0)
    sensitivity = HeadFaults(stripes=(dead,)).sensitivity(CAMERA)
    assert np.flatnonzero(sensitivity == 0).tolist() == [153]
    assert (np.delete(sensitivity, 153) == 1).all()


def test_a_weak_tube_loses_its_depth_times_its_width() -> None:
    weak = stripe(FaultKind.WEAK_TUBE, width_mm=60.0, loss=0.15)
    lost = 1 - HeadFaults(stripes=(weak,)).sensitivity(CAMERA)
    x = across_field_mm(CAMERA)
    assert lost.max() == pytest.approx(0.15)
    assert (lost[np.abs(x - 61.2) > 60] == 0).all()
    # A raised cosine's area is its depth times its full width at half maximum.
    assert lost.sum() * CAMERA.pixel_mm == pytest.approx(0.15 * 60.0, rel=1e-3)
    assert (lost[np.abs(x - 61.2) < 29] > 0.075).all()


def test_ripple_has_the_cameras_standard_deviation() -> None:
    camera = replace(CAMERA, ripple=0.02, columns=1024)  # many periods
    for seed in range(5):
        drawn = draw_faults(camera, np.random.default_rng(seed))
        for head in drawn.values():
            sensitivity = head.sensitivity(camera)
            assert sensitivity.mean() == pytest.approx(1, abs=0.002)
            assert sensitivity.std() == pytest.approx(0.02, rel=0.1)
        assert drawn[View.ANTERIOR] != drawn[View.POSTERIOR]


def test_faults_come_as_often_as_the_camera_says() -> None:
    camera = replace(CAMERA, weak_tube_share=0.5, seam_share=0.2, dead_column_share=0.1)
    rng = np.random.default_rng(0)
    heads = [head for _ in range(1000) for head in draw_faults(camera, rng).values()]
    for kind, share in zip(FaultKind, (0.5, 0.2, 0.1), strict=True):
        number = sum(fault.kind is kind for head in heads for fault in head.stripes)
        assert abs(number - 2000 * share) < 4 * np.sqrt(2000 * share * (1 - share))


def test_a_tube_is_only_a_part_of_the_heads_length() -> None:
    camera = replace(CAMERA, weak_tube_share=1.0, field_length_mm=400.0)
    rng = np.random.default_rng(1)
    losses = [draw_faults(camera, rng)[View.ANTERIOR].stripes[0].loss for _ in range(200)]
    assert max(losses) <= 60 / 400
    assert min(losses) > 0


def test_there_is_nothing_outside_the_field() -> None:
    field = field_of(replace(CAMERA, field_width_mm=480.0))
    assert field.sum() == 200
    assert (field[28:228] == 1).all()
    assert field_of(CAMERA).all()


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: stripe(FaultKind.SEAM, width_mm=0.0), "width_mm"),
        (lambda: stripe(FaultKind.SEAM, loss=1.2), "loss"),
        (lambda: Ripple(amplitude=1.0, period_mm=60.0, phase=0.0), "amplitude"),
        (lambda: Ripple(amplitude=0.1, period_mm=0.0, phase=0.0), "period_mm"),
    ],
)
def test_impossible_faults_are_refused(build: object, word: str) -> None:
    with pytest.raises(ParameterError, match=word):
        build()  # type: ignore[operator]
