"""Text on pictures: sizes, weights, line breaks; only glyphs that the font has."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

INK = (28, 32, 38)
MUTED = (92, 100, 112)
LINE = (203, 208, 215)
PAGE = (255, 255, 255)
WARNING = (138, 78, 0)
POSITIVE = (158, 28, 44)
NEGATIVE = (38, 84, 124)

# Dashes, minus, apostrophe and signs that the font lacks.
_REPLACED = str.maketrans(
    {
        "\u2013": "-",
        "\u2014": "-",
        "\u2212": "-",
        "\u2019": "'",
        "\u2265": ">=",
        "\u2264": "<=",
        "\u00d7": "x",
    }
)


def drawable(text: str) -> str:
    """Text in the glyphs that Pillow's own font has; others become question marks.

    Examples:
        >>> drawable("größe")
        'gr??e'
    """
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text.translate(_REPLACED))


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, so that pictures look alike on every machine."""
    loaded = ImageFont.load_default(size=size)
    if isinstance(loaded, ImageFont.FreeTypeFont):
        return loaded
    raise OSError("Pillow was built without FreeType: install its wheel from PyPI.")


@lru_cache(maxsize=2048)
def width_of(text: str, size: int) -> int:
    """Pixels that a line of text spans."""
    return int(font(size).getlength(text) + 0.5)


@lru_cache(maxsize=512)
def _rendered(text: str, size: int, thickness: float, anchor: str) -> tuple[Image.Image, int, int]:
    """A line of text as a mask, and where its corner lies from the anchor; kept for reuse."""
    face = font(size)
    left, top, right, bottom = face.getbbox(text, stroke_width=thickness, anchor=anchor)
    corner = int(left) - 1, int(top) - 1
    mask = Image.new("L", (int(right) - corner[0] + 2, int(bottom) - corner[1] + 2))
    place = (-corner[0], -corner[1])
    ImageDraw.Draw(mask).text(
        place, text, font=face, fill=255, anchor=anchor, stroke_width=thickness, stroke_fill=255
    )
    return mask, *corner


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
    """Write one line; bold thickens the strokes, since the font has one weight only.

    Args:
        draw: where to.
        position: of the anchor, column and row.
        text: one line.
        size: of the letters, in pixels.
        colour: of the letters.
        bold: with thicker strokes.
        halo: with a white rim, to be read on an image.
        anchor: which point of the text stands at the position, as Pillow names them.
    """
    layers = [(2.0, PAGE)] if halo else []
    layers.append((0.4 if bold else 0.0, colour))
    for thickness, ink in layers:
        mask, left, top = _rendered(drawable(text), size, thickness, anchor)
        draw.bitmap((round(position[0]) + left, round(position[1]) + top), mask, fill=ink)


def wrapped(text: str, *, size: int, width: int, most_lines: int = 3) -> list[str]:
    """Break text into lines of at most `width` pixels; what does not fit ends in an ellipsis.

    Examples:
        >>> wrapped("one two", size=12, width=500)
        ['one two']
    """
    space = width_of(" ", size)
    lines: list[str] = []
    line: list[str] = []
    used = 0
    for word in drawable(text).split():
        taken = width_of(word, size)
        if line and used + space + taken > width:
            lines.append(" ".join(line))
            line, used = [], 0
        used += taken + (space if line else 0)
        line.append(word)
    lines.append(" ".join(line))
    if len(lines) > most_lines:
        lines = [*lines[: most_lines - 1], f"{lines[most_lines - 1]} ..."]
    return [_shortened(entry, size=size, width=width) for entry in lines]


def _shortened(text: str, *, size: int, width: int) -> str:
    """A single line cut to its width."""
    if width_of(text, size) <= width:
        return text
    while text and width_of(f"{text}...", size) > width:
        text = text[:-1]
    return f"{text}..."


def turned(text: str, *, size: int, colour: tuple[int, int, int]) -> Image.Image:
    """A line of text that reads from bottom to top, on the page's white."""
    strip = Image.new("RGB", (width_of(text, size) + 4, size + 8), PAGE)
    write(ImageDraw.Draw(strip), (2, 2), text, size=size, colour=colour)
    return strip.transpose(Image.Transpose.ROTATE_90)
