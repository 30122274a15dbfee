"""Importing the package is cheap, and every public name is documented."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import bonescint

PACKAGES = [
    "scan",
    "tables",
    "parallel",
    "dicom",
    "simulate",
    "prepare",
    "report",
    "cohort",
    "cohort.compare",
    "model",
    "train",
    "explain",
    "evaluate",
    "mrmc",
    "classify",
    "study",
]
HEAVY = ("torch", "pydicom", "openvino", "pandas", "scipy", "fastapi")


def loaded_by(code: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name.split(".")[0] for name in ran.stdout.split()}


def test_importing_bonescint_loads_nothing_heavy() -> None:
    assert not loaded_by("import bonescint") & {*HEAVY, "numpy"}


@pytest.mark.parametrize("package", ["scan", "dicom", "model", "explain", "classify", "cli"])
def test_packages_that_classify_load_no_torch(package: str) -> None:
    assert "torch" not in loaded_by(f"import bonescint.{package}")


def test_reading_loads_no_decoder_before_it_reads() -> None:
    assert not loaded_by("import bonescint.dicom") & {"pydicom", "gdcm", "PIL"}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_documented(package: str) -> None:
    if package == "train":
        pytest.importorskip("torch", reason="needs the extra 'train'")
    module = importlib.import_module(f"bonescint.{package}")
    assert module.__doc__
    public = [name for name in vars(module) if not name.startswith("_")]
    for name in getattr(module, "__all__", public):
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"bonescint.{package}.{name} has no docstring"


@pytest.mark.parametrize("words", [["--help"], ["classify", "--help"], ["study", "--help"]])
def test_help_imports_little(words: list[str]) -> None:
    """What makes it answer at once, told without a clock: `benchmarks/help_time.py` has one."""
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from bonescint.cli import app\n"
        "app.app(sys.argv[1:], standalone_mode=False)\n"
        "print(*sorted(set(sys.modules) - before), file=sys.stderr)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    names = ran.stderr.split()
    libraries = {name.split(".")[0] for name in names}
    heavy = {"PIL", "jinja2", "numpy", "openvino", "pandas", "pydicom", "rich", "scipy", "torch"}
    assert not libraries & heavy
    ours = {name for name in names if name.startswith("bonescint.")}
    rooms = {name.split(".")[1] for name in ours}
    assert rooms == {"cli"}
    assert len(names) < 300, "typer's own are 240"


def test_no_two_classes_have_one_name() -> None:
    """One meaning a name: whoever reads `Table` somewhere knows which table is meant."""
    homes: dict[str, list[str]] = {}
    for file in Path(bonescint.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(file))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def _sources() -> list[Path]:
    return sorted(Path(str(importlib.import_module("bonescint").__file__)).parent.rglob("*.py"))


def test_the_notice_stands_in_one_place() -> None:
    sentence = "Research use only. Not a medical device"
    assert [path.name for path in _sources() if sentence in path.read_text("utf-8")] == [
        "notice.py"
    ]


def test_what_commands_import_when_they_run_is_there() -> None:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    pytest.importorskip("fastapi", reason="needs the extra 'study'")
    missing = []
    for path in _sources():
        if path.parent.name != "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("bonescint"):
                module = importlib.import_module(str(node.module))
                missing += [
                    f"{path.name}: {node.module}.{name.name}"
                    for name in node.names
                    if not hasattr(module, name.name)
                    and not importlib.util.find_spec(f"{node.module}.{name.name}")
                ]
    assert missing == []
