"""Commands that write a study: killed, on a full disk, twice at once. What is there is whole."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select

from bonescint.study import open_study, restore_study
from bonescint.study.integrity import require_whole
from bonescint.study.simulated import SimulatedReader, read_all
from bonescint.study.store.tables import Account, ReadingSession

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.name != "posix", reason="needs signals and limits of POSIX"),
]
TIMES = 10
CLI = (sys.executable, "-c", "from bonescint.cli import main; main()", "study")
ARGUMENTS = {
    "create": ["create", "{place}/new", "--cohort", "{cohort}", "--readers", "{place}/readers.csv",
               "--sample", "6", "--balanced"],
    "export": ["export", "{place}/study", "--out", "{place}/out"],
    "analyse": ["analyse", "{place}/study", "--model", "none", "--draws", "50", "--out",
                "{place}/out"],
    "backup": ["backup", "{place}/study", "--out", "{place}/new.zip"],
    "restore": ["restore", "{place}/old.zip", "--out", "{place}/new"],
    "add": ["readers", "{place}/study", "--add", "{place}/readers.csv"],
    "invite": ["readers", "{place}/study", "--invite", "r1"],
}  # fmt: skip


@dataclass(frozen=True)
class Template:
    """A read study with its backup and a table of readers, to be copied."""

    folder: Path
    cohort: Path

    def copied(self, place: Path) -> Path:
        shutil.rmtree(place, ignore_errors=True)
        return Path(shutil.copytree(self.folder, place))

    def words(self, name: str, place: Path) -> list[str]:
        return [word.format(place=place, cohort=self.cohort) for word in ARGUMENTS[name]]


@pytest.fixture(scope="module")
def template(world: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Template:
    pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")
    from bonescint.study import backup_study

    folder = tmp_path_factory.mktemp("hold")
    cohort = world.write_cohort(folder / "cohort")
    kept = folder / "template"
    kept.mkdir()
    study = world.make_study(kept / "study", cohort, simulated_readers=True)
    read_all(study, [SimulatedReader(reader="r1"), SimulatedReader(reader="r2")])
    backup_study(study, kept / "old.zip")
    (kept / "readers.csv").write_text("reader,name\nr8,Somebody New\nr9,Somebody Else\n")
    return Template(kept, cohort)


# --- what is whole ---------------------------------------------------------------


def require_study(folder: Path, accounts: set[int]) -> None:
    study = open_study(folder)
    with study.open_store() as store:
        require_whole(study, store, truth=True)
        with store.reading() as db:
            count = db.scalar(select(func.count()).select_from(Account))
            sessions = db.scalar(select(func.count()).select_from(ReadingSession))
    assert count in accounts
    assert sessions == count - 1  # the administrator reads nothing
    with study.invitations_file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    assert all(row["link"].startswith("/invitation/") and row["expires"] for row in rows)


def rows_of(file: Path) -> int:
    with file.open(newline="", encoding="utf-8") as stream:
        return sum(1 for _ in csv.reader(stream))


def require_whole_place(name: str, place: Path, *, done: bool) -> None:
    """What stands in a place is what was there before, or all of what the command makes."""
    require_study(
        place / "study", {5} if name == "add" and done else {3, 5} if name == "add" else {3}
    )
    made = {"create": "new", "restore": "new", "export": "out", "analyse": "out",
            "backup": "new.zip"}.get(name)  # fmt: skip
    if made is None:
        return
    path = place / made
    if not path.exists():
        assert not done
        return
    if name in ("create", "restore"):
        require_study(path, {3})
    elif name == "export":
        assert rows_of(path / "reads.csv") == 17
        assert (path / "study.imrmc").read_text().count("\n") > 15
        assert zipfile.ZipFile(path / "study.xlsx").testzip() is None
    elif name == "analyse":
        assert json.loads((path / "analysis.json").read_text())["title"]
        assert (path / "index.html").read_text().rstrip().endswith("</html>")
    else:
        restore_study(path, place / "checked")
        require_study(place / "checked", {3})
        shutil.rmtree(place / "checked")


class Commands:
    """Runs commands in forks of one process; see support/forked_commands.py."""

    def __init__(self, process: subprocess.Popen[str], scratch: Path) -> None:
        self._process, self._scratch = process, scratch

    def _ask(self, job: dict[str, object]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def begin(self, words: list[str], *, most: int | None = None) -> tuple[int, Path]:
        told = self._scratch / f"{time.monotonic_ns()}.txt"
        return self._ask({"words": words, "told": str(told), "most": most}), told

    def end(self, begun: tuple[int, Path]) -> Ended:
        code = self._ask({"wait": begun[0]})
        return Ended(code, begun[1].read_text() if begun[1].is_file() else "")

    def run(self, words: list[str], *, most: int | None = None) -> Ended:
        return self.end(self.begin(words, most=most))


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    returncode: int
    stderr: str


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    script = Path(__file__).parents[2] / "support" / "forked_commands.py"
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Commands(process, tmp_path_factory.mktemp("told"))


def require_one_line(ran: Ended) -> None:
    assert ran.returncode in (0, 2), (ran.returncode, ran.stderr)
    assert "Traceback" not in ran.stderr
    if ran.returncode == 2:
        errors = [line for line in ran.stderr.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, ran.stderr


# --- killed ---------------------------------------------------------------


@pytest.mark.parametrize("name", ARGUMENTS)
def test_killed_at_any_moment_nothing_half_written_is_left(
    template: Template, commands: Commands, tmp_path: Path, name: str
) -> None:
    place = template.copied(tmp_path / "place")
    words = template.words(name, place)
    began = time.monotonic()
    assert commands.run(words).returncode == 0
    took_s = time.monotonic() - began
    require_whole_place(name, place, done=True)
    killed = 0
    for number in range(TIMES):
        place = template.copied(tmp_path / "place")
        begun = commands.begin(words)
        time.sleep(took_s * (number + 0.5) / TIMES)
        try:
            os.killpg(begun[0], signal.SIGKILL)
        except ProcessLookupError:  # it has ended, or not yet a group of its own
            os.kill(begun[0], signal.SIGKILL)
        code = commands.end(begun).returncode
        killed += code != 0
        assert code in (0, -signal.SIGKILL)
        require_whole_place(name, place, done=code == 0)
        again = commands.run(words)
        require_one_line(again)
        if name in ("export", "analyse", "backup", "invite"):
            assert again.returncode == 0, again.stderr
        require_whole_place(name, place, done=True)
    assert killed, "too quick to be killed"


# --- full ---------------------------------------------------------------


@pytest.mark.parametrize("name", ARGUMENTS)
def test_files_that_may_not_grow_are_one_line(
    template: Template, commands: Commands, tmp_path: Path, name: str
) -> None:
    """No file may grow beyond a size, at ten sizes: as on a full disk, wherever it shows itself."""
    largest = 400_000
    refused = 0
    for number in range(TIMES):
        place = template.copied(tmp_path / "place")
        most = int(largest * (number / TIMES) ** 3)
        ran = commands.run(template.words(name, place), most=most)
        require_one_line(ran)
        refused += ran.returncode == 2
        require_whole_place(name, place, done=ran.returncode == 0)
        assert not list(place.glob(".*.part"))
    assert refused, "nothing was too large"


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """A file system of its own in memory."""
    place.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_full_disk_is_one_line(
    template: Template, commands: Commands, tmp_path: Path, name: str
) -> None:
    used = sum(file.stat().st_size for file in template.folder.rglob("*") if file.is_file())
    refused = 0
    for number in range(TIMES):
        room = int(1_500_000 * (number / TIMES) ** 3)
        with small_disk(tmp_path / "disk", 2 * used + 400_000) as disk:
            place = template.copied(disk / "place")
            free = shutil.disk_usage(disk).free
            (disk / "filler").write_bytes(b"x" * max(0, free - room))
            ran = commands.run(template.words(name, place))
            require_one_line(ran)
            refused += ran.returncode == 2
            (disk / "filler").unlink()
            require_whole_place(name, place, done=ran.returncode == 0)
    assert refused, "there was always room"


# --- twice at once ---------------------------------------------------------------


@pytest.mark.parametrize("name", ARGUMENTS)
def test_two_at_once_leave_one_whole_result(
    template: Template, commands: Commands, tmp_path: Path, name: str
) -> None:
    for _ in range(TIMES):
        place = template.copied(tmp_path / "place")
        both = [commands.begin(template.words(name, place)) for _ in range(2)]
        ended = [commands.end(begun) for begun in both]
        for ran in ended:
            require_one_line(ran)
        codes = sorted(ran.returncode for ran in ended)
        assert codes == [0, 2] or (codes == [0, 0] and name not in ("create", "restore", "add"))
        require_whole_place(name, place, done=True)


# --- what cannot be printed ---------------------------------------------------------------


@pytest.mark.parametrize("words", [["status", "{place}/study"], ["readers", "{place}/study"]])
def test_a_closed_pipe_and_a_full_device_are_one_line(
    template: Template, tmp_path: Path, words: list[str]
) -> None:
    place = template.copied(tmp_path / "place")
    command = [*CLI]
    command += [word.format(place=place) for word in words]
    reading, writing = os.pipe()
    os.close(reading)
    closed = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    require_one_line(Ended(closed.returncode, closed.stderr))
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    require_one_line(Ended(ran.returncode, ran.stderr))
    assert (closed.returncode, ran.returncode) == (2, 2)
