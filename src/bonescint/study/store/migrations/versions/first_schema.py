"""The first schema."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _key(
    name: str = "id", *, of: str = "", index: bool = True, null: bool = False
) -> sa.Column[Any]:
    """The primary key of a table, or a reference to that of another."""
    if not of:
        return sa.Column(name, _KEY, primary_key=True)
    return sa.Column(name, _KEY, sa.ForeignKey(f"{of}.id"), nullable=null, index=index)


def _text(name: str, length: int, *, index: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False, index=index)


def _real(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Double(), nullable=null)


def _whole(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _json(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(), nullable=null)


def upgrade() -> None:
    """Make every table."""
    _make_accounts()
    _make_cases()
    _make_answers()


def _make_accounts() -> None:
    op.create_table(
        "account",
        _key(),
        _text("reader", 60),
        _text("name", 120),
        _text("name_key", 200),
        _text("role", 20),
        _real("experience_years", null=True),
        _flag("simulated"),
        sa.Column("password_hash", sa.Text(), nullable=False),
        _flag("active"),
        _real("created_s"),
        sa.UniqueConstraint("name_key"),
        sa.UniqueConstraint("reader"),
    )
    op.create_table("attempt", _key(), _text("who_sha256", 64, index=True), _real("at_s"))
    op.create_table(
        "invitation",
        _key(),
        _key("account_id", of="account"),
        _text("token_sha256", 64),
        _real("created_s"),
        _real("expires_s"),
        _real("used_s", null=True),
        sa.UniqueConstraint("token_sha256"),
    )
    op.create_table(
        "sign_in",
        _key(),
        _key("account_id", of="account"),
        _text("token_sha256", 64),
        _text("csrf", 64),
        _real("created_s"),
        _real("seen_s"),
        _real("ended_s", null=True),
        sa.UniqueConstraint("token_sha256"),
    )
    op.create_table(
        "change",
        _key(),
        _real("at_s"),
        _key("account_id", of="account", index=False, null=True),
        _text("what", 60),
        _json("body"),
    )


def _make_cases() -> None:
    op.create_table(
        "study",
        sa.Column("id", sa.Integer(), primary_key=True),
        _text("study_id", 32),
        _json("protocol"),
        _text("protocol_sha256", 64),
        _text("images_sha256", 64),
        _text("model_id", 200),
        _text("model_sha256", 64),
        _flag("simulated_scans"),
        _real("created_s"),
    )
    op.create_table(
        "study_case",
        _key(),
        _text("token", 40),
        _flag("training"),
        _json("picture"),
        _text("image_sha256", 64),
        sa.UniqueConstraint("token"),
    )
    op.create_table(
        "reading_session",
        _key(),
        _key("account_id", of="account"),
        _whole("number"),
        _flag("aided"),
        _real("started_s", null=True),
        _real("finished_s", null=True),
        _text("tab", 64),
        _text("protocol_sha256", 64),
        _text("software_sha256", 64),
        _text("model_sha256", 64),
        _text("images_sha256", 64),
        _json("software", null=True),
        sa.UniqueConstraint("account_id", "number"),
    )
    op.create_table(
        "assignment",
        _key(),
        _text("token", 40),
        _key("session_id", of="reading_session"),
        _key("case_id", of="study_case", index=False),
        _whole("position"),
        sa.UniqueConstraint("session_id", "case_id"),
        sa.UniqueConstraint("session_id", "position"),
        sa.UniqueConstraint("token"),
    )


def _make_answers() -> None:
    op.create_table(
        "environment",
        _key(),
        _key("session_id", of="reading_session"),
        _real("at_s"),
        _json("body"),
    )
    op.create_table(
        "answer",
        _key(),
        _text("key", 64),
        _key("assignment_id", of="assignment"),
        _text("stage", 10),
        _whole("revision"),
        _flag("positive"),
        _whole("confidence"),
        _flag("no_focus"),
        sa.Column("comment", sa.Text(), nullable=False),
        _text("body_sha256", 64),
        _text("software_sha256", 64),
        _text("tab", 64),
        _real("t_ms"),
        _real("client_s"),
        _real("received_s"),
        sa.UniqueConstraint("assignment_id", "key"),
        sa.UniqueConstraint("assignment_id", "stage", "revision"),
    )
    op.create_table(
        "draft",
        sa.Column("assignment_id", _KEY, sa.ForeignKey("assignment.id"), primary_key=True),
        sa.Column("stage", sa.String(10), primary_key=True),
        _json("body"),
        _real("saved_s"),
    )
    op.create_table(
        "event",
        _key(),
        _text("key", 80),
        _key("session_id", of="reading_session", index=False),
        _key("assignment_id", of="assignment", null=True),
        _text("kind", 40),
        _text("tab", 64),
        _real("t_ms"),
        _real("client_s"),
        _real("received_s"),
        _json("body"),
        sa.UniqueConstraint("session_id", "key"),
    )
    op.create_table(
        "mark",
        _key(),
        _key("answer_id", of="answer"),
        _whole("number"),
        _text("view", 10),
        _real("row_px"),
        _real("column_px"),
        _whole("rating"),
        sa.UniqueConstraint("answer_id", "number"),
    )
