"""The chain of rules that tells the views apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from dicom_files import (
    detector,
    ge_discovery,
    multi_frame,
    one_view,
    save,
    secondary_capture,
    siemens,
    view_code,
)
from pydicom import Dataset

from bonescint.dicom import read
from bonescint.scan import NotABoneScanError, View, ViewConflictError, ViewRule

CODES = {
    "anterior": [("399321004", "SCT"), ("G-5215", "SRT"), ("R-10206", "SRT"), ("R-10206", "99SDM"),
                 ("399348003", "SCT"), ("110870", "DCM"), ("G-5215", "")],
    "posterior": [("399001007", "SCT"), ("G-5216", "SNM3"), ("R-10214", "SNM3"),
                  ("R-40888", "SRT"), ("272479007", "SCT"), ("110871", "DCM"), ("G-5216", "")],
}  # fmt: skip


def test_ge_discovery_is_told_by_its_private_names(anterior, posterior, tmp_path: Path) -> None:
    scan = read(save(ge_discovery(anterior, posterior), tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.GE_PRIVATE)
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert scan.warnings == ()


def test_ge_without_private_tags_is_told_by_start_angles(
    anterior, posterior, tmp_path: Path
) -> None:
    dataset = ge_discovery(anterior, posterior, private=False)
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.START_ANGLE)
    np.testing.assert_array_equal(scan.posterior, posterior)


@pytest.mark.parametrize("posterior_first", [False, True])
def test_siemens_is_told_by_free_text_in_either_order(
    anterior, posterior, tmp_path: Path, posterior_first: bool
) -> None:
    dataset = siemens(anterior, posterior, posterior_first=posterior_first)
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.VIEW_CODE)
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)


@pytest.mark.parametrize("which", range(len(CODES["anterior"])))
def test_codes_decide_by_scheme_and_value(anterior, posterior, tmp_path, which: int) -> None:
    items = [
        detector(code=view_code(*CODES["posterior"][which], "?")),
        detector(code=view_code(*CODES["anterior"][which], "?")),
    ]
    scan = read(save(multi_frame([posterior, anterior], items=items), tmp_path / "a.dcm"))
    assert scan.acquisition.view_rules[View.ANTERIOR] is ViewRule.VIEW_CODE
    np.testing.assert_array_equal(scan.anterior, anterior)


def test_a_value_of_a_private_scheme_is_no_code_of_the_standard(anterior, tmp_path: Path) -> None:
    dataset = one_view(anterior, 1)
    dataset.DetectorInformationSequence = [detector(code=view_code("110871", "99ELSE", "WB"))]
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == {View.ANTERIOR: ViewRule.DETECTOR_ORDER}


def test_a_code_and_its_meaning_that_contradict_are_named(anterior, tmp_path: Path) -> None:
    code = view_code("399001007", "SCT", "antero-posterior")
    dataset = one_view(anterior, 1)
    dataset.DetectorInformationSequence = [detector(code=code)]
    with pytest.raises(ViewConflictError) as caught:
        read(save(dataset, tmp_path / "a.dcm"))
    assert "view code sequence says posterior" in str(caught.value)
    assert "meaning of the view code says anterior" in str(caught.value)


@pytest.mark.parametrize("code", [("399136008", "SCT"), ("G-5223", "SNM3"), ("R-10210", "SRT")])
def test_an_oblique_or_lateral_code_is_refused(anterior, tmp_path: Path, code) -> None:
    dataset = one_view(anterior, 1, angle="180")
    dataset.DetectorInformationSequence[0].ViewCodeSequence = [view_code(*code, "?")]
    with pytest.raises(NotABoneScanError, match="names an oblique or a lateral view"):
        read(save(dataset, tmp_path / "a.dcm"))


def test_antero_posterior_is_anterior_wherever_it_stands(anterior, posterior, tmp_path) -> None:
    words = ("antero-posterior", "postero-anterior")
    items = [detector(code=view_code("X", "99NMG", word)) for word in words]
    scan = read(save(multi_frame([anterior, posterior], items=items), tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    for place, (image, view) in enumerate(((anterior, View.ANTERIOR), (posterior, View.POSTERIOR))):
        dataset = one_view(image, 1)
        dataset.SeriesDescription = f"WB {words[place]}"
        scan = read(save(dataset, tmp_path / "b.dcm"))
        assert dict(scan.acquisition.view_rules) == {view: ViewRule.DESCRIPTION}
        scan = read(save(one_view(image, 1), tmp_path / f"p1_{words[place]}.dcm"))
        assert dict(scan.acquisition.view_rules) == {view: ViewRule.FILE_NAME}


def test_a_top_level_view_code_tells_a_single_image_only(anterior, posterior, tmp_path) -> None:
    dataset = one_view(posterior, 1)
    dataset.ViewCodeSequence = [view_code("399001007", "SCT", "Posterior projection")]
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == {View.POSTERIOR: ViewRule.VIEW_CODE}
    dataset = multi_frame([anterior, posterior], items=[detector("180"), detector("0")])
    dataset.ViewCodeSequence = [view_code("399001007", "SCT", "Posterior projection")]
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.START_ANGLE)
    np.testing.assert_array_equal(scan.anterior, anterior)


@pytest.mark.parametrize("image_id", ["", "1", "WHOLE BODY"])
def test_a_silent_image_id_lets_the_series_description_speak(
    posterior, tmp_path: Path, image_id: str
) -> None:
    dataset = one_view(posterior, 1, image_id=image_id)
    dataset.SeriesDescription = "WB POST"
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == {View.POSTERIOR: ViewRule.DESCRIPTION}


def test_an_image_id_against_the_series_description_is_an_error(posterior, tmp_path) -> None:
    dataset = one_view(posterior, 1, image_id="WB POST")
    dataset.SeriesDescription = "WB ANT"
    with pytest.raises(ViewConflictError, match="the image ID says posterior, the series desc"):
        read(save(dataset, tmp_path / "a.dcm"))


def test_one_description_tells_nothing_of_two_images(anterior, posterior, tmp_path: Path) -> None:
    dataset = multi_frame([anterior, posterior])
    dataset.ImageID = dataset.SeriesDescription = "POSTERIOR"
    scan = read(save(dataset, tmp_path / "posterior.dcm"))
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.DETECTOR_ORDER)
    np.testing.assert_array_equal(scan.anterior, anterior)


@pytest.mark.parametrize(
    "description",
    ["CUERPO ENTERO DECUBITO DORSAL", "WB supine, dorsal decubitus", "Rückenlage dorsal",
     "LPO obliqua posterior", "POST VIEW OMITTED"],
)  # fmt: skip
def test_words_that_lie_leave_the_view_to_be_assumed_and_said(
    anterior, tmp_path: Path, description: str
) -> None:
    dataset = one_view(anterior, 1)
    dataset.SpecificCharacterSet, dataset.SeriesDescription = "ISO_IR 192", description
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == {View.ANTERIOR: ViewRule.DETECTOR_ORDER}
    assert "nothing says which view detector 1 took: anterior was assumed" in scan.warnings


@pytest.mark.parametrize(
    ("angle", "view"),
    [("180", View.ANTERIOR), ("0", View.POSTERIOR), ("360", View.POSTERIOR),
     ("540", View.ANTERIOR), ("-180", View.ANTERIOR), ("359.9", View.POSTERIOR)],
)  # fmt: skip
def test_start_angles_count_modulo_360(anterior, tmp_path: Path, angle: str, view: View) -> None:
    scan = read(save(one_view(anterior, 1, angle=angle), tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == {view: ViewRule.START_ANGLE}


def test_the_ge_suffix_f_is_posterior(posterior, tmp_path: Path) -> None:
    dataset = one_view(posterior, 1)
    dataset.private_block(0x0011, "GEMS_GENIE_1", create=True).add_new(0x12, "LO", "WHOLE BODY_F")
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == {View.POSTERIOR: ViewRule.GE_PRIVATE}


def with_ge_names(
    header: Dataset, *, dataset: Sequence[str] = (), picture: Sequence[str] = ()
) -> Dataset:
    """Dataset Names (0x12) and Picture Object Names (0x30) of GEMS_GENIE_1."""
    block = header.private_block(0x0011, "GEMS_GENIE_1", create=True)
    for element, values in ((0x12, dataset), (0x30, picture)):
        if values:
            block.add_new(element, "LO", list(values))
    return header


def test_ge_s_picture_names_speak_where_the_dataset_names_are_silent(
    anterior, posterior, tmp_path: Path
) -> None:
    dataset = with_ge_names(
        multi_frame([posterior, anterior]), dataset=["WB", "WB"], picture=["POST", "ANT"]
    )
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.GE_PRIVATE)
    np.testing.assert_array_equal(scan.anterior, anterior)


def test_ge_s_two_kinds_of_names_that_contradict_are_an_error(anterior, tmp_path: Path) -> None:
    dataset = with_ge_names(one_view(anterior, 1), dataset=["ANT"], picture=["POST"])
    with pytest.raises(ViewConflictError, match="name says anterior, the GE private view name"):
        read(save(dataset, tmp_path / "a.dcm"))


@pytest.mark.parametrize(
    "names", [["x", "x", "POST", "ANT"], ["POST", "ANT"]], ids=["a frame", "a detector"]
)
def test_ge_s_names_go_by_frame_or_by_detector(anterior, posterior, tmp_path, names) -> None:
    frames = [posterior // 3, anterior // 3, posterior, anterior]
    dataset = multi_frame(
        frames,
        detectors=[1, 2, 1, 2],
        windows=[1, 1, 2, 2],
        window_limits=[(92.0, 125.0), (126.0, 154.0)],
    )
    scan = read(save(with_ge_names(dataset, dataset=names), tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.GE_PRIVATE)
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)


@pytest.mark.parametrize("names", [["POST"], ["POST", "ANT", "ANT"]])
def test_ge_s_names_of_another_number_than_the_images_tell_nothing(
    anterior, posterior, tmp_path: Path, names
) -> None:
    dataset = with_ge_names(multi_frame([anterior, posterior]), dataset=names)
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.DETECTOR_ORDER)
    np.testing.assert_array_equal(scan.anterior, anterior)


@pytest.mark.parametrize(
    ("angle", "view"),
    [("175", View.ANTERIOR), ("185", View.ANTERIOR), ("355", View.POSTERIOR),
     ("5", View.POSTERIOR), ("174.9", None), ("185.1", None), ("354.9", None), ("5.1", None),
     ("90", None)],
)  # fmt: skip
def test_angles_within_5_degrees_tell_the_view(anterior, tmp_path, angle: str, view) -> None:
    scan = read(save(one_view(anterior, 1, angle=angle), tmp_path / "a.dcm"))
    told = {view: ViewRule.START_ANGLE} if view else {View.ANTERIOR: ViewRule.DETECTOR_ORDER}
    assert dict(scan.acquisition.view_rules) == told


@pytest.mark.parametrize(
    ("names", "warned"),
    [({"image_id": "WB POST"}, False), ({"image_id": "POST VIEW"}, True),
     ({"image_id": "POST VIEW", "file": "x_post.dcm"}, False),
     ({"file": "posterior wb.dcm"}, True)],
)  # fmt: skip
def test_where_words_alone_tell_the_view_this_is_said_unless_they_are_plain(
    posterior, tmp_path: Path, names: dict[str, str], warned: bool
) -> None:
    dataset = one_view(posterior, 1, image_id=names.get("image_id", ""))
    scan = read(save(dataset, tmp_path / names.get("file", "a.dcm")))
    assert scan.views == (View.POSTERIOR,)
    by = "image ID" if "image_id" in names else "file name"
    told = (f"only the {by} says that it is the posterior view",)
    assert scan.warnings == (told if warned else ())


def test_private_names_of_another_creator_are_not_read(anterior, tmp_path: Path) -> None:
    dataset = one_view(anterior, 1)
    dataset.private_block(0x0011, "ELSE", create=True).add_new(0x12, "LO", "POST")
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == {View.ANTERIOR: ViewRule.DETECTOR_ORDER}


def test_the_image_id_then_the_file_name(posterior, tmp_path: Path) -> None:
    scan = read(save(one_view(posterior, 1, image_id="WB POST"), tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == {View.POSTERIOR: ViewRule.DESCRIPTION}
    scan = read(save(one_view(posterior, 1), tmp_path / "X_POST001.dcm"))
    assert dict(scan.acquisition.view_rules) == {View.POSTERIOR: ViewRule.FILE_NAME}


def test_a_description_of_both_views_tells_nothing_of_one(anterior, posterior, tmp_path) -> None:
    dataset = ge_discovery(anterior, posterior)
    dataset.SeriesDescription = "WHOLE BODY ANT/POST"
    scan = read(save(dataset, tmp_path / "post.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)


def test_detector_order_is_an_assumption_that_is_said(anterior, posterior, tmp_path) -> None:
    scan = read(save(multi_frame([posterior, anterior], detectors=[2, 1]), tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.DETECTOR_ORDER)
    np.testing.assert_array_equal(scan.anterior, anterior)
    assert sum("assumed" in warning for warning in scan.warnings) == 2


def test_beside_a_known_view_the_other_one_is_assumed(anterior, posterior, tmp_path) -> None:
    dataset = multi_frame([posterior, anterior], items=[detector("0"), detector()])
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    assert scan.acquisition.view_rules == {
        View.ANTERIOR: ViewRule.DETECTOR_ORDER,
        View.POSTERIOR: ViewRule.START_ANGLE,
    }


def test_rules_that_contradict_are_both_named(anterior, posterior, tmp_path: Path) -> None:
    dataset = ge_discovery(anterior, posterior)
    dataset.DetectorInformationSequence[0].StartAngle = "0"
    dataset.DetectorInformationSequence[1].StartAngle = "180"
    with pytest.raises(ViewConflictError) as caught:
        read(save(dataset, tmp_path / "a.dcm"))
    message = str(caught.value)
    assert "GE private view name says anterior" in message
    assert "detector start angle says posterior" in message
    assert "a.dcm" in message


def test_a_file_name_loses_against_the_header_and_is_named(anterior, tmp_path: Path) -> None:
    scan = read(save(one_view(anterior, 1, angle="180"), tmp_path / "posterior.dcm"))
    assert scan.views == (View.ANTERIOR,)
    assert any("file name says posterior" in warning for warning in scan.warnings)


def test_a_description_against_a_file_name_is_an_error(anterior, tmp_path: Path) -> None:
    with pytest.raises(ViewConflictError, match="file name says posterior"):
        read(save(one_view(anterior, 1, image_id="WB ANT"), tmp_path / "x_posterior.dcm"))


@pytest.mark.parametrize("numbers", [(0, 1), (3, 4)])
def test_detectors_not_numbered_from_1_go_by_rank(anterior, posterior, tmp_path, numbers) -> None:
    items = [detector("180"), detector("0")]
    dataset = multi_frame([anterior, posterior], detectors=numbers, items=items)
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    assert any("in the order of their numbers" in warning for warning in scan.warnings)


def test_an_nm_object_of_two_bodies_is_two_views(anterior, posterior, tmp_path: Path) -> None:
    dataset = one_view(np.hstack([anterior, posterior]), 1, image_id="WB POST")
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    assert any("two bodies" in warning for warning in scan.warnings)


def test_both_frames_anterior_is_an_error(anterior, posterior, tmp_path: Path) -> None:
    dataset = multi_frame([anterior, posterior], items=[detector("180"), detector("180")])
    with pytest.raises(ViewConflictError, match="two images claim to be anterior"):
        read(save(dataset, tmp_path / "a.dcm"))


def test_secondary_capture_takes_one_view(anterior, tmp_path: Path) -> None:
    dataset = secondary_capture(anterior.astype(np.int16))
    dataset.ImageID = "WHOLE BODY_E"
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert dict(scan.acquisition.view_rules) == {View.ANTERIOR: ViewRule.DESCRIPTION}
    assert scan.missing_views == (View.POSTERIOR,)
    assert scan.warnings == ()
