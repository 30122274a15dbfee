from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from bonescint.explain import explain
from bonescint.scan import Prediction, Scan, View

MakeScan = Callable[..., Scan]
MakePrediction = Callable[..., Prediction]


def _opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_evidence_over_counts_is_what_the_picture_shows(
    make_scan: MakeScan, make_prediction: MakePrediction
) -> None:
    scan = make_scan(shape=(256, 64))
    cells = np.random.default_rng(5).random((8, 4)).astype(np.float32)
    drawn = explain(scan, make_prediction(scan, values=cells), operating_point=0.5)
    layers = drawn.layers()
    grey = _opened(layers.grey_webp).convert("RGBA")
    assert grey.size == (layers.width, layers.height)
    evidence = _opened(layers.evidence_webp)
    assert evidence.mode == "RGBA"
    assert evidence.size == (layers.width // 2, layers.height // 2)
    grey.alpha_composite(evidence.resize(grey.size, Image.Resampling.BILINEAR))
    _, top, right, bottom = drawn.panels_box
    half = layers.width // 2
    painted = np.asarray(drawn.picture)[top:bottom, right - half : right].astype(int)
    shown = np.asarray(grey.convert("RGB")).astype(int)[:, half:]
    below_letters = slice(40, None)
    away = np.abs(painted[below_letters] - shown[below_letters]).mean()
    assert away < 8  # WebP loses a little


def test_one_view_has_one_view(make_scan: MakeScan, make_prediction: MakePrediction) -> None:
    both, one = make_scan(), make_scan(views=(View.POSTERIOR,))
    wide = explain(both, make_prediction(both)).layers()
    narrow = explain(one, make_prediction(one)).layers()
    assert wide.width == 2 * narrow.width
    assert wide.height == narrow.height


def test_no_evidence_needs_no_picture(make_scan: MakeScan, make_prediction: MakePrediction) -> None:
    scan = make_scan()
    calm = make_prediction(scan, values=np.zeros((4, 4), dtype=np.float32))
    assert explain(scan, calm).layers().evidence_webp == b""


@pytest.mark.parametrize("spacing", [(2.4, 2.4), (1.2, 2.4), None])
def test_a_pixel_has_its_length_on_the_patient(
    make_scan: MakeScan, make_prediction: MakePrediction, spacing: tuple[float, float] | None
) -> None:
    scan = make_scan(shape=(512, 128), spacing=spacing)
    drawn = explain(scan, make_prediction(scan))
    if spacing is None:
        assert drawn.pixel_mm is None
        return
    # The body is 3/4 of the rows and 1/2 of the columns of the field; the border is added.
    layers = drawn.layers()
    assert layers.pixel_mm is not None
    body_mm = 0.75 * 512 * spacing[0]
    assert 1.03 * body_mm < layers.height * layers.pixel_mm < 1.1 * body_mm
