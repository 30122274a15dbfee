"""Regions of evidence: which there are, and whether outlines enclose exactly their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage

from bonescint.explain import evidence_regions, map_on_grid
from bonescint.explain.regions import outline_of
from bonescint.scan import Acquisition, ActivationMap, PixelUnit, Prediction, Scan, View


def _scan(*, rows: int = 60, columns: int = 30, **views: bool) -> Scan:
    image = np.ones((rows, columns), np.float32)
    return Scan(
        anterior=image,
        posterior=image,
        pixel_spacing_mm=None,
        unit=PixelUnit.COUNTS,
        scan_id="a",
        acquisition=Acquisition(modality="NM"),
    )


def _answer(
    probability: float = 0.9, *, positive: bool | None = True, **maps: object
) -> Prediction:
    return Prediction(
        scan_id="a",
        mbd_probability=probability,
        positive=positive,
        model_id="m",
        activation_maps=tuple(
            ActivationMap(view=View(name), target="mbd", values=values, extent=(0, 0, 60, 30))
            for name, values in maps.items()
        ),
    )


def _hot(row: int, column: int, height: float = 1.0) -> np.ndarray:
    values = np.zeros((12, 6))
    values[row, column] = height
    return values


def _inside(outline: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centres a polygon encloses, by another library, on a finer grid."""
    fine = Image.new("1", (10 * shape[1], 10 * shape[0]))
    corners = [(10 * column, 10 * row) for row, column in outline]
    ImageDraw.Draw(fine).polygon(corners, fill=1)
    return np.asarray(fine)[5::10, 5::10]


def test_a_focus_is_outlined_where_it_is_and_in_its_view_alone() -> None:
    answer = _answer(anterior=_hot(2, 1), posterior=np.zeros((12, 6)))
    (region,) = evidence_regions(_scan(), answer, operating_point=0.5)
    assert region.view is View.ANTERIOR
    assert region.centre == pytest.approx((12.5, 7.5))  # the centre of the cell of 5 x 5 pixels
    assert region.level == pytest.approx(1.0)
    assert region.peak == pytest.approx(1.0)


def test_an_outline_encloses_what_is_at_half_of_the_scale_or_above() -> None:
    answer = _answer(anterior=_hot(2, 1), posterior=_hot(9, 4, 0.7))
    first, second = evidence_regions(_scan(), answer, operating_point=0.5)
    assert (first.view, second.view) == (View.ANTERIOR, View.POSTERIOR)
    for region in (first, second):
        values = map_on_grid(answer.activation_map(region.view), (60, 30), rows=60, columns=30)
        np.testing.assert_array_equal(_inside(region.outline, (60, 30)), values >= 0.5)
        assert region.pixels == (values >= 0.5).sum()


@pytest.mark.parametrize(
    ("probability", "positive", "count"),
    [(0.6, True, 1), (0.3, False, 1), (0.24, False, 0), (0.9, None, 0)],
)
def test_a_scan_far_below_the_operating_point_or_without_a_call_has_none(
    probability: float, positive: bool | None, count: int
) -> None:
    answer = _answer(probability, positive=positive, anterior=_hot(2, 1))
    assert len(evidence_regions(_scan(), answer, operating_point=0.5)) == count


def test_empty_maps_have_no_region() -> None:
    assert evidence_regions(_scan(), _answer(anterior=np.zeros((12, 6)))) == ()
    assert evidence_regions(_scan(), _answer()) == ()


@given(st.integers(0, 2**32 - 1))
def test_an_outline_encloses_any_connected_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pieces, _ = ndimage.label(rng.random((8, 9)) < rng.uniform(0.3, 0.9))
    for number in range(1, pieces.max() + 1):
        mask = pieces == number
        outline = outline_of(mask)
        # Holes are not cut out; pixels in a hole that opens at a corner alone stay outside.
        enclosed = _inside(outline, mask.shape)
        assert enclosed[mask].all()
        assert (enclosed <= ndimage.binary_fill_holes(mask)).all()
        steps = np.diff(np.vstack([outline, outline[:1]]), axis=0)
        assert ((steps == 0).sum(axis=1) == 1).all()  # along edges, and no corner twice
