"""Serving `bonescint teach`: where progress is kept, what is started, and in which order.

The first case is being simulated before the web framework is loaded: a learner waits for both.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bonescint.extras import require
from bonescint.scan import ParameterError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from bonescint.study.web.dependencies import ServeSettings
    from bonescint.teach.cases import CohortCases
    from bonescint.teach.classroom import Classroom
    from bonescint.teach.courses import Course
    from bonescint.teach.records import AnsweredCase, Records
    from bonescint.teach.supply import CaseSupply
    from bonescint.teach.web.source import CaseSource

LOCAL = "learner"
"""The name of the only learner where there are no accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeachOptions:
    """What is taught, and where progress is kept.

    Attributes:
        course: to open at once: a name, or a YAML file with a course of one's own.
        cohort: manifest whose scans are the cases; simulated ones if `None`.
        classroom: whether a teacher and students sign in.
        progress: file for the answers; in the user's data folder if `None`.
        model: a model folder, a name of `bonescint model list`, or `"none"`.
        seed: seed of everything that is random.
    """

    course: str = ""
    cohort: Path | None = None
    classroom: bool = False
    progress: Path | None = None
    model: str = "shipped"
    seed: int = 0

    @property
    def records_file(self) -> Path:
        """The file with the answers."""
        if self.progress is not None:
            return self.progress
        return data_folder() / ("classroom.sqlite" if self.classroom else "teach.sqlite")

    @property
    def accounts_file(self) -> Path:
        """The file with a classroom's accounts, beside the answers."""
        records = self.records_file
        return records.with_name(f"{records.stem}-accounts.sqlite")


def data_folder() -> Path:
    r"""The folder in which this user's programs keep their data.

    `$XDG_DATA_HOME/bonescint` or `~/.local/share/bonescint`; on macOS
    `~/Library/Application Support/bonescint`, on Windows `%LOCALAPPDATA%\bonescint`.
    """
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "bonescint"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "bonescint"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "bonescint"


class Teaching:
    """Everything that a server of `bonescint teach` holds open. Use it as a context manager.

    Args:
        options: what is taught.
        settings: where it is served.

    Attributes:
        app: the application.
        classroom: accounts and tests; `None` for one learner.
        first_page: path of the page to open.

    Raises:
        ParameterError: served to other machines without accounts.
        InputError: a course or a cohort that cannot be used.
        RecordsError: answers that cannot be read.
        ModelFolderError: a model that cannot be used.
    """

    app: FastAPI
    classroom: Classroom | None
    first_page: str

    def __init__(self, options: TeachOptions, settings: ServeSettings) -> None:
        if not options.classroom and not (settings.is_loopback and not settings.behind_proxy):
            requirement = "loopback, unless --classroom asks everybody to sign in"
            raise ParameterError("host", "bonescint teach", requirement, settings.host)
        self._options, self._settings = options, settings
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self._start(opened)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _start(self, opened: ExitStack) -> None:
        """Begin to simulate, then load what serves."""
        from bonescint.teach.cases import CohortCases
        from bonescint.teach.records import Records
        from bonescint.teach.supply import CaseSupply
        from bonescint.teach.web.source import CaseSource

        options = self._options
        cohort = None if options.cohort is None else CohortCases(options.cohort)
        courses, chosen = _courses_of(options.course, cohort)
        self.first_page = f"/course/{chosen}" if chosen else "/"
        records = opened.enter_context(Records(options.records_file))
        self.classroom = self._opened_classroom(opened)
        by_name = {course.name: course for course in courses}
        supply = opened.enter_context(
            CaseSupply(records, by_name, seed=options.seed, cohort=options.cohort)
        )
        scan_ids = () if cohort is None else cohort.scan_ids
        source = CaseSource(records, supply, by_name, self.classroom, scan_ids=scan_ids)
        if self.classroom is None:
            me = records.trainee(LOCAL, now_s=time.time())
            supply.issued(me, chosen or _next_course(courses, records.answered(me)))
        self.app = self._made_app(opened, records, supply, source, courses)

    def _opened_classroom(self, opened: ExitStack) -> Classroom | None:
        if not self._options.classroom:
            return None
        from bonescint.teach.classroom import Classroom

        return opened.enter_context(Classroom(self._options.accounts_file))

    def _made_app(
        self,
        opened: ExitStack,
        records: Records,
        supply: CaseSupply,
        source: CaseSource,
        courses: Sequence[Course],
    ) -> FastAPI:
        from bonescint.teach.kinds import how_to_tell, read_kinds
        from bonescint.teach.web.app import classroom_app, local_app
        from bonescint.teach.web.board import Board
        from bonescint.teach.web.desk import Desk
        from bonescint.teach.web.model_answers import ModelAnswers

        model = ModelAnswers(self._options.model)
        opened.callback(model.close)
        read_kinds()  # they stay in memory, so that no answer waits for them
        desk = Desk(records, source, model, how_to_tell)
        board = Board(
            records,
            supply,
            courses,
            self._options.records_file.parent / "examples",
            simulated=self._options.cohort is None,
            place=str(self._options.records_file),
            classroom=self.classroom,
        )
        if self.classroom is None:
            return local_app(desk, board, self._settings)
        return classroom_app(desk, board, self.classroom, self._settings)


def _courses_of(course: str, cohort: CohortCases | None) -> tuple[tuple[Course, ...], str]:
    """The courses, and the name of the one to open at once; empty if none is chosen."""
    from bonescint.teach.courses import read_course, read_courses

    if cohort is not None:
        if course:
            raise ParameterError("course", "bonescint teach", "absent with a cohort", course)
        own = _cohort_course(cohort)
        return (own,), own.name
    file = Path(course)
    if course and file.suffix in (".yaml", ".yml"):
        return read_courses([file]), read_course(file).name
    if course:
        read_course(course)  # an unknown name is refused, with those that exist
    return read_courses(), course


def _cohort_course(cohort: CohortCases) -> Course:
    from bonescint.teach.courses import Completion, ContrastRange, Course
    from bonescint.teach.supply import COHORT

    count = len(cohort.scan_ids)
    left_out = (
        f" {cohort.left_out} positive scans without a mask or a truth file are left out."
        if cohort.left_out
        else ""
    )
    return Course(
        name=COHORT,
        title="Your cohort",
        order=1,
        aim="Read the scans of your own cohort.",
        introduction=(f"{count} scans, each once, in an order of your own.{left_out}",),
        mimics={},
        lesions={},
        contrast_to_noise=ContrastRange(low=1, high=1000),
        prevalence=0,
        cases=min(count, 1000),
        completion=Completion(of_last=1, right=0),
    )


def _next_course(courses: Sequence[Course], answered: Sequence[AnsweredCase]) -> str:
    """The course of the last answer, or the first one: the one that is likely to go on."""
    names = [course.name for course in courses]
    last = [one.issued.course for one in answered[-1:]]
    return last[0] if last and last[0] in names else names[0]


def serve_teaching(
    options: TeachOptions,
    settings: ServeSettings,
    *,
    ready: Callable[[str], None] | None = None,
    notice: Callable[[str], None] | None = None,
) -> None:
    """Serve until Ctrl-C.

    Args:
        options: what is taught.
        settings: where it is served.
        ready: called with the address of the first page once it can be opened.
        notice: called with lines for the person who runs the server.

    Raises:
        InputError: a course or a cohort that cannot be used.
        ModelFolderError: a model that cannot be used.
        OutputError: the port is taken, or answers cannot be stored.
        MissingExtraError: the extra `teach` is not installed.
    """
    _require_libraries()
    with Teaching(options, settings) as teaching:
        from bonescint.study.serving import listening, serve_until_stopped

        if notice is not None:
            notice(f"Answers are stored in {options.records_file}")
        with listening(settings) as listener:

            def opened(address: str) -> None:
                link = teaching.classroom.teacher_link() if teaching.classroom else None
                if link is not None and notice is not None:
                    notice(f"Link for the teacher, once: {address}{link.path}")
                if ready is not None:
                    ready(f"{address}{teaching.first_page}")

            serve_until_stopped(teaching.app, settings, listener, ready=opened)


@contextmanager
def running_teaching(
    options: TeachOptions, settings: ServeSettings
) -> Iterator[tuple[str, Teaching]]:
    """Serve in a thread of this process.

    Args:
        options: what is taught.
        settings: where it is served.

    Yields:
        The address, and what the server holds.
    """
    _require_libraries()
    from bonescint.study.serving import listening, running_app

    with (
        Teaching(options, settings) as teaching,
        listening(settings) as listener,
        running_app(teaching.app, settings, listener) as address,
    ):
        yield address, teaching


def _require_libraries() -> None:
    require("fastapi", "sqlalchemy", "argon2", "fsrs", "mujoco", extra="teach")
