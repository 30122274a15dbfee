"""Progress in a local file: who answered which case, and what came of it.

SQLite in WAL mode with every commit on disk before it is acknowledged (`synchronous=FULL`), so
that an answer is stored before its feedback is shown, and killing the program loses none.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonescint.scan import BonescintError, OutputError, os_reason
from bonescint.schema import construct, plain
from bonescint.teach.answers import CaseAnswer, Feedback
from bonescint.teach.cases import CaseSpec
from bonescint.teach.outcomes import Outcome

SCHEMA = 1
_BUSY_S = 20.0
_TABLES = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE trainee (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, began_s REAL NOT NULL) STRICT;
CREATE TABLE issued (
    trainee INTEGER NOT NULL REFERENCES trainee (id), case_id TEXT NOT NULL,
    course TEXT NOT NULL, number INTEGER NOT NULL, spec TEXT NOT NULL, issued_s REAL NOT NULL,
    model_probability REAL,
    PRIMARY KEY (trainee, case_id), UNIQUE (trainee, course, number)) STRICT;
CREATE TABLE answer (
    trainee INTEGER NOT NULL, case_id TEXT NOT NULL, answered_s REAL NOT NULL,
    answer TEXT NOT NULL, feedback TEXT NOT NULL, outcome TEXT NOT NULL,
    PRIMARY KEY (trainee, case_id),
    FOREIGN KEY (trainee, case_id) REFERENCES issued (trainee, case_id)) STRICT;
"""


class RecordsError(BonescintError):
    """Records that cannot be read or written, or an answer that does not fit them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainee:
    """Somebody who learns.

    Attributes:
        id: number in the records.
        name: a pseudonym in a classroom.
        began_s: seconds since 1970, UTC.
    """

    id: int
    name: str
    began_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCase:
    """A case that a learner gets.

    Attributes:
        case_id: its name, which reveals nothing.
        course: name of the course; a test has a name of its own.
        number: its place in the course, from 0.
        spec: how it is made. Never sent to a learner before the answer.
        model_probability: the model's, once it has been computed.
    """

    case_id: str
    course: str
    number: int
    spec: CaseSpec
    model_probability: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredCase:
    """A case with its outcome.

    Attributes:
        issued: the case.
        answered_s: seconds since 1970, UTC.
        outcome: what came of it.
    """

    issued: IssuedCase
    answered_s: float
    outcome: Outcome


class Records:
    """The records of one computer: one learner or several. Use it as a context manager.

    Args:
        path: the file; it is made if it does not exist, readable for its owner only.

    Raises:
        RecordsError: it cannot be used, or is newer than this release.
        OutputError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
        except OSError as error:
            problem = f"{path}: cannot be written ({os_reason(error)}). Choose another folder."
            raise OutputError(problem) from error
        with self._clear_failures():
            self._db = sqlite3.connect(
                path, timeout=_BUSY_S, check_same_thread=False, isolation_level=None
            )
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                self._db.execute(f"PRAGMA {pragma}")
            self._prepare()

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _prepare(self) -> None:
        with self._writing():
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found == 0:
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={SCHEMA}")
        if found > SCHEMA:
            raise RecordsError(
                f"{self._path}: written by a newer release of bonescint. Install that release."
            )

    @contextmanager
    def _clear_failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise RecordsError(
                f"{self._path}: the records cannot be used ({error}). Check that the file is there "
                "and whole, and that the disk has space."
            ) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction: all of it is on disk when it ends, or nothing."""
        with self._lock, self._clear_failures():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._clear_failures():
            return self._db.execute(query, values).fetchall()

    def setting(self, name: str, value: str) -> str:
        """A setting that is fixed when it is first asked for, such as a secret.

        Args:
            name: of the setting.
            value: to store if there is none yet.

        Returns:
            What is stored.
        """
        with self._writing():
            self._db.execute("INSERT OR IGNORE INTO setting VALUES (?, ?)", (name, value))
        return str(self._rows("SELECT value FROM setting WHERE name = ?", name)[0][0])

    def trainee(self, name: str, *, now_s: float) -> Trainee:
        """The learner of a name, entered if new."""
        with self._writing():
            self._db.execute(
                "INSERT OR IGNORE INTO trainee (name, began_s) VALUES (?, ?)", (name, now_s)
            )
        (row,) = self._rows("SELECT id, name, began_s FROM trainee WHERE name = ?", name)
        return Trainee(id=row[0], name=row[1], began_s=row[2])

    def trainees(self) -> tuple[Trainee, ...]:
        """Every learner, in the order in which they came."""
        rows = self._rows("SELECT id, name, began_s FROM trainee ORDER BY id")
        return tuple(Trainee(id=row[0], name=row[1], began_s=row[2]) for row in rows)

    def issue(
        self,
        trainee: Trainee,
        course: str,
        number: int,
        case_id: str,
        spec: CaseSpec,
        *,
        now_s: float,
    ) -> IssuedCase:
        """Fix the case at a place of a course, unless one is fixed there already.

        Args:
            trainee: who gets it.
            course: name of the course.
            number: place in it, from 0.
            case_id: name of the case, which must reveal nothing.
            spec: how it is made.
            now_s: seconds since 1970, UTC.

        Returns:
            The case that is at this place.
        """
        text = json.dumps(plain(spec))
        with self._writing():
            self._db.execute(
                "INSERT OR IGNORE INTO issued (trainee, case_id, course, number, spec, issued_s) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (trainee.id, case_id, course, number, text, now_s),
            )
        (found,) = self._issued(trainee, "AND course = ? AND number = ?", course, number)
        return found

    def _issued(self, trainee: Trainee, where: str, *values: object) -> list[IssuedCase]:
        rows = self._rows(
            "SELECT case_id, course, number, spec, model_probability FROM issued "  # noqa: S608
            f"WHERE trainee = ? {where} ORDER BY course, number",
            trainee.id,
            *values,
        )
        return [self._issued_of(row) for row in rows]

    def _issued_of(self, row: tuple[Any, ...]) -> IssuedCase:
        case_id, course, number, spec, probability = row
        return IssuedCase(
            case_id=case_id,
            course=course,
            number=number,
            spec=self._read(CaseSpec, spec),
            model_probability=probability,
        )

    def _read(self, kind: type[Any], text: str) -> Any:
        return construct(kind, json.loads(text), str(self._path), "Restore it from a copy")

    def find(self, trainee: Trainee, case_id: str) -> IssuedCase | None:
        """A case of this learner, or `None`."""
        found = self._issued(trainee, "AND case_id = ?", case_id)
        return found[0] if found else None

    def waiting(self, trainee: Trainee, course: str) -> tuple[IssuedCase, ...]:
        """The cases of a course that were issued and not answered, in their order."""
        return tuple(
            self._issued(
                trainee,
                "AND course = ? AND case_id NOT IN (SELECT case_id FROM answer WHERE trainee = ?)",
                course,
                trainee.id,
            )
        )

    def waiting_ids(self) -> frozenset[str]:
        """Names of all cases, of anybody, that were issued and not answered."""
        rows = self._rows(
            "SELECT case_id FROM issued i WHERE NOT EXISTS (SELECT 1 FROM answer a "
            "WHERE a.trainee = i.trainee AND a.case_id = i.case_id)"
        )
        return frozenset(row[0] for row in rows)

    def store_model(self, trainee: Trainee, case_id: str, probability: float) -> None:
        """Store the model's probability for a case."""
        with self._writing():
            self._db.execute(
                "UPDATE issued SET model_probability = ? WHERE trainee = ? AND case_id = ?",
                (probability, trainee.id, case_id),
            )

    def store_answer(self, trainee: Trainee, feedback: Feedback, *, now_s: float) -> Outcome:
        """Store an answer with what came of it. When this returns, it is on disk.

        The same answer may be sent again, for instance after a lost connection.

        Raises:
            RecordsError: no such case, or it was answered otherwise; answers are final.
        """
        outcome = Outcome.of(feedback)
        answer = json.dumps(feedback.answer.to_json())
        try:
            with self._writing():
                stored = self._db.execute(
                    "SELECT answer FROM answer WHERE trainee = ? AND case_id = ?",
                    (trainee.id, feedback.case_id),
                ).fetchone()
                if stored is None:
                    self._db.execute(
                        "INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?)",
                        (
                            trainee.id,
                            feedback.case_id,
                            now_s,
                            answer,
                            json.dumps(plain(feedback)),
                            json.dumps(plain(outcome)),
                        ),
                    )
        except sqlite3.IntegrityError as error:
            raise RecordsError("There is no such case. Go on with the next one.") from error
        if stored is not None and not _same(stored[0], feedback.answer):
            raise RecordsError("This case has been answered; answers are final.")
        return outcome

    def feedback(self, trainee: Trainee, case_id: str) -> Feedback | None:
        """The feedback on an answered case; `None` as long as it has no answer."""
        rows = self._rows(
            "SELECT feedback FROM answer WHERE trainee = ? AND case_id = ?", trainee.id, case_id
        )
        return Feedback.from_json(json.loads(rows[0][0])) if rows else None

    def answered(self, trainee: Trainee, *, skip: int = 0) -> tuple[AnsweredCase, ...]:
        """The answered cases of a learner, in the order of the answers.

        Args:
            trainee: who answered them.
            skip: number of cases to leave out at the start, because they are known.
        """
        rows = self._rows(
            "SELECT i.case_id, i.course, i.number, i.spec, i.model_probability, a.answered_s, "
            "a.outcome FROM answer a JOIN issued i USING (trainee, case_id) "
            "WHERE trainee = ? ORDER BY a.rowid LIMIT -1 OFFSET ?",
            trainee.id,
            skip,
        )
        return tuple(
            AnsweredCase(
                issued=self._issued_of(row[:5]),
                answered_s=row[5],
                outcome=self._read(Outcome, row[6]),
            )
            for row in rows
        )


def _same(stored: str, answer: CaseAnswer) -> bool:
    """Whether two answers say the same, whatever time they took."""
    before, now = json.loads(stored), answer.to_json()
    return {**before, "seconds": 0} == {**now, "seconds": 0}
