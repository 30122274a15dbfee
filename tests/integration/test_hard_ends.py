"""Two at once, a full disk, a kill: every command that writes, ten times each.

Nothing that is half written may be read as whole, and the exit status must say how it went.
"""

from __future__ import annotations

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

import numpy as np
import pydicom
import pytest
from PIL import Image

from bonescint.classify import demo_sources

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")
pytest.importorskip("fastapi", reason="needs the extra 'study'")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
BONESCINT = [sys.executable, "-c", "from bonescint.cli import main; main()"]
TIMES = 10

# {out} is the folder, or the file, that the command writes.
COMMANDS = {
    "classify": "classify scans --out {out}",
    "evaluate": "evaluate p.csv --cohort cohort/manifest.csv --resamples 200 --out {out}",
    "simulate cohort": "simulate cohort --count 2 --workers 2 --out {out}",
    "simulate scan": "simulate scan --out {out}/one.dcm --truth {out}/one.npz",
    "cohort create": "cohort create cohort --labels cohort/manifest.csv --out {out}",
    "cohort check": "cohort check cohort --out {out}",
    "cohort compare": "cohort compare cohort cohort --out {out}",
    "readers analyse": "readers analyse reads.csv --draws 200 --out {out}",
    "train": "train cohort/manifest.csv --settings compact --epochs 1 --resolution 64 --out {out}",
    "model calibrate": "model calibrate shipped labelled.csv --out {out}",
    "study create": "study create {out} --cohort cohort --readers readers.csv --split all "
    "--sample 4 --training 0",
    "study export": "study export study-demo/study --out {out}",
    "study backup": "study backup study-demo/study --out {out}/backup.zip",
}
INTO_A_FOLDER = ("simulate scan", "study backup")
NOT_TWICE = ("simulate scan", "study create")


@dataclass(frozen=True)
class Prepared:
    """The inputs of all commands, and what each needs undisturbed."""

    folder: Path
    seconds: dict[str, float]
    size: dict[str, int]

    def start(self, name: str, out: Path) -> subprocess.Popen[str]:
        words = COMMANDS[name].format(out=out).split()
        return subprocess.Popen(
            [*BONESCINT, *words], cwd=self.folder, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, name: str, out: Path) -> tuple[int, str]:
        with self.start(name, out) as process:
            _, said = process.communicate()
        return process.returncode, said


def prepare(folder: Path) -> None:
    def run(*words: str) -> None:
        ran = subprocess.run(
            [*BONESCINT, *words], cwd=folder, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{words}\n{ran.stderr}"

    (folder / "scans").mkdir()
    for source in demo_sources():
        shutil.copyfile(source, folder / "scans" / source.name)
    run("simulate", "cohort", "--count", "14", "--out", "cohort")
    run("study", "demo", "--out", "study-demo", "--no-serve", "--cases", "4", "--readers", "2")
    rng = np.random.default_rng(1)
    rows = (folder / "cohort" / "manifest.csv").read_text().splitlines()[1:]
    answers = "".join(f"{row.split(',')[0]},{rng.random():.3f}\n" for row in rows)
    (folder / "p.csv").write_text("scan_id,mbd_probability\n" + answers)
    labelled = "".join(f"s{n},{rng.random():.3f},{n % 2}\n" for n in range(200))
    (folder / "labelled.csv").write_text("scan_id,mbd_probability,label\n" + labelled)
    reads = "".join(
        f"{reader},{modality},{case},{case % 2},{rng.integers(1, 6)}\n"
        for reader in range(3) for modality in (1, 2) for case in range(20)
    )  # fmt: skip
    (folder / "reads.csv").write_text("reader,modality,case,truth,rating\n" + reads)
    (folder / "readers.csv").write_text("reader,name\nr1,One\nr2,Two\n")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("inputs")
    prepare(folder)
    return Prepared(folder=folder, seconds={}, size={})


def place(name: str, folder: Path) -> Path:
    out = folder / "out"
    if name in INTO_A_FOLDER:
        out.mkdir(exist_ok=True)
    return out


def undisturbed(prepared: Prepared, name: str, folder: Path) -> None:
    """Measure the command once, and see that it works and that `check_whole` agrees."""
    if name in prepared.seconds:
        return
    folder.mkdir()
    began = time.monotonic()
    status, said = prepared.run(name, place(name, folder))
    assert status == 0, said
    prepared.seconds[name] = time.monotonic() - began
    files = [path for path in folder.rglob("*") if path.is_file()]
    prepared.size[name] = sum(path.stat().st_size for path in files)
    assert check_whole(folder) > 0


def check_whole(folder: Path) -> int:
    """Open everything that has the name of a finished file; return how many there are."""
    count = 0
    for path in sorted(folder.rglob("*")):
        named = path.relative_to(folder).parts
        unfinished = path.suffix in (".part", ".partial", ".stopped", ".lock")
        if not path.is_file() or unfinished or any(part.startswith(".") for part in named):
            continue
        count += 1
        content = path.read_bytes()
        if path.suffix == ".json":
            json.loads(content)
        elif path.suffix == ".csv":
            assert content.endswith(b"\n"), path
        elif path.suffix == ".html":
            assert content.rstrip().endswith(b"</html>"), path
        elif path.suffix in (".png", ".webp"):
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".dcm":
            assert pydicom.dcmread(path).pixel_array.size
        elif path.suffix in (".npz", ".xlsx", ".zip"):
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None, path
    return count


def ends_well(prepared: Prepared, name: str, folder: Path) -> None:
    """The same command again, undisturbed: it goes on, or says that it is done."""
    status, said = prepared.run(name, place(name, folder))
    if name in NOT_TWICE and status == 2:
        assert "already" in said
    else:
        assert status == 0, said
    assert check_whole(folder) > 0
    assert not list(folder.rglob("*.lock"))


@pytest.mark.parametrize("name", COMMANDS)
def test_two_at_once(prepared: Prepared, name: str, tmp_path: Path) -> None:
    undisturbed(prepared, name, tmp_path / "reference")
    for attempt in range(TIMES):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        out = place(name, folder)
        both = [prepared.start(name, out) for _ in range(2)]
        said = [process.communicate()[1] for process in both]
        statuses = sorted(process.returncode for process in both)
        alone = name in INTO_A_FOLDER  # one file, whole in any case: the later one stays
        assert statuses == [0, 2] or (statuses == [0, 0] and alone), said
        assert not any("Traceback" in text for text in said), said
        assert check_whole(folder) > 0
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", COMMANDS)
def test_kills(prepared: Prepared, name: str, tmp_path: Path) -> None:
    undisturbed(prepared, name, tmp_path / "reference")
    folder = tmp_path / "killed"
    folder.mkdir()
    for attempt in range(TIMES):
        with prepared.start(name, place(name, folder)) as process:
            time.sleep(prepared.seconds[name] * (attempt + 0.5) / TIMES)
            os.killpg(process.pid, signal.SIGKILL)
        check_whole(folder)
    ends_well(prepared, name, folder)


@contextmanager
def small_disk(place: Path, *, size: int) -> Iterator[None]:
    """A file system of a few bytes."""
    options = f"size={max(size, 4096)},nr_inodes=10000"
    mounting = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    ran = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        pytest.skip(f"not root, or no file system may be mounted: {ran.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(prepared: Prepared, name: str, tmp_path: Path) -> None:
    undisturbed(prepared, name, tmp_path / "reference")
    disk = tmp_path / "disk"
    disk.mkdir()
    for attempt in range(TIMES):
        with small_disk(disk, size=int(prepared.size[name] * (attempt + 0.5) / TIMES)):
            status, said = prepared.run(name, place(name, disk))
            assert status == 2, said
            assert "Traceback" not in said
            last = said.strip().splitlines()[-1]
            assert last.startswith("Error: "), said
            assert "No space left on device" in said or "full" in said, said
            check_whole(disk)
