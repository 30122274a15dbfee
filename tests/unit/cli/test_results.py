from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bonescint.classify.table import TABLE_NAME, RunFacts, table_of, write_part
from bonescint.cli.app import app

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("duckdb")
pytest.importorskip("matplotlib")

RUN = RunFacts(model_id="m@1", model_sha256="", operating_point=0.5, settings="{}", software="b")


def run(*words: str) -> tuple[int, str, str]:
    ran = CliRunner().invoke(app, ["results", *words])
    return ran.exit_code, ran.stdout, ran.stderr


@pytest.fixture
def shards(tmp_path: Path) -> list[str]:
    folders = []
    for number in range(2):
        record = {
            "scan_id": f"bs-{number}",
            "source": f"{number}.dcm",
            "views": ["anterior"],
            "mbd_probability": 0.25 + number / 2,
            "positive": bool(number),
            "warnings": [],
            "picture": "",
        }
        folder = tmp_path / "results" / f"{number}"
        write_part(table_of([record], RUN), folder / TABLE_NAME)
        folders.append(str(folder))
    return folders


def test_a_join_says_what_it_did(shards: list[str], tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    status, printed, said = run("join", *shards, "--out", str(out), "--json")
    assert status == 0
    assert json.loads(printed)["scans"] == 2
    assert f"2 scans and 0 refused inputs of 2 results folders, by m@1: {out}" in said
    assert said.endswith("Research use only. Not a medical device.\n")
    assert pq.read_table(out).num_rows == 2


def test_rows_are_chosen(shards: list[str], tmp_path: Path) -> None:
    out = tmp_path / "some.parquet"
    where = "mbd_probability > 0.5 and not unlike"
    status, _, said = run("join", *shards, "--out", str(out), "--where", where)
    assert status == 0
    assert f"1 scan and 0 refused inputs of 2 results folders where {where}" in said
    status, *_ = run("join", *shards, "--out", str(out), "--where", "year = 1800")
    assert status == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--where", "nonsense"],
        ["--where", "(select 1 from '/etc/passwd') = 1"],
        ["--where", "exists (from duckdb_secrets())"],
        ["missing"],
        [""],
        ["--out", "s3://bucket/all.parquet"],
    ],
)
def test_what_cannot_be_joined_is_one_line(
    shards: list[str], tmp_path: Path, words: list[str]
) -> None:
    status, _, said = run("join", "--out", str(tmp_path / "all.parquet"), *shards, *words)
    assert status == 2
    assert said.startswith("Error: ")
    assert said.count("\n") == 1


def test_a_summary_is_a_page(shards: list[str], tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    run("join", *shards, "--out", str(out))
    status, _, said = run("summarise", str(out), "--out", str(tmp_path / "page"), "--no-open")
    assert status == 0
    assert "2 scans and 0 refused inputs" in said
    assert "Research use only" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")


def test_without_the_extra_one_line_names_it(
    shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def without(name: str, *more: Any) -> Any:
        return None if name == "duckdb" else found(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    status, _, said = run("join", *shards)
    assert status == 2
    assert "pip install 'bonescint[cluster]'" in said


def test_help_loads_neither_library() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from bonescint.cli.app import app\n"
        "print(CliRunner().invoke(app, ['results', 'join', '--help']).exit_code)\n"
        "print([name for name in ('pyarrow', 'duckdb', 'matplotlib') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n[]\n"
