"""What the pages besides the case show: courses, progress, certificate, the teacher's page."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bonescint.report.document_page import PageTable
from bonescint.scan import SiteGroup, UptakeSite
from bonescint.study.errors import RefusedError
from bonescint.teach.appearances import Appearance
from bonescint.teach.classroom import Classroom, FrozenTest
from bonescint.teach.courses import Course, Example, kind_named, teachable_kinds
from bonescint.teach.kinds import kinds_of, read_kinds
from bonescint.teach.progress import learner_progress
from bonescint.teach.records import AnsweredCase, Records, Trainee
from bonescint.teach.supply import CaseSupply, course_done
from bonescint.teach.tally import NONE, Tally, share_text
from bonescint.teach.tutor import LearnerState
from bonescint.teach.web import progress_view
from bonescint.teach.xapi import statements

_Json = dict[str, Any]
CLAIMS = (
    "This page says what was done with bonescint teach, on simulated scans unless a cohort was "
    "given. It certifies no skill, and nothing about reading scans of patients. For teaching. Not "
    "a medical device."
)
_KEPT = "Your answers are stored in {}, and nowhere else."


def kinds_by_group() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Names that a mark can get besides metastasis, by the group in which they are counted.

    Examples:
        >>> dict(kinds_by_group())["prosthesis"][0]
        'hip prosthesis'
    """
    groups = [group for group in SiteGroup if group not in (SiteGroup.METASTASIS, SiteGroup.OTHER)]
    return tuple(
        (group.value, tuple(site.value for site in UptakeSite if site.group is group))
        for group in groups
    )


def _alt(example: Example) -> str:
    return f"Simulated {example.view.value} view: {example.shows or 'normal'}"


def _form(example: Example) -> str:
    """What the picture is, as classes of the page's styles."""
    pair = " pair" if example.shows == Appearance.FLARE else ""
    return f"whole{pair}" if example.whole_body else "part"


class Board:
    """Content of the pages besides the case.

    Args:
        records: where answers are stored.
        supply: knows what the tutor knows of a learner.
        courses: in their order.
        examples: folder for pictures of a teacher's own courses.
        simulated: whether all patients are.
        place: of the answers, for people.
        classroom: students and tests; `None` for one learner.
    """

    def __init__(
        self,
        records: Records,
        supply: CaseSupply,
        courses: Sequence[Course],
        examples: Path,
        *,
        simulated: bool,
        place: str,
        classroom: Classroom | None = None,
    ) -> None:
        self._records, self._supply, self._examples = records, supply, examples
        self._courses = {course.name: course for course in courses}
        self.simulated, self.classroom = simulated, classroom
        self.kept = "" if classroom else _KEPT.format(place)

    def course(self, name: str) -> Course:
        """A course by its name.

        Raises:
            RefusedError: there is no such course.
        """
        found = self._courses.get(name)
        if found is None:
            raise RefusedError("not-found", "There is no such course.", status=404)
        return found

    def _trainee(self, name: str) -> Trainee:
        return self._records.trainee(name, now_s=time.time())

    def _answered(self, name: str) -> tuple[AnsweredCase, ...]:
        return self._supply.history(self._trainee(name))

    def _told(self, name: str) -> tuple[AnsweredCase, ...]:
        """The answered cases of which a learner may know the truth: not those of an open test."""
        tests = self.classroom.tests() if self.classroom else ()
        open_tests = {test.name for test in tests if not test.released}
        return tuple(one for one in self._answered(name) if one.issued.course not in open_tests)

    # --- courses --------------------------------------------------------------------------

    def courses_of(self, name: str) -> list[_Json]:
        """Every course, with what a learner has done of it."""
        answered = self._answered(name)
        chosen = self.classroom.course if self.classroom else ""
        return [
            {
                "name": course.name,
                "order": course.order,
                "title": course.title,
                "aim": course.aim,
                "cases": course.cases,
                "set": course.name == chosen,
                **_state(course, answered),
            }
            for course in self._courses.values()
        ]

    def tests_of(self, name: str) -> list[_Json]:
        """The tests of the classroom, with what a learner has done of each."""
        if self.classroom is None:
            return []
        answered = self._answered(name)
        return [
            {
                "name": test.name,
                "title": test.title,
                "released": test.released,
                "cases": len(test.specs),
                "answered": sum(one.issued.course == test.name for one in answered),
            }
            for test in self.classroom.tests()
        ]

    def course_page(self, name: str, course_name: str) -> _Json:
        """The introduction to a course."""
        course = self.course(course_name)
        answered = self._answered(name)
        others = [self._courses[other] for other in course.prerequisites if other in self._courses]
        return {
            "course": course,
            "missing": [one for one in others if not _state(one, answered)["done"]],
            "examples": [
                {
                    "path": f"/example/{course.name}/{number}",
                    "caption": example.caption,
                    "alt": _alt(example),
                    "form": _form(example),
                }
                for number, example in enumerate(course.examples)
            ],
            "kinds": [
                {
                    "path": f"/kind/{teachable_kinds().index(kind_named(text.example.shows))}",
                    "alt": _alt(text.example),
                    "form": _form(text.example),
                    "text": text,
                }
                for text in kinds_of(course)
            ],
            **_state(course, answered),
        }

    def case_page(self, course_name: str) -> _Json:
        """The page on which the cases of a course or a test are read."""
        test = self._test(course_name)
        title = test.title if test else self.course(course_name).title
        content = {"name": course_name, "title": title}
        return {"course": content, "kinds": kinds_by_group(), "review": ()}

    def review_page(self, name: str, course_name: str) -> _Json:
        """The page on which a learner looks at the answers of a course or a test again.

        Raises:
            RefusedError: there are none, or they are of a test that is not closed.
        """
        test = self._test(course_name)
        mine = [one for one in self._answered(name) if one.issued.course == course_name]
        if not mine or (test is not None and not test.released):
            raise RefusedError("not-found", "There are no answers to look at.", status=404)
        return {**self.case_page(course_name), "review": [one.issued.case_id for one in mine]}

    def _test(self, name: str) -> FrozenTest | None:
        tests = self.classroom.tests() if self.classroom else ()
        return next((test for test in tests if test.name == name), None)

    def example(self, course_name: str, number: int) -> bytes:
        """A picture of the introduction to a course.

        Raises:
            RefusedError: there is no such picture.
        """
        return self._picture(self.course(course_name).examples, number)

    def kind_picture(self, number: int) -> bytes:
        """The picture of a kind of finding, by its place in `teachable_kinds()`.

        Raises:
            RefusedError: there is no such picture.
        """
        return self._picture([read_kinds()[kind].example for kind in teachable_kinds()], number)

    def _picture(self, examples: Sequence[Example], number: int) -> bytes:
        from bonescint.teach.examples import example_picture

        if not 0 <= number < len(examples):
            raise RefusedError("not-found", "There is no such picture.", status=404)
        return example_picture(examples[number], self._examples)

    # --- progress -------------------------------------------------------------------------

    def progress_page(self, name: str) -> _Json:
        """How a learner does: numbers, sentences, charts and tables."""
        progress = learner_progress(self._told(name))
        return {
            "whose": "" if self.classroom is None else name,
            "numbers": progress_view.numbers(progress),
            "sentences": progress.sentences(),
            "figures": progress_view.charts(progress),
            "tables": progress_view.tables(progress),
        }

    def certificate(self, name: str) -> _Json:
        """What was done, in lines."""
        answered = self._told(name)
        tally = Tally.of(answered)
        done = [
            course.title for course in self._courses.values() if _state(course, answered)["done"]
        ]
        days = sorted(time.strftime("%Y-%m-%d", time.gmtime(one.answered_s)) for one in answered)
        lines = [
            ("Cases read", str(tally.cases)),
            ("Correct answers, yes or no", share_text(tally.right, tally.cases)),
            ("Visible metastases found", share_text(tally.found, tally.lesions)),
            ("Courses done", ", ".join(done) or NONE),
            ("Between", f"{days[0]} and {days[-1]} (UTC)" if days else NONE),
        ]
        return {"lines": lines, "whose": "" if self.classroom is None else name, "claims": CLAIMS}

    def export(self, name: str, file: str) -> tuple[bytes, str]:
        """A learner's own answers as a file, and its media type.

        Raises:
            RefusedError: there is no such file.
        """
        if file == "statements.json":
            found = statements(self._trainee(name), self._told(name), self._courses)
            return json.dumps(found, indent=1).encode(), "application/json"
        if file != "answers.csv":
            raise RefusedError("not-found", "There is no such file.", status=404)
        stream = io.StringIO()
        table = csv.writer(stream, lineterminator="\r\n")
        table.writerow(_COLUMNS)
        table.writerows(_row(one) for one in self._told(name))
        return stream.getvalue().encode(), "text/csv; charset=utf-8"

    # --- the teacher ----------------------------------------------------------------------

    def classroom_page(self) -> _Json:
        """The group: students, tests, confusions."""
        if self.classroom is None:
            raise RefusedError("not-found", "This page does not exist.", status=404)
        names = self.classroom.students()
        answered = {name: self._answered(name) for name in names}
        everything = [one for cases in answered.values() for one in cases]
        return {
            "students": [_student(name, cases) for name, cases in answered.items()],
            "tests": [_test_row(test, answered.values()) for test in self.classroom.tests()],
            "courses": list(self._courses.values()),
            "course_set": self.classroom.course,
            "confusions": _confusions(everything) if everything else (),
        }


_COLUMNS = (
    "course", "number", "answered_utc", "positive", "called", "confidence", "seconds",
    "lesions", "lesions_found", "false_marks", "model_probability",
)  # fmt: skip


def _row(one: AnsweredCase) -> tuple[object, ...]:
    outcome = one.outcome
    return (
        one.issued.course,
        one.issued.number + 1,
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one.answered_s)),
        int(outcome.positive),
        int(outcome.called),
        outcome.confidence,
        round(outcome.seconds, 1),
        len(outcome.lesions),
        sum(lesion.confidence is not None for lesion in outcome.lesions),
        len(outcome.false_marks),
        one.issued.model_probability,
    )


def _state(course: Course, answered: Sequence[AnsweredCase]) -> _Json:
    """How far a course is, and whether it is done."""
    count = sum(one.issued.course == course.name for one in answered)
    return {"answered": count, "done": course_done(course, answered)}


def _confusions(answered: Sequence[AnsweredCase]) -> tuple[PageTable, ...]:
    """What the group takes for metastases and misses; one staircase for all would say nothing."""
    in_time = sorted(answered, key=lambda one: one.answered_s)
    progress = learner_progress(in_time, LearnerState())
    return progress_view.tables(progress, group=True)


def _student(name: str, answered: Sequence[AnsweredCase]) -> _Json:
    tally = Tally.of(answered)
    return {
        "pseudonym": name,
        "cases": tally.cases,
        "right": share_text(tally.right, tally.cases),
        "found": share_text(tally.found, tally.lesions),
        "false_marks": f"{tally.false_marks / tally.cases:.2f}" if tally.cases else NONE,
    }


def _test_row(test: FrozenTest, everybody: Iterable[Sequence[AnsweredCase]]) -> _Json:
    mine = [[one for one in cases if one.issued.course == test.name] for cases in everybody]
    right = [one.outcome.right for cases in mine for one in cases]
    return {
        "name": test.name,
        "title": test.title,
        "cases": len(test.specs),
        "released": test.released,
        "finished": sum(len(cases) == len(test.specs) for cases in mine),
        "right": share_text(sum(right), len(right)),
    }
