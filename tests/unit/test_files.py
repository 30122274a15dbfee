"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from bonescint.files import cannot_write, make_folder, write_whole, written_beside
from bonescint.scan import OutputError


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
