"""Cases ahead of time: worker processes simulate the next ones while a learner reads.

Nothing is simulated in the process that serves learners. A case that was made ahead is a file, so
that memory is bounded however many learners there are, and a restart finds it again.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from bonescint.files import make_folder
from bonescint.parallel import WorkerDiedError, WorkerPool, available_cores
from bonescint.scan import BonescintError, InputError, ParameterError
from bonescint.teach.case_files import first_case, first_specs, read_case, write_case
from bonescint.teach.cases import CaseSpec, CohortCases, TeachingCase, simulate_case
from bonescint.teach.courses import Course, read_course
from bonescint.teach.records import AnsweredCase, IssuedCase, Records, Trainee
from bonescint.teach.tutor import LearnerState, Tutor

AHEAD = 2
"""So many cases beyond the present one are fixed and made: what is missed comes back after them."""

COHORT = "cohort"
"""Name of the only course where the cases are those of a user's cohort."""

_TASK_S = 300.0


def _make(spec: CaseSpec, case_id: str, path: Path, cohort: Path | None) -> None:
    """Make one case and write it: the task of a worker process."""
    case = simulate_case(spec, case_id) if cohort is None else _cohort(cohort).read(spec, case_id)
    write_case(case, path)


def _warm_up() -> None:
    """Make what every simulated case needs, before the first one is asked for."""
    from bonescint.simulate.reference_skeleton import reference_skeleton

    reference_skeleton()


@lru_cache(1)
def _cohort(path: Path) -> CohortCases:
    return CohortCases(path)


def course_done(course: Course, answered: Sequence[AnsweredCase]) -> bool:
    """Whether a course is finished: its cases are answered, and enough of the last were right.

    Args:
        course: the course.
        answered: all that a learner has answered, of this course and of others.
    """
    mine = [one.outcome.right for one in answered if one.issued.course == course.name]
    last = mine[-course.completion.of_last :]
    return len(mine) >= course.cases and sum(last) >= course.completion.right * len(last)


@dataclass(slots=True)
class _Known:
    """What is known of a learner so far; it grows with each answer."""

    history: list[AnsweredCase] = field(default_factory=list)
    state: LearnerState = field(default_factory=LearnerState)


class CaseSupply:
    """Issues cases to learners and makes them ahead. Use it as a context manager.

    Safe to call from several threads.

    Args:
        records: where issued cases and answers are kept.
        courses: by name.
        seed: the same seed, learner and answers give the same cases; 0 draws one once and keeps it
            in the records.
        cohort: manifest whose scans are the cases, instead of simulated ones.
        workers: number of worker processes; one fewer than there are cores if `None`.
        clock: seconds since 1970, UTC.

    Raises:
        InputError: a cohort that cannot be used, or another one than the records are of.
        OutputError: the folder of the records cannot be written.
    """

    def __init__(
        self,
        records: Records,
        courses: Mapping[str, Course],
        *,
        seed: int = 0,
        cohort: Path | None = None,
        workers: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records, self._courses, self._clock = records, dict(courses), clock
        self._secret = records.setting("secret", secrets.token_hex(16))
        self._seed = str(seed) if seed else self._secret
        self._cohort = cohort
        self._scan_ids = () if cohort is None else self._own_scans(CohortCases(cohort))
        self._making: dict[str, Future[None]] = {}
        self._known: dict[int, _Known] = {}
        self._lock = threading.RLock()
        self._closing = ExitStack()
        self._folder = self._place()
        count = max(1, available_cores() - 1) if workers is None else workers
        self._pool = self._closing.enter_context(WorkerPool(count, timeout_s=_TASK_S))
        if cohort is None:
            for _ in range(count):
                self._pool.submit(_warm_up)

    def _own_scans(self, cohort: CohortCases) -> tuple[str, ...]:
        """The scans of the cohort that the records are of: a stored case is a scan's identifier."""
        if self._records.setting("cohort", cohort.sha256) != cohort.sha256:
            raise InputError(
                self._records.path,
                "holds answers to another cohort, or to other scans of this one",
                "Give another --progress",
            )
        return cohort.scan_ids

    def _place(self) -> Path:
        """The folder of cases made ahead: beside the records; for real scans one that goes."""
        if self._cohort is not None:
            return Path(self._closing.enter_context(tempfile.TemporaryDirectory()))
        folder = self._records.path.with_suffix(".ahead")
        make_folder(folder, mode=0o700)
        wanted = self._records.waiting_ids()
        for file in folder.glob("*.npz"):
            if file.stem not in wanted:
                file.unlink(missing_ok=True)
        return folder

    def __enter__(self) -> CaseSupply:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        self._closing.close()

    @property
    def courses(self) -> tuple[str, ...]:
        """Names of the courses whose cases can be issued."""
        return (COHORT,) if self._cohort is not None else tuple(self._courses)

    def history(self, trainee: Trainee) -> tuple[AnsweredCase, ...]:
        """Every answered case of a learner."""
        with self._lock:
            return tuple(self._up_to_date(trainee).history)

    def state(self, trainee: Trainee) -> LearnerState:
        """What the tutor knows of a learner."""
        with self._lock:
            return self._up_to_date(trainee).state

    def _up_to_date(self, trainee: Trainee) -> _Known:
        known = self._known.setdefault(trainee.id, _Known())
        for case in self._records.answered(trainee, skip=len(known.history)):
            known.history.append(case)
            known.state = known.state.after(
                case.outcome, at_s=case.answered_s, appearance=case.issued.spec.appearance
            )
        return known

    def issued(self, trainee: Trainee, course: str) -> IssuedCase | None:
        """The case of a course that a learner reads now; the next ones are begun.

        Returns:
            `None` when the course is finished.

        Raises:
            ParameterError: no such course.
        """
        with self._lock:
            if course not in self.courses:
                known = f"one of {', '.join(self.courses)}"
                raise ParameterError("course", "CaseSupply", known, course)
            if self._is_done(trainee, course):
                return None
            self._issue_ahead(trainee, course)
            waiting = self._records.waiting(trainee, course)
            for one in waiting[: AHEAD + 1]:
                self.prepare(one)
            return waiting[0]

    def answered(self, trainee: Trainee, course: str) -> None:
        """Fix and begin the case after the next ones, now that one has been answered."""
        with self._lock:
            for one in self.history(trainee)[-1:]:
                self._file(one.issued.case_id).unlink(missing_ok=True)
            if course in self.courses:
                self.issued(trainee, course)

    def made(self, issued: IssuedCase) -> TeachingCase | None:
        """A case with its truth; `None` while it is being made.

        Raises:
            BonescintError: it cannot be made.
        """
        ready = first_case(issued.spec, issued.case_id)
        if ready is not None:
            return ready
        with self._lock:
            task = self._making.get(issued.case_id)
            if task is not None:
                if not task.done():
                    return None
                del self._making[issued.case_id]
                error = task.exception()
                if error is not None and not isinstance(error, WorkerDiedError):
                    raise error
            file = self._file(issued.case_id)
            if not file.is_file():  # never begun, lost with its worker, or answered long ago
                self.prepare(issued)
                return None
        try:
            return read_case(file, issued.case_id)
        except InputError:
            file.unlink(missing_ok=True)
            self.prepare(issued)
            return None

    def wait(self, issued: IssuedCase, *, timeout_s: float = _TASK_S) -> TeachingCase:
        """A case with its truth, once it is made.

        Raises:
            BonescintError: it cannot be made in time.
        """
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            case = self.made(issued)
            if case is not None:
                return case
            with self._lock:
                task = self._making.get(issued.case_id)
            if task is not None:
                with suppress(BonescintError, TimeoutError):
                    task.result(timeout=max(0.0, until - time.monotonic()))
        raise BonescintError("The case could not be made in time. Try again.")

    def prepare(self, issued: IssuedCase) -> None:
        """Begin to make a case, unless it is there or being made."""
        with self._lock:
            file = self._file(issued.case_id)
            here = issued.case_id in self._making or file.is_file()
            if not here and first_case(issued.spec, issued.case_id) is None:
                self._making[issued.case_id] = self._pool.submit(
                    _make, issued.spec, issued.case_id, file, self._cohort
                )

    def _file(self, case_id: str) -> Path:
        return self._folder / f"{case_id}.npz"

    def _is_done(self, trainee: Trainee, course: str) -> bool:
        if self._cohort is not None:
            return False
        return course_done(self._courses[course], self.history(trainee))

    def _issue_ahead(self, trainee: Trainee, course: str) -> None:
        """Fix the cases up to `AHEAD` beyond the present one.

        A case is chosen by what had been answered `AHEAD` cases before it, however long anything
        took, so that the same answers give the same cases.
        """
        known = self._up_to_date(trainee)
        begun = sum(one.issued.course == course for one in known.history)
        there = begun + len(self._records.waiting(trainee, course))
        for number in range(there, begun + AHEAD + 1):
            self._records.issue(
                trainee,
                course,
                number,
                case_id=self._case_id(trainee, course, number),
                spec=self._spec(trainee, course, number, known),
                now_s=self._clock(),
            )

    def _case_id(self, trainee: Trainee, course: str, number: int) -> str:
        """A name that only somebody with the secret of these records can make."""
        said = f"{trainee.id}/{course}/{number}".encode()
        return hashlib.blake2b(said, key=self._secret.encode(), digest_size=12).hexdigest()

    def _spec(self, trainee: Trainee, course: str, number: int, known: _Known) -> CaseSpec:
        seed = f"{self._seed}/{trainee.name}"
        if self._cohort is not None:
            return self._cohort_spec(seed, number)
        ready = first_specs(course) if number == 0 else ()
        if ready and self._courses[course] == read_course(course):  # not a teacher's in its place
            return ready[int(self._generator(seed, course).integers(len(ready)))]
        tutor = Tutor(course=self._courses[course], seed=seed)
        now_s = known.history[-1].answered_s if known.history else 0.0
        return tutor.spec(number, known.state, now_s=now_s)

    def _cohort_spec(self, seed: str, number: int) -> CaseSpec:
        """Every scan of the cohort once, in a random order, and then again in another one."""
        again, place = divmod(number, len(self._scan_ids))
        order = self._generator(seed, f"round {again}").permutation(len(self._scan_ids))
        return CaseSpec(seed=0, course=COHORT, scan_id=self._scan_ids[order[place]])

    @staticmethod
    def _generator(*said: str) -> np.random.Generator:
        digest = hashlib.blake2b("/".join(said).encode(), digest_size=32).digest()
        return np.random.default_rng(list(digest))
