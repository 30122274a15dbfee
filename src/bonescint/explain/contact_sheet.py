"""Many scans on one picture: both views of each, with a caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from bonescint.explain.crop import crop_boxes
from bonescint.explain.evidence import panel_size
from bonescint.explain.lettering import INK, LINE, MUTED, PAGE, wrapped, write
from bonescint.explain.panels import grey_panel
from bonescint.files import written_beside
from bonescint.scan import ParameterError, Scan, View
from bonescint.viewer import grey_window

_NOTICE = (
    "Synthetic patients, research use only: no one was imaged. Left anterior, right posterior."
)
_ROWS, _COLUMNS = 520, 160
_GAP, _MARGIN, _HEADER, _CAPTION = 4, 22, 44, 62
_MOST_ACROSS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactPrint:
    """One scan of a contact sheet.

    Attributes:
        scan: with one or two views.
        caption: below it.
    """

    scan: Scan
    caption: str


def contact_sheet(prints: Sequence[ContactPrint], *, notice: str = _NOTICE) -> Image.Image:
    """Draw scans in inverted grey, cropped to the patient, each in its own grey window, six a row.

    Args:
        prints: the scans with their captions.
        notice: the sentence at the top.

    Returns:
        RGB picture.

    Raises:
        ParameterError: no scan.
    """
    if not prints:
        raise ParameterError("prints", "contact_sheet", "at least one scan", "none")
    across = min(_MOST_ACROSS, len(prints))
    width = 2 * _COLUMNS + _GAP
    rows = -(-len(prints) // across)
    sheet = Image.new(
        "RGB",
        (
            _MARGIN + across * (width + _MARGIN),
            _HEADER + rows * (_ROWS + _CAPTION + _MARGIN),
        ),
        PAGE,
    )
    draw = ImageDraw.Draw(sheet)
    write(draw, (_MARGIN, _HEADER // 2), notice, size=16, colour=INK, anchor="lm")
    for number, entry in enumerate(prints):
        left = _MARGIN + (number % across) * (width + _MARGIN)
        top = _HEADER + (number // across) * (_ROWS + _CAPTION + _MARGIN)
        _draw_print(sheet, draw, entry, left, top)
    return sheet


def _draw_print(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, entry: ContactPrint, left: int, top: int
) -> None:
    scan = entry.scan
    boxes = crop_boxes(scan)
    rows, columns = next(iter(boxes.values()))
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    size = panel_size(shape, scan.pixel_spacing_mm, most_rows=_ROWS, most_columns=_COLUMNS)
    for place, view in enumerate(View):
        image = scan.view(view)
        if image is None:
            continue
        shown = image[boxes[view]]
        grey = grey_panel(shown, grey_window(shown, scan.unit), size)
        corner = (left + place * (_COLUMNS + _GAP) + (_COLUMNS - size.columns) // 2, top)
        sheet.paste(Image.fromarray(grey), corner)
    draw.rectangle((left - 1, top - 1, left + 2 * _COLUMNS + _GAP, top + _ROWS), outline=LINE)
    for line, text in enumerate(wrapped(entry.caption, size=14, width=2 * _COLUMNS + _GAP)):
        start = (left, top + _ROWS + 14 + 18 * line)
        write(draw, start, text, size=14, colour=MUTED, anchor="lm")


def write_contact_sheet(prints: Sequence[ContactPrint], path: Path) -> None:
    """Draw a contact sheet and write it as PNG, atomically.

    Raises:
        ParameterError: no scan, or a path that does not end in `.png`.
        OutputError: the file cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise ParameterError("path", "write_contact_sheet", "a path that ends in .png", path.name)
    sheet = contact_sheet(prints)
    with written_beside(path) as beside:
        sheet.save(beside, format="PNG", optimize=True)
