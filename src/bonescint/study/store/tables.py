"""The tables of a study's store. None contains a truth or the identifier of a scan.

Times are seconds since 1970, UTC, by the study's clock; `t_ms` is the monotonic clock of a
browser's tab.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Double, ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

# SQLite numbers rows by itself only if the type is exactly INTEGER.
_Key = BigInteger().with_variant(Integer(), "sqlite")
_Json = dict[str, Any]


class Base(DeclarativeBase):
    """The base of all tables."""

    type_annotation_map = {_Json: JSON, float: Double}  # noqa: RUF012 - SQLAlchemy reads it


class StudyRow(Base):
    """The study itself: one row."""

    __tablename__ = "study"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    study_id: Mapped[str] = mapped_column(String(32))
    protocol: Mapped[_Json]
    protocol_sha256: Mapped[str] = mapped_column(String(64))
    images_sha256: Mapped[str] = mapped_column(String(64))
    model_id: Mapped[str] = mapped_column(String(200), default="")
    model_sha256: Mapped[str] = mapped_column(String(64), default="")
    simulated_scans: Mapped[bool] = mapped_column(default=False)
    created_s: Mapped[float]


class Account(Base):
    """A reader or an administrator. `reader` is the short name of the table of readers."""

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    reader: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    name_key: Mapped[str] = mapped_column(String(200), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    experience_years: Mapped[float | None]
    simulated: Mapped[bool] = mapped_column(default=False)
    password_hash: Mapped[str] = mapped_column(Text, default="")
    active: Mapped[bool] = mapped_column(default=True)
    created_s: Mapped[float]


class Invitation(Base):
    """A link with which a user sets a password; only its hash is stored."""

    __tablename__ = "invitation"
    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_s: Mapped[float]
    expires_s: Mapped[float]
    used_s: Mapped[float | None]


class SignIn(Base):
    """A cookie that was given to a browser; only its hash is stored."""

    __tablename__ = "sign_in"
    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_s: Mapped[float]
    seen_s: Mapped[float]
    ended_s: Mapped[float | None]


class Attempt(Base):
    """An attempt to sign in, for the limit on their rate."""

    __tablename__ = "attempt"
    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    who_sha256: Mapped[str] = mapped_column(String(64), index=True)
    at_s: Mapped[float]


class StudyCase(Base):
    """A case's picture, under an opaque identifier."""

    __tablename__ = "study_case"
    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    token: Mapped[str] = mapped_column(String(40), unique=True)
    training: Mapped[bool]
    picture: Mapped[_Json]
    image_sha256: Mapped[str] = mapped_column(String(64))


class ReadingSession(Base):
    """One reading of all cases by one reader, with the hashes fixed when it began."""

    __tablename__ = "reading_session"
    __table_args__ = (UniqueConstraint("account_id", "number"),)
    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    number: Mapped[int]
    aided: Mapped[bool]
    started_s: Mapped[float | None]
    finished_s: Mapped[float | None]
    tab: Mapped[str] = mapped_column(String(64), default="")
    protocol_sha256: Mapped[str] = mapped_column(String(64), default="")
    software_sha256: Mapped[str] = mapped_column(String(64), default="")
    model_sha256: Mapped[str] = mapped_column(String(64), default="")
    images_sha256: Mapped[str] = mapped_column(String(64), default="")
    software: Mapped[_Json | None]


class Assignment(Base):
    """A case's position in a session: together they are the reader's order."""

    __tablename__ = "assignment"
    __table_args__ = (
        UniqueConstraint("session_id", "position"),
        UniqueConstraint("session_id", "case_id"),
    )
    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    token: Mapped[str] = mapped_column(String(40), unique=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("reading_session.id"), index=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("study_case.id"))
    position: Mapped[int]


class Environment(Base):
    """Where a reader reads: monitor, light, screen, browser. Append-only."""

    __tablename__ = "environment"
    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("reading_session.id"), index=True)
    at_s: Mapped[float]
    body: Mapped[_Json]


class Draft(Base):
    """What a reader has entered and not yet submitted; the events hold its history."""

    __tablename__ = "draft"
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignment.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(String(10), primary_key=True)
    body: Mapped[_Json]
    saved_s: Mapped[float]


class Answer(Base):
    """A submitted answer, under an identifier that the browser made. Append-only."""

    __tablename__ = "answer"
    __table_args__ = (
        UniqueConstraint("assignment_id", "stage", "revision"),
        UniqueConstraint("assignment_id", "key"),
    )
    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    key: Mapped[str] = mapped_column(String(64))
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignment.id"), index=True)
    stage: Mapped[str] = mapped_column(String(10))
    revision: Mapped[int]
    positive: Mapped[bool]
    confidence: Mapped[int]
    no_focus: Mapped[bool]
    comment: Mapped[str] = mapped_column(Text, default="")
    body_sha256: Mapped[str] = mapped_column(String(64))
    software_sha256: Mapped[str] = mapped_column(String(64))
    tab: Mapped[str] = mapped_column(String(64))
    t_ms: Mapped[float]
    client_s: Mapped[float]
    received_s: Mapped[float]


class Mark(Base):
    """A focus that a reader marked; whole numbers are pixel centres. Append-only."""

    __tablename__ = "mark"
    __table_args__ = (UniqueConstraint("answer_id", "number"),)
    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    answer_id: Mapped[int] = mapped_column(ForeignKey("answer.id"), index=True)
    number: Mapped[int]
    view: Mapped[str] = mapped_column(String(10))
    row_px: Mapped[float]
    column_px: Mapped[float]
    rating: Mapped[int]


class Event(Base):
    """Anything a reader did, under an identifier that the browser made. Append-only."""

    __tablename__ = "event"
    __table_args__ = (UniqueConstraint("session_id", "key"),)
    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    key: Mapped[str] = mapped_column(String(80))
    session_id: Mapped[int] = mapped_column(ForeignKey("reading_session.id"))
    assignment_id: Mapped[int | None] = mapped_column(ForeignKey("assignment.id"), index=True)
    kind: Mapped[str] = mapped_column(String(40))
    tab: Mapped[str] = mapped_column(String(64))
    t_ms: Mapped[float]
    client_s: Mapped[float]
    received_s: Mapped[float]
    body: Mapped[_Json]


class Change(Base):
    """A change to an account, a session or the study. Append-only."""

    __tablename__ = "change"
    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    at_s: Mapped[float]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    what: Mapped[str] = mapped_column(String(60))
    body: Mapped[_Json]


APPEND_ONLY = ("environment", "answer", "mark", "event", "change")
"""Tables whose rows the database itself refuses to change or delete."""


def record_change(
    db: Session, what: str, body: _Json | None = None, *, now: float, account_id: int | None = None
) -> None:
    """Record a change to an account, a session or the study."""
    db.add(Change(at_s=now, account_id=account_id, what=what, body=body or {}))
