"""Storing what readers do: an answer is one transaction, sent twice it is stored once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from bonescint.study.errors import RefusedError
from bonescint.study.protocol import Software, Stage, StudyProtocol, sha256_of
from bonescint.study.store.sessions import Phase, Standing, standing_of
from bonescint.study.store.submission import (
    SentDraft,
    SentEnvironment,
    SentEvent,
    SentSubmission,
)
from bonescint.study.store.tables import (
    Answer,
    Assignment,
    Change,
    Draft,
    Environment,
    Event,
    Mark,
    ReadingSession,
    StudyCase,
    StudyRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the store says to an answer.

    Attributes:
        key: the answer's.
        revision: 1 for the first version.
        replayed: it was stored before; nothing was written again.
        training: whether there is feedback to show.
        finished: whether the session is over.
    """

    key: str
    revision: int
    replayed: bool
    training: bool
    finished: bool


@dataclass(frozen=True, slots=True)
class _Turn:
    """An answer that may be stored: its version, and whether it is the session's last."""

    revision: int
    last: bool


@dataclass(frozen=True, slots=True)
class _Place:
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
    """Store an answer, its marks and all pending events, and drop the draft.

    Raises:
        RefusedError: not this reader's case, not its turn, answered already, from a tab that
            no longer reads, or a known key with another content.
    """
    place = _place(db, account_id, sent.case)
    store_events(db, account_id, sent.events, now=now)
    given = db.scalars(select(Answer).where(Answer.assignment_id == place.assignment.id)).all()
    known = next((answer for answer in given if answer.key == sent.key), None)
    content = sha256_of([sent.stage.value, sent.answer.model_dump(mode="json")])
    if known is not None:
        if known.body_sha256 != content:
            raise RefusedError(
                "key-used", "This answer was already stored, with different content."
            )
        return _receipt(place, known, replayed=True)
    _require_tab(place.session, sent.tab)
    turn = _turn(db, place, given, sent.stage, account_id, protocol, now)
    _require_inside(place.case, sent)
    answer = Answer(
        key=sent.key,
        assignment_id=place.assignment.id,
        stage=sent.stage.value,
        revision=turn.revision,
        positive=sent.answer.positive,
        confidence=sent.answer.confidence,
        no_focus=sent.answer.no_focus,
        comment=sent.answer.comment,
        body_sha256=content,
        software_sha256=software.sha256,
        tab=sent.tab,
        t_ms=sent.t_ms,
        client_s=sent.client_s,
        received_s=now,
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
        delete(Draft).where(
            Draft.assignment_id == place.assignment.id, Draft.stage == sent.stage.value
        )
    )
    if turn.last and not protocol.revisions:
        _finish(db, place.session, now)
    return _receipt(place, answer, replayed=False)


def _receipt(place: _Place, answer: Answer, *, replayed: bool) -> Receipt:
    return Receipt(
        key=answer.key,
        revision=answer.revision,
        replayed=replayed,
        training=place.case.training,
        finished=place.session.finished_s is not None,
    )


def _place(db: Session, account_id: int, token: str) -> _Place:
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
    return _Place(*found)


def _require_tab(session: ReadingSession, tab: str) -> None:
    if session.tab != tab:
        raise RefusedError("other-tab", "Reading continues in another tab or window.")


def _require_inside(case: StudyCase, sent: SentSubmission) -> None:
    answer = sent.answer
    if answer.no_focus and answer.marks:
        raise RefusedError("marks", "An answer with marks cannot also say 'no focus'.", status=422)
    if not answer.no_focus and not answer.marks:
        raise RefusedError("marks", "Mark the foci, or state that there is none.", status=422)
    rows, columns = case.picture["rows"], case.picture["columns"]
    for mark in answer.marks:
        inside = mark.row <= rows - 0.5 and mark.column <= columns - 0.5
        if not inside or mark.view not in case.picture["views"]:
            raise RefusedError("marks", "A mark lies outside the picture.", status=422)


def _turn(
    db: Session,
    place: _Place,
    given: Sequence[Answer],
    stage: Stage,
    account_id: int,
    protocol: StudyProtocol,
    now: float,
) -> _Turn:
    """Which version is to be stored, if one may be stored now."""
    earlier = [answer.revision for answer in given if answer.stage == stage.value]
    final = stage is protocol.stages(place.session.number)[-1]
    if earlier:
        if not protocol.revisions or place.session.finished_s is not None or not final:
            raise RefusedError("answered", "This case has been answered; answers are final.")
        return _Turn(revision=max(earlier) + 1, last=False)
    standing = standing_of(db, account_id, protocol, now=now, lock=True)
    current = standing.assignment
    if current is None or current.id != place.assignment.id or standing.stage is not stage:
        raise RefusedError("not-now", "This is not the case to be read now.")
    if standing.phase is not Phase.READING:
        raise RefusedError("environment", "Enter monitor and light first.")
    return _Turn(revision=1, last=final and standing.following is None)


def store_events(db: Session, account_id: int, events: Iterable[SentEvent], *, now: float) -> int:
    """Store events that are not stored yet.

    An event of a case that this reader was never shown (another reader's, or one of a session
    that has not begun) is refused: it is not stored, and does not hold up the others.

    Returns:
        How many of them are stored now.

    Raises:
        RefusedError: the account reads nothing.
    """
    sent = list(events)
    if not sent:
        return 0
    current = _current_session(db, account_id)
    found = db.execute(
        select(Assignment.token, Assignment.id, Assignment.session_id)
        .join(ReadingSession, ReadingSession.id == Assignment.session_id)
        .where(
            ReadingSession.account_id == account_id,
            ReadingSession.started_s.is_not(None),
            Assignment.token.in_({event.case for event in sent if event.case}),
        )
    )
    places: dict[str | None, tuple[int | None, int]] = {None: (None, current)}
    places |= {token: (assignment, session) for token, assignment, session in found}
    rows = [
        {
            "key": event.key,
            "session_id": places[event.case][1],
            "assignment_id": places[event.case][0],
            "kind": event.kind,
            "tab": event.tab,
            "t_ms": event.t_ms,
            "client_s": event.client_s,
            "received_s": now,
            "body": event.body,
        }
        for event in sent
        if event.case in places
    ]
    if rows:
        insert = sqlite_insert if db.get_bind().dialect.name == "sqlite" else postgresql_insert
        db.execute(insert(Event).on_conflict_do_nothing(), rows)
    return len(rows)


def _current_session(db: Session, account_id: int) -> int:
    """The session that is open, or was last: where events of no case belong."""
    sessions = db.scalars(
        select(ReadingSession)
        .where(ReadingSession.account_id == account_id)
        .order_by(ReadingSession.number)
    ).all()
    if not sessions:
        raise RefusedError("not-found", "There is nothing to read.", status=404)
    return next((one for one in sessions if one.finished_s is None), sessions[-1]).id


def store_draft(db: Session, account_id: int, sent: SentDraft, *, now: float) -> None:
    """Keep what is entered so far, with the events that led there.

    Raises:
        RefusedError: as for an answer.
    """
    place = _place(db, account_id, sent.case)
    store_events(db, account_id, sent.events, now=now)
    _require_tab(place.session, sent.tab)
    answered = db.scalar(
        select(func.count())
        .select_from(Answer)
        .where(Answer.assignment_id == place.assignment.id, Answer.stage == sent.stage.value)
    )
    if answered:
        return
    db.merge(
        Draft(
            assignment_id=place.assignment.id, stage=sent.stage.value, body=sent.draft, saved_s=now
        )
    )


def take_tab(db: Session, session: ReadingSession, tab: str, *, take: bool, now: float) -> bool:
    """Make a tab the one that reads.

    Args:
        db: a transaction.
        session: that is read.
        tab: the tab.
        take: even if another one reads.
        now: the server's time.

    Returns:
        Whether this tab reads now.
    """
    if session.tab not in ("", tab) and not take:
        return False
    if session.tab != tab:
        db.add(
            Change(
                at_s=now, account_id=session.account_id, what="tab", body={"tab": tab, "take": take}
            )
        )
        session.tab = tab
    return True


def store_environment(
    db: Session, standing: Standing, sent: SentEnvironment, *, software: Software, now: float
) -> None:
    """Store where a reader reads; the first time freezes what the session is read with.

    Raises:
        RefusedError: there is no session to read.
    """
    session = standing.session
    if session is None or standing.phase not in (Phase.ENVIRONMENT, Phase.READING):
        raise RefusedError("not-now", "There is nothing to read now.")
    db.add(Environment(session_id=session.id, at_s=now, body=sent.model_dump()))
    study = db.get_one(StudyRow, 1)
    if session.started_s is None:
        session.started_s = now
        session.protocol_sha256 = study.protocol_sha256
        session.images_sha256 = study.images_sha256
        session.model_sha256 = study.model_sha256 if session.aided else ""
        session.software = software.to_json()
        session.software_sha256 = software.sha256
        db.add(_change(session, now, "session begun", {"number": session.number}))
    elif session.software_sha256 != software.sha256:
        body = {"number": session.number, "software_sha256": software.sha256}
        db.add(_change(session, now, "software differs", body))


def finish_session(db: Session, account_id: int, *, protocol: StudyProtocol, now: float) -> None:
    """End a session whose answers could be changed until now.

    Raises:
        RefusedError: cases are left.
    """
    standing = standing_of(db, account_id, protocol, now=now, lock=True)
    if standing.phase is not Phase.REVIEW or standing.session is None:
        raise RefusedError("not-now", "There are cases left to read.")
    _finish(db, standing.session, now)


def _finish(db: Session, session: ReadingSession, now: float) -> None:
    session.finished_s = now
    db.add(_change(session, now, "session finished", {"number": session.number}))


def _change(session: ReadingSession, now: float, what: str, body: Mapping[str, object]) -> Change:
    return Change(at_s=now, account_id=session.account_id, what=what, body=dict(body))
