from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bonescint.report import displayable


@given(st.text(alphabet=st.characters()))
def test_what_is_shown_can_be_encoded_and_is_one_line(text: str) -> None:
    shown = displayable(text)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1


def test_bytes_that_are_no_text_are_shown_as_bytes() -> None:
    assert displayable(b"\xff.dcm".decode("utf-8", "surrogateescape")) == "\\xff.dcm"


def test_marks_that_turn_text_around_are_shown() -> None:
    assert displayable("scan\u202egnp.dcm") == "scan\\u202egnp.dcm"
    assert displayable("\x1b[31m") == "\\x1b[31m"
