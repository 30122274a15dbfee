"""Answers as statements for a learning platform: the Experience API (xAPI) 1.0.3, IEEE 9274.1.1.

Specification: https://github.com/adlnet/xAPI-Spec, Data, sections 2.2 to 2.4. A statement says who
(a pseudonym) did what with which case, when, and with what result; it holds no picture.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bonescint.scan import RESEARCH_USE
from bonescint.teach.courses import Course
from bonescint.teach.records import AnsweredCase, Trainee
from bonescint.teach.supply import course_done

_VERSION = "1.0.3"
_ANSWERED = {"id": "http://adlnet.gov/expapi/verbs/answered", "display": {"en": "answered"}}
_COMPLETED = {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en": "completed"}}
_INTERACTION = "http://adlnet.gov/expapi/activities/cmi.interaction"
_COURSE = "http://adlnet.gov/expapi/activities/course"
_OURS = "urn:bonescint:teach"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, _OURS)


def statements(
    trainee: Trainee,
    answered: Sequence[AnsweredCase],
    courses: Mapping[str, Course],
    *,
    home_page: str = "http://localhost/",
) -> list[dict[str, Any]]:
    """One statement for each answered case, and one for each course that was finished.

    The same answers give the same statements with the same identifiers, so that a platform that
    gets them twice keeps them once.

    Args:
        trainee: who learnt.
        answered: the cases, in the order of the answers.
        courses: by name.
        home_page: address of the system on which the learner's name is an account.
    """
    actor = {
        "objectType": "Agent",
        "account": {"homePage": home_page, "name": trainee.name},
    }
    found = []
    done: set[str] = set()
    for number, case in enumerate(answered, start=1):
        found.append(_of_case(actor, trainee, case, courses))
        course = courses.get(case.issued.course)
        if course is None or course.name in done:
            continue
        if course_done(course, answered[:number]):
            done.add(course.name)
            found.append(
                {
                    **_begun(actor, _COMPLETED, f"{trainee.name}/{course.name}", case.answered_s),
                    "object": _course_activity(course.name, course.title),
                    "result": {"completion": True},
                    "context": _context(),
                }
            )
    return found


def _of_case(
    actor: Mapping[str, Any],
    trainee: Trainee,
    case: AnsweredCase,
    courses: Mapping[str, Course],
) -> dict[str, Any]:
    issued, outcome = case.issued, case.outcome
    course = courses.get(issued.course)
    title = issued.course if course is None else course.title
    lesions = len(outcome.lesions)
    extensions = {
        f"{_OURS}:confidence": outcome.confidence,
        f"{_OURS}:metastases": lesions,
        f"{_OURS}:metastases-found": sum(one.confidence is not None for one in outcome.lesions),
        f"{_OURS}:false-marks": len(outcome.false_marks),
    }
    if issued.model_probability is not None:
        extensions[f"{_OURS}:model-probability"] = issued.model_probability
    key = f"{trainee.name}/{issued.case_id}"
    return {
        **_begun(actor, _ANSWERED, key, case.answered_s),
        "object": {
            "objectType": "Activity",
            "id": f"{_OURS}:case:{issued.case_id}",
            "definition": {
                "type": _INTERACTION,
                "name": {"en": f"{title}, case {issued.number + 1}"},
                "description": {"en": "Metastatic bone disease?"},
                "interactionType": "true-false",
                "correctResponsesPattern": [_word(outcome.positive)],
            },
        },
        "result": {
            "response": _word(outcome.called),
            "success": outcome.right,
            "completion": True,
            "duration": f"PT{outcome.seconds:.2f}S",
            "extensions": extensions,
        },
        "context": _context(_course_activity(issued.course, title)),
    }


def _begun(
    actor: Mapping[str, Any], verb: Mapping[str, Any], key: str, at_s: float
) -> dict[str, Any]:
    """What every statement has."""
    at = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
    return {
        "id": str(uuid.uuid5(_NAMESPACE, f"{verb['id']}/{key}/{at}")),
        "version": _VERSION,
        "actor": dict(actor),
        "verb": dict(verb),
        "timestamp": at.replace("+00:00", "Z"),
    }


def _course_activity(name: str, title: str) -> dict[str, Any]:
    return {
        "objectType": "Activity",
        "id": f"{_OURS}:course:{name.replace(' ', '-')}",
        "definition": {"type": _COURSE, "name": {"en": title}},
    }


def _context(parent: Mapping[str, Any] | None = None) -> dict[str, Any]:
    context: dict[str, Any] = {
        "platform": "bonescint teach",
        "extensions": {f"{_OURS}:notice": f"For teaching. {RESEARCH_USE}"},
    }
    if parent is not None:
        context["contextActivities"] = {"parent": [dict(parent)]}
    return context


def _word(value: bool) -> str:
    return "true" if value else "false"
