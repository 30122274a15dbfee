"""`bonescint simulate cohort` when things go wrong in the middle."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

COMMAND = [sys.executable, "-c", "from bonescint.cli import main; main()"]


def arguments(out: Path, workers: int) -> list[str]:
    wanted = ["simulate", "cohort", "--count", "12", "--seed", "4", "--workers", str(workers)]
    return [*COMMAND, *wanted, "--out", str(out)]


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_worker_is_said_and_the_cohort_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    with subprocess.Popen(arguments(out, 2), stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list(out.glob("cases/*.json")):
            time.sleep(0.02)
        workers = [
            child
            for child in psutil.Process(process.pid).children()
            if "parallel.worker" in " ".join(child.cmdline())
        ]
        assert workers
        workers[0].kill()
        _, messages = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "worker process was ended from outside" in messages
    assert "Traceback" not in messages
    assert not (out / "manifest.csv").exists()
    again = subprocess.run(arguments(out, 1), capture_output=True, text=True, timeout=280)
    assert again.returncode == 0, again.stderr
    whole = tmp_path / "whole"
    assert subprocess.run(arguments(whole, 2), capture_output=True, timeout=280).returncode == 0
    assert hashes(out) == hashes(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_workers_end_with_the_command_that_was_killed(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    with subprocess.Popen(arguments(out, 2)) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list(out.glob("cases/*.json")):
            time.sleep(0.02)
        children = psutil.Process(process.pid).children()
        process.kill()
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=120)
    assert not alive
