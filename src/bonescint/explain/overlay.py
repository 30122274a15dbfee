"""The picture of a scan: the counts, and where the model found evidence of disease."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bonescint.explain.crop import cropped
from bonescint.explain.evidence import EvidenceScale, panel_size
from bonescint.explain.lettering import (
    INK,
    LINE,
    MUTED,
    NEGATIVE,
    PAGE,
    POSITIVE,
    WARNING,
    width_of,
    wrapped,
    write,
)
from bonescint.explain.panels import OUTLINE, DrawnView, Layers, Panels, draw_strip, layers_of
from bonescint.report import NO_CALL, probability_texts
from bonescint.scan import RESEARCH_USE, ParameterError, PixelUnit, Prediction, Scan, View
from bonescint.viewer import GreyWindow

RESEARCH_NOTICE = (
    f"{RESEARCH_USE} Model trained on simulated scans only, not validated on patients."
)
_MARGIN = 28
_HEADER = 92
_MOST_ROWS = 820
_MOST_COLUMNS = 400
_LEAST_WIDTH = 900
_MOST_WARNINGS = 6


def png_of(picture: Image.Image) -> bytes:
    """A picture as the content of a PNG file, quick to encode."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=2)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """The picture of a scan, with what is needed for thumbnails and layers.

    Attributes:
        picture: RGB, with all statements that belong to the images.
        panels_box: left, top, right and bottom of the four panels in it.
        views: the drawn views.
        pixel_mm: size of a drawn pixel on the patient, or `None` if the spacing is unknown.
    """

    picture: Image.Image
    panels_box: tuple[int, int, int, int]
    views: Mapping[View, DrawnView] = field(default_factory=dict)
    pixel_mm: float | None = None

    def layers(self) -> Layers:
        """The counts and the evidence as two pictures, to be shown one over the other."""
        return layers_of(self.views, pixel_mm=self.pixel_mm)

    def png(self) -> bytes:
        """The picture as a PNG file's content, quick to encode."""
        return png_of(self.picture)

    def thumbnail_webp(self, *, width: int = 560, quality: int = 60) -> bytes:
        """The panels alone, scaled down, as a WebP file's content.

        Raises:
            ParameterError: a width below 16 pixels.
        """
        if width < 16:
            raise ParameterError("width", "thumbnail_webp", "at least 16", width)
        left, top, right, bottom = self.panels_box
        rows = max(1, round((bottom - top) * width / (right - left)))
        small = self.picture.resize(
            (width, rows), Image.Resampling.BOX, box=self.panels_box, reducing_gap=2.0
        )
        buffer = io.BytesIO()
        small.save(buffer, format="WEBP", quality=quality, method=1)
        return buffer.getvalue()


def explain_picture(
    scan: Scan,
    prediction: Prediction,
    *,
    operating_point: float | None = None,
    notice: str = RESEARCH_NOTICE,
) -> Image.Image:
    """Draw one scan: AP | PA in inverted grey beside the same under the evidence for MBD.

    See `explain` for the details.

    Examples:
        >>> import numpy as np
        >>> from bonescint.scan import Acquisition, PixelUnit
        >>> scan = Scan(anterior=np.eye(64, 16), posterior=None, pixel_spacing_mm=(2.4, 2.4),
        ...             unit=PixelUnit.COUNTS, scan_id="bs-1",
        ...             acquisition=Acquisition(modality="NM"))
        >>> answer = Prediction(scan_id="bs-1", mbd_probability=0.25, positive=False,
        ...                     model_id="vgg16-sim@1")
        >>> explain_picture(scan, answer, operating_point=0.5).mode
        'RGB'
    """
    return explain(scan, prediction, operating_point=operating_point, notice=notice).picture


def explain(
    scan: Scan,
    prediction: Prediction,
    *,
    operating_point: float | None = None,
    notice: str = RESEARCH_NOTICE,
    lesions: Mapping[View, NDArray[np.bool_]] | None = None,
) -> Explanation:
    """Draw a scan in its own geometry and proportions, with all statements that belong to it.

    Views are shown as seen from their own side (patient's right on the image's left in the
    anterior view, on its right in the posterior view), cropped (`crop_boxes`), each in its own
    grey window (`grey_window`), which is written below. Both maps share one scale
    (`EvidenceScale`). The probability of a scan that was not called, or was called although it is
    unlike the training scans, is shown in a neutral colour.

    Args:
        scan: one or two views.
        prediction: prediction of the same scan.
        operating_point: the model's threshold on the probability, if it has one.
        notice: statement about the model, from its card.
        lesions: for each view that somebody segmented a bool array of the scan's shape, true on
            disease; outlined over the grey panels, beside the evidence.

    Raises:
        ParameterError: a prediction of another scan, or a mask of another shape.

    Examples:
        >>> from bonescint.scan import Acquisition
        >>> scan = Scan(anterior=np.eye(64, 16), posterior=None, pixel_spacing_mm=(2.4, 2.4),
        ...             unit=PixelUnit.COUNTS, scan_id="bs-1",
        ...             acquisition=Acquisition(modality="NM"))
        >>> answer = Prediction(scan_id="bs-1", mbd_probability=0.75, positive=True,
        ...                     model_id="vgg16-sim@1")
        >>> mask = np.zeros((64, 16), dtype=bool)
        >>> mask[30:34, 6:9] = True
        >>> explain(scan, answer, lesions={View.ANTERIOR: mask}).picture.mode
        'RGB'
    """
    if prediction.scan_id != scan.scan_id:
        raise ParameterError("prediction", "explain", f"of {scan.scan_id}", prediction.scan_id)
    for view in scan.views:
        mask = (lesions or {}).get(view)
        if mask is not None and mask.shape != scan.shape:
            raise ParameterError("lesions", "explain", f"of shape {scan.shape}", mask.shape)
    scale = EvidenceScale.of(prediction, operating_point=operating_point)
    part = cropped(scan, prediction, lesions)
    size = panel_size(
        part.scan.shape, scan.pixel_spacing_mm, most_rows=_MOST_ROWS, most_columns=_MOST_COLUMNS
    )
    panels = Panels(size=size)
    strip, views = draw_strip(part.scan, part.prediction, scale, panels, part.lesions)
    windows = {view: drawn.window for view, drawn in views.items()}
    width = max(_LEAST_WIDTH, panels.width) + 2 * _MARGIN
    said = [_grey_statement(scan, windows), _colour_statement(scale)]
    footer = _footer_lines(prediction, said, notice, width - 2 * _MARGIN)
    rank = prediction.rank_among_normals
    if rank is not None:
        footer.insert(0, _Line(f"The scan's score is {rank.in_words}.", INK))
    if lesions:
        footer.insert(0, _Line(_outline_statement(scan, lesions), OUTLINE))
    strip_top = _MARGIN + _HEADER
    footer_top = strip_top + panels.height + 16
    height = footer_top + sum(line.height for line in footer) + _MARGIN
    picture = Image.new("RGB", (width, height), PAGE)
    draw = ImageDraw.Draw(picture)
    _draw_header(draw, prediction, operating_point, width)
    left = (width - panels.width) // 2
    picture.paste(strip, (left, strip_top))
    draw.line((_MARGIN, footer_top - 8, width - _MARGIN, footer_top - 8), fill=LINE)
    row = footer_top
    for line in footer:
        write(draw, (_MARGIN, row), line.text, size=14, colour=line.colour, bold=line.bold)
        row += line.height
    first = panels.corner(View.ANTERIOR, with_map=False)
    last = panels.corner(View.POSTERIOR, with_map=True)
    box = (
        left + first[0],
        strip_top + first[1],
        left + last[0] + size.columns,
        strip_top + last[1] + size.rows,
    )
    spacing = scan.pixel_spacing_mm
    pixel_mm = None if spacing is None else spacing[1] * part.scan.shape[1] / size.columns
    return Explanation(picture, box, views, pixel_mm)


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    colour: tuple[int, int, int]
    bold: bool = False
    height: int = 21


def _draw_header(
    draw: ImageDraw.ImageDraw, prediction: Prediction, operating_point: float | None, width: int
) -> None:
    """Identity on the left; probability, call and gauge on the right."""
    write(draw, (_MARGIN, _MARGIN), prediction.scan_id, size=26, bold=True)
    write(draw, (_MARGIN, _MARGIN + 38), prediction.model_id, size=14, colour=MUTED)
    colour = _colour_of(prediction)
    probability, threshold = f"{prediction.mbd_probability:.2f}", ""
    if operating_point is not None:
        probability, threshold = probability_texts(prediction.mbd_probability, operating_point)
    right = width - _MARGIN
    number = width_of(probability, 46, bold=True)
    write(draw, (right, _MARGIN - 8), probability, size=46, bold=True, colour=colour, anchor="ra")
    edge = right - number - 18
    label = "Probability of metastatic bone disease (MBD)"
    write(draw, (edge, _MARGIN), label, size=15, anchor="ra")
    call = _call(prediction, threshold)
    write(draw, (edge, _MARGIN + 22), call, size=15, bold=True, colour=colour, anchor="ra")
    _draw_gauge(draw, prediction, operating_point, right)


def _colour_of(prediction: Prediction) -> tuple[int, int, int]:
    if prediction.unlike:
        return MUTED
    return POSITIVE if prediction.positive else NEGATIVE


def _call(prediction: Prediction, threshold: str) -> str:
    """The call in words, or that there is none."""
    if prediction.positive is None:
        return f"{NO_CALL[0].upper()}{NO_CALL[1:]}"
    call = "POSITIVE" if prediction.positive else "NEGATIVE"
    call = f"{call}, UNCERTAIN" if prediction.uncertain else call
    call = f"{call}, UNLIKE" if prediction.unlike else call
    if not threshold:
        return call
    relation = "at or above" if prediction.positive else "below"
    return f"{call}: {relation} the operating point {threshold}"


def _draw_gauge(
    draw: ImageDraw.ImageDraw, prediction: Prediction, operating_point: float | None, right: int
) -> None:
    """A bar from 0 to 1 with a tick at the operating point."""
    length, top = 420, _MARGIN + 54
    left = right - length
    colour = _colour_of(prediction)
    draw.rectangle((left, top, right, top + 8), fill=(230, 233, 237))
    filled = left + length * prediction.mbd_probability
    draw.rectangle((left, top, filled, top + 8), fill=colour)
    if operating_point is not None:
        tick = left + length * operating_point
        draw.rectangle((tick - 1, top - 4, tick + 1, top + 12), fill=INK)


def _footer_lines(prediction: Prediction, said: list[str], notice: str, width: int) -> list[_Line]:
    """Warnings, what the greys and colours mean, and the notice."""
    warnings = list(prediction.warnings)
    lines: list[_Line] = []
    for warning in warnings[:_MOST_WARNINGS]:
        text = f"Warning: {warning}"
        lines += [_Line(part, WARNING) for part in wrapped(text, size=14, width=width)]
    if len(warnings) > _MOST_WARNINGS:
        hidden = len(warnings) - _MOST_WARNINGS
        lines.append(_Line(f"... and {hidden} more warnings, listed in results.json", WARNING))
    for text in said:
        lines += [_Line(part, MUTED) for part in wrapped(text, size=14, width=width)]
    lines += [
        _Line(part, INK, bold=True) for part in wrapped(notice, size=14, width=width, bold=True)
    ]
    return lines


def _grey_statement(scan: Scan, windows: Mapping[View, GreyWindow]) -> str:
    """The values of white and black, in whole counts if there are enough."""
    unit = "counts" if scan.unit is PixelUnit.COUNTS else scan.unit.value
    parts = [
        f"{view.value} {_level(window.low)} to {_level(window.high)} {unit}"
        for view, window in windows.items()
    ]
    return (
        f"Cropped to the patient. Grey, white to black: {', '.join(parts)} "
        "(99th percentile of the body, gamma 0.75)."
    )


def _level(value: float) -> str:
    """A grey level for people.

    Examples:
        >>> _level(44.47), _level(0.0), _level(0.125)
        ('44', '0', '0.12')
    """
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _outline_statement(scan: Scan, lesions: Mapping[View, NDArray[np.bool_]]) -> str:
    without = [view.value for view in scan.views if view not in lesions]
    said = f" The {without[0]} view was not segmented." if without else ""
    return f"Blue outline: lesions of the reference segmentation, not of the model.{said}"


def _colour_statement(scale: EvidenceScale) -> str:
    if scale.peak <= 0:
        return "Colour: the model's evidence for MBD; it found none in this scan."
    return (
        "Colour: the model's evidence for MBD, on one scale for both views. The peak of this scan "
        f"is at {100 * scale.reached:.0f} % of the scale (100 % if the probability is at or above "
        "the operating point, proportionally less if it is below)."
    )
