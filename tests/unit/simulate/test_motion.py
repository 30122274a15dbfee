"""Patients who move: samples are seen at the old and the new place, by their share of time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

from bonescint.scan import ParameterError, View
from bonescint.simulate import Anatomy, camera_named, draw_anatomy, simulate_scan
from bonescint.simulate.faults import HeadFaults
from bonescint.simulate.motion import Motion, draw_motion

LENGTH_MM = 400.0
TURN = Motion(
    part="head", regions=("skull",), pivot_mm=(0.0, 0.0, 1600.0), axes=(0, 1), angle=np.pi / 2,
    moment_mm=1500.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return draw_anatomy(np.random.default_rng(11))


def test_the_share_of_time_is_what_passes_under_the_field() -> None:
    """Counted step by step: the field's middle goes down, a height is seen while under it."""
    middle = np.arange(2600.0, 0.0, -0.5)
    for z in (1850.0, 1699.0, 1620.0, 1500.0, 1333.0, 1301.0, 900.0):
        seen = np.abs(middle - z) < LENGTH_MM / 2
        after = (seen & (middle < TURN.moment_mm)).sum() / seen.sum()
        share = TURN.share_after(np.array([z], np.float32), LENGTH_MM)[0]
        assert share == pytest.approx(after, abs=0.002)


def test_a_turn_keeps_all_counts() -> None:
    rng = np.random.default_rng(0)
    positions = rng.uniform(1300, 1900, (500, 3)).astype(np.float32)
    activity = rng.random(500).astype(np.float32)
    moved, seen = TURN.applied(positions, activity, LENGTH_MM)
    # A turn around z leaves every height, so what is not seen early is seen late.
    assert (seen[:500] + seen[500:]) == pytest.approx(activity, rel=1e-5)
    assert moved[:500] == pytest.approx(positions)
    assert moved[500:, 2] == pytest.approx(positions[:, 2])
    assert moved[500:, 1] == pytest.approx(positions[:, 0], abs=1e-3)  # a quarter turn
    early = positions[:, 2] > TURN.moment_mm + LENGTH_MM / 2
    late = positions[:, 2] < TURN.moment_mm - LENGTH_MM / 2
    assert (seen[500:][early] == 0).all()
    assert (seen[:500][late] == 0).all()


def test_what_leaves_the_field_upwards_is_missed_and_downwards_is_seen_twice() -> None:
    tilt = replace(TURN, axes=(0, 2), pivot_mm=(0.0, 0.0, 1500.0), angle=-np.pi / 2)
    down = np.array([[390.0, 0.0, 1500.0]], np.float32)  # to z = 1110: not imaged yet
    up = np.array([[-390.0, 0.0, 1500.0]], np.float32)  # to z = 1890: already imaged
    one = np.ones(1, np.float32)
    assert tilt.applied(down, one, LENGTH_MM)[1].sum() == pytest.approx(1.5)
    assert tilt.applied(up, one, LENGTH_MM)[1].sum() == pytest.approx(0.5)


def test_only_the_part_that_moves_changes(anatomy: Anatomy) -> None:
    still = replace(camera_named("symbia"), motion_share=0.0)
    faultless = dict.fromkeys(View, HeadFaults())
    first, second = (
        simulate_scan(
            anatomy, camera, np.random.default_rng(8), positive=False, scan_id="x",
            counts=1e6, faults=faultless,
        )
        for camera in (still, replace(still, motion_share=1.0))
    )  # fmt: skip
    assert first.parameters["motion"] is None
    motion = second.parameters["motion"]
    assert isinstance(motion, dict)
    changed = np.abs(first.means[View.ANTERIOR] - second.means[View.ANTERIOR])
    changed[changed < 0.02 * first.means[View.ANTERIOR].max()] = 0
    rows = np.flatnonzero(changed.any(axis=1))
    assert len(rows)
    low, high = np.inf, -np.inf
    for region in motion["regions"]:
        if region in anatomy.skeleton.regions:
            z = anatomy.positions_mm[anatomy.skeleton.span(region), 2]
            low, high = min(low, z.min()), max(high, z.max())
    heights = first.projector.top_mm - rows * still.pixel_mm
    assert heights.min() > low - 60
    assert heights.max() < high + 60


def test_patients_move_as_often_as_the_camera_says(anatomy: Anatomy) -> None:
    rng = np.random.default_rng(2)
    motions = [draw_motion(anatomy, 0.3, rng) for _ in range(1000)]
    moved = [motion for motion in motions if motion is not None]
    assert abs(len(moved) - 300) < 4 * np.sqrt(1000 * 0.3 * 0.7)
    assert {motion.part for motion in moved} == {
        "head", "arm L", "arm R", "leg L", "leg R",
    }  # fmt: skip
    assert draw_motion(anatomy, 0.0, rng) is None
    for motion in moved:
        if motion.part == "arm L":  # outwards: the hand moves to the patient's left
            hand = anatomy.landmarks.centre("hand L")[None]
            after = motion.applied(hand, np.ones(1, np.float32), LENGTH_MM)[0][1]
            assert after[0] > hand[0, 0]


def test_impossible_movements_are_refused() -> None:
    with pytest.raises(ParameterError, match="regions"):
        replace(TURN, regions=())
    with pytest.raises(ParameterError, match="axes"):
        replace(TURN, axes=(1, 1))
