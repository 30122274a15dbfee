"""Positions of a view in the frame that it was read from."""

from __future__ import annotations

import numpy as np
import pytest

from bonescint.scan import ParameterError, SourceFrame


def test_an_upright_frame_keeps_its_positions() -> None:
    points = np.array([[0.0, 0.0], [10.0, 4.0], [2.5, 1.25]])
    np.testing.assert_array_equal(SourceFrame(shape=(10, 4)).positions(points), points)


def test_a_half_begins_at_its_column() -> None:
    half = SourceFrame(shape=(10, 9), left=5)
    np.testing.assert_array_equal(half.positions(np.array([[3.0, 0.0]])), [[3.0, 5.0]])


def test_padding_lies_on_the_edge() -> None:
    padded = SourceFrame(shape=(10, 4), left=-2)
    points = np.array([[0.0, 0.0], [0.0, 2.0], [12.0, 9.0]])
    np.testing.assert_array_equal(padded.positions(points), [[0, 0], [0, 0], [10, 4]])


def test_a_turned_frame_is_turned_back() -> None:
    turned = SourceFrame(shape=(10, 4), turned=True)
    image = np.arange(40).reshape(10, 4)
    upright = image[::-1, ::-1]
    rows, columns = np.mgrid[0:10, 0:4]
    centres = np.column_stack([rows.ravel(), columns.ravel()]) + 0.5
    at = np.floor(turned.positions(centres)).astype(int)
    np.testing.assert_array_equal(image[at[:, 0], at[:, 1]], upright.ravel())


@pytest.mark.parametrize("wrong", [{"number": 0}, {"file": -1}, {"shape": (0, 4)}])
def test_there_is_no_such_frame(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match="SourceFrame"):
        SourceFrame(**{"shape": (10, 4), **wrong})
