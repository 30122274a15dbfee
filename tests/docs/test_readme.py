"""The README's commands run, in its order, and its Python example too."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
LINKS = re.findall(r"\]\((?!http)([^)#]+)", README)

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")


def random_vgg16(path: Path) -> Path:
    """A file of weights in the layout of a safetensors export, drawn at random."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {}
    inputs = 3
    for block, (outputs, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1):
        for number in range(1, count + 1):
            spread = np.sqrt(2 / (9 * inputs))
            kernel = rng.standard_normal((outputs, inputs, 3, 3), dtype=np.float32) * spread
            arrays[f"block{block}_conv{number}.weight"] = kernel.astype(np.float32)
            arrays[f"block{block}_conv{number}.bias"] = np.zeros(outputs, np.float32)
            inputs = outputs
    save_file(arrays, path, metadata={"layout": "OIHW", "input": "BGR, 0 to 255"})
    return path


def quickened(command: str, folder: Path) -> list[str]:
    """The same command with less to do where the README's takes long."""
    words = shlex.split(command)
    assert words[0] == "bonescint"
    if words[1] == "simulate" and "--count" in words:
        words[words.index("--count") + 1] = {"cohort": "14", "gallery": "2"}[words[2]]
    if words[1:3] == ["study", "demo"]:
        words += ["--cases", "8", "--readers", "2"]
    if words[1] == "train":
        weights = random_vgg16(folder / "vgg16.safetensors")
        words += ["--epochs", "1", "--resolution", "64", "--weights", str(weights)]
    return [str(Path(sys.executable).with_name("bonescint")), *words[1:]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scans that the README speaks of."""
    from bonescint.classify import demo_sources

    folder = tmp_path_factory.mktemp("readme")
    real, *simulated = demo_sources()
    shutil.copyfile(real, folder / "scan.dcm")
    (folder / "other-study").mkdir()
    rows = [
        f"{reader},{modality},{case},{case % 2},{1 + (7 * case * reader + modality) % 4 + case % 2}"
        for reader in (1, 2, 3) for modality in (1, 2) for case in range(20)
    ]  # fmt: skip
    table = "\n".join(["reader,modality,case,truth,rating", *rows, ""])
    (folder / "reads.csv").write_text(table)
    shutil.copyfile(simulated[0], folder / "other-study" / simulated[0].name)
    return folder


@pytest.mark.timeout(900)
def test_the_commands_run_in_order(folder: Path) -> None:
    assert len(COMMANDS) >= 5
    for command in COMMANDS:
        ran = subprocess.run(
            quickened(command, folder), cwd=folder, capture_output=True, text=True, timeout=600,
            check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    with (folder / "results" / "results.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 2
    with (folder / "my-results" / "results.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 14


@pytest.mark.parametrize("code", PYTHON)
def test_the_python_runs(folder: Path, code: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.parametrize("target", ["demo", "test", "slow", "lint", "bench"])
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
