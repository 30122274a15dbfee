"""The picture of a quantified scan: regions in colour, and the foci' outlines and numbers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bonescint.explain.crop import Box, crop_boxes
from bonescint.explain.evidence import PanelSize, panel_size
from bonescint.explain.lettering import INK, MUTED, PAGE, WARNING, wrapped, write
from bonescint.explain.panels import boxed_outline, grey_panel
from bonescint.quantify import (
    CONTRASTS,
    METASTASIS_FROM,
    TWELVE_NAMES,
    ChangedFocus,
    DetectionLimit,
    FocusChange,
    MatchedFocus,
    QuantifiedScan,
)
from bonescint.scan import RESEARCH_USE, SiteGroup, View
from bonescint.viewer import grey_window

REGION_COLOURS = np.array(
    [
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
        (120, 94, 240),
        (150, 150, 150),
        (100, 190, 60),
        (170, 90, 40),
        (60, 140, 140),
    ],
    dtype=np.float32,
)
"""Colours of the twelve regions, in their order; the first eight after Okabe and Ito."""
METASTASIS_COLOUR, OTHER_COLOUR = (200, 20, 20), (20, 90, 200)
_ROWS, _MARGIN, _GAP, _HEADER, _KEY = 900, 24, 14, 96, 190
_LINE = 18
_SHADE = 0.32
_LEAST_WIDTH = 760


def quantified_picture(found: QuantifiedScan, *, notice: str = RESEARCH_USE) -> Image.Image:
    """Draw both views twice: with the outlines of foci, and under the twelve regions.

    Args:
        found: a quantified scan.
        notice: statement about the model.
    """
    scan = found.scan
    marks = [
        OutlinedFocus(
            focus,
            METASTASIS_COLOUR if focus.probability >= METASTASIS_FROM else OTHER_COLOUR,
            str(focus.number),
        )
        for focus in found.shown_foci
    ]
    colours = np.vstack([np.full(3, -1, np.float32), REGION_COLOURS])
    boxes = crop_boxes(scan)
    size = _size_of(found, boxes)
    views = len(scan.views)
    width = 2 * _MARGIN + 2 * views * (size.columns + _GAP) + _KEY
    width = max(width, _LEAST_WIDTH)
    remarks = [
        line for text in found.remarks for line in wrapped(text, size=13, width=width - 2 * _MARGIN)
    ]
    below = _HEADER + size.rows + _MARGIN
    height = below + _LINE * len(remarks) + _MARGIN + 60
    picture = Image.new("RGB", (width, height), PAGE)
    draw = ImageDraw.Draw(picture)
    _write_header(draw, found)
    for number, line in enumerate(remarks):
        write(draw, (_MARGIN, below + _LINE * number), line, size=13, colour=WARNING)
    for number, (view, image) in enumerate(scan.images()):
        box = boxes[view]
        grey = grey_panel(image[box], grey_window(image, scan.unit), size)
        plain = np.repeat(grey[:, :, None], 3, axis=2)
        left = _MARGIN + number * (size.columns + _GAP)
        right = left + views * (size.columns + _GAP)
        outlined, labels = _outlined(marks, view, scan.shape, box, plain)
        picture.paste(Image.fromarray(outlined), (left, _HEADER))
        picture.paste(
            Image.fromarray(_coloured(found.body.regions[view][box], plain, colours)),
            (right, _HEADER),
        )
        _write_labels(draw, labels, left)
        for x, what in ((left, "foci"), (right, "regions")):
            letters = "AP" if view is View.ANTERIOR else "PA"
            write(draw, (x, _HEADER - 22), f"{letters}: {what}", size=14, colour=MUTED)
    _draw_key(draw, _MARGIN + 2 * views * (size.columns + _GAP) + 10)
    write(draw, (_MARGIN, picture.height - 40), notice, size=13, colour=MUTED)
    return picture


CHANGE_COLOURS = {
    FocusChange.NEW: (200, 20, 20),
    FocusChange.GONE: (0, 130, 80),
    FocusChange.GROWN: (210, 105, 0),
    FocusChange.SHRUNK: (20, 90, 200),
    FocusChange.UNCHANGED: (120, 50, 160),
    FocusChange.NOT_SHOWN: (110, 110, 110),
}
NEW_OTHER, NEW_OTHER_COLOUR = "new, other finding", (205, 90, 160)
"""Uptake that has risen and is more probably something else than a metastasis."""


def colour_of_change(one: ChangedFocus) -> tuple[int, int, int]:
    """The colour in which a change is drawn."""
    other = one.change is FocusChange.NEW and next(iter(one.may_be)) != SiteGroup.METASTASIS
    return NEW_OTHER_COLOUR if other else CHANGE_COLOURS[one.change]


def change_picture(
    prior: QuantifiedScan,
    present: QuantifiedScan,
    changes: Sequence[ChangedFocus],
    remarks: Sequence[str] = (),
    *,
    notice: str = RESEARCH_USE,
) -> Image.Image:
    """Draw two scans of a patient side by side, each focus outlined in the colour of its change.

    What is new is drawn on the present scan alone, also where the prior one has a doubtful focus.

    Args:
        prior: the earlier scan, on the left.
        present: the later scan.
        changes: what has changed; numbers are those of the list.
        remarks: written below.
        notice: statement about the model.
    """
    strips = []
    for title, found, name in (("Prior", prior, "prior"), ("Present", present, "present")):
        marks = [
            OutlinedFocus(focus, colour_of_change(one), str(number))
            for number, one in enumerate(changes, start=1)
            if (focus := getattr(one, name)) is not None
            and (found is present or one.change is not FocusChange.NEW)
        ]
        strips.append(_strip(found, marks, title))
    width = max(sum(strip.width for strip in strips) + _KEY, _LEAST_WIDTH)
    height = max(strip.height for strip in strips)
    lines = [line for text in remarks for line in wrapped(text, size=13, width=width - 2 * _MARGIN)]
    below = height + _LINE * len(lines)
    picture = Image.new("RGB", (width, below + 50), PAGE)
    draw = ImageDraw.Draw(picture)
    left = 0
    for strip in strips:
        picture.paste(strip, (left, 0))
        left += strip.width
    key = [(change.value, colour) for change, colour in CHANGE_COLOURS.items()]
    key.insert(1, (NEW_OTHER, NEW_OTHER_COLOUR))  # beside what is new
    for number, (name, colour) in enumerate(key):
        top = _HEADER + 22 * number
        draw.rectangle((left, top, left + 14, top + 14), outline=colour, width=2)
        write(draw, (left + 22, top), name, size=13)
    for number, line in enumerate(lines):
        write(draw, (_MARGIN, height + _LINE * number), line, size=13, colour=WARNING)
    write(draw, (_MARGIN, below + 10), notice, size=13, colour=MUTED)
    return picture


def _strip(found: QuantifiedScan, marks: Sequence[OutlinedFocus], title: str) -> Image.Image:
    """Both views of one scan with its marks, under a title."""
    scan, boxes = found.scan, crop_boxes(found.scan)
    size = _size_of(found, boxes)
    width = 2 * _MARGIN + len(scan.views) * (size.columns + _GAP)
    strip = Image.new("RGB", (width, _HEADER + size.rows + _GAP), PAGE)
    draw = ImageDraw.Draw(strip)
    write(draw, (_MARGIN, 14), f"{title}: scan {scan.scan_id}", size=16, bold=True)
    index = "none" if found.index is None else f"{found.index.in_words} %"
    write(draw, (_MARGIN, 38), f"Bone Scan Index {index}", size=14)
    for number, (view, image) in enumerate(scan.images()):
        grey = grey_panel(image[boxes[view]], grey_window(image, scan.unit), size)
        plain = np.repeat(grey[:, :, None], 3, axis=2)
        left = _MARGIN + number * (size.columns + _GAP)
        outlined, labels = _outlined(marks, view, scan.shape, boxes[view], plain)
        strip.paste(Image.fromarray(outlined), (left, _HEADER))
        _write_labels(draw, labels, left)
        letters = "AP" if view is View.ANTERIOR else "PA"
        write(draw, (left, _HEADER - 22), letters, size=14, colour=MUTED)
    return strip


def _size_of(found: QuantifiedScan, boxes: Mapping[View, Box]) -> PanelSize:
    box = next(iter(boxes.values()))
    shape = (box[0].stop - box[0].start, box[1].stop - box[1].start)
    return panel_size(shape, found.scan.pixel_spacing_mm, most_rows=_ROWS, most_columns=360)


def _write_labels(draw: ImageDraw.ImageDraw, labels: Sequence[_Label], left: int) -> None:
    for label in labels:
        at = (left + label.column, _HEADER + label.row)
        write(draw, at, label.text, size=13, colour=label.colour, bold=True, halo=True)


LIMIT_COLOURS = (
    (4.0, (34, 120, 90)),
    (8.0, (120, 170, 60)),
    (16.0, (235, 175, 20)),
    (float("inf"), (220, 95, 20)),
)
"""Colours of contrasts up to each; what is not found at all is dark red."""
NOT_FOUND = (120, 15, 40)


def limit_colour(limit: DetectionLimit) -> tuple[int, int, int]:
    """The colour of a bone by the contrast at which lesions in it are found."""
    if limit.contrast is None:
        return NOT_FOUND
    contrast = limit.contrast
    return next(colour for most, colour in LIMIT_COLOURS if contrast <= most)


def detectability_picture(
    found: QuantifiedScan, limits: Sequence[DetectionLimit], *, notice: str = RESEARCH_USE
) -> Image.Image:
    """Draw both views, each bone in the colour of its limit.

    Args:
        found: a quantified scan.
        limits: its detection limits.
        notice: statement about the model.
    """
    scan, boxes = found.scan, crop_boxes(found.scan)
    size = _size_of(found, boxes)
    colours = np.full((len(found.body.bone_names) + 1, 3), -1.0, np.float32)
    for limit in limits:
        colours[found.body.bone_names.index(limit.bone) + 1] = limit_colour(limit)
    key = _MARGIN + len(scan.views) * (size.columns + _GAP)
    picture = Image.new(
        "RGB", (max(key + _KEY + 60, _LEAST_WIDTH), _HEADER + size.rows + 2 * _MARGIN + 40), PAGE
    )
    draw = ImageDraw.Draw(picture)
    title = f"Scan {scan.scan_id}: contrast from which a lesion of 10 mm is found (80 %)"
    write(draw, (_MARGIN, 14), title, size=16, bold=True)
    for number, (view, image) in enumerate(scan.images()):
        grey = grey_panel(image[boxes[view]], grey_window(image, scan.unit), size)
        plain = np.repeat(grey[:, :, None], 3, axis=2)
        drawn = _coloured(found.body.bones[view][boxes[view]], plain, colours, shade=0.6)
        left = _MARGIN + number * (size.columns + _GAP)
        picture.paste(Image.fromarray(drawn), (left, _HEADER))
        write(draw, (left, _HEADER - 22), "AP" if view is View.ANTERIOR else "PA", size=14)
    entries = [
        (colour, f"up to {most:g}" if most < float("inf") else f"up to {CONTRASTS[-1]:g}")
        for most, colour in LIMIT_COLOURS
    ]
    entries += [(NOT_FOUND, f"not found at {CONTRASTS[-1]:g}")]
    for number, (colour, text) in enumerate(entries):
        top = _HEADER + 4 + 22 * number
        draw.rectangle((key, top, key + 14, top + 14), fill=colour)
        write(draw, (key + 22, top), text, size=13)
    write(draw, (_MARGIN, picture.height - 36), notice, size=13, colour=MUTED)
    return picture


def webp_of(picture: Image.Image) -> bytes:
    """A picture as the content of a WebP file, for a page."""
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=75, method=0)
    return buffer.getvalue()


def _write_header(draw: ImageDraw.ImageDraw, found: QuantifiedScan) -> None:
    write(draw, (_MARGIN, 14), f"Scan {found.scan.scan_id}", size=17, bold=True)
    index = found.index
    said = (
        f"Bone Scan Index {index.in_words} % ({index.table.in_words})"
        if index is not None
        else "No Bone Scan Index"
    )
    write(draw, (_MARGIN, 38), said, size=15, colour=INK)


class OutlinedFocus(NamedTuple):
    """A focus as it is drawn: its outlines' colour and what is written beside them."""

    focus: MatchedFocus
    colour: tuple[int, int, int]
    text: str


class _Label(NamedTuple):
    row: int
    column: int
    text: str
    colour: tuple[int, int, int]


def _outlined(
    marks: Sequence[OutlinedFocus],
    view: View,
    shape: tuple[int, int],
    box: Box,
    plain: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], list[_Label]]:
    """A cropped view with outlines, and what is written beside them."""
    drawn, labels = plain.copy(), []
    rows, columns = (part.stop - part.start for part in box)
    size = PanelSize(*plain.shape[:2])
    top, left = box[0].start, box[1].start
    for mark in reversed(marks):
        for shown in mark.focus.in_views:
            if shown.view is not view:
                continue
            mask = np.zeros(shape, dtype=bool)
            mask[shown.window] = shown.mask
            where, outline = boxed_outline(mask[box], size)
            drawn[where][outline] = mark.colour
            right = shown.left + shown.mask.shape[1] - left
            row = (shown.row - top) * size.rows // rows - 8
            labels.append(_Label(row, right * size.columns // columns + 4, mark.text, mark.colour))
    return drawn, labels


def _coloured(
    maps: NDArray[np.uint8],
    plain: NDArray[np.uint8],
    colours: NDArray[np.float32],
    *,
    shade: float = _SHADE,
) -> NDArray[np.uint8]:
    """A cropped view under the colours of a map's numbers; negative colours are left out."""
    rows, columns = plain.shape[:2]
    row = (np.arange(rows) * maps.shape[0]) // rows
    column = (np.arange(columns) * maps.shape[1]) // columns
    shown = maps[row[:, None], column]
    grey = np.arange(256, dtype=np.float32)[:, None]
    blended = (1 - shade) * grey + shade * colours[:, None]
    table: NDArray[np.uint8] = np.where(colours[:, None] >= 0, blended, grey).astype(np.uint8)
    entry = shown.astype(np.intp) * 256 + plain[..., 0]
    return np.asarray(table.reshape(-1, 3).take(entry, axis=0))


def _draw_key(draw: ImageDraw.ImageDraw, left: int) -> None:
    for number, name in enumerate(TWELVE_NAMES):
        top = _HEADER + 4 + 22 * number
        colour = tuple(int(of) for of in REGION_COLOURS[number])
        draw.rectangle((left, top, left + 14, top + 14), fill=colour)
        write(draw, (left + 22, top), name, size=13)
    top = _HEADER + 22 * len(TWELVE_NAMES) + 20
    for colour, name in (
        (METASTASIS_COLOUR, f"metastasis ({METASTASIS_FROM:g} or more)"),
        (OTHER_COLOUR, "other focus"),
    ):
        draw.rectangle((left, top, left + 14, top + 14), outline=colour, width=2)
        write(draw, (left + 22, top), name, size=13)
        top += 22
