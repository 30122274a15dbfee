"""Courses: the ten of the package, and a teacher's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bonescint.scan import InputError, UptakeSite
from bonescint.simulate.metastases import SUPERSCAN_FROM
from bonescint.teach.appearances import Appearance, draw_disease
from bonescint.teach.courses import read_course, read_courses

_OWN = """
name: ribs-at-our-hospital
title: Ribs at our hospital
order: 11
prerequisites: [rib-fractures]
aim: Read ribs as we do.
introduction:
  - Ribs break in rows.
mimics:
  rib fracture: 0.8
lesions:
  solitary: 1.0
contrast_to_noise: {low: 6, high: 20}
prevalence: 0.5
cases: 12
completion: {of_last: 6, right: 0.8}
examples:
  - shows: rib fracture
    seed: 3
    view: posterior
    caption: Three ribs broken in a row.
"""


def _own(folder: Path, before: str = "", after: str = "", *, name: str = "own.yaml") -> Path:
    assert before in _OWN
    path = folder / name
    path.write_text(_OWN.replace(before, after) if before else _OWN, encoding="utf-8")
    return path


def test_the_ten_courses_build_on_earlier_ones() -> None:
    courses = read_courses()
    assert [course.order for course in courses] == list(range(1, 11))
    done: set[str] = set()
    for course in courses:
        assert set(course.prerequisites) <= done, course.name
        done.add(course.name)


def test_the_last_course_has_the_numbers_of_the_study() -> None:
    """Ibrahim et al. 2023: 134 scans, as many with metastases as without."""
    course = read_courses()[-1]
    assert (course.cases, course.prevalence) == (134, 0.5)
    assert course.contrast_to_noise is None, "cases are as they are drawn"


def test_own_course_is_read_and_comes_after_those_of_the_package(tmp_path: Path) -> None:
    courses = read_courses([_own(tmp_path)])
    assert len(courses) == 11
    assert courses[-1].mimics == {UptakeSite.RIB_FRACTURE: 0.8}
    assert courses[-1].examples[0].seed == 3


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("cases: 12", "case: 12", "unknown key 'case'"),
        ("cases: 12", "cases: 0", "'cases' parameter"),
        ("cases: 12", "cases: 5", "'of_last' parameter"),
        ("order: 11", "order: first", "order: must be a whole number"),
        ("prevalence: 0.5", "prevalence: 1.5", "'prevalence' parameter"),
        ("rib fracture: 0.8", "rib fractures: 0.8", "mimics: unknown key 'rib fractures'"),
        ("rib fracture: 0.8", "rib fracture: 8", "'mimics' parameter"),
        ("rib fracture: 0.8", "metastasis: 0.8", "'mimics' parameter"),
        ("solitary: 1.0", "solitary: 0.4", "'lesions' parameter"),
        ("solitary: 1.0", "lonely: 1.0", "lesions: unknown key 'lonely'"),
        ("low: 6", "low: 60", "'high' parameter"),
        ("right: 0.8", "right: 80", "'right' parameter"),
        ("shows: rib fracture", "shows: rib", "'kind' parameter"),
        ("view: posterior", "view: lateral", "examples[0].view: must be one of"),
        ("[rib-fractures]", "[ribs-at-our-hospital]", "'prerequisites' parameter"),
        ("[rib-fractures]", "[ribs]", "prerequisites: no course is called 'ribs'"),
        ("aim: Read ribs as we do.\n", "", "aim: is missing"),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, before: str, after: str, words: str) -> None:
    path = _own(tmp_path, before, after)
    with pytest.raises(InputError) as caught:
        read_courses([path])
    assert words in str(caught.value)
    assert path.name in str(caught.value)


def test_two_own_courses_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is also the name in"):
        read_courses([_own(tmp_path), _own(tmp_path, name="again.yaml")])


def test_own_course_replaces_one_of_the_package(tmp_path: Path) -> None:
    own = _own(tmp_path, "name: ribs-at-our-hospital", "name: joints")
    courses = read_courses([own])
    assert len(courses) == 10
    assert courses[-1].title == "Ribs at our hospital"


def test_reading_a_course_by_a_name_that_does_not_exist_lists_those_that_do() -> None:
    with pytest.raises(Exception, match="normal-variants"):
        read_course("ribs")


@pytest.mark.parametrize("appearance", list(Appearance))
def test_drawn_disease_has_the_number_and_the_form_of_its_appearance(
    appearance: Appearance,
) -> None:
    rng = np.random.default_rng(5)
    drawn = [draw_disease(appearance, rng) for _ in range(40)]
    numbers = [one.lesions for one in drawn]
    assert (appearance is Appearance.SOLITARY) == (max(numbers) == 1)
    assert (appearance is Appearance.SUPERSCAN) == (max(numbers) >= SUPERSCAN_FROM)
    forms = {(one.disease.cold_share, one.disease.mixed_share) for one in drawn}
    expected = {Appearance.COLD: (1.0, 0.0), Appearance.MIXED: (0.0, 1.0)}
    assert forms == {expected.get(appearance, (0.0, 0.0))}
