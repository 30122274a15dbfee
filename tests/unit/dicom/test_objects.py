"""Scans given as objects: the same scan as from its file, and errors as clear."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from bonescint.dicom import read, read_given, scan_of_arrays, write_nm
from bonescint.scan import (
    Acquisition,
    InputError,
    NotABoneScanError,
    ParameterError,
    PixelUnit,
    Scan,
    View,
    ViewRule,
)

FILE = str(get_testdata_file("JPGExtended.dcm", download=False))


@pytest.fixture(scope="module")
def anterior() -> np.ndarray:
    image = read(FILE).anterior
    assert image is not None
    return image


@pytest.fixture
def two_views(tmp_path: Path, anterior: np.ndarray) -> Path:
    scan = Scan(
        anterior=anterior, posterior=anterior[:, ::-1], pixel_spacing_mm=(2.0, 2.0),
        unit=PixelUnit.COUNTS, scan_id="made", acquisition=Acquisition(modality="NM"),
    )  # fmt: skip
    write_nm(scan, tmp_path / "two.dcm")
    return tmp_path / "two.dcm"


def same(one: Scan, other: Scan) -> bool:
    return (
        one.views == other.views
        and one.unit is other.unit
        and one.pixel_spacing_mm == other.pixel_spacing_mm
        and one.scan_id == other.scan_id
        and all(np.array_equal(image, other.view(view)) for view, image in one.images())
    )


def test_every_form_gives_the_scan_of_the_file(two_views: Path) -> None:
    wanted = read(two_views)
    assert wanted.views == tuple(View)
    dataset = pydicom.dcmread(two_views)
    assert same(read_given(str(two_views)), wanted)
    assert same(read_given(two_views.parent), wanted)
    assert same(read_given(dataset), wanted)
    assert same(read_given(io.BytesIO(two_views.read_bytes())), wanted)
    with two_views.open("rb") as stream:
        assert same(read_given(stream), wanted)
    assert same(read_given([dataset]), wanted)


def test_a_compressed_data_set_is_read() -> None:
    assert same(read_given(pydicom.dcmread(FILE)), read(FILE))


def test_a_data_set_made_in_memory_needs_no_file_header(two_views: Path) -> None:
    dataset = pydicom.dcmread(two_views)
    before = dataset.to_json()
    del dataset.file_meta
    assert same(read_given(dataset), read(two_views))
    assert not hasattr(dataset, "file_meta")
    assert dataset.to_json() == before


def test_two_pictures_tell_their_views_by_the_names_of_their_files(
    tmp_path: Path, anterior: np.ndarray
) -> None:
    grey = (255 * np.sqrt(anterior / anterior.max())).astype(np.uint8)
    streams = []
    for name, image in (("p_anterior.png", grey), ("p_posterior.png", grey[:, ::-1])):
        Image.fromarray(image).save(tmp_path / name)
        streams.append((tmp_path / name).open("rb"))
    try:
        scan = read_given(streams)
    finally:
        for stream in streams:
            stream.close()
    assert scan.views == tuple(View)
    assert same(scan, read([tmp_path / "p_anterior.png", tmp_path / "p_posterior.png"]))


def test_a_picture_without_a_name_is_refused_and_no_place_is_told(anterior: np.ndarray) -> None:
    buffer = io.BytesIO()
    grey = (255 * np.sqrt(anterior / anterior.max())).astype(np.uint8)
    Image.fromarray(grey).save(buffer, format="PNG")
    with pytest.raises(InputError) as caught:
        read_given(io.BytesIO(buffer.getvalue()))
    assert caught.value.source == "the open file"
    assert "bonescint-" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind" * 20])
def test_what_is_no_scan_is_refused_by_what_it_is_called(content: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read_given(io.BytesIO(content))
    assert str(caught.value).startswith("the open file: ")
    assert "bonescint-" not in str(caught.value)


def test_a_data_set_of_another_kind_is_no_bone_scan() -> None:
    ct = pydicom.dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    with pytest.raises(NotABoneScanError, match=r"^the Dataset: "):
        read_given(ct)
    with pytest.raises(InputError, match=r"^the Dataset: "):
        read_given(pydicom.Dataset())


def test_what_is_nothing_of_all_that_is_refused() -> None:
    with pytest.raises(ParameterError, match="a pydicom Dataset"):
        read_given(17)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="nothing"):
        read_given([])
    with pytest.raises(ParameterError, match="binary mode"):
        read_given(io.StringIO("text"))  # type: ignore[arg-type]


def test_arrays_are_a_scan_whose_views_the_caller_gave(anterior: np.ndarray) -> None:
    scan = scan_of_arrays(
        anterior=anterior, posterior=anterior[:, ::-1], unit="counts", pixel_spacing_mm=(2.0, 2.0)
    )
    assert scan.views == tuple(View)
    assert scan.acquisition.view_rules == dict.fromkeys(View, ViewRule.GIVEN)
    assert scan.pixel_spacing_mm == (2.0, 2.0)
    assert scan.warnings == ()
    only = scan_of_arrays(posterior=anterior.tolist(), unit=PixelUnit.COUNTS)
    assert only.views == (View.POSTERIOR,)
    np.testing.assert_array_equal(only.posterior, anterior)


def test_a_unit_is_never_guessed_in_silence(anterior: np.ndarray) -> None:
    assumed = scan_of_arrays(anterior=anterior)
    assert assumed.unit is PixelUnit.COUNTS
    assert assumed.warnings == (
        "the unit of the arrays was not given: whole numbers were taken as counts",
    )
    for odd in (anterior / 7, anterior - 1):
        with pytest.raises(ParameterError, match='"counts" or "intensity"'):
            scan_of_arrays(anterior=odd)
    with pytest.raises(ParameterError, match='"counts" or "intensity"'):
        scan_of_arrays(anterior=anterior, unit="bananas")
    with pytest.raises(ParameterError, match="negative"):
        scan_of_arrays(anterior=anterior - 1, unit="counts")
    assert scan_of_arrays(anterior=anterior / 7, unit="intensity").unit is PixelUnit.INTENSITY


def test_a_white_background_is_inverted_and_said(anterior: np.ndarray) -> None:
    grey = np.sqrt(anterior / anterior.max())
    scan = scan_of_arrays(anterior=1 - grey, unit="intensity")
    assert any("inverted" in warning for warning in scan.warnings)
    np.testing.assert_allclose(scan.anterior, grey, atol=1e-6)


def test_arrays_that_show_no_body_are_refused() -> None:
    with pytest.raises(NotABoneScanError, match=r"^anterior array: "):
        scan_of_arrays(anterior=np.ones((256, 256)) + np.eye(256), unit="counts")
    with pytest.raises(InputError, match=r"^posterior array: every pixel is 0"):
        scan_of_arrays(posterior=np.zeros((1024, 256)), unit="counts")
    noise = np.random.default_rng(1).poisson(5, (1024, 256))
    with pytest.raises(NotABoneScanError):
        scan_of_arrays(anterior=noise, unit="counts")


@pytest.mark.parametrize(
    "array", [np.ones(5), np.ones((4, 4, 4)), np.full((1024, 256), np.nan), "text", np.ones((0, 4))]
)
def test_what_is_no_image_is_refused(array: object) -> None:
    with pytest.raises(ParameterError, match="anterior"):
        scan_of_arrays(anterior=array, unit="counts")  # type: ignore[arg-type]


@pytest.mark.parametrize("spacing", [2.4, (0, 0), (2.4,), (-1, 2), (2, np.nan), "wide", [[2, 2]]])
def test_a_spacing_is_two_distances(anterior: np.ndarray, spacing: object) -> None:
    with pytest.raises(ParameterError, match="two distances above 0 mm"):
        scan_of_arrays(anterior=anterior, pixel_spacing_mm=spacing)  # type: ignore[arg-type]


def test_views_of_two_sizes_are_refused(anterior: np.ndarray) -> None:
    with pytest.raises(ParameterError, match="posterior"):
        scan_of_arrays(anterior=anterior, posterior=anterior[:-8], unit="counts")
    with pytest.raises(ParameterError, match="posterior is missing"):
        scan_of_arrays()
