"""The server of `bonescint teach`: cases, answers, feedback, and what is never told before."""

from __future__ import annotations

import html
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bonescint.cohort import read_manifest, write_manifest
from bonescint.scan import ParameterError, Truth
from bonescint.study.web.dependencies import ServeSettings
from bonescint.teach.serving import Teaching, TeachOptions

LEAVES = {"/api/answer"}  # answering is what ends a case


def test_the_list_of_routes_is_whole(learning: Any, routes: Callable[[Any], Any]) -> None:
    """A route that is added must be looked at here: the test below asks each of them."""
    assert {path for _, path in routes(learning.teaching.app)} == {
        "/", "/health", "/course/{name}", "/case/{name}", "/review/{name}", "/progress",
        "/certificate", "/example/{name}/{number}", "/kind/{number}", "/export/{name}", "/api/case",
        "/api/images/{token}", "/api/feedback/{token}", "/api/model/{token}", "/api/answer",
        "/static/reading.js", "/viewer/static/reading.js",
    }  # fmt: skip


def asked(learning: Any, routes: Callable[[Any], Any], token: str) -> dict[str, tuple[int, str]]:
    """The responses of all routes before the answer, without what is random."""
    found = {}
    csrf = learning.csrf()
    for method, path in routes(learning.teaching.app):
        if path in LEAVES:
            continue
        name = "answers.csv" if path.startswith("/export") else "cohort"
        place = path.replace("{name}", name).replace("{number}", "0").replace("{token}", token)
        answer = learning.http.request(
            method, place, params={"course": "cohort"}, headers={"x-csrf-token": csrf}
        )
        text = f"{dict(answer.headers)} {answer.content!r}"
        for random in (token, csrf, learning.address, learning.address[7:]):
            text = text.replace(random, "#")
        text = re.sub(r"'(date|etag|last-modified)': '[^']*'", "", text)
        found[f"{method} {path}"] = (answer.status_code, text)
    return found


def test_no_response_before_the_answer_depends_on_the_truth(
    serve: Any, cohort: Path, tmp_path: Path, routes: Callable[[Any], Any]
) -> None:
    """The same scan with disease and without: until it is answered, all responses are equal."""
    seen = []
    for positive in (True, False):
        folder = shutil.copytree(cohort.parent, tmp_path / f"cohort-{positive}")
        case = next(case for case in read_manifest(folder).cases if case.positive)
        if not positive:
            from dataclasses import replace

            from bonescint.cohort import write_truth

            case = replace(case, positive=False)
            write_truth(Truth(positive=False), folder / case.truth)
        write_manifest([case], folder / "manifest.csv")
        progress = tmp_path / "same" / "teach.sqlite"
        shutil.rmtree(progress.parent, ignore_errors=True)
        with serve(cohort=folder / "manifest.csv", progress=progress, seed=5) as learning:
            token = learning.case("cohort")["case"]["token"]
            assert len(learning.http.get(f"/api/images/{token}").content) > 1000
            seen.append(asked(learning, routes, token))
            for path in ("feedback", "model"):
                assert learning.http.get(f"/api/{path}/{token}").status_code == 404
            told = learning.answer(token, positive=True).json()["feedback"]
            assert told["right"] is positive
            assert learning.http.get(f"/api/feedback/{token}").status_code == 200
    assert seen[0] == seen[1]
    text = str(seen)
    assert "SECRET" not in text
    assert {status for status, _ in seen[0].values()} <= {200, 404}


def test_the_truth_of_every_spot_is_told_at_once(learning: Any, cohort: Path) -> None:
    manifest = read_manifest(cohort.parent)
    found: dict[bool, dict[str, Any]] = {}
    while len(found) < 2:
        token = learning.case("cohort")["case"]["token"]
        mark = {"view": "anterior", "row": 100.0, "column": 32.0, "kind": None}
        answer = learning.answer(token, positive=True, marks=[mark])
        assert answer.status_code == 200, answer.text
        found[answer.json()["feedback"]["right"]] = answer.json()["feedback"]
    wrong, right = found[False], found[True]
    assert wrong["says"] == "Wrong: this patient does not have metastatic bone disease."
    assert wrong["metastases"] == []
    assert right["says"] == "Right: this patient has metastatic bone disease."
    assert right["metastases"][0]["label"] == "M1"
    assert {one["view"] for one in right["findings"]} == {"anterior", "posterior"}
    area = right["findings"][0]["area"]
    assert abs(area["top"] + area["rows"] / 2 - right["findings"][0]["row"]) < 2
    assert len(manifest.cases) == 8


def test_a_mark_on_a_metastasis_is_right_and_one_beside_it_is_not(learning: Any) -> None:
    while True:
        token = learning.case("cohort")["case"]["token"]
        first = learning.answer(token, positive=False).json()["feedback"]
        if first["metastases"]:
            break
    place = first["findings"][0]
    again = learning.answer(token, positive=False)
    assert again.status_code == 200, "the same answer may be sent again"
    mark = {"view": place["view"], "row": place["row"], "column": place["column"], "kind": None}
    changed = learning.answer(token, positive=False, marks=[mark])
    assert changed.status_code == 409
    assert changed.json()["problem"] == "answered"
    assert "0 of 1 metastases" in first["places"]


def test_answers_must_come_from_a_page_and_be_possible(learning: Any) -> None:
    token = learning.case("cohort")["case"]["token"]
    entered = {"case": token, "answer": {"positive": True, "confidence": 5}, "seconds": 1}
    assert learning.http.post("/api/answer", json=entered).status_code == 403
    foreign = {"origin": "http://evil.example", "x-csrf-token": learning.csrf()}
    assert learning.http.post("/api/answer", json=entered, headers=foreign).status_code == 403
    outside = {"view": "anterior", "row": 9999.0, "column": 3.0, "kind": None}
    assert learning.answer(token, positive=True, marks=[outside]).status_code == 422
    assert learning.answer("0" * 24, positive=True).status_code == 404
    unknown = {"view": "anterior", "row": 9.0, "column": 3.0, "kind": "a shadow"}
    assert learning.answer(token, positive=True, marks=[unknown]).status_code == 422
    assert learning.http.get("/api/images/" + "0" * 24).status_code == 404
    assert learning.http.get("/", headers={"host": "evil.example"}).status_code == 421


def test_every_page_carries_the_policy_and_the_notice(learning: Any) -> None:
    for path in ("/", "/course/cohort", "/case/cohort", "/progress", "/certificate", "/nope"):
        answer = learning.http.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "Not a medical device" in answer.text, path
        assert "Simulated patients" not in answer.text, "a cohort's patients are real"
        assert "<script>" not in answer.text


def test_pages_ask_no_other_server() -> None:
    folder = Path(__file__).parents[3] / "src/bonescint/teach/web"
    for file in (file for file in folder.rglob("*") if file.suffix in {".jinja", ".js", ".css"}):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text), file
        assert "style=" not in text, file
        assert not re.search(r"\son[a-z]+=", text), file


def test_a_restart_goes_on_with_the_same_case(serve: Any, cohort: Path) -> None:
    with serve(cohort=cohort) as learning:
        token = learning.case("cohort")["case"]["token"]
    with serve(cohort=cohort) as learning:
        entry = learning.case("cohort")["case"]
        assert (entry["token"], entry["number"]) == (token, 1)
        learning.answer(token, positive=True)
    with serve(cohort=cohort) as learning:
        assert learning.case("cohort")["case"]["number"] == 2
        assert "<dt>Cases</dt><dd>1<small>" in learning.http.get("/progress").text


@pytest.mark.parametrize("course", ["normal-variants"])
def test_simulated_cases_say_what_every_spot_was(serve: Any, course: str) -> None:
    with serve(course=course, seed=3) as learning:
        entry = learning.case(course)["case"]
        assert entry["picture"]["unit"] == "counts"
        told = learning.answer(entry["token"], positive=False).json()["feedback"]
        names = {one["name"] for one in told["others"]}
        assert {"kidney", "bladder"} & names
        assert all(one["text"] for one in told["others"])
        assert "Simulated patients" in learning.http.get("/").text


def test_other_machines_must_sign_in(tmp_path: Path) -> None:
    settings = ServeSettings(port=0, behind_proxy=True)
    with pytest.raises(ParameterError, match="loopback, unless --classroom"):
        Teaching(TeachOptions(progress=tmp_path / "t.sqlite"), settings)


def test_an_unknown_course_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    options = TeachOptions(progress=tmp_path / "t.sqlite", course="bones")
    with (
        pytest.raises(ParameterError, match="normal-variants"),
        Teaching(options, ServeSettings(port=0)),
    ):
        raise AssertionError


def test_a_file_that_is_gone_is_not_named_to_learners(
    serve: Any, cohort: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(cohort.parent, tmp_path / "gone")
    with serve(cohort=folder / "manifest.csv") as learning:
        for file in (folder / "scans").iterdir():
            file.unlink()
        until = time.monotonic() + 120
        while time.monotonic() < until:
            answer = learning.http.get("/api/case", params={"course": "cohort"})
            if answer.status_code != 200 or answer.json()["case"]:
                break
        if answer.status_code == 200:  # the first one had been read before
            token = answer.json()["case"]["token"]
            learning.answer(token, positive=True)
            while answer.status_code == 200:
                answer = learning.http.get("/api/case", params={"course": "cohort"})
                if answer.status_code == 200 and answer.json()["case"]:
                    learning.answer(answer.json()["case"]["token"], positive=True)
        assert answer.status_code == 500
        assert answer.json()["problem"] == "case"
        assert "gone" not in answer.text
        assert ".dcm" not in answer.text


def test_nobody_else_connects(learning: Any) -> None:
    with httpx.Client(base_url=learning.address) as stranger:
        assert stranger.get("/classroom").status_code == 404
        assert stranger.get("/sign-in").status_code == 404


def test_the_page_of_a_course_explains_every_finding_of_its_cases(serve: Any) -> None:
    from bonescint.teach.courses import read_course, teachable_kinds
    from bonescint.teach.kinds import kinds_of

    with serve() as learning:
        page = html.unescape(learning.http.get("/course/superscan").text)
        texts = kinds_of(read_course("superscan"))
        assert len(texts) == 4
        for text in texts:
            assert text.tell in page
            assert all(source in page for source in text.sources)
        pictures = [*re.findall(r'src="(/example/superscan/\d+)"', page)]
        pictures += re.findall(r'src="(/kind/\d+)"', page)
        assert len(pictures) == 8
        for place in pictures:
            answer = learning.http.get(place)
            assert answer.headers["content-type"] == "image/webp"
            assert answer.content[8:12] == b"WEBP"
        assert learning.http.get(f"/kind/{len(teachable_kinds())}").status_code == 404
