"""Every command that writes: one writer at a time, and nothing of other origin is overwritten."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bonescint.cli.app import app
from bonescint.files import one_writer
from bonescint.locks import held

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

READS = "reader,modality,case,truth,rating\n" + "".join(
    f"{reader},{modality},{case},{case % 2},{(case + reader * modality) % 5}\n"
    for reader in (1, 2) for modality in (1, 2) for case in range(8)
)  # fmt: skip
MANIFEST = "scan_id,patient_id,centre,split,label,file\n" + "".join(
    f"s{row},p{row},A,{split},{label},s{row}.dcm\n"
    for row, (split, label) in enumerate(
        (split, label) for split in ("train", "validation", "test") for label in (0, 1)
    )
)
STUDY = "name: mine\ncohort: {manifest: manifest.csv}\nmodels: {one: {settings: compact}}\n"

# Command, the folder that it writes into, and a file of its results there.
CHECK = "cohort check manifest.csv --no-near-duplicates --out out"
COMMANDS = {
    "classify": ("classify nowhere.dcm --out out", "out", "results.csv"),
    "demo": ("demo --no-open --out out", "out", "index.html"),
    "evaluate": ("evaluate p.csv --cohort manifest.csv --out out", "out", "report.html"),
    "evaluate figures": ("evaluate p.csv --cohort manifest.csv --out out", "out", "figures/mine"),
    "simulate cohort": ("simulate cohort --count 1 --out out", "out", "manifest.csv"),
    "simulate cohort, scans": ("simulate cohort --count 1 --out out", "out", "scans/mine.dcm"),
    "cohort create": ("cohort create scans --labels manifest.csv --out out", "out", "manifest.csv"),
    "cohort check": (CHECK, "out", "findings.csv"),
    "cohort check, table": (CHECK, "out", "table1.txt"),
    "cohort compare": ("cohort compare manifest.csv scans --out out", "out", "report.html"),
    "cohort compare, maps": ("cohort compare manifest.csv scans --out out", "out", "figures/mine"),
    "readers analyse": ("readers analyse reads.csv --out out", "out", "analysis.json"),
    "readers analyse, sheets": ("readers analyse reads.csv --out out", "out", "analysis.xlsx"),
    "train": ("train manifest.csv --settings compact --out m", "m.run", "last.ckpt"),
    "experiment run": ("experiment run study.yaml --out out", "out", "report.html"),
    "experiment compare": ("experiment compare a b --out out", "out", "comparison.html"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, content in (
        ("reads.csv", READS), ("manifest.csv", MANIFEST), ("study.yaml", STUDY),
        ("p.csv", "scan_id,mbd_probability\ns0,0.5\n"),
    ):  # fmt: skip
        (tmp_path / name).write_text(content)
    (tmp_path / "scans").mkdir()
    for row in range(6):
        (tmp_path / f"s{row}.dcm").touch()
    return tmp_path


def refused(command: str, said: str) -> None:
    ran = CliRunner().invoke(app, command.split())
    assert ran.exit_code == 2, ran.output
    (line,) = ran.stderr.splitlines()
    assert re.search(said, line), line


@pytest.mark.parametrize("name", COMMANDS)
def test_a_second_writer_is_refused_at_once(folder: Path, name: str) -> None:
    command, out, _ = COMMANDS[name]
    with one_writer(folder / out):
        before = sorted(folder.rglob("*"))
        refused(command, rf"Error: {re.escape(out)}: process \d+ on \S+ is writing there\. Wait")
        assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("name", COMMANDS)
def test_what_another_hand_put_there_is_never_overwritten(folder: Path, name: str) -> None:
    command, out, mine = COMMANDS[name]
    (folder / out / mine).parent.mkdir(parents=True)
    (folder / out / mine).write_text("mine")
    refused(command, r"not from an earlier run of bonescint|contains something else")
    assert (folder / out / mine).read_text() == "mine"
    assert [path.name for path in folder.rglob("*.lock")] == []


@pytest.mark.parametrize(
    "command",
    [
        "simulate scan --out there",
        "simulate scan --out new.dcm --truth there.json",
        "simulate gallery --count 1 --out there",
        "simulate truth bs-1 --out there.npz",
        "experiment metadata there",
        "cohort compare manifest.csv --save there.npz",
    ],
)
def test_a_file_that_is_there_stays(folder: Path, command: str) -> None:
    for name in ("there", "there.json", "there.npz"):
        (folder / name).write_text("mine")
    refused(command, r"Error: there\S*: exists already\. Choose another place\.")
    assert {path.read_text() for path in folder.glob("there*")} == {"mine"}


@pytest.mark.parametrize("name", ["a-study", "a-model"])
def test_folders_that_are_moved_into_place_have_one_writer_too(tmp_path: Path, name: str) -> None:
    from bonescint.files import folder_beside
    from bonescint.scan import OutputError

    with (
        held(tmp_path / f".{name}.lock", tmp_path / name),
        pytest.raises(OutputError, match=f"{name}: process"),
    ):
        folder_beside(tmp_path / name).__enter__()
