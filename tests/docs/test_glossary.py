"""The glossary: each noun has one meaning, and what it calls a class or a function is there."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| noun")
]
# Its own section says more of a noun that is used everywhere.
TWICE = {"training configuration"}


def test_each_noun_stands_once() -> None:
    nouns = Counter(noun.strip() for row in ROWS for noun in row[0].split(","))
    assert {noun for noun, count in nouns.items() if count > 1} <= TWICE


def test_classes_are_there() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "src" / "bonescint").rglob("*.py")
    )
    defined = set(re.findall(r"\b[A-Z]\w+\b", source))
    named = {
        name.split(".")[0]
        for row in ROWS
        if len(row) == 3
        for name in re.findall(r"`([A-Z]\w+(?:\.\w+)?)`", row[1])
    }
    assert named - defined == set()
