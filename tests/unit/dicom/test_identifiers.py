"""What tables may name a study by; sex and age of its patient."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from datetime import date
from hashlib import blake2b
from pathlib import Path

import pytest
from dicom_files import ge_discovery, one_view, save
from header_bombs import crossing, fragments
from pydicom import Dataset

import bonescint.dicom
from bonescint.dicom import (
    Identifier,
    StudyFiles,
    StudyKeys,
    hashed_identifier,
    is_dicom,
    names_of,
    pair_name,
    read,
    study_keys,
)
from bonescint.scan import InputError

KEY = b"a secret key of a cohort"


def expected(kind: str, value: str) -> str:
    """RFC 7693's keyed BLAKE2b over the length-prefixed value, by the standard library."""
    digest = blake2b(digest_size=8, key=KEY, person=kind.encode())
    digest.update(len(value).to_bytes(8, "little") + value.encode())
    return digest.hexdigest()


def state(dataset: Dataset, **values: str) -> Dataset:
    """Set values as they come in archives, of which pydicom would warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
    return dataset


def keys_of(dataset, tmp_path: Path) -> StudyKeys:
    path = save(dataset, tmp_path / "a.dcm")
    return study_keys(StudyFiles((path,), "a"), id_key=KEY)


def test_each_identifier_has_its_own_hash(anterior, posterior, tmp_path: Path) -> None:
    keys = keys_of(ge_discovery(anterior, posterior), tmp_path)
    assert keys == StudyKeys(
        accession=expected("accession", "ACC99"),
        study=expected("study", "1.2.826.0.1.3680043.8.498.1"),
        patient=expected("patient", "7712045"),
        sex="F",
        age=46.0,
        day=date(2024, 1, 2),
    )


def test_what_a_header_does_not_say_is_empty(anterior, posterior, tmp_path: Path) -> None:
    dataset = ge_discovery(anterior, posterior)
    dataset.AccessionNumber = dataset.PatientID = dataset.StudyInstanceUID = ""
    dataset.PatientSex, dataset.PatientBirthDate = "O", ""
    for keyword in ("AcquisitionDate", "AcquisitionDateTime", "StudyDate"):
        setattr(dataset, keyword, "")
    assert keys_of(dataset, tmp_path) == StudyKeys()


@pytest.mark.parametrize(
    ("value", "plain"),
    [("00123", "123"), (" 00123 ", "123"), ("000", "0"), ("A007", "A007"), ("0A07", "0A07")],
)
def test_leading_zeros_of_plain_numbers_do_not_count(value: str, plain: str) -> None:
    assert hashed_identifier(Identifier.PATIENT, value, id_key=KEY) == expected("patient", plain)


@pytest.mark.parametrize("number", ["UNKNOWN", "0", "NA", "Anonymous^", "---"])
def test_a_placeholder_is_no_patient(anterior, posterior, tmp_path: Path, number: str) -> None:
    """Two patients of one placeholder would be one, in one split."""
    dataset = ge_discovery(anterior, posterior)
    dataset.PatientID = number
    assert keys_of(dataset, tmp_path).patient == ""
    assert read(tmp_path / "a.dcm", id_key=KEY).patient_id is None


def test_a_scan_and_a_cohort_name_a_patient_alike(anterior, posterior, tmp_path: Path) -> None:
    dataset = ge_discovery(anterior, posterior)
    dataset.PatientID = "00123"
    assert keys_of(dataset, tmp_path).patient == expected("patient", "123")
    assert read(tmp_path / "a.dcm", id_key=KEY).patient_id == f"pt-{expected('patient', '123')}"


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_identifier_has_no_hash(value: str) -> None:
    assert hashed_identifier(Identifier.ACCESSION, value, id_key=KEY) == ""


@pytest.mark.parametrize(
    ("stated", "age"),
    [
        ("067Y", 67), ("018M", 1), ("023M", 1), ("024M", 2), ("104W", 1), ("105W", 2),
        ("990W", 18), ("992W", 19),
        ("365D", 0), ("366D", 1), ("730D", 1), ("731D", 2), ("000D", 0), ("67y", 67),
        ("089Y", 89), ("090Y", 90), ("091Y", 90), ("129Y", 90), ("130Y", None),
    ],
)  # fmt: skip
def test_age_in_every_unit_of_the_standard(
    anterior, posterior, tmp_path: Path, stated: str, age: float | None
) -> None:
    """PS3.5 6.2, AS: days, weeks, months, years; whole years, 90 at most."""
    dataset = state(ge_discovery(anterior, posterior), PatientAge=stated)
    assert keys_of(dataset, tmp_path).age == age


@pytest.mark.parametrize(
    ("born", "seen", "age"),
    [
        ("19771204", "20241203", 46), ("19771204", "20241204", 47), ("19771204", "20241205", 47),
        ("20000229", "20230228", 22), ("20000229", "20230301", 23),
        ("19340101", "20240102", 90), ("19200101", "20240102", 90), ("18900101", "20240102", None),
        ("20240102", "20240101", None), ("", "20240101", None), ("19771204", "", None),
        ("1977", "20240102", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stated", ["", "67", "Y", "abcY", "6bY"])
def test_without_an_age_the_dates_tell_it(
    anterior, posterior, tmp_path: Path, born: str, seen: str, age: float | None, stated: str
) -> None:
    dataset = state(one_view(anterior, 1), PatientBirthDate=born, StudyDate=seen, PatientAge=stated)
    assert keys_of(dataset, tmp_path).age == age


@pytest.mark.parametrize(("stated", "sex"), [("F", "F"), ("m", "M"), ("O", ""), ("", "")])
def test_sex_is_female_male_or_unsaid(anterior, posterior, tmp_path, stated: str, sex: str) -> None:
    dataset = state(ge_discovery(anterior, posterior), PatientSex=stated)
    assert keys_of(dataset, tmp_path).sex == sex


def test_the_first_file_speaks_for_a_study(anterior, posterior, tmp_path: Path) -> None:
    first = save(one_view(anterior, 1), tmp_path / "1.dcm")
    other = one_view(posterior, 2)
    other.PatientID = "other"
    second = save(other, tmp_path / "2.dcm")
    keys = study_keys(StudyFiles((first, second), "x"), id_key=KEY)
    assert keys.patient == expected("patient", "7712045")


def test_no_more_than_the_header_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(fragments(20_000))  # pixels that a reader of pixels refuses
    assert study_keys(StudyFiles((path,), "x"), id_key=KEY).study == expected("study", "1.2.3.4")


def test_a_long_header_is_read_and_a_picture_says_nothing(tmp_path: Path) -> None:
    long = tmp_path / "long.dcm"
    long.write_bytes(crossing(400_000))
    study = StudyFiles((long,), "x")
    assert study_keys(study, id_key=KEY).study == expected("study", "1.2.3.4")
    assert is_dicom(study)
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    assert study_keys(StudyFiles((picture,), "x"), id_key=KEY) == StudyKeys()
    assert not is_dicom(StudyFiles((picture,), "x"))
    gone = StudyFiles((tmp_path / "gone.dcm",), "x")
    assert not is_dicom(gone)
    with pytest.raises(InputError, match="does not exist"):
        study_keys(gone, id_key=KEY)


def test_names_are_lower_case_and_of_every_kind() -> None:
    root = Path("Root")
    pair = StudyFiles((root / "A" / "P7_Ant.PNG", root / "A" / "P7_Post.PNG"), "both")
    assert pair_name(pair) == "p7"
    assert names_of(pair, root) == {
        "a/p7_ant.png", "p7_ant.png", "p7_ant", "a/p7_post.png", "p7_post.png", "p7_post", "p7",
    }  # fmt: skip
    two_words = StudyFiles((root / "P 7_ant.png",), "one")
    assert names_of(two_words, root) == {"p 7_ant.png", "p 7_ant", "p 7", "p_7", "p-7"}
    numbered = StudyFiles((root / "PA0001_ant.png",), "one")
    assert names_of(numbered, root) == {"pa0001_ant.png", "pa0001_ant", "pa0001"}
    outside = StudyFiles((Path("Other/scan.dcm"),), "one")
    assert names_of(outside, root) == {"other/scan.dcm", "scan.dcm", "scan"}


@pytest.mark.parametrize("package", ["dicom"])
def test_no_module_is_called_as_what_its_package_offers(package: str) -> None:
    """Whether such a name is the module or the function would depend on who imported first."""
    module = importlib.import_module(f"bonescint.{package}")
    modules = {found.name for found in pkgutil.iter_modules(module.__path__)}
    assert modules & set(module.__all__) == set()
    assert bonescint.dicom.study_keys is study_keys
