"""A classroom: a teacher, students under pseudonyms, and a test of the same cases for all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

Routes = Callable[[Any], list[tuple[str, str]]]


@pytest.fixture
def classroom(serve: Any, cohort: Path) -> Iterator[Any]:
    """A classroom whose teacher has joined."""
    with serve(cohort=cohort, classroom=True) as learning:
        link = learning.teaching.classroom.teacher_link()
        learning.teacher = learning.join(link.path)
        assert learning.teaching.classroom.teacher_link() is None
        yield learning


def send(learning: Any, path: str, http: httpx.Client | None = None, **form: Any) -> httpx.Response:
    http = http or learning.teacher
    csrf = learning.csrf(http)
    return http.post(f"/classroom{path}", data={"csrf": csrf, **form})


def students(learning: Any, count: int) -> list[httpx.Client]:
    answer = send(learning, "/students", count=count)
    assert answer.status_code == 200, answer.text
    links = re.findall(r"/invitation/[\w-]+", answer.text)
    assert len(links) == count
    return [learning.join(link) for link in links]


def test_students_have_pseudonyms_and_answers_of_their_own(classroom: Any) -> None:
    one, other = students(classroom, 2)
    token = classroom.case("cohort", one)["case"]["token"]
    assert other.get(f"/api/images/{token}").status_code == 404
    assert classroom.answer(token, positive=True, http=other).status_code == 404
    told = classroom.answer(token, positive=True, http=one).json()["feedback"]
    assert other.get(f"/api/feedback/{token}").status_code == 404
    page = classroom.teacher.get("/classroom").text
    assert re.search(r">s01<.*?1.*?>s02<", page, re.S)
    assert told["says"] not in page
    assert "Student" in one.get("/").text
    export = one.get("/export/answers.csv")
    assert export.status_code == 200
    assert classroom.teacher.get("/export/answers.csv").status_code == 403


def test_the_teacher_sees_what_the_group_confuses(classroom: Any) -> None:
    (one,) = students(classroom, 1)
    mark = {"view": "anterior", "row": 5.0, "column": 3.0, "kind": None}
    for _ in range(2):
        token = classroom.case("cohort", one)["case"]["token"]
        assert classroom.answer(token, positive=True, marks=[mark], http=one).status_code == 200
    page = classroom.teacher.get("/classroom").text
    assert "nothing that takes up more tracer" in page
    assert "What was taken for a metastasis" in page


def test_a_frozen_test_has_the_same_cases_for_all_and_tells_nothing_until_it_is_closed(
    classroom: Any, routes: Routes
) -> None:
    one, other = students(classroom, 2)
    assert send(classroom, "/test", course="cohort", cases=2).status_code == 200
    pictures = []
    for http in (one, other):
        assert "/case/test-1" in http.get("/").text
        mine = []
        for _ in range(2):
            entry = classroom.case("test-1", http)["case"]
            mine.append(http.get(f"/api/images/{entry['token']}").content)
            answer = classroom.answer(entry["token"], positive=True, http=http)
            assert answer.json()["feedback"] is None
            for path in ("feedback", "model"):
                assert http.get(f"/api/{path}/{entry['token']}").status_code == 404
        pictures.append(mine)
        assert classroom.case("test-1", http)["case"] is None
        assert http.get("/review/test-1").status_code == 404
        for path in ("/export/answers.csv", "/export/statements.json"):
            assert "test-1" not in http.get(path).text
        assert "No case is answered yet" in http.get("/progress").text
    assert pictures[0] == pictures[1]
    assert "2 of 2" in classroom.teacher.get("/classroom").text
    assert send(classroom, "/release", test="test-1").status_code == 200
    review = one.get("/review/test-1")
    assert review.status_code == 200
    token = re.search(r'data-review="([^ "]+)', review.text)
    assert token is not None
    told = one.get(f"/api/feedback/{token[1]}").json()
    assert told["feedback"]["says"].split(":")[0] in ("Right", "Wrong")
    assert other.get(f"/api/feedback/{token[1]}").status_code == 404
    assert one.get("/export/answers.csv").text.count("test-1") == 2


def test_the_course_that_is_set_is_marked(classroom: Any) -> None:
    (one,) = students(classroom, 1)
    assert "set by your teacher" not in one.get("/").text
    send(classroom, "/course", course="cohort")
    assert "set by your teacher" in one.get("/").text
    assert send(classroom, "/course", course="no-such").status_code == 404


@pytest.mark.parametrize("who", ["nobody", "student"])
def test_only_the_teacher_may_do_what_a_teacher_does(
    classroom: Any, routes: Routes, who: str
) -> None:
    http = classroom.visitor() if who == "nobody" else students(classroom, 1)[0]
    forms = {"count": 1, "student": "s01", "course": "cohort", "cases": 2, "test": "test-1"}
    for method, path in routes(classroom.teaching.app):
        if not path.startswith("/classroom"):
            continue
        form = {"csrf": classroom.csrf(http) or "x", **forms} if method == "POST" else None
        answer = http.request(method, path, data=form)
        assert answer.status_code in (401, 403), (method, path)
    if who == "nobody":
        for path in ("/", "/course/cohort", "/case/cohort", "/progress", "/certificate"):
            answer = http.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        for path in ("/api/case?course=cohort", "/api/images/x", "/export/answers.csv"):
            assert http.get(path).status_code == 401


def test_a_student_who_lost_the_password_gets_a_new_link(classroom: Any) -> None:
    students(classroom, 1)
    answer = send(classroom, "/invite", student="s01")
    (link,) = re.findall(r"/invitation/[\w-]+", answer.text)
    assert classroom.join(link).get("/").status_code == 200
    assert send(classroom, "/invite", student="teacher").status_code == 404
    assert send(classroom, "/students", count=501).status_code == 422
