"""Stored bits to counts: every transfer syntax, sign, rescale, wrong lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import (
    ge_discovery,
    multi_frame,
    one_view,
    save,
    save_compressed,
    secondary_capture,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bonescint.dicom import read
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
    ("slope", "problem"), [("0", "slope is 0"), ("1e300", "RescaleSlope is no usable number")]
)
def test_senseless_slopes_are_refused(anterior, tmp_path: Path, slope: str, problem: str) -> None:
    dataset = one_view(anterior, 1)
    dataset.RescaleSlope = slope
    with pytest.raises(InputError, match=problem):
        read(save(dataset, tmp_path / "ant.dcm"))


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


def test_8_bit_that_wrapped_round_is_said(anterior, tmp_path: Path) -> None:
    image = anterior.clip(0, 200).astype(np.uint8)
    image[500:510, 120:130] = 255
    image[505, 125] = 9
    scan = read(save(one_view(image, 1), tmp_path / "ant.dcm"))
    assert scan.unit is PixelUnit.INTENSITY
    assert any("wrapped round" in warning for warning in scan.warnings)


def test_monochrome1_of_a_bright_screen_is_inverted(anterior, tmp_path: Path) -> None:
    dataset = secondary_capture(255 - anterior.clip(0, 255).astype(np.uint8))
    dataset.PhotometricInterpretation = "MONOCHROME1"
    scan = read(save(dataset, tmp_path / "ant.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior.clip(0, 255))
    assert scan.unit is PixelUnit.INTENSITY


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
