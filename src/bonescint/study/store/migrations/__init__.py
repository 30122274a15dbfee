"""Alembic's migrations, which travel in the wheel."""
