"""A Scan to an NM object and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from bonescint.dicom import HeaderStyle, PatientFacts, read, write_nm
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

FACTS = PatientFacts(sex="M", age=71, height_m=1.75, weight_kg=82.0)


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
    scan_id = write_nm(simulated, tmp_path / "a.dcm", style=style, compress=compress)
    scan = read(tmp_path / "a.dcm")
    np.testing.assert_array_equal(scan.anterior, simulated.anterior)
    np.testing.assert_array_equal(scan.posterior, simulated.posterior)
    assert scan.pixel_spacing_mm == (2.4, 2.4)
    assert scan.scan_id == scan_id
    assert scan.warnings == ()


@pytest.mark.parametrize("style", HeaderStyle)
def test_the_image_is_laid_out_as_the_standard_wants(simulated, tmp_path: Path, style) -> None:
    write_nm(simulated, tmp_path / "a.dcm", style=style)
    dataset = dcmread(tmp_path / "a.dcm")
    assert list(dataset.ImageType) == ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"]
    assert dataset.NumberOfFrames == 2
    assert list(dataset.FrameIncrementPointer) == [0x00540010, 0x00540020]
    assert dataset.EnergyWindowVector == [1, 1]
    assert dataset.DetectorVector == [1, 2]
    assert len(dataset.DetectorInformationSequence) == 2
    np.testing.assert_array_equal(dataset.pixel_array[1], simulated.posterior)
    assert dataset.CountsAccumulated == simulated.anterior.sum() + simulated.posterior.sum()


def test_the_pass_over_the_patient(simulated: Scan, tmp_path: Path) -> None:
    write_nm(simulated, tmp_path / "a.dcm")
    dataset = dcmread(tmp_path / "a.dcm")
    assert dataset.ScanVelocity is None
    assert dataset.ScanLength == 2458  # 1024 rows of 2.4 mm
    assert dataset.ActualFrameDuration == 1_000_000
    write_nm(simulated, tmp_path / "b.dcm", scan_velocity_mm_per_s=2.0)
    dataset = dcmread(tmp_path / "b.dcm")
    assert dataset.ScanVelocity == 2.0
    assert dataset.ActualFrameDuration == 1_228_800  # 2457.6 mm at 2 mm/s
    write_nm(simulated, tmp_path / "c.dcm", scan_velocity_mm_per_s=2.0, frame_duration_s=1300.5)
    assert dcmread(tmp_path / "c.dcm").ActualFrameDuration == 1_300_500


def test_facts_of_a_simulated_patient_only(simulated: Scan, tmp_path: Path) -> None:
    write_nm(simulated, tmp_path / "a.dcm", patient=FACTS)
    dataset = dcmread(tmp_path / "a.dcm")
    assert (dataset.PatientSex, dataset.PatientAge) == ("M", "071Y")
    assert (dataset.PatientSize, dataset.PatientWeight) == (1.75, 82)
    assert dataset.PatientBirthDate == ""
    write_nm(simulated, tmp_path / "b.dcm")
    bare = dcmread(tmp_path / "b.dcm")
    assert bare.PatientSex == ""
    assert not {"PatientAge", "PatientSize", "PatientWeight"} & set(bare.dir())
    real = replace(simulated, acquisition=Acquisition(modality="NM"))
    with pytest.raises(ParameterError, match="not simulated"):
        write_nm(real, tmp_path / "c.dcm", patient=FACTS)
    assert not (tmp_path / "c.dcm").exists()


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


@pytest.mark.parametrize(
    ("rule", "burned_in", "expected"),
    [
        (ViewRule.SIMULATED, False, "NO"),
        (ViewRule.START_ANGLE, True, "YES"),
        (ViewRule.FILE_NAME, False, None),
    ],
)
def test_text_in_the_pixels_is_denied_only_where_that_is_known(
    simulated: Scan, tmp_path: Path, rule: ViewRule, burned_in: bool, expected: str | None
) -> None:
    rules = dict.fromkeys(View, rule)
    acquisition = replace(simulated.acquisition, view_rules=rules, burned_in_text=burned_in)
    write_nm(replace(simulated, acquisition=acquisition), tmp_path / "a.dcm")
    assert dcmread(tmp_path / "a.dcm").get("BurnedInAnnotation") == expected


def test_the_same_scan_gives_the_same_bytes(simulated: Scan, tmp_path: Path) -> None:
    for compress in (False, True):
        write_nm(simulated, tmp_path / "a.dcm", compress=compress)
        write_nm(simulated, tmp_path / "b.dcm", compress=compress)
        assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    write_nm(replace(simulated, scan_id="bs-other"), tmp_path / "c.dcm")
    one, other = dcmread(tmp_path / "a.dcm"), dcmread(tmp_path / "c.dcm")
    assert one.SOPInstanceUID != other.SOPInstanceUID


def test_compression_is_jpeg_ls_and_says_that_nothing_is_lost(simulated, tmp_path) -> None:
    write_nm(simulated, tmp_path / "a.dcm")
    write_nm(simulated, tmp_path / "b.dcm", compress=True)
    plain, compressed = dcmread(tmp_path / "a.dcm"), dcmread(tmp_path / "b.dcm")
    assert compressed.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.80"
    assert compressed.LossyImageCompression == "00"
    assert compressed.SOPInstanceUID == plain.SOPInstanceUID
    del plain.PixelData, compressed.PixelData
    assert plain == compressed
    assert (tmp_path / "b.dcm").stat().st_size < (tmp_path / "a.dcm").stat().st_size / 4


def test_the_largest_counts_survive_compression(simulated: Scan, tmp_path: Path) -> None:
    loud = np.random.default_rng(3).integers(0, 65536, simulated.shape)
    loud[:2, :2] = [[0, 65535], [65535, 0]]
    scan = replace(simulated, posterior=loud)
    write_nm(scan, tmp_path / "a.dcm", compress=True)
    np.testing.assert_array_equal(dcmread(tmp_path / "a.dcm").pixel_array[1], loud)


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
    for name in ("scan_velocity_mm_per_s", "frame_duration_s"):
        for value in (0.0, -1.0, float("nan"), 1e9):
            with pytest.raises(ParameterError, match=name):
                write_nm(simulated, path, **{name: value})
    with pytest.raises(OutputError, match="cannot be written"):
        write_nm(simulated, tmp_path / "missing" / "a.dcm")
    assert list(tmp_path.iterdir()) == []
