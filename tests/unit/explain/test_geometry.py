from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonescint.explain import map_on_grid, panel_size
from bonescint.scan import ActivationMap, ParameterError, View

Extent = tuple[float, float, float, float]


def _hot(row: int, column: int, extent: Extent, view: View = View.ANTERIOR) -> ActivationMap:
    values = np.zeros((32, 16), dtype=np.float32)
    values[row, column] = 1.0
    return ActivationMap(view=view, target="mbd", values=values, extent=extent)


def _brute_force(activation: ActivationMap, shape: tuple[int, int]) -> np.ndarray:
    """Bilinear interpolation, pixel by pixel, from its definition."""
    top, left, bottom, right = activation.extent
    rows, columns = activation.values.shape
    result = np.zeros(shape)
    for row in range(shape[0]):
        for column in range(shape[1]):
            y, x = row + 0.5, column + 0.5
            if not (top <= y < bottom and left <= x < right):
                continue
            v = min(max((y - top) / (bottom - top) * rows - 0.5, 0), rows - 1)
            u = min(max((x - left) / (right - left) * columns - 0.5, 0), columns - 1)
            r, c = int(v), int(u)
            r1, c1 = min(r + 1, rows - 1), min(c + 1, columns - 1)
            f, g = v - r, u - c
            m = activation.values
            result[row, column] = (1 - f) * ((1 - g) * m[r, c] + g * m[r, c1]) + f * (
                (1 - g) * m[r1, c] + g * m[r1, c1]
            )
    return result


@pytest.mark.parametrize("view", list(View))
@pytest.mark.parametrize(
    "extent",
    [(0, 0, 128, 64), (-20.5, -8, 140, 70.25), (10, 5, 100, 50), (-300, -200, 40, 20)],
)
def test_maps_agree_with_brute_force(view: View, extent: Extent) -> None:
    values = np.random.default_rng(2).random((32, 16)).astype(np.float32)
    activation = ActivationMap(view=view, target="mbd", values=values, extent=extent)
    shown = map_on_grid(activation, (128, 64), rows=128, columns=64)
    np.testing.assert_allclose(shown, _brute_force(activation, (128, 64)), atol=1e-6)


@given(
    st.integers(0, 31),
    st.integers(0, 15),
    st.floats(-40, 40),
    st.floats(-40, 40),
    st.floats(40, 300),
    st.floats(20, 200),
    st.sampled_from(list(View)),
)
def test_a_hot_cell_lands_on_its_own_pixels(
    row: int, column: int, top: float, left: float, height: float, width: float, view: View
) -> None:
    extent = (top, left, top + height, left + width)
    shown = map_on_grid(_hot(row, column, extent, view), (256, 160), rows=256, columns=160)
    # The middle of the cell in the view's pixels, and the cells around it as the only reach.
    y, x = top + (row + 0.5) * height / 32, left + (column + 0.5) * width / 16
    at_row, at_column = np.nonzero(shown)
    if at_row.size:
        assert np.abs(at_row + 0.5 - y).max() <= height / 32 + 1e-6
        assert np.abs(at_column + 0.5 - x).max() <= width / 16 + 1e-6
    if 1 <= y < 255 and 1 <= x < 159 and height > 64 and width > 32:
        assert shown[int(y), int(x)] > 0.25


@given(st.integers(1, 40), st.integers(1, 30))
def test_a_map_of_the_views_own_pixels_comes_back(rows: int, columns: int) -> None:
    values = np.random.default_rng(rows * 31 + columns).random((rows, columns))
    activation = ActivationMap(
        view=View.POSTERIOR,
        target="mbd",
        values=values.astype(np.float32),
        extent=(0, 0, float(rows), float(columns)),
    )
    shown = map_on_grid(activation, (rows, columns), rows=rows, columns=columns)
    np.testing.assert_allclose(shown, activation.values, atol=1e-6)


def test_the_posterior_map_is_not_mirrored() -> None:
    shown = map_on_grid(
        _hot(4, 1, (0, 0, 128, 64), View.POSTERIOR), (128, 64), rows=128, columns=64
    )
    assert shown[:, :32].sum() > 0
    assert shown[:, 32:].sum() == 0


def test_a_drawn_grid_is_the_views_grid_at_another_size() -> None:
    activation = _hot(10, 5, (-8, -4, 136, 70))
    own = map_on_grid(activation, (128, 64), rows=128, columns=64)
    drawn = map_on_grid(activation, (128, 64), rows=3 * 128, columns=3 * 64)
    np.testing.assert_allclose(drawn[1::3, 1::3], own, atol=1e-6)


def test_an_extent_beside_the_image_shows_nothing() -> None:
    shown = map_on_grid(_hot(0, 0, (200, 100, 300, 160)), (128, 64), rows=128, columns=64)
    assert shown.max() == 0


def test_an_empty_grid_is_refused() -> None:
    with pytest.raises(ParameterError, match="rows"):
        map_on_grid(_hot(0, 0, (0, 0, 8, 8)), (8, 8), rows=0, columns=8)


@pytest.mark.parametrize(
    ("shape", "spacing", "expected"),
    [
        ((1024, 256), (2.4, 2.4), (820, 205)),
        ((256, 1024), None, (100, 400)),
        ((512, 512), (1.0, 2.0), (200, 400)),
        ((64, 16), (40.0, 10.0), (820, 51)),
    ],
)
def test_panels_keep_true_proportions(
    shape: tuple[int, int], spacing: tuple[float, float] | None, expected: tuple[int, int]
) -> None:
    assert panel_size(shape, spacing, most_rows=820, most_columns=400) == expected
