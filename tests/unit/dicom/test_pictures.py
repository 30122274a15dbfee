"""PNG and JPEG pictures."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from header_bombs import jpeg_of_segments, png_of_chunks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from bonescint.dicom import StudyFiles, discover, read, read_study
from bonescint.scan import (
    InputError,
    NotABoneScanError,
    PixelUnit,
    View,
    ViewConflictError,
    ViewRule,
)


def save_png(image: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def test_a_pair_of_16_bit_pngs_is_one_exact_study(anterior, posterior, tmp_path: Path) -> None:
    high = anterior * np.uint16(300)
    save_png(high, tmp_path / "p1_anterior.png")
    save_png(posterior, tmp_path / "p1_posterior.png")
    scan = read(tmp_path)
    np.testing.assert_array_equal(scan.anterior, high)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert scan.unit is PixelUnit.INTENSITY
    assert scan.pixel_spacing_mm is None
    assert scan.acquisition.modality == "picture"
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.FILE_NAME)
    assert len(scan.acquisition.file_sha256) == 2
    assert scan.warnings == ()


def test_bs80k_folders_of_jpegs(anterior, posterior, tmp_path: Path) -> None:
    for folder, image in (("ANT", anterior), ("POST", posterior)):
        for number in (7, 8):
            path = tmp_path / folder / f"{number:06}.jpg"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    found = discover([tmp_path])
    assert found.refused == ()
    assert [[p.parent.name for p in study.files] for study in found.studies] == [
        ["ANT", "POST"]
    ] * 2
    assert [study.files[0].name for study in found.studies] == ["000007.jpg", "000008.jpg"]
    scan = read(found.studies[0].files)
    assert np.abs(scan.anterior - anterior.clip(0, 255).astype(float)).mean() < 2
    assert any("JPEG" in warning for warning in scan.warnings)


@pytest.mark.parametrize("crop", [0, 20])
def test_ap_and_pa_side_by_side(anterior, posterior, tmp_path: Path, crop: int) -> None:
    left, right = (image[:, crop : 256 - crop] for image in (anterior, posterior))
    scan = read(save_png(np.hstack([left, right]), tmp_path / "patient 12.png"))
    np.testing.assert_array_equal(scan.anterior, left)
    np.testing.assert_array_equal(scan.posterior, right)
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.PICTURE_HALF)
    assert any("left half" in warning for warning in scan.warnings)


def test_one_body_without_a_view_name_is_not_guessed(anterior, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing says which view.*Name it \*_anterior"):
        read(save_png(anterior, tmp_path / "p1.png"))
    wide = np.repeat(anterior, 2, axis=1)
    with pytest.raises(InputError, match="nothing says which view"):
        read(save_png(wide, tmp_path / "p2.png"))


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(level=st.integers(180, 255), gain=st.floats(1.0, 4.0))
def test_white_paper_is_inverted(anterior, tmp_path: Path, level: int, gain: float) -> None:
    dark = (anterior * gain).clip(0, level).astype(np.uint8)
    scan = read(save_png(level - dark, tmp_path / "p_ant.png"))
    np.testing.assert_array_equal(scan.anterior, dark.astype(np.float32))
    assert any("inverted" in warning for warning in scan.warnings)


def test_grey_rgb_passes_and_colour_does_not(anterior, tmp_path: Path) -> None:
    grey = anterior.clip(0, 255).astype(np.uint8)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    scan = read(save_png(rgb, tmp_path / "x_ant.png"))
    np.testing.assert_array_equal(scan.anterior, grey)
    rgb[100:200, 100:150] = (200, 20, 20)
    with pytest.raises(NotABoneScanError, match="colour"):
        read(save_png(rgb, tmp_path / "y_ant.png"))


def test_a_mask_is_no_scan(anterior, tmp_path: Path) -> None:
    with pytest.raises(NotABoneScanError, match="mask"):
        read(save_png(anterior, tmp_path / "p1_mask_anterior.png"))


def test_both_pictures_anterior(anterior, posterior, tmp_path: Path) -> None:
    one = save_png(anterior, tmp_path / "a_ant.png")
    other = save_png(posterior, tmp_path / "b_ant.png")
    with pytest.raises(ViewConflictError, match="two images claim to be anterior"):
        read([one, other])


def test_views_of_different_size(anterior, posterior, tmp_path: Path) -> None:
    save_png(anterior, tmp_path / "p_ant.png")
    save_png(posterior[:900], tmp_path / "p_post.png")
    with pytest.raises(InputError, match="differ in size: 900 x 256 and 1024 x 256"):
        read(tmp_path)


def test_a_truncated_picture(anterior, tmp_path: Path) -> None:
    path = save_png(anterior, tmp_path / "p_ant.png")
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(InputError, match=r"p_ant\.png: the picture is truncated or damaged"):
        read(path)


def test_a_truncated_picture_where_pillow_was_told_to_fill_in(
    monkeypatch: pytest.MonkeyPatch, anterior, tmp_path: Path
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as WeasyPrint does
    path = save_png(anterior, tmp_path / "p_ant.png")
    whole = path.read_bytes()
    path.write_bytes(whole[:20_000])
    with pytest.raises(InputError, match="truncated or damaged"):
        read(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES
    path.write_bytes(whole)
    assert read(path).anterior is not None


def test_a_picture_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 30_000, 90_000, 16, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9)))
    path = tmp_path / "p_ant.png"
    path.write_bytes(bomb + chunk(b"IEND", b""))
    with pytest.raises(InputError, match="Mi pixels"):
        read(path)


def test_nan_in_a_picture(monkeypatch: pytest.MonkeyPatch, anterior, tmp_path: Path) -> None:
    from bonescint.dicom import pictures

    broken = anterior.astype(np.float32)
    broken[5, 5] = np.nan
    monkeypatch.setattr(pictures, "_grey", lambda *_: (broken, 16))
    with pytest.raises(InputError, match="NaN"):
        read(save_png(anterior, tmp_path / "p_ant.png"))


def test_an_all_black_picture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="every pixel is 0"):
        read(save_png(np.zeros((1024, 256), np.uint8), tmp_path / "p_ant.png"))


def eight_bit(image: np.ndarray, black: int = 0) -> np.ndarray:
    return (black + (image * 4.0).clip(0, 255 - black)).astype(np.uint8)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("width", [1, 6, 12])
def test_a_frame_does_not_decide_the_polarity(anterior, tmp_path, width, inverted) -> None:
    plain = eight_bit(anterior)
    shown = 255 - plain if inverted else plain
    framed = np.pad(shown, width, constant_values=0 if inverted else 255)
    scan = read(save_png(framed, tmp_path / "p_ant.png"))
    inside = slice(width, -width)
    np.testing.assert_array_equal(scan.anterior[inside, inside], plain)
    assert any("frame" in warning for warning in scan.warnings)


@pytest.mark.parametrize("name", ["wb_post.png", "x_ant.png", "x.png"])
@pytest.mark.parametrize("gap", [0, 2, 20])
def test_two_bodies_are_two_views_whatever_the_name(
    anterior, posterior, tmp_path: Path, name: str, gap: int
) -> None:
    line = np.full((1024, gap), 255, np.uint8)
    shown = np.hstack([eight_bit(anterior), line, eight_bit(posterior)])
    assert len(read(save_png(shown, tmp_path / name)).views) == 2


@pytest.mark.parametrize("black", [25, 60, 110])
def test_a_lifted_background_passes(anterior, tmp_path: Path, black: int) -> None:
    assert read(save_png(eight_bit(anterior, black), tmp_path / "p_ant.png")).shape == (1024, 256)


def test_views_padded_to_a_square_and_wide_screens(anterior, posterior, tmp_path: Path) -> None:
    for name, image in (("ant", anterior), ("post", posterior)):
        save_png(np.pad(eight_bit(image), ((0, 0), (384, 384))), tmp_path / "a" / f"p_{name}.png")
    assert read(tmp_path / "a").shape == (1024, 256)
    both = np.hstack([eight_bit(anterior), eight_bit(posterior)])
    screen = np.pad(both, ((28, 28), (704, 704)))
    assert len(read(save_png(screen, tmp_path / "screen.png")).views) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.png", png_of_chunks(30_000)), ("a.jpg", jpeg_of_segments(30_000))],
)
def test_a_picture_of_endless_chunks_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    problem = "its header has far more elements than a bone scan's"
    assert [error.problem for error in discover([path]).refused] == [problem]
    with pytest.raises(InputError, match=problem):
        read_study(StudyFiles((path,), name))


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.png", png_of_chunks(2000)), ("a.jpg", jpeg_of_segments(2000))],
)
def test_a_picture_with_much_before_its_pixels_is_opened(tmp_path: Path, name, content) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert discover([path]).refused == ()
    with pytest.raises(InputError, match=r"one grey|same|tone|pixel"):
        read(path)


def test_a_profile_longer_than_any_first_look_is_read_past(anterior, tmp_path: Path) -> None:
    path = tmp_path / "p_anterior.jpg"
    picture = Image.fromarray(anterior.clip(0, 255).astype(np.uint8))
    picture.save(path, quality=95, icc_profile=bytes(400_000), comment=b"x" * 60_000)
    assert read(path).shape == (1024, 256)


def save_tiff(pages: list[np.ndarray], path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(path, format="TIFF", save_all=bool(others), append_images=others, **options)
    return path


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("big", [False, True])
def test_a_pair_of_tiffs_is_one_exact_study(
    anterior, posterior, tmp_path: Path, bits: int, compression, big: bool
) -> None:
    stored = [
        image.clip(0, 255).astype(np.uint8) if bits == 8 else image * np.uint16(300)
        for image in (anterior, posterior)
    ]
    for name, image in zip(("ant", "post"), stored, strict=True):
        save_tiff([image], tmp_path / f"p_{name}.tif", compression=compression, big_tiff=big)
    scan = read(tmp_path)
    np.testing.assert_array_equal(scan.anterior, stored[0])
    np.testing.assert_array_equal(scan.posterior, stored[1])
    assert scan.unit is PixelUnit.INTENSITY
    assert scan.acquisition.transfer_syntax == f"TIFF {bits} bit"
    assert scan.warnings == ()


def test_big_endian_and_float_tiffs(anterior, tmp_path: Path) -> None:
    path = save_tiff([anterior.astype(">u2")], tmp_path / "a" / "p_ant.tiff")
    assert path.read_bytes().startswith(b"MM")
    np.testing.assert_array_equal(read(path).anterior, anterior)
    path = save_tiff([anterior.astype(np.float32) - 3], tmp_path / "b" / "p_ant.tiff")
    scan = read(path)
    np.testing.assert_array_equal(scan.anterior, np.maximum(anterior.astype(int) - 3, 0))
    assert scan.acquisition.transfer_syntax == "TIFF 32 bit"
    assert scan.warnings == ("negative pixels were set to 0",)


def test_ap_and_pa_in_one_page_of_a_tiff(anterior, posterior, tmp_path: Path) -> None:
    path = save_tiff([np.hstack([anterior, posterior])], tmp_path / "p.tif")
    assert path.stat().st_size > 256 * 1024  # its header stands behind its pixels
    scan = read(path)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.PICTURE_HALF)


def test_two_pages_are_two_views_and_their_order_is_said_to_be_assumed(
    anterior, posterior, tmp_path: Path
) -> None:
    path = save_tiff([anterior, posterior], tmp_path / "p_post.tif")
    found = discover([tmp_path])
    assert [study.files for study in found.studies] == [(path,)]
    scan = read(path)
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.PAGE_ORDER)
    assert scan.warnings == (
        "nothing says which view each page shows: the first was taken as anterior",
    )


@pytest.mark.parametrize("names", [("POSTERIOR", "ANTERIOR"), ("postero-anterior", "")])
@pytest.mark.parametrize("tag", [285, 270])
def test_names_of_pages_tell_the_views(anterior, posterior, tmp_path: Path, names, tag) -> None:
    pages = []
    for image, name in zip((posterior, anterior), names, strict=True):
        page = Image.fromarray(image)
        page.encoderinfo = {"tiffinfo": {tag: name}}
        pages.append(page)
    path = tmp_path / "p.tif"
    pages[0].save(
        path, save_all=True, append_images=pages[1:], tiffinfo={tag: names[0]} if names[0] else {}
    )
    scan = read(path)
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert dict(scan.acquisition.view_rules) == dict.fromkeys(View, ViewRule.DESCRIPTION)
    assert scan.warnings == ()


def test_a_tiff_of_more_pages_or_of_pages_unlike_is_refused(anterior, tmp_path: Path) -> None:
    with pytest.raises(NotABoneScanError, match="more than two pages"):
        read(save_tiff([anterior] * 3, tmp_path / "three.tif"))
    with pytest.raises(InputError, match="pages are of different size"):
        read(save_tiff([anterior, anterior[:900]], tmp_path / "unlike.tif"))


@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
def test_a_truncated_tiff(anterior, tmp_path: Path, part: float) -> None:
    path = save_tiff([anterior], tmp_path / "p_ant.tif", compression="tiff_lzw")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(InputError, match=r"p_ant\.tif: the picture is truncated or damaged"):
        read(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (1, 0)])
def test_a_picture_is_turned_as_it_says(anterior, tmp_path, suffix, orientation, turns) -> None:
    """Exif 2.3, orientation 3: row 0 is the bottom, column 0 the right side."""
    shown = anterior.clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(np.rot90(shown, turns))
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"p_ant.{suffix}"
    picture.save(path, exif=exif)
    scan = read(path)
    assert np.abs(scan.anterior - shown).mean() < 2
    warned = "turned or mirrored according to the picture's own orientation tag" in scan.warnings
    assert warned is (orientation == 3)


@pytest.mark.parametrize(
    ("names", "views"),
    [(("antero-posterior", "postero-anterior"), 2), (("a.p", "p.a"), 2), (("AP", "PA"), 2),
     (("Vorderansicht", "Rückansicht"), 2)],
)  # fmt: skip
def test_pictures_are_paired_by_any_word_for_a_view(
    anterior, posterior, tmp_path: Path, names, views: int
) -> None:
    for name, image in zip(names, (anterior, posterior), strict=True):
        save_png(image, tmp_path / f"p1_{name}.png")
    scan = read(tmp_path)
    assert len(scan.views) == views
    np.testing.assert_array_equal(scan.anterior, anterior)


@pytest.mark.parametrize("name", ["p_LPO_posterior", "p_decubito dorsal", "no_post"])
def test_a_picture_whose_name_lies_is_not_guessed(anterior, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="nothing says which view"):
        read(save_png(anterior, tmp_path / f"{name}.png"))
