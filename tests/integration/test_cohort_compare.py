"""`bonescint cohort compare` as users call it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.support.archive import another

from bonescint.cohort import write_manifest
from bonescint.dicom import write_nm
from bonescint.scan import Case, Split


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bonescint", "cohort", "compare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two halves of one kind of scans; the first has a manifest and a file that is cut off."""
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    for number in range(21):
        write_nm(another(number), first / f"{number}.dcm")
    for number in range(12):
        write_nm(another(100 + number), second / f"{number}.dcm")
    (first / "cut.dcm").write_bytes((first / "0.dcm").read_bytes()[:4000])
    cases = [
        Case(scan_id=f"s{name}", patient_id=f"p{name}", centre="A", split=Split.TEST,
             positive=False, file=f"{name}.dcm")
        for name in (*range(21), "cut")
    ]  # fmt: skip
    write_manifest(cases, first / "manifest.csv")
    return first, second


def test_two_folders_a_model_and_a_database(cohorts: tuple[Path, Path], tmp_path: Path) -> None:
    out, kept = tmp_path / "report", tmp_path / "new" / "normals.npz"
    done = run(*cohorts, "-o", out, "--save", kept, "--model", "shipped", "--workers", 1)
    assert done.returncode == 1, done.stderr  # one file was left out
    assert "A: left out scut: " in done.stderr
    assert "A: 21 scans of 21 patients" in done.stderr
    assert "Told apart: area" in done.stderr
    assert "Research use only" in done.stderr
    found = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert found["model"]["A"]["scans"] == 21
    assert 0 <= found["model"]["B"]["called_positive"]["value"] <= 1
    assert (out / "figures" / "model.png").is_file()
    assert found["separation"]["area"]["low"] < 0.5  # two parts of one kind

    again = run(kept, cohorts[1], "-o", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    assert "A is a normal database" in again.stderr


def test_a_database_alone(cohorts: tuple[Path, Path], tmp_path: Path) -> None:
    done = run(cohorts[0], "--save", tmp_path / "n.npz", "--workers", 1)
    assert done.returncode == 1, done.stderr  # one file was left out
    assert "A: left out scut: " in done.stderr
    assert "Normal database of 21 scans of 21 patients" in done.stderr
    taken = run(cohorts[0], "--save", tmp_path / "n.npz")
    assert (taken.returncode, "exists already" in taken.stderr) == (2, True)
    few = run(cohorts[1], "--save", tmp_path / "few.npz")
    assert few.returncode == 2
    assert "at least 20" in few.stderr
    assert not (tmp_path / "few.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["A"], "nothing to compare"),
        (["A", "B"], "both B and --out"),
        (["A", "-o", "out"], "nothing to compare"),
        (["A", "-o", "out", "--save", "n.npz"], "both B and --out"),
        (["A", "--save", "n.npz", "--model", "shipped"], "no scores"),
        (["A", "--save", "normals"], "ends in .npz"),
        (["A", "B", "-o", "out", "--model", "nowhere"], "nowhere"),
        (["A", "B", "-o", "out"], "does not exist"),
        (["A.npz", "B", "-o", "out"], "no such file"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_ends_it_without_a_trace(cohorts: tuple[Path, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bonescint", "cohort", "compare", *map(str, cohorts),
               "-o", str(tmp_path / "report"), "--workers", "1"]  # fmt: skip
    ours, theirs = pty.openpty()  # progress is shown on a terminal only
    with subprocess.Popen(command, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as started:
        os.close(theirs)
        shown, stopped = b"", False
        with contextlib.suppress(OSError):  # how a terminal whose other end is closed ends
            while piece := os.read(ours, 65536):
                shown += piece
                if b"Reading" in shown and not stopped:
                    started.send_signal(signal.SIGINT)
                    stopped = True
    os.close(ours)
    errors = shown.decode()
    assert started.returncode == 130, errors
    assert "Stopped with Ctrl-C" in errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_maps_of_others_are_a_side(cohorts: tuple[Path, Path], tmp_path: Path) -> None:
    mean = np.full((256, 256), 0.4, np.float16)
    maps = {"real_mean": mean, "real_sd": mean / 4, "real_asymmetry_sd": mean / 8}
    np.savez(tmp_path / "maps.npz", **maps)
    done = run(cohorts[1], tmp_path / "maps.npz", "-o", tmp_path / "report", "--workers", 1)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "number of scans unknown" in page
    assert "B is a file of maps alone" in page
