"""Alembic runs this for every command; the connection is handed over by `Store`."""

from __future__ import annotations

from alembic import context

from bonescint.study.store.tables import Base

# Imported by anybody but Alembic, there is nothing to migrate.
config = getattr(context, "config", None)
connection = config.attributes.get("connection") if config is not None else None
if connection is not None:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
