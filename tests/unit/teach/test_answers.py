"""Every mark is judged, every spot is named, and what was missed is said."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.teaching import PIXEL_MM, SHAPE, answered, mark, small_case, spot

from bonescint.scan import InputError, ParameterError, UptakeSite, View
from bonescint.teach.answers import CaseAnswer, Feedback, grade

LESION = spot(UptakeSite.METASTASIS, 50, 20)
BEHIND = spot(UptakeSite.METASTASIS, 50, SHAPE[1] - 1 - 20, view=View.POSTERIOR)
FAINT = spot(UptakeSite.METASTASIS, 120, 60, contrast_to_noise=3.0, contrast=1.2)
FRACTURE = spot(UptakeSite.RIB_FRACTURE, 90, 40)
CASE = small_case([FRACTURE, LESION, BEHIND, FAINT])


def test_what_both_views_show_is_one_spot_and_metastases_come_first() -> None:
    found = grade(CASE, answered()).spots
    assert [one.site for one in found] == [
        UptakeSite.METASTASIS,
        UptakeSite.METASTASIS,
        UptakeSite.RIB_FRACTURE,
    ]
    assert [place.view for place in found[0].places] == [View.ANTERIOR, View.POSTERIOR]
    assert found[0].places[0].radius_px == pytest.approx(np.sqrt(25 / np.pi))
    assert (found[0].visible, found[1].visible) == (True, False)


def test_a_mark_in_either_view_finds_the_lesion_and_a_faint_one_is_not_missed() -> None:
    front = grade(CASE, answered(mark(50, 20)))
    back = grade(CASE, answered(mark(50, SHAPE[1] - 21, view=View.POSTERIOR)))
    for feedback in (front, back):
        assert feedback.right
        assert feedback.marks[0].right
        assert feedback.spots[0].marked == 80
        assert feedback.missed == ()
    assert grade(CASE, answered()).missed == (0,)


def test_right_without_the_place_and_wrong_with_it() -> None:
    said_yes = grade(CASE, answered(mark(150, 10)))
    assert said_yes.right
    assert said_yes.missed == (0,)
    assert not said_yes.marks[0].right
    assert said_yes.marks[0].spot is None
    said_no = grade(CASE, answered(mark(50, 20), positive=False))
    assert not said_no.right
    assert said_no.marks[0].right


def test_a_fracture_that_was_marked_as_disease_is_a_mistake_and_named_rightly_is_none() -> None:
    mistaken = grade(CASE, answered(mark(91, 41)))
    assert (mistaken.marks[0].right, mistaken.marks[0].spot) == (False, 2)
    assert mistaken.spots[2].mistaken
    named = grade(CASE, answered(mark(91, 41, UptakeSite.RIB_FRACTURE)))
    assert named.marks[0].right
    assert named.spots[2].named is UptakeSite.RIB_FRACTURE
    assert not named.spots[2].mistaken
    other = grade(CASE, answered(mark(91, 41, UptakeSite.FACET)))
    assert not other.marks[0].right


def test_a_metastasis_that_was_called_benign_is_missed() -> None:
    feedback = grade(CASE, answered(mark(50, 20, UptakeSite.RIB_FRACTURE)))
    assert not feedback.marks[0].right
    assert feedback.spots[0].named is UptakeSite.RIB_FRACTURE
    assert feedback.missed == (0,)


def test_what_is_benign_belongs_to_the_nearest_spot_beside_a_metastasis_too() -> None:
    beside = [spot(UptakeSite.METASTASIS, 50, 20), spot(UptakeSite.RIB_FRACTURE, 50, 26)]
    case = small_case(beside)

    def judged(column: int, name: UptakeSite | None) -> tuple[bool, int | None]:
        found = grade(case, answered(mark(50, column, name))).marks[0]
        return found.right, found.spot

    assert judged(26, UptakeSite.RIB_FRACTURE) == (True, 1)
    assert judged(26, UptakeSite.FACET) == (False, 1)
    assert judged(20, UptakeSite.RIB_FRACTURE) == (False, 0)
    assert judged(26, None) == (True, 0)  # disease is within the radius, as in the reader study


@given(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1), st.floats(0.5, 40))
def test_a_mark_belongs_to_what_lies_within_the_radius(
    row: int, column: int, radius: float
) -> None:
    """Against every pixel of every square, one by one."""

    def nearest(place_row: int, place_column: int) -> float:
        pixels = product(range(-2, 3), range(-2, 3))
        return min(
            PIXEL_MM * float(np.hypot(place_row + r - row, place_column + c - column))
            for r, c in pixels
        )

    lesion = min(nearest(50, 20), nearest(120, 60)) <= radius
    fracture = nearest(90, 40) <= radius
    found = grade(CASE, answered(mark(row, column)), radius_mm=radius).marks[0]
    assert found.right == lesion
    assert (found.spot is None) == (not lesion and not fracture)
    if not lesion and fracture:
        assert found.spot == 2
        assert found.distance_mm == pytest.approx(nearest(90, 40), abs=0.01)


def test_feedback_and_answer_survive_json_and_hold_every_pixel() -> None:
    feedback = grade(CASE, answered(mark(50, 20), mark(91, 41, UptakeSite.RIB_FRACTURE)))
    content = json.loads(json.dumps(feedback.to_json()))
    assert Feedback.from_json(content) == feedback
    assert content["right"] is True
    assert content["missed"] == []
    area = feedback.spots[2].places[0].area
    assert area is not None
    assert area.mask().sum() == 25


@pytest.mark.parametrize(
    "content",
    [
        {"positive": True},
        {"positive": 1, "confidence": 50},
        {"positive": True, "confidence": 101},
        {"positive": True, "confidence": 50, "truth": True},
        {"positive": True, "confidence": 50, "marks": [{"view": "left", "row": 1, "column": 1}]},
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(InputError):
        CaseAnswer.from_json(content)


def test_a_mark_outside_the_scan_is_refused() -> None:
    with pytest.raises(ParameterError):
        grade(CASE, answered(mark(SHAPE[0], 5)))
