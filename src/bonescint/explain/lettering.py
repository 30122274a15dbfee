"""Text on pictures: sizes, weights, line breaks; only glyphs of the font."""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from importlib import resources
from io import BytesIO
from math import ceil, floor

from PIL import Image, ImageDraw, ImageFont

INK = (28, 32, 38)
MUTED = (92, 100, 112)
LINE = (203, 208, 215)
PAGE = (255, 255, 255)
WARNING = (138, 78, 0)
POSITIVE = (158, 28, 44)
NEGATIVE = (38, 84, 124)

# Letters are drawn larger by this factor and reduced: FreeType only uses whole pixels, which makes
# spaces uneven at the size of a caption.
_FINER = 4
_SIGNS = (
    "\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026\u2212\u2264\u2265"
    "\u2190\u2191\u2192\u2193\u20ac\u2030"
)
"""Dashes, quotation marks, bullet, ellipsis, minus, comparisons, arrows, euro, per mille."""


def drawable(text: str) -> str:
    """Text with the glyphs of the font; other letters become question marks.

    Examples:
        >>> drawable("größe ≥ 5 骨")
        'größe ≥ 5 ?'
    """
    return "".join(letter if letter in _glyphs() else "?" for letter in text)


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[str]:
    """The letters of the font that are drawn: Latin, Greek, Cyrillic, and a few signs."""
    blocks = (
        (0x20, 0x7F),
        (0xA1, 0xAD),
        (0xAE, 0x149),
        (0x14A, 0x180),
        (0x391, 0x3A2),
        (0x3A3, 0x3CA),
        (0x400, 0x460),
    )
    letters = frozenset(chr(code) for block in blocks for code in range(*block))
    return letters | frozenset(_SIGNS)


@lru_cache(maxsize=16)
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font of this package, so that pictures look the same on every machine."""
    name = f"Inter-{'SemiBold' if bold else 'Regular'}.ttf"
    content = resources.files("bonescint.explain").joinpath("fonts", name).read_bytes()
    basic = ImageFont.Layout.BASIC  # Raqm is not in every build of Pillow
    return ImageFont.truetype(BytesIO(content), size, layout_engine=basic)


@lru_cache(maxsize=2048)
def width_of(text: str, size: int, *, bold: bool = False) -> int:
    """Pixels that a line of text spans."""
    return ceil(font(_FINER * size, bold=bold).getlength(text) / _FINER)


@lru_cache(maxsize=512)
def _rendered(
    text: str, size: int, bold: bool, thickness: int, anchor: str
) -> tuple[Image.Image, int, int]:
    """A line of text as a mask, and the offset of its corner from the anchor; cached."""
    face, stroke = font(_FINER * size, bold=bold), _FINER * thickness
    left, top, right, bottom = face.getbbox(text, stroke_width=stroke, anchor=anchor)
    # Whole pixels of the reduced mask, so that the anchor falls on one.
    corner = floor(left / _FINER) - 1, floor(top / _FINER) - 1
    end = ceil(right / _FINER) + 1, ceil(bottom / _FINER) + 1
    large = Image.new("L", (_FINER * (end[0] - corner[0]), _FINER * (end[1] - corner[1])))
    place = (-_FINER * corner[0], -_FINER * corner[1])
    ImageDraw.Draw(large).text(
        place, text, font=face, fill=255, anchor=anchor, stroke_width=stroke, stroke_fill=255
    )
    return large.reduce(_FINER), *corner


def write(
    draw: ImageDraw.ImageDraw,
    position: tuple[float, float],
    text: str,
    *,
    size: int,
    colour: tuple[int, int, int] = INK,
    bold: bool = False,
    halo: bool = False,
    anchor: str = "la",
) -> None:
    """Write one line.

    Args:
        draw: where to.
        position: position of the anchor, column and row.
        text: one line.
        size: size of the letters, in pixels.
        colour: colour of the letters.
        bold: in the font's heavier weight.
        halo: with a white rim, to be read on an image.
        anchor: which point of the text stands at the position, as Pillow names them.
    """
    layers = [(2, PAGE)] if halo else []
    layers.append((0, colour))
    for thickness, ink in layers:
        mask, left, top = _rendered(drawable(text), size, bold, thickness, anchor)
        draw.bitmap((round(position[0]) + left, round(position[1]) + top), mask, fill=ink)


def wrapped(
    text: str, *, size: int, width: int, most_lines: int = 3, bold: bool = False
) -> list[str]:
    """Break text into lines of at most `width` pixels; what does not fit ends in an ellipsis.

    Examples:
        >>> wrapped("one two", size=12, width=500)
        ['one two']
    """
    space = width_of(" ", size, bold=bold)
    lines: list[str] = []
    line: list[str] = []
    used = 0
    for word in drawable(text).split():
        taken = width_of(word, size, bold=bold)
        if line and used + space + taken > width:
            lines.append(" ".join(line))
            line, used = [], 0
        used += taken + (space if line else 0)
        line.append(word)
    lines.append(" ".join(line))
    if len(lines) > most_lines:
        lines = [*lines[: most_lines - 1], f"{lines[most_lines - 1]} ..."]
    return [_shortened(entry, size=size, width=width, bold=bold) for entry in lines]


def _shortened(text: str, *, size: int, width: int, bold: bool) -> str:
    """A single line cut to its width."""
    if width_of(text, size, bold=bold) <= width:
        return text

    def longer(letters: int) -> bool:
        return width_of(f"{text[:letters]}...", size, bold=bold) > width

    letters = bisect_left(range(min(len(text), width)), True, key=longer)
    return f"{text[: max(0, letters - 1)]}..."


def turned(text: str, *, size: int, colour: tuple[int, int, int]) -> Image.Image:
    """A line of text that reads from bottom to top, on the page's white."""
    strip = Image.new("RGB", (width_of(text, size) + 4, size + 8), PAGE)
    write(ImageDraw.Draw(strip), (2, 2), text, size=size, colour=colour)
    return strip.transpose(Image.Transpose.ROTATE_90)
