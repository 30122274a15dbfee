from __future__ import annotations

import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'study'")

from bonescint.model import ModelFolder
from bonescint.study import StudyFolder, open_study
from bonescint.study.serving import running_study

TESTS = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def world() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(TESTS / "support" / "study_world.py")))


@pytest.fixture(scope="session")
def cohort(world: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = world.write_cohort(tmp_path_factory.mktemp("cohort"), 16)
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    stand_in = TESTS / "unit" / "classify" / "stand_in.py"
    write = runpy.run_path(str(stand_in))["write_stand_in_model"]
    folder: ModelFolder = write(tmp_path_factory.mktemp("models") / "stand-in")
    return folder


@pytest.fixture(scope="session")
def pristine_study(
    world: SimpleNamespace,
    cohort: Path,
    model: ModelFolder,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Six readers, six cases, two for training, an aided session; to be copied."""
    made: StudyFolder = world.make_study(
        tmp_path_factory.mktemp("pristine") / "study", cohort, readers=6, washout_days=0.0,
        second_session="aided", model=model,
    )  # fmt: skip
    return made.path


@pytest.fixture
def study(pristine_study: Path, tmp_path: Path) -> StudyFolder:
    return open_study(shutil.copytree(pristine_study, tmp_path / "study"))


@pytest.fixture
def address(study: StudyFolder) -> Iterator[str]:
    with running_study(study) as served:
        yield served


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1600, "height": 900})
    context.set_default_timeout(60_000)
    opened = context.new_page()
    yield opened
    context.close()
