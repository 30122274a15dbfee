"""Results as DICOM objects: what they hold, what they refer to, and that a second run is the same.

highdicom reads the reports back; what dciodvfy and dcmtk say of them is in
tests/integration/test_results_standard.py.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import detector, multi_frame, paint_body, save, secondary_capture
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.sr.codedict import codes
from pydicom.tag import Tag
from result_files import ALGORITHM, BACK, FRONT, Made, answer, make, regions

from bonescint.dicom import StudyFiles, read_study
from bonescint.dicom.results import ResultKind, result_bundle, result_objects
from bonescint.scan import BodyPart, InputError, ParameterError, View


def _content(made: Made, kind: ResultKind) -> Any:
    from highdicom.sr import MeasurementReport, srread

    return MeasurementReport.from_sequence([srread(made.paths[kind]).content[0]])


def _regions(made: Made) -> list[tuple[str, list[int] | None, np.ndarray]]:
    """Of each region of the report: instance, frames, and polygon as rows and columns."""
    found = []
    for group in _content(made, ResultKind.OUTLINES).get_planar_roi_measurement_groups():
        image = group.roi.ContentSequence[0].ReferencedSOPSequence[0]
        frames = image.get("ReferencedFrameNumber")
        frames = frames if frames is None else [int(frames)]
        found.append((image.ReferencedSOPInstanceUID, frames, group.roi.value[:, ::-1]))
    return found


def _words(dataset: Dataset) -> list[str]:
    """The texts of a report."""
    return [element.value for element in dataset.iterall() if element.keyword == "TextValue"]


def _closed(outline: np.ndarray) -> np.ndarray:
    return np.vstack([outline, outline[:1]])


def test_the_scan_report_has_what_the_model_answered(two_frames, tmp_path: Path) -> None:
    made = make(two_frames(), tmp_path / "out")
    (group,) = _content(made, ResultKind.REPORT).get_image_measurement_groups()
    values = {one.name.meaning: (one.value, one.unit.value) for one in group.get_measurements()}
    assert values == {
        "Probability of cancer": (87.5, "%"),
        "Number of outlined regions of evidence": (2, "1"),
        "Out-of-distribution score": (2.25, "1"),
    }
    (call,) = group.get_qualitative_evaluations(name=codes.SCT.BonyMetastasis)
    assert call.value == codes.SCT.Present
    (images,) = group.source_images
    assert images.referenced_frame_numbers == [1, 2]
    assert images.referenced_sop_instance_uid == dcmread(made.sources[0]).SOPInstanceUID


def test_both_reports_identify_the_algorithm(two_frames, tmp_path: Path) -> None:
    made = make(two_frames(), tmp_path / "out")
    for kind in (ResultKind.REPORT, ResultKind.OUTLINES):
        text = _words(made.dataset(kind))
        assert {"stand-in", "1", "bonescint"} <= set(text)
        assert f"SHA-256 of the model: {'ab' * 32}" in text
        assert "Operating point on the probability: 50 %" in text
        assert "No call above an out-of-distribution score of 4.5" in text
        assert "Research use only. Not a medical device." in text
        assert made.dataset(kind).VerificationFlag == "UNVERIFIED"
        assert made.dataset(kind).PreliminaryFlag == "PRELIMINARY"


@pytest.mark.parametrize(
    ("positive", "code", "words"),
    [
        (True, codes.SCT.Present, "Call of the model: positive."),
        (False, codes.SCT.Absent, "Call of the model: negative."),
        (None, codes.SCT.Undetermined, "No call: the scan is unlike those that the model knows."),
    ],
)
def test_the_call_is_coded_and_in_words(
    two_frames, tmp_path: Path, positive: bool | None, code: object, words: str
) -> None:
    made = make(two_frames(), tmp_path / "out", outlined=(), positive=positive)
    assert set(made.paths) == {ResultKind.PICTURE, ResultKind.REPORT}  # nothing is outlined
    (group,) = _content(made, ResultKind.REPORT).get_image_measurement_groups()
    (call,) = group.get_qualitative_evaluations(name=codes.SCT.BonyMetastasis)
    assert call.value == code
    assert group.get_measurements()[1].value == 0
    (comment,) = [text for text in _words(made.dataset(ResultKind.REPORT)) if words in text]
    assert comment == f"{words} {ALGORITHM.notice}"


def test_outlines_lie_on_their_frames(two_frames, tmp_path: Path) -> None:
    made = make(two_frames(), tmp_path / "out")
    instance = dcmread(made.sources[0]).SOPInstanceUID
    front, back = _regions(made)
    assert front[:2] == (instance, [1])
    assert back[:2] == (instance, [2])
    np.testing.assert_array_equal(front[2], _closed(FRONT))
    np.testing.assert_array_equal(back[2], _closed(BACK))


def test_outlines_lie_on_the_file_of_their_view(two_files, tmp_path: Path) -> None:
    made = make(two_files, tmp_path / "out")
    back_uid, front_uid = (dcmread(path).SOPInstanceUID for path in two_files)
    front, back = _regions(made)
    assert front[:2] == (front_uid, None)
    assert back[:2] == (back_uid, None)
    np.testing.assert_array_equal(back[2], _closed(BACK))
    evidence = made.dataset(ResultKind.REPORT).CurrentRequestedProcedureEvidenceSequence
    named = {
        one.ReferencedSOPInstanceUID
        for study in evidence
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert named == {back_uid, front_uid}


def test_outlines_of_turned_frames_are_turned_back(anterior, posterior, tmp_path: Path) -> None:
    items = [detector("180"), detector("0")]
    items[0].ImageOrientationPatient = ["-1", "0", "0", "0", "0", "1"]
    items[1].ImageOrientationPatient = ["1", "0", "0", "0", "0", "1"]
    frames = [anterior[::-1, ::-1], posterior[::-1, ::-1]]
    made = make((save(multi_frame(frames, items=items), tmp_path / "a.dcm"),), tmp_path / "out")
    front, back = _regions(made)
    np.testing.assert_array_equal(front[2], np.array([1024, 256]) - _closed(FRONT))
    np.testing.assert_array_equal(back[2], np.array([1024, 256]) - _closed(BACK))
    # The pixels inside are those of the view: no other frame or turn has them.
    stored = dcmread(made.sources[0]).pixel_array[0]
    low, high = front[2].min(axis=0).astype(int), front[2].max(axis=0).astype(int)
    inside = stored[low[0] : high[0], low[1] : high[1]]
    np.testing.assert_array_equal(inside[::-1, ::-1], made.scan.anterior[100:130, 40:60])


def test_outlines_of_a_secondary_capture_lie_on_its_halves(tmp_path: Path) -> None:
    both = np.hstack([paint_body(1, rows=512, columns=200), paint_body(2, rows=512, columns=200)])
    source = save(secondary_capture(both), tmp_path / "a.dcm")
    front, back = _regions(make((source,), tmp_path / "out"))
    assert (front[1], back[1]) == (None, None)  # it has one frame
    np.testing.assert_array_equal(front[2], _closed(FRONT))
    np.testing.assert_array_equal(back[2], _closed(BACK) + np.array([0, 200]))


def test_a_region_says_its_evidence_its_area_and_its_site(two_frames, tmp_path: Path) -> None:
    made = make(two_frames(), tmp_path / "out")
    first, _ = _content(made, ResultKind.OUTLINES).get_planar_roi_measurement_groups()
    values = {one.name.meaning: (one.value, one.unit.value) for one in first.get_measurements()}
    assert values == {"Probability of cancer": (87.5, "%"), "Area": (600 * 2.4**2, "mm2")}
    assert first.tracking_identifier == "Region 1, anterior view"
    assert first.finding_sites[0].value == codes.SCT.Bone


def test_grad_cam_is_coded_as_what_it_is(two_frames, tmp_path: Path) -> None:
    """Its values are no probabilities, and may be tiny."""
    region = replace(regions()[0], peak=1.25e-7)
    grad_cam = replace(ALGORITHM, map_kind="Grad-CAM")
    made = make(two_frames(), tmp_path / "out", outlined=(region,), algorithm=grad_cam)
    (group,) = _content(made, ResultKind.OUTLINES).get_planar_roi_measurement_groups()
    (measured,) = [one for one in group.get_measurements() if one.name.value == "130403"]
    assert (measured.name.scheme_designator, measured.unit.value) == ("DCM", "1")
    assert measured.value == pytest.approx(1.25e-7)


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (BodyPart.HEAD_AND_NECK, codes.cid4031.HeadAndNeck),
        (BodyPart.CHEST, codes.cid4031.Chest),
        (BodyPart.ABDOMEN_AND_PELVIS, codes.cid4031.AbdomenAndPelvis),
        (BodyPart.LOWER_LIMB, codes.cid4031.LowerLimb),
        (None, codes.cid8134.Bone),
    ],
)
def test_sites_are_of_the_standard_s_context_groups(
    two_frames, tmp_path: Path, part: BodyPart | None, code: Any
) -> None:
    region = replace(regions()[0], body_part=part)
    made = make(two_frames(), tmp_path / "out", outlined=(region,))
    (group,) = _content(made, ResultKind.OUTLINES).get_planar_roi_measurement_groups()
    assert group.finding_sites[0].value == code
    assert group.finding_sites[0].value.meaning == code.meaning
    selection = made.bundle["entry"][-2]["resource"]
    assert selection["bodySite"]["concept"]["coding"][0]["code"] == code.value


def test_the_picture_is_what_was_drawn(two_frames, tmp_path: Path) -> None:
    dataset = make(two_frames(), tmp_path / "out").dataset(ResultKind.PICTURE)
    drawn = np.arange(90 * 60 * 3, dtype=np.uint8).reshape(90, 60, 3)
    np.testing.assert_array_equal(dataset.pixel_array, drawn)
    assert dataset.SOPClassUID.name == "Secondary Capture Image Storage"
    assert "Research use only" in dataset.SeriesDescription
    assert dataset.ImageComments == ALGORITHM.notice
    (source,) = dataset.SourceImageSequence
    assert source.ReferencedFrameNumber == [1, 2]


@pytest.mark.parametrize(
    ("said", "expected"), [("YES", "YES"), ("NO", "NO"), ("", None), ("PERHAPS", None)]
)
def test_the_picture_of_a_capture_says_no_more_of_text_than_its_source(
    tmp_path: Path, said: str, expected: str | None
) -> None:
    both = np.hstack([paint_body(1, rows=512, columns=200), paint_body(2, rows=512, columns=200)])
    dataset = secondary_capture(both)
    dataset.BurnedInAnnotation = said
    made = make((save(dataset, tmp_path / "a.dcm"),), tmp_path / "out")
    assert made.dataset(ResultKind.PICTURE).get("BurnedInAnnotation") == expected


def test_the_picture_of_a_camera_s_image_has_no_text(two_frames, tmp_path: Path) -> None:
    made = make(two_frames(), tmp_path / "out")
    assert made.dataset(ResultKind.PICTURE).BurnedInAnnotation == "NO"


def test_a_second_run_writes_the_same_bytes(two_frames, tmp_path: Path) -> None:
    sources = two_frames()
    first, second = (make(sources, tmp_path / name) for name in ("first", "second"))
    for kind in ResultKind:
        assert first.paths[kind].read_bytes() == second.paths[kind].read_bytes()
    assert first.bundle == second.bundle


def test_other_calls_and_sources_are_other_objects_of_the_study(two_frames, tmp_path) -> None:
    first = make(two_frames(), tmp_path / "first")
    second = make(two_frames(), tmp_path / "second", positive=False)

    def another(dataset: Dataset) -> None:
        dataset.SOPInstanceUID += ".7"

    third = make(two_frames(another), tmp_path / "third")
    for kind in ResultKind:
        made = [one.dataset(kind) for one in (first, second, third)]
        assert len({one.SOPInstanceUID for one in made}) == 3
        assert {one.StudyInstanceUID for one in made} == {made[0].StudyInstanceUID}
        assert made[0].SeriesInstanceUID != dcmread(first.sources[0]).SeriesInstanceUID


def test_each_object_has_a_series_of_its_own(two_frames, tmp_path: Path) -> None:
    """Of a series of several reports some viewers show one."""
    made = make(two_frames(), tmp_path / "out")
    series = {made.dataset(kind).SeriesInstanceUID for kind in ResultKind}
    assert len(series | {dcmread(made.sources[0]).SeriesInstanceUID}) == 4


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("ISO_IR 144", "Люкceмбypг^Иван"),  # noqa: RUF001 - as in PS3.5 I.1
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 100", "Buc^Jérôme"),
    ],
)
def test_patients_keep_their_names(
    two_frames, tmp_path: Path, character_set: str | list[str], name: str
) -> None:
    def change(dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = character_set
        dataset.PatientName = name
        dataset.PatientComments = "comment"
        dataset.PatientAge = "046Y"

    made = make(two_frames(change), tmp_path / "out")
    source = dcmread(made.sources[0])
    stored = source.get_item("PatientName").value
    for kind in ResultKind:
        dataset = made.dataset(kind)
        assert dataset.get_item("PatientName").value == stored
        assert str(dataset.PatientName) == name
        for keyword in ("SpecificCharacterSet", "PatientID", "PatientComments", "PatientAge"):
            assert dataset[keyword] == source[keyword]


def test_patient_and_study_are_copied_and_dates_are_the_source_s(two_frames, tmp_path) -> None:
    made = make(two_frames(), tmp_path / "out")
    source = dcmread(made.sources[0])
    for kind in ResultKind:
        dataset = made.dataset(kind)
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"):
            assert dataset[keyword] == source[keyword]
        assert dataset.StudyInstanceUID == source.StudyInstanceUID
        assert dataset.AccessionNumber == "ACC99"
        assert (dataset.ContentDate, dataset.ContentTime) == ("20240102", "101112")
        assert dataset["StudyID"].is_empty  # type 2: present, if only empty


def test_no_name_is_in_the_bundle(two_frames, tmp_path: Path) -> None:
    text = str(make(two_frames(), tmp_path / "out").bundle)
    for secret in ("KOWALSKA", "7712045", "19771204", "ACC99", "Elsewhere"):
        assert secret not in text


def test_pictures_give_no_objects(anterior, tmp_path: Path) -> None:
    path = tmp_path / "p_anterior.png"
    Image.fromarray(np.minimum(4 * anterior, 255).astype(np.uint8)).save(path)
    with pytest.raises(InputError, match="is no DICOM file"):
        make((path,), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_sources_without_uids_are_refused(two_frames, tmp_path: Path, keyword: str) -> None:
    def change(dataset: Dataset) -> None:
        setattr(dataset, keyword, "")

    with pytest.raises(InputError, match=f"no valid {keyword}"):
        make(two_frames(change), tmp_path / "out")


def test_a_file_that_changed_is_refused(two_frames, tmp_path: Path) -> None:
    (path,) = two_frames()
    study = StudyFiles((path,), str(path))
    scan = read_study(study)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputError, match="has changed since it was read"):
        _objects(study, scan)


def test_a_scan_that_was_changed_is_refused(two_frames) -> None:
    (path,) = two_frames()
    study = StudyFiles((path,), str(path))
    scan = read_study(study)
    cropped = scan.with_views(anterior=scan.anterior, posterior=scan.posterior, step="cropped")
    with pytest.raises(ParameterError, match="as it was read"):
        _objects(study, cropped)


def test_a_prediction_of_another_scan_is_refused(two_frames) -> None:
    (path,) = two_frames()
    study = StudyFiles((path,), str(path))
    scan = read_study(study)
    other = replace(answer(scan), scan_id="bs-another")
    for make_results in (partial(result_objects, picture=np.zeros((8, 8, 3), np.uint8)),
                         result_bundle):  # fmt: skip
        with pytest.raises(ParameterError, match="bs-another"):
            make_results(study, scan, other, regions=(), algorithm=ALGORITHM)


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("StudyDescription", "LO", b"x" * 300),
        ("StudyDate", "DA", b"12.3.2024 "),
        ("PatientAge", "AS", b"66"),
        ("PatientWeight", "DS", b"70,5"),
        ("PatientSex", "CS", b"divers"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what the test writes
def test_damaged_values_are_copied_as_they_stand(
    two_frames, tmp_path: Path, keyword: str, vr: str, value: bytes
) -> None:
    """A PACS knows the patient by them, right or wrong."""

    def change(dataset: Dataset) -> None:
        tag = Tag(keyword)
        dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)

    made = make(two_frames(change), tmp_path / "out")
    stored = dcmread(made.sources[0]).get_item(keyword).value
    assert stored == value
    for kind in ResultKind:
        assert made.dataset(kind).get_item(keyword).value == stored


def test_a_name_in_another_character_set_than_declared_is_copied(two_frames, tmp_path) -> None:
    def change(dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 192"

    (path,) = two_frames(change)
    name = "Buc^Jérôme^Ann".encode("latin-1")
    path.write_bytes(path.read_bytes().replace(b"KOWALSKA^ANNA ", name))
    made = make((path,), tmp_path / "out")
    for kind in ResultKind:
        assert made.dataset(kind).get_item("PatientName").value == name


def _objects(study: StudyFiles, scan: Any) -> object:
    return result_objects(
        study,
        scan,
        answer(scan),
        picture=np.zeros((8, 8, 3), np.uint8),
        regions=[region for region in regions() if region.view is View.ANTERIOR],
        algorithm=ALGORITHM,
    )
