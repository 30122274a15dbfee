"""Statements have the structure of the xAPI specification, written here from its tables."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from bonescint.teach.cases import CaseSpec
from bonescint.teach.courses import Course, read_course
from bonescint.teach.outcomes import LesionOutcome, Outcome
from bonescint.teach.records import AnsweredCase, IssuedCase, Trainee
from bonescint.teach.xapi import statements

_IRI = {"type": "string", "pattern": r"^[a-z][a-z0-9+.-]*:\S+$"}
_LANGUAGES = {
    "type": "object",
    "minProperties": 1,
    "patternProperties": {r"^[a-z]{2}(-[A-Z]{2})?$": {"type": "string"}},
    "additionalProperties": False,
}
_EXTENSIONS = {"type": "object", "propertyNames": _IRI}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


_ACTIVITY = _object(
    ["id"],
    objectType={"const": "Activity"},
    id=_IRI,
    definition=_object(
        [],
        name=_LANGUAGES,
        description=_LANGUAGES,
        type=_IRI,
        moreInfo=_IRI,
        extensions=_EXTENSIONS,
        interactionType={"enum": ["true-false", "choice", "numeric", "other"]},
        correctResponsesPattern={"type": "array", "items": {"type": "string"}},
    ),
)
STATEMENT = _object(
    ["actor", "verb", "object"],
    id={"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
    version={"type": "string", "pattern": r"^1\.0\.\d+$"},
    # An agent has exactly one inverse functional identifier: here an account.
    actor=_object(
        ["account"],
        objectType={"const": "Agent"},
        account=_object(
            ["homePage", "name"],
            homePage={"type": "string", "pattern": "^https?://"},
            name={"type": "string", "minLength": 1},
        ),
    ),
    verb=_object(["id"], id=_IRI, display=_LANGUAGES),
    object=_ACTIVITY,
    result=_object(
        [],
        score=_object([]),
        success={"type": "boolean"},
        completion={"type": "boolean"},
        response={"type": "string"},
        # ISO 8601 with hundredths of a second at most.
        duration={"type": "string", "pattern": r"^PT\d+(\.\d{1,2})?S$"},
        extensions=_EXTENSIONS,
    ),
    context=_object(
        [],
        platform={"type": "string"},
        contextActivities=_object(
            [], **{kind: {"type": "array", "items": _ACTIVITY} for kind in ("parent", "grouping")}
        ),
        extensions=_EXTENSIONS,
    ),
    timestamp={"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
)
TRAINEE = Trainee(id=1, name="s01", began_s=0.0)


@pytest.fixture
def course() -> Course:
    whole = read_course("joints")
    return replace(whole, cases=3, completion=replace(whole.completion, of_last=3, right=0.6))


def _case(number: int, *, right: bool, course: str = "joints") -> AnsweredCase:
    found = LesionOutcome(bone="ribs", contrast_to_noise=20.0, confidence=70.0)
    missed = LesionOutcome(bone="ribs", contrast_to_noise=9.0, confidence=None)
    return AnsweredCase(
        issued=IssuedCase(
            case_id=f"c{number}",
            course=course,
            number=number,
            spec=CaseSpec(seed=number),
            model_probability=0.25 if number else None,
        ),
        answered_s=1_700_000_000.25 + number,
        outcome=Outcome(
            positive=True, called=right, confidence=60, seconds=31.456, lesions=(found, missed)
        ),
    )


def test_every_statement_is_valid_and_says_what_was_answered(course: Course) -> None:
    answered = [_case(0, right=True), _case(1, right=False), _case(2, right=True)]
    found = statements(TRAINEE, answered, {"joints": course}, home_page="https://lms.example/")
    for one in found:
        jsonschema.validate(one, STATEMENT)
    assert [one["verb"]["display"]["en"] for one in found] == [
        "answered",
        "answered",
        "answered",
        "completed",
    ]
    first, second = found[:2]
    assert first["actor"]["account"] == {"homePage": "https://lms.example/", "name": "s01"}
    assert first["timestamp"] == "2023-11-14T22:13:20.250Z"
    assert first["object"]["id"].endswith("c0")
    assert first["object"]["definition"]["correctResponsesPattern"] == ["true"]
    assert first["result"]["duration"] == "PT31.46S"
    assert (first["result"]["success"], second["result"]["success"]) == (True, False)
    assert (first["result"]["response"], second["result"]["response"]) == ("true", "false")
    said = second["result"]["extensions"]
    assert said["urn:bonescint:teach:metastases"] == 2
    assert said["urn:bonescint:teach:metastases-found"] == 1
    assert said["urn:bonescint:teach:model-probability"] == 0.25
    assert second["context"]["contextActivities"]["parent"][0]["definition"]["name"] == {
        "en": course.title
    }
    assert "Not a medical device" in json.dumps(found)


def test_the_same_answers_give_the_same_identifiers_and_no_two_are_alike(course: Course) -> None:
    answered = [_case(number, right=True) for number in range(3)]
    one = statements(TRAINEE, answered, {"joints": course})
    assert one == statements(TRAINEE, answered, {"joints": course})
    other = statements(replace(TRAINEE, name="s02"), answered, {"joints": course})
    assert len({item["id"] for item in one + other}) == 8


def test_a_course_is_completed_once_and_a_test_never(course: Course) -> None:
    answered = [_case(number, right=True) for number in range(5)]
    answered.append(_case(5, right=True, course="test-1"))
    verbs = [
        one["verb"]["display"]["en"] for one in statements(TRAINEE, answered, {"joints": course})
    ]
    assert verbs.count("completed") == 1
    assert verbs.index("completed") == 3
    assert verbs.count("answered") == 6
