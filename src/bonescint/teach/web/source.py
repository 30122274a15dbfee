"""Cases of courses, of a user's cohort and of frozen tests, from one place."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence

from bonescint.scan import ParameterError
from bonescint.study.errors import RefusedError
from bonescint.teach.cases import CaseSpec, TeachingCase
from bonescint.teach.classroom import Classroom, FrozenTest
from bonescint.teach.courses import Course
from bonescint.teach.records import IssuedCase, Records, Trainee
from bonescint.teach.supply import CaseSupply
from bonescint.teach.tutor import Tutor

_TESTS_AHEAD = 2


class CaseSource:
    """Which case a learner reads next, in a course or in a test.

    Args:
        records: which cases were given out.
        supply: makes them.
        courses: by name.
        classroom: whose tests are given out, too.
        scan_ids: of a user's cohort, from which tests are drawn then.
    """

    def __init__(
        self,
        records: Records,
        supply: CaseSupply,
        courses: Mapping[str, Course],
        classroom: Classroom | None = None,
        *,
        scan_ids: Sequence[str] = (),
    ) -> None:
        self._records, self._supply = records, supply
        self._courses, self._classroom = courses, classroom
        self._scan_ids = tuple(scan_ids)

    def test(self, name: str) -> FrozenTest | None:
        """The test of a name; `None` if a course is called so."""
        tests = self._classroom.tests() if self._classroom else ()
        return next((test for test in tests if test.name == name), None)

    def cases_of(self, name: str) -> int:
        """Number of cases of a course or a test.

        Raises:
            RefusedError: there is neither.
        """
        test = self.test(name)
        if test is not None:
            return len(test.specs)
        if name not in self._courses:
            raise RefusedError("not-found", "There is no such course.", status=404)
        return self._courses[name].cases

    def issued(self, trainee: Trainee, name: str) -> IssuedCase | None:
        """The case to read now; `None` when all are answered, or the test is closed.

        Raises:
            RefusedError: there is no such course.
        """
        test = self.test(name)
        if test is not None:
            return None if test.released else self._issued_of_test(trainee, test)
        try:
            return self._supply.issued(trainee, name)
        except ParameterError as error:
            raise RefusedError("not-found", "There is no such course.", status=404) from error

    def _issued_of_test(self, trainee: Trainee, test: FrozenTest) -> IssuedCase | None:
        waiting = self._records.waiting(trainee, test.name)
        history = self._records.answered(trainee)
        done = sum(one.issued.course == test.name for one in history)
        for number in range(done + len(waiting), min(done + _TESTS_AHEAD, len(test.specs))):
            spec, case_id = test.specs[number], secrets.token_hex(12)
            self._records.issue(trainee, test.name, number, case_id, spec, now_s=time.time())
        waiting = self._records.waiting(trainee, test.name)
        for one in waiting:
            self._supply.prepare(one)
        return waiting[0] if waiting else None

    def made(self, issued: IssuedCase) -> TeachingCase | None:
        """A case with its truth; `None` while it is being made.

        Raises:
            BonescintError: it cannot be made.
        """
        return self._supply.made(issued)

    def answered(self, trainee: Trainee, name: str) -> None:
        """Choose and begin what comes next, now that a case is answered."""
        if self.test(name) is None:
            self._supply.answered(trainee, name)
        else:
            self.issued(trainee, name)

    def test_specs(self, course: str, count: int) -> tuple[CaseSpec, ...]:
        """Cases of a new test, like those of a course; the same for everybody.

        Raises:
            RefusedError: there is no such course.
        """
        self.cases_of(course)
        if self._scan_ids:
            drawn = secrets.SystemRandom().sample(self._scan_ids, min(count, len(self._scan_ids)))
            return tuple(CaseSpec(seed=0, course=course, scan_id=scan_id) for scan_id in drawn)
        tutor = Tutor(course=self._courses[course], seed=secrets.token_hex(16))
        return tutor.fixed_specs(count)
