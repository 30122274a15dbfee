"""The scripts of the pages, by Node's own test runner."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = sorted((ROOT / "tests" / "javascript").glob("*.test.js"))


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_scripts_of_the_pages(file: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    ran = subprocess.run(
        [node, "--test", "--test-reporter", "tap", file], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout
