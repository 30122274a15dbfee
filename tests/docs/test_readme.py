"""The commands of the README and of the tutorial run, in their order, and the Python examples."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


def commands_in(page: str) -> list[str]:
    return [
        line.removeprefix("$ ")
        for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


COMMANDS = commands_in(README)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
LINKS = re.findall(r"\]\((?!http)([^)#]+)", README)

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")


# A machine without a network still talks to itself: its loopback device is up.
ALONE = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    up = struct.pack("16sh", b"lo", 0x1)  # IFF_UP
    fcntl.ioctl(any_socket, 0x8914, up)  # SIOCSIFFLAGS
os.execvp(sys.argv[1], sys.argv[1:])
"""


def without_network() -> list[str]:
    """What a command is started by to have no network; nothing where the system forbids that."""
    unshare = shutil.which("unshare")
    alone = [str(unshare), "--net", sys.executable, "-c", ALONE]
    if unshare and subprocess.run([*alone, "true"], check=False).returncode == 0:
        return alone
    return []


def run(words: list[str], folder: Path, *, path: Path = Path(sys.executable).parent) -> None:
    """Run a command as a user does whose network leads nowhere and whose cache is empty."""
    environment = {
        **os.environ,
        "PATH": f"{path}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(folder / "cache"),
        **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    }
    ran = subprocess.run(
        [*without_network(), *words], cwd=folder, capture_output=True, text=True, check=False,
        env=environment,
    )  # fmt: skip
    assert ran.returncode == 0, f"{shlex.join(words)}\n{ran.stdout}\n{ran.stderr}"


def with_fewer(command: str) -> list[str]:
    """The same command with fewer scans and readers."""
    words = shlex.split(command)
    if words[1] == "simulate" and "--count" in words:
        words[words.index("--count") + 1] = {"cohort": "14", "gallery": "2"}[words[2]]
    if words[1:3] == ["study", "demo"]:
        words += ["--cases", "8", "--readers", "2"]
    return words


def rows(table: Path) -> int:
    with table.open(newline="") as stream:
        return len(list(csv.DictReader(stream)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `make demo` leaves it."""
    folder = tmp_path_factory.mktemp("readme")
    demo = re.findall(r"^demo:.*\n\t\$\(BIN\)/(bonescint demo .*)$", MAKEFILE, re.MULTILINE)
    run([*shlex.split(demo[0]), "--no-open"], folder)
    return folder


@pytest.mark.timeout(3600)
def test_the_tour_runs_in_order_without_a_network(folder: Path) -> None:
    assert len(COMMANDS) >= 15
    for command in COMMANDS:
        assert command.startswith("bonescint ")
        run(with_fewer(command), folder)
    assert rows(folder / "tour" / "results.csv") == 5
    assert rows(folder / "my-results" / "results.csv") == 14


@pytest.mark.timeout(1800)
def test_the_tutorial_runs_in_order_without_a_network(folder: Path) -> None:
    commands = commands_in(TUTORIAL)
    assert len(commands) >= 6
    for command in commands:
        run(with_fewer(command), folder)
    assert rows(folder / "first" / "results.csv") == 1
    assert rows(folder / "cohort-results" / "results.csv") == 14
    assert (folder / "report" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_clone_with_make_demo_and_make_extras_runs_the_whole_tour(tmp_path: Path) -> None:
    """As the README says it; only `make` may use the network, for the package index."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--local", ROOT, clone], check=True)
    for target in ("demo", "extras"):
        subprocess.run(["make", target, f"PYTHON={sys.executable}"], cwd=clone, check=True)
    for command in COMMANDS:
        run(shlex.split(command), clone, path=clone / ".venv" / "bin")
    assert rows(clone / "my-results" / "results.csv") == 20


@pytest.mark.parametrize("code", PYTHON)
def test_the_python_runs(folder: Path, code: str) -> None:
    run([sys.executable, "-c", code], folder)


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.parametrize(
    "target", ["demo", "extras", "test", "slow", "coverage", "lint", "docs", "bench"]
)
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
