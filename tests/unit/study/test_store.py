from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, func, select, update

from bonescint.study import StudyError, StudyFolder
from bonescint.study.store.database import Store, StoreError, integrity_problems
from bonescint.study.store.tables import APPEND_ONLY, Account, Base, Change


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'a.sqlite'}"
    else:
        url = request.getfixturevalue("postgresql_database")
    with Store(url) as opened:
        yield opened


def test_migrations_lead_to_the_tables(store: Store) -> None:
    assert store.is_empty()
    assert store.upgrade() is True
    assert store.upgrade() is False
    assert store.is_empty(), "tables without a study, such as a failed attempt leaves"
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []
    assert integrity_problems(store) == []


def test_a_transaction_is_whole_or_not_at_all(store: Store) -> None:
    store.upgrade()

    def half() -> None:
        with store.writing() as db:
            db.add(Change(at_s=1.0, account_id=None, what="one", body={}))
            db.flush()
            raise RuntimeError("the plug is pulled")

    with pytest.raises(RuntimeError):
        half()
    with store.reading() as db:
        assert db.scalar(select(func.count()).select_from(Change)) == 0


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_what_readers_did_cannot_be_changed(store: Store, table: str) -> None:
    store.upgrade()
    with store.writing() as db:
        db.add(Change(at_s=1.0, account_id=None, what="one", body={}))
    of = Base.metadata.tables[table]
    if table == "change":
        for statement in (delete(of), update(of).values(what="two")):
            with pytest.raises(StoreError, match="append-only"), store.writing() as db:
                db.execute(statement)
    else:
        with store.engine.connect() as connection:
            kind = "sqlite_master" if store.dialect == "sqlite" else "pg_trigger"
            name = "name" if store.dialect == "sqlite" else "tgname"
            found = connection.exec_driver_sql(f"SELECT {name} FROM {kind}").scalars().all()  # noqa: S608
        assert any(str(one).startswith(f"{table}_") for one in found)


def test_writes_of_many_threads_all_arrive(store: Store) -> None:
    store.upgrade()

    def write(number: int) -> None:
        for _ in range(10):
            with store.writing() as db:
                db.add(Change(at_s=1.0, account_id=None, what=f"thread {number}", body={}))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as db:
        assert db.scalar(select(func.count()).select_from(Change)) == 80


def test_a_newer_schema_is_refused_and_left_alone(study: StudyFolder) -> None:
    file = study.path / "study.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(StudyError, match="newer than this release"):
        study.open_store()
    assert file.read_bytes() == before


def test_an_older_schema_is_copied_then_upgraded(tmp_path: Path, study: StudyFolder) -> None:
    from alembic import command

    from bonescint.study.store.database import _config

    file = study.path / "study.sqlite"
    file.unlink()
    with Store(f"sqlite:///{file}") as store, store.engine.begin() as connection:
        command.upgrade(_config(connection), "0001")
        connection.exec_driver_sql("INSERT INTO change (at_s, what, body) VALUES (1, 'old', '{}')")
        connection.exec_driver_sql(
            "INSERT INTO study (id, study_id, protocol, protocol_sha256, images_sha256, model_id, "
            "model_sha256, simulated_scans, created_s) VALUES (1, ?, '{}', ?, '', '', '', 0, 1)",
            (study.study_id, study.protocol.sha256),
        )
    with study.open_store() as store, store.reading() as db:
        assert store.is_current()
        assert db.scalars(select(Change.what)).all() == ["old"]
    assert (study.path / "before-upgrade.sqlite").is_file()


def test_a_missing_store_and_a_wrong_url_are_said(study: StudyFolder) -> None:
    (study.path / "study.sqlite").unlink()
    with pytest.raises(StudyError, match=r"study\.sqlite: missing"):
        study.open_store()
    with pytest.raises(StudyError, match="This is not a database URL"):
        Store("not a url")
    with pytest.raises(StudyError, match="'mysql' are not known"):
        Store("mysql://somewhere/x")
    with pytest.raises(StudyError, match="cannot be used"):
        Store("postgresql+psycopg://nobody@127.0.0.1:1/x").is_current()


def test_a_store_that_is_no_database_is_said(study: StudyFolder) -> None:
    (study.path / "study.sqlite").write_text("this is no database, but long enough" * 100)
    with pytest.raises(StudyError):
        study.open_store()


def test_a_study_lives_in_postgresql_too(
    world: SimpleNamespace, cohort: Path, tmp_path: Path, postgresql_database: str
) -> None:
    study = world.make_study(tmp_path / "study", cohort, database=postgresql_database)
    assert not (study.path / "study.sqlite").exists()
    with study.open_store() as store, store.reading() as db:
        assert store.dialect == "postgresql"
        assert db.scalar(select(func.count()).select_from(Account)) == 3
    with pytest.raises(StudyError, match="already contains a study"):
        world.make_study(tmp_path / "second", cohort, database=postgresql_database)
    assert not (tmp_path / "second").exists()
