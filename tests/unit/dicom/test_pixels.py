"""Stored bits to counts: every transfer syntax, sign, rescale, wrong lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import (
    detector,
    ge_discovery,
    multi_frame,
    one_view,
    save,
    save_compressed,
    secondary_capture,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames

from bonescint.dicom import read
from bonescint.dicom.files import MAX_PIXELS, MAX_VIEW_PIXELS
from bonescint.dicom.frames import Frame
from bonescint.dicom.header import parse
from bonescint.dicom.pixels import PixelLayout, pixel_layout, read_images
from bonescint.scan import InputError, NotABoneScanError, PixelUnit

NATIVE = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "big endian": "1.2.840.10008.1.2.2",
}
LOSSLESS = {
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG Lossless": "1.2.840.10008.1.2.4.57",
    "JPEG Lossless SV1": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
}
PADDING = "pixels with the Pixel Padding Value were set to 0: they are not counts"


def layout_of(path: Path) -> PixelLayout:
    return pixel_layout(parse(path.read_bytes(), path, pixels=False), "a.dcm")


def images_of(path: Path) -> tuple[list[list[list[float]]], tuple[str, ...]]:
    """All frames of a file, nothing asked of what they show, and what is said of them."""
    header = parse(path.read_bytes(), path, pixels=True)
    layout = pixel_layout(header, "a.dcm")
    frames = tuple(Frame(index=n, detector=1, item=1) for n in range(layout.frame_count))
    images, warnings = read_images(header, layout, frames, "a.dcm")
    assert all(image.dtype == np.float32 for image in images)
    return [image.tolist() for image in images], warnings


def tiny(values: object, dtype: str = "u2", **changed: object) -> Dataset:
    dataset = one_view(np.array(values, dtype), 1)
    for keyword, value in changed.items():
        setattr(dataset, keyword, value)
    return dataset


def coloured(colours: object, *, planar: bool) -> Dataset:
    """Of 8-bit colours (rows, columns, 3)."""
    array = np.array(colours, np.uint8)
    dataset = tiny(array[..., 0], "u1", SamplesPerPixel=3, PhotometricInterpretation="RGB",
                   PlanarConfiguration=int(planar))  # fmt: skip
    data = (np.moveaxis(array, 2, 0) if planar else array).tobytes()
    dataset.PixelData = data + bytes(len(data) % 2)
    return dataset


@pytest.mark.parametrize("planar", [False, True])
def test_colour_within_24_steps_is_grey_by_its_median(tmp_path: Path, planar: bool) -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 1], pixels[1, 2] = (100, 124, 110), (30, 7, 31)  # 24 steps apart
    found, _ = images_of(save(coloured(pixels, planar=planar), tmp_path / "a.dcm"))
    assert found == [[[0, 110, 0], [0, 0, 30]]]
    pixels[0, 1] = (100, 125, 110)
    with pytest.raises(NotABoneScanError, match="colour picture"):
        images_of(save(coloured(pixels, planar=planar), tmp_path / "b.dcm"))


def test_one_coloured_pixel_of_500_is_no_colour_picture(tmp_path: Path) -> None:
    """A stamp or an arrow of a few pixels; more than 0.2 % are a picture in colours."""
    pixels = np.full((100, 10, 3), 9, np.uint8)
    pixels[0, :2] = (200, 9, 9)
    found, _ = images_of(save(coloured(pixels, planar=False), tmp_path / "a.dcm"))
    assert found == [[[9.0] * 10] * 100]
    pixels[0, 2] = (200, 9, 9)
    with pytest.raises(NotABoneScanError, match="colour picture"):
        images_of(save(coloured(pixels, planar=False), tmp_path / "a.dcm"))


@pytest.mark.parametrize(
    ("rows", "columns", "frames", "fits"),
    [
        (4096, 4096, 1, True),  # MAX_VIEW_PIXELS
        (4096, 4097, 1, False),
        (4096, 4096, 4, True),  # MAX_PIXELS
        (4096, 4096, 5, False),
        (1024, 256, 256, True),
        (1024, 256, 257, False),
    ],
)
def test_limits_of_what_a_header_may_announce(
    tmp_path: Path, rows: int, columns: int, frames: int, fits: bool
) -> None:
    assert (MAX_VIEW_PIXELS, MAX_PIXELS) == (4096 * 4096, 4 * 4096 * 4096)
    path = save(tiny([[1]], Rows=rows, Columns=columns, NumberOfFrames=frames), tmp_path / "a.dcm")
    if fits:
        found = layout_of(path)
        assert (found.rows, found.columns, found.frame_count) == (rows, columns, frames)
        assert found.frame_bytes == rows * columns * 2
        return
    with pytest.raises(InputError) as raised:
        layout_of(path)
    assert str(raised.value) == (
        f"a.dcm: announces {frames} frames of {rows} x {columns} pixels, over the limit of "
        "64 Mi pixels. A bone scan is far smaller; leave this file out."
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, (1, 16, 16, 15, False, False)),
        ({"SamplesPerPixel": None, "NumberOfFrames": None}, (1, 16, 16, 15, False, False)),
        ({"BitsStored": None, "HighBit": None}, (1, 16, 16, 15, False, False)),
        ({"BitsStored": 12, "HighBit": None}, (1, 16, 12, 11, False, False)),
        ({"BitsStored": 12, "HighBit": 15}, (1, 16, 12, 15, False, False)),
        ({"BitsStored": 1, "HighBit": 0}, (1, 16, 1, 0, False, False)),
        ({"BitsAllocated": 32}, (1, 32, 16, 15, False, False)),
        ({"PixelRepresentation": 1}, (1, 16, 16, 15, True, False)),
        ({"PixelRepresentation": 2}, (1, 16, 16, 15, False, False)),
        ({"SamplesPerPixel": 3, "PlanarConfiguration": 1}, (3, 16, 16, 15, False, True)),
    ],
)
def test_how_pixels_are_stored(
    tmp_path: Path, changed: dict[str, int | None], expected: tuple[object, ...]
) -> None:
    dataset = tiny([[1]])
    for keyword, value in changed.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    found = layout_of(save(dataset, tmp_path / "a.dcm"))
    assert (
        found.samples, found.bits_allocated, found.bits_stored, found.high_bit, found.signed,
        found.planar,
    ) == expected  # fmt: skip
    assert found.frame_bytes == found.samples * found.bits_allocated // 8


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"Rows": 0}, "the header has no usable Rows"),
        ({"BitsAllocated": 12, "BitsStored": 12},
         "stores 1 values of 12 in 12 bits per pixel, which is not supported. "
         "Export it with 8 or 16"),
        ({"SamplesPerPixel": 4}, "stores 4 values of 16 in 16 bits per pixel"),
        ({"BitsStored": 17, "HighBit": 16}, "stores 1 values of 17 in 16 bits per pixel"),
        ({"BitsStored": 12, "HighBit": 10}, "its High Bit contradicts its Bits Stored"),
        ({"BitsStored": 12, "HighBit": 16}, "its High Bit contradicts its Bits Stored"),
    ],
)  # fmt: skip
def test_pixels_stored_as_nothing_can_be_are_refused(
    tmp_path: Path, changed: dict[str, int], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        layout_of(save(tiny([[1]], **changed), tmp_path / "a.dcm"))


@pytest.mark.parametrize("name", [name for name in LOSSLESS if name != "RLE"])
def test_a_codestream_knows_its_own_bits(tmp_path: Path, name: str) -> None:
    """Values beyond the header's Bits Stored stay: decoders hand pixels over as they are."""
    values = (np.arange(4096) * 16).reshape(64, 64)
    path = save_compressed(tiny(values), tmp_path / "a.dcm", transfer_syntax=LOSSLESS[name])
    dataset = dcmread(path)
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.save_as(path)
    assert images_of(path) == ([values.tolist()], ())


@pytest.mark.parametrize("name", ["RLE", "JPEG-LS", "JPEG 2000"])
def test_signed_pixels_of_12_bits_in_every_codec(tmp_path: Path, name: str) -> None:
    values = np.arange(-96, 4000, dtype=np.int16).clip(max=2047).reshape(64, 64)
    dataset = tiny(values, "i2", BitsStored=12, HighBit=11)
    path = save_compressed(dataset, tmp_path / "a.dcm", transfer_syntax=LOSSLESS[name])
    found, said = images_of(path)
    assert found == [np.maximum(values, 0).tolist()]
    assert "negative pixels were set to 0" in said


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ((10,), [9, 0, 11, 19, 20, 21]),
        ((10, 20), [9, 0, 0, 0, 0, 21]),
        ((20, 10), [9, 0, 0, 0, 0, 21]),
        ((11, 11), [9, 10, 0, 19, 20, 21]),
        ((22,), [9, 10, 11, 19, 20, 21]),
    ],
)
def test_padding_from_its_value_to_its_limit(
    tmp_path: Path, limits: tuple[int, ...], kept: list[int]
) -> None:
    dataset = tiny([[9, 10, 11, 19, 20, 21]])
    for tag, value in zip((0x00280120, 0x00280121), limits, strict=False):
        dataset.add_new(tag, "US", value)
    found, said = images_of(save(dataset, tmp_path / "a.dcm"))
    assert found == [[kept]]
    assert said == ((PADDING,) if 0 in kept else ())


LOST = "compressed with loss: counts are approximate"
PERHAPS_LOST = "perhaps compressed with loss: the header does not say"


@pytest.mark.parametrize(
    ("syntax", "stated", "said"),
    [
        ("1.2.840.10008.1.2.1", None, ()),
        ("1.2.840.10008.1.2.1", "00", ()),
        ("1.2.840.10008.1.2.1", "01", (LOST,)),
        ("1.2.840.10008.1.2.4.91", None, (PERHAPS_LOST,)),
        ("1.2.840.10008.1.2.4.91", "00", ()),
        ("1.2.840.10008.1.2.4.91", "01", (LOST,)),
        ("1.2.840.10008.1.2.4.90", None, ()),
    ],
)  # fmt: skip
def test_what_is_said_of_loss(
    tmp_path: Path, syntax: str, stated: str | None, said: tuple[str, ...]
) -> None:
    path = save(tiny(np.arange(1024).reshape(32, 32)), tmp_path / "a.dcm")
    if "4.9" in syntax:
        dataset = dcmread(path)
        options = {"j2k_cr": [1]} if syntax.endswith("91") else {}
        dataset.compress(syntax, generate_instance_uid=False, **options)
        dataset.save_as(path)
    dataset = dcmread(path)
    if "LossyImageCompression" in dataset:
        del dataset.LossyImageCompression
    if stated:
        dataset.LossyImageCompression = stated
    dataset.save_as(path)
    assert images_of(path)[1] == said


@pytest.mark.parametrize("name", NATIVE)
def test_native_syntaxes_give_the_exact_counts(anterior, posterior, tmp_path, name: str) -> None:
    dataset = ge_discovery(anterior, posterior)
    scan = read(save(dataset, tmp_path / "a.dcm", transfer_syntax=NATIVE[name]))
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert scan.unit is PixelUnit.COUNTS


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_syntaxes_give_the_exact_counts(anterior, posterior, tmp_path, name: str) -> None:
    dataset = ge_discovery(anterior, posterior)
    scan = read(save_compressed(dataset, tmp_path / "a.dcm", transfer_syntax=LOSSLESS[name]))
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)
    assert not any("loss" in warning for warning in scan.warnings)


@pytest.mark.parametrize("name", ["RLE", "JPEG Lossless SV1", "JPEG-LS", "JPEG 2000"])
def test_signed_pixels_survive_and_negative_ones_become_0(anterior, tmp_path, name: str) -> None:
    stored = anterior.astype(np.int16) - 3
    dataset = secondary_capture(stored)
    scan = read(save_compressed(dataset, tmp_path / "ant.dcm", transfer_syntax=LOSSLESS[name]))
    np.testing.assert_array_equal(scan.anterior, np.maximum(stored, 0))
    assert "negative pixels were set to 0" in scan.warnings


def test_near_lossless_is_a_warning_and_close(anterior, tmp_path: Path) -> None:
    path = save_compressed(
        one_view(anterior, 1),
        tmp_path / "ant.dcm",
        transfer_syntax="1.2.840.10008.1.2.4.81",
        loss=2,
    )
    scan = read(path)
    assert np.abs(scan.anterior - anterior.astype(float)).max() <= 2
    assert any("loss" in warning for warning in scan.warnings)


def test_loss_that_the_header_admits_is_a_warning(anterior, tmp_path: Path) -> None:
    dataset = one_view(anterior, 1)
    dataset.LossyImageCompression = "01"
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    assert "compressed with loss: counts are approximate" in scan.warnings


def test_rescale_slope_and_intercept_apply(anterior, tmp_path: Path) -> None:
    dataset = one_view(anterior, 1)
    dataset.RescaleSlope, dataset.RescaleIntercept = "2.5", "1"
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    np.testing.assert_allclose(scan.anterior, anterior * 2.5 + 1)


@pytest.mark.parametrize(
    ("slope", "intercept"), [("2.5", "0"), ("2.5", None), ("0.25", "0"), ("0.25", "3"), (None, "3")]
)
def test_slope_and_intercept_each_alone(anterior, tmp_path: Path, slope, intercept) -> None:
    dataset = one_view(anterior, 1)
    if slope:
        dataset.RescaleSlope = slope
    if intercept:
        dataset.RescaleIntercept = intercept
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    expected = anterior * float(slope or 1) + float(intercept or 0)
    np.testing.assert_allclose(scan.anterior, expected)


@pytest.mark.parametrize(
    ("slope", "problem"),
    [
        ("0", "slope is 0"),
        ("-1", "rescale slope is negative"),
        ("1e300", "RescaleSlope is not a usable number"),
    ],
)
def test_senseless_slopes_are_refused(anterior, tmp_path: Path, slope: str, problem: str) -> None:
    dataset = one_view(anterior, 1)
    dataset.RescaleSlope = slope
    with pytest.raises(InputError, match=problem):
        read(save(dataset, tmp_path / "ant.dcm"))


@pytest.mark.parametrize(("stored", "high"), [(12, 11), (12, 13), (10, 15)])
def test_signed_values_of_fewer_bits_than_allocated(anterior, tmp_path, stored, high) -> None:
    """Two's complement in the bits that count; what lies around them is noise."""
    values = anterior.astype(np.int64).clip(0, 400) - 3
    shift = high + 1 - stored
    word = (values & ((1 << stored) - 1)) << shift
    noise = 0xFFFF & ~(((1 << stored) - 1) << shift)
    dataset = one_view((word | noise).astype(np.uint16), 1)
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = stored, high, 1
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    np.testing.assert_array_equal(scan.anterior, np.maximum(values, 0))
    assert "negative pixels were set to 0" in scan.warnings


def test_bits_outside_bits_stored_do_not_count(anterior, tmp_path: Path) -> None:
    dataset = one_view(anterior | np.uint16(0xF000), 1)
    dataset.BitsStored, dataset.HighBit = 12, 11
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**31), scale=st.integers(1, 300), deflate=st.booleans())
def test_any_counts_round_trip(anterior, tmp_path: Path, seed, scale, deflate) -> None:
    rng = np.random.default_rng(seed)
    image = rng.poisson(anterior[::4, ::4] * scale).clip(0, 65535).astype(np.uint16)
    dataset = one_view(image, 1)
    dataset.PixelSpacing = ["9", "9"]
    syntax = NATIVE["deflated" if deflate else "explicit"]
    scan = read(save(dataset, tmp_path / "ant.dcm", transfer_syntax=syntax))
    np.testing.assert_array_equal(scan.anterior, image)


def test_8_bit_below_the_ceiling_is_counts_and_at_it_intensity(anterior, tmp_path: Path) -> None:
    eight = np.minimum(anterior, 200).astype(np.uint8)
    scan = read(save(one_view(eight, 1), tmp_path / "ant.dcm"))
    assert scan.unit is PixelUnit.COUNTS
    clipped = (anterior.astype(int) * 6).clip(0, 255).astype(np.uint8)
    scan = read(save(one_view(clipped, 1), tmp_path / "ant.dcm"))
    assert scan.unit is PixelUnit.INTENSITY
    assert any("clipped" in warning for warning in scan.warnings)


@pytest.mark.parametrize(("slope", "intercept"), [("0.3", "0"), ("1", "-9"), ("7", "2")])
@pytest.mark.parametrize("peak", [254, 255])
def test_the_ceiling_of_8_bits_is_that_of_stored_values(
    anterior, tmp_path: Path, slope: str, intercept: str, peak: int
) -> None:
    dataset = one_view((anterior.astype(int) * 6).clip(0, peak).astype(np.uint8), 1)
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    assert scan.unit is (PixelUnit.INTENSITY if peak == 255 else PixelUnit.COUNTS)


@pytest.mark.parametrize("slope", ["1", "0.5"])
def test_8_bit_that_wrapped_round_is_said(anterior, tmp_path: Path, slope: str) -> None:
    image = anterior.clip(0, 200).astype(np.uint8)
    image[500:510, 120:130] = 255
    image[505, 125] = 9
    dataset = one_view(image, 1)
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, "0"
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    assert scan.unit is PixelUnit.INTENSITY
    assert any("8-bit pixels that overflowed" in warning for warning in scan.warnings)


def test_monochrome1_of_a_bright_screen_is_inverted(anterior, tmp_path: Path) -> None:
    dataset = secondary_capture(255 - anterior.clip(0, 255).astype(np.uint8))
    dataset.PhotometricInterpretation = "MONOCHROME1"
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior.clip(0, 255))
    assert scan.unit is PixelUnit.INTENSITY


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_bright_background_is_inverted_whatever_the_header_calls_it(
    anterior, posterior, tmp_path: Path, bits: int, colour: bool
) -> None:
    top = 255 if bits == 8 else 4095
    dark = [(image.astype(int) * (top // 255)).clip(0, top) for image in (anterior, posterior)]
    bright = np.hstack([top - image for image in dark]).astype(f"u{bits // 8}")
    dataset = secondary_capture(bright)
    if colour:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
        dataset.PlanarConfiguration = 0
        dataset.PixelData = np.repeat(bright[..., None], 3, axis=2).tobytes()
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, dark[0])
    np.testing.assert_array_equal(scan.posterior, dark[1])
    assert scan.unit is PixelUnit.INTENSITY
    assert any("bright background: grey values were inverted" in text for text in scan.warnings)


@pytest.mark.parametrize(
    ("factor", "warned"), [(1.0, False), (1.009, False), (0.989, True), (0.3, True), (2.2, True)]
)
def test_pixels_that_do_not_sum_to_the_counts_of_the_header_are_said(
    anterior, posterior, tmp_path: Path, factor: float, warned: bool
) -> None:
    dataset = ge_discovery(anterior, posterior)
    total = int(anterior.sum(dtype=np.int64) + posterior.sum(dtype=np.int64))
    dataset.CountsAccumulated = round(total * factor)
    scan = read(save(dataset, tmp_path / "a.dcm"))
    expected = ("its pixels do not sum to its Counts Accumulated: they may not be counts",)
    assert scan.warnings == (expected if warned else ())
    assert scan.unit is PixelUnit.COUNTS


def test_counts_of_one_view_or_of_other_windows_too_are_no_warning(
    anterior, posterior, tmp_path: Path
) -> None:
    dataset = ge_discovery(anterior, posterior)
    dataset.CountsAccumulated = int(posterior.sum())
    assert read(save(dataset, tmp_path / "a.dcm")).warnings == ()
    dataset = multi_frame(
        [anterior, posterior, anterior, posterior],
        detectors=[1, 2, 1, 2],
        windows=[1, 1, 2, 2],
        window_limits=[(126.0, 154.0), (92.0, 125.0)],
        items=[detector("180"), detector("0")],
    )
    dataset.CountsAccumulated = 2 * int(anterior.sum() + posterior.sum())
    assert read(save(dataset, tmp_path / "b.dcm")).warnings == ()


def test_monochrome1_with_a_dark_background_keeps_its_counts(anterior, tmp_path: Path) -> None:
    dataset = one_view(anterior, 1)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)
    assert any("MONOCHROME1" in warning for warning in scan.warnings)


def test_grey_rgb_is_read_and_colour_refused(anterior, tmp_path: Path) -> None:
    grey = anterior.clip(0, 255).astype(np.uint8)
    dataset = secondary_capture(grey)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PlanarConfiguration = 0
    dataset.PixelData = np.repeat(grey[..., None], 3, axis=2).tobytes()
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    np.testing.assert_array_equal(scan.anterior, grey)
    red = np.stack([grey.clip(100), grey * 0, grey * 0], axis=2)
    dataset.PixelData = red.tobytes()
    with pytest.raises(NotABoneScanError, match="colour"):
        read(save(dataset, tmp_path / "ant.dcm"))


@pytest.mark.parametrize(("change", "problem"), [(-2, "truncated"), (1 << 20, "fewer frames")])
def test_pixel_data_of_the_wrong_length(anterior, posterior, tmp_path, change, problem) -> None:
    dataset = multi_frame([anterior, posterior])
    pixels = dataset.PixelData
    dataset.PixelData = pixels[:change] if change < 0 else pixels + bytes(change)
    with pytest.raises(InputError, match=problem):
        read(save(dataset, tmp_path / "a.dcm"))


def test_padding_behind_the_last_pixel_is_a_warning(anterior, tmp_path: Path) -> None:
    dataset = one_view(anterior, 1)
    dataset.PixelData = dataset.PixelData + bytes(126)
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    assert "bytes after the last pixel were ignored" in scan.warnings


def test_a_missing_frame_of_compressed_data(anterior, posterior, tmp_path: Path) -> None:
    path = save_compressed(
        ge_discovery(anterior, posterior), tmp_path / "a.dcm", transfer_syntax=LOSSLESS["RLE"]
    )
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(InputError, match="compressed pixel data"):
        read(path)


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize(
    ("value", "limit", "vr"),
    [(65535, None, "US"), (-1, None, "SS"), (60000, 65535, "US"), (65535, 60000, "US")],
)
def test_padding_is_no_count(anterior, tmp_path: Path, syntax, value, limit, vr) -> None:
    image = anterior.copy()
    image[500:503], image[510, :9] = 65535, 7
    dataset = one_view(image, 1)
    dataset.add_new(0x00280120, vr, value)
    if limit:
        dataset.add_new(0x00280121, vr, limit)
        image[503] = 61234
        dataset.PixelData = image.tobytes()
    scan = read(save(dataset, tmp_path / "ant.dcm", transfer_syntax=NATIVE[syntax]))
    expected = image.copy()
    expected[500:503] = 0
    if limit:
        expected[503] = 0
    np.testing.assert_array_equal(scan.anterior, expected)
    assert PADDING in scan.warnings


def test_padding_of_signed_pixels_is_found_before_they_are_rescaled(anterior, tmp_path) -> None:
    stored = anterior.astype(np.int16)
    stored[:40] = -2000
    dataset = one_view(stored, 1)
    dataset.add_new(0x00280120, "US", 65536 - 2000)  # the wrong sign, as some write it
    dataset.RescaleSlope, dataset.RescaleIntercept = "2", "3"
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    assert (scan.anterior[:40] == 0).all()
    np.testing.assert_array_equal(scan.anterior[40:], anterior[40:] * 2.0 + 3)


def test_padding_that_no_pixel_has_or_that_is_0_is_no_warning(anterior, tmp_path: Path) -> None:
    for value in (0, 65535):
        dataset = one_view(anterior, 1, angle="180")
        dataset.add_new(0x00280120, "US", value)
        scan = read(save(dataset, tmp_path / "a.dcm"))
        np.testing.assert_array_equal(scan.anterior, anterior)
        assert scan.warnings == ()


@pytest.mark.parametrize(
    ("photometric", "kind", "problem"),
    [("PALETTE COLOR", InputError, "PALETTE COLOR"), ("YBR_FULL", NotABoneScanError, "neither"),
     ("HSV", NotABoneScanError, "neither grey nor RGB")],
)  # fmt: skip
def test_numbers_of_colours_are_no_counts(anterior, tmp_path, photometric, kind, problem) -> None:
    dataset = one_view(anterior.clip(0, 200).astype(np.uint8), 1)
    dataset.PhotometricInterpretation = photometric
    with pytest.raises(kind, match=problem):
        read(save(dataset, tmp_path / "ant.dcm"))


def reencapsulated(dataset, path: Path, syntax: str, *, table: str, pieces: int = 1) -> Path:
    """Write a compressed file's images anew: with an offset table or not, in several fragments."""
    save_compressed(dataset, path, transfer_syntax=syntax)
    compressed = dcmread(path)
    frames = list(generate_frames(compressed.PixelData, number_of_frames=2))
    if table == "extended":
        data, offsets, lengths = encapsulate_extended(frames)
        compressed.ExtendedOffsetTable = offsets
        compressed.ExtendedOffsetTableLengths = lengths
    else:
        data = encapsulate(frames, fragments_per_frame=pieces, has_bot=table == "basic")
    compressed.PixelData = data
    compressed["PixelData"].is_undefined_length = True
    compressed.save_as(path)
    return path


@pytest.mark.parametrize("table", ["none", "basic", "extended"])
@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("said", [1, None])
def test_another_number_of_compressed_images_than_the_header_says(
    anterior, posterior, tmp_path: Path, name: str, table: str, said: int | None
) -> None:
    small = [image[::4, ::4] for image in (anterior, posterior)]
    dataset = ge_discovery(*small)
    dataset.PixelSpacing = ["9.6", "9.6"]
    path = reencapsulated(dataset, tmp_path / "a.dcm", LOSSLESS[name], table=table)
    scan = read(path)
    np.testing.assert_array_equal(scan.posterior, small[1])
    wrong = dcmread(path)
    del wrong.DetectorVector, wrong.EnergyWindowVector, wrong.NumberOfFrames
    if said:
        wrong.NumberOfFrames = said
    wrong.NumberOfDetectors = 1
    wrong.save_as(path)
    with pytest.raises(InputError, match=r"does not hold the 1 frames of its header"):
        read(path)


@pytest.mark.parametrize("table", ["none", "basic"])
@pytest.mark.parametrize("name", ["JPEG Lossless SV1", "JPEG-LS", "JPEG 2000"])
def test_images_in_several_fragments_are_put_together(
    anterior, posterior, tmp_path: Path, name: str, table: str
) -> None:
    path = tmp_path / "a.dcm"
    reencapsulated(ge_discovery(anterior, posterior), path, LOSSLESS[name], table=table, pieces=3)
    scan = read(path)
    np.testing.assert_array_equal(scan.anterior, anterior)
    np.testing.assert_array_equal(scan.posterior, posterior)


@pytest.mark.parametrize("name", ["JPEG Lossless SV1", "JPEG-LS", "JPEG 2000"])
def test_two_images_in_one_fragment_are_not_taken_for_one(
    anterior, posterior, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "a.dcm"
    save_compressed(ge_discovery(anterior, posterior), path, transfer_syntax=LOSSLESS[name])
    joined = dcmread(path)
    frames = generate_frames(joined.PixelData, number_of_frames=2)
    joined.PixelData = encapsulate([b"".join(frames)], has_bot=False)
    joined["PixelData"].is_undefined_length = True
    joined.NumberOfFrames = joined.DetectorVector = joined.EnergyWindowVector = 1
    joined.save_as(path)
    with pytest.raises(InputError, match=r"does not hold the 1 frames of its header \(found 2\)"):
        read(path)
