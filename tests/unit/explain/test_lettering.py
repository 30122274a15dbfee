from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from bonescint.explain.lettering import _glyphs, drawable, font, turned, width_of, wrapped, write


def _ink(letter: str, *, bold: bool) -> bytes:
    return bytes(font(40, bold=bold).getmask(letter))


@pytest.mark.parametrize("bold", [False, True])
def test_everything_drawn_has_a_glyph(bold: bool) -> None:
    missing = _ink("\ue000", bold=bold)
    assert all(_ink(letter, bold=bold) != missing for letter in _glyphs())
    assert _glyphs() >= set("azAZ09ÄÖÜäöüßéèçñåøŁłşğЖяΩβ≥≤µ° \u2013\u2014\u2019\u00d7")


@given(st.text())
def test_what_has_no_glyph_becomes_a_question_mark(text: str) -> None:
    shown = drawable(text)
    assert len(shown) == len(text)
    assert all(new in (old, "?") and new in _glyphs() for old, new in zip(text, shown, strict=True))
    assert drawable("größe ≥ 5 骨\u202e\xad\n") == "größe ≥ 5 ????"


def _gaps(text: str, *, bold: bool) -> list[int]:
    """Widths of the empty columns between marks, in pixels."""
    page = Image.new("L", (600, 40), 255)
    write(ImageDraw.Draw(page), (4, 8), text, size=14, bold=bold, colour=0)  # type: ignore[arg-type]
    inked = np.flatnonzero((np.asarray(page) < 160).any(axis=0))
    return [int(gap) for gap in np.diff(inked) if gap > 1]


@pytest.mark.parametrize("bold", [False, True])
def test_spaces_are_even_and_wider_than_what_parts_letters(bold: bool) -> None:
    """Spaces collapsed and letters ran together where each was put on a whole pixel."""
    between_letters = _gaps("l" * 20, bold=bold)
    between_words = _gaps(" ".join("l" * 20), bold=bold)
    assert len(between_letters) == len(between_words) == 19  # none of them is smeared shut
    assert max(between_words) - min(between_words) <= 1
    assert min(between_words) >= max(between_letters) + 3


def test_bold_is_a_weight_of_its_own() -> None:
    assert width_of("Positive", 15, bold=True) > width_of("Positive", 15)
    assert font(15, bold=True).getname()[0] == "Inter SemiBold"
    assert font(15).getname()[0] == "Inter"


def test_text_stands_at_its_anchor() -> None:
    for anchor, left, right in (("ls", 300, 400), ("rs", 200, 300), ("ms", 250, 350)):
        page = Image.new("L", (600, 40), 255)
        write(ImageDraw.Draw(page), (300, 30), "HHH", size=20, anchor=anchor, colour=0)  # type: ignore[arg-type]
        rows, columns = np.nonzero(np.asarray(page) < 128)
        assert left <= columns.min() < columns.max() < right
        assert 13 <= rows.min() < rows.max() <= 30


def test_turned_text_reads_upwards() -> None:
    strip = turned("Hi", size=14, colour=(0, 0, 0))
    assert strip.height > strip.width - 8


@given(st.text(max_size=300), st.integers(60, 400))
def test_lines_fit_their_width(text: str, width: int) -> None:
    lines = wrapped(text, size=14, width=width)
    assert 1 <= len(lines) <= 3
    assert all(width_of(line, 14) <= width for line in lines)


def test_words_stay_in_order() -> None:
    assert " ".join(wrapped("a bc def ghij", size=14, width=40, most_lines=9)) == "a bc def ghij"


def test_fonts_are_loaded_once() -> None:
    assert font(14) is font(14)
