"""Upside-down, mirrored and feet-first images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import detector, multi_frame, one_view, save, secondary_capture, view_code
from pydicom import Dataset

from bonescint.dicom import read
from bonescint.scan import InputError, View, ViewConflictError, ViewRule

# Direction cosines by PS3.3 C.7.6.2: x grows to the patient's left, y to the back, z to the head.
TO_LEFT, TO_RIGHT = ["1", "0", "0"], ["-1", "0", "0"]
TO_FEET, TO_HEAD = ["0", "0", "-1"], ["0", "0", "1"]
TURNED = "its orientation says that the feet are at the top: turned by 180 degrees"
FEET_FIRST = "the patient lay feet first and nothing gives the orientation of the image"
PRONE = "the patient lay prone: the views may be exchanged"


def two_views(anterior, posterior, orientations, *, angles=("180", "0")) -> Dataset:
    items = [detector(angle) for angle in angles]
    for item, orientation in zip(items, orientations, strict=True):
        item.ImageOrientationPatient = orientation
    return multi_frame([anterior, posterior], items=items)


def test_true_orientations_change_nothing_and_are_no_warning(anterior, posterior, tmp_path) -> None:
    dataset = two_views(anterior, posterior, [TO_LEFT + TO_FEET, TO_RIGHT + TO_FEET])
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert scan.warnings == ()


def test_images_with_the_feet_at_the_top_are_turned(anterior, posterior, tmp_path: Path) -> None:
    turned = [image[::-1, ::-1] for image in (anterior, posterior)]
    dataset = two_views(*turned, [TO_RIGHT + TO_HEAD, TO_LEFT + TO_HEAD])
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert scan.warnings == (TURNED,)


@pytest.mark.parametrize("where", ["detector", "file", "letters"])
def test_a_single_image_is_turned_wherever_the_header_says_it(
    anterior, tmp_path: Path, where: str
) -> None:
    dataset = one_view(anterior[::-1, ::-1], 1, angle="180")
    if where == "detector":
        dataset.DetectorInformationSequence[0].ImageOrientationPatient = TO_RIGHT + TO_HEAD
    elif where == "file":
        dataset.ImageOrientationPatient = TO_RIGHT + TO_HEAD
    else:
        dataset.PatientOrientation = ["R", "H"]
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    assert scan.warnings == (TURNED,)


def test_letters_of_the_file_say_of_two_images_where_the_head_is(
    anterior, posterior, tmp_path: Path
) -> None:
    dataset = multi_frame(
        [image[::-1, ::-1] for image in (anterior, posterior)],
        items=[detector("180"), detector("0")],
    )
    dataset.PatientOrientation = ["R", "HL"]
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert scan.warnings == (TURNED,)


def test_orientations_tell_the_views_where_nothing_else_does(anterior, posterior, tmp_path) -> None:
    orientations = [TO_RIGHT + TO_FEET, TO_LEFT + TO_FEET]
    dataset = two_views(posterior, anterior, orientations, angles=(None, None))
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.ORIENTATION)
    np.testing.assert_array_equal(scan.anterior, anterior)
    assert scan.warnings == ()


def test_orientations_against_the_angles_are_an_error(anterior, posterior, tmp_path: Path) -> None:
    dataset = two_views(anterior, posterior, [TO_RIGHT + TO_FEET, TO_LEFT + TO_FEET])
    with pytest.raises(ViewConflictError, match="start angle says anterior, the image orientation"):
        read(save(dataset, tmp_path / "a.dcm"))


@pytest.mark.parametrize(("maker", "warned"), [("", True), ("SIEMENS NM", False)])
def test_a_posterior_view_that_is_said_to_be_mirrored_is_kept_and_said(
    anterior, posterior, tmp_path: Path, maker: str, warned: bool
) -> None:
    """Siemens writes the anterior head's orientation for both: known, and not said each time."""
    dataset = two_views(anterior, posterior, [TO_LEFT + TO_FEET] * 2)
    dataset.Manufacturer = maker
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.posterior, posterior)
    said = any("posterior view is seen from the other side" in text for text in scan.warnings)
    assert said is warned


def test_the_orientation_of_an_axial_slice_is_passed_over(anterior, posterior, tmp_path) -> None:
    dataset = two_views(anterior, posterior, [["1", "0", "0", "0", "1", "0"]] * 2)
    assert read(save(dataset, tmp_path / "a.dcm")).warnings == ()


@pytest.mark.parametrize(
    "orientation", [["0", "1", "0", "0", "0", "-1"], ["0.7", "0.7", "0", "0", "0", "-1"]]
)
def test_another_orientation_is_not_used_and_said(anterior, tmp_path: Path, orientation) -> None:
    dataset = one_view(anterior, 1, angle="180")
    dataset.ImageOrientationPatient = orientation
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert scan.warnings == (
        "its orientation is not that of an anterior or posterior view: it was not used",
    )


def feet_first(value: str, scheme: str) -> list[Dataset]:
    return [view_code(value, scheme, "feet-first")]


@pytest.mark.parametrize("told_by", ["position", "SCT", "99SDM"])
def test_feet_first_is_said_unless_the_orientation_tells_how_the_image_lies(
    anterior, posterior, tmp_path: Path, told_by: str
) -> None:
    dataset = two_views(anterior, posterior, [None, None])
    if told_by == "position":
        dataset.PatientPosition = "FFS"
    else:
        code = "102541007" if told_by == "SCT" else "F-10480"
        dataset.PatientGantryRelationshipCodeSequence = feet_first(code, told_by)
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert [FEET_FIRST in text for text in scan.warnings] == [True]
    orientations = [TO_LEFT + TO_FEET, TO_RIGHT + TO_FEET]
    for item, orientation in zip(dataset.DetectorInformationSequence, orientations, strict=True):
        item.ImageOrientationPatient = orientation
    assert read(save(dataset, tmp_path / "b.dcm")).warnings == ()


@pytest.mark.parametrize("told_by", ["HFP", "SCT", "SRT"])
def test_prone_is_said_where_an_angle_tells_the_views(anterior, posterior, tmp_path, told_by):
    dataset = two_views(anterior, posterior, [None, None])
    if told_by == "HFP":
        dataset.PatientPosition = told_by
    else:
        recumbent = view_code("102538003", "SCT", "recumbent")
        code = "1240000" if told_by == "SCT" else "F-10310"
        recumbent.PatientOrientationModifierCodeSequence = [view_code(code, told_by, "prone")]
        dataset.PatientOrientationCodeSequence = [recumbent]
    assert read(save(dataset, tmp_path / "a.dcm")).warnings == (PRONE,)
    codes = [("399321004", "anterior"), ("399001007", "posterior")]
    for item, (code, meaning) in zip(dataset.DetectorInformationSequence, codes, strict=True):
        item.ViewCodeSequence = [view_code(code, "SCT", meaning)]
    assert read(save(dataset, tmp_path / "b.dcm")).warnings == ()


def test_both_views_in_one_image_upside_down_are_refused(anterior, posterior, tmp_path) -> None:
    dataset = secondary_capture(np.hstack([anterior, posterior])[::-1, ::-1].astype(np.int16))
    dataset.PatientOrientation = ["R", "H"]
    with pytest.raises(InputError, match="upside down"):
        read(save(dataset, tmp_path / "a.dcm"))
