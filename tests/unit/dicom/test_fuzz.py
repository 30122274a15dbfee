"""The fuzz bar: each file is answered within bounds, and each known view is right or refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZER = Path(__file__).parents[3] / "benchmarks" / "fuzz_reader.py"


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory through /proc")
@pytest.mark.parametrize(
    "count",
    [300, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])],
)
def test_files_are_answered_within_bounds_and_rightly(count: int) -> None:
    run = subprocess.run(
        [sys.executable, str(FUZZER), "--count", str(count), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    table = json.loads(run.stdout)
    assert table["broken"] == 0, table
    assert table["files"] == count
    assert table["peak_memory_mb"] < 1000
    assert table["slowest_cpu_s"] < 5
    # The corpus is of use only if it reaches behind the header, and most true views are read.
    assert table["outcomes"]["scan"] > count / 20
    assert table["outcomes"]["right"] > count / 5
    assert table["outcomes"]["input error"] > count / 10
    assert run.returncode == 0
