"""`bonescint study` on the command line: it works, and bad input is one line and status 2."""

from __future__ import annotations

import contextlib
import json
import runpy
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from bonescint.cli.app import app

pytest.importorskip("sqlalchemy", reason="needs the extra 'study'")

SUPPORT = Path(__file__).parents[2] / "support" / "study_world.py"


def bonescint(*arguments: object, cwd: Path) -> Any:
    with contextlib.chdir(cwd):
        return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cohort, a table of readers and a study of both."""
    home = tmp_path_factory.mktemp("cli")
    world = SimpleNamespace(**runpy.run_path(str(SUPPORT)))
    world.write_cohort(home / "cohort", 8)
    (home / "readers.csv").write_text("reader,name\nr1,Anna\nr2,Ben\n")
    ran = bonescint(
        "study", "create", "study", "--cohort", "cohort", "--sample", 4, "--balanced",
        "--readers", "readers.csv", cwd=home,
    )  # fmt: skip
    assert ran.exit_code == 0, ran.stderr
    assert "4 cases, 2 for training: study" in ran.stderr
    (home / "twins.csv").write_text("reader,name\nr1,Anna\nr2,anna\n")
    shutil.copytree(home / "cohort", home / "torn")
    for file in sorted((home / "torn/scans").iterdir()):
        file.unlink()
    for name in ("newer", "newer-store"):
        shutil.copytree(home / "study", home / name)
    described = (home / "newer/study.json").read_text()
    (home / "newer/study.json").write_text(
        described.replace('"schema_version": 1', '"schema_version": 9')
    )
    with contextlib.closing(sqlite3.connect(home / "newer-store/study.sqlite")) as store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
        store.commit()
    return home


def test_status_readers_backup_and_restore(made: Path) -> None:
    status = bonescint("study", "status", "study", "--json", cwd=made)
    assert status.exit_code == 0, status.stderr
    assert [row["reader"] for row in json.loads(status.stdout)] == ["r1", "r2"]
    table = bonescint("study", "status", "study", cwd=made)
    assert "0 of 4" in table.stdout
    links = bonescint("study", "readers", "study", "--invite", "r2", cwd=made)
    assert links.stdout.startswith("r2  /invitation/")
    for command in (("backup", "study", "--out", "b.zip"), ("restore", "b.zip", "--out", "again")):
        ran = bonescint("study", *command, cwd=made)
        assert ran.exit_code == 0, ran.stderr
    assert (made / "again" / "study.sqlite").is_file()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("status", "nowhere"), "no study folder"),
        (("create", "s", "--cohort", "gone.csv", "--readers", "readers.csv"), "no such file"),
        (("create", "s", "--cohort", "cohort", "--readers", "gone.csv"), "no such file"),
        (("create", "s", "--cohort", "cohort", "--readers", "readers.csv", "--sample", "80"),
         "80 patients are wanted"),
        (("create", "study", "--cohort", "cohort", "--readers", "readers.csv", "--sample", "4"),
         "exists already"),
        (("create", "s", "--cohort", "cohort", "--readers", "readers.csv", "--sample", "4",
          "--database", "mysql://x/y"), "'mysql' are not known"),
        (("serve", "study", "--host", "10.0.0.1"), "loopback, unless"),
        (("serve", "study", "--certificate", "c.pem"), "given together"),
        (("export", "study", "--out", "out"), "nobody has answered"),
        (("analyse", "study", "--model", "none", "--out", "out"), "nobody has answered"),
        (("readers", "study", "--invite", "ghost"), "no account 'ghost'"),
        (("readers", "study", "--add", "readers.csv"), "There is already an account 'r1'"),
        (("restore", "readers.csv", "--out", "s"), "not a whole backup"),
        (("backup", "study", "--out", "cohort"), "is a folder"),
        (("demo", "--out", "study", "--no-serve"), "exists already"),
        (("create", "s", "--cohort", "cohort", "--readers", "twins.csv", "--sample", "4"),
         "two readers have the name 'anna' (r1 and r2)"),
        (("create", "s", "--cohort", "torn", "--readers", "readers.csv", "--sample", "4"),
         "6 scans do not exist"),
        (("serve", "newer"), "schema 9 is not 1"),
        (("status", "newer"), "Install the release that wrote it, or a later one"),
        (("serve", "newer-store"), "newer than this release of bonescint"),
        (("serve", "study", "--certificate", "readers.csv", "--key", "readers.csv"),
         "no certificate that fits the key"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_status_2(
    made: Path, command: tuple[str, ...], said: str
) -> None:
    ran = bonescint("study", *command, cwd=made)
    assert ran.exit_code == 2, ran.stderr
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not (made / "s").exists()
