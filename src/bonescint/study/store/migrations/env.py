"""Alembic runs this for every command; the connection is handed over by `Store`."""

from __future__ import annotations

from alembic import context

from bonescint.study.store.tables import Base

connection = context.config.attributes.get("connection")
if connection is not None:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
