"""ZIP archives as sources: read where they are, within limits."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_files import ge_discovery, one_view, save
from PIL import Image

from bonescint.dicom import StudyFiles, archives, discover, info, read, read_study
from bonescint.dicom.files import file_size, read_bytes
from bonescint.scan import InputError


@pytest.fixture
def archive(anterior, posterior, tmp_path: Path) -> Path:
    """Two files of one scan in a folder, a picture with both views, a text and hidden files."""
    save(one_view(anterior, 1, angle="180"), tmp_path / "1.dcm")
    save(one_view(posterior, 2, angle="0"), tmp_path / "2.dcm")
    picture = np.hstack([anterior, posterior]).clip(0, 255).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "both.png")
    path = tmp_path / "in" / "Scans.ZIP"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(tmp_path / "2.dcm", "p1\\B.dcm")  # as some Windows programs pack
        packed.write(tmp_path / "1.dcm", "p1/A.dcm")
        packed.write(tmp_path / "both.png", "p2/both.png")
        packed.writestr("notes.txt", "KOWALSKA was here\n" * 20)
        packed.writestr("__MACOSX/p1/._A.dcm", "x" * 200)
        packed.writestr("p1/.DS_Store", "x" * 200)
        packed.mkdir("empty")
    return path


@pytest.mark.parametrize("of", [lambda archive: archive, lambda archive: archive.parent])
def test_an_archive_is_searched_like_a_folder(archive: Path, of, anterior, posterior) -> None:
    found = discover([of(archive)])
    assert [study.files for study in found.studies] == [
        (archive / "p1/A.dcm", archive / "p1/B.dcm"),
        (archive / "p2/both.png",),
    ]
    assert found.studies[0].source == f"{archive}/p1/A.dcm + B.dcm"
    assert [error.source for error in found.refused] == [str(archive / "notes.txt")]
    scan = read_study(found.studies[0])
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert len(info(archive).scans) == 2


def test_a_file_of_an_archive_is_the_same_scan_as_the_file(anterior, posterior, tmp_path) -> None:
    path = save(ge_discovery(anterior, posterior), tmp_path / "a.dcm")
    packed = tmp_path / "a.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "a.dcm")
    assert read(packed).scan_id == read(path).scan_id
    assert read(packed / "a.dcm").acquisition.file_sha256 == read(path).acquisition.file_sha256
    assert file_size(packed / "a.dcm") == path.stat().st_size
    assert read_bytes(packed / "a.dcm", limit=7) == path.read_bytes()[:7]


def test_nothing_is_written_anywhere(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(archive.parent.parent.rglob("*"))
    written: list[object] = []
    monkeypatch.setattr(zipfile.ZipFile, "extract", lambda *args: written.append(args))
    monkeypatch.setattr(zipfile.ZipFile, "extractall", lambda *args: written.append(args))
    for study in discover([archive]).studies:
        read_study(study)
    assert sorted(archive.parent.parent.rglob("*")) == before
    assert written == []


def refusals(path: Path) -> list[str]:
    found = discover([path])
    assert found.studies == ()
    return [error.problem for error in found.refused]


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../outside.dcm", "a/../../outside.dcm", "..\\outside.dcm", "C:\\scan.dcm"],
)
def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "outside.dcm").write_bytes(b"x" * 200)
    path = tmp_path / "in" / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(name, "x" * 200)
    assert refusals(path) == ["contains a file whose name leads out of the archive"]
    with pytest.raises(InputError):
        read_bytes(path / name.replace("\\", "/").lstrip("/"))


def test_an_encrypted_archive_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(3):
            packed.writestr(f"{number}.dcm", "x" * 200)
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + offset] |= 1  # APPNOTE 4.4.4, bit 0
            at = content.find(signature, at + 1)
    path.write_bytes(content)
    assert refusals(path) == ["3 of its 3 files are encrypted"]
    with pytest.raises(InputError, match="is encrypted"):
        read_bytes(path / "1.dcm")


def test_a_file_that_would_grow_beyond_measure_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("1.dcm", bytes(5 << 20))
        packed.writestr("2.dcm", bytes(3 << 20))
    assert refusals(path) == [
        "holds a file that would grow to 5 MiB, over 200 times its size in the archive",
        "is neither a DICOM file nor a PNG, JPEG or TIFF picture",
    ]


def test_an_archive_in_an_archive_and_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("inner.zip", "PK")
        packed.writestr("p/1.dcm", "x")
        with pytest.warns(UserWarning, match="Duplicate name"):
            packed.writestr("p/1.dcm", "y")
    assert refusals(path) == ["holds another archive", "contains two files of the same name"]


def test_a_damaged_archive_is_refused(archive: Path) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    assert refusals(archive) == ["the ZIP archive is damaged or cannot be read"]
    spoiled = bytearray(content)
    spoiled[200:2000] = bytes(1800)
    archive.write_bytes(spoiled)
    with pytest.raises(InputError, match="its archive is damaged or packed in an unknown way"):
        read_bytes(archive / "p1/B.dcm")


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(5):
            packed.writestr(f"{number}.txt", "x")
    monkeypatch.setattr(archives, "MAX_MEMBERS", 4)
    assert refusals(path) == ["holds more than 4 files"]


@pytest.mark.parametrize("comment", [b"", b"made for the test"])
def test_the_size_of_the_list_is_known_before_it_is_read(tmp_path: Path, comment: bytes) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a.txt", "x")
        packed.comment = comment
    # 46 bytes and the name: APPNOTE 4.3.12
    assert archives._directory_bytes(path, path.stat().st_size) == 46 + len("a.txt")


def test_files_called_otherwise_are_no_archives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "labels.xlsx", "w") as packed:
        packed.writestr("a.dcm", "x" * 200)
    (tmp_path / "b.zip").write_bytes(b"x" * 200)
    assert refusals(tmp_path) == ["is neither a DICOM file nor a PNG, JPEG or TIFF picture"] * 2
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "folder.zip" / "c.txt").write_bytes(b"x" * 200)
    assert len(refusals(tmp_path)) == 3


def test_an_archive_that_vanishes_or_changes_is_not_read_from_memory(archive: Path) -> None:
    assert read_bytes(archive / "notes.txt").startswith(b"KOWALSKA")
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("notes.txt", "other")
    assert read_bytes(archive / "notes.txt") == b"other"
    archive.unlink()
    with pytest.raises(InputError, match="does not exist"):
        read_bytes(archive / "notes.txt")


def test_studies_in_archives_travel_to_worker_processes(archive: Path) -> None:
    study = pickle.dumps(discover([archive]).studies[0])
    code = (
        "import pickle, sys; from bonescint.dicom import read_study; "
        "print(read_study(pickle.loads(sys.stdin.buffer.read())).scan_id)"
    )
    run = subprocess.run([sys.executable, "-c", code], input=study, capture_output=True, check=True)
    assert run.stdout.decode().strip() == read_study(discover([archive]).studies[0]).scan_id


def test_pipes_named_as_archives_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.zip")
    assert refusals(tmp_path) == ["is not a regular file (a pipe or a device)"]


def test_a_pair_of_an_archive_is_read_by_its_paths(archive: Path, anterior) -> None:
    pair = StudyFiles((archive / "p1/A.dcm", archive / "p1/B.dcm"), "both")
    np.testing.assert_array_equal(read_study(pair).anterior, anterior)
