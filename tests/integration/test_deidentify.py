"""`bonescint deidentify`: the command, the standard's validator, and the model's answer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from bonescint.classify import classify_scan, demo_sources
from bonescint.cli.app import app
from bonescint.dicom import ConfidentialityProfile, deidentified

DCIODVFY = shutil.which("dciodvfy")
SECRETS = ("Kowalczyk", "Jadwiga", "PID-338812", "19410305")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated scans that come with the package, with the header of a person."""
    folder = tmp_path_factory.mktemp("Kowalczyk")
    for number, source in enumerate(demo_sources()):
        if source.suffix != ".dcm" or "simulated" not in source.name:
            continue
        dataset = dcmread(source)
        dataset.PatientName, dataset.PatientID = "Kowalczyk^Jadwiga", f"PID-338812{number}"
        dataset.PatientBirthDate, dataset.PatientAge = "19410305", "083Y"
        dataset.ImageComments = "Pain in the back, Kowalczyk"
        dataset.StationName = "NUC2"
        dataset.save_as(folder / f"Kowalczyk{number}.dcm")
    return folder


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.output


def test_the_command_and_the_models_answer(named: Path, tmp_path: Path) -> None:
    out = tmp_path / "clean"
    status, output = run("deidentify", named, "--out", out, "--workers", 1, "--retain-longitudinal")
    assert status == 0, output
    assert "Research use only" in output
    count = len(list(named.glob("*.dcm")))
    assert f"{count} objects of {count} patients" in output
    assert not any(secret in output.replace(str(named), "") for secret in SECRETS)
    written = sorted(out.rglob("*.dcm"))
    for path in written:
        assert not any(secret.encode() in path.read_bytes() for secret in SECRETS)
    before = sorted(classify_scan(path).mbd_probability for path in named.glob("*.dcm"))
    after = sorted(classify_scan(path).mbd_probability for path in written)
    assert after == before
    again, output = run("deidentify", named, "--out", out, "--retain-device")
    assert again == 2
    assert "other options" in output


@pytest.mark.skipif(
    DCIODVFY is None, reason="dciodvfy (Debian package dicom3tools) is not installed"
)
@pytest.mark.parametrize("device", [False, True])
@pytest.mark.parametrize("moved", [False, True])
def test_the_validator_finds_no_error(
    named: Path, tmp_path: Path, device: bool, moved: bool
) -> None:
    profile = ConfidentialityProfile(retain_device=device, retain_longitudinal=moved)
    for source in named.glob("*.dcm"):
        made = deidentified(source.read_bytes(), source, key=b"secret" * 4, profile=profile)
        path = tmp_path / source.name
        path.write_bytes(made.content)
        report = subprocess.run(
            [str(DCIODVFY), "-new", str(path)], capture_output=True, text=True, check=False
        ).stderr
        assert "NMImage" in report
        assert [line for line in report.splitlines() if line.startswith(("Error", "Abort"))] == []
