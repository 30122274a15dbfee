"""What the reading page asks and sends."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from bonescint.files import json_in
from bonescint.study.errors import RefusedError, StudyError
from bonescint.study.integrity import read_picture
from bonescint.study.protocol import Stage
from bonescint.study.store.accounts import Visitor
from bonescint.study.store.answering import (
    finish_session,
    store_answer,
    store_draft,
    store_environment,
    store_events,
    take_tab,
)
from bonescint.study.store.sessions import Phase, Standing, standing_of
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
from bonescint.study.web.dependencies import AReader, AtDesk, Desk, ReaderWriting

router = APIRouter(prefix="/api")


@router.get("/state")
def state(desk: AtDesk, visitor: AReader) -> dict[str, Any]:
    """Where the reader stands: the case to read, its draft, and which picture to fetch next."""
    now = desk.clock.now()
    with desk.store.reading() as db:
        standing = standing_of(db, visitor.account_id, desk.study.protocol, now=now)
        return _state(db, desk, standing, now)


def _state(db: Session, desk: Desk, standing: Standing, now: float) -> dict[str, Any]:
    session = standing.session
    content: dict[str, Any] = {
        "phase": standing.phase.value,
        "now_s": now,
        "session": session.number if session else 0,
        "aided": bool(session and session.aided),
        "answered": standing.answered,
        "total": standing.total,
        "training": standing.training,
    }
    if standing.phase is Phase.READING and standing.assignment and standing.case:
        content["case"] = _case(standing.assignment, standing.case)
        content["case"]["stage"] = standing.stage.value
        draft = db.get(Draft, (standing.assignment.id, standing.stage.value))
        content["draft"] = draft.body if draft else None
        if standing.stage is Stage.AIDED:
            content["before"] = _own_answer(db, standing.assignment, Stage.UNAIDED)
        content["next"] = _case(*standing.following) if standing.following else None
    if session and desk.study.protocol.revisions and standing.phase in _REVISABLE:
        content["answered_cases"] = _answered(db, session, standing.answered)
    return content


_REVISABLE = (Phase.READING, Phase.REVIEW)


def _case(assignment: Assignment, case: StudyCase) -> dict[str, Any]:
    return {
        "token": assignment.token,
        "position": assignment.position,
        "training": case.training,
        "picture": case.picture,
    }


def _answered(db: Session, session: ReadingSession, count: int) -> list[dict[str, Any]]:
    rows = db.execute(
        select(Assignment.token, Assignment.position, StudyCase.training)
        .join(StudyCase, StudyCase.id == Assignment.case_id)
        .where(Assignment.session_id == session.id, Assignment.position < count)
        .order_by(Assignment.position)
    )
    return [{"token": token, "position": place} for token, place, training in rows if not training]


def _own_answer(db: Session, assignment: Assignment, stage: Stage) -> dict[str, Any] | None:
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
def own_answer(desk: AtDesk, visitor: AReader, token: str) -> dict[str, Any]:
    """A reader's own answer, where the protocol lets answers be changed."""
    with desk.store.reading() as db:
        standing, assignment, case = _open_case(db, desk, visitor, token)
        session = standing.session
        if not desk.study.protocol.revisions or session is None:
            raise RefusedError("answered", "Answers of this study are final.", status=403)
        stage = desk.study.protocol.stages(session.number)[-1]
        answer = _own_answer(db, assignment, stage)
        if answer is None or case.training:
            raise RefusedError("not-found", "There is no such answer.", status=404)
        return {"case": {**_case(assignment, case), "stage": stage.value}, "answer": answer}


@router.get("/images/{token}")
def image(desk: AtDesk, visitor: AReader, token: str) -> Response:
    """A case's pixels: the one to read, the one after it, or one read before."""
    with desk.store.reading() as db:
        _, _, case = _open_case(db, desk, visitor, token)
    content = _verified(desk, case)
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"content-encoding": "gzip"},
    )


def _open_case(
    db: Session, desk: Desk, visitor: Visitor, token: str
) -> tuple[Standing, Assignment, StudyCase]:
    """A case that this reader may see now."""
    now = desk.clock.now()
    standing = standing_of(db, visitor.account_id, desk.study.protocol, now=now)
    found = db.execute(
        select(Assignment, StudyCase, ReadingSession)
        .join(StudyCase, StudyCase.id == Assignment.case_id)
        .join(ReadingSession, ReadingSession.id == Assignment.session_id)
        .where(Assignment.token == token, ReadingSession.account_id == visitor.account_id)
    ).first()
    if found is None or standing.session is None:
        raise RefusedError("not-found", "There is no such case.", status=404)
    assignment, case, session = found
    open_now = standing.phase in (Phase.READING, Phase.REVIEW)
    # The last training case of a session that is all training still has its feedback to show.
    just_done = standing.phase is Phase.FINISHED and case.training
    if session.id != standing.session.id or not (open_now or just_done):
        raise RefusedError("not-found", "There is no such case.", status=404)
    if assignment.position > standing.answered + 1:
        raise RefusedError("not-found", "There is no such case.", status=404)
    return standing, assignment, case


def _verified(desk: Desk, case: StudyCase) -> bytes:
    """A picture's compressed content, if it is what it was when the study was made."""
    file = desk.study.image_file(case.token)
    try:
        facts = file.stat()
        looks = (case.token, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size)
        if looks in desk.verified:
            return file.read_bytes()
        content, _ = read_picture(file, case.picture, case.image_sha256)
    except (OSError, StudyError) as error:
        raise RefusedError(
            "picture", "The picture is missing, or was altered since the study was made. Tell the "
            "administrator.", status=500,
        ) from error  # fmt: skip
    desk.verified.add(looks)
    return content


@router.get("/model/{token}")
def model_output(desk: AtDesk, visitor: AReader, token: str) -> dict[str, Any]:
    """The model's output, once the unaided answer of an aided session is stored."""
    with desk.store.reading() as db:
        standing, assignment, case = _open_case(db, desk, visitor, token)
        aided = standing.session is not None and standing.session.aided
        if not aided or not _given(db, assignment, Stage.UNAIDED):
            raise RefusedError("not-found", "There is no such case.", status=404)
    return _private_json(desk.study.model_file(case.token).read_bytes)


@router.get("/feedback/{token}")
def feedback(desk: AtDesk, visitor: AReader, token: str) -> dict[str, Any]:
    """What is true of a training case, once it is answered."""
    with desk.store.reading() as db:
        standing, assignment, case = _open_case(db, desk, visitor, token)
        number = standing.session.number if standing.session else 1
        last = desk.study.protocol.stages(number)[-1]
        if not case.training or not _given(db, assignment, last):
            raise RefusedError("not-found", "There is no such case.", status=404)
    return _private_json(desk.study.feedback_file(case.token).read_bytes)


def _given(db: Session, assignment: Assignment, stage: Stage) -> bool:
    query = select(Answer.id).where(
        Answer.assignment_id == assignment.id, Answer.stage == stage.value
    )
    return db.scalar(query.limit(1)) is not None


def _private_json(read: Any) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json_in(read())
    except (OSError, ValueError) as error:
        raise RefusedError("file", "A file is missing. Tell the administrator.",
                           status=500) from error  # fmt: skip
    return content


@router.post("/environment")
def environment(desk: AtDesk, visitor: ReaderWriting, sent: SentEnvironment) -> dict[str, Any]:
    """Where the reader reads; begins the session."""
    protocol = desk.study.protocol
    narrow = sent.window_width < protocol.least_width_px
    if narrow or sent.window_height < protocol.least_height_px:
        raise RefusedError(
            "window",
            f"The window is too small: it has {sent.window_width:.0f} x {sent.window_height:.0f} "
            f"pixels, and needs {protocol.least_width_px} x {protocol.least_height_px}.",
            status=422,
        )
    now = desk.clock.now()
    with desk.store.writing() as db:
        standing = standing_of(db, visitor.account_id, protocol, now=now, lock=True)
        store_environment(db, standing, sent, software=desk.software, now=now)
    return {"stored": True}


@router.post("/tab")
def tab(desk: AtDesk, visitor: ReaderWriting, sent: SentTab) -> dict[str, Any]:
    """Make a tab the one that reads."""
    now = desk.clock.now()
    with desk.store.writing() as db:
        standing = standing_of(db, visitor.account_id, desk.study.protocol, now=now, lock=True)
        if standing.session is None:
            return {"active": False}
        return {"active": take_tab(db, standing.session, sent.tab, take=sent.take, now=now)}


@router.post("/draft")
def draft(desk: AtDesk, visitor: ReaderWriting, sent: SentDraft) -> dict[str, Any]:
    """Keep what is entered so far."""
    with desk.store.writing() as db:
        store_draft(db, visitor.account_id, sent, now=desk.clock.now())
    return {"stored": True}


@router.post("/events")
def events(desk: AtDesk, visitor: ReaderWriting, sent: SentEvents) -> dict[str, Any]:
    """Keep what the reader did."""
    with desk.store.writing() as db:
        count = store_events(db, visitor.account_id, sent.events, now=desk.clock.now())
    return {"stored": count}


@router.post("/submit")
def submit(desk: AtDesk, visitor: ReaderWriting, sent: SentSubmission) -> dict[str, Any]:
    """Store an answer: in one transaction, and once however often it is sent.

    The reply carries the new standing, so that the next case needs no other request.
    """
    with desk.store.writing() as db:
        now = desk.clock.now()
        receipt = store_answer(
            db, visitor.account_id, sent, protocol=desk.study.protocol, software=desk.software,
            now=now,
        )  # fmt: skip
    with desk.store.reading() as db:
        standing = standing_of(db, visitor.account_id, desk.study.protocol, now=now)
        following = _state(db, desk, standing, now)
    return {
        "stored": receipt.key,
        "revision": receipt.revision,
        "replayed": receipt.replayed,
        "training": receipt.training,
        "state": following,
    }


@router.post("/finish")
def finish(desk: AtDesk, visitor: ReaderWriting) -> dict[str, Any]:
    """End a session whose answers could be changed until now."""
    now = desk.clock.now()
    with desk.store.writing() as db:
        finish_session(db, visitor.account_id, protocol=desk.study.protocol, now=now)
    return {"stored": True}
