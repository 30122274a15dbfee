"""A classroom: accounts of a teacher and of students by pseudonym, the course set, frozen tests.

Accounts are those of reader studies (`bonescint.study.store`). What a teacher sets is recorded in
their store's list of changes, to which the database only lets rows be added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bonescint.schema import construct, plain
from bonescint.study.errors import RefusedError
from bonescint.study.folder import new_sqlite
from bonescint.study.store import accounts
from bonescint.study.store.accounts import Reader, Role
from bonescint.study.store.clock import clock_of
from bonescint.study.store.database import Store
from bonescint.study.store.tables import Account, Change, record_change
from bonescint.teach.cases import CaseSpec

TEACHER = "teacher"
_MOST_STUDENTS = 500
_COURSE_SET = "teach: course set"
_TEST_FROZEN = "teach: test frozen"
_TEST_RELEASED = "teach: test closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenTest:
    """The same cases for every student of a classroom, with feedback once the teacher closes it.

    Attributes:
        name: `"test-1"`, `"test-2"` and so on; records file its cases under this name.
        title: as shown.
        specs: how each case is made. Never sent to a browser.
        released: whether the teacher closed the test, so that answers are shown.
    """

    name: str
    title: str
    specs: tuple[CaseSpec, ...]
    released: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentLink:
    """An invitation for a student, or the teacher.

    Attributes:
        pseudonym: name with which to sign in.
        path: on the server, to be appended to its address; works once.
    """

    pseudonym: str
    path: str


class Classroom:
    """Who is in a classroom, and what its teacher set. Use it as a context manager.

    Args:
        file: SQLite file with the accounts; it is made if it does not exist.

    Raises:
        StudyError: the file cannot be used, or is of a newer release.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.store: Store = new_sqlite(file)
        self.store.upgrade()
        with self.store.writing() as db:
            self.clock = clock_of(db)

    def __enter__(self) -> Classroom:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def teacher_link(self) -> StudentLink | None:
        """An invitation for the teacher; `None` once the teacher has a password."""
        with self.store.writing() as db:
            now = self.clock.now()
            account = accounts.find_account(db, TEACHER)
            if account is None:
                reader = Reader(reader=TEACHER, name="Teacher")
                account = accounts.add_account(db, reader, role=Role.ADMINISTRATOR, now=now)
            if account.password_hash:
                return None
            token = accounts.invite(db, account, now=now)
        return StudentLink(pseudonym=TEACHER, path=f"/invitation/{token}")

    def students(self) -> tuple[str, ...]:
        """The pseudonyms of all students, in the order in which they were added."""
        with self.store.reading() as db:
            query = select(Account.reader).where(Account.role == Role.READER.value)
            return tuple(db.scalars(query.order_by(Account.id)))

    def add_students(self, count: int) -> tuple[StudentLink, ...]:
        """Add students under pseudonyms: s01, s02 and so on.

        Raises:
            RefusedError: too many, or none.
        """
        before = len(self.students())
        if not 1 <= count <= _MOST_STUDENTS - before:
            message = f"Add from 1 to {_MOST_STUDENTS - before} students."
            raise RefusedError("count", message, status=422)
        links = []
        with self.store.writing() as db:
            now = self.clock.now()
            for number in range(before + 1, before + count + 1):
                name = f"s{number:02d}"
                reader = Reader(reader=name, name=f"Student {number:02d}")
                account = accounts.add_account(db, reader, role=Role.READER, now=now)
                token = accounts.invite(db, account, now=now)
                links.append(StudentLink(pseudonym=name, path=f"/invitation/{token}"))
        return tuple(links)

    def invite_again(self, pseudonym: str) -> StudentLink:
        """A new link for a student who lost the link or the password.

        Raises:
            RefusedError: there is no such student.
        """
        with self.store.writing() as db:
            account = accounts.find_account(db, pseudonym)
            if account is None or account.role != Role.READER.value:
                raise RefusedError("not-found", "There is no such student.", status=404)
            token = accounts.invite(db, account, now=self.clock.now())
        return StudentLink(pseudonym=pseudonym, path=f"/invitation/{token}")

    def set_course(self, name: str) -> None:
        """Set the course that students find marked; none if empty."""
        self._record(_COURSE_SET, {"course": name})

    @property
    def course(self) -> str:
        """The course that is set; empty if none is."""
        bodies = self._bodies(_COURSE_SET)
        return str(bodies[-1]["course"]) if bodies else ""

    def freeze_test(self, title: str, specs: Sequence[CaseSpec]) -> FrozenTest:
        """Fix the cases of a new test."""
        name = f"test-{len(self._bodies(_TEST_FROZEN)) + 1}"
        body = {"name": name, "title": title, "specs": [plain(spec) for spec in specs]}
        self._record(_TEST_FROZEN, body)
        return FrozenTest(name=name, title=title, specs=tuple(specs))

    def release(self, name: str) -> None:
        """Close a test: nobody can answer its cases any more, and answers are shown."""
        self.test(name)
        self._record(_TEST_RELEASED, {"name": name})

    def test(self, name: str) -> FrozenTest:
        """A test by its name.

        Raises:
            RefusedError: there is no such test.
        """
        for test in self.tests():
            if test.name == name:
                return test
        raise RefusedError("not-found", "There is no such test.", status=404)

    def tests(self) -> tuple[FrozenTest, ...]:
        """All tests, in the order in which they were frozen."""
        released = {body["name"] for body in self._bodies(_TEST_RELEASED)}
        return tuple(
            FrozenTest(
                name=body["name"],
                title=body["title"],
                specs=tuple(
                    construct(CaseSpec, spec, "the classroom", "Restore it from a copy")
                    for spec in body["specs"]
                ),
                released=body["name"] in released,
            )
            for body in self._bodies(_TEST_FROZEN)
        )

    def _record(self, what: str, body: dict[str, Any]) -> None:
        with self.store.writing() as db:
            record_change(db, what, body, now=self.clock.now())

    def _bodies(self, what: str) -> list[dict[str, Any]]:
        with self.store.reading() as db:
            query = select(Change.body).where(Change.what == what).order_by(Change.id)
            return list(db.scalars(query))
