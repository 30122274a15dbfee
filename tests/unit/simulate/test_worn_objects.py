"""What is worn: a shadow of the right depth and place on one head."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

from bonescint.scan import FocusKind, UptakeSite, View
from bonescint.simulate import Camera, draw_anatomy
from bonescint.simulate.worn_objects import (
    WornObject,
    cast_shadows,
    draw_worn_objects,
    shadow,
    share_passing,
)

CAMERA = Camera(name="test", maker="none", rows=256, columns=256, pixel_mm=2.0, gap_mm=50.0)
PROJECTOR = SimpleNamespace(camera=CAMERA, top_mm=512.0, left_mm=-256.0)


def a_disc(radius_mm: float, x: float = 60.0, z: float = 300.0) -> WornObject:
    axis = np.arange(-radius_mm, radius_mm + 1)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    points = grid[(grid**2).sum(axis=1) <= radius_mm**2] + np.array([x, z])
    return WornObject(
        cause=UptakeSite.COIN,
        region="chest",
        points_mm=points.astype(np.float32),
        piece_mm2=1.0,
        transmission={View.ANTERIOR: 0.4, View.POSTERIOR: 0.98},
    )


def test_behind_a_large_disc_its_transmission_is_left() -> None:
    cast = shadow(a_disc(40.0), PROJECTOR, View.ANTERIOR)  # type: ignore[arg-type]
    assert cast is not None
    row, column = int((512 - 300) / 2) - cast.top, int((60 + 256) / 2) - cast.left
    assert cast.passed[row, column] == pytest.approx(0.4, abs=0.01)
    assert cast.passed[0, 0] == pytest.approx(1.0, abs=0.01)


def test_what_is_stopped_is_the_area_times_the_opacity() -> None:
    disc = a_disc(12.0)
    cast = shadow(disc, PROJECTOR, View.ANTERIOR)  # type: ignore[arg-type]
    assert cast is not None
    stopped = (1 - cast.passed).sum() * CAMERA.pixel_mm**2
    assert stopped == pytest.approx((1 - 0.4) * len(disc.points_mm), rel=0.02)


def test_the_other_head_sees_it_mirrored_and_hardly() -> None:
    front, back = cast_shadows([a_disc(20.0)], PROJECTOR)  # type: ignore[arg-type]
    assert (front.view, back.view) == (View.ANTERIOR, View.POSTERIOR)
    mean = np.full((256, 256), 9.0, np.float32)
    at_front, at_back = front.seen(mean).focus, back.seen(mean).focus
    assert at_back.column == pytest.approx(255 - at_front.column, abs=0.1)
    assert at_back.row == pytest.approx(at_front.row, abs=0.1)
    assert (at_back.contrast_to_noise or 0) < 0.05 * (at_front.contrast_to_noise or 0)
    assert at_front.kind is FocusKind.MIMIC


def test_its_contrast_to_noise_is_what_it_took_over_the_noise_of_what_is_left() -> None:
    cast = shadow(a_disc(40.0), PROJECTOR, View.ANTERIOR)  # type: ignore[arg-type]
    assert cast is not None
    before = np.full((256, 256), 25.0, np.float32)
    after = before * share_passing([cast], before.shape)[View.ANTERIOR]
    focus, where = cast.seen(after)
    here = where.mask
    lost = (before - after)[where.window][here].sum()
    expected = lost / np.sqrt(after[where.window][here].sum())
    assert focus.contrast_to_noise == pytest.approx(float(expected), rel=1e-4)
    # About the disc: 40 mm radius on pixels of 2 mm.
    assert here.sum() == pytest.approx(np.pi * 20**2, rel=0.05)


def test_two_objects_in_one_place_stop_twice() -> None:
    once = cast_shadows([a_disc(40.0)], PROJECTOR)  # type: ignore[arg-type]
    twice = cast_shadows([a_disc(40.0), a_disc(40.0)], PROJECTOR)  # type: ignore[arg-type]
    one = share_passing(once, (256, 256))[View.ANTERIOR]
    two = share_passing(twice, (256, 256))[View.ANTERIOR]
    assert two == pytest.approx(one**2, abs=1e-6)


def test_outside_the_field_there_is_no_shadow() -> None:
    assert cast_shadows([a_disc(10.0, x=2000.0)], PROJECTOR) == []  # type: ignore[arg-type]


def test_patients_wear_things_where_they_are_worn() -> None:
    drawn = draw_anatomy(np.random.default_rng(13))
    anatomy = replace(drawn, patient=replace(drawn.patient, age=75.0))
    low, high = anatomy.body.height_range_mm
    found = [
        thing
        for seed in range(600)
        for thing in draw_worn_objects(anatomy, np.random.default_rng(seed))
    ]
    causes = {thing.cause for thing in found}
    assert {"belt buckle", "coin", "necklace", "pacemaker"} <= causes
    for thing in found:
        height = (float(thing.points_mm[:, 1].mean()) - low) / (high - low)
        span = {"belt buckle": (0.5, 0.65), "coin": (0.4, 0.6), "pacemaker": (0.7, 0.85)}
        lower, upper = span.get(thing.cause, (0.6, 0.95))
        assert lower < height < upper, thing.cause
        assert 0 < min(thing.transmission.values()) < 0.9
