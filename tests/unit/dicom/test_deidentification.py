"""De-identification: nothing that identifies comes out, and what does still reads as a scan.

The canaries are made and searched by `tests/support/identifying_objects.py`, which knows nothing of
how they are taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from dicom_files import (
    IDENTIFIERS,
    SECONDARY_CAPTURE,
    detector,
    ge_discovery,
    multi_frame,
    one_view,
    save,
    save_compressed,
    secondary_capture,
    siemens,
    view_code,
)
from identifying_objects import LISTED, identifying_object, listed_values_left
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from bonescint.dicom import ConfidentialityProfile, deidentified, read
from bonescint.dicom.confidentiality import confidentiality_table
from bonescint.dicom.header import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from bonescint.dicom.identifying_values import identifying_values
from bonescint.scan import InputError, View

KEY = b"a secret key of sufficient length"
BASIC = ConfidentialityProfile()
MOVED = ConfidentialityProfile(retain_longitudinal=True)
DEVICE = ConfidentialityProfile(retain_device=True)
SMALL = np.arange(64 * 16, dtype=np.uint16).reshape(64, 16)
BASES: tuple[Callable[[], Dataset], ...] = (
    lambda: ge_discovery(SMALL, SMALL),
    lambda: siemens(SMALL, SMALL),
    lambda: one_view(SMALL, 1),
    lambda: secondary_capture(SMALL),
)


def clean(
    dataset: Dataset | Path, profile: ConfidentialityProfile = BASIC, *, key: bytes = KEY
) -> Dataset:
    """What is made of an object, read again by pydicom."""
    stream = BytesIO()
    if isinstance(dataset, Path):
        content = dataset.read_bytes()
    else:
        dataset.save_as(stream, implicit_vr=False, little_endian=True, enforce_file_format=False)
        content = stream.getvalue()
    made = deidentified(content, Path("scan.dcm"), key=key, profile=profile)
    return dcmread(BytesIO(made.content))


@pytest.mark.parametrize("part", range(4))
def test_no_canary_comes_out_of_200_random_objects(part: int) -> None:
    emptied = 0
    for seed in range(part * 50, part * 50 + 50):
        base = BASES[seed % len(BASES)]()
        base.BurnedInAnnotation = "NO"
        made = identifying_object(seed, base)
        content = made.file()
        assert made.found_in(content, dates=True) or made.syntax.endswith(".99")
        profile = MOVED if seed % 3 == 1 else BASIC
        done = deidentified(content, Path("scan.dcm"), key=KEY, profile=profile)
        assert made.found_in(done.content, dates=profile is BASIC) == []
        emptied += len(done.emptied)
        if profile is BASIC:
            assert listed_values_left(done.content) == []
    assert emptied, "no object had an identifying value in an attribute that is kept"


def test_the_table_is_the_standards() -> None:
    table = confidentiality_table()
    assert len(table) == 652
    # PS3.15 Table E.1-1, looked up by hand.
    by_name = {row.keyword: row for row in table.values() if row.keyword}
    assert {name: by_name[name].basic for name in ("PatientName", "StudyDate", "StudyInstanceUID",
            "InstitutionAddress", "DeviceSerialNumber", "ContentSequence", "OperatorsName")} == {
        "PatientName": "Z", "StudyDate": "Z", "StudyInstanceUID": "U", "InstitutionAddress": "X",
        "DeviceSerialNumber": "X/Z/D", "ContentSequence": "D", "OperatorsName": "X/Z/D",
    }  # fmt: skip
    kept = {name for name, row in by_name.items() if row.retain_device}
    assert {"DeviceSerialNumber", "StationName", "DeviceUID", "GantryID"} <= kept
    assert not kept & {"InstitutionName", "PatientName", "OperatorsName"}
    assert len(LISTED) == 649  # without groups 0000 and 0002, which are always written anew


def test_how_it_was_done_is_recorded() -> None:
    done = clean(ge_discovery(SMALL, SMALL))
    assert (done.PatientIdentityRemoved, done.LongitudinalTemporalInformationModified) == (
        "YES", "REMOVED",
    )  # fmt: skip
    assert [str(item.CodeValue) for item in done.DeidentificationMethodCodeSequence] == [
        "113100", "113111",
    ]  # fmt: skip
    both = ConfidentialityProfile(retain_device=True, retain_longitudinal=True)
    done = clean(siemens(SMALL, SMALL), both)
    assert done.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = done.DeidentificationMethodCodeSequence
    assert [str(item.CodeValue) for item in codes] == ["113100", "113107", "113109"]
    assert all(item.CodingSchemeDesignator == "DCM" for item in codes)


def test_dates_move_alike_within_a_patient() -> None:
    def dated(patient: str, *days: str) -> list[str]:
        moved = []
        for number, day in enumerate(days):
            dataset = one_view(SMALL, number)
            dataset.PatientID = patient
            dataset.StudyDate = dataset.AcquisitionDate = day
            dataset.AcquisitionDateTime = f"{day}101112.5+0100"
            done = clean(dataset, MOVED)
            assert done.StudyDate == done.AcquisitionDate == done.AcquisitionDateTime[:8]
            assert done.AcquisitionDateTime[8:] == "101112.5+0100"
            assert (done.StudyTime, done.PatientBirthDate) == ("101112", "")
            moved.append(
                np.datetime64(f"{done.StudyDate[:4]}-{done.StudyDate[4:6]}-{done.StudyDate[6:]}")
            )
        return moved

    first, later = dated("7712045", "20240102", "20250301")
    assert (later - first).astype(int) == 424  # 2024 is a leap year: 365 - 1 + 60
    assert np.datetime64("2024-01-02") - first >= np.timedelta64(30, "D")
    (other,) = dated("7712046", "20240102")
    assert other != first
    assert clean(one_view(SMALL, 1)).StudyDate == ""


def test_patients_of_one_placeholder_stay_apart() -> None:
    """By name and date of birth, and without one by study, as without any number."""

    def pseudonym(number: str, name: str, born: str, study: str) -> str:
        dataset = one_view(SMALL, 1)
        dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = number, name, born
        dataset.StudyInstanceUID = study
        return str(clean(dataset).PatientID)

    anna = pseudonym("UNKNOWN", "MILLER^ANNA", "19500101", "1.2.3")
    assert anna == pseudonym("", "MILLER^ANNA", "19500101", "1.2.4")
    assert anna != pseudonym("UNKNOWN", "SMITH^ROBERT", "19610202", "1.2.3")
    assert pseudonym("---", "", "", "1.2.3") != pseudonym("---", "", "", "1.2.4")


def test_a_date_that_is_none_is_emptied() -> None:
    for wrong in ("20240231", "spring", "00000000"):
        dataset = one_view(SMALL, 1)
        dataset.add_new(0x00080020, "LO", wrong)
        dataset["StudyDate"].VR = "DA"
        assert clean(dataset, MOVED).StudyDate == ""


def test_references_between_objects_still_hold() -> None:
    scan, derived = ge_discovery(SMALL, SMALL), siemens(SMALL, SMALL)
    item = Dataset()
    item.ReferencedSOPClassUID = scan.SOPClassUID
    item.ReferencedSOPInstanceUID = scan.SOPInstanceUID
    derived.SourceImageSequence = [item]
    derived.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1.1.2"
    one, two = clean(scan), clean(derived)
    reference = two.SourceImageSequence[0]
    assert reference.ReferencedSOPInstanceUID == one.SOPInstanceUID != scan.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == scan.SOPClassUID
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    assert clean(scan, key=b"another key, just as long").SOPInstanceUID != one.SOPInstanceUID


def test_uids_follow_every_byte_of_a_long_key() -> None:
    scan = one_view(SMALL, 1)
    first, other = (clean(scan, key=bytes(64) + end).SOPInstanceUID for end in (b"a", b"b"))
    assert first != other
    whole = blake2b(scan.SOPInstanceUID.encode(), digest_size=16, key=bytes(64), person=b"uid")
    expected = f"2.25.{int.from_bytes(whole.digest(), 'big')}"
    assert clean(scan, key=bytes(64)).SOPInstanceUID == expected


def test_the_cameras_identity_is_kept_when_asked_for() -> None:
    dataset = ge_discovery(SMALL, SMALL)
    dataset.DeviceSerialNumber, dataset.StationName = "SN-4711-X", "NUC2"
    dataset.DeviceUID = "1.2.826.0.1.99.1234567"
    assert clean(dataset).get("DeviceSerialNumber") in ("", None)
    kept = clean(dataset, DEVICE)
    assert (kept.DeviceSerialNumber, kept.StationName) == ("SN-4711-X", "NUC2")
    assert kept.DeviceUID == "1.2.826.0.1.99.1234567"
    assert kept.ManufacturerModelName == "Discovery NM/CT 670"


def test_private_names_of_views_are_kept_and_nothing_beside_them() -> None:
    dataset = ge_discovery(SMALL, SMALL)
    block = dataset.private_block(0x0011, "GEMS_GENIE_1")
    block.add_new(0x13, "LO", "ANT")
    done = clean(dataset)
    private = [element for element in done if element.tag.is_private]
    assert [str(element.value) for element in private] == [
        "GEMS_GENIE_1", "['ANT', 'POST']", "['ANT', 'POST']",
    ]  # fmt: skip
    block[0x12].value = ["ANT", "KOWALSKA"]
    assert [int(e.tag) & 0xFF for e in clean(dataset) if e.tag.is_private] == [0x10, 0x30]
    no_group = dataset.private_block(0x0013, "GEMS_GENIE_1", create=True)
    no_group.add_new(0x12, "LO", "ANT")
    assert not any(element.tag.group == 0x0013 for element in clean(dataset))


def test_a_kept_text_that_repeats_a_name_is_emptied() -> None:
    dataset = ge_discovery(SMALL, SMALL)
    dataset.PatientName = "Ng^Bo"
    dataset.ImageID = "seen by ng"
    dataset.EnergyWindowInformationSequence[0].EnergyWindowName = "Tc99m"
    dataset.RadiopharmaceuticalInformationSequence = [Dataset()]
    dataset.RadiopharmaceuticalInformationSequence[0].Radiopharmaceutical = "Wong MDP"
    stream = BytesIO()
    dataset.save_as(stream, implicit_vr=False, little_endian=True, enforce_file_format=False)
    dataset.PatientName = "Kim^Min"  # 3 letters count as a word, 2 do not
    dataset.ImageID = "seen by kim"
    stream = BytesIO()
    dataset.save_as(stream, implicit_vr=False, little_endian=True, enforce_file_format=False)
    made = deidentified(stream.getvalue(), Path("x"), key=KEY, profile=BASIC)
    done = dcmread(BytesIO(made.content))
    assert made.emptied == ("ImageID",)
    assert done.ImageID == ""
    assert done.EnergyWindowInformationSequence[0].EnergyWindowName == "Tc99m"
    assert done.ImageType == ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"]


def test_which_values_are_searched() -> None:
    dataset = Dataset()
    dataset.PatientName = "MÜLLER^HANS=山田^太郎"
    dataset.StudyDescription = "Whole body bone scan MDP"
    dataset.PatientID, dataset.StudyID = "7712045", "12"
    dataset.AccessionNumber = "A1B2"
    dataset.PatientBirthDate = "19771204"
    values = identifying_values(dataset, BASIC)
    for text in (
        "Müller",
        "Dr. müllersen",
        "山田さん",
        "no 7712045-1",
        "x A1B2 y",
        "born 19771204",
    ):
        assert values.are_in(text), text
    for text in ("WHOLE BODY", "12", "A1B23", "Hansen", "Bone scan", "MDP"):
        assert not values.are_in(text), text
    assert values.are_in("7712045", "IS")
    assert not values.are_in("12", "IS")
    assert not values.are_in("19771204", "DA")


def test_a_name_in_compressed_pixels_is_found(tmp_path: Path) -> None:
    dataset = one_view(SMALL, 1)
    path = save_compressed(dataset, tmp_path / "x.dcm", transfer_syntax="1.2.840.10008.1.2.4.70")
    content = path.read_bytes()
    # A comment segment of the JPEG stream (ITU-T T.81, B.2.4.5), as some encoders write.
    comment = b"\xff\xfe" + (2 + 16).to_bytes(2, "big") + b"KOWALSKA, ANNA  "
    start = content.index(b"\xff\xd8")
    length = int.from_bytes(content[start - 4 : start], "little")
    tainted = content[: start - 4] + (length + len(comment)).to_bytes(4, "little")
    tainted += b"\xff\xd8" + comment + content[start + 2 :]
    deidentified(content, path, key=KEY, profile=BASIC)
    with pytest.raises(InputError, match="its bytes would still hold"):
        deidentified(tainted, path, key=KEY, profile=BASIC)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"BurnedInAnnotation": "YES"}, "text .* is part of the pixels"),
        ({"SOPClassUID": SECONDARY_CAPTURE}, "is a screen capture"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "is a screen capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"}, "is a report"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, "is a report"),
    ],
)
def test_what_is_refused(change: dict[str, object], problem: str) -> None:
    dataset = ge_discovery(SMALL, SMALL)
    for name, value in change.items():
        setattr(dataset, name, value)
    with pytest.raises(InputError, match=problem) as refused:
        clean(dataset)
    assert not any(secret in str(refused.value) for secret in IDENTIFIERS)
    if "report" not in problem:
        stream = BytesIO()
        dataset.save_as(stream, implicit_vr=False, little_endian=True, enforce_file_format=False)
        taken = deidentified(
            stream.getvalue(), Path("x"), key=KEY, profile=BASIC, allow_burned_in=True
        )
        assert taken.patient.startswith("pt-")


def test_an_overlay_in_the_pixels_is_refused_and_one_beside_them_goes() -> None:
    dataset = one_view(SMALL, 1)
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.add_new(0x60020100, "US", 16)
    dataset.add_new(0x60020102, "US", 15)
    with pytest.raises(InputError, match="an overlay is part of its pixels"):
        clean(dataset)
    dataset[0x60020102].value = 0
    assert 0x60020102 not in clean(dataset)


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG])
def test_what_trails_native_pixels_goes(tmp_path: Path, syntax: str) -> None:
    dataset = one_view(SMALL, 1)
    due = dataset.PixelData
    dataset.PixelData = due + b"ward 7, second bed"
    path = save(dataset, tmp_path / "a.dcm", transfer_syntax=syntax)
    made = deidentified(path.read_bytes(), path, key=KEY, profile=BASIC)
    done = dcmread(BytesIO(made.content))
    assert len(done.PixelData) == len(due)
    np.testing.assert_array_equal(done.pixel_array, SMALL)


def test_native_pixels_of_unknown_number_are_refused() -> None:
    dataset = one_view(SMALL, 1)
    del dataset.BitsAllocated
    with pytest.raises(InputError, match="does not say how many pixels"):
        clean(dataset)


def test_a_long_attribute_is_kept_whole_or_the_object_refused() -> None:
    dataset = ge_discovery(SMALL, SMALL)
    dataset.add_new(0x00420011, "OB", bytes(70_000))  # Encapsulated Document, which goes
    dataset.add_new(0x00281201, "OW", bytes(range(250)) * 280)  # a palette, which stays
    done = clean(dataset)
    assert len(done.EncapsulatedDocument) < 10
    assert done.RedPaletteColorLookupTableData == bytes(range(250)) * 280
    dataset.add_new(0x00281202, "OW", bytes(9_000_000))
    with pytest.raises(InputError, match="too long"):
        clean(dataset)


def philips(anterior: NDArray[np.uint16], posterior: NDArray[np.uint16]) -> Dataset:
    """Standard view codes and no angles."""
    codes = [
        view_code("399321004", "SCT", "Anterior projection"),
        view_code("399001007", "SCT", "Posterior projection"),
    ]
    return multi_frame([anterior, posterior], items=[detector(code=code) for code in codes])


@pytest.mark.parametrize("profile", [BASIC, MOVED, DEVICE])
@pytest.mark.parametrize("maker", [ge_discovery, siemens, philips])
def test_it_still_reads_as_the_same_scan(
    maker: Callable[..., Dataset],
    profile: ConfidentialityProfile,
    anterior: NDArray[np.uint16],
    posterior: NDArray[np.uint16],
    tmp_path: Path,
) -> None:
    before = save(maker(anterior, posterior), tmp_path / "before.dcm")
    after = tmp_path / "after.dcm"
    made = deidentified(before.read_bytes(), before, key=KEY, profile=profile)
    after.write_bytes(made.content)
    one, two = read(before), read(after)
    assert (two.unit, two.pixel_spacing_mm, two.views) == (
        one.unit,
        one.pixel_spacing_mm,
        one.views,
    )
    assert two.acquisition.energy_window_kev == one.acquisition.energy_window_kev
    assert two.acquisition.view_rules == one.acquisition.view_rules
    for view in View:
        np.testing.assert_array_equal(
            next(image for found, image in two.images() if found is view),
            next(image for found, image in one.images() if found is view),
        )
    for secret in IDENTIFIERS:
        assert secret.encode() not in made.content


@pytest.mark.parametrize(
    "syntax",
    ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5",
     "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"],
)  # fmt: skip
def test_pixels_are_the_same_in_every_encoding(
    syntax: str, anterior: NDArray[np.uint16], tmp_path: Path
) -> None:
    native = syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
    dataset = ge_discovery(anterior, anterior)
    before = (save if native else save_compressed)(
        dataset, tmp_path / "before.dcm", transfer_syntax=syntax
    )
    content = before.read_bytes()
    if not native:  # what trails the pixels goes
        content += b"\xfc\xff\xfc\xffOB\0\0\x08\0\0\0KOWALSKA"
    made = deidentified(content, before, key=KEY, profile=BASIC)
    after = tmp_path / "after.dcm"
    after.write_bytes(made.content)
    np.testing.assert_array_equal(read(after).anterior, read(before).anterior)
    assert b"KOWALSKA" not in made.content
