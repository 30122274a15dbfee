"""What ends a command from outside is one line and status 2, in every command."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bonescint.classify import demo_sources
from bonescint.cli.app import app
from bonescint.cli.group import ClearGroup

COMMAND = [sys.executable, "-c", "from bonescint.cli import main; main()"]
SCANS = [str(path) for path in demo_sources()]
DEEP = "[" * 200_000


def failing(error: BaseException) -> typer.Typer:
    """A command line with one command, which does not work."""
    failing_app = typer.Typer(cls=ClearGroup, pretty_exceptions_enable=False)

    @failing_app.callback()
    def every() -> None: ...

    @failing_app.command()
    def work() -> None:
        raise error

    return failing_app


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/a.png"),
         "out/a.png: cannot be written (No space left on device). Free some space or choose "
         "another place."),
        (OSError(errno.EDQUOT, "Disk quota exceeded", b"out/a\n.png"),
         "out/a .png: cannot be written (Disk quota exceeded). Free some space or choose another "
         "place."),
        (PermissionError(errno.EACCES, "Permission denied", "scans"), "scans: Permission denied."),
        (OSError(errno.EIO, "Input/output error"), "The system refused: Input/output error."),
        (RecursionError(), "A file is nested too deeply to be read."),
        (MemoryError(), "There is not enough memory for this command."),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"),
         "The output was closed before everything was printed."),
    ],
)  # fmt: skip
def test_an_end_from_outside_is_one_line(error: BaseException, said: str) -> None:
    ran = CliRunner().invoke(failing(error), ["work"])
    assert (ran.exit_code, ran.stderr) == (2, f"Error: {said}\n")


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    ran = CliRunner().invoke(failing(ZeroDivisionError()), ["work"])
    assert isinstance(ran.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    "arguments",
    [("--version",), ("info", SCANS[1]), ("info", "--json", SCANS[1]),
     ("readers", "size", "--readers", "6", "--auc", "0.85", "--difference", "0.05")],
    ids=lambda words: words[0],
)  # fmt: skip
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' /dev/full")
def test_a_full_disk_behind_standard_output_is_said(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ran.returncode == 2
    assert ran.stderr == (
        "Error: What should be written: cannot be written (No space left on device). "
        "Free some space or choose another place.\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of POSIX")
@pytest.mark.parametrize("command", ["classify scan.dcm --out out --model {model}",
                                     "cohort check manifest.csv --no-near-duplicates --out out",
                                     "experiment metadata out"])  # fmt: skip
def test_a_file_that_grows_too_long_is_named_and_nothing_is_left_of_it(
    tmp_path: Path, command: str
) -> None:
    """The limit on the size of files stands for a full disk."""
    shutil.copyfile(SCANS[1], tmp_path / "scan.dcm")
    rows = "".join(f"s{n},p{n},A,test,{n % 2},gone{n}.dcm\n" for n in range(100))
    (tmp_path / "manifest.csv").write_text("scan_id,patient_id,centre,split,label,file\n" + rows)
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); "
        "from bonescint.cli import main; main()"
    )
    words = command.format(model="shipped").split()
    ran = subprocess.run(
        [sys.executable, "-c", limited, *words], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    last = ran.stderr.splitlines()[-1]
    assert re.fullmatch(
        r"Error: out\S*: cannot be written \(File too large\)\. Free some space or choose "
        r"another place\.", last
    ), ran.stderr  # fmt: skip
    assert "Traceback" not in ran.stderr
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name.startswith(".")]
    assert left == []
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize("json_wanted", [[], ["--json"]])
def test_a_pipe_that_nobody_reads_is_one_line(json_wanted: list[str]) -> None:
    """As in `bonescint info archive/ | head -1`, with the pipe closed before the first byte."""
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [*COMMAND, "info", *SCANS, *json_wanted], stdout=writing, stderr=subprocess.PIPE,
        text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert ran.returncode == 2
    assert ran.stderr == "Error: The output was closed before everything was printed.\n"


def test_with_nobody_to_tell_only_the_status_says_it() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run([*COMMAND, "info", *SCANS], stdout=writing, stderr=writing, check=False)
    os.close(writing)
    assert ran.returncode == 2


def deep_model(folder: Path) -> str:
    (folder / "model" / "configs").mkdir(parents=True)
    (folder / "model" / "configs" / "metadata.json").write_text(DEEP)
    return f"classify {SCANS[1]} --model model --out out"


def deep_cohort(folder: Path) -> str:
    (folder / "settings.json").write_text(DEEP)
    return "simulate truth bs-1 --cohort . --out truth.npz"


def deep_settings(folder: Path) -> str:
    (folder / "settings.json").write_text('{"bonescint": ' + DEEP)
    return "simulate cohort --count 1 --out ."


def deep_run(folder: Path) -> str:
    (folder / "study.json").write_text(DEEP)
    return "experiment compare . . --out out"


def deep_maps(folder: Path) -> str:
    (folder / "maps.json").write_text(DEEP)
    (folder / "a.dcm").touch()
    rows = "".join(f"s{n},p{n},A,{('validation', 'test')[n // 2]},{n % 2},a.dcm\n"
                   for n in range(4))  # fmt: skip
    (folder / "manifest.csv").write_text("scan_id,patient_id,centre,split,label,file\n" + rows)
    answers = "".join(f"s{n},0.{n + 1}\n" for n in range(4))
    (folder / "p.csv").write_text("scan_id,mbd_probability\n" + answers)
    return "evaluate p.csv --cohort manifest.csv --maps maps.json --out out"


@pytest.mark.parametrize("made", [deep_model, deep_cohort, deep_settings, deep_run, deep_maps])
def test_json_that_is_nested_too_deeply_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[Path], str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(app, made(tmp_path).split())
    assert ran.exit_code == 2
    (line,) = ran.stderr.splitlines()
    assert re.match(r"Error: (\S+\.json|\.): .*\.", line), line


def test_what_stands_in_results_of_another_program_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(DEEP)
    ran = CliRunner().invoke(app, ["classify", SCANS[1], "--out", str(tmp_path)])
    assert ran.exit_code == 2
    assert "not from an earlier run" in ran.stderr
