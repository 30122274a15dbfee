"""The command line as a user runs it: exit statuses, one clear line for each bad input."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from bonescint.dicom import read, write_nm
from bonescint.model import ModelFolder, shipped_model
from bonescint.scan import Acquisition, ModelFolderError, PixelUnit, Scan

STAND_IN = Path(__file__).parents[1] / "unit" / "classify" / "stand_in.py"
REAL = Path(str(get_testdata_file("JPGExtended.dcm", download=False)))
COMMAND = [sys.executable, "-c", "from bonescint.cli import main; main()"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    folder: ModelFolder = runpy.run_path(str(STAND_IN))["write_stand_in_model"](
        tmp_path_factory.mktemp("models") / "stand-in"
    )
    return folder


def _bonescint(
    *arguments: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=200,
    )


def _scan(seed: int = 0) -> Scan:
    image = read(REAL).anterior
    assert image is not None
    noisy = np.random.default_rng(seed).binomial(image.astype(int), 0.8).astype(np.float32)
    return Scan(
        anterior=noisy,
        posterior=noisy[:, ::-1],
        pixel_spacing_mm=(2.26, 2.26),
        unit=PixelUnit.COUNTS,
        scan_id=f"made-{seed}",
        acquisition=Acquisition(modality="NM"),
    )


def test_all_done_is_status_0(tmp_path: Path, model: ModelFolder) -> None:
    write_nm(_scan(), tmp_path / "scan.dcm")
    arguments = ("classify", "scan.dcm", "--model", model.path, "--json")
    ran = _bonescint(*arguments, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["results"][0]["source"] == "scan.dcm"
    assert (tmp_path / "results" / "index.html").is_file()


def _write_bad_inputs(folder: Path) -> dict[str, str]:
    """Each bad input of the list, with a word that its reason must hold."""
    folder.mkdir()
    good = folder / "good.dcm"
    write_nm(_scan(), good)
    content = good.read_bytes()

    def changed(name: str, change: object) -> None:
        dataset = pydicom.dcmread(good)
        change(dataset)  # type: ignore[operator]
        dataset.SOPInstanceUID = f"1.2.3.{len(list(folder.iterdir()))}"
        dataset.save_as(folder / name)

    def no_pixels(dataset: pydicom.Dataset) -> None:
        del dataset.PixelData

    def short_pixels(dataset: pydicom.Dataset) -> None:
        dataset.PixelData = dataset.PixelData[:1000]

    def bomb(dataset: pydicom.Dataset) -> None:
        dataset.Rows = dataset.Columns = 65535

    def zeros(dataset: pydicom.Dataset) -> None:
        dataset.PixelData = bytes(len(dataset.PixelData))

    def unknown_syntax(dataset: pydicom.Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = "1.2.3.4.5.6.7"

    (folder / "text.dcm").write_text("this is no DICOM file")
    (folder / "truncated.dcm").write_bytes(content[: len(content) // 2])
    changed("no_pixels.dcm", no_pixels)
    changed("short_pixels.dcm", short_pixels)
    changed("bomb.dcm", bomb)
    changed("zeros.dcm", zeros)
    changed("syntax.dcm", unknown_syntax)
    Image.new("RGB", (640, 480), "brown").save(folder / "dog.png")
    (folder / "empty.dcm").touch()
    return dict.fromkeys(
        [
            "text.dcm",
            "truncated.dcm",
            "no_pixels.dcm",
            "short_pixels.dcm",
            "bomb.dcm",
            "zeros.dcm",
            "syntax.dcm",
            "dog.png",
            "empty.dcm",
        ],
        "",
    )


def test_bad_input_gets_a_line_each_and_stops_nothing(tmp_path: Path, model: ModelFolder) -> None:
    bad = _write_bad_inputs(tmp_path / "in")
    ran = _bonescint(
        "classify", tmp_path / "in", tmp_path / "gone.dcm", "--model", model.path,
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    summary = json.loads(ran.stdout)
    assert [Path(result["source"]).name for result in summary["results"]] == ["good.dcm"]
    refused = {Path(entry["source"]).name: entry["reason"] for entry in summary["refused"]}
    assert set(refused) == {*bad, "gone.dcm"}
    for name, reason in refused.items():
        assert "\n" not in reason
        assert "Unexpected" not in reason, (name, reason)
    assert ran.stderr.count("Rejected: ") == len(refused)
    stored = json.loads((tmp_path / "out" / "results.json").read_text())
    assert stored["refused"] == summary["refused"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file names")
def test_a_name_that_the_terminal_cannot_show_is_escaped(
    tmp_path: Path, model: ModelFolder
) -> None:
    write_nm(_scan(), tmp_path / "größe.dcm")
    (tmp_path / "骨.dcm").write_text("no DICOM")
    ran = _bonescint(
        "classify", "größe.dcm", "骨.dcm", "--model", model.path, "--workers", "0",
        cwd=tmp_path, PYTHONIOENCODING="ascii",
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "gr\\xf6\\xdfe.dcm" in ran.stdout
    assert "Rejected: \\u9aa8.dcm" in ran.stderr
    described = _bonescint("info", "größe.dcm", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert described.returncode == 0, described.stderr
    assert "gr\\xf6\\xdfe.dcm" in described.stdout


def test_demo_shows_five_scans(tmp_path: Path) -> None:
    try:
        shipped_model()
    except ModelFolderError:
        pytest.skip("no shipped model yet")
    ran = _bonescint("demo", "--no-open", "--out", "seen", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "JPEG-LL.dcm" in ran.stdout
    assert ran.stdout.count("simulated-") == 4
    assert "Look at seen/index.html" in ran.stderr
    assert (tmp_path / "seen" / "index.html").is_file()


def test_nothing_done_is_status_2(tmp_path: Path, model: ModelFolder) -> None:
    (tmp_path / "a.dcm").write_text("no DICOM")
    ran = _bonescint("classify", tmp_path / "a.dcm", "--model", model.path, cwd=tmp_path)
    assert ran.returncode == 2
    assert "Nothing could be classified" in ran.stderr
    assert not (tmp_path / "results" / "index.html").exists()
    (tmp_path / "empty").mkdir()
    ran = _bonescint("classify", tmp_path / "empty", "--out", tmp_path / "none")
    assert ran.returncode == 2
    assert "Nothing could be classified: no file was found." in ran.stderr
    assert "lists them all" not in ran.stderr


def test_a_place_that_cannot_be_written_is_said_first(tmp_path: Path, model: ModelFolder) -> None:
    (tmp_path / "out").write_text("a file")
    ran = _bonescint("classify", REAL, "--model", model.path, "--out", tmp_path / "out")
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "cannot be written" in ran.stderr


def test_a_changed_model_is_said_first(tmp_path: Path) -> None:
    write = runpy.run_path(str(STAND_IN))["write_stand_in_model"]
    folder = write(tmp_path / "model")
    with folder.onnx_path.open("ab") as file:
        file.write(b"x")
    ran = _bonescint("classify", REAL, "--model", tmp_path / "model", "--out", tmp_path / "out")
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "checksum" in ran.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_keeps_what_was_done(tmp_path: Path, model: ModelFolder) -> None:
    for seed in range(40):
        (tmp_path / "in").mkdir(exist_ok=True)
        write_nm(_scan(seed), tmp_path / "in" / f"{seed:02d}.dcm")
    arguments = ["classify", tmp_path / "in", "--model", model.path, "--out", tmp_path / "out"]
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments), "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background jobs ignore Ctrl-C, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        growing = tmp_path / "out" / "results.csv.partial"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if growing.exists() and growing.read_text().count("\n") > 2:
                break
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, messages = process.communicate(timeout=240)
    assert process.returncode == 130, messages
    assert "Stopped with Ctrl-C after" in messages
    assert "Traceback" not in messages
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["interrupted"] is True
    assert 1 <= len(document["results"]) < 40
    assert not growing.exists()


def test_no_identifier_is_shown(tmp_path: Path, model: ModelFolder) -> None:
    write_nm(_scan(), tmp_path / "scan.dcm")
    dataset = pydicom.dcmread(tmp_path / "scan.dcm")
    dataset.PatientName, dataset.PatientID = "Secret^Name", "SECRET-4711"
    dataset.StudyInstanceUID = "1.2.826.0.1.424242"
    dataset.save_as(tmp_path / "scan.dcm")
    ran = _bonescint("classify", "scan.dcm", "--model", model.path, "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    everything = ran.stdout + ran.stderr
    for path in sorted((tmp_path / "results").rglob("*")):
        everything += path.name
        if path.suffix in {".csv", ".json", ".html"}:
            everything += path.read_text(encoding="utf-8")
    for secret in ("Secret", "SECRET", "1.2.826.0.1.424242"):
        assert secret not in everything
