"""Reading sessions: their orders, and how far a reader is."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Exists, and_, exists, func, select
from sqlalchemy.orm import Session

from bonescint.study.protocol import Stage, StudyProtocol, sha256_of
from bonescint.study.sampling import reading_order
from bonescint.study.store.tables import (
    Account,
    Answer,
    Assignment,
    Change,
    Environment,
    ReadingSession,
    StudyCase,
    StudyRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCase:
    """A case whose picture lies in the study folder.

    Attributes:
        token: its opaque identifier.
        training: whether it is for training.
        picture: facts that a page needs to show it.
        image_sha256: hash of its pixels.
    """

    token: str
    training: bool
    picture: Mapping[str, Any]
    image_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """The model whose output an aided session shows.

    Attributes:
        model_id: name, version and the start of the graph's hash.
        sha256: hash of every output that is shown.
    """

    model_id: str = ""
    sha256: str = ""


def images_sha256(cases: Sequence[PreparedCase]) -> str:
    """Hash of all pictures, whatever their order."""
    return sha256_of(sorted((case.token, case.image_sha256) for case in cases))


def fill_store(
    db: Session,
    *,
    study_id: str,
    protocol: StudyProtocol,
    cases: Sequence[PreparedCase],
    model: ModelIdentity,
    simulated_scans: bool,
    now: float,
) -> None:
    """Write the study and its cases."""
    db.add(
        StudyRow(
            id=1,
            study_id=study_id,
            protocol=protocol.to_json(),
            protocol_sha256=protocol.sha256,
            images_sha256=images_sha256(cases),
            model_id=model.model_id,
            model_sha256=model.sha256,
            simulated_scans=simulated_scans,
            created_s=now,
        )
    )
    # In the order of their tokens, which is nobody's: row numbers tell nothing of the truth.
    for case in sorted(cases, key=lambda one: one.token):
        db.add(
            StudyCase(
                token=case.token,
                training=case.training,
                picture=dict(case.picture),
                image_sha256=case.image_sha256,
            )
        )
    db.add(Change(at_s=now, account_id=None, what="study made", body={"cases": len(cases)}))
    db.flush()


def assign_sessions(db: Session, account: Account, protocol: StudyProtocol, *, now: float) -> None:
    """Store the order of every session of a reader: training first, then the permutation."""
    cases = db.scalars(select(StudyCase).order_by(StudyCase.token)).all()
    training = [case for case in cases if case.training]
    counting = [case for case in cases if not case.training]
    for number in range(1, protocol.sessions + 1):
        session = ReadingSession(
            account_id=account.id, number=number, aided=protocol.is_aided(number)
        )
        db.add(session)
        db.flush()
        order = reading_order(protocol.seed, account.reader, number, len(counting))
        for position, case in enumerate([*training, *(counting[place] for place in order)]):
            db.add(
                Assignment(
                    token=secrets.token_urlsafe(12),
                    session_id=session.id,
                    case_id=case.id,
                    position=position,
                )
            )
    db.add(Change(at_s=now, account_id=account.id, what="order drawn", body={}))
    db.flush()


_DAY_S = 86_400.0
_ENVIRONMENT_HOLDS_S = 12 * 3_600.0


class Phase(StrEnum):
    """What a reader has to do next."""

    ENVIRONMENT = "environment"
    READING = "reading"
    REVIEW = "review"
    WAITING = "waiting"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a reader stands.

    Attributes:
        phase: what to do next.
        session: the session that is read, or read last.
        assignment: the case to read now, or `None`.
        case: its picture.
        following: the case after it with its picture, or `None`.
        stage: which answer it needs.
        answered: cases of the session that are done, training included.
        total: cases of the session, training included.
        training: how many of them are training.
        opens_s: when the wash-out ends, while waiting.
    """

    phase: Phase
    session: ReadingSession | None
    assignment: Assignment | None = None
    case: StudyCase | None = None
    following: tuple[Assignment, StudyCase] | None = None
    stage: Stage = Stage.UNAIDED
    answered: int = 0
    total: int = 0
    training: int = 0
    opens_s: float = 0.0


def standing_of(
    db: Session, account_id: int, protocol: StudyProtocol, *, now: float, lock: bool = False
) -> Standing:
    """Where a reader stands.

    Args:
        db: a transaction.
        account_id: the reader.
        protocol: of the study.
        now: the server's time.
        lock: keep the reader's sessions from changing until the transaction ends.
    """
    query = (
        select(ReadingSession)
        .where(ReadingSession.account_id == account_id)
        .order_by(ReadingSession.number)
    )
    sessions = db.scalars(query.with_for_update() if lock else query).all()
    before: ReadingSession | None = None
    for session in sessions:
        if session.finished_s is None:
            return _within(db, session, before, protocol, now)
        before = session
    if before is None:
        return Standing(phase=Phase.FINISHED, session=None)
    training = protocol.training_cases
    total = protocol.cases + training
    return Standing(
        phase=Phase.FINISHED, session=before, answered=total, total=total, training=training
    )


def _within(
    db: Session,
    session: ReadingSession,
    before: ReadingSession | None,
    protocol: StudyProtocol,
    now: float,
) -> Standing:
    training = protocol.training_cases
    total = protocol.cases + training
    if before is not None and before.finished_s is not None:
        opens_s = before.finished_s + protocol.washout_days * _DAY_S
        if now < opens_s:
            return Standing(
                phase=Phase.WAITING, session=session, total=total, training=training,
                opens_s=opens_s,
            )  # fmt: skip
    last = protocol.stages(session.number)[-1]
    answered = _done(last)
    open_cases = db.execute(
        select(Assignment, StudyCase)
        .join(StudyCase, StudyCase.id == Assignment.case_id)
        .where(Assignment.session_id == session.id, ~answered)
        .order_by(Assignment.position)
        .limit(2)
    ).all()
    if not open_cases:
        return Standing(
            phase=Phase.REVIEW, session=session, answered=total, total=total, training=training
        )
    assignment, case = open_cases[0]
    return Standing(
        phase=Phase.READING if environment_known(db, session, now) else Phase.ENVIRONMENT,
        session=session, assignment=assignment, case=case,
        following=(open_cases[1][0], open_cases[1][1]) if len(open_cases) > 1 else None,
        stage=stage_of(db, assignment, protocol, session.number),
        answered=assignment.position, total=total, training=training,
    )  # fmt: skip


def _done(stage: Stage) -> Exists:
    return exists().where(and_(Answer.assignment_id == Assignment.id, Answer.stage == stage.value))


def stage_of(db: Session, assignment: Assignment, protocol: StudyProtocol, number: int) -> Stage:
    """The first answer that a case still lacks; the last one if it lacks none."""
    stages = protocol.stages(number)
    if len(stages) == 1:
        return stages[0]
    given = set(db.scalars(select(Answer.stage).where(Answer.assignment_id == assignment.id)))
    return next((stage for stage in stages if stage.value not in given), stages[-1])


def environment_known(db: Session, session: ReadingSession, now: float) -> bool:
    """Whether monitor and light were entered lately enough."""
    latest = db.scalar(
        select(func.max(Environment.at_s)).where(Environment.session_id == session.id)
    )
    return latest is not None and now - latest < _ENVIRONMENT_HOLDS_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderProgress:
    """How far a reader is; no answer and no result.

    Attributes:
        reader: short name.
        name: as shown.
        role: what the account may do.
        simulated: whether it is no person.
        active: whether the account may sign in.
        has_password: whether the invitation was used.
        session: number of the session that is read, or read last.
        phase: what comes next.
        answered: cases done in it, without training.
        total: its cases, without training.
        last_s: when the last answer arrived, or `None`.
    """

    reader: str
    name: str
    role: str
    simulated: bool
    active: bool
    has_password: bool
    session: int
    phase: Phase
    answered: int
    total: int
    last_s: float | None


def progress_of_all(db: Session, protocol: StudyProtocol, *, now: float) -> list[ReaderProgress]:
    """How far every account is."""
    found = []
    for account in db.scalars(select(Account).order_by(Account.role, Account.reader)):
        standing = standing_of(db, account.id, protocol, now=now)
        last = db.scalar(
            select(func.max(Answer.received_s))
            .join(Assignment, Assignment.id == Answer.assignment_id)
            .join(ReadingSession, ReadingSession.id == Assignment.session_id)
            .where(ReadingSession.account_id == account.id)
        )
        found.append(
            ReaderProgress(
                reader=account.reader,
                name=account.name,
                role=account.role,
                simulated=account.simulated,
                active=account.active,
                has_password=bool(account.password_hash),
                session=standing.session.number if standing.session else 0,
                phase=standing.phase,
                answered=max(0, standing.answered - standing.training),
                total=standing.total - standing.training,
                last_s=last,
            )
        )
    return found
