"""The store of a study: SQLite in WAL mode, or PostgreSQL, at the schema of this release."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session

from bonescint.scan import MissingExtraError
from bonescint.study.errors import StudyError

_BUSY_MS = 20_000


class StoreError(StudyError):
    """A database that is damaged, full, locked or out of reach.

    Attributes:
        full: whether the disk is full.
    """

    def __init__(self, url: URL, error: DBAPIError) -> None:
        place = url.database if url.get_backend_name() == "sqlite" else f"{url.host}/{url.database}"
        lines = str(error.orig or "").strip().splitlines()
        reason = lines[0] if lines else "no reason given"
        self.full = any(word in f"{reason} {error.orig!r}" for word in _FULL)
        remedy = "Free some space" if self.full else "Check that it is there and whole"
        super().__init__(f"The store {place} cannot be used ({reason}). {remedy}.")

    def __reduce__(self) -> tuple[type[StudyError], tuple[str]]:
        return StudyError, (str(self),)


_FULL = ("disk is full", "No space left", "DiskFull")


class Store:
    """A study's database. Use it as a context manager.

    Reads run in parallel. Writes to SQLite queue up here, in order: SQLite itself would let
    them retry at random, some of them for a long time.

    Args:
        url: `sqlite:///file` or `postgresql+psycopg://...`.

    Raises:
        StudyError: the database cannot be reached, or this is not a URL.
        MissingExtraError: PostgreSQL's driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine_of(url)
        self._sqlite = self._engine.dialect.name == "sqlite"
        self._writing = threading.Lock()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine."""
        return self._engine

    @property
    def dialect(self) -> str:
        """`"sqlite"` or `"postgresql"`."""
        return self._engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads.

        Raises:
            StoreError: the database fails.
        """
        with self._clear_failures(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction: all of it is written, or nothing.

        Raises:
            StoreError: the database fails.
        """
        with (
            self._clear_failures(),
            self._one_at_a_time(),
            Session(self._engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            if self._sqlite:
                session.connection(execution_options={"bonescint_write": True})
            yield session

    @contextmanager
    def _clear_failures(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StoreError(self._engine.url, error) from error

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if not self._sqlite:
            yield
            return
        with self._writing:
            yield

    def upgrade(self) -> bool:
        """Upgrade the schema to this release's.

        Returns:
            Whether an upgrade was necessary.

        Raises:
            StudyError: the schema is newer than this release.
        """
        if self.is_current():
            return False
        with self._clear_failures(), self._engine.begin() as connection:
            command.upgrade(_config(connection), "head")
        return True

    def revision(self) -> str | None:
        """Name of the schema; `None` if no study was ever stored."""
        with self._clear_failures(), self._engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def is_current(self) -> bool:
        """Whether the schema is this release's.

        Raises:
            StudyError: it is newer than this release, or the database cannot be reached.
        """
        script = ScriptDirectory.from_config(_config(None))
        revision = self.revision()
        known = {one.revision for one in script.walk_revisions()}
        if revision is not None and revision not in known:
            raise StudyError(
                f"The store's schema '{revision}' is newer than this release of bonescint. "
                "Install the release that wrote it, or a later one."
            )
        return revision == script.get_current_head()

    def is_empty(self) -> bool:
        """Whether no study is stored here; empty tables may exist."""
        if self.revision() is None:
            return True
        if not self.is_current():
            return False
        with self.reading() as session:
            return session.execute(text("SELECT 1 FROM study LIMIT 1")).first() is None


def _engine_of(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StudyError(
            "This is not a database URL. Give sqlite:///file or "
            "postgresql+psycopg://user@host/database."
        ) from error
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        arguments = {"timeout": _BUSY_MS / 1000, "check_same_thread": False}
        engine = create_engine(parsed, connect_args=arguments, pool_size=20, max_overflow=60)
        _prepare_sqlite(engine)
        return engine
    if kind == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        try:
            return create_engine(parsed, pool_size=10, max_overflow=30, pool_pre_ping=True)
        except (ModuleNotFoundError, NoSuchModuleError, ImportError) as error:
            raise MissingExtraError("psycopg", "postgresql") from error
    raise StudyError(f"Databases of the kind '{kind}' are not known. Give SQLite or PostgreSQL.")


def _prepare_sqlite(engine: Engine) -> None:
    """Write-ahead log, foreign keys, and every commit on disk before it is acknowledged."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun below
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "trusted_schema=OFF",  # a restored file's schema is somebody else's
            f"busy_timeout={_BUSY_MS}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("bonescint_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _config(connection: Connection | None) -> Config:
    config = Config()
    folder = resources.files("bonescint.study.store") / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def integrity_problems(store: Store) -> list[str]:
    """The problems that SQLite itself finds in its file; none for PostgreSQL."""
    if store.dialect != "sqlite":
        return []
    with store.reading() as db:
        found = [str(row[0]) for row in db.execute(text("PRAGMA integrity_check"))]
        broken = db.execute(text("PRAGMA foreign_key_check")).fetchall()
    problems = [line for line in found if line != "ok"]
    return problems + [f"a row of {row[0]} refers to nothing" for row in broken]
