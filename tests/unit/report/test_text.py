from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonescint.report import displayable, operating_point_text, probability_texts


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


@pytest.mark.parametrize(
    ("probability", "operating_point", "texts"),
    [
        (0.91, 0.5013, ("0.91", "0.50")),
        (0.5049, 0.5013, ("0.505", "0.501")),
        (0.4951, 0.5, ("0.495", "0.500")),
        (0.50131, 0.50134, ("0.50131", "0.50134")),
        (0.5, 0.5, ("0.500", "0.500")),
    ],
)
def test_what_differs_looks_different(
    probability: float, operating_point: float, texts: tuple[str, str]
) -> None:
    assert probability_texts(probability, operating_point) == texts


@pytest.mark.parametrize(
    ("operating_point", "text"), [(0.5, "0.50"), (0.5013, "0.501"), (1.0, "1.00"), (0.0, "0.00")]
)
def test_an_operating_point_has_two_or_three_decimals(operating_point: float, text: str) -> None:
    assert operating_point_text(operating_point) == text
