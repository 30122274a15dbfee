"""Where progress is kept, and which course is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonescint.scan import InputError, ParameterError
from bonescint.teach.courses import read_courses
from bonescint.teach.serving import TeachOptions, _courses_of, _next_course, data_folder

OWN = """
name: ribs-here
title: Ribs here
order: 11
aim: Read ribs.
introduction: [Look at the ribs.]
mimics: {rib fracture: 0.5}
lesions: {solitary: 1.0}
contrast_to_noise: {low: 7, high: 30}
prevalence: 0.5
cases: 5
completion: {of_last: 5, right: 0.5}
"""


def test_progress_is_in_the_users_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "bonescint"
    assert TeachOptions().records_file == tmp_path / "bonescint" / "teach.sqlite"
    classroom = TeachOptions(classroom=True)
    assert classroom.records_file.name == "classroom.sqlite"
    assert classroom.accounts_file.name == "classroom-accounts.sqlite"
    named = TeachOptions(progress=tmp_path / "mine.db", classroom=True)
    assert named.records_file == tmp_path / "mine.db"
    assert named.accounts_file == tmp_path / "mine-accounts.sqlite"


def test_without_a_setting_the_data_folder_is_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    ends = {
        "linux": ".local/share/bonescint",
        "darwin": "Library/Application Support/bonescint",
        "win32": "AppData/Local/bonescint",
    }
    for system, end in ends.items():
        monkeypatch.setattr("sys.platform", system)
        assert data_folder().as_posix().endswith(end)


def test_a_course_of_ones_own_is_opened_beside_the_others(tmp_path: Path) -> None:
    file = tmp_path / "ribs.yaml"
    file.write_text(OWN, encoding="utf-8")
    courses, chosen = _courses_of(str(file), None)
    assert chosen == "ribs-here"
    assert [course.name for course in courses][-1] == "ribs-here"
    assert len(courses) == len(read_courses()) + 1
    file.write_text(OWN.replace("0.5}", "2}"), encoding="utf-8")
    with pytest.raises((InputError, ParameterError)):
        _courses_of(str(file), None)


def test_without_a_course_the_first_one_is_made_ready() -> None:
    courses, chosen = _courses_of("", None)
    assert chosen == ""
    assert _next_course(courses, []) == courses[0].name
