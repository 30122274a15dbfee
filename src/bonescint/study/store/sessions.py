"""How far a reader is: which session, which case, which answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from bonescint.study.protocol import AnswerStage, StudyProtocol
from bonescint.study.store.tables import (
    Account,
    Answer,
    Assignment,
    Environment,
    ReadingSession,
    StudyCase,
)

_DAY_S = 86_400.0
_ENVIRONMENT_VALID_S = 12 * 3_600.0


class Phase(StrEnum):
    """What a reader has to do next."""

    ENVIRONMENT = "environment"
    READING = "reading"
    REVIEW = "review"
    WAITING = "waiting"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderState:
    """How far a reader is, and what comes next.

    Attributes:
        phase: what to do next.
        session: the current session, or the last one if all are finished.
        assignment: the case to read now, or `None`.
        case: its picture.
        following: the case after it with its picture, or `None`.
        stage: which answer is due.
        answered: completed cases of the session, training included.
        total: cases of the session, training included.
        training: number of training cases among them.
        opens_s: when the wash-out ends, while waiting.
    """

    phase: Phase
    session: ReadingSession | None
    assignment: Assignment | None = None
    case: StudyCase | None = None
    following: tuple[Assignment, StudyCase] | None = None
    stage: AnswerStage = AnswerStage.UNAIDED
    answered: int = 0
    total: int = 0
    training: int = 0
    opens_s: float = 0.0


def find_reader_state(
    db: Session, account_id: int, protocol: StudyProtocol, *, now: float, lock: bool = False
) -> ReaderState:
    """Find out how far a reader is.

    Args:
        db: a transaction.
        account_id: the reader.
        protocol: protocol of the study.
        now: the study's time.
        lock: keep the reader's sessions from changing until the transaction ends.
    """
    query = (
        select(ReadingSession)
        .where(ReadingSession.account_id == account_id)
        .order_by(ReadingSession.number)
    )
    sessions = db.scalars(query.with_for_update() if lock else query).all()
    if not sessions:
        return ReaderState(phase=Phase.FINISHED, session=None)
    current = next((one for one in sessions if one.finished_s is None), sessions[-1])
    total = protocol.cases + protocol.training_cases
    state = ReaderState(
        phase=Phase.FINISHED,
        session=current,
        answered=total,
        total=total,
        training=protocol.training_cases,
    )
    if current.finished_s is not None:
        return state
    earlier = [one.finished_s for one in sessions if one.number < current.number]
    if earlier and earlier[-1] is not None:
        opens_s = earlier[-1] + protocol.washout_days * _DAY_S
        if now < opens_s:
            return replace(state, phase=Phase.WAITING, answered=0, opens_s=opens_s)
    return _within(db, current, protocol, state, now)


def _within(
    db: Session, session: ReadingSession, protocol: StudyProtocol, state: ReaderState, now: float
) -> ReaderState:
    """The state within an open session: its first two cases without a last answer."""
    last = protocol.stages(session.number)[-1]
    is_answered = exists().where(Answer.assignment_id == Assignment.id, Answer.stage == last.value)
    unanswered = db.execute(
        select(Assignment, StudyCase)
        .join(StudyCase, StudyCase.id == Assignment.case_id)
        .where(Assignment.session_id == session.id, ~is_answered)
        .order_by(Assignment.position)
        .limit(2)
    ).all()
    if not unanswered:
        return replace(state, phase=Phase.REVIEW)
    cases = [(assignment, case) for assignment, case in unanswered]
    assignment, case = cases[0]
    return replace(
        state,
        phase=Phase.READING if _environment_is_known(db, session, now) else Phase.ENVIRONMENT,
        assignment=assignment,
        case=case,
        following=cases[1] if len(cases) > 1 else None,
        stage=_stage_due(db, assignment, protocol.stages(session.number)),
        answered=assignment.position,
    )


def _stage_due(db: Session, assignment: Assignment, stages: tuple[AnswerStage, ...]) -> AnswerStage:
    """The first answer that a case still lacks; the last stage if it lacks none."""
    if len(stages) == 1:
        return stages[0]
    given = set(db.scalars(select(Answer.stage).where(Answer.assignment_id == assignment.id)))
    return next((stage for stage in stages if stage.value not in given), stages[-1])


def _environment_is_known(db: Session, session: ReadingSession, now: float) -> bool:
    """Whether monitor and light were entered recently enough."""
    latest = db.scalar(
        select(func.max(Environment.at_s)).where(Environment.session_id == session.id)
    )
    return latest is not None and now - latest < _ENVIRONMENT_VALID_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderProgress:
    """The progress of an account, without any answer or result.

    Attributes:
        reader: short name.
        name: as shown.
        role: what the account may do.
        simulated: whether the reader is a program.
        active: whether the account may sign in.
        has_password: whether the invitation was used.
        session: number of the current session, or of the last one.
        phase: what comes next.
        answered: completed cases of that session, without training.
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
    """The progress of every account."""
    accounts = db.scalars(select(Account).order_by(Account.role, Account.reader))
    return [_progress_of(db, account, protocol, now) for account in accounts]


def _progress_of(
    db: Session, account: Account, protocol: StudyProtocol, now: float
) -> ReaderProgress:
    state = find_reader_state(db, account.id, protocol, now=now)
    last = db.scalar(
        select(func.max(Answer.received_s))
        .join(Assignment, Assignment.id == Answer.assignment_id)
        .join(ReadingSession, ReadingSession.id == Assignment.session_id)
        .where(ReadingSession.account_id == account.id)
    )
    return ReaderProgress(
        reader=account.reader,
        name=account.name,
        role=account.role,
        simulated=account.simulated,
        active=account.active,
        has_password=bool(account.password_hash),
        session=state.session.number if state.session else 0,
        phase=state.phase,
        answered=max(0, state.answered - state.training),
        total=state.total - state.training,
        last_s=last,
    )
