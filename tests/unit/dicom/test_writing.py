"""A Scan to an NM object and back; the object against the standard."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from bonescint.dicom import HeaderStyle, read, write_nm
from bonescint.scan import (
    Acquisition,
    OutputError,
    ParameterError,
    PixelUnit,
    Scan,
    UnitError,
    View,
    ViewRule,
)

DCIODVFY = shutil.which("dciodvfy")


@pytest.fixture
def simulated(anterior, posterior) -> Scan:
    return Scan(
        anterior=anterior,
        posterior=posterior,
        pixel_spacing_mm=(2.4, 2.4),
        unit=PixelUnit.COUNTS,
        scan_id="bs-0123456789abcdef",
        patient_id="anatomy-0007",
        acquisition=Acquisition(modality="NM", view_rules=dict.fromkeys(View, ViewRule.SIMULATED)),
    )


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("style", HeaderStyle)
def test_what_is_written_is_read(simulated: Scan, tmp_path: Path, style, compress) -> None:
    write_nm(simulated, tmp_path / "a.dcm", style=style, compress=compress)
    scan = read(tmp_path / "a.dcm")
    np.testing.assert_array_equal(scan.anterior, simulated.anterior)
    np.testing.assert_array_equal(scan.posterior, simulated.posterior)
    assert scan.pixel_spacing_mm == (2.4, 2.4)
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.VIEW_CODE)
    assert scan.warnings == ()


@pytest.mark.parametrize("view", View)
def test_one_view_stays_that_view(simulated: Scan, tmp_path: Path, view: View) -> None:
    single = replace(simulated, **{view.opposite.value: None})
    write_nm(single, tmp_path / "a.dcm")
    scan = read(tmp_path / "a.dcm")
    assert scan.views == (view,)
    np.testing.assert_array_equal(scan.view(view), simulated.view(view))


def test_the_layout_is_ge_discovery_s(simulated: Scan, tmp_path: Path) -> None:
    write_nm(simulated, tmp_path / "a.dcm")
    dataset = dcmread(tmp_path / "a.dcm")
    assert list(dataset.ImageType) == ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"]
    assert dataset.NumberOfFrames == 2
    assert list(dataset.FrameIncrementPointer) == [0x00540010, 0x00540020]
    assert dataset.EnergyWindowVector == [1, 1]
    assert dataset.DetectorVector == [1, 2]
    assert [item.StartAngle for item in dataset.DetectorInformationSequence] == [180, 0]
    assert list(dataset.private_block(0x11, "GEMS_GENIE_1")[0x12].value) == ["ANT", "POST"]
    np.testing.assert_array_equal(dataset.pixel_array[1], simulated.posterior)
    assert dataset.CountsAccumulated == simulated.anterior.sum() + simulated.posterior.sum()


def test_a_simulation_says_so_and_nobody_is_named(simulated: Scan, tmp_path: Path) -> None:
    write_nm(simulated, tmp_path / "a.dcm")
    dataset = dcmread(tmp_path / "a.dcm")
    assert "SIMULATED, research use only" in dataset.ImageComments
    assert str(dataset.PatientName) == "SIMULATED^anatomy-0007"
    assert dataset.PatientID == "anatomy-0007"
    assert dataset.PatientBirthDate == ""
    assert dataset.StudyInstanceUID.startswith("2.25.")
    assert len(dataset.StudyInstanceUID) <= 64


def test_a_scan_of_a_patient_does_not_say_simulated(simulated: Scan, tmp_path: Path) -> None:
    rules = dict.fromkeys(View, ViewRule.START_ANGLE)
    real = replace(simulated, acquisition=Acquisition(modality="NM", view_rules=rules))
    write_nm(real, tmp_path / "a.dcm")
    assert b"SIMULATED" not in (tmp_path / "a.dcm").read_bytes()
    assert "CollimatorGridName" not in dcmread(tmp_path / "a.dcm").DetectorInformationSequence[0]


def test_the_same_scan_gives_the_same_bytes(simulated: Scan, tmp_path: Path) -> None:
    for compress in (False, True):
        write_nm(simulated, tmp_path / "a.dcm", compress=compress)
        write_nm(simulated, tmp_path / "b.dcm", compress=compress)
        assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    write_nm(replace(simulated, scan_id="bs-other"), tmp_path / "c.dcm")
    one, other = dcmread(tmp_path / "a.dcm"), dcmread(tmp_path / "c.dcm")
    assert one.SOPInstanceUID != other.SOPInstanceUID


def test_deflated_files_are_smaller(simulated: Scan, tmp_path: Path) -> None:
    write_nm(simulated, tmp_path / "a.dcm", compress=True)
    assert (tmp_path / "a.dcm").stat().st_size < 300_000


def test_what_cannot_be_written_is_refused(simulated: Scan, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    with pytest.raises(UnitError):
        write_nm(replace(simulated, unit=PixelUnit.INTENSITY), path)
    with pytest.raises(ParameterError, match="whole counts"):
        write_nm(replace(simulated, anterior=simulated.anterior + 0.5), path)
    with pytest.raises(ParameterError, match="whole counts"):
        write_nm(replace(simulated, anterior=simulated.anterior * 5000), path)
    with pytest.raises(ParameterError, match="spacing"):
        write_nm(replace(simulated, pixel_spacing_mm=None), path)
    with pytest.raises(OutputError, match="cannot be written"):
        write_nm(simulated, tmp_path / "missing" / "a.dcm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(DCIODVFY is None, reason="dciodvfy (Debian package dicom3tools) is missing")
@pytest.mark.parametrize("style", HeaderStyle)
@pytest.mark.parametrize("known", [True, False])
def test_dciodvfy_finds_no_error(simulated: Scan, tmp_path: Path, style, known: bool) -> None:
    rules = dict.fromkeys(View, ViewRule.SIMULATED if known else ViewRule.START_ANGLE)
    scan = replace(simulated, acquisition=Acquisition(modality="NM", view_rules=rules))
    write_nm(scan, tmp_path / "a.dcm", style=style)
    report = subprocess.run(
        [str(DCIODVFY), str(tmp_path / "a.dcm")], capture_output=True, text=True, check=False
    )
    assert "NMImage" in report.stderr
    assert [line for line in report.stderr.splitlines() if line.startswith("Error")] == []
