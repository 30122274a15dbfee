"""Files to a Scan: identity, bad input, silence."""

from __future__ import annotations

import logging
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from dicom_files import IDENTIFIERS, PATIENT_NAME, ge_discovery, multi_frame, one_view, save
from PIL import Image
from pydicom.data import get_testdata_file

from bonescint.dicom import StudyFiles, discover, read, read_study
from bonescint.dicom.reading import _of_one_size
from bonescint.scan import InputError, NotABoneScanError, ParameterError, PixelUnit, View

DEFLATED = "1.2.840.10008.1.2.1.99"


def test_a_scan_carries_what_was_acquired(anterior, posterior, tmp_path: Path) -> None:
    scan = read(save(ge_discovery(anterior, posterior), tmp_path / "a.dcm"))
    assert scan.unit is PixelUnit.COUNTS
    assert scan.pixel_spacing_mm == (2.40112, 2.40112)
    assert scan.total(View.ANTERIOR) == anterior.sum()
    acquisition = scan.acquisition
    assert acquisition.modality == "NM"
    assert acquisition.manufacturer == "GE MEDICAL SYSTEMS"
    assert acquisition.camera == "Discovery NM/CT 670"
    assert acquisition.image_type == "ORIGINAL\\PRIMARY\\WHOLE BODY\\EMISSION"
    assert acquisition.transfer_syntax == "Explicit VR Little Endian"
    assert acquisition.energy_window_kev == (129.96, 151.04)
    assert len(acquisition.file_sha256) == 1


def test_no_identifier_of_the_header_is_in_the_scan(anterior, posterior, tmp_path: Path) -> None:
    path = save(ge_discovery(anterior, posterior), tmp_path / "a.dcm")
    for key in (None, b"secret"):
        scan = read(path, id_key=key)
        told = f"{scan!r} {scan.scan_id} {scan.patient_id} {scan.acquisition} {scan.warnings}"
        assert not [word for word in (*IDENTIFIERS, "1.2.826") if word in told]


def test_the_patient_is_pseudonymous_only_under_a_secret_key(anterior, posterior, tmp_path) -> None:
    path = save(ge_discovery(anterior, posterior), tmp_path / "a.dcm")
    assert read(path).patient_id is None
    one, other = read(path, id_key=b"one"), read(path, id_key=b"other")
    assert one.patient_id.startswith("pt-")
    assert one.patient_id != other.patient_id
    assert one.patient_id == read(path, id_key=b"one").patient_id
    with pytest.raises(ParameterError, match="id_key"):
        read(path, id_key=b"")


def test_the_scan_id_follows_uids_not_paths_and_pixels_where_there_are_none(
    anterior, posterior, tmp_path: Path
) -> None:
    dataset = ge_discovery(anterior, posterior)
    one = read(save(dataset, tmp_path / "a.dcm")).scan_id
    assert one == read(save(dataset, tmp_path / "b.dcm")).scan_id
    dataset.StudyInstanceUID = "1.2.3"
    assert one != read(save(dataset, tmp_path / "c.dcm")).scan_id
    dataset.StudyInstanceUID = ""
    bare = read(save(dataset, tmp_path / "d.dcm")).scan_id
    other = multi_frame([posterior, anterior])
    other.StudyInstanceUID = ""
    assert bare != read(save(other, tmp_path / "e.dcm")).scan_id


def test_pydicom_neither_warns_nor_logs_what_it_reads(
    anterior, posterior, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = ge_discovery(anterior, posterior)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.StudyInstanceUID = f"1.2.{PATIENT_NAME}"
        dataset.StudyDate = PATIENT_NAME
        dataset.add_new(0x00185100, "CS", PATIENT_NAME.lower())
        dataset.add_new(0x00080005, "CS", "KOWALSKA_IR 999")
        path = save(dataset, tmp_path / "a.dcm")
    caplog.clear()  # what pydicom said while the file was written
    with caplog.at_level(logging.DEBUG):
        read(path)  # a warning would be an error here
    assert "KOWALSKA" not in caplog.text


def test_a_file_without_preamble_is_read(anterior, posterior, tmp_path: Path) -> None:
    path = save(ge_discovery(anterior, posterior), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[132:])
    np.testing.assert_array_equal(read(path).anterior, anterior)


@pytest.mark.parametrize("part", [0.0005, 0.001, 0.3, 0.9, 0.9999])
def test_truncated_files(anterior, posterior, tmp_path: Path, part: float) -> None:
    path = save(ge_discovery(anterior, posterior), tmp_path / "a.dcm")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("Rows", 60_000), ("Columns", 65_535), ("NumberOfFrames", 100_000), ("BitsAllocated", 64),
     ("Rows", 0), ("BitsStored", 17), ("SamplesPerPixel", 4)],
)  # fmt: skip
def test_headers_of_impossible_images(anterior, posterior, tmp_path, keyword, value) -> None:
    dataset = ge_discovery(anterior, posterior)
    setattr(dataset, keyword, value)
    path = tmp_path / "a.dcm"
    with pytest.raises(InputError):
        read_study(StudyFiles((save(dataset, path),), str(path)))


def test_a_deflated_bomb_is_not_inflated(anterior, tmp_path: Path) -> None:
    path = save(one_view(anterior, 1), tmp_path / "a.dcm", transfer_syntax=DEFLATED)
    content = path.read_bytes()
    start = 132 + 12 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(9, wbits=-15)
    inner = zlib.decompressobj(-15).decompress(content[start:])
    bomb = [packer.compress(inner), packer.compress(b"\xe0\x7f\x10\x00OW\0\0\0\0\0\x40")]
    bomb += [packer.compress(bytes(1 << 24)) for _ in range(64)]
    path.write_bytes(content[:start] + b"".join(bomb) + packer.flush())
    assert path.stat().st_size < 3_000_000
    with pytest.raises(InputError, match="gigabytes"):
        read_study(StudyFiles((path,), str(path)))


def test_all_zero_image(tmp_path: Path) -> None:
    dataset = multi_frame([np.zeros((1024, 256), np.uint16)] * 2)
    with pytest.raises(InputError, match=r"a\.dcm: every pixel is 0\. Export"):
        read(save(dataset, tmp_path / "a.dcm"))


def test_an_unknown_transfer_syntax(anterior, posterior, tmp_path: Path) -> None:
    path = save(ge_discovery(anterior, posterior), tmp_path / "a.dcm")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.9.1\0"))
    with pytest.raises(InputError, match="transfer syntax"):
        read(path)


def test_a_file_that_vanishes_after_it_was_found(anterior, posterior, tmp_path: Path) -> None:
    path = save(ge_discovery(anterior, posterior), tmp_path / "a.dcm")
    study = discover([path]).studies[0]
    path.unlink()
    with pytest.raises(InputError, match="does not exist"):
        read_study(study)


def test_a_folder_where_a_file_is_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        read_study(StudyFiles((tmp_path,), str(tmp_path)))


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.dcm"
    with path.open("wb") as stream:
        stream.truncate(3 << 30)
    with pytest.raises(InputError, match="3072 MiB"):
        read(path)


def test_one_missing_view_is_legal_and_said(posterior, tmp_path: Path) -> None:
    scan = read(save(one_view(posterior, 1, angle="0"), tmp_path / "a.dcm"))
    assert scan.missing_views == (View.ANTERIOR,)
    assert scan.warnings == ()


def test_views_of_different_size_are_no_pair(anterior, posterior, tmp_path: Path) -> None:
    save(one_view(anterior, 1, angle="180"), tmp_path / "1.dcm")
    save(one_view(posterior[:900], 2, angle="0"), tmp_path / "2.dcm")
    files = (tmp_path / "1.dcm", tmp_path / "2.dcm")
    with pytest.raises(InputError, match="differ in size: 900 x 256 and 1024 x 256"):
        read(files)
    for study in discover([tmp_path]).studies:
        assert read_study(study).warnings[-1] == (
            "a file of its study that may be its other view was not used: they differ in size"
        )


def test_views_that_differ_by_a_few_pixels_are_padded(anterior, posterior, tmp_path: Path) -> None:
    save(one_view(anterior[:, 1:-2], 1, angle="180"), tmp_path / "1.dcm")
    save(one_view(posterior[:-20], 2, angle="0"), tmp_path / "2.dcm")
    scan = read(tmp_path)
    assert scan.shape == (1024, 256)
    np.testing.assert_array_equal(scan.anterior, np.pad(anterior[:, 1:-2], ((0, 0), (1, 2))))
    np.testing.assert_array_equal(scan.posterior, np.pad(posterior[:-20], ((0, 20), (0, 0))))
    assert scan.warnings == (
        "its views differ in size, 1004 x 256 and 1024 x 253: padded to 1024 x 256",
    )


def test_views_are_padded_below_and_on_both_sides_with_what_their_edges_show(tmp_path) -> None:
    """Half of the pixels of the left and right edge are 10, half 20: their median is 15."""
    narrow = np.full((300, 191), 7, np.float32)
    narrow[:, 0], narrow[:, -1] = 10, 20
    wide = np.full((297, 194), 3, np.float32)
    images, said = _of_one_size({View.ANTERIOR: narrow, View.POSTERIOR: wide}, "a")
    expected = np.full((300, 194), 15, np.float32)
    expected[:, 1:192] = narrow
    np.testing.assert_array_equal(images[View.ANTERIOR], expected)
    np.testing.assert_array_equal(images[View.POSTERIOR], np.pad(wide, ((0, 3), (0, 0)),
                                                                 constant_values=3))  # fmt: skip
    assert said == ("its views differ in size, 297 x 194 and 300 x 191: padded to 300 x 194",)
    alone = {View.ANTERIOR: narrow}
    assert _of_one_size(alone, "a") == (alone, ())


def test_what_is_said_where_there_is_not_one_study(anterior, posterior, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.txt").write_text("no scan at all")
    with pytest.raises(InputError) as raised:
        read(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path}: holds no bone scan (2 files refused). Check the path."
    )
    with pytest.raises(InputError, match=r"1\.txt: is neither a DICOM file nor"):
        read(tmp_path / "1.txt")
    for number in (1, 2):
        dataset = ge_discovery(anterior, posterior)
        dataset.SOPInstanceUID = f"1.2.{number}"
        save(dataset, tmp_path / f"{number}.dcm")
    with pytest.raises(InputError) as raised:
        read(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path}: holds 2 studies. Name one of them, or use discover()."
    )


def test_pictures_cropped_view_by_view_are_padded_with_their_background(
    anterior, posterior, tmp_path: Path
) -> None:
    for name, view in (("p_ant", anterior[:-10]), ("p_post", posterior)):
        Image.fromarray(np.clip(view + 30, 0, 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    scan = read(tmp_path)
    assert scan.shape == (1024, 256)
    assert (scan.anterior[-10:] == 30).all()
    assert "padded to 1024 x 256" in scan.warnings[-1]


@pytest.mark.parametrize(
    ("keyword", "value", "problem"),
    [
        ("PatientID", "other", "of different patients"),
        ("PatientName", "DOE^JOHN", "of different patients"),
        ("PatientBirthDate", "19500101", "of different patients"),
        ("PatientSex", "M", "of different patients"),
        ("StudyInstanceUID", "1.2.3", "differ in study"),
        ("StationName", "CAMERA2", "differ in camera"),
        ("RescaleSlope", "2", "differ in what a pixel means"),
        ("PixelSpacing", ["2.3", "2.3"], "differ in pixel spacing"),
        ("ImageType", ["DERIVED", "PRIMARY", "WHOLE BODY", "EMISSION"], "differ in image type"),
    ],
)
def test_two_files_that_are_named_together_must_agree(
    anterior, posterior, tmp_path: Path, keyword: str, value: object, problem: str
) -> None:
    save(one_view(anterior, 1, angle="180"), tmp_path / "1.dcm")
    other = one_view(posterior, 2, angle="0")
    setattr(other, keyword, value)
    save(other, tmp_path / "2.dcm")
    with pytest.raises(InputError, match=f"its two files (are )?{problem}"):
        read([tmp_path / "1.dcm", tmp_path / "2.dcm"])
    assert len(discover([tmp_path]).studies) == 2


@pytest.mark.parametrize("spoilt", list(View))
@pytest.mark.parametrize("how", ["clipped", "inverted"])
def test_two_files_are_counts_only_if_both_are(
    anterior, posterior, tmp_path: Path, spoilt: View, how: str
) -> None:
    images = {
        View.ANTERIOR: np.minimum(anterior, 200).astype(np.uint8),
        View.POSTERIOR: np.minimum(posterior, 200).astype(np.uint8),
    }
    grey = np.minimum(images[spoilt] * 6.0, 255).astype(np.uint8)
    images[spoilt] = grey if how == "clipped" else 200 - images[spoilt]
    for number, (view, angle) in enumerate(zip(View, ("180", "0"), strict=True), start=1):
        save(one_view(images[view], number, angle=angle), tmp_path / f"{number}.dcm")
    scan = read(tmp_path)
    assert scan.unit is PixelUnit.INTENSITY
    expected = f"its {spoilt.value} view is not in counts: the scan was not taken as counts"
    assert expected in scan.warnings


def test_a_folder_of_two_studies_is_not_one_scan(anterior, posterior, tmp_path: Path) -> None:
    for number in (1, 2):
        dataset = ge_discovery(anterior, posterior)
        dataset.SOPInstanceUID = f"1.2.{number}"
        save(dataset, tmp_path / f"{number}.dcm")
    with pytest.raises(InputError, match="holds 2 studies"):
        read(tmp_path)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no bone scan"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "reportsi.dcm"])
def test_other_dicom_objects_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="modality"):
        read(str(get_testdata_file(name, download=False)))


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm", "JPEG2000.dcm"])
def test_lossy_copies_of_the_real_image_say_so(name: str) -> None:
    path = get_testdata_file(name, download=False)
    if not path:
        pytest.skip(f"this pydicom does not bundle {name}")
    scan = read(str(path))
    assert scan.shape == (1024, 256)
    assert scan.views == (View.ANTERIOR,)
    assert "compressed with loss: counts are approximate" in scan.warnings
    # The lossless original's sum is 3 596 452.
    assert scan.total(View.ANTERIOR) == pytest.approx(3_596_452, rel=0.06)


@pytest.mark.parametrize(("stated", "warned"), [("YES", True), ("NO", False), ("", False)])
def test_text_in_the_pixels_is_a_warning(anterior, tmp_path: Path, stated, warned) -> None:
    dataset = one_view(anterior, 1, angle="180")
    dataset.BurnedInAnnotation = stated
    scan = read(save(dataset, tmp_path / "a.dcm"))
    assert scan.acquisition.burned_in_text is warned
    assert any("may show a name" in warning for warning in scan.warnings) is warned


def picture(image: np.ndarray, path: Path) -> StudyFiles:
    Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(path)
    return StudyFiles((path,), str(path))


def test_one_body_stretched_sideways_is_refused_by_what_it_is_called(anterior, tmp_path) -> None:
    """1024 x 768 is wider than one view can be: with a name no view, without one no two."""
    wide = np.repeat(anterior, 3, axis=1)
    with pytest.raises(NotABoneScanError) as raised:
        read_study(picture(wide, tmp_path / "p_ant.png"))
    assert raised.value.problem == (
        "1024 x 768 pixels are too wide for one view, perhaps stretched or padded, and two "
        "bodies cannot be seen"
    )
    with pytest.raises(NotABoneScanError, match="not symmetric left to right, as a body is"):
        read_study(picture(wide, tmp_path / "p.png"))
    with pytest.raises(InputError, match="nothing says which view this picture shows"):
        read_study(picture(np.repeat(anterior, 2, axis=1), tmp_path / "p.png"))


@pytest.mark.parametrize(
    ("gap", "sides", "columns"),
    [
        (0, 300, 256),  # 512 columns hold both: two rows per column
        (150, 300, 341),  # 662: one and a half
        (300, 300, 512),  # 812: one
    ],
)
def test_empty_sides_of_two_views_are_cut_to_the_narrowest_shape_that_holds_both(
    anterior, posterior, tmp_path: Path, gap: int, sides: int, columns: int
) -> None:
    both = np.hstack([anterior, np.zeros((1024, gap), np.uint16), posterior])
    scan = read_study(picture(np.pad(both, ((0, 0), (sides, sides))), tmp_path / "p.png"))
    assert scan.shape == (1024, columns)
    assert scan.total(View.ANTERIOR) == anterior.clip(0, 255).sum()
    assert scan.total(View.POSTERIOR) == posterior.clip(0, 255).sum()


@pytest.mark.parametrize(("repeats", "columns"), [(1, 256), (2, 512)])
def test_empty_sides_of_one_view_are_cut(anterior, tmp_path: Path, repeats, columns) -> None:
    wide = np.pad(np.repeat(anterior, repeats, axis=1), ((0, 0), (400, 400)))
    scan = read_study(picture(wide, tmp_path / "p_ant.png"))
    assert scan.shape == (1024, columns)
    assert scan.views == (View.ANTERIOR,)
    assert scan.warnings == ()


@pytest.mark.parametrize("name", ["p.png", "p_ant.png"])
def test_what_is_said_of_two_bodies_in_one_picture(anterior, posterior, tmp_path, name) -> None:
    scan = read_study(picture(np.hstack([anterior, posterior]), tmp_path / name))
    said = ["the left half was taken as anterior, the right half as posterior"]
    if name == "p_ant.png":
        said.append("it shows two bodies: the view in its name was not used")
    assert list(scan.warnings) == said
