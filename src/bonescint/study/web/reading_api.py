"""The interface of the reading page: what it asks for, and what it sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from bonescint.files import json_in
from bonescint.study.errors import RefusedError, StudyError
from bonescint.study.integrity import read_picture
from bonescint.study.protocol import AnswerStage
from bonescint.study.store.accounts import SignedInUser
from bonescint.study.store.answers import (
    finish_session,
    is_answered,
    store_answer,
    store_draft,
    store_environment,
    store_events,
    take_tab,
)
from bonescint.study.store.sessions import Phase, ReaderState
from bonescint.study.store.submission import (
    SentDraft,
    SentEnvironment,
    SentEvents,
    SentSubmission,
    SentTab,
)
from bonescint.study.store.tables import (
    Answer,
    Assignment,
    Draft,
    Mark,
    ReadingSession,
    StudyCase,
)
from bonescint.study.web.dependencies import AppContext, ContextDep, CurrentReader, WritingReader

router = APIRouter(prefix="/api")
_Json = dict[str, Any]
_OPEN = (Phase.READING, Phase.REVIEW)


@router.get("/state")
def current_state(context: ContextDep, user: CurrentReader) -> _Json:
    """What the reader does next: the case to read, its draft, and the picture to fetch then."""
    with context.store.reading() as db:
        return _state(db, context, user, context.clock.now())


def _state(db: Session, context: AppContext, user: SignedInUser, now: float) -> _Json:
    state = context.reader_state(db, user, now=now)
    session = state.session
    content: _Json = {
        "phase": state.phase.value,
        "now_s": now,
        "session": session.number if session else 0,
        "aided": bool(session and session.aided),
        "answered": state.answered,
        "total": state.total,
        "training": state.training,
    }
    if state.phase is Phase.READING and state.assignment and state.case:
        content["case"] = {**_case(state.assignment, state.case), "stage": state.stage.value}
        draft = db.get(Draft, (state.assignment.id, state.stage.value))
        content["draft"] = draft.body if draft else None
        if state.stage is AnswerStage.AIDED:
            content["before"] = _own_answer(db, state.assignment, AnswerStage.UNAIDED)
        content["next"] = _case(*state.following) if state.following else None
    if session and context.study.protocol.revisions and state.phase in _OPEN:
        content["answered_cases"] = _answered(db, session, state.answered)
    return content


def _case(assignment: Assignment, case: StudyCase) -> _Json:
    return {
        "token": assignment.token,
        "position": assignment.position,
        "training": case.training,
        "picture": case.picture,
    }


def _answered(db: Session, session: ReadingSession, count: int) -> list[_Json]:
    rows = db.execute(
        select(Assignment.token, Assignment.position, StudyCase.training)
        .join(StudyCase, StudyCase.id == Assignment.case_id)
        .where(Assignment.session_id == session.id, Assignment.position < count)
        .order_by(Assignment.position)
    )
    return [{"token": token, "position": place} for token, place, training in rows if not training]


def _own_answer(db: Session, assignment: Assignment, stage: AnswerStage) -> _Json | None:
    answer = db.scalar(
        select(Answer)
        .where(Answer.assignment_id == assignment.id, Answer.stage == stage.value)
        .order_by(Answer.revision.desc())
        .limit(1)
    )
    if answer is None:
        return None
    marks = db.scalars(select(Mark).where(Mark.answer_id == answer.id).order_by(Mark.number))
    return {
        "positive": answer.positive,
        "confidence": answer.confidence,
        "no_focus": answer.no_focus,
        "comment": answer.comment,
        "marks": [
            {"view": mark.view, "row": mark.row_px, "column": mark.column_px, "rating": mark.rating}
            for mark in marks
        ],
    }


@router.get("/answers/{token}")
def own_answer(context: ContextDep, user: CurrentReader, token: str) -> _Json:
    """A reader's own answer, if the protocol allows answers to be changed."""
    with context.store.reading() as db:
        state, assignment, case = _open_case(db, context, user, token)
        if not context.study.protocol.revisions:
            raise RefusedError("answered", "Answers of this study are final.", status=403)
        stage = _last_stage(context, state)
        answer = _own_answer(db, assignment, stage)
        if answer is None or case.training:
            raise RefusedError("not-found", "There is no such answer.", status=404)
        return {"case": {**_case(assignment, case), "stage": stage.value}, "answer": answer}


@router.get("/images/{token}")
def image(context: ContextDep, user: CurrentReader, token: str) -> Response:
    """A case's pixels: the one to read, the one after it, or one read before."""
    with context.store.reading() as db:
        _, _, case = _open_case(db, context, user, token)
    return Response(
        _verified(context, case),
        media_type="application/octet-stream",
        headers={"content-encoding": "gzip"},
    )


def _no_such_case() -> RefusedError:
    return RefusedError("not-found", "There is no such case.", status=404)


def _open_case(
    db: Session, context: AppContext, user: SignedInUser, token: str
) -> tuple[ReaderState, Assignment, StudyCase]:
    """A case that this reader may see now."""
    state = context.reader_state(db, user)
    found = db.execute(
        select(Assignment, StudyCase, ReadingSession)
        .join(StudyCase, StudyCase.id == Assignment.case_id)
        .join(ReadingSession, ReadingSession.id == Assignment.session_id)
        .where(Assignment.token == token, ReadingSession.account_id == user.account_id)
    ).first()
    if found is None or state.session is None:
        raise _no_such_case()
    assignment, case, session = found
    # The last training case of a session that is all training still has its feedback to show.
    just_done = state.phase is Phase.FINISHED and case.training
    if session.id != state.session.id or not (state.phase in _OPEN or just_done):
        raise _no_such_case()
    if assignment.position > state.answered + 1:
        raise _no_such_case()
    return state, assignment, case


def _last_stage(context: AppContext, state: ReaderState) -> AnswerStage:
    number = state.session.number if state.session else 1
    return context.study.protocol.stages(number)[-1]


def _verified(context: AppContext, case: StudyCase) -> bytes:
    """A picture's compressed content, if it is unchanged since the study was made."""
    file = context.study.image_file(case.token)
    try:
        facts = file.stat()
        looks = (case.token, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size)
        if looks in context.verified:
            return file.read_bytes()
        content, _ = read_picture(file, case.picture, case.image_sha256)
    except (OSError, StudyError) as error:
        message = (
            "The picture is missing, or was altered since the study was made. Tell the "
            "administrator."
        )
        raise RefusedError("picture", message, status=500) from error
    context.verified.add(looks)
    return content


@router.get("/model/{token}")
def model_output(context: ContextDep, user: CurrentReader, token: str) -> _Json:
    """The model's output, once the unaided answer of an aided session is stored."""
    with context.store.reading() as db:
        state, assignment, case = _open_case(db, context, user, token)
        aided = state.session is not None and state.session.aided
        if not aided or not is_answered(db, assignment, AnswerStage.UNAIDED):
            raise _no_such_case()
    return _private_json(context.study.model_file(case.token))


@router.get("/feedback/{token}")
def feedback(context: ContextDep, user: CurrentReader, token: str) -> _Json:
    """The truth of a training case, once it is answered."""
    with context.store.reading() as db:
        state, assignment, case = _open_case(db, context, user, token)
        if not case.training or not is_answered(db, assignment, _last_stage(context, state)):
            raise _no_such_case()
    return _private_json(context.study.feedback_file(case.token))


def _private_json(file: Path) -> _Json:
    try:
        content: _Json = json_in(file.read_bytes())
    except (OSError, ValueError) as error:
        message = "A file is missing. Tell the administrator."
        raise RefusedError("file", message, status=500) from error
    return content


@router.post("/environment")
def environment(context: ContextDep, user: WritingReader, sent: SentEnvironment) -> _Json:
    """Store where the reader reads, which begins the session."""
    protocol = context.study.protocol
    narrow = sent.window_width < protocol.least_width_px
    if narrow or sent.window_height < protocol.least_height_px:
        raise RefusedError(
            "window",
            f"The window is too small: it has {sent.window_width:.0f} x {sent.window_height:.0f} "
            f"pixels, and needs {protocol.least_width_px} x {protocol.least_height_px}.",
            status=422,
        )
    now = context.clock.now()
    with context.store.writing() as db:
        state = context.reader_state(db, user, now=now, lock=True)
        store_environment(db, state, sent, software=context.software, now=now)
    return {"stored": True}


@router.post("/tab")
def tab(context: ContextDep, user: WritingReader, sent: SentTab) -> _Json:
    """Make a tab the active one."""
    now = context.clock.now()
    with context.store.writing() as db:
        session = context.reader_state(db, user, now=now, lock=True).session
        if session is None:
            return {"active": False}
        return {"active": take_tab(db, session, sent.tab, take=sent.take, now=now)}


@router.post("/draft")
def draft(context: ContextDep, user: WritingReader, sent: SentDraft) -> _Json:
    """Store what is entered so far."""
    with context.store.writing() as db:
        store_draft(db, user.account_id, sent, now=context.clock.now())
    return {"stored": True}


@router.post("/events")
def events(context: ContextDep, user: WritingReader, sent: SentEvents) -> _Json:
    """Store what the reader did."""
    with context.store.writing() as db:
        count = store_events(db, user.account_id, sent.events, now=context.clock.now())
    return {"stored": count}


@router.post("/submit")
def submit(context: ContextDep, user: WritingReader, sent: SentSubmission) -> _Json:
    """Store an answer: in one transaction, and once however often it is sent.

    The reply holds the new state, so that the next case needs no other request.
    """
    with context.store.writing() as db:
        now = context.clock.now()
        receipt = store_answer(
            db,
            user.account_id,
            sent,
            protocol=context.study.protocol,
            software=context.software,
            now=now,
        )
    with context.store.reading() as db:
        state = _state(db, context, user, now)
    return {
        "stored": receipt.key,
        "revision": receipt.revision,
        "replayed": receipt.replayed,
        "training": receipt.training,
        "state": state,
    }


@router.post("/finish")
def finish(context: ContextDep, user: WritingReader) -> _Json:
    """Finish a session whose answers could be changed until now."""
    now = context.clock.now()
    with context.store.writing() as db:
        finish_session(db, user.account_id, protocol=context.study.protocol, now=now)
    return {"stored": True}
