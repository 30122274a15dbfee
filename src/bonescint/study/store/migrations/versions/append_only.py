"""What readers did is never changed: the database itself refuses it."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_TABLES = ("environment", "answer", "mark", "event", "change")


def upgrade() -> None:
    """Triggers that refuse to change or delete a row."""
    if op.get_bind().dialect.name == "sqlite":
        for table in _TABLES:
            for what in ("UPDATE", "DELETE"):
                op.execute(
                    f'CREATE TRIGGER {table}_no_{what.lower()} BEFORE {what} ON "{table}" '
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        return
    op.execute(
        "CREATE FUNCTION bonescint_append_only() RETURNS trigger AS $$ BEGIN "
        "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$ LANGUAGE plpgsql"
    )
    for table in _TABLES:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
            f'ON "{table}" FOR EACH STATEMENT EXECUTE FUNCTION bonescint_append_only()'
        )
