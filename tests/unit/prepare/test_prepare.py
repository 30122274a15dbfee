"""Recipes: the paper's exactly, the robust one's promises, and geometry there and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bonescint.prepare import (
    PREPROCESSINGS,
    BodyFrame,
    Extent,
    MinMax,
    PercentileRoot,
    Preprocessing,
    prepare,
    preprocessing_named,
    resampled,
)
from bonescint.prepare.framing import _reduced, body_extent
from bonescint.scan import Acquisition, ParameterError, PixelUnit, Scan, UnitError, View


def scan_of(
    anterior: np.ndarray | None,
    posterior: np.ndarray | None = None,
    unit: PixelUnit = PixelUnit.COUNTS,
) -> Scan:
    return Scan(
        anterior=anterior, posterior=posterior, pixel_spacing_mm=(2.4, 2.4), unit=unit,
        scan_id="bs-1", acquisition=Acquisition(modality="NM"),
    )  # fmt: skip


def body(rows: int = 400, columns: int = 120, *, top: int = 30, seed: int = 0) -> np.ndarray:
    """A trunk with a hot spot in Poisson noise."""
    mean = np.full((rows, columns), 0.02)
    mean[top : rows - 40, columns // 2 - 25 : columns // 2 + 25] = 5
    mean[rows // 2 : rows // 2 + 4, columns // 2 : columns // 2 + 4] = 400
    return np.random.default_rng(seed).poisson(mean).astype(float)


def test_the_papers_recipe_is_the_papers() -> None:
    image = body()
    prepared = prepare(scan_of(image, image * 2), preprocessing_named("ibrahim2023"))
    assert prepared.composite.shape == (1, 512, 512)
    for half in (prepared.composite[0, :, :256], prepared.composite[0, :, 256:]):
        assert half.min() == 0
        assert half.max() == 1
    # The whole field is used: nothing is cropped, so both views' extents are the matrix.
    assert prepared.extents[View.ANTERIOR] == Extent(0, 0, 400, 120)
    # Min-max undoes a scale, so the halves agree.
    assert np.allclose(prepared.composite[0, :, :256], prepared.composite[0, :, 256:], atol=1e-6)


def test_each_view_keeps_its_side_and_is_not_mirrored() -> None:
    anterior, posterior = np.zeros((64, 32)), np.zeros((64, 32))
    anterior[10, 2] = posterior[50, 29] = 100
    composite = prepare(scan_of(anterior, posterior), preprocessing_named("ibrahim2023")).composite[
        0
    ]
    row, column = np.unravel_index(composite[:, :256].argmax(), (512, 256))
    assert abs(row / 512 - 10.5 / 64) < 0.01
    assert abs(column / 256 - 2.5 / 32) < 0.02
    row, column = np.unravel_index(composite[:, 256:].argmax(), (512, 256))
    assert abs(row / 512 - 50.5 / 64) < 0.01
    assert abs(column / 256 - 29.5 / 32) < 0.02


def test_a_missing_view_is_an_empty_half_with_no_extent() -> None:
    prepared = prepare(scan_of(None, body()), preprocessing_named("body-root"))
    assert not prepared.composite[0, :, :256].any()
    assert set(prepared.extents) == {View.POSTERIOR}
    assert set(prepared.halves(np.zeros((32, 32), np.float32))) == {View.POSTERIOR}


@pytest.mark.parametrize("name", list(PREPROCESSINGS))
def test_normalised_pixels_are_refused(name: str) -> None:
    scan = scan_of(body() / 500, unit=PixelUnit.NORMALISED)
    with pytest.raises(UnitError, match="normalised"):
        prepare(scan, preprocessing_named(name))


@pytest.mark.parametrize("name", list(PREPROCESSINGS))
def test_recipes_survive_json(name: str) -> None:
    preprocessing = preprocessing_named(name)
    assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing


def test_an_unknown_recipe_or_step_is_refused() -> None:
    with pytest.raises(ParameterError, match="ibrahim2023, body-root"):
        preprocessing_named("nothing")
    content = preprocessing_named("body-root").to_json()
    content["framing"]["kind"] = "from the future"
    with pytest.raises(ParameterError, match="knows"):
        Preprocessing.from_json(content)


@given(
    rows=st.integers(20, 90), columns=st.integers(20, 90), factor=st.integers(2, 5),
    seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_reduction_keeps_the_mean(rows: int, columns: int, factor: int, seed: int) -> None:
    image = np.zeros((rows * factor + 40, columns * factor + 40), dtype=np.float32)
    image[20:-20, 20:-20] = np.random.default_rng(seed).random(
        (rows * factor, columns * factor), dtype=np.float32
    )
    height, width = image.shape
    small = resampled(
        image, Extent(0, 0, height, width), rows=height // factor, columns=width // factor
    )
    assert small.mean() == pytest.approx(image.mean(), rel=0.01)


def test_reduction_does_not_alias() -> None:
    """A fine checkerboard holds no low frequency: what is left of it must be flat."""
    board = np.indices((512, 256)).sum(axis=0).astype(np.float32) % 2
    small = resampled(board, Extent(0, 0, 512, 256), rows=150, columns=75)
    assert small[3:-3, 3:-3].std() < 0.02


def test_beyond_the_image_is_empty() -> None:
    image = np.ones((10, 10), dtype=np.float32)
    framed = resampled(image, Extent(-10, -10, 20, 20), rows=30, columns=30)
    assert framed[15, 15] == pytest.approx(1)
    assert framed[:9].max() == 0
    assert framed.sum() == pytest.approx(100, rel=0.01)


@pytest.mark.parametrize(("rows_added", "columns_added"), [(0, 0), (200, 0), (0, 130), (300, 90)])
def test_margins_do_not_move_the_body_frame(rows_added: int, columns_added: int) -> None:
    image = body()
    wide = np.pad(image, ((rows_added, 0), (columns_added, columns_added)))
    preprocessing = preprocessing_named("body-root")
    one = prepare(scan_of(image, image), preprocessing)
    two = prepare(scan_of(wide, wide), preprocessing)
    assert two.extents[View.ANTERIOR].height == pytest.approx(
        one.extents[View.ANTERIOR].height, abs=2
    )
    # Noise decorrelates when resampled at another offset; the body must not.
    smooth = [ndimage.gaussian_filter(prepared.composite[0], 2) for prepared in (one, two)]
    assert np.corrcoef(smooth[0].ravel(), smooth[1].ravel())[0, 1] > 0.97


def test_a_hot_spot_does_not_darken_the_body() -> None:
    image = body()
    hotter = image.copy()
    hotter[200:204, 60:64] *= 50
    preprocessing = preprocessing_named("body-root")
    cold = prepare(scan_of(image), preprocessing).composite[0, :, :256]
    hot = prepare(scan_of(hotter), preprocessing).composite[0, :, :256]
    assert np.median(hot[hot > 0.1]) == pytest.approx(np.median(cold[cold > 0.1]), rel=0.02)
    papers = preprocessing_named("ibrahim2023")
    before = prepare(scan_of(image), papers).composite[0, :, :256]
    after = prepare(scan_of(hotter), papers).composite[0, :, :256]
    assert after.mean() < 0.2 * before.mean()  # which is why there is a second preprocessing


def test_counts_scale_does_not_matter() -> None:
    image = body()
    one = prepare(scan_of(image), preprocessing_named("body-root")).composite
    ten = prepare(scan_of(image * 10), preprocessing_named("body-root")).composite
    assert np.allclose(one, ten, atol=1e-5)


def test_composites_lie_in_the_unit_interval() -> None:
    for preprocessing in PREPROCESSINGS.values():
        composite = prepare(scan_of(body(), body(seed=2)), preprocessing).composite
        assert composite.min() >= 0
        assert composite.max() <= 1


def test_a_reduced_image_holds_the_means_of_its_blocks() -> None:
    image = np.random.default_rng(1).poisson(9, (41, 26)).astype(np.float32)
    expected = [
        [np.mean(image[row : row + 4, column : column + 4]) for column in range(0, 24, 4)]
        for row in range(0, 40, 4)
    ]
    np.testing.assert_array_equal(_reduced(image, 4), np.array(expected, dtype=np.float32))


def test_body_extent_of_nothing_is_everything() -> None:
    assert body_extent(np.zeros((30, 20), np.float32), 0.1) == Extent(0, 0, 30, 20)


@pytest.mark.parametrize("columns", [3, 9, 19])
def test_a_body_is_found_in_an_image_of_hardly_any_columns(columns: int) -> None:
    image = np.zeros((4000, columns), np.float32)
    image[1000:3000] = 50
    found = body_extent(image, 0.12)
    assert found.top == pytest.approx(1000, abs=20)
    assert found.bottom == pytest.approx(3000, abs=20)
    assert (found.left, found.right) == (0, columns)


def test_non_square_pixels_are_framed_in_millimetres() -> None:
    image = body()
    square = prepare(scan_of(image), preprocessing_named("body-root"))
    flat = replace(scan_of(image[::2]), pixel_spacing_mm=(4.8, 2.4))
    other = prepare(flat, preprocessing_named("body-root"))
    assert other.extents[View.ANTERIOR].height * 2 == pytest.approx(
        square.extents[View.ANTERIOR].height, rel=0.02
    )
    assert other.extents[View.ANTERIOR].width == pytest.approx(
        square.extents[View.ANTERIOR].width, rel=0.02
    )


@given(st.floats(0.01, 50), st.floats(50, 100))
def test_percentile_root_is_monotone(scale: float, percentile: float) -> None:
    image = (np.arange(200, dtype=np.float32) * np.float32(scale)).reshape(10, 20)
    values = PercentileRoot(percentile=percentile).normalised(image).ravel()
    assert (np.diff(values) >= 0).all()


def test_min_max_of_a_constant_is_zero() -> None:
    assert not MinMax().normalised(np.full((2, 2), 7, np.float32)).any()


@pytest.mark.parametrize(
    "make",
    [
        lambda: BodyFrame(aspect=0.1),
        lambda: BodyFrame(margin=0.9),
        lambda: BodyFrame(threshold=0),
        lambda: PercentileRoot(percentile=10),
        lambda: PercentileRoot(headroom=0),
        lambda: PercentileRoot(exponent=2),
    ],
)
def test_impossible_settings_are_refused(make: object) -> None:
    with pytest.raises(ParameterError):
        make()  # type: ignore[operator]
