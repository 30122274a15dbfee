from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bonescint.explain.lettering import drawable, font, width_of, wrapped


@given(st.text())
def test_everything_drawn_has_a_glyph(text: str) -> None:
    assert all(" " <= letter <= "~" for letter in drawable(text))


@given(st.text(max_size=300), st.integers(60, 400))
def test_lines_fit_their_width(text: str, width: int) -> None:
    lines = wrapped(text, size=14, width=width)
    assert 1 <= len(lines) <= 3
    assert all(width_of(line, 14) <= width for line in lines)


def test_words_stay_in_order() -> None:
    assert " ".join(wrapped("a bc def ghij", size=14, width=40, most_lines=9)) == "a bc def ghij"


def test_fonts_are_loaded_once() -> None:
    assert font(14) is font(14)
