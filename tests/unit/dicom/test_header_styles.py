"""Each maker's habits, against what real objects and the standard say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from bonescint.dicom import HeaderStyle, read, write_nm
from bonescint.scan import Acquisition, PixelUnit, Scan, View, ViewRule

DECIDING_RULE = {
    HeaderStyle.GE: ViewRule.GE_PRIVATE,
    HeaderStyle.SIEMENS: ViewRule.START_ANGLE,
    HeaderStyle.PHILIPS: ViewRule.VIEW_CODE,
}


@pytest.fixture
def simulated(anterior, posterior) -> Scan:
    return Scan(
        anterior=anterior,
        posterior=posterior,
        pixel_spacing_mm=(2.4, 2.4),
        unit=PixelUnit.COUNTS,
        scan_id="bs-0123456789abcdef",
        acquisition=Acquisition(modality="NM", view_rules=dict.fromkeys(View, ViewRule.SIMULATED)),
    )


@pytest.fixture
def of_a_patient(simulated: Scan) -> Scan:
    rules = dict.fromkeys(View, ViewRule.START_ANGLE)
    return replace(simulated, acquisition=Acquisition(modality="NM", view_rules=rules))


def written(scan: Scan, folder: Path, style: HeaderStyle) -> Dataset:
    write_nm(scan, folder / "a.dcm", style=style)
    return dcmread(folder / "a.dcm")


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("style", HeaderStyle)
def test_each_style_exercises_a_rule_of_its_own(simulated, tmp_path, style, compress) -> None:
    write_nm(simulated, tmp_path / "a.dcm", style=style, compress=compress)
    scan = read(tmp_path / "a.dcm")
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, DECIDING_RULE[style])
    np.testing.assert_array_equal(scan.anterior, simulated.anterior)
    np.testing.assert_array_equal(scan.posterior, simulated.posterior)
    assert scan.warnings == ()


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize("style", HeaderStyle)
def test_one_view_stays_that_view(simulated, tmp_path: Path, style, view: View) -> None:
    single = replace(simulated, **{view.opposite.value: None})
    write_nm(single, tmp_path / "a.dcm", style=style)
    scan = read(tmp_path / "a.dcm")
    assert dict(scan.acquisition.view_rules) == {view: DECIDING_RULE[style]}
    np.testing.assert_array_equal(scan.view(view), simulated.view(view))
    assert scan.warnings == ()


@pytest.mark.parametrize("view", View)
def test_ge_s_angles_alone_tell_the_views_too(simulated, tmp_path: Path, view: View) -> None:
    dataset = written(simulated, tmp_path, HeaderStyle.GE)
    del dataset[0x00111012], dataset[0x00111030]
    dataset.save_as(tmp_path / "b.dcm")
    scan = read(tmp_path / "b.dcm")
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.START_ANGLE)
    np.testing.assert_array_equal(scan.view(view), simulated.view(view))


def test_ge_discovery(simulated: Scan, tmp_path: Path) -> None:
    dataset = written(simulated, tmp_path, HeaderStyle.GE)
    detectors = dataset.DetectorInformationSequence
    assert [item.StartAngle for item in detectors] == [180, 0]
    assert not any("ViewCodeSequence" in item for item in detectors)
    assert all(item.ImageOrientationPatient is None for item in detectors)
    assert list(dataset[0x00111012].value) == list(dataset[0x00111030].value) == ["ANT", "POST"]
    assert dataset[0x00110010].value == "GEMS_GENIE_1"
    assert "PatientPosition" not in dataset
    assert list(dataset.PatientOrientationCodeSequence) == []
    assert dataset.BodyPartExamined == "CHEST"


@pytest.mark.parametrize(
    ("view", "name"), [(View.ANTERIOR, "WHOLE BODY_E"), (View.POSTERIOR, "WHOLE BODY_F")]
)
def test_ge_millennium_has_one_view_a_file(simulated, tmp_path: Path, view, name: str) -> None:
    single = replace(simulated, **{view.opposite.value: None})
    dataset = written(single, tmp_path, HeaderStyle.GE)
    assert dataset[0x00111012].value == dataset[0x00111030].value == dataset.ImageID == name
    assert dataset.NumberOfFrames == 1
    assert dataset.BodyPartExamined == "WHOLEBODY"


def test_siemens(simulated: Scan, tmp_path: Path) -> None:
    dataset = written(simulated, tmp_path, HeaderStyle.SIEMENS)
    detectors = dataset.DetectorInformationSequence
    assert [item.StartAngle for item in detectors] == [180, 360]
    assert detectors[0].ImageOrientationPatient == detectors[1].ImageOrientationPatient
    assert list(detectors[0].ImageOrientationPatient) == [1, 0, 0, 0, 0, -1]
    assert not any("ViewCodeSequence" in item for item in detectors)
    assert not any(element.tag.is_private for element in dataset)


def test_philips_has_standard_codes(simulated: Scan, tmp_path: Path) -> None:
    dataset = written(simulated, tmp_path, HeaderStyle.PHILIPS)
    detectors = dataset.DetectorInformationSequence
    assert dataset.NumberOfDetectors == len(detectors) == 2
    codes = [item.ViewCodeSequence[0] for item in detectors]
    assert [code.CodeValue for code in codes] == ["399321004", "399001007"]
    assert {code.CodingSchemeDesignator for code in codes} == {"SCT"}
    assert [item.StartAngle for item in detectors] == [180, 0]
    assert dataset.AnatomicRegionSequence[0].CodeValue == "38266002"
    recumbent = dataset.PatientOrientationCodeSequence[0]
    assert recumbent.CodeValue == "102538003"
    assert recumbent.PatientOrientationModifierCodeSequence[0].CodeValue == "40199007"
    assert dataset.PatientGantryRelationshipCodeSequence[0].CodeValue == "102540008"
    assert not any(element.tag.is_private for element in dataset)


@pytest.mark.parametrize("style", HeaderStyle)
def test_of_a_patient_nothing_false_or_unknown_is_said(of_a_patient, tmp_path, style) -> None:
    dataset = written(of_a_patient, tmp_path, style)
    assert dataset.BodyPartExamined == "WHOLEBODY"
    assert list(dataset.PatientOrientationCodeSequence) == []
    assert list(dataset.PatientGantryRelationshipCodeSequence) == []
    for item in dataset.DetectorInformationSequence:
        assert item.ImageOrientationPatient is None
        assert item.CollimatorType == ""
    scan = read(tmp_path / "a.dcm")
    assert set(scan.acquisition.view_rules.values()) == {DECIDING_RULE[style]}
