"""`bonescint cohort`: what it prints, and the status it exits with."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests.support.archive import SURNAME, another, put
from typer.testing import CliRunner, Result

from bonescint.cli.app import app


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    for number in range(4):
        put(another(number), folder / f"{SURNAME}{number}.dcm", patient=f"77120{number}",
            accession=f"A{number}")  # fmt: skip
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["accession,label", *rows]) + "\n")
    return path


def test_made_then_checked(archive: Path, tmp_path: Path) -> None:
    labels = table(tmp_path / "l.csv", *(f"A{n},{n % 2}" for n in range(4)))
    out = tmp_path / "mine"
    made = run("cohort", "create", archive, "--labels", labels, "--out", out, "--workers", 1,
               "--shares", "train=0.5,test=0.5", "--centre", "Aachen")  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "Centre Aachen" in made.stdout
    assert "4 scans of 4 patients" in made.stderr
    assert "Research use only" in made.stderr
    for secret in (SURNAME, "77120"):
        assert secret not in made.output
    checked = run("cohort", "check", out, "--out", tmp_path / "tables", "--workers", 1)
    assert checked.exit_code == 0, checked.output
    assert "0 errors" in checked.stderr
    assert "warning: few scans" in checked.stdout
    assert (tmp_path / "tables" / "table1.csv").is_file()
    with (out / "manifest.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows[0]["split"], rows[1]["patient_id"] = "test", rows[0]["patient_id"]
    rows[1]["split"] = "train"
    with (out / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    leaking = run("cohort", "check", out / "manifest.csv", "--json", "--workers", 1)
    assert leaking.exit_code == 2
    found = json.loads(leaking.stdout)
    assert found["findings"][0]["kind"] == "patient in two splits"
    assert found["errors"] >= 1


def test_what_is_left_out_shows_in_the_status(archive: Path, tmp_path: Path) -> None:
    labels = table(tmp_path / "l.csv", "A0,0", "A1,1", "A2,1")
    made = run("cohort", "create", archive, "--labels", labels, "--out", tmp_path / "c",
               "--workers", 1)  # fmt: skip
    assert made.exit_code == 1
    assert "Left out: 1: no label" in made.stderr
    assert SURNAME not in made.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "none", "--labels", "none.csv", "--out", "x"), "no such folder"),
        (("create", ".", "--out", "x"), "labels"),
        (("create", ".", "--labels", "none.csv", "--out", "x"), "no such file"),
        (("create", ".", "--labels", "l.csv", "--out", "x", "--shares", "train=2"), "sum to 1"),
        (("create", ".", "--labels", "l.csv", "--out", "x"), "row 2, column label"),
        (("check", "none.csv"), "no such file"),
        (("check", "l.csv"), "columns missing"),
    ],
)
def test_bad_input_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "l.csv", "A0,5")
    failed = run("cohort", *arguments)
    assert failed.exit_code == 2
    assert words in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "x" / "manifest.csv").exists()
