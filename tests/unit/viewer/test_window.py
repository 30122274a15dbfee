from __future__ import annotations

import numpy as np
import pytest

from bonescint.scan import PixelUnit
from bonescint.viewer import GreyWindow, grey_window


def _body() -> np.ndarray:
    image = np.zeros((200, 50), dtype=np.float32)
    image[20:180, 10:40] = np.random.default_rng(0).poisson(30, (160, 30))
    return image


def test_a_hot_bladder_does_not_darken_the_rest() -> None:
    calm, hot = _body(), _body()
    hot[100:104, 20:26] = 5000
    before = grey_window(calm, PixelUnit.COUNTS).high
    after = grey_window(hot, PixelUnit.COUNTS).high
    assert after == pytest.approx(before, rel=0.1)


def test_counts_start_at_zero() -> None:
    assert grey_window(_body() + 5, PixelUnit.COUNTS).low == 0


def test_a_pictures_background_is_white() -> None:
    picture = np.minimum(_body() + 20, 255)
    window = grey_window(picture, PixelUnit.INTENSITY)
    assert window.low == 20
    assert window.inverted_grey(picture)[0, 0] == 255


def test_an_empty_image_is_white() -> None:
    empty = np.zeros((4, 4), dtype=np.float32)
    assert (grey_window(empty, PixelUnit.COUNTS).inverted_grey(empty) == 255).all()


def test_grey_falls_with_the_counts() -> None:
    grey = GreyWindow(low=0, high=10).inverted_grey(np.linspace(-5, 20, 40, dtype=np.float32)[None])
    assert (np.diff(grey.astype(int)) <= 0).all()
    assert (grey[0, 0], grey[0, -1]) == (255, 0)
