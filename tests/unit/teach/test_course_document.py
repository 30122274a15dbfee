"""The document on courses: its example is a course, its lists are complete."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from bonescint.scan import UptakeSite
from bonescint.teach.appearances import Appearance
from bonescint.teach.courses import (
    Completion,
    ContrastRange,
    Course,
    Example,
    read_course,
    read_courses,
    teachable_kinds,
)

TEXT = (Path(__file__).parents[3] / "docs" / "teach-courses.md").read_text(encoding="utf-8")


def test_the_example_of_the_document_is_a_course(tmp_path: Path) -> None:
    (written,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "own.yaml"
    path.write_text(written, encoding="utf-8")
    course = read_course(path)
    assert course in read_courses([path])
    given = {line.split(":")[0] for line in written.splitlines() if re.match(r"\w+:", line)}
    assert given == {field.name for field in fields(Course)}, "the example has every key"


@pytest.mark.parametrize("kind", [Course, Example, ContrastRange, Completion])
def test_every_key_is_explained(kind: type) -> None:
    named = set(re.findall(r"`(\w+)`", TEXT)) | set(re.findall(r"(\w+):", TEXT))
    assert {field.name for field in fields(kind)} <= named


def test_every_kind_is_listed() -> None:
    assert all(f"`{kind}`" in TEXT for kind in teachable_kinds())
    assert f"each of the {len(teachable_kinds())} kinds" in TEXT
    assert len(teachable_kinds()) == len(set(UptakeSite)) - 3 + len(Appearance)


def test_the_table_of_courses_has_their_numbers() -> None:
    courses = read_courses()
    orders = {course.name: course.order for course in courses}
    for course in courses:
        (row,) = re.findall(rf"^\| {course.order} `{course.name}` \|.*$", TEXT, re.MULTILINE)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[2] == ", ".join(
            str(orders[name]) for name in sorted(course.prerequisites, key=orders.__getitem__)
        )
        assert cells[3:] == [str(course.cases), f"{100 * course.prevalence:.0f} %"]


def test_the_certificate_claims_what_the_document_says() -> None:
    pytest.importorskip("fastapi", reason="needs the extra 'teach'")
    from bonescint.teach.web.board import CLAIMS

    assert CLAIMS in " ".join(TEXT.replace("\n> ", " ").split())
