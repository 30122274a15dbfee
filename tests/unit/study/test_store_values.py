"""What exactly stands in the store after each thing that readers and administrators do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.event import listens_for
from sqlalchemy.orm import ORMExecuteState, Session

from bonescint.study import RefusedError
from bonescint.study.creating import store_study
from bonescint.study.folder import StudyFolder, images_sha256
from bonescint.study.protocol import AnswerStage, Software, StudyProtocol, sha256_of
from bonescint.study.sampling import assign_sessions
from bonescint.study.store import accounts, answers
from bonescint.study.store.accounts import Reader, Role
from bonescint.study.store.clock import clock_of
from bonescint.study.store.database import Store
from bonescint.study.store.sessions import (
    Phase,
    find_reader_state,
    progress_of_all,
)
from bonescint.study.store.submission import (
    Entered,
    SentAnswer,
    SentDraft,
    SentEnvironment,
    SentEvent,
    SentEvents,
    SentMark,
    SentSubmission,
)
from bonescint.study.store.tables import (
    Account,
    Answer,
    Assignment,
    Change,
    Draft,
    Environment,
    Event,
    Invitation,
    Mark,
    ReadingSession,
    SignIn,
    StudyCase,
    StudyRow,
)

T0 = 1_700_000_000.0
DAY = 86_400.0
PICTURE = {"rows": 100, "columns": 40, "views": ["anterior"]}
SOFTWARE = Software(bonescint="1", python="3", libraries={"a": "1"}, pages_sha256="p" * 64)
ENVIRONMENT = SentEnvironment(
    monitor="  Eizo ", calibrated="2026-01-31", light="dim", steps_seen=15, screen_width=1920,
    screen_height=1080, window_width=1900, window_height=1000, pixel_ratio=1.5, colour_depth=24,
    browser="Firefox",
)  # fmt: skip


def protocol_of(**changed: Any) -> StudyProtocol:
    return StudyProtocol(title="A study", seed=7, cases=2, training_cases=1, **changed)


def cases() -> list[StudyCase]:
    return [
        StudyCase(token=token, training=training, picture=PICTURE, image_sha256=token * 16)
        for token, training in (("cccc", False), ("aaaa", True), ("bbbb", False))
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'store.sqlite'}") as made:
        made.upgrade()
        yield made


@pytest.fixture
def db(store: Store) -> Iterator[Session]:
    with store.writing() as session:
        yield session


def made(db: Session, protocol: StudyProtocol) -> SimpleNamespace:
    """A study with one reader, who has entered nothing."""
    study = StudyFolder(
        path=Path("study"), study_id="s" * 16, protocol=protocol, simulated_scans=True
    )
    store_study(db, study, cases(), model=("m", "n" * 64), now=T0)
    reader = Reader(reader="r1", name="Dr. Anna  Meier", experience_years=4.0)
    account = accounts.add_account(db, reader, role=Role.READER, now=T0 + 1)
    assign_sessions(db, account, protocol, now=T0 + 2)
    return SimpleNamespace(account=account, id=account.id, protocol=protocol)


def changes(db: Session) -> list[tuple[float, int | None, str, dict[str, Any]]]:
    return [
        (one.at_s - T0, one.account_id, one.what, dict(one.body))
        for one in db.scalars(select(Change).order_by(Change.id))
    ]


def begun(db: Session, study: SimpleNamespace, now: float) -> None:
    standing = find_reader_state(db, study.id, study.protocol, now=now)
    answers.store_environment(db, standing, ENVIRONMENT, software=SOFTWARE, now=now)
    standing = find_reader_state(db, study.id, study.protocol, now=now)
    assert standing.session is not None
    assert answers.take_tab(db, standing.session, "tab-1", take=False, now=now)


def answer(
    db: Session,
    study: SimpleNamespace,
    *,
    now: float,
    stage: AnswerStage = AnswerStage.UNAIDED,
    **changed: Any,
) -> answers.Receipt:
    standing = find_reader_state(db, study.id, study.protocol, now=now)
    assert standing.assignment is not None
    sent = SentSubmission(
        key=changed.pop("key", f"key-{now:.0f}"),
        case=changed.pop("case", standing.assignment.token),
        stage=stage, tab="tab-1", t_ms=12.5, client_s=T0 - 5, events=changed.pop("events", ()),
        answer=SentAnswer(**{"positive": False, "confidence": 5, "no_focus": True, "marks": (),
                             **changed}),
    )  # fmt: skip
    return answers.store_answer(
        db, study.id, sent, protocol=study.protocol, software=SOFTWARE, now=now
    )


# --- a new study --------------------------------------------------------------------------------


def test_a_new_study_says_what_it_is(db: Session) -> None:
    study = made(db, protocol_of())
    row = db.get_one(StudyRow, 1)
    assert (row.study_id, row.model_id, row.model_sha256) == ("s" * 16, "m", "n" * 64)
    assert (row.simulated_scans, row.created_s) == (True, T0)
    assert row.protocol == study.protocol.to_json()
    assert row.protocol_sha256 == sha256_of(study.protocol.to_json())
    assert row.images_sha256 == images_sha256(list(reversed(cases())))
    assert row.images_sha256 == sha256_of([[t, t * 16] for t in ("aaaa", "bbbb", "cccc")])
    stored = db.scalars(select(StudyCase).order_by(StudyCase.id)).all()
    assert [(c.token, c.training) for c in stored] == [
        ("cccc", False), ("aaaa", True), ("bbbb", False),
    ]  # fmt: skip
    assert changes(db) == [
        (0.0, None, "study made", {"cases": 3}),
        (1.0, study.id, "account added", {"role": "reader", "simulated": False}),
        (2.0, study.id, "order drawn", {}),
    ]
    account = db.get_one(Account, study.id)
    assert (account.name_key, account.experience_years) == ("dr. anna meier", 4.0)
    assert (account.created_s, account.active, account.password_hash) == (T0 + 1, True, "")


def test_training_comes_first_in_every_session(db: Session) -> None:
    study = made(db, protocol_of(second_session="aided"))
    sessions = db.scalars(select(ReadingSession).order_by(ReadingSession.number)).all()
    assert [(one.number, one.aided) for one in sessions] == [(1, False), (2, True)]
    for session in sessions:
        rows = db.execute(
            select(Assignment.position, StudyCase.training)
            .join(StudyCase, StudyCase.id == Assignment.case_id)
            .where(Assignment.session_id == session.id)
            .order_by(Assignment.position)
        ).all()
        assert [tuple(row) for row in rows] == [(0, True), (1, False), (2, False)]
    assert study.protocol.sessions == 2


# --- answers ------------------------------------------------------------------------------------


def test_an_answer_is_stored_to_the_letter(db: Session) -> None:
    study = made(db, protocol_of())
    begun(db, study, T0 + 10)
    standing = find_reader_state(db, study.id, study.protocol, now=T0 + 11)
    assert standing.assignment is not None
    case = standing.assignment.token
    event = SentEvent(key="event-0001", kind="zoom", tab="tab-1", case=case, t_ms=7.5,
                      client_s=T0 - 3, body={"zoom": 2})  # fmt: skip
    marks = (
        SentMark(view="anterior", row=99.5, column=-0.5, rating=0),
        SentMark(view="anterior", row=-0.5, column=39.5, rating=100),
    )
    receipt = answer(
        db, study, now=T0 + 12, key="key-of-mine", positive=True, confidence=80, no_focus=False,
        marks=marks, comment="a\0b", events=(event,),
    )  # fmt: skip
    assert receipt == answers.Receipt(
        key="key-of-mine", revision=1, replayed=False, training=True, finished=False
    )
    row = db.scalars(select(Answer)).one()
    assert (row.key, row.assignment_id, row.stage) == (
        "key-of-mine",
        standing.assignment.id,
        "unaided",
    )
    assert (row.revision, row.positive, row.confidence, row.no_focus) == (1, True, 80, False)
    assert (row.comment, row.tab, row.t_ms, row.client_s) == ("ab", "tab-1", 12.5, T0 - 5)
    assert (row.received_s, row.software_sha256) == (T0 + 12, SOFTWARE.sha256)
    stored = [(m.number, m.view, m.row_px, m.column_px, m.rating)
              for m in db.scalars(select(Mark).order_by(Mark.number))]  # fmt: skip
    assert stored == [(1, "anterior", 99.5, -0.5, 0), (2, "anterior", -0.5, 39.5, 100)]
    kept = db.scalars(select(Event)).one()
    assert (kept.key, kept.kind, kept.tab, kept.body) == (
        "event-0001",
        "zoom",
        "tab-1",
        {"zoom": 2},
    )
    assert (kept.t_ms, kept.client_s, kept.received_s) == (7.5, T0 - 3, T0 + 12)
    assert kept.assignment_id == standing.assignment.id
    assert kept.session_id == standing.assignment.session_id


@pytest.mark.parametrize(
    ("mark", "inside"),
    [
        ({"row": 99.5, "column": 39.5}, True),
        ({"row": 99.51, "column": 0}, False),
        ({"row": 0, "column": 39.51}, False),
        ({"row": 0, "column": 0, "view": "posterior"}, False),
    ],
)
def test_a_mark_lies_in_a_view_that_the_case_has(
    db: Session, mark: dict[str, Any], inside: bool
) -> None:
    study = made(db, protocol_of())
    begun(db, study, T0 + 10)
    sent = SentMark(**{"view": "anterior", "rating": 5, **mark})
    if inside:
        assert answer(db, study, now=T0 + 11, no_focus=False, marks=(sent,)).revision == 1
        return
    with pytest.raises(RefusedError, match="outside the picture") as caught:
        answer(db, study, now=T0 + 11, no_focus=False, marks=(sent,))
    assert (caught.value.problem, caught.value.status) == ("marks", 422)


def test_every_refusal_has_its_word(db: Session) -> None:
    study = made(db, protocol_of())
    told: list[tuple[str, int]] = []

    def refused(**given: Any) -> None:
        with pytest.raises(RefusedError) as caught:
            answer(db, study, **given)
        told.append((caught.value.problem, caught.value.status))

    session = db.scalars(select(ReadingSession)).one()
    session.tab = "tab-1"
    refused(now=T0 + 9)
    begun(db, study, T0 + 10)
    mark = SentMark(view="anterior", row=1, column=1, rating=1)
    refused(now=T0 + 11, no_focus=True, marks=(mark,))
    refused(now=T0 + 11, no_focus=False)
    refused(now=T0 + 11, case="nobodys")
    refused(now=T0 + 11, stage=AnswerStage.AIDED)
    last = db.scalar(select(Assignment.token).where(Assignment.position == 2))
    refused(now=T0 + 11, case=last)
    first = db.scalar(select(Assignment.token).where(Assignment.position == 0))
    answer(db, study, now=T0 + 12, key="key-first")
    refused(now=T0 + 13, case=first, key="key-first", confidence=6)
    refused(now=T0 + 13, case=first)
    session.tab = "tab-2"
    refused(now=T0 + 14)
    assert told == [
        ("environment", 409), ("marks", 422), ("marks", 422), ("not-found", 404), ("not-now", 409),
        ("not-now", 409), ("key-used", 409), ("answered", 409), ("other-tab", 409),
    ]  # fmt: skip


def test_a_session_ends_with_its_last_answer_and_is_noted(db: Session) -> None:
    study = made(db, protocol_of())
    begun(db, study, T0 + 10)
    receipts = [answer(db, study, now=T0 + 20 + number) for number in range(3)]
    assert [one.finished for one in receipts] == [False, False, True]
    assert [one.training for one in receipts] == [True, False, False]
    session = db.scalars(select(ReadingSession)).one()
    assert (session.started_s, session.finished_s) == (T0 + 10, T0 + 22)
    assert changes(db)[3:] == [
        (10.0, study.id, "session begun", {"number": 1}),
        (10.0, study.id, "tab", {"tab": "tab-1", "take": False}),
        (22.0, study.id, "session finished", {"number": 1}),
    ]
    standing = find_reader_state(db, study.id, study.protocol, now=T0 + 23)
    assert (standing.phase, standing.answered, standing.total) == (Phase.FINISHED, 3, 3)
    assert (standing.training, standing.assignment) == (1, None)


def test_revisions_are_numbered_and_end_with_the_session(db: Session) -> None:
    study = made(db, protocol_of(revisions=True))
    begun(db, study, T0 + 10)
    tokens = [
        token for (token,) in db.execute(select(Assignment.token).order_by(Assignment.position))
    ]
    with pytest.raises(RefusedError, match="cases left"):
        answers.finish_session(db, study.id, protocol=study.protocol, now=T0 + 11)
    for number, _ in enumerate(tokens):
        answer(db, study, now=T0 + 20 + number)
    standing = find_reader_state(db, study.id, study.protocol, now=T0 + 30)
    assert (standing.phase, standing.answered) == (Phase.REVIEW, 3)
    for number in (2, 3):
        sent = SentSubmission(
            key=f"again-key-{number}", case=tokens[1], stage=AnswerStage.UNAIDED,
            tab="tab-1", t_ms=0, client_s=0,
            answer=SentAnswer(positive=False, confidence=number, no_focus=True, marks=()),
        )  # fmt: skip
        receipt = answers.store_answer(
            db, study.id, sent, protocol=study.protocol, software=SOFTWARE, now=T0 + 30 + number
        )
        assert (receipt.revision, receipt.finished, receipt.replayed) == (number, False, False)
    answers.finish_session(db, study.id, protocol=study.protocol, now=T0 + 40)
    assert db.scalars(select(ReadingSession)).one().finished_s == T0 + 40
    late = sent.model_copy(update={"key": "key-too-late"})
    with pytest.raises(RefusedError, match="answers are final"):
        answers.store_answer(
            db, study.id, late, protocol=study.protocol, software=SOFTWARE, now=T0 + 41
        )


def test_whoever_answers_or_finishes_holds_the_sessions_until_it_is_done(db: Session) -> None:
    """SQLite locks all of itself; elsewhere two requests at once would both be the last one."""
    study = made(db, protocol_of(revisions=True))
    begun(db, study, T0 + 10)
    asked: list[str] = []

    @listens_for(db, "do_orm_execute")
    def _note(state: ORMExecuteState) -> None:
        text = str(state.statement.compile(dialect=postgresql.dialect()))
        if "FOR UPDATE" in text:
            asked.append(text[text.index("FOR UPDATE") :])

    for number in range(3):
        answer(db, study, now=T0 + 20 + number)
        assert asked == ["FOR UPDATE OF reading_session", "FOR UPDATE"], "its place, then all"
        asked.clear()
    answers.finish_session(db, study.id, protocol=study.protocol, now=T0 + 40)
    assert asked == ["FOR UPDATE"]


def test_what_a_session_is_read_with_is_frozen_once(db: Session) -> None:
    study = made(db, protocol_of(second_session="aided", washout_days=2.0))
    begun(db, study, T0 + 10)
    first = db.scalars(select(ReadingSession).where(ReadingSession.number == 1)).one()
    row = db.get_one(StudyRow, 1)
    assert (first.protocol_sha256, first.images_sha256) == (row.protocol_sha256, row.images_sha256)
    assert (first.model_sha256, first.software_sha256) == ("", SOFTWARE.sha256)
    assert first.software == SOFTWARE.to_json()
    environment = db.scalars(select(Environment)).one()
    assert (environment.at_s, environment.body["monitor"]) == (T0 + 10, "Eizo")
    assert environment.body["steps_seen"] == 15
    other = Software(bonescint="2", python="3", libraries={}, pages_sha256="q" * 64)
    standing = find_reader_state(db, study.id, study.protocol, now=T0 + 11)
    answers.store_environment(db, standing, ENVIRONMENT, software=other, now=T0 + 11)
    assert first.software_sha256 == SOFTWARE.sha256
    assert changes(db)[-1] == (
        11.0, study.id, "software differs", {"number": 1, "software_sha256": other.sha256},
    )  # fmt: skip
    for number in range(3):
        answer(db, study, now=T0 + 20 + number)
    # The wash-out: two days from the end, to the second.
    waiting = find_reader_state(db, study.id, study.protocol, now=T0 + 22 + 2 * DAY - 0.1)
    assert (waiting.phase, waiting.opens_s) == (Phase.WAITING, T0 + 22 + 2 * DAY)
    assert (waiting.total, waiting.training, waiting.answered) == (3, 1, 0)
    with pytest.raises(RefusedError, match="nothing to read now"):
        answers.store_environment(db, waiting, ENVIRONMENT, software=SOFTWARE, now=T0 + 50)
    opened = find_reader_state(db, study.id, study.protocol, now=T0 + 22 + 2 * DAY)
    assert opened.phase is Phase.ENVIRONMENT
    begun(db, study, T0 + 3 * DAY)
    second = db.scalars(select(ReadingSession).where(ReadingSession.number == 2)).one()
    assert second.model_sha256 == "n" * 64


def test_an_environment_holds_twelve_hours(db: Session) -> None:
    study = made(db, protocol_of())
    begun(db, study, T0)
    for passed, phase in ((12 * 3600 - 1, Phase.READING), (12 * 3600, Phase.ENVIRONMENT)):
        assert find_reader_state(db, study.id, study.protocol, now=T0 + passed).phase is phase


def test_a_tab_takes_over_when_it_says_so(db: Session) -> None:
    study = made(db, protocol_of())
    begun(db, study, T0 + 10)
    session = db.scalars(select(ReadingSession)).one()
    assert answers.take_tab(db, session, "tab-1", take=False, now=T0 + 11)
    assert not answers.take_tab(db, session, "tab-2", take=False, now=T0 + 12)
    assert session.tab == "tab-1"
    assert answers.take_tab(db, session, "tab-2", take=True, now=T0 + 13)
    assert session.tab == "tab-2"
    assert changes(db)[4:] == [
        (10.0, study.id, "tab", {"tab": "tab-1", "take": False}),
        (13.0, study.id, "tab", {"tab": "tab-2", "take": True}),
    ]


def test_a_draft_goes_with_the_answer_of_its_stage_only(db: Session) -> None:
    study = made(db, protocol_of(second_session="aided", washout_days=0.0))
    begun(db, study, T0 + 10)
    for number in range(3):
        answer(db, study, now=T0 + 20 + number)
    begun(db, study, T0 + 30)
    standing = find_reader_state(db, study.id, study.protocol, now=T0 + 31)
    assert standing.assignment is not None
    number = standing.assignment.id
    for stage in ("unaided", "aided"):
        db.add(Draft(assignment_id=number, stage=stage, body={}, saved_s=T0))
    db.flush()
    answer(db, study, now=T0 + 32)
    assert db.scalars(select(Draft.stage)).all() == ["aided"]
    assert find_reader_state(db, study.id, study.protocol, now=T0 + 33).stage is AnswerStage.AIDED
    assert answer(db, study, now=T0 + 34, stage=AnswerStage.AIDED).revision == 1
    assert db.scalars(select(Draft.stage)).all() == []


def test_a_draft_is_kept_whatever_others_have_answered(db: Session) -> None:
    study = made(db, protocol_of())
    reader = Reader(reader="r2", name="Dr. B", experience_years=1.0)
    account = accounts.add_account(db, reader, role=Role.READER, now=T0 + 3)
    assign_sessions(db, account, study.protocol, now=T0 + 4)
    other = SimpleNamespace(account=account, id=account.id, protocol=study.protocol)
    begun(db, study, T0 + 10)
    begun(db, other, T0 + 10)
    answer(db, other, now=T0 + 11)
    standing = find_reader_state(db, study.id, study.protocol, now=T0 + 12)
    assert standing.assignment is not None
    draft = SentDraft(case=standing.assignment.token, stage=AnswerStage.UNAIDED, tab="tab-1",
                      draft={"confidence": 40})  # fmt: skip
    answers.store_draft(db, study.id, draft, now=T0 + 13)
    kept = db.scalars(select(Draft)).one()
    assert (kept.assignment_id, kept.stage) == (standing.assignment.id, "unaided")
    assert (kept.saved_s, kept.body["confidence"]) == (T0 + 13, 40)
    answer(db, study, now=T0 + 14)
    answers.store_draft(db, study.id, draft, now=T0 + 15)
    assert db.scalars(select(Draft)).all() == [], "after its answer it is of no use"


# --- accounts -----------------------------------------------------------------------------------


def test_an_invitation_holds_fourteen_days_and_the_last_one_only(db: Session) -> None:
    study = made(db, protocol_of())
    old = accounts.invite(db, study.account, now=T0 + 10)
    assert accounts.invited(db, old, now=T0 + 10 + 14 * DAY - 1) is study.account
    assert accounts.invited(db, old, now=T0 + 10 + 14 * DAY) is None
    new = accounts.invite(db, study.account, now=T0 + 20, lasts_s=100)
    assert accounts.invited(db, old, now=T0 + 21) is None
    assert accounts.invited(db, new, now=T0 + 119) is study.account
    assert accounts.invited(db, new, now=T0 + 120) is None
    assert accounts.accept(db, new, "hash", now=T0 + 30) is study.account
    assert study.account.password_hash == "hash"  # noqa: S105 - of no password
    with pytest.raises(RefusedError, match="not or no longer valid") as caught:
        accounts.accept(db, new, "other", now=T0 + 31)
    assert caught.value.status == 410
    rows = db.execute(select(Invitation.expires_s, Invitation.used_s).order_by(Invitation.id)).all()
    assert [tuple(row) for row in rows] == [(T0 + 20, None), (T0 + 120, T0 + 30)]
    assert changes(db)[3:] == [
        (10.0, study.id, "invited", {"expires_s": T0 + 10 + 14 * DAY}),
        (20.0, study.id, "invited", {"expires_s": T0 + 120}),
        (30.0, study.id, "password set", {}),
    ]


def test_a_sign_in_ends_twelve_hours_after_it_was_seen(db: Session) -> None:
    study = made(db, protocol_of())
    token = accounts.sign_in(db, study.account, now=T0)
    db.flush()

    def seen(after: float) -> bool | None:
        found = accounts.signed_in_user(db, token, now=T0 + after)
        return None if found is None else found[1]

    assert [seen(s) for s in (0, 60, 61, 12 * 3600, 12 * 3600 + 1)] == [
        False,
        False,
        True,
        True,
        None,
    ]
    found = accounts.signed_in_user(db, token, now=T0)
    assert found is not None
    visitor = found[0]
    assert (visitor.account_id, visitor.reader, visitor.role) == (study.id, "r1", Role.READER)
    assert (visitor.name, visitor.simulated) == ("Dr. Anna  Meier", False)
    accounts.note_seen(db, visitor.sign_in_id, now=T0 + 12 * 3600)
    assert seen(24 * 3600) is True
    accounts.sign_out(db, visitor.sign_in_id, now=T0 + 5)
    assert seen(6) is None
    assert db.scalars(select(SignIn.ended_s)).all() == [T0 + 5]


def test_who_is_kept_out_is_signed_out_and_noted(db: Session) -> None:
    study = made(db, protocol_of())
    token = accounts.sign_in(db, study.account, now=T0)
    link = accounts.invite(db, study.account, now=T0 + 5)
    accounts.set_active(db, study.account, active=False, now=T0 + 10)
    db.flush()
    assert accounts.signed_in_user(db, token, now=T0 + 11) is None
    assert accounts.invited(db, link, now=T0 + 11) is None
    accounts.set_active(db, study.account, active=True, now=T0 + 12)
    assert accounts.signed_in_user(db, token, now=T0 + 13) is None  # it was ended, not put aside
    assert accounts.invited(db, link, now=T0 + 13) is study.account
    assert [one[:3] for one in changes(db)[4:]] == [
        (10.0, study.id, "deactivated"), (12.0, study.id, "activated"),
    ]  # fmt: skip


@pytest.mark.parametrize(("length", "fits"), [(9, False), (10, True), (256, True), (257, False)])
def test_a_password_has_10_to_256_characters(length: int, fits: bool) -> None:
    password = "p" * length
    if fits:
        stored = accounts.hash_password(password, password)
        assert accounts.password_fits(stored, password)
        assert not accounts.password_fits(stored, password[:-1])
        return
    with pytest.raises(RefusedError, match="at least 10 characters") as caught:
        accounts.hash_password(password, password)
    assert (caught.value.problem, caught.value.status) == ("password", 422)


def test_progress_says_how_far_everybody_is(db: Session) -> None:
    study = made(db, protocol_of())
    begun(db, study, T0 + 10)
    answer(db, study, now=T0 + 20)
    answer(db, study, now=T0 + 21)
    (row,) = progress_of_all(db, study.protocol, now=T0 + 22)
    assert (row.reader, row.name, row.role) == ("r1", "Dr. Anna  Meier", "reader")
    assert (row.active, row.has_password, row.simulated) == (True, False, False)
    assert (row.session, row.phase, row.last_s) == (1, Phase.READING, T0 + 21)
    assert (row.answered, row.total) == (1, 2)  # training does not count


def test_the_clock_is_not_before_anything_stored(db: Session) -> None:
    study = made(db, protocol_of())
    later = 4e9
    db.add(Change(at_s=later, account_id=None, what="x", body={}))
    db.flush()
    assert later <= clock_of(db).now() < later + 600
    begun(db, study, later + 500)
    answer(db, study, now=later + 1000)
    assert clock_of(db).now() >= later + 1000
    event = SentEvent(key="event-0001", kind="zoom", tab="t", t_ms=0, client_s=0)
    answers.store_events(db, study.id, [event], now=later + 2000)
    assert clock_of(db).now() >= later + 2000


# --- what may be sent -----------------------------------------------------------------------------

EVENT: dict[str, Any] = {"key": "event-0001", "kind": "zoom", "tab": "t", "t_ms": 0, "client_s": 0}
MARK: dict[str, Any] = {"view": "anterior", "row": 0, "column": 0, "rating": 0}
ANSWER: dict[str, Any] = {"positive": True, "confidence": 0, "no_focus": True, "marks": ()}


@pytest.mark.parametrize(
    ("kind", "whole", "fits", "does_not"),
    [
        (SentEvent, EVENT, {"key": "k" * 8}, {"key": "k" * 7}),
        (SentEvent, EVENT, {"key": "k" * 64}, {"key": "k" * 65}),
        (SentEvent, EVENT, {"tab": "t" * 64}, {"tab": "t" * 65}),
        (SentEvent, EVENT, {"t_ms": 1e13}, {"t_ms": 1.01e13}),
        (SentEvent, EVENT, {"client_s": -1e13}, {"client_s": -1.01e13}),
        (SentEvent, EVENT, {"client_s": 0.0}, {"client_s": float("nan")}),
        (SentEvent, EVENT, {"body": dict.fromkeys(map(str, range(30)))},
         {"body": dict.fromkeys(map(str, range(31)))}),
        (SentEvent, EVENT, {"body": {"a": 1e15}}, {"body": {"a": 1.01e15}}),
        (SentEvent, EVENT, {"body": {"a": -1e15}}, {"body": {"a": float("inf")}}),
        (SentEvent, EVENT, {"body": {"a": True}}, {"body": {"a": []}}),
        (SentMark, MARK, {"row": -0.5}, {"row": -0.51}),
        (SentMark, MARK, {"column": 20_000}, {"column": 20_001}),
        (SentMark, MARK, {"rating": 100}, {"rating": 101}),
        (SentMark, MARK, {"rating": 0}, {"rating": -1}),
        (SentMark, MARK, {"rating": 1}, {"rating": True}),
        (SentAnswer, ANSWER, {"confidence": 100}, {"confidence": 101}),
        (SentAnswer, ANSWER, {"confidence": 0}, {"confidence": "0"}),
        (SentAnswer, ANSWER, {"positive": False}, {"positive": 0}),
        (SentAnswer, ANSWER, {"comment": "c" * 4000}, {"comment": "c" * 4001}),
        (SentAnswer, ANSWER, {"marks": (MARK,) * 200}, {"marks": (MARK,) * 201}),
        (Entered, {}, {"marks": (MARK,) * 200}, {"marks": (MARK,) * 201}),
        (Entered, {}, {"comment": "c" * 4000}, {"comment": "c" * 4001}),
        (SentEvents, {}, {"events": (EVENT,) * 2000}, {"events": (EVENT,) * 2001}),
        (SentEnvironment, ENVIRONMENT.model_dump(), {"steps_seen": 24}, {"steps_seen": 25}),
        (SentEnvironment, ENVIRONMENT.model_dump(), {"monitor": "m" * 200}, {"monitor": "m" * 201}),
        (SentEnvironment, ENVIRONMENT.model_dump(), {"monitor": "m"}, {"monitor": " "}),
        (SentEnvironment, ENVIRONMENT.model_dump(), {"browser": "b" * 400}, {"browser": "b" * 401}),
        (SentEnvironment, ENVIRONMENT.model_dump(), {"pixel_ratio": 20}, {"pixel_ratio": 0}),
        (SentEnvironment, ENVIRONMENT.model_dump(), {"calibrated": "never"}, {"calibrated": "x"}),
    ],
)  # fmt: skip
def test_limits_of_what_is_sent(
    kind: Any, whole: dict[str, Any], fits: dict[str, Any], does_not: dict[str, Any]
) -> None:
    kind.model_validate({**whole, **fits})
    with pytest.raises(ValidationError):
        kind.model_validate({**whole, **does_not})
    with pytest.raises(ValidationError):
        kind.model_validate({**whole, **fits, "more": 1})


def test_long_details_are_cut() -> None:
    event = SentEvent(**EVENT, body={"n" * 80: "t" * 600, "none": None, "on": True})
    assert event.body == {"n" * 60: "t" * 500, "none": None, "on": True}
