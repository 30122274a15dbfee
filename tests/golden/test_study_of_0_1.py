"""A study that release 0.1 made, read and backed up is restored, exported and served as before."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'study'")

from bonescint.study import StudyFolder, export_study, restore_study, study_status
from bonescint.study.integrity import require_whole

FILES = Path(__file__).parent / "study-0.1"


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return restore_study(FILES / "backup.zip", tmp_path_factory.mktemp("golden") / "study")


@pytest.fixture(scope="module")
def exported(restored: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_study(restored, tmp_path_factory.mktemp("golden") / "export")


@pytest.mark.parametrize("table", ["reads", "marks", "timing", "readers", "events"])
def test_its_export_is_the_same_to_the_letter(exported: Path, table: str) -> None:
    assert (exported / f"{table}.csv").read_bytes() == (FILES / f"{table}.csv").read_bytes()


def test_its_files_are_what_they_were(restored: StudyFolder) -> None:
    with restored.open_store() as store:
        require_whole(restored, store, truth=True)


def test_its_readers_have_finished_both_sessions(restored: StudyFolder) -> None:
    rows = [row for row in study_status(restored) if row.role == "reader"]
    assert [(row.reader, row.session, row.phase.value) for row in rows] == [
        ("sim-1", 2, "finished"),
        ("sim-2", 2, "finished"),
    ]
