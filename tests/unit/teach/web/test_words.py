"""What learners read after an answer, from cases whose truth is written down."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bonescint.scan import UptakeSite, View
from bonescint.teach.answers import grade
from bonescint.teach.web.words import shown_feedback, shown_model

TEACHING = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[3] / "support" / "teaching.py"))
)
spot, mark, answered = TEACHING.spot, TEACHING.mark, TEACHING.answered


def told(foci: list[Any], *marks: Any, **more: Any) -> dict[str, Any]:
    case = TEACHING.small_case(foci)
    return shown_feedback(grade(case, answered(*marks, **more)), lambda site: f"on {site}")


def test_location_is_told_with_correctness() -> None:
    foci = [spot(UptakeSite.METASTASIS, 50, 30), spot(UptakeSite.METASTASIS, 120, 40)]
    found = told(foci, mark(50, 30), mark(180, 60))
    assert found["right"] is True
    assert found["says"] == "Right: this patient has metastatic bone disease."
    assert found["places"] == (
        "You marked 1 of 2 metastases that can be seen. 1 mark lies on no metastasis."
    )
    assert [one["right"] for one in found["marks"]] == [True, False]
    assert found["marks"][1]["says"] == "AP: nothing that takes up more tracer"
    assert [(one["label"], one["found"]) for one in found["metastases"]] == [
        ("M1", True), ("M2", False),
    ]  # fmt: skip
    assert [one["missed"] for one in found["findings"]] == [False, True]


def test_what_was_taken_for_a_metastasis_comes_first_with_its_sentence() -> None:
    foci = [
        spot(UptakeSite.FACET, 90, 40, contrast_to_noise=50),
        spot(UptakeSite.RIB_FRACTURE, 60, 20, contrast_to_noise=9),
    ]
    found = told(foci, mark(60, 20), positive=False)
    first, second = found["others"]
    assert (first["name"], first["label"]) == ("rib fracture", "a")
    assert first["says"] == "you took it for a metastasis"
    assert first["text"] == "on rib fracture"
    assert second["name"] == "facet or osteophyte"
    assert found["marks"][0]["says"] == "AP: rib fracture"
    assert found["places"] == "1 mark lies on no metastasis."


def test_a_name_is_right_or_wrong() -> None:
    foci = [spot(UptakeSite.RIB_FRACTURE, 60, 20)]
    right = told(foci, mark(60, 20, UptakeSite.RIB_FRACTURE), positive=False)
    assert right["marks"][0] == {
        "number": 1, "right": True, "says": "AP: rib fracture, as you said",
    }  # fmt: skip
    wrong = told(foci, mark(60, 20, UptakeSite.BLADDER), positive=False)
    assert wrong["marks"][0]["says"] == "AP: you said bladder; it is rib fracture"
    assert wrong["places"] == "", "a name for benign uptake is no mark of disease"


def test_what_nobody_can_see_is_not_listed() -> None:
    foci = [spot(UptakeSite.FACET, 90, 40, contrast_to_noise=1.0)]
    assert told(foci)["others"] == []
    assert told(foci)["findings"] == []


def test_many_metastases_are_drawn_and_the_first_are_listed() -> None:
    foci = [
        spot(UptakeSite.METASTASIS, 10 + 9 * n, 10 + 20 * (n % 3), region=f"rib{n:02d} L")
        for n in range(20)
    ]
    found = told(foci, mark(10, 10))
    assert len(found["findings"]) == 20
    *listed, rest = found["metastases"]
    assert len(listed) == 12
    assert rest["name"].startswith("and 8 more, of which you marked")


def test_both_views_of_a_spot_have_one_label() -> None:
    foci = [
        spot(UptakeSite.BLADDER, 90, 40),
        spot(UptakeSite.BLADDER, 90, 40, view=View.POSTERIOR),
        spot(UptakeSite.KIDNEY, 60, 20),
    ]
    found = told(foci, positive=False)
    labels = {(one["view"], one["label"]) for one in found["findings"]}
    assert {view for view, _ in labels} == {"anterior", "posterior"}
    assert len({label for _, label in labels}) == 2


@pytest.mark.parametrize(
    ("call", "positive", "right"), [(True, True, True), (True, False, False), (None, True, None)]
)
def test_the_model_is_right_wrong_or_says_nothing(
    call: bool | None, positive: bool, right: bool | None
) -> None:
    output = {"positive": call, "mbd_probability": 0.8342, "operating_point": 0.55, "rows": 4}
    found = shown_model(output, positive=positive)
    assert found["right"] is right
    assert "0.83" in found["says"]
    assert ("no call" in found["says"]) is (call is None)
