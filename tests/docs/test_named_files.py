"""What documents and tools name exists: files move, and what is written about them stays behind."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MUTANTS = tomllib.loads((ROOT / "tools" / "mutants.toml").read_text(encoding="utf-8"))


def named_modules() -> set[str]:
    folders = ("src", "tests", "benchmarks", "tools")
    return {path.name for folder in folders for path in (ROOT / folder).rglob("*.py")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_files_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    modules = set(re.findall(r"\b\w+\.py\b", text))
    assert modules <= named_modules()
    paths = re.findall(r"`((?:src|tests|benchmarks|tools)/[\w/.@-]+)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_modules_and_tests_of_the_mutants_exist() -> None:
    for module, tests in MUTANTS["modules"].items():
        assert (ROOT / "src" / "bonescint" / f"{module}.py").is_file()
        assert [test for test in tests if not (ROOT / test).is_file()] == []


def test_lines_of_equivalent_mutants_still_stand_in_their_modules() -> None:
    for one in MUTANTS["equivalent"]:
        source = ROOT / "src" / "bonescint" / f"{one['module']}.py"
        assert one["before"].strip() in source.read_text(encoding="utf-8"), one["before"]
