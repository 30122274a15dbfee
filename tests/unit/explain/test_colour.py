from __future__ import annotations

import numpy as np

from bonescint.explain.colour import heat_colours, opacity, painted


def _luminance(colours: np.ndarray) -> np.ndarray:
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def test_colours_get_darker_with_every_step() -> None:
    assert (np.diff(_luminance(heat_colours())) < 1e-3).all()
    assert _luminance(heat_colours())[0] > 4 * _luminance(heat_colours())[-1]


def test_colours_change_evenly() -> None:
    steps = np.abs(np.diff(heat_colours().astype(float), axis=0)).sum(axis=1)
    assert steps.max() <= 8


def test_opacity_grows_and_leaves_the_anatomy_visible() -> None:
    assert opacity()[0] == 0
    assert (np.diff(opacity()) >= 0).all()
    assert 0.6 < opacity()[-1] < 0.75


def test_nothing_is_painted_where_there_is_no_evidence() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    shown = painted(grey, np.zeros((16, 16), dtype=np.float32))
    assert (shown == grey[:, :, None]).all()


def test_anatomy_keeps_its_order_under_the_strongest_evidence() -> None:
    grey = np.array([[0, 100, 255]], dtype=np.uint8)
    shown = painted(grey, np.full((1, 3), 9.0, dtype=np.float32)).astype(int)
    assert (np.diff(shown[0], axis=0) > 20).all()
