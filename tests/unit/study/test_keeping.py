"""Who may read a study's files, what stops it from being served or kept, what a backup may hold."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bonescint.model import ModelFolder
from bonescint.scan import BonescintError, InputError, OutputError
from bonescint.study import (
    StudyError,
    StudyFolder,
    add_readers,
    analyse_study,
    backup_study,
    export_study,
    invite_readers,
    open_study,
    restore_study,
    set_account_active,
    study_status,
)
from bonescint.study import backup as backup_module
from bonescint.study.folder import most_bytes
from bonescint.study.serving import running_study
from bonescint.study.simulated import SimulatedReader, read_all

needs_modes = pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")


def serve(study: StudyFolder) -> None:
    with running_study(study):
        pass


COMMANDS: dict[str, Callable[[StudyFolder, Path], Any]] = {
    "serve": lambda study, _: serve(study),
    "status": lambda study, _: study_status(study.path),
    "export": lambda study, place: export_study(study.path, place / "export"),
    "analyse": lambda study, place: analyse_study(study.path, place / "analysis", model="none"),
    "backup": lambda study, place: backup_study(study.path, place / "backup.zip"),
    "invite": lambda study, _: invite_readers(study.path, ["r1"]),
    "add": lambda study, place: add_readers(study.path, table(place)),
    "deactivate": lambda study, _: set_account_active(study.path, "r1", active=False),
}


def table(place: Path) -> Path:
    (place / "more.csv").write_text("reader,name\nr9,Somebody Else\n")
    return place / "more.csv"


# --- modes --------------------------------------------------------------------------------------


def open_to_others(folder: Path) -> list[str]:
    return [
        f"{path.relative_to(folder)} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in (folder, *folder.rglob("*"))
        if path.lstat().st_mode & 0o077
    ]


@pytest.fixture(params=[0o022, 0o000], ids=["022", "000"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@needs_modes
def test_nobody_else_reads_a_file_of_a_study(
    umask: None, world: SimpleNamespace, cohort: Path, tmp_path: Path, model: ModelFolder
) -> None:
    study = world.make_study(
        tmp_path / "study", cohort, sample=4, second_session="aided", washout_days=0.0, model=model
    )
    assert open_to_others(study.path) == []
    with running_study(study):  # with its write-ahead log
        assert (study.path / "study.sqlite-wal").is_file()
        assert open_to_others(study.path) == []
    read_all(study, [SimulatedReader(reader="r1")], sessions=1)
    add_readers(study.path, table(tmp_path))
    out = export_study(study, tmp_path / "export")
    again = restore_study(backup_study(study, tmp_path / "backup.zip"), tmp_path / "again")
    for folder in (study.path, out, again.path):
        assert open_to_others(folder) == []
    assert stat.S_IMODE((tmp_path / "backup.zip").stat().st_mode) == 0o600


@needs_modes
def test_nobody_else_reads_an_analysis(
    umask: None, world: SimpleNamespace, cohort: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")
    study = world.make_study(tmp_path / "study", cohort, simulated_readers=True)
    read_all(study, [SimulatedReader(reader="r1"), SimulatedReader(reader="r2")])
    analyse_study(study, tmp_path / "analysis", model="none", draws=20)
    assert (tmp_path / "analysis/index.html").is_file()
    assert open_to_others(tmp_path / "analysis") == []


@needs_modes
@pytest.mark.parametrize("name", ["serve", "status", "export", "invite"])
def test_a_study_that_others_could_read_is_mended(
    study: StudyFolder, tmp_path: Path, name: str
) -> None:
    for path in (study.path, *study.path.rglob("*")):
        path.chmod(0o777)
    try:
        COMMANDS[name](study, tmp_path)
    except StudyError as error:
        assert "nobody has answered" in str(error)  # noqa: PT017
    assert open_to_others(study.path) == []


@needs_modes
def test_what_cannot_be_mended_is_told(
    study: StudyFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for file in study.images.iterdir():
        file.chmod(0o644)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)  # as for files of another owner
    study_status(study)
    assert [record.getMessage() for record in caplog.records] == [
        f"{study.path}: others may read 8 files of it, which are not yours"
    ]


# --- a study that is not whole ------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_an_emptied_store_is_named_by_every_command(
    study: StudyFolder, tmp_path: Path, name: str
) -> None:
    file = study.path / "study.sqlite"
    file.write_bytes(b"")
    with pytest.raises(StudyError, match=r"study\.sqlite: is empty\. Restore the study"):
        COMMANDS[name](study, tmp_path)
    assert file.read_bytes() == b""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_store_without_its_study_is_named_by_every_command(
    study: StudyFolder, tmp_path: Path, name: str
) -> None:
    with closing(sqlite3.connect(study.path / "study.sqlite")) as connection, connection:
        connection.execute("DELETE FROM study")
    with pytest.raises(StudyError, match=r"study\.sqlite: holds no study"):
        COMMANDS[name](study, tmp_path)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_store_cut_in_the_middle_is_named_by_every_command(
    study: StudyFolder, tmp_path: Path, name: str
) -> None:
    file = study.path / "study.sqlite"
    content = file.read_bytes()
    file.write_bytes(content[: 2 * 4096] + b"\xff" * (len(content) - 2 * 4096))
    with pytest.raises(StudyError, match=r"store .*study\.sqlite cannot be used"):
        COMMANDS[name](study, tmp_path)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_store_of_another_study_is_named_by_every_command(
    study: StudyFolder, tmp_path: Path, name: str
) -> None:
    with closing(sqlite3.connect(study.path / "study.sqlite")) as connection, connection:
        connection.execute("UPDATE study SET study_id = 'other'")
    with pytest.raises(StudyError, match="its store is of another study"):
        COMMANDS[name](study, tmp_path)


def replaced(file: Path, content: bytes | None) -> None:
    file.unlink() if content is None else file.write_bytes(content)


def first(folder: Path) -> Path:
    return min(folder.iterdir())


ALTERED: dict[str, tuple[Callable[[StudyFolder], Path], bytes | None]] = {
    "no picture": (lambda study: first(study.images), None),
    "picture of nothing": (lambda study: first(study.images), b""),
    "picture of text": (lambda study: first(study.images), b"no gzip"),
    "no key": (lambda study: study.private / "secret.key", None),
    "empty key": (lambda study: study.private / "secret.key", b""),
    "short key": (lambda study: study.private / "secret.key", b"k" * 31),
    "no feedback": (lambda study: first(study.private / "feedback"), None),
}


@pytest.mark.parametrize("command", ["serve", "backup"])
@pytest.mark.parametrize("kind", ALTERED)
def test_what_is_missing_or_altered_stops_serving_and_keeping(
    study: StudyFolder, tmp_path: Path, kind: str, command: str
) -> None:
    (tmp_path / "backup.zip").write_text("the backup of yesterday")
    find, content = ALTERED[kind]
    file = find(study)
    replaced(file, content)
    with pytest.raises(StudyError, match=rf"{file.name}: (missing|altered)") as caught:
        COMMANDS[command](study, tmp_path)
    assert "Restore the study from a backup" in str(caught.value)
    assert (tmp_path / "backup.zip").read_text() == "the backup of yesterday"


@pytest.mark.parametrize("command", ["serve", "backup"])
@pytest.mark.parametrize("kind", ["one bit", "another case's", "longer", "bomb"])
def test_an_altered_picture_stops_serving_and_keeping(
    study: StudyFolder, tmp_path: Path, kind: str, command: str
) -> None:
    import gzip

    file, other = sorted(study.images.iterdir())[:2]
    pixels = bytearray(gzip.decompress(file.read_bytes()))
    if kind == "one bit":
        pixels[-1] ^= 1
    elif kind == "longer":
        pixels += b"\0"
    elif kind == "bomb":
        pixels = bytearray(64 * 2**20)
    file.write_bytes(
        other.read_bytes() if kind == "another case's" else gzip.compress(bytes(pixels))
    )
    with pytest.raises(StudyError, match=f"{file.name}: missing, or altered"):
        COMMANDS[command](study, tmp_path)


def test_many_altered_files_are_counted(study: StudyFolder, tmp_path: Path) -> None:
    for file in study.images.iterdir():
        file.unlink()
    with pytest.raises(StudyError, match="and 5 more: missing, or altered"):
        serve(study)


def test_an_altered_model_output_stops_serving(
    world: SimpleNamespace, cohort: Path, tmp_path: Path, model: ModelFolder
) -> None:
    study = world.make_study(
        tmp_path / "study", cohort, sample=4, second_session="aided", model=model
    )
    serve(study)
    file = first(study.private / "model")
    file.write_bytes(file.read_bytes().replace(b'"positive": ', b'"positive":  '))
    with pytest.raises(StudyError, match="private/model: missing, or altered"):
        serve(study)
    file.unlink()
    with pytest.raises(StudyError, match=f"{file.name}: missing, or altered"):
        serve(study)


def test_a_key_or_a_truth_of_another_study_stops_a_backup(
    study: StudyFolder, tmp_path: Path
) -> None:
    key = study.private / "secret.key"
    kept = key.read_bytes()
    key.write_bytes(b"k" * 32)
    with pytest.raises(StudyError, match="does not belong to the key"):
        backup_study(study, tmp_path / "backup.zip")
    key.write_bytes(kept)
    masks = [one for one in (study.private / "truth").iterdir() if one.stat().st_size > 900]
    content = masks[0].read_bytes()
    masks[0].write_bytes(b"other")
    with pytest.raises(StudyError, match=f"{masks[0].name}: missing, or altered"):
        backup_study(study, tmp_path / "backup.zip")
    masks[0].write_bytes(content)
    truth = json.loads(study.truth_file.read_text())
    truth["cases"].popitem()
    study.truth_file.write_text(json.dumps(truth))
    with pytest.raises(StudyError, match="lacks a case of the study"):
        backup_study(study, tmp_path / "backup.zip")
    with pytest.raises(StudyError, match="lacks a case of the study"):
        export_study(study, tmp_path / "export")
    assert list(tmp_path.glob("*.zip")) == []


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, '{"cases": []}', "[]", '{"cases": {"a": 1}}', "", '{"cases": {"a": {}}}',
     '{"cases": {"a": {"scan_id": 1, "positive": true}}}',
     '{"cases": {"a": {"scan_id": "1", "positive": 1}}}'],
)  # fmt: skip
def test_a_damaged_truth_is_one_line(study: StudyFolder, tmp_path: Path, content: str) -> None:
    study.truth_file.write_text(content)
    for name in ("export", "backup"):
        with pytest.raises(StudyError, match=r"truth\.json: not readable"):
            COMMANDS[name](study, tmp_path)


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "content",
    [DEEP, '{"schema_version": 1, "protocol": ' + DEEP, "[]", "null", "1", '"x"', "{}", "",
     '{"schema_version": 1, "protocol": "x", "study_id": "a", "protocol_sha256": ""}',
     '{"schema_version": 1, "protocol": {"title": 1}, "study_id": "a", "protocol_sha256": ""}'],
)  # fmt: skip
@pytest.mark.parametrize("name", ["serve", "status", "backup"])
def test_a_damaged_study_file_is_one_line(
    study: StudyFolder, tmp_path: Path, content: str, name: str
) -> None:
    (study.path / "study.json").write_text(content)
    with pytest.raises(BonescintError):
        COMMANDS[name](open_study(study.path), tmp_path)


# --- backups --------------------------------------------------------------------------------------


@pytest.fixture
def kept(study: StudyFolder, tmp_path: Path) -> Path:
    return backup_study(study, tmp_path / "backup.zip")


Change = Callable[[dict[str, bytes], dict[str, Any]], None]


def rewritten(source: Path, target: Path, change: Change) -> Path:
    """A backup with other files in it, each with the hash that its list says."""
    import hashlib

    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    listed = json.loads(files.pop("backup.json"))
    change(files, listed)
    listed["files"] |= {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr("backup.json", json.dumps(listed))
    return target


FOREIGN = {
    "private/database.url": b"postgresql+psycopg://somebody@127.0.0.1:1/elsewhere",
    "../outside.txt": b"x",
    "/tmp/outside.txt": b"x",  # noqa: S108 - that nothing is written there
    "images/../../outside.txt": b"x",
    "images\\..\\outside.txt": b"x",
    "C:\\outside.txt": b"x",
    "images/notes.txt": b"x",
    "private/truth/0123456789abcdef.npz/x": b"x",
    "study.sqlite-wal": b"x",
    "before-upgrade.sqlite": b"x",
    "images/\u2024\u2024/x": b"x",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_only_files_of_a_study_are_put_back(
    world: SimpleNamespace, kept: Path, tmp_path: Path, name: str
) -> None:
    def add(files: dict[str, bytes], _: object) -> None:
        files[name] = FOREIGN[name]

    place = tmp_path / "place"
    place.mkdir()
    said: list[str] = []
    study = restore_study(
        rewritten(kept, tmp_path / "more.zip", add), place / "again", notice=said.append
    )
    assert said == [f"1 files that belong to no study were left out: {name}"]
    assert study.database_url() == f"sqlite:///{study.path / 'study.sqlite'}"
    assert all(most_bytes(one.relative_to(study.path).as_posix()) for one in files_of(study.path))
    assert [one.name for one in place.iterdir()] == ["again"]
    assert not Path("/tmp/outside.txt").exists()  # noqa: S108
    assert not list(tmp_path.glob("**/outside.txt"))
    serve(study)


def files_of(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file()]


def _of(name: str) -> Change:
    def change(files: dict[str, bytes], listed: dict[str, Any]) -> None:
        del files[name], listed["files"][name]

    return change


def _wrong_schema(files: dict[str, bytes], _: object) -> None:
    files["study.json"] = b"[" * 100_000


def _emptied(files: dict[str, bytes], _: object) -> None:
    files["study.sqlite"] = b""


def _other_key(files: dict[str, bytes], _: object) -> None:
    files["private/secret.key"] = b"k" * 32


def _long_key(files: dict[str, bytes], _: object) -> None:
    files["private/secret.key"] = b"k" * 2**20


def _pictureless(files: dict[str, bytes], listed: dict[str, Any]) -> None:
    _of(next(name for name in files if name.startswith("images/")))(files, listed)


NOT_WHOLE: dict[str, tuple[Change, str]] = {
    "no truth": (_of("private/truth.json"), "not a whole backup"),
    "no store": (_of("study.sqlite"), "not a whole backup"),
    "no key": (_of("private/secret.key"), "not a whole backup"),
    "no picture": (_pictureless, "holds no whole study"),
    "deep JSON": (_wrong_schema, "holds no whole study"),
    "empty store": (_emptied, r"holds no whole study \(study\.sqlite: is empty"),
    "another key": (_other_key, "does not belong to the key"),
    "endless key": (_long_key, r"secret\.key is larger than it can be"),
}


@pytest.mark.parametrize("kind", NOT_WHOLE)
def test_a_backup_of_no_whole_study_is_refused(kept: Path, tmp_path: Path, kind: str) -> None:
    change, problem = NOT_WHOLE[kind]
    file = rewritten(kept, tmp_path / "other.zip", change)
    with pytest.raises(InputError, match=problem) as caught:
        restore_study(file, tmp_path / "again")
    assert ".again-" not in str(caught.value), "a name that nobody gave"
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".again*"))


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, "[]", "{}", '{"files": []}', '{"files": 1}', '{"files": {"study.json": null}}',
     '{"files": {"gone": "x"}}', "\0"],
)  # fmt: skip
def test_a_list_that_is_none_is_refused(kept: Path, tmp_path: Path, content: str) -> None:
    with zipfile.ZipFile(kept) as old, zipfile.ZipFile(tmp_path / "other.zip", "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name == "backup.json" else old.read(name))
    with pytest.raises(InputError):
        restore_study(tmp_path / "other.zip", tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_and_devices_are_refused(kept: Path, tmp_path: Path, kind: int) -> None:
    with zipfile.ZipFile(kept) as old, zipfile.ZipFile(tmp_path / "other.zip", "w") as new:
        for name in old.namelist():
            entry = zipfile.ZipInfo(name)
            if name == "private/secret.key":
                entry.external_attr = (kind | 0o777) << 16
            new.writestr(entry, old.read(name))
    with pytest.raises(InputError, match="holds a link"):
        restore_study(tmp_path / "other.zip", tmp_path / "again")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(kept: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(kept, "a") as archive:
        archive.writestr("private/secret.key", b"k" * 32)
    with pytest.raises(InputError, match="two files"):
        restore_study(kept, tmp_path / "again")


def test_more_than_there_is_room_for_is_refused_before_it_is_written(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 10_000

    monkeypatch.setattr(backup_module.shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(OutputError, match="are free"):
        restore_study(kept, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_backup_holds_the_study_and_nothing_that_lies_beside(
    study: StudyFolder, tmp_path: Path
) -> None:
    (study.path / "thesis.docx").write_text("mine")
    (study.private / "database.url.old").write_text("mine")
    with zipfile.ZipFile(backup_study(study, tmp_path / "backup.zip")) as archive:
        names = set(archive.namelist()) - {"backup.json"}
        assert archive.testzip() is None
    ours = {one.relative_to(study.path).as_posix() for one in files_of(study.path)}
    assert names == {name for name in ours if most_bytes(name)}
    assert len(names) == 5 + 8 + 8 + 2  # store, key, lists; pictures, truth; feedback


def test_a_backup_takes_the_place_of_a_backup_only(study: StudyFolder, tmp_path: Path) -> None:
    file = tmp_path / "backup.zip"
    file.write_bytes(b"mine")
    with pytest.raises(OutputError, match="is not from an earlier run"):
        backup_study(study, file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("thesis.txt", "mine")
    with pytest.raises(OutputError, match="is not from an earlier run"):
        backup_study(study, file)
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["thesis.txt"]
    file.unlink()
    for _ in range(2):
        assert backup_study(study, file) == file


def test_pictures_behind_a_link_stop_a_backup(study: StudyFolder, tmp_path: Path) -> None:
    shutil.move(study.images, tmp_path / "elsewhere")
    study.images.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StudyError, match="is a link"):
        backup_study(study, tmp_path / "backup.zip")
    assert not (tmp_path / "backup.zip").exists()


def test_work_says_how_far_it_is(study: StudyFolder, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))

    file = backup_study(study, tmp_path / "backup.zip", progress=progress)
    count = told[-1][1]
    assert told == [(number, count) for number in range(1, count + 1)]
    assert count >= 8
    told.clear()
    restore_study(file, tmp_path / "again", progress=progress)
    assert told == [(number, count) for number in range(1, count + 1)]


def test_the_store_of_a_served_study_stays_private_in_a_process_of_its_own(
    study: StudyFolder,
) -> None:
    """The write-ahead log is made by SQLite itself, under the mask of the process."""
    script = (
        "import os, sys; os.umask(0)\n"
        "from bonescint.study import open_study\n"
        "with open_study(sys.argv[1]).open_store() as store, store.writing() as db:\n"
        "    print(*(f'{e.name} {e.stat().st_mode & 0o777:o}' for e in os.scandir(sys.argv[1])\n"
        "            if e.name.startswith('study.sqlite')), sep=chr(10))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, study.path], capture_output=True, text=True, check=True
    )
    modes = dict(line.split() for line in ran.stdout.splitlines())
    assert set(modes) >= {"study.sqlite", "study.sqlite-wal", "study.sqlite-shm"}
    assert set(modes.values()) == {"600"}
