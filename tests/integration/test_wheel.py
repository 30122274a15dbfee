"""The built wheel in an empty environment: it installs, and it classifies, without torch."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from bonescint.model import shipped_model
from bonescint.scan import ModelFolderError

pytestmark = pytest.mark.timeout(900)  # an environment is made and filled

ROOT = Path(__file__).parents[2]
MOST_BYTES = 25 * 1024 * 1024
REAL = get_testdata_file("JPEG-LL.dcm", download=False) or get_testdata_file(
    "JPGExtended.dcm", download=False
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    # This environment's own hatchling builds, so that no network is needed.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)  # this environment's pip installs into it
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    constraints = ROOT / "constraints.txt"
    pinned = ["-c", str(constraints)] if constraints.is_file() else []
    subprocess.run(
        [*_pip(scripts), "install", "-q", "--no-compile", *pinned, str(wheel)],
        check=True,
        capture_output=True,
        timeout=900,
        env=_clean_environment(),
    )
    return scripts


def _pip(scripts: Path) -> list[str]:
    return [sys.executable, "-m", "pip", "--python", str(scripts / "python")]


def _clean_environment() -> dict[str, str]:
    """Nothing of this environment leads into the other one."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


def test_the_wheel_is_small_and_whole(wheel: Path) -> None:
    import zipfile

    assert wheel.stat().st_size <= MOST_BYTES
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "bonescint/py.typed",
        "bonescint/model/ibrahim2023/LICENSE",
        "bonescint/model/ibrahim2023/models/model.onnx",
        "bonescint/report/templates/results.html.jinja",
        "bonescint/report/templates/results.css",
        "bonescint/report/templates/results.js",
        "bonescint/study/store/migrations/versions/first_schema.py",
        "bonescint/report/templates/document.html.jinja",
        "bonescint/study/web/static/reading.js",
        "bonescint/study/web/templates/reading.html.jinja",
        "bonescint/teach/web/static/reading.js",
        "bonescint/teach/web/templates/case.html.jinja",
        "bonescint/viewer/static/viewer.js",
        "bonescint/viewer/templates/scan.html.jinja",
    } <= names


def test_it_installs_without_torch(empty_environment: Path) -> None:
    listed = subprocess.run(
        [*_pip(empty_environment), "list", "--format=freeze"],
        check=True,
        capture_output=True,
        text=True,
        env=_clean_environment(),
    ).stdout.lower()
    assert "bonescint==" in listed
    assert not any(line.startswith(("torch", "lightning", "nncf")) for line in listed.splitlines())


def test_it_describes_a_scan(empty_environment: Path, tmp_path: Path) -> None:
    ran = _bonescint(empty_environment, tmp_path, "info", str(REAL))
    assert ran.returncode == 0, ran.stderr
    assert "GE private view name" in ran.stdout


def test_it_classifies_there(empty_environment: Path, tmp_path: Path) -> None:
    try:
        shipped_model()
    except ModelFolderError as error:
        pytest.skip(f"no shipped model yet: {error}")
    copied = tmp_path / "scan.dcm"
    shutil.copyfile(str(REAL), copied)
    ran = _bonescint(empty_environment, tmp_path, "classify", "scan.dcm", "--out", "out")
    assert ran.returncode == 0, ran.stderr
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert 0 <= float(row["mbd_probability"]) <= 1
    assert (tmp_path / "out" / row["picture"]).is_file()
    assert (tmp_path / "out" / "index.html").is_file()


def _bonescint(scripts: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [scripts / "bonescint", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
        env=_clean_environment(),
    )
