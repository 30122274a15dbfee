"""Frames and bodies against closed forms: a step of counts, smoothed, crosses a threshold once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from bonescint.prepare import BodyFrame, Extent, MinMax, PercentileRoot, WholeField, resampled
from bonescint.prepare.framing import body_extent, body_outline
from bonescint.scan import Acquisition, ParameterError, PixelUnit, Scan, View


def block(
    rows: int, columns: int, top: int, left: int, bottom: int, right: int, *, level: float = 5.0
) -> NDArray[np.float32]:
    image = np.zeros((rows, columns), dtype=np.float32)
    image[top:bottom, left:right] = level
    return image


def scan_of(
    anterior: NDArray[np.float32] | None,
    posterior: NDArray[np.float32] | None,
    spacing: tuple[float, float] | None = (1.0, 1.0),
) -> Scan:
    return Scan(anterior=anterior, posterior=posterior, pixel_spacing_mm=spacing,
                unit=PixelUnit.COUNTS, scan_id="bs-1",
                acquisition=Acquisition(modality="NM"))  # fmt: skip


@pytest.mark.parametrize("threshold", [0.02, 0.12, 0.3, 0.5, 0.75, 0.95])
@pytest.mark.parametrize("rows", [400, 1600])
def test_a_body_ends_where_its_smoothed_edge_crosses_the_threshold(
    threshold: float, rows: int
) -> None:
    """A step, smoothed by a Gaussian of one pixel (of the reduced view), is the normal's integral.

    A pixel belongs to the body if its centre lies further inside than the quantile.
    """
    step = rows // 400
    columns = 120 * step
    image = block(rows, columns, 80 * step, 30 * step, 320 * step, 90 * step)
    reach = float(norm.ppf(threshold))  # above the edge where negative
    outside = int(np.ceil(-reach - 0.5))  # whole pixels beyond (or, below 0, short of) the edge
    expected = Extent(80 - outside, 30 - outside, 320 + outside, 90 + outside)
    assert body_extent(image, threshold) == Extent(*(edge * step for edge in expected))


@pytest.mark.parametrize("background", [0.5, 3.0, 1000.0])
def test_a_raised_background_changes_nothing(background: float) -> None:
    image = block(300, 100, 40, 20, 260, 80)
    assert body_extent(image + np.float32(background), 0.12) == body_extent(image, 0.12)


def test_a_body_that_fills_most_of_the_field_is_not_its_own_background() -> None:
    image = block(300, 100, 10, 5, 290, 95)  # 84 %
    assert body_extent(image + 2, 0.12) == body_extent(image, 0.12) == Extent(9, 4, 291, 96)


def test_a_hot_spot_does_not_set_the_scale() -> None:
    image = block(300, 100, 40, 20, 260, 80)
    hot = image.copy()
    hot[150:156, 50:56] = 5000
    assert body_extent(hot, 0.12) == body_extent(image, 0.12) == Extent(39, 19, 261, 81)


def test_a_narrow_view_is_reduced_to_sixteen_columns_at_least() -> None:
    """1600 x 48: by 3, not by 4; the Gaussian is 4 / 3 of a pixel then and reaches 2 beyond."""
    image = block(1600, 48, 300, 12, 1200, 36)
    assert body_extent(image, 0.12) == Extent(294, 6, 1206, 42)


def test_what_is_smaller_than_a_hundredth_of_the_whole_is_a_speck() -> None:
    image = block(300, 100, 60, 20, 260, 70)  # 202 x 52 pixels over the threshold
    body = body_extent(image, 0.12)
    assert body == Extent(59, 19, 261, 71)
    speck, hand = image.copy(), image.copy()
    speck[10:17, 90:97] = 5  # 9 x 9 less its corners, 0.7 %
    assert body_extent(speck, 0.12) == body
    hand[10:20, 88:98] = 5  # 12 x 12 less its corners, 1.3 %
    assert body_extent(hand, 0.12) == Extent(9, 19, 261, 99)


def test_a_piece_of_exactly_a_hundredth_belongs_to_the_body() -> None:
    image = block(300, 100, 20, 40, 281, 67)  # 263 x 29 pixels less four corners: 7623
    image[100:107, 5:12] = 5  # 9 x 9 less four corners: 77 of 7700
    assert body_extent(image, 0.12) == Extent(19, 4, 282, 68)


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    image = block(300, 100, 60, 20, 200, 70)
    joined = image.copy()
    joined[53:60, 70:75] = 5  # a finger, too small by itself, beyond a corner of the body
    # At the corner, smoothed: 0.69**2 + 0.31**2 = 0.57 on the two pixels that meet, 0.43 beside.
    assert body_extent(image, 0.45) == Extent(60, 20, 200, 70)
    assert body_extent(joined, 0.45) == Extent(53, 20, 200, 75)


@pytest.mark.parametrize("image", [np.zeros((60, 40)), np.full((60, 40), 7.0)])
def test_where_nothing_stands_out_the_whole_view_is_the_body(image: NDArray[np.float64]) -> None:
    assert body_extent(image.astype(np.float32), 0.12) == Extent(0, 0, 60, 40)


@pytest.mark.parametrize("aspect", [1.0, 2.0, 3.0, 4.5])
@pytest.mark.parametrize("margin", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 2.0), (1.5, 4.0), (3.0, 1.2)])
def test_a_frame_where_the_height_decides(
    aspect: float, margin: float, spacing: tuple[float, float]
) -> None:
    image = block(400, 120, 40, 55, 340, 65)  # a pole, upright
    found = BodyFrame(aspect=aspect, margin=margin).extents(scan_of(image, None, spacing))
    frame = found[View.ANTERIOR]
    height = (341 - 39) * (1 + 2 * margin)
    width = height * spacing[0] / aspect / spacing[1]
    assert frame == pytest.approx(
        (190 - height / 2, 60 - width / 2, 190 + height / 2, 60 + width / 2)
    )
    assert frame.height * spacing[0] == pytest.approx(aspect * frame.width * spacing[1])


@pytest.mark.parametrize("aspect", [1.0, 2.0, 3.0, 4.5])
@pytest.mark.parametrize("margin", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 2.0), (1.5, 1.2), (1.0, 2.5)])
def test_a_frame_where_the_width_decides(
    aspect: float, margin: float, spacing: tuple[float, float]
) -> None:
    """Arms spread: the margin on each side is a share of the frame's height."""
    image = block(400, 120, 180, 20, 220, 100)  # a beam, across
    found = BodyFrame(aspect=aspect, margin=margin).extents(scan_of(None, image, spacing))
    frame = found[View.POSTERIOR]
    width = (101 - 19) * (1 + 2 * margin * aspect)
    height = width * spacing[1] * aspect / spacing[0]
    assert frame == pytest.approx(
        (200 - height / 2, 60 - width / 2, 200 + height / 2, 60 + width / 2)
    )
    assert frame.width == pytest.approx(width)
    assert frame.height == pytest.approx(height)


def test_both_views_share_rows_and_size_and_keep_their_own_centres() -> None:
    anterior = block(400, 120, 40, 10, 300, 40)
    posterior = block(400, 120, 60, 70, 340, 110)
    found = BodyFrame(aspect=2.0, margin=0.05).extents(scan_of(anterior, posterior))
    one, other = found[View.ANTERIOR], found[View.POSTERIOR]
    height = (341 - 39) * 1.1
    assert (one.top, one.bottom) == (other.top, other.bottom)
    assert (one.top, one.bottom) == pytest.approx((190 - height / 2, 190 + height / 2))
    assert (one.left, one.right) == pytest.approx((25 - height / 4, 25 + height / 4))
    assert (other.left, other.right) == pytest.approx((90 - height / 4, 90 + height / 4))
    wide = BodyFrame(aspect=6.0, margin=0.0).extents(
        scan_of(block(400, 120, 180, 10, 220, 40), block(400, 120, 180, 10, 220, 60))
    )
    for frame in wide.values():  # the mean of the two widths, (32 + 52) / 2
        assert (frame.width, frame.height) == pytest.approx((42.0, 252.0))


def test_without_spacing_pixels_are_square() -> None:
    image = block(400, 120, 40, 55, 340, 65)
    frames = [BodyFrame().extents(scan_of(image, None, spacing)) for spacing in (None, (7.0, 7.0))]
    assert frames[0][View.ANTERIOR] == pytest.approx(frames[1][View.ANTERIOR])


def test_the_defaults_of_a_frame_are_those_of_the_recipe() -> None:
    assert (BodyFrame().aspect, BodyFrame().margin, BodyFrame().threshold) == (3.0, 0.02, 0.12)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [("aspect", (1, 6), (0.999, 6.001)), ("margin", (0, 0.499), (-0.001, 0.5)),
     ("threshold", (0.001, 0.999), (0, 1))],
)  # fmt: skip
def test_limits_of_a_frame(name: str, good: tuple[float, ...], bad: tuple[float, ...]) -> None:
    for value in good:
        assert getattr(BodyFrame(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(ParameterError, match=name):
            BodyFrame(**{name: value})


def test_the_whole_field_is_the_matrix_of_each_view_that_is_there() -> None:
    image = block(70, 30, 5, 5, 60, 25)
    assert WholeField().extents(scan_of(None, image)) == {View.POSTERIOR: Extent(0, 0, 70, 30)}


def test_an_extent_knows_its_size() -> None:
    assert (Extent(3, 5, 10, 25).height, Extent(3, 5, 10, 25).width) == (7, 20)


def test_min_max_takes_away_a_minimum_above_zero() -> None:
    image = np.array([[30, 35], [50, 40]], dtype=np.float32)
    assert MinMax().normalised(image).tolist() == [[0.0, 0.25], [1.0, 0.5]]
    below = MinMax().normalised(image - 100)
    assert below.tolist() == [[0.0, 0.25], [1.0, 0.5]]
    assert MinMax().normalised(np.full((2, 2), 9, np.float32)).tolist() == [[0, 0], [0, 0]]


def test_zeros_around_the_body_do_not_move_its_scale() -> None:
    rng = np.random.default_rng(2)
    body = rng.uniform(10, 100, (40, 20)).astype(np.float32)
    alone = PercentileRoot().normalised(body)
    around = PercentileRoot().normalised(np.pad(body, ((100, 30), (50, 0))))
    assert np.array_equal(around[100:140, 50:], alone)
    assert not around[:100].any()
    assert np.count_nonzero(around) == body.size


def test_a_percentile_is_taken_inside_the_body_alone() -> None:
    """Values up to a tenth of the median are outside it: scatter, not bone."""
    body = np.arange(101, dtype=np.float32) + 100  # median 150, percentile p is 100 + p
    scatter = np.full(20, 14.0, np.float32)  # the median of both is 140
    image = np.concatenate([body, scatter])[None]
    found = PercentileRoot(percentile=90, headroom=2, exponent=1).normalised(image)
    assert found[0, :101] == pytest.approx(body / 380, rel=1e-6)
    assert found[0, 101:] == pytest.approx(14 / 380, rel=1e-6)
    with_zeros = np.pad(image, ((0, 4), (0, 300)))  # most of the field is empty
    again = PercentileRoot(percentile=90, headroom=2, exponent=1).normalised(with_zeros)
    assert np.array_equal(again[0, :121], found[0])
    brighter = np.concatenate([body, np.full(20, 14.1, np.float32)])[None]
    found = PercentileRoot(percentile=90, headroom=2, exponent=1).normalised(brighter)
    inside = np.percentile(brighter, 90)  # all of them are inside now
    assert found[0, 100] == pytest.approx(200 / (2 * inside), rel=1e-6)


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0])
def test_the_root_and_the_clip(exponent: float) -> None:
    image = np.array([[4, 4, 4, 2, 8, 16]], dtype=np.float32)
    found = PercentileRoot(percentile=50, headroom=2, exponent=exponent).normalised(image)
    expected = np.array([0.5, 0.5, 0.5, 0.25, 1.0, 1.0]) ** exponent
    assert found[0] == pytest.approx(expected, rel=1e-6)


def test_the_defaults_and_limits_of_the_root() -> None:
    usual = PercentileRoot()
    assert (usual.percentile, usual.headroom, usual.exponent) == (98.0, 2.0, 0.5)
    for name, good, bad in (("percentile", (50, 100), (49.9, 100.1)), ("headroom", (0.01,), (0,)),
                            ("exponent", (0.01, 1), (0, 1.01))):  # fmt: skip
        for value in good:
            assert getattr(PercentileRoot(**{name: value}), name) == value
        for value in bad:
            with pytest.raises(ParameterError, match=name):
                PercentileRoot(**{name: value})


@pytest.mark.parametrize(
    "extent",
    [Extent(0, 0, 6, 4), Extent(-2, 0, 4, 4), Extent(0, -3, 6, 1), Extent(3, 0, 9, 4),
     Extent(0, 2, 6, 6), Extent(-5, -5, 20, 15), Extent(1, 1, 3, 2)],
)  # fmt: skip
def test_at_its_own_size_a_part_is_copied_and_the_rest_is_zero(extent: Extent) -> None:
    image = np.arange(1, 25, dtype=np.float32).reshape(6, 4)
    rows, columns = int(extent.height), int(extent.width)
    expected = np.zeros((rows, columns), np.float32)
    for row in range(rows):
        for column in range(columns):
            at = int(extent.top) + row, int(extent.left) + column
            if 0 <= at[0] < 6 and 0 <= at[1] < 4:
                expected[row, column] = image[at]
    found = resampled(image, extent, rows=rows, columns=columns)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=1e-5)


def test_outline_holds_the_body_and_not_the_air() -> None:
    rng = np.random.default_rng(2)
    truth = np.zeros((200, 60), dtype=bool)
    truth[20:180, 15:45] = True
    counts = rng.poisson(np.where(truth, 6.0, 0.1)).astype(float)
    counts[100:105, 28:33] = 4000  # a full bladder must not set the scale
    found = body_outline(counts, (10.0, 10.0))
    assert (found & truth).sum() / truth.sum() > 0.97
    assert (found & ~truth).sum() / (~truth).sum() < 0.25
    assert not found[:10].any()
    assert body_outline(np.zeros((20, 20)), (5.0, 5.0)).all()


def test_specks_without_a_body_are_no_body() -> None:
    """250 pieces, each below a hundredth of their sum: the whole view is taken."""
    specks = np.zeros((1024, 256), dtype=np.float32)
    for row in range(20, 1000, 40):
        for column in range(10, 250, 24):
            specks[row : row + 6, column : column + 6] = 5
    assert body_extent(specks, 0.12) == Extent(0, 0, 1024, 256)
    assert body_outline(specks, (5.0, 5.0)).all()
