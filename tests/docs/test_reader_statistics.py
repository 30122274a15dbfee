"""The tutorial of reader statistics runs as it stands, and its sentences are what comes out."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reader-statistics.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
SENTENCES = re.search(
    r"`sentences.txt` of the study above begins\n\n```text\n(.*?)```", PAGE, re.DOTALL
)

pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")


@pytest.mark.timeout(600)
def test_the_tutorial_runs_from_the_table_to_the_sentence(tmp_path: Path) -> None:
    steps = [[sys.executable, "-c", PYTHON[0]]]
    for command in COMMANDS:
        words = shlex.split(command)
        assert words[:2] == ["bonescint", "readers"]
        steps.append([sys.executable, "-m", *words])
    steps.append([sys.executable, "-c", "\n".join(PYTHON[1:])])
    for step in steps:
        ran = subprocess.run(
            step, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        assert ran.returncode == 0, ran.stderr
    assert SENTENCES is not None
    said = (tmp_path / "analysis" / "sentences.txt").read_text(encoding="utf-8")
    assert " ".join(said.split()).startswith(" ".join(SENTENCES[1].split()))


@pytest.mark.parametrize("anchor", re.findall(r"\]\(#([^)]+)\)", PAGE))
def test_anchors_lead_to_headings(anchor: str) -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    assert anchor in [re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings]
