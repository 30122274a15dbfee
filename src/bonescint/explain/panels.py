"""The four panels of a picture: each view in inverted grey, and the same under its evidence."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from bonescint.explain.colour import STEPS, heat_colours, opacity, painted
from bonescint.explain.evidence import EvidenceScale, PanelSize, map_on_grid
from bonescint.explain.lettering import INK, LINE, MUTED, PAGE, turned, wrapped, write
from bonescint.prepare import Extent, resampled
from bonescint.scan import Prediction, Scan, View
from bonescint.viewer import GreyWindow, grey_window

GAP = 6
GUTTER = 34
TITLES = 44
BENEATH = 36
BAR = 104
INSET = 1
OUTLINE = (0, 90, 220)
"""Blue, which is neither a grey of the counts nor a colour of the evidence."""
_OUTLINE_WIDTH = 2
_FIRST_LETTER = {View.ANTERIOR: ("R", "L"), View.POSTERIOR: ("L", "R")}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnView:
    """What was drawn of one view.

    Attributes:
        window: the grey window.
        grey: uint8 array (rows, columns), the view in inverted grey.
        levels: float32 array of that shape, the evidence from 0 to 1.
    """

    window: GreyWindow
    grey: NDArray[np.uint8]
    levels: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panels:
    """Where the panels of a picture lie, in pixels from the strip's top left.

    Attributes:
        size: size of each panel.
    """

    size: PanelSize

    @property
    def pair_width(self) -> int:
        """Columns of two panels side by side."""
        return 2 * self.size.columns + GAP

    @property
    def width(self) -> int:
        """Columns of the whole strip, colour bar included."""
        return INSET + 2 * self.pair_width + GUTTER + BAR

    @property
    def height(self) -> int:
        """Rows of the whole strip, titles and scale bar included."""
        return TITLES + self.size.rows + BENEATH

    def corner(self, view: View, *, with_map: bool) -> tuple[int, int]:
        """Left and top of one panel."""
        left = INSET + ((self.pair_width + GUTTER) if with_map else 0)
        if view is View.POSTERIOR:
            left += self.size.columns + GAP
        return left, TITLES


def grey_panel(
    image: NDArray[np.float32], window: GreyWindow, size: PanelSize
) -> NDArray[np.uint8]:
    """A view in inverted grey at its drawn size, antialiased; uint8 (rows, columns)."""
    rows, columns = image.shape
    whole = Extent(0.0, 0.0, float(rows), float(columns))
    return window.inverted_grey(resampled(image, whole, rows=size.rows, columns=size.columns))


def lesion_outline(mask: NDArray[np.bool_], size: PanelSize) -> NDArray[np.bool_]:
    """The outline just outside a view's lesions at their drawn size; bool (rows, columns).

    Every drawn pixel that a lesion touches is inside, so that no lesion is too small to be drawn.

    Examples:
        >>> mask = np.zeros((8, 4), dtype=bool)
        >>> mask[4, 2] = True
        >>> lesion_outline(mask, PanelSize(8, 4))[4].tolist()
        [True, True, False, True]
    """
    outline = np.zeros(size, dtype=bool)
    where, part = boxed_outline(mask, size)
    outline[where] = part
    return outline


def boxed_outline(
    mask: NDArray[np.bool_], size: PanelSize
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """As `lesion_outline`, but only the rows and columns that hold it, and which these are."""
    touched = [
        _Touched.of(np.flatnonzero(mask.any(axis=1 - axis)), mask.shape[axis], size[axis])
        for axis in (0, 1)
        if mask.any()
    ]
    if not touched:
        return (slice(0), slice(0)), np.zeros((0, 0), dtype=bool)
    down, across = touched
    # Number of mask pixels in the box of stored pixels that each drawn pixel touches.
    part = mask[down.stored, across.stored]
    sums = np.pad(part.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    beside = sums[:, across.last] - sums[:, across.first]
    inside = beside[down.last] > beside[down.first]
    grown = ndimage.binary_dilation(inside, np.ones((3, 3), dtype=bool), iterations=_OUTLINE_WIDTH)
    return (down.drawn, across.drawn), grown & ~inside


class _Touched(NamedTuple):
    """Along one axis: the stored pixels of a mask, and the drawn ones that these touch, and more.

    Attributes:
        stored: from the first to the last pixel of the mask.
        drawn: those that touch them, and as many beside as an outline is wide.
        first, last: first stored pixel that each of these touches, and the one after its last,
            within `stored`.
    """

    stored: slice
    drawn: slice
    first: NDArray[np.intp]
    last: NDArray[np.intp]

    @classmethod
    def of(cls, marked: NDArray[np.intp], stored: int, drawn: int) -> _Touched:
        start, stop = int(marked[0]), int(marked[-1]) + 1
        begin = max(0, start * drawn // stored - _OUTLINE_WIDTH)
        end = min(drawn, -(-stop * drawn // stored) + _OUTLINE_WIDTH)
        places = np.arange(begin, end)
        return cls(
            stored=slice(start, stop),
            drawn=slice(begin, end),
            first=(places * stored // drawn).clip(start, stop) - start,
            last=(-(-(places + 1) * stored // drawn)).clip(start, stop) - start,
        )


def draw_strip(
    scan: Scan,
    prediction: Prediction,
    scale: EvidenceScale,
    panels: Panels,
    lesions: Mapping[View, NDArray[np.bool_]] | None = None,
) -> tuple[Image.Image, dict[View, DrawnView]]:
    """Draw the panels with their titles, letters, scale bar and colour bar.

    Args:
        scan: with one or two views.
        prediction: prediction of it, with its maps.
        scale: scale of the maps.
        panels: where they lie.
        lesions: for each view a bool array of the scan's shape, outlined over the grey panels.

    Returns:
        The strip, and what was drawn of each present view.
    """
    strip = Image.new("RGB", (panels.width, panels.height), PAGE)
    draw = ImageDraw.Draw(strip)
    drawn: dict[View, DrawnView] = {}
    for view in View:
        image = scan.view(view)
        if image is None:
            for with_map in (False, True):
                _draw_missing(draw, view, panels, with_map=with_map)
            continue
        window = grey_window(image, scan.unit)
        grey = grey_panel(image, window, panels.size)
        plain = np.repeat(grey[:, :, None], 3, axis=2)
        if lesions and view in lesions:
            plain[lesion_outline(lesions[view], panels.size)] = OUTLINE
        strip.paste(Image.fromarray(plain), panels.corner(view, with_map=False))
        activation = prediction.activation_map(view)
        levels = np.zeros(grey.shape, dtype=np.float32)
        if activation is not None:
            rows, columns = panels.size
            levels = scale.levels(map_on_grid(activation, scan.shape, rows=rows, columns=columns))
        drawn[view] = DrawnView(window=window, grey=grey, levels=levels)
        strip.paste(Image.fromarray(painted(grey, levels)), panels.corner(view, with_map=True))
        for with_map in (False, True):
            _draw_letters(draw, view, panels, with_map=with_map)
    for view in View:
        for with_map in (False, True):
            _draw_frame(draw, view, panels, with_map=with_map)
    pair = INSET + panels.pair_width + GUTTER
    write(draw, (0, 0), _pair_title(scan, outlined=bool(lesions)), size=15, bold=True)
    write(draw, (pair, 0), "Evidence for MBD", size=15, bold=True)
    _draw_scale_bar(draw, scan, panels)
    _draw_colour_bar(strip, draw, scale, panels)
    return strip, drawn


def _pair_title(scan: Scan, *, outlined: bool) -> str:
    """What the grey panels show, in the unit of their pixels."""
    shown = "lesions outlined" if outlined else "inverted grey"
    return f"{scan.unit.value.capitalize()}, {shown}"


def _draw_frame(draw: ImageDraw.ImageDraw, view: View, panels: Panels, *, with_map: bool) -> None:
    left, top = panels.corner(view, with_map=with_map)
    rows, columns = panels.size
    draw.rectangle((left - 1, top - 1, left + columns, top + rows), outline=LINE)
    write(draw, (left, top - 6), view.value.capitalize(), size=14, colour=MUTED, anchor="ls")


def _draw_letters(draw: ImageDraw.ImageDraw, view: View, panels: Panels, *, with_map: bool) -> None:
    """The patient's right and left, as seen from the view's own side."""
    left, top = panels.corner(view, with_map=with_map)
    on_left, on_right = _FIRST_LETTER[view]
    edge = left + panels.size.columns
    write(draw, (left + 7, top + 5), on_left, size=16, bold=True, halo=True)
    write(draw, (edge - 7, top + 5), on_right, size=16, bold=True, halo=True, anchor="ra")


def _draw_missing(draw: ImageDraw.ImageDraw, view: View, panels: Panels, *, with_map: bool) -> None:
    left, top = panels.corner(view, with_map=with_map)
    rows, columns = panels.size
    draw.rectangle((left, top, left + columns - 1, top + rows - 1), fill=(244, 245, 247))
    lines = wrapped(f"{view.value} view missing", size=15, width=columns - 16)
    middle = top + rows / 2 - 10 * len(lines)
    for number, line in enumerate(lines):
        place = (left + columns / 2, middle + 20 * number)
        write(draw, place, line, size=15, colour=MUTED, anchor="ma")


def _draw_scale_bar(draw: ImageDraw.ImageDraw, scan: Scan, panels: Panels) -> None:
    """A bar of 10 cm (5 or 1 cm if a panel is narrower), or the text that there is no scale."""
    row = panels.height - 17
    if scan.pixel_spacing_mm is None:
        text = "No scale: pixel spacing unknown"
        write(draw, (0, row), text, size=13, colour=MUTED, anchor="lm")
        return
    per_mm = panels.size.columns / (scan.shape[1] * scan.pixel_spacing_mm[1])
    for centimetres in (10, 5, 1):
        length = per_mm * 10 * centimetres
        if length <= panels.size.columns or centimetres == 1:
            break
    draw.rectangle((0, row - 1, length, row + 1), fill=INK)
    for end in (0.0, length):
        draw.rectangle((end - 0.5, row - 5, end + 0.5, row + 5), fill=INK)
    write(draw, (length + 9, row), f"{centimetres} cm", size=14, anchor="lm")


def _draw_colour_bar(
    strip: Image.Image, draw: ImageDraw.ImageDraw, scale: EvidenceScale, panels: Panels
) -> None:
    """The colours from none to high over white, with the peak of this scan."""
    left = panels.width - BAR + 22
    rows = max(60, min(360, panels.size.rows - 60))
    top = TITLES + (panels.size.rows - rows) // 2
    level = np.linspace(1.0, 0.0, rows, dtype=np.float32)
    levels = np.repeat(level[:, None], 16, axis=1)
    shown = painted(np.full(levels.shape, 255, dtype=np.uint8), levels)
    strip.paste(Image.fromarray(shown), (left, top))
    draw.rectangle((left - 1, top - 1, left + 16, top + rows), outline=MUTED)
    write(draw, (left + 8, top - 8), "high", size=14, anchor="ms")
    write(draw, (left + 8, top + rows + 8), "none", size=14, anchor="mt")
    label = turned("Evidence for MBD", size=14, colour=MUTED)
    strip.paste(label, (panels.width - 22, top + (rows - label.height) // 2))
    row = top + round((1.0 - scale.reached) * (rows - 1))
    draw.polygon([(left + 18, row), (left + 26, row - 5), (left + 26, row + 5)], fill=INK)
    write(draw, (left + 29, row), "peak", size=12, anchor="lm")


_COARSER = 2
"""Maps have few cells, so that half the resolution is enough."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layers:
    """Two pictures of the same views, for a page that shows one over the other.

    The present views are side by side, anterior first, and equally wide.

    Attributes:
        grey_webp: the views in inverted grey, a WebP file's content.
        evidence_webp: the evidence over them, transparent where there is none; empty if there is
            none anywhere.
        width: width of the grey picture, in pixels.
        height: height of the grey picture, in pixels.
        pixel_mm: size of its pixels on the patient, or `None` if the spacing is unknown.
    """

    grey_webp: bytes
    evidence_webp: bytes
    width: int
    height: int
    pixel_mm: float | None


def layers_of(views: Mapping[View, DrawnView], *, pixel_mm: float | None) -> Layers:
    """Encode the drawn views of a scan.

    Args:
        views: views of one scan, all of one size.
        pixel_mm: size of a drawn pixel on the patient, or `None`.
    """
    grey = np.hstack([drawn.grey for drawn in views.values()])
    levels = np.hstack([drawn.levels for drawn in views.values()])
    rows, columns = grey.shape
    return Layers(
        grey_webp=_webp(Image.fromarray(grey).convert("RGB"), quality=72),
        evidence_webp=_webp(_evidence(levels), quality=60) if levels.any() else b"",
        width=columns,
        height=rows,
        pixel_mm=pixel_mm,
    )


def _evidence(levels: NDArray[np.float32]) -> Image.Image:
    """The colours of the evidence with their opacity."""
    rows, columns = levels.shape
    size = (max(1, columns // _COARSER), max(1, rows // _COARSER))
    smaller = np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BOX))
    steps = np.rint(np.clip(smaller, 0.0, 1.0) * (STEPS - 1)).astype(np.uint8)
    return Image.fromarray(_palette()[steps])


def _palette() -> NDArray[np.uint8]:
    """Red, green, blue and opacity of each level, uint8 (256, 4)."""
    alpha = np.rint(255 * opacity()).astype(np.uint8)
    return np.concatenate([heat_colours(), alpha[:, None]], axis=1)


def _webp(picture: Image.Image, *, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=quality, method=0)
    return buffer.getvalue()
