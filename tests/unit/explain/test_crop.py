from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bonescint.explain import crop_boxes, cropped
from bonescint.scan import Acquisition, ActivationMap, PixelUnit, Prediction, Scan, View

MakePrediction = Callable[..., Prediction]


def scan_of(
    anterior: np.ndarray | None,
    posterior: np.ndarray | None = None,
    *,
    spacing: tuple[float, float] | None = None,
    unit: PixelUnit = PixelUnit.COUNTS,
) -> Scan:
    return Scan(
        anterior=anterior,
        posterior=posterior,
        pixel_spacing_mm=spacing,
        unit=unit,
        scan_id="bs-1",
        acquisition=Acquisition(modality="NM"),
    )


def field(
    rows: slice, columns: slice, *, shape: tuple[int, int] = (1024, 256), noise: float = 0.02
) -> np.ndarray:
    """A body of 20 counts a pixel in a field of scattered ones."""
    rate = np.full(shape, noise)
    rate[rows, columns] = 20
    return np.random.default_rng(3).poisson(rate).astype(np.float32)


def test_what_is_empty_below_the_feet_goes() -> None:
    rows, columns = crop_boxes(scan_of(field(slice(100, 700), slice(60, 200))))[View.ANTERIOR]
    # A fortieth of the height on each side, found to some pixels.
    assert 75 <= rows.start <= 87
    assert 713 <= rows.stop <= 726
    assert 35 <= columns.start <= 47
    assert 213 <= columns.stop <= 226


def test_both_views_keep_their_rows_and_are_equally_wide() -> None:
    boxes = crop_boxes(
        scan_of(field(slice(100, 700), slice(40, 140)), field(slice(120, 720), slice(110, 220)))
    )
    anterior, posterior = boxes[View.ANTERIOR], boxes[View.POSTERIOR]
    assert anterior[0] == posterior[0]
    assert anterior[0].start < 90
    assert anterior[0].stop > 730
    widths = {box[1].stop - box[1].start for box in boxes.values()}
    assert len(widths) == 1
    assert anterior[1].start < 40 < 140 < anterior[1].stop < 180
    assert 70 < posterior[1].start < 110 < 220 < posterior[1].stop


@pytest.mark.parametrize("place", [(900, 20), (10, 240), (1018, 128)])
def test_uptake_beside_the_body_is_never_cut_off(place: tuple[int, int]) -> None:
    image = field(slice(100, 700), slice(60, 200))
    row, column = place
    image[row : row + 3, column : column + 3] = 12
    rows, columns = crop_boxes(scan_of(image))[View.ANTERIOR]
    assert rows.start <= row
    assert rows.stop >= row + 3
    assert columns.start <= column
    assert columns.stop >= column + 3


def test_a_pixel_of_noise_is_no_uptake() -> None:
    image = field(slice(100, 700), slice(60, 200))
    image[1000, 3] = 500
    rows, columns = crop_boxes(scan_of(image))[View.ANTERIOR]
    assert rows.stop < 740
    assert columns.start > 30


def test_a_segmented_lesion_is_never_cut_off() -> None:
    mask = np.zeros((1024, 256), dtype=bool)
    mask[950, 5] = True
    scan = scan_of(field(slice(100, 700), slice(60, 200)))
    rows, columns = crop_boxes(scan, {View.ANTERIOR: mask})[View.ANTERIOR]
    assert rows.stop > 950
    assert columns.start <= 5


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_flat_image_is_shown_whole(value: float) -> None:
    flat = np.full((100, 40), value, dtype=np.float32)
    boxes = crop_boxes(scan_of(flat, unit=PixelUnit.INTENSITY))
    assert boxes[View.ANTERIOR] == (slice(0, 100), slice(0, 40))


def test_the_border_is_as_wide_in_millimetres_on_every_side() -> None:
    image = field(slice(40, 160), slice(60, 200), shape=(200, 260))
    rows, columns = crop_boxes(scan_of(image, spacing=(10.0, 2.0)))[View.ANTERIOR]
    above, beside = (40 - rows.start) * 10, (60 - columns.start) * 2
    assert 20 <= beside <= 50
    assert 20 <= above <= 60


def test_maps_and_masks_stay_on_their_pixels() -> None:
    scan = scan_of(field(slice(100, 700), slice(40, 140)), field(slice(100, 700), slice(110, 210)))
    extent = (0.0, 0.0, 1024.0, 256.0)
    answer = Prediction(
        scan_id="bs-1", mbd_probability=0.5, positive=True, model_id="m",
        activation_maps=tuple(
            ActivationMap(view=view, target="mbd", values=np.eye(4), extent=extent)
            for view in View
        ),
    )  # fmt: skip
    mask = np.zeros((1024, 256), dtype=bool)
    mask[300:310, 120:130] = True
    part = cropped(scan, answer, {View.POSTERIOR: mask})
    boxes = crop_boxes(scan, {View.POSTERIOR: mask})
    for view in View:
        rows, columns = boxes[view]
        image, whole = part.scan.view(view), scan.view(view)
        assert image is not None
        assert whole is not None
        np.testing.assert_array_equal(image, whole[rows, columns])
        moved = part.prediction.activation_map(view)
        assert moved is not None
        assert moved.extent == (
            -rows.start, -columns.start, 1024 - rows.start, 256 - columns.start
        )  # fmt: skip
    rows, columns = boxes[View.POSTERIOR]
    np.testing.assert_array_equal(part.lesions[View.POSTERIOR], mask[rows, columns])
    assert View.ANTERIOR not in part.lesions
