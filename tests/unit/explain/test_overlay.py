from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bonescint.explain import crop_boxes, explain, explain_picture
from bonescint.explain.evidence import EvidenceScale, PanelSize
from bonescint.explain.lettering import MUTED, POSITIVE
from bonescint.explain.panels import GAP, OUTLINE, Panels, draw_strip, lesion_outline
from bonescint.scan import ParameterError, PixelUnit, Prediction, Scan, View

MakeScan = Callable[..., Scan]
MakePrediction = Callable[..., Prediction]


def _painted_panel(
    scan: Scan, prediction: Prediction, view: View, *, operating_point: float = 0.5
) -> np.ndarray:
    """How coloured each pixel of a view's panel is."""
    panels = Panels(size=PanelSize(512, 256))
    scale = EvidenceScale.of(prediction, operating_point=operating_point)
    strip, _ = draw_strip(scan, prediction, scale, panels)
    left, top = panels.corner(view, with_map=True)
    rows, columns = panels.size
    panel = np.asarray(strip)[top : top + rows, left : left + columns].astype(int)
    colour = panel.max(axis=2) - panel.min(axis=2)
    return np.where(colour > 12, colour, 0)  # the ink of the letters R and L is all but grey


@pytest.mark.parametrize("view", list(View))
def test_a_hot_cell_is_coloured_where_it_lies_and_nowhere_else(
    make_scan: MakeScan, make_prediction: MakePrediction, view: View
) -> None:
    scan = make_scan(shape=(128, 64))
    cells = np.zeros((32, 16), dtype=np.float32)
    cells[8, 3] = 1.0
    colour = _painted_panel(scan, make_prediction(scan, values=cells), view)
    rows, columns = np.nonzero(colour)
    # Cell 8, 3 of 32 x 16 on 512 x 256: its middle is at row 136, column 56; 16 pixels a cell.
    assert 120 <= rows.min() < 136 < rows.max() < 152
    assert 40 <= columns.min() < 56 < columns.max() < 72


def test_a_calm_scan_stays_grey(make_scan: MakeScan, make_prediction: MakePrediction) -> None:
    scan = make_scan()
    cells = np.random.default_rng(0).random((32, 16)).astype(np.float32)
    calm = make_prediction(scan, values=cells, probability=0.02, positive=False)
    sick = make_prediction(scan, values=cells, probability=0.9)
    assert _painted_panel(scan, calm, View.ANTERIOR).max() == 0
    assert _painted_panel(scan, sick, View.ANTERIOR).max() > 60


@pytest.mark.parametrize("missing", list(View))
def test_a_missing_view_is_an_empty_panel(
    make_scan: MakeScan, make_prediction: MakePrediction, missing: View
) -> None:
    scan = make_scan(views=(missing.opposite,))
    explanation = explain(scan, make_prediction(scan), operating_point=0.5)
    panels = np.asarray(explanation.picture.crop(explanation.panels_box))
    quarter = panels.shape[1] // 4
    empty = (
        panels[:, : quarter - 10]
        if missing is View.ANTERIOR
        else panels[:, quarter : 2 * quarter - 30]
    )
    assert np.median(empty) >= 244
    assert (empty[40:-40].reshape(-1, 3) == (244, 245, 247)).all(axis=1).mean() > 0.9


@pytest.mark.parametrize(
    ("shape", "spacing", "unit"),
    [
        ((1024, 256), (2.26, 2.26), PixelUnit.COUNTS),
        ((256, 1024), None, PixelUnit.INTENSITY),
        ((512, 512), (1.2, 2.4), PixelUnit.COUNTS),
        ((64, 16), (38.0, 38.0), PixelUnit.COUNTS),
        ((16, 16), (0.1, 0.1), PixelUnit.INTENSITY),
        ((2048, 64), (1.0, 1.0), PixelUnit.COUNTS),
    ],
)
def test_every_matrix_gives_a_picture(
    make_scan: MakeScan,
    make_prediction: MakePrediction,
    shape: tuple[int, int],
    spacing: tuple[float, float] | None,
    unit: PixelUnit,
) -> None:
    scan = make_scan(shape=shape, spacing=spacing, unit=unit)
    explanation = explain(scan, make_prediction(scan), operating_point=0.5)
    width, height = explanation.picture.size
    assert 900 <= width <= 2000
    assert 300 <= height <= 1400
    left, top, right, bottom = explanation.panels_box
    assert 0 < left < right <= width
    assert 0 < top < bottom <= height


def test_encodings_can_be_read(make_scan: MakeScan, make_prediction: MakePrediction) -> None:
    scan = make_scan()
    explanation = explain(scan, make_prediction(scan), operating_point=0.5)
    assert Image.open(io.BytesIO(explanation.png())).size == explanation.picture.size
    small = Image.open(io.BytesIO(explanation.thumbnail_webp(width=200)))
    assert (small.format, small.width) == ("WEBP", 200)


def test_a_thumbnail_has_a_least_width(
    make_scan: MakeScan, make_prediction: MakePrediction
) -> None:
    scan = make_scan()
    with pytest.raises(ParameterError, match="width"):
        explain(scan, make_prediction(scan)).thumbnail_webp(width=0)


def test_the_same_scan_gives_the_same_bytes(
    make_scan: MakeScan, make_prediction: MakePrediction
) -> None:
    scan = make_scan()
    once, again = (explain(scan, make_prediction(scan)).png() for _ in range(2))
    assert once == again


def test_many_and_long_warnings_fit(make_scan: MakeScan, make_prediction: MakePrediction) -> None:
    scan = make_scan()
    warnings = tuple("x" * 5000 + f" größe {number}" for number in range(40))
    picture = explain_picture(scan, make_prediction(scan, warnings=warnings), operating_point=0.5)
    assert picture.height < 2000


def test_a_probability_near_the_operating_point_is_told_from_it(
    make_scan: MakeScan, make_prediction: MakePrediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def note(draw: object, place: object, text: str, **style: object) -> None:
        written.append(text)

    monkeypatch.setattr("bonescint.explain.overlay.write", note)
    scan = make_scan()
    close = make_prediction(scan, probability=0.4987, positive=False)
    explain_picture(scan, close, operating_point=0.5013)
    assert "0.499" in written
    assert "NEGATIVE: below the operating point 0.501" in written
    written.clear()
    explain_picture(scan, make_prediction(scan, probability=0.9), operating_point=0.5013)
    assert "0.90" in written
    assert "POSITIVE: at or above the operating point 0.50" in written
    written.clear()
    explain_picture(scan, replace(make_prediction(scan), uncertain=True))
    assert "POSITIVE, UNCERTAIN" in written
    written.clear()
    explain_picture(scan, close)
    assert {"0.50", "NEGATIVE"} <= set(written)


def test_a_scan_unlike_the_training_scans_is_not_called(
    make_scan: MakeScan, make_prediction: MakePrediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[str, object] = {}

    def note(draw: object, place: object, text: str, **style: object) -> None:
        written[text] = style.get("colour")

    monkeypatch.setattr("bonescint.explain.overlay.write", note)
    scan = make_scan()
    unlike = replace(make_prediction(scan, probability=0.72), unlike=True, positive=None)
    picture = explain_picture(scan, unlike, operating_point=0.41)
    assert written["0.72"] == MUTED
    said = "No call: unlike the scans this model knows; adapt it to your camera"
    assert written[said] == MUTED
    assert not any("POSITIVE" in text for text in written)
    header = np.asarray(picture)[:110]
    assert not (header == POSITIVE).all(axis=2).any()
    written.clear()
    explain_picture(scan, replace(unlike, positive=True), operating_point=0.41)
    anyway = "POSITIVE, UNLIKE: at or above the operating point 0.41"
    assert written[anyway] == MUTED
    alike = replace(unlike, unlike=False, positive=True)
    called = explain_picture(scan, alike, operating_point=0.41)
    assert (np.asarray(called)[:110] == POSITIVE).all(axis=2).any()


def test_grey_levels_are_whole_counts(
    make_scan: MakeScan, make_prediction: MakePrediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def note(draw: object, place: object, text: str, **style: object) -> None:
        written.append(text)

    monkeypatch.setattr("bonescint.explain.overlay.write", note)
    scan = make_scan(views=(View.ANTERIOR,))
    explain_picture(scan, make_prediction(scan))
    assert any(
        re.match(
            r"Cropped to the patient\. Grey, white to black: anterior 0 to \d+ counts \(", text
        )
        for text in written
    )


def test_a_prediction_of_another_scan_is_refused(
    make_scan: MakeScan, make_prediction: MakePrediction
) -> None:
    scan = make_scan()
    other = Prediction(scan_id="bs-2", mbd_probability=0.5, positive=True, model_id="m")
    with pytest.raises(ParameterError, match="bs-1"):
        explain_picture(scan, other)


def test_lesions_are_outlined_on_the_grey_panels_alone(
    make_scan: MakeScan, make_prediction: MakePrediction
) -> None:
    scan = make_scan(shape=(128, 64))
    mask = np.zeros((128, 64), dtype=bool)
    mask[60:70, 20:30] = True
    drawn = explain(scan, make_prediction(scan), lesions={View.POSTERIOR: mask})
    blue = (np.asarray(drawn.picture.crop(drawn.panels_box)) == OUTLINE).all(axis=2)
    rows, columns = np.nonzero(blue)
    # The posterior panel begins behind the anterior one and a gap.
    box = crop_boxes(scan)[View.POSTERIOR]
    high, wide = drawn.views[View.POSTERIOR].grey.shape
    each = high / (box[0].stop - box[0].start)
    top, start = box[0].start, box[1].start
    left = columns - wide - GAP
    assert (60 - top) * each - 3 <= rows.min() < rows.max() < (70 - top) * each + 3
    assert (20 - start) * each - 3 <= left.min() < left.max() < (30 - start) * each + 3
    # The lesion itself is not painted over.
    assert not blue[int((65 - top) * each), wide + GAP + int((25 - start) * each)]
    plain = explain(scan, make_prediction(scan))
    assert not (np.asarray(plain.picture) == OUTLINE).all(axis=2).any()


def test_the_smallest_lesion_keeps_its_outline() -> None:
    mask = np.zeros((1024, 256), dtype=bool)
    mask[700, 100] = True
    assert lesion_outline(mask, PanelSize(120, 30)).sum() >= 12


def test_masks_of_another_shape_are_refused(
    make_scan: MakeScan, make_prediction: MakePrediction
) -> None:
    scan = make_scan(shape=(128, 64))
    with pytest.raises(ParameterError, match=r"\(128, 64\)"):
        explain(scan, make_prediction(scan), lesions={View.ANTERIOR: np.ones((9, 9), dtype=bool)})
