"""A folder without identity: names, pairs, what is left out, and what a second run does."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from dicom_files import (
    IDENTIFIERS,
    ge_discovery,
    one_view,
    save,
    secondary_capture,
    siemens,
)
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from bonescint.dicom import ConfidentialityProfile, deidentify_folder, discover, read
from bonescint.dicom.identity import Identifier, hashed_identifier
from bonescint.scan import InputError, OutputError

SECRETS = ("KOWALSKA", "Anna", *IDENTIFIERS)


@pytest.fixture
def archive(anterior: NDArray[np.uint16], posterior: NDArray[np.uint16], tmp_path: Path) -> Path:
    """Three patients: GE, a pair of one-view files of two series, Siemens; and other files."""
    folder = tmp_path / "KOWALSKA Anna 7712045"
    for part in ("one", "two", "three"):
        (folder / part).mkdir(parents=True)
    save(ge_discovery(anterior, posterior), folder / "one" / "KOWALSKA.dcm")
    for number, (image, view) in enumerate(((anterior, "ANT"), (posterior, "POST"))):
        dataset = one_view(image, number, series=str(number + 5))
        dataset.PatientID = "8812045"
        dataset.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.2"
        save(dataset, folder / "two" / f"KOWALSKA_{view}.dcm")
    third = siemens(anterior, posterior)
    third.PatientID = "9912045"
    save(third, folder / "three" / "IM0001")
    shutil.copy(folder / "three" / "IM0001", folder / "three" / "copy of IM0001")
    save(secondary_capture(anterior), folder / "one" / "capture.dcm")
    Image.fromarray(anterior.astype(np.uint8)).save(folder / "one" / "KOWALSKA_anterior.png")
    (folder / "notes.txt").write_text("KOWALSKA, ANNA")
    return folder


def test_a_folder_of_several_patients(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "clean"
    done = deidentify_folder(archive, out)
    assert (len(done.files), done.patients) == (4, 3)
    problems = sorted(error.problem for error in done.left_out)
    assert [problem.split(":")[0].split(",")[0][:26] for problem in problems] == [
        "is a copy of " + str(archive)[:13],
        "is a picture",
        "is a screen capture",
        "is neither a DICOM file no",
    ]
    written = [path for path in out.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(out)) for path in written) == sorted(
        [*done.files, "deidentification.json"]
    )
    for path in written:
        assert not any(secret in str(path.relative_to(out)) for secret in SECRETS)
        assert not any(secret.encode() in path.read_bytes() for secret in SECRETS)
    with (done.private / "sources.csv").open(newline="", encoding="utf-8") as stream:
        sources = {row["file"]: Path(row["source"]) for row in csv.DictReader(stream)}
    assert set(sources) == set(done.files)
    assert done.private.stat().st_mode & 0o777 == 0o700
    about = json.loads((out / "deidentification.json").read_text())
    assert (about["files"], about["patients"], about["left_out"]) == (4, 3, 4)
    assert "Research use only" in about["notice"]
    for file, source in sources.items():  # read by pydicom, not by us
        np.testing.assert_array_equal(dcmread(out / file).pixel_array, dcmread(source).pixel_array)


@pytest.mark.parametrize("moved", [False, True])
def test_pairs_stay_pairs(archive: Path, tmp_path: Path, moved: bool) -> None:
    out = tmp_path / "clean"
    profile = ConfidentialityProfile(retain_longitudinal=moved)
    deidentify_folder(archive / "two", out, profile=profile)
    (study,) = discover([out]).studies
    assert [path.stem.rpartition("-")[2] for path in study.files] == ["anterior", "posterior"]
    before, after = discover([archive / "two"]).studies[0], read(study.files)
    np.testing.assert_array_equal(after.anterior, read(before.files).anterior)
    np.testing.assert_array_equal(after.posterior, read(before.files).posterior)


def test_two_views_that_nothing_tells_apart_are_both_written(
    anterior: NDArray[np.uint16], posterior: NDArray[np.uint16], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, image in enumerate((anterior, posterior), start=1):
        save(one_view(image, number, detector_number=number), folder / f"IM{number}")
    assert len(discover([folder]).studies) == 1
    out = tmp_path / "clean"
    profile = ConfidentialityProfile(retain_longitudinal=True)
    assert len(set(deidentify_folder(folder, out, profile=profile).files)) == 2
    (study,) = discover([out]).studies
    np.testing.assert_array_equal(read(study.files).anterior, anterior)


def test_a_second_run_writes_the_same_and_completes_the_first(
    archive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "clean"
    first = deidentify_folder(archive, out)
    content = {file: (out / file).read_bytes() for file in first.files}
    (out / first.files[0]).unlink()
    second = deidentify_folder(archive, out)
    assert {file: (out / file).read_bytes() for file in second.files} == content
    with pytest.raises(OutputError, match="made with other options"):
        deidentify_folder(archive, out, profile=ConfidentialityProfile(retain_device=True))
    key = tmp_path / "another key"
    key.write_text("a secret that is long enough\n")
    sources = (tmp_path / "clean.private" / "sources.csv").read_bytes()
    for changed in ({"folder": archive / "one"}, {"folder": archive, "key": key}):
        with pytest.raises(OutputError, match="made from another source or with another key"):
            deidentify_folder(out=out, **changed)
    assert (tmp_path / "clean.private" / "sources.csv").read_bytes() == sources
    assert json.loads((out / "deidentification.json").read_text())["files"] == 4
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="something else"):
        deidentify_folder(archive, other)
    assert not (tmp_path / "other.private").exists()


def test_the_key_gives_the_pseudonyms_of_a_cohort(archive: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a secret that is long enough\n")
    done = deidentify_folder(archive / "three", tmp_path / "clean", key=key)
    expected = hashed_identifier(
        Identifier.PATIENT, "9912045", id_key=b"a secret that is long enough"
    )
    assert done.files[0].startswith(f"pt-{expected}/")
    assert not (done.private / "key").exists()
    key.write_text("short")
    with pytest.raises(InputError, match="holds no key"):
        deidentify_folder(archive / "three", tmp_path / "clean2", key=key)


def test_an_object_that_is_no_bone_scan_is_taken_as_well(archive: Path, tmp_path: Path) -> None:
    small = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    dataset = one_view(small, 1)
    dataset.SOPClassUID, dataset.Modality = "1.2.840.10008.5.1.4.1.1.2", "CT"
    save(dataset, tmp_path / "ct.dcm")
    out = tmp_path / "clean"
    (file,) = deidentify_folder(tmp_path / "ct.dcm", out).files
    assert not file.endswith(("-anterior.dcm", "-posterior.dcm"))
    made = dcmread(out / file)
    assert (made.Modality, made.PatientIdentityRemoved) == ("CT", "YES")
    np.testing.assert_array_equal(made.pixel_array, small)


def test_nothing_to_take_is_an_error(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no DICOM object could be taken.*[^.]\.$"):
        deidentify_folder(archive / "notes.txt", tmp_path / "clean")
    assert (tmp_path / "clean.private" / "left-out.csv").is_file()


def test_an_archive_is_read_in_place(archive: Path, tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "archive"), "zip", archive)
    assert len(deidentify_folder(packed, tmp_path / "clean", workers=2).files) == 4
