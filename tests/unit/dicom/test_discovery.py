"""Folders to studies."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from dicom_files import ge_discovery, one_view, save, siemens
from header_bombs import empty_items, png_of_chunks
from PIL import Image
from pydicom import Dataset
from pydicom.data import get_testdata_file

from bonescint.dicom import discover, discovery, read, read_study
from bonescint.scan import InputError, NotABoneScanError, View, ViewConflictError


def names(found) -> list[list[str]]:
    return [[path.name for path in study.files] for study in found.studies]


def test_two_files_of_one_series_and_time_are_one_study(anterior, posterior, tmp_path) -> None:
    save(one_view(posterior, 1, angle="0"), tmp_path / "1.dcm")
    save(one_view(anterior, 2, angle="180"), tmp_path / "2.dcm")
    found = discover([tmp_path])
    assert names(found) == [["2.dcm", "1.dcm"]]
    assert found.studies[0].source == f"{tmp_path / '2.dcm'} + 1.dcm"
    scan = read_study(found.studies[0])
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)


def test_detector_numbers_of_two_undecided_files_are_assumed(anterior, posterior, tmp_path) -> None:
    save(one_view(posterior, 1, detector_number=2), tmp_path / "1.dcm")
    save(one_view(anterior, 2, detector_number=1), tmp_path / "2.dcm")
    scan = read(tmp_path)
    np.testing.assert_array_equal(scan.anterior, anterior)
    assert sum("assumed" in warning for warning in scan.warnings) == 2


def test_two_series_of_one_study_are_paired_by_their_views(anterior, posterior, tmp_path) -> None:
    save(one_view(anterior, 1, series="1", image_id="ANT"), tmp_path / "1.dcm")
    save(one_view(posterior, 1, series="2", image_id="POST", time="101115"), tmp_path / "2.dcm")
    assert names(discover([tmp_path])) == [["1.dcm", "2.dcm"]]


def test_two_times_in_a_series_are_two_studies(anterior, posterior, tmp_path: Path) -> None:
    for hour in (10, 14):
        for view, image in (("ANT", anterior), ("POST", posterior)):
            dataset = one_view(image, hour * 2 + (view == "ANT"), time=f"{hour}0000", image_id=view)
            save(dataset, tmp_path / f"{view}{hour}.dcm")
    assert names(discover([tmp_path])) == [["ANT10.dcm", "POST10.dcm"], ["ANT14.dcm", "POST14.dcm"]]


def test_names_pair_what_time_cannot(anterior, posterior, tmp_path: Path) -> None:
    for number in (1, 2):
        for view, image in (("ANT", anterior), ("POST", posterior)):
            dataset = one_view(image + np.uint16(number), number * 2 + (view == "ANT"), time="")
            save(dataset, tmp_path / f"{view}00{number}.dcm")
    assert names(discover([tmp_path])) == [
        ["ANT001.dcm", "POST001.dcm"],
        ["ANT002.dcm", "POST002.dcm"],
    ]


def test_files_of_two_patients_are_never_paired(anterior, posterior, tmp_path: Path) -> None:
    save(one_view(anterior, 1, image_id="ANT"), tmp_path / "1_ant.dcm")
    other = one_view(posterior, 2, image_id="POST")
    other.PatientID = "another"
    save(other, tmp_path / "1_post.dcm")
    found = discover([tmp_path])
    assert names(found) == [["1_ant.dcm"], ["1_post.dcm"]]
    assert read_study(found.studies[1]).missing_views == (View.ANTERIOR,)
    with pytest.raises(InputError, match="of different patients"):
        read_study(type(found.studies[0])((tmp_path / "1_ant.dcm", tmp_path / "1_post.dcm"), "x"))


def test_two_files_that_both_claim_anterior_are_an_error(anterior, posterior, tmp_path) -> None:
    save(one_view(anterior, 1, angle="180"), tmp_path / "1.dcm")
    save(one_view(posterior, 2, angle="180"), tmp_path / "2.dcm")
    with pytest.raises(ViewConflictError, match="two images claim to be anterior"):
        read(tmp_path)


def test_a_folder_is_searched_in_order_and_strangers_are_refused(
    anterior, posterior, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "deep").mkdir(parents=True)
    first = ge_discovery(anterior, posterior)
    second = ge_discovery(posterior, anterior)
    second.SOPInstanceUID = "1.2.3.4"
    save(first, tmp_path / "b" / "scan")
    save(second, tmp_path / "a" / "deep" / "scan.dcm")
    (tmp_path / "a" / "notes.txt").write_text("KOWALSKA was here\n" * 20)
    (tmp_path / "a" / "empty.dcm").touch()
    (tmp_path / ".hidden").write_text("x")
    ct = Path(str(get_testdata_file("CT_small.dcm", download=False)))
    (tmp_path / "ct.dcm").write_bytes(ct.read_bytes())
    found = discover([tmp_path])
    assert names(found) == [["scan.dcm"], ["scan"]]
    assert [str(error) for error in found.refused] == [
        f"{tmp_path}/ct.dcm: its modality is CT, a bone scan's is NM. "
        "Give the planar whole-body scan, anterior and posterior.",
        f"{tmp_path}/a/empty.dcm: the file is empty. Export or copy it again.",
        f"{tmp_path}/a/notes.txt: is neither a DICOM file nor a PNG, JPEG or TIFF picture. "
        "Leave this file out.",
    ]
    assert isinstance(found.refused[0], NotABoneScanError)


def test_input_order_is_kept(anterior, posterior, tmp_path: Path) -> None:
    for name in "bca":
        dataset = ge_discovery(anterior, posterior)
        dataset.SOPInstanceUID = f"1.2.{ord(name)}"
        save(dataset, tmp_path / name)
    assert names(discover([tmp_path / name for name in "bca"])) == [["b"], ["c"], ["a"]]


def test_a_dicomdir_is_refused(tmp_path: Path) -> None:
    folder = Path(str(get_testdata_file("CT_small.dcm", download=False))).parent
    found = discover([folder / "dicomdirtests" / "DICOMDIR"])
    assert "is a DICOMDIR" in str(found.refused[0])


def test_a_copy_is_refused_and_a_shared_uid_is_not_a_copy(anterior, posterior, tmp_path) -> None:
    save(ge_discovery(anterior, posterior), tmp_path / "1.dcm")
    save(ge_discovery(anterior, posterior), tmp_path / "2.dcm")
    save(ge_discovery(posterior, anterior), tmp_path / "3.dcm")
    found = discover([tmp_path])
    assert names(found) == [["1.dcm"], ["3.dcm"]]
    assert f"2.dcm: is a copy of {tmp_path / '1.dcm'}" in str(found.refused[0])


def test_each_of_many_copies_is_hashed_once(
    anterior, posterior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        image = anterior.copy()
        image[0, 0] = number // 2
        save(ge_discovery(image, posterior), tmp_path / f"{number:02}.dcm")
    read_whole: list[Path] = []

    def counted(path: Path) -> bytes:
        read_whole.append(path)
        return path.read_bytes()

    monkeypatch.setattr("bonescint.dicom.discovery.read_bytes", counted)
    found = discover([tmp_path])
    assert len(found.studies) == 10
    assert [error.problem for error in found.refused] == [
        f"is a copy of {tmp_path}/{number:02}.dcm" for number in range(0, 20, 2)
    ]
    assert sorted(read_whole) == sorted(tmp_path.iterdir())


def test_a_long_header_is_parsed_in_a_process_with_a_time_limit(
    anterior, posterior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = ge_discovery(anterior, posterior)
    long.SOPInstanceUID = "1.2.3"
    long.ReferencedImageSequence = [Dataset() for _ in range(5000)]
    long["ReferencedImageSequence"].is_undefined_length = True
    save(long, tmp_path / "1.dcm")
    save(ge_discovery(anterior, posterior), tmp_path / "2.dcm")
    here: list[int] = []

    def counted(path: Path, reads: int) -> object:
        here.append(reads)
        return examine(path, reads)

    examine = discovery._examine
    counted.__module__, counted.__qualname__ = examine.__module__, examine.__qualname__
    monkeypatch.setattr(discovery, "_LONG_HEADER_S", 1e-4)
    found = discover([tmp_path])
    assert names(found) == [["2.dcm"]]
    (error,) = found.refused
    assert error.source == str(tmp_path / "1.dcm")
    assert "took longer than 0.0001 s" in error.problem
    monkeypatch.undo()
    monkeypatch.setattr(discovery, "_examine", counted)
    assert names(discover([tmp_path])) == [["1.dcm"], ["2.dcm"]]
    assert here == [discovery._SHORT_READS] * 2
    assert discover([tmp_path]).refused == ()


def test_what_is_refused_in_the_process_is_refused_here(tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(empty_items(30_000))
    (tmp_path / "2.png").write_bytes(png_of_chunks(30_000))
    assert [error.problem for error in discover([tmp_path]).refused] == [
        "its header has far more elements than a bone scan's"
    ] * 2


def test_symbolic_links_that_loop_end(anterior, posterior, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    save(ge_discovery(anterior, posterior), tmp_path / "a" / "scan.dcm")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    found = discover([tmp_path])
    assert names(found) == [["scan.dcm"]]
    assert "leads to itself" in str(found.refused[0])


def test_pipes_missing_files_and_folders_do_not_stop_or_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    found = discover([tmp_path, "/dev/zero", tmp_path / "missing.dcm", "bad\0name"])
    assert [error.problem for error in found.refused] == [
        "is not a regular file (a pipe or a device)",
        "is not a regular file (a pipe or a device)",
        "does not exist",
        "cannot be read (ValueError)",
    ]


def test_permission_that_is_denied_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_bytes(b"x" * 200)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "cannot be read (permission denied)" in str(discover([tmp_path]).refused[0])


def test_a_header_longer_than_the_first_look_is_read(anterior, posterior, tmp_path: Path) -> None:
    dataset = ge_discovery(anterior, posterior)
    dataset.private_block(0x0011, "BIG", create=True).add_new(0x01, "OB", bytes(400_000))
    assert names(discover([save(dataset, tmp_path / "1.dcm")])) == [["1.dcm"]]


def test_studies_travel_to_worker_processes(anterior, posterior, tmp_path: Path) -> None:
    save(ge_discovery(anterior, posterior), tmp_path / "1.dcm")
    found = discover([tmp_path, tmp_path / "none"])
    assert pickle.loads(pickle.dumps(found)).studies == found.studies  # noqa: S301
    assert str(pickle.loads(pickle.dumps(found)).refused[0]) == str(found.refused[0])  # noqa: S301


def test_an_object_without_pixels_is_refused(tmp_path: Path, anterior) -> None:
    dataset: Dataset = one_view(anterior, 1)
    del dataset.PixelData
    found = discover([save(dataset, tmp_path / "1.dcm")])
    assert "it has no pixel data" in str(found.refused[0])


@pytest.mark.parametrize(
    ("name", "rows", "columns", "refused"),
    [
        # a view by its name: from 200 rows, 48 columns and 1.7 to 7 rows per column
        ("a_ant", 1024, 256, ""),
        ("a_ant", 200, 48, ""),
        ("a_ant", 340, 200, ""),
        ("a_ant", 199, 48, "199 x 48 pixels do not have the proportions of a whole-body image"),
        ("a_ant", 200, 47, "200 x 47 pixels do not have the proportions of a whole-body image"),
        ("a_ant", 1793, 256, "1793 x 256 pixels do not have the proportions of a whole-body image"),
        # wider than that: two bodies, or one with empty sides
        ("a_ant", 339, 200, ""),
        ("a_ant", 200, 240, ""),
        ("a_ant", 199, 150, "199 x 75 pixels do not have the proportions of a whole-body image"),
        ("a_ant", 400, 960, ""),
        ("a_ant", 400, 961, "400 x 480 pixels do not have the proportions of a whole-body image"),
        # without a name: two bodies, so half the columns count
        ("a", 1024, 512, ""),
        ("a", 340, 200, ""),
        ("a", 199, 100, "199 x 50 pixels do not have the proportions of a whole-body image"),
        ("a", 300, 94, "300 x 47 pixels do not have the proportions of a whole-body image"),
        ("a", 1022, 292, ""),
        ("a", 400, 960, ""),
        ("a", 400, 961, "400 x 480 pixels do not have the proportions of a whole-body image"),
        # too narrow for two
        ("a", 1023, 292, "nothing says which view this picture shows. Name it *_anterior or *_"),
        ("a", 1024, 100, "1024 x 100 pixels do not have the proportions of a whole-body image"),
        ("a_mask", 1024, 256, "is named as a mask or a label. Leave it out."),
    ],
)
def test_proportions_of_pictures(
    tmp_path: Path, name: str, rows: int, columns: int, refused: str
) -> None:
    path = tmp_path / f"{name}.png"
    Image.new("L", (columns, rows)).save(path)
    found = discover([path])
    assert [str(error)[: len(refused) + len(str(path)) + 2] for error in found.refused] == (
        [f"{path}: {refused}"] if refused else []
    )
    assert names(found) == ([] if refused else [[path.name]])


@pytest.mark.parametrize(("columns", "fits"), [(256, True), (1024, False)])
def test_proportions_of_two_pages(tmp_path: Path, columns: int, fits: bool) -> None:
    page = Image.new("L", (columns, 1024))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    found = discover([tmp_path])
    assert len(found.studies) == fits
    assert [error.problem for error in found.refused] == (
        [] if fits else ["1024 x 1024 pixels do not have the proportions of a whole-body image"]
    )


def test_files_of_two_views_are_studies_of_their_own(anterior, posterior, tmp_path: Path) -> None:
    """Though the first image of each would make a pair."""
    for number in (1, 2):
        dataset = siemens(anterior, posterior, posterior_first=number == 2)
        dataset.SOPInstanceUID = f"1.2.{number}"
        save(dataset, tmp_path / f"{number}.dcm")
    assert names(discover([tmp_path])) == [["1.dcm"], ["2.dcm"]]


def test_a_path_given_twice_is_one_study(anterior, posterior, tmp_path: Path) -> None:
    path = save(ge_discovery(anterior, posterior), tmp_path / "1.dcm")
    found = discover([path, str(path), tmp_path])
    assert names(found) == [["1.dcm"]]
    assert found.refused == ()


def test_what_cannot_be_searched_does_not_end_the_search(
    anterior, posterior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(ge_discovery(anterior, posterior), tmp_path / "b.dcm")
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and nothing more")
    found = discover([tmp_path])
    assert names(found) == [["b.dcm"]]
    assert [error.source for error in found.refused] == [str(tmp_path / "a.zip")]

    def denied(*_: object, **__: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", denied)
    assert names(discover([path])) == [["b.dcm"]]


def test_a_cohort_among_folders_is_searched_and_they_are_too(
    anterior, posterior, tmp_path: Path
) -> None:
    for number, name in enumerate(("a", "b", "c")):
        dataset = ge_discovery(anterior, posterior)
        dataset.SOPInstanceUID = f"1.2.{number}"
        (tmp_path / name).mkdir()
        save(dataset, tmp_path / name / f"{name}.dcm")
    (tmp_path / "a" / "manifest.csv").write_text(
        "scan_id,patient_id,centre,split,label,file\n1,p,A,train,0,a.dcm\n"
    )
    (tmp_path / "a" / "unlisted.txt").touch()
    found = discover([tmp_path])
    assert names(found) == [["a.dcm"], ["b.dcm"], ["c.dcm"]]
    assert found.refused == ()


def test_a_folder_that_was_searched_or_cannot_be_does_not_end_the_search(
    anterior, posterior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate("ace"):
        dataset = ge_discovery(anterior, posterior)
        dataset.SOPInstanceUID = f"1.2.{number}"
        (tmp_path / name).mkdir()
        save(dataset, tmp_path / name / f"{name}.dcm")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "d").mkdir()
    listing = Path.iterdir

    def denied(folder: Path) -> object:
        if folder.name == "d":
            raise PermissionError(13, "Permission denied")
        return listing(folder)

    monkeypatch.setattr(Path, "iterdir", denied)
    found = discover([tmp_path])
    assert names(found) == [["a.dcm"], ["c.dcm"], ["e.dcm"]]
    assert [str(error) for error in found.refused] == [
        f"{tmp_path}/d: the folder cannot be searched (Permission denied). Check its rights."
    ]


def test_limits_of_a_search() -> None:
    assert (discovery._LONG_HEADER_S, discovery._SHORT_READS) == (60.0, 6000)
