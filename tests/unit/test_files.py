"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonescint.files import (
    LOCK,
    cannot_write,
    folder_beside,
    from_inert,
    inert,
    make_folder,
    one_writer,
    require_free,
    require_new,
    require_own,
    write_table,
    write_whole,
    written_beside,
)
from bonescint.scan import InputError, OutputError


def test_a_block_that_fails_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    write_whole(file, "earlier")
    with pytest.raises(TypeError), written_beside(file) as beside, beside.open("w") as stream:
        stream.writelines(["half", 7])  # type: ignore[list-item]
    assert file.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [file]


def test_a_killed_writer_leaves_the_earlier_file(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    write_whole(file, b"earlier")
    code = """
import os, signal, sys
from pathlib import Path
from bonescint.files import written_beside
with written_beside(Path(sys.argv[1])) as beside:
    beside.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ran = subprocess.run([sys.executable, "-c", code, str(file)], check=False)
    assert ran.returncode == -9
    assert file.read_text() == "earlier"
    (left,) = tmp_path.glob("*.part")
    assert left.name.startswith(".")


def test_a_private_file_is_its_owners_from_the_first_byte_on(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with written_beside(file, private=True) as beside:
        assert beside.stat().st_mode & 0o777 == 0o600
    write_whole(file, "secret", private=True)
    assert file.stat().st_mode & 0o777 == 0o600


def test_other_files_are_as_the_mask_of_the_process_has_them(tmp_path: Path) -> None:
    made, plain = tmp_path / "made", tmp_path / "plain"
    plain.touch()
    for write in (lambda: write_whole(made, "x"), lambda: write_table(made, ("a",), [(1,)])):
        write()
        assert made.stat().st_mode == plain.stat().st_mode


def test_only_nothing_or_an_empty_folder_is_free(tmp_path: Path) -> None:
    require_free(tmp_path / "new")
    require_free(tmp_path)
    file = tmp_path / "file"
    file.touch()
    for taken in (file, tmp_path):
        with pytest.raises(OutputError, match=r"exists already\. Choose another place\."):
            require_free(taken)


def test_two_may_write_the_same_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    with written_beside(file) as one, written_beside(file) as other:
        one.write_text("one")
        other.write_text("other")
    assert file.read_text() == "one"
    assert list(tmp_path.iterdir()) == [file]


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    file = tmp_path / ("a" * 251 + ".csv")
    write_whole(file, "\u00e4\n")
    assert file.read_bytes() == b"\xc3\xa4\n"


def test_a_folders_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    place = tmp_path / ("a" * 255)
    for text in ("one", "two"):
        with folder_beside(place, replacing=True) as beside:
            write_whole(beside / "notice.txt", text)
    assert (place / "notice.txt").read_text() == "two"
    assert list(tmp_path.iterdir()) == [place]


def test_a_place_without_its_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "table.csv"
    with pytest.raises(OutputError, match=r"No such file or directory\)\. Choose another place\."):
        write_whole(file, "")
    make_folder(file.parent)
    write_whole(file, "")
    with pytest.raises(OutputError, match=r"table\.csv: cannot be written \(File exists\)"):
        make_folder(file)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_from_a_forbidden_place(number: int) -> None:
    assert "Free some space" in str(cannot_write(Path("a"), OSError(number, "full")))
    assert "Free" not in str(cannot_write(Path("a"), OSError(errno.EACCES, "forbidden")))


def test_a_folder_replaces_an_earlier_one_only_if_told_to(tmp_path: Path) -> None:
    place = tmp_path / "above" / "folder"
    with folder_beside(place) as beside:
        write_whole(beside / "one.txt", "1")
    with pytest.raises(OutputError, match="folder: cannot be written"), folder_beside(place) as new:
        write_whole(new / "two.txt", "2")
    assert [file.name for file in place.iterdir()] == ["one.txt"]
    with folder_beside(place, replacing=True) as new:
        write_whole(new / "two.txt", "2")
    assert [file.name for file in place.iterdir()] == ["two.txt"]
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_an_empty_folder_is_taken_and_gets_its_mode(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "folder"
    place.mkdir()
    with folder_beside(place, mode=mode) as beside:
        assert beside.stat().st_mode & 0o777 == 0o700, "others cannot look while it is filled"
    assert place.stat().st_mode & 0o777 == mode


def test_a_folder_that_fails_leaves_the_earlier_one(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    with folder_beside(place) as beside:
        write_whole(beside / "one.txt", "1")
    named = re.escape(f"{place / 'missing' / 'two.txt'}: cannot be written")
    with (
        pytest.raises(OutputError, match=f"^{named}"),
        folder_beside(place, replacing=True) as beside,
    ):
        write_whole(beside / "missing" / "two.txt", "2")
    assert [file.name for file in place.iterdir()] == ["one.txt"]
    assert list(tmp_path.iterdir()) == [place]


def test_an_earlier_folder_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "folder"
    with folder_beside(place) as beside:
        write_whole(beside / "one.txt", "1")
    rename = Path.replace

    def refused(self: Path, target: Path) -> Path:
        if target == place and self.name != "was":
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refused)
    with (
        pytest.raises(OutputError, match="folder: cannot be written"),
        folder_beside(place, replacing=True),
    ):
        pass
    assert [file.name for file in place.iterdir()] == ["one.txt"]
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize(
    "cell",
    ['=HYPERLINK("http://x")', "+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(1)", "\t=1", "\r=1", "\n=1",
     "\uff1d1+1", "\uff20SUM(1)", "+", "-", "- none"],
)  # fmt: skip
def test_no_cell_of_a_written_table_is_a_formula(tmp_path: Path, cell: str) -> None:
    file = tmp_path / "table.csv"
    write_table(file, ("name", cell), [(cell, -0.5), ("Meier", "-0.5")])
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    text = "'" + cell.replace("\r", "\n")
    assert rows == [["name", text], [text, "-0.5"], ["Meier", "-0.5"]]


@pytest.mark.parametrize(
    "cell", [-0.5, "-0.5", "+1", "-1,5", "-.5", "-1e-05", "-inf", "-12.5%", 7, None]
)
def test_numbers_of_a_written_table_stay_numbers(cell: object) -> None:
    assert inert(cell) == cell


@given(st.text(alphabet="'=+-@\t\nA0.5 s\uff1d", max_size=8))
def test_a_text_comes_back_as_it_was(text: str) -> None:
    assert from_inert(str(inert(text))) == text


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_carriage_return_in_a_cell_begins_no_row(tmp_path: Path, line_end: str) -> None:
    file = tmp_path / "table.csv"
    write_table(file, ("name", "years"), [("A\r=1+1,", 3), ("B\r\nC", 4)], line_end=line_end)
    with file.open(newline="", encoding="utf-8") as stream:
        assert list(csv.reader(stream))[1:] == [["A\n=1+1,", "3"], ["B\nC", "4"]]


def test_a_private_table_is_its_owners_alone(tmp_path: Path) -> None:
    write_table(tmp_path / "links.csv", ("name", "link"), [("=A", "/x")], private=True)
    assert (tmp_path / "links.csv").stat().st_mode & 0o777 == 0o600


HOLD = """
import sys, time
from pathlib import Path
from bonescint.files import folder_beside, one_writer
with {how}(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
WAYS = {"one_writer": one_writer, "folder_beside": folder_beside}


@contextmanager
def held_elsewhere(folder: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a folder until its standard input is closed."""
    code = [sys.executable, "-c", HOLD.format(how=how), str(folder)]
    with subprocess.Popen(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other


@pytest.mark.parametrize("how", WAYS)
def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "out"
    with held_elsewhere(folder, how) as other:
        said = f"out: process {other.pid} on {re.escape(socket.gethostname())} is writing there. "
        with pytest.raises(OutputError, match=said + "Wait until it has finished"):
            WAYS[how](folder).__enter__()
    with WAYS[how](folder):  # the other one is done
        pass


@pytest.mark.parametrize("how", WAYS)
def test_the_lock_of_a_killed_process_is_taken_over_and_that_is_said(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "out"
    with held_elsewhere(folder, how) as other:
        other.kill()
    assert list(tmp_path.rglob("*.lock")), "a killed process leaves its lock file"
    with WAYS[how](folder):
        pass
    (line,) = caplog.messages
    assert line.startswith(f"{folder}: process {other.pid} on ")
    assert line.endswith("ended before it had finished; its lock was taken over")
    assert not list(tmp_path.rglob("*.lock"))


def test_the_lock_of_another_host_is_told_and_left(tmp_path: Path) -> None:
    lock = tmp_path / LOCK
    lock.write_text('{"process": 7, "host": "elsewhere"}')
    said = (
        "process 7 on elsewhere started writing there and did not finish. If it is no longer "
        "running, "
    )
    with pytest.raises(OutputError, match=said + f"delete {re.escape(str(lock))}"):
        one_writer(tmp_path).__enter__()
    assert lock.exists()


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"process": "x", "host": 1}', "[" * 100_000])
def test_a_lock_file_that_names_nobody_is_taken(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_text(content)
    with one_writer(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_where_the_system_has_no_locks_the_named_process_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bonescint.locks.fcntl", None)
    lock = tmp_path / LOCK
    lock.write_text(json.dumps({"process": os.getppid(), "host": socket.gethostname()}))
    with pytest.raises(OutputError, match=f"process {os.getppid()} on"):
        one_writer(tmp_path).__enter__()
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    lock.write_text(json.dumps({"process": ended.pid, "host": socket.gethostname()}))
    with one_writer(tmp_path):
        assert json.loads(lock.read_text())["process"] == os.getpid()


def test_a_folder_that_stays_empty_goes_again_and_no_other_does(tmp_path: Path) -> None:
    with pytest.raises(InputError), one_writer(tmp_path / "new"):
        raise InputError("labels.csv", "is empty", "Fill it")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").mkdir()
    with one_writer(tmp_path / "there"):
        pass
    assert (tmp_path / "there").is_dir()


def test_of_many_that_come_at_once_one_writes_at_a_time(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from bonescint.files import one_writer
from bonescint.scan import OutputError
folder, done = Path(sys.argv[1]), 0
while done < 40:
    try:
        with one_writer(folder):
            count = folder / "count"
            count.write_text(str(int(count.read_text()) + 1))
            done += 1
    except OutputError:
        pass
"""
    (tmp_path / "count").write_text("0")
    line = [sys.executable, "-c", code, str(tmp_path)]
    several = [subprocess.Popen(line) for _ in range(3)]
    assert [one.wait() for one in several] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "120"


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("'000101", "''000101"),  # text to a spreadsheet already, but here a part of the cell
        ("'=1+1", "''=1+1"),
        ("'s-Gravenhage", "'s-Gravenhage"),
        ("000101", "000101"),
        ("=1", "'=1"),
    ],
)
def test_an_apostrophe_that_means_text_gets_another(cell: str, written: str) -> None:
    assert inert(cell) == written
    assert from_inert(written) == cell


def test_a_folder_may_be_read_by_all_unless_told_otherwise(tmp_path: Path) -> None:
    place = tmp_path / ("a" * 45)
    with folder_beside(place) as beside:
        assert beside.name.startswith(f".{'a' * 40}-"), "so that the name is not too long"
        assert sorted(one.name for one in tmp_path.iterdir()) == sorted(
            [beside.name, f".{'a' * 40}.lock"]
        )
    assert place.stat().st_mode & 0o777 == 0o755


def test_folders_above_are_made_and_one_that_is_there_stays(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    make_folder(folder, mode=0o700)
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "kept.txt").touch()
    make_folder(folder)
    assert (folder / "kept.txt").exists()


def test_a_folder_in_which_no_lock_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(OutputError) as raised, one_writer(tmp_path):
        pass
    assert str(raised.value) == (
        f"{tmp_path}: cannot be written (Is a directory). Choose another place."
    )


def own(folder: Path) -> None:
    require_own(folder, ("results.csv", "maps"), mark="results.json", signature='"bonescint"')


def test_results_of_an_earlier_run_may_be_written_over(tmp_path: Path) -> None:
    own(tmp_path / "none")
    own(tmp_path)
    (tmp_path / "results.csv").touch()
    (tmp_path / "results.json").write_text(" " * (65536 - 11) + '"bonescint"')
    own(tmp_path)


def test_files_of_somebody_else_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "thesis.txt").touch()
    own(tmp_path)  # neither an empty folder nor what is not written stands in the way
    (tmp_path / "maps" / "mine.png").touch()
    said = "is not from an earlier run of bonescint and would be overwritten. Choose another "
    with pytest.raises(OutputError, match=f"^{re.escape(str(tmp_path))}/maps: this folder {said}"):
        own(tmp_path)
    (tmp_path / "results.csv").touch()
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(OutputError, match=f"/results.csv: this file {said}output folder, or move"):
        own(tmp_path)
    (tmp_path / "results.json").write_text(" " * (65536 - 10) + '"bonescint"')
    with pytest.raises(OutputError, match=r"results\.csv"):
        own(tmp_path)


def test_a_mark_that_is_no_file_marks_nothing(tmp_path: Path) -> None:
    (tmp_path / "results.json").mkdir()
    own(tmp_path)
    (tmp_path / "file").touch()
    own(tmp_path / "file")  # told by whoever makes the folder
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "results.json").symlink_to(tmp_path / "loop" / "results.json")
    with pytest.raises(
        OutputError, match=r"/loop: cannot be written \(.+\)\. Choose another place"
    ):
        own(tmp_path / "loop")


def test_nothing_stands_in_the_place_of_a_new_file(tmp_path: Path) -> None:
    require_new(None, tmp_path / "new")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for there in (tmp_path, tmp_path / "dangling"):
        with pytest.raises(OutputError) as raised:
            require_new(tmp_path / "new", None, there)
        assert str(raised.value) == f"{there}: exists already. Choose another place."


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free some space or choose another place"),
        (errno.EDQUOT, "Free some space or choose another place"),
        (errno.EFBIG, "Free some space or choose another place"),
        (errno.EACCES, "Choose another place"),
        (errno.EROFS, "Choose another place"),
    ],
)
def test_why_nothing_can_be_written_and_what_to_do(number: int, remedy: str) -> None:
    error = cannot_write(Path("out"), OSError(number, "why"))
    assert str(error) == f"out: cannot be written (why). {remedy}."
