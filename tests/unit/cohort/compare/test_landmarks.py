"""Heights of landmarks, against a drawn body and against the simulator's own skeleton."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bonescint.cohort.compare.characteristics import LANDMARKS, landmark_shares
from bonescint.cohort.compare.maps import PREPROCESSING, reduced
from bonescint.prepare import prepare, preprocessing_named
from bonescint.simulate import camera_named, draw_anatomy, set_up_camera, simulate_scan
from bonescint.simulate.population import Population

TOP, BOTTOM = 6, 250


def drawn(heights: dict[str, float]) -> np.ndarray:
    """A body of bars, in both views, with its landmarks at given shares of its height."""
    at = {name: TOP + share * (BOTTOM - TOP) for name, share in heights.items()}
    rows, x = np.arange(256)[:, None] + 0.5, np.abs(np.arange(128) - 63.5)[None, :]
    view = np.zeros((256, 128))
    view[(rows >= TOP) & (rows < at["acromion"]) & (x < 14)] = 0.4  # head and neck
    view[(rows >= at["acromion"]) & (rows < at["symphysis"]) & (x < 54)] = 0.3
    view[(rows >= at["symphysis"]) & (rows < BOTTOM) & (x > 6) & (x < 34)] = 0.2
    view[(rows >= at["iliac crest"]) & (rows < at["symphysis"]) & (x < 24)] = 0.55
    view[(np.abs(rows - at["elbow"]) < 4) & (x > 42) & (x < 52)] = 0.5
    for joint in ("knee", "ankle"):
        view[(np.abs(rows - at[joint]) < 5) & (x > 10) & (x < 30)] = 0.5
    blurred = ndimage.gaussian_filter(view, 1.0).astype(np.float32)
    return np.concatenate([blurred, blurred], axis=1)


@pytest.mark.parametrize("shift", [-0.015, 0.0, 0.015])
def test_a_drawn_body_has_its_landmarks_where_they_were_drawn(shift: float) -> None:
    heights = {"acromion": 0.155, "elbow": 0.34, "iliac crest": 0.40, "symphysis": 0.51,
               "knee": 0.71, "ankle": 0.93}  # fmt: skip
    heights = {name: height + shift for name, height in heights.items()}
    found = landmark_shares(drawn(heights))
    for name, height in heights.items():
        assert found[name] == pytest.approx(height, abs=0.008), name


def test_what_is_not_there_is_not_found() -> None:
    body = drawn({"acromion": 0.155, "elbow": -1.0, "iliac crest": 0.4, "symphysis": 0.51,
                  "knee": -1.0, "ankle": 0.93})  # fmt: skip
    found = landmark_shares(body)
    assert np.isnan(found["elbow"])
    assert np.isnan(found["knee"])
    assert np.isfinite(found["ankle"])
    assert set(found) == set(LANDMARKS)


def test_half_a_body_gives_nothing() -> None:
    cut = drawn({"acromion": 0.155, "elbow": 0.34, "iliac crest": 0.4, "symphysis": 0.51,
                 "knee": 0.71, "ankle": 0.93})  # fmt: skip
    cut[110:] = 0
    assert all(np.isnan(value) for value in landmark_shares(cut).values())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_simulated_scan_has_them_near_its_own_bones(seed: int) -> None:
    rng = np.random.default_rng([7, seed])
    body = draw_anatomy(rng, Population(anatomy=2))
    camera = set_up_camera(camera_named("ecam"), rng)
    scan = simulate_scan(body, camera, rng, positive=False, scan_id="one").scan
    found = landmark_shares(reduced(prepare(scan, preprocessing_named(PREPROCESSING)).composite[0]))
    bones, z = body.landmarks, body.positions_mm[:, 2]

    def share(of_left: float, of_right: float) -> float:
        return (z.max() - (of_left + of_right) / 2) / (z.max() - z.min())

    truth = {
        "acromion": share(*(bones.box(f"scapula {side}")[1][2] for side in "LR")),
        "elbow": share(*(bones.bottom(f"humerus {side}")[2] for side in "LR")),
        "iliac crest": share(*(bones.box(f"pelvis {side}")[1][2] for side in "LR")),
        "symphysis": share(*(bones.box(f"pelvis {side}")[0][2] for side in "LR")),
        "knee": share(*(bones.top(f"tibia {side}")[2] for side in "LR")),
        "ankle": share(*(bones.bottom(f"tibia {side}")[2] for side in "LR")),
    }
    for name, height in truth.items():
        assert np.isnan(found[name]) or found[name] == pytest.approx(height, abs=0.045), name
    assert sum(np.isfinite(value) for value in found.values()) >= 5
