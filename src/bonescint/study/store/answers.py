"""Storing what readers send: an answer is one transaction, and stored once however often sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from bonescint.study.errors import RefusedError
from bonescint.study.protocol import AnswerStage, Software, StudyProtocol, sha256_of
from bonescint.study.store.sessions import Phase, ReaderState, find_reader_state
from bonescint.study.store.submission import (
    SentAnswer,
    SentDraft,
    SentEnvironment,
    SentEvent,
    SentSubmission,
)
from bonescint.study.store.tables import (
    Answer,
    Assignment,
    Draft,
    Environment,
    Event,
    Mark,
    ReadingSession,
    StudyCase,
    StudyRow,
    record_change,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The acknowledgement of an answer.

    Attributes:
        key: the answer's.
        revision: 1 for the first version.
        replayed: it was stored before; nothing was written again.
        training: whether there is feedback to show.
        finished: whether the session is finished.
    """

    key: str
    revision: int
    replayed: bool
    training: bool
    finished: bool


class _OwnCase(NamedTuple):
    """A case of a reader, with its session locked."""

    assignment: Assignment
    session: ReadingSession
    case: StudyCase


def store_answer(
    db: Session,
    account_id: int,
    sent: SentSubmission,
    *,
    protocol: StudyProtocol,
    software: Software,
    now: float,
) -> Receipt:
    """Store an answer, its marks and all pending events, and delete the draft.

    Raises:
        RefusedError: it is not this reader's case, not the case to read now, already answered,
            from a tab that is no longer active, or has a known key with different content.
    """
    own = _own_case(db, account_id, sent.case)
    assignment, session, case = own
    store_events(db, account_id, sent.events, now=now)
    given = db.scalars(select(Answer).where(Answer.assignment_id == assignment.id)).all()
    known = next((answer for answer in given if answer.key == sent.key), None)
    content = sha256_of([sent.stage.value, sent.answer.model_dump(mode="json")])
    if known is not None:
        if known.body_sha256 != content:
            raise RefusedError(
                "key-used", "This answer was already stored, with different content."
            )
        return _receipt(own, known, replayed=True)
    _require_tab(session, sent.tab)
    revision, ends_session = _next_revision(db, own, given, sent.stage, protocol, now)
    _require_valid_marks(case, sent.answer)
    answer = Answer(
        key=sent.key,
        assignment_id=assignment.id,
        stage=sent.stage.value,
        revision=revision,
        body_sha256=content,
        software_sha256=software.sha256,
        tab=sent.tab,
        t_ms=sent.t_ms,
        client_s=sent.client_s,
        received_s=now,
        **sent.answer.model_dump(exclude={"marks"}),
    )
    db.add(answer)
    db.flush()
    for number, mark in enumerate(sent.answer.marks, start=1):
        db.add(
            Mark(
                answer_id=answer.id,
                number=number,
                view=mark.view,
                row_px=mark.row,
                column_px=mark.column,
                rating=mark.rating,
            )
        )
    db.execute(
        delete(Draft).where(Draft.assignment_id == assignment.id, Draft.stage == sent.stage.value)
    )
    if ends_session and not protocol.revisions:
        _finish(db, session, now)
    return _receipt(own, answer, replayed=False)


def _receipt(own: _OwnCase, answer: Answer, *, replayed: bool) -> Receipt:
    return Receipt(
        key=answer.key,
        revision=answer.revision,
        replayed=replayed,
        training=own.case.training,
        finished=own.session.finished_s is not None,
    )


def _own_case(db: Session, account_id: int, token: str) -> _OwnCase:
    """A case of this reader, its session locked until the transaction ends."""
    found = db.execute(
        select(Assignment, ReadingSession, StudyCase)
        .join(ReadingSession, ReadingSession.id == Assignment.session_id)
        .join(StudyCase, StudyCase.id == Assignment.case_id)
        .where(Assignment.token == token, ReadingSession.account_id == account_id)
        .with_for_update(of=ReadingSession)
    ).first()
    if found is None:
        raise RefusedError("not-found", "There is no such case.", status=404)
    return _OwnCase(*found)


def _require_tab(session: ReadingSession, tab: str) -> None:
    if session.tab != tab:
        raise RefusedError("other-tab", "Reading continues in another tab or window.")


def _require_valid_marks(case: StudyCase, answer: SentAnswer) -> None:
    if answer.no_focus and answer.marks:
        raise RefusedError("marks", "An answer with marks cannot also say 'no focus'.", status=422)
    if not answer.no_focus and not answer.marks:
        raise RefusedError("marks", "Mark the foci, or state that there is none.", status=422)
    rows, columns = case.picture["rows"], case.picture["columns"]
    for mark in answer.marks:
        inside = mark.row <= rows - 0.5 and mark.column <= columns - 0.5
        if not inside or mark.view not in case.picture["views"]:
            raise RefusedError("marks", "A mark lies outside the picture.", status=422)


def _next_revision(
    db: Session,
    own: _OwnCase,
    given: Sequence[Answer],
    stage: AnswerStage,
    protocol: StudyProtocol,
    now: float,
) -> tuple[int, bool]:
    """The revision to store, if one may be stored now, and whether the session ends with it."""
    earlier = [answer.revision for answer in given if answer.stage == stage.value]
    is_last_stage = stage is protocol.stages(own.session.number)[-1]
    if earlier:
        if not protocol.revisions or own.session.finished_s is not None or not is_last_stage:
            raise RefusedError("answered", "This case has been answered; answers are final.")
        return max(earlier) + 1, False
    state = find_reader_state(db, own.session.account_id, protocol, now=now, lock=True)
    current = state.assignment
    if current is None or current.id != own.assignment.id or state.stage is not stage:
        raise RefusedError("not-now", "This is not the case to be read now.")
    if state.phase is not Phase.READING:
        raise RefusedError("environment", "Enter monitor and light first.")
    return 1, is_last_stage and state.following is None


def store_events(db: Session, account_id: int, events: Iterable[SentEvent], *, now: float) -> int:
    """Store events that are not stored yet.

    Events of cases that this reader was never shown (another reader's, or of a session that has
    not begun) are left out, and do not hold up the others.

    Returns:
        How many of the events are stored now.

    Raises:
        RefusedError: the account has nothing to read.
    """
    sent = list(events)
    if not sent:
        return 0
    found = db.execute(
        select(Assignment.token, Assignment.id, Assignment.session_id)
        .join(ReadingSession, ReadingSession.id == Assignment.session_id)
        .where(
            ReadingSession.account_id == account_id,
            ReadingSession.started_s.is_not(None),
            Assignment.token.in_({event.case for event in sent if event.case}),
        )
    )
    known: dict[str | None, tuple[int | None, int]] = {
        None: (None, _current_session(db, account_id)),
        **{token: (assignment, session) for token, assignment, session in found},
    }
    rows = [
        {
            **event.model_dump(exclude={"case"}),
            "assignment_id": known[event.case][0],
            "session_id": known[event.case][1],
            "received_s": now,
        }
        for event in sent
        if event.case in known
    ]
    if rows:
        insert = sqlite_insert if db.get_bind().dialect.name == "sqlite" else postgresql_insert
        db.execute(insert(Event).on_conflict_do_nothing(), rows)
    return len(rows)


def _current_session(db: Session, account_id: int) -> int:
    """The open session, or the last one: events that belong to no case are stored there."""
    sessions = db.scalars(
        select(ReadingSession)
        .where(ReadingSession.account_id == account_id)
        .order_by(ReadingSession.number)
    ).all()
    if not sessions:
        raise RefusedError("not-found", "There is nothing to read.", status=404)
    return next((one for one in sessions if one.finished_s is None), sessions[-1]).id


def store_draft(db: Session, account_id: int, sent: SentDraft, *, now: float) -> None:
    """Store what is entered so far, with its events; of an answered case, only the events.

    Raises:
        RefusedError: it is not this reader's case, or the tab is no longer active.
    """
    assignment, session, _ = _own_case(db, account_id, sent.case)
    store_events(db, account_id, sent.events, now=now)
    _require_tab(session, sent.tab)
    if not is_answered(db, assignment, sent.stage):
        db.merge(
            Draft(assignment_id=assignment.id, stage=sent.stage.value, body=sent.draft, saved_s=now)
        )


def is_answered(db: Session, assignment: Assignment, stage: AnswerStage) -> bool:
    """Whether a case has an answer of this stage."""
    query = select(Answer.id).where(
        Answer.assignment_id == assignment.id, Answer.stage == stage.value
    )
    return db.scalar(query.limit(1)) is not None


def take_tab(db: Session, session: ReadingSession, tab: str, *, take: bool, now: float) -> bool:
    """Make a browser's tab the one in which the session is read.

    Args:
        db: a transaction.
        session: that is read.
        tab: the tab.
        take: even if another tab is active.
        now: the study's time.

    Returns:
        Whether this tab is active now.
    """
    if session.tab not in ("", tab) and not take:
        return False
    if session.tab != tab:
        body = {"tab": tab, "take": take}
        record_change(db, "tab", body, now=now, account_id=session.account_id)
        session.tab = tab
    return True


def store_environment(
    db: Session, state: ReaderState, sent: SentEnvironment, *, software: Software, now: float
) -> None:
    """Store the reader's environment; the first time, fix the hashes that the session refers to.

    Raises:
        RefusedError: there is no session to read.
    """
    session = state.session
    if session is None or state.phase not in (Phase.ENVIRONMENT, Phase.READING):
        raise RefusedError("not-now", "There is nothing to read now.")
    db.add(Environment(session_id=session.id, at_s=now, body=sent.model_dump()))
    study = db.get_one(StudyRow, 1)
    body: dict[str, object] = {"number": session.number}
    if session.started_s is None:
        session.started_s = now
        session.protocol_sha256 = study.protocol_sha256
        session.images_sha256 = study.images_sha256
        session.model_sha256 = study.model_sha256 if session.aided else ""
        session.software = software.to_json()
        session.software_sha256 = software.sha256
        record_change(db, "session begun", body, now=now, account_id=session.account_id)
    elif session.software_sha256 != software.sha256:
        body["software_sha256"] = software.sha256
        record_change(db, "software differs", body, now=now, account_id=session.account_id)


def finish_session(db: Session, account_id: int, *, protocol: StudyProtocol, now: float) -> None:
    """Finish a session whose answers could be changed until now.

    Raises:
        RefusedError: some cases have no answer yet.
    """
    state = find_reader_state(db, account_id, protocol, now=now, lock=True)
    if state.phase is not Phase.REVIEW or state.session is None:
        raise RefusedError("not-now", "There are cases left to read.")
    _finish(db, state.session, now)


def _finish(db: Session, session: ReadingSession, now: float) -> None:
    session.finished_s = now
    body = {"number": session.number}
    record_change(db, "session finished", body, now=now, account_id=session.account_id)
