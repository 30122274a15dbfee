"""The decoder's process: it may die, hang or be lied to; the reader may not."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dicom_files import jpeg_lossless, one_view, save, save_compressed
from pydicom import dcmread
from pydicom.encaps import encapsulate

from bonescint.dicom import decoding, read
from bonescint.dicom.decoding import (
    DECODE_TIMEOUT_S,
    Decoder,
    DecodingError,
    FrameLayout,
    codestream_dimensions,
)
from bonescint.scan import InputError

LAYOUT = FrameLayout(transfer_syntax="1.2.840.10008.1.2.4.70", rows=4, columns=3, bits_allocated=16)
IMAGE = np.arange(12, dtype=np.uint16).reshape(4, 3) * 5000


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.close()


def test_one_process_serves_many_frames(decoder: Decoder) -> None:
    for _ in range(3):
        pixels = decoder.decode(jpeg_lossless(IMAGE), "jpeg", LAYOUT)
        np.testing.assert_array_equal(np.frombuffer(pixels, "<u2").reshape(4, 3), IMAGE)
    assert decoder.crashes == 0


def test_a_dead_process_is_an_error_and_is_replaced(decoder: Decoder) -> None:
    decoder.decode(jpeg_lossless(IMAGE), "jpeg", LAYOUT)
    with pytest.raises(DecodingError, match="made the decoder fail"):
        decoder._run(os.abort)
    assert decoder.crashes == 1
    assert decoder.decode(jpeg_lossless(IMAGE), "jpeg", LAYOUT) == IMAGE.tobytes()


def test_a_process_that_hangs_is_killed() -> None:
    assert DECODE_TIMEOUT_S == 60, "also of a machine that does much else"
    decoder = Decoder(timeout_s=1.0)
    try:
        with pytest.raises(DecodingError, match="not decoded within 1 s"):
            decoder._run(time.sleep, 1000)
    finally:
        decoder.close()
    assert decoder.crashes == 1


def test_an_answer_that_would_run_code_is_refused(decoder: Decoder) -> None:
    with pytest.raises(DecodingError, match="made the decoder fail"):
        decoder._run(Path, "not plain bytes")
    assert decoder.crashes == 1


def test_a_damaged_codestream_is_an_error(decoder: Decoder) -> None:
    codestream = jpeg_lossless(IMAGE)
    with pytest.raises(DecodingError):
        decoder.decode(b"\xff\xd8" + codestream[30:], "jpeg", LAYOUT)
    assert decoder.decode(codestream, "jpeg", LAYOUT) == IMAGE.tobytes()


def test_memory_is_limited(decoder: Decoder) -> None:
    huge = FrameLayout(
        transfer_syntax="1.2.840.10008.1.2.5", rows=40_000, columns=40_000, bits_allocated=16,
    )  # fmt: skip
    with pytest.raises(DecodingError):
        decoder.decode(struct.pack("<16I", 2, 64, 70, *[0] * 13) + bytes(20), "rle", huge)


def test_jpeg_2000_dimensions_are_width_less_offset() -> None:
    size = struct.pack(
        ">HHH8IHBBB", 0xFF51, 41, 0, 356, 1034, 100, 10, 256, 1024, 0, 0, 1, 15, 1, 1
    )
    assert codestream_dimensions(b"\xff\x4f" + size) == (1024, 256, 1)


def test_a_million_tiles_are_refused() -> None:
    size = struct.pack(">HHH8IHBBB", 0xFF51, 41, 0, 256, 1024, 0, 0, 1, 1, 0, 0, 1, 15, 1, 1)
    assert codestream_dimensions(b"\xff\x4f" + size) is None


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_truncated_jpeg_ls_is_refused_before_the_decoder_dwells_on_it(
    anterior, tmp_path: Path, part: float
) -> None:
    path = tmp_path / "ant.dcm"
    save_compressed(one_view(anterior, 1), path, transfer_syntax="1.2.840.10008.1.2.4.80")
    codestream = dcmread(path).PixelData[16:]
    layout = FrameLayout(
        transfer_syntax="1.2.840.10008.1.2.4.80", rows=1024, columns=256, bits_allocated=16,
    )  # fmt: skip
    with pytest.raises(DecodingError, match="truncated"):
        decoding.decode_frame(codestream[: int(len(codestream) * part)], layout)


@pytest.mark.parametrize("kind", ["jpeg", "jpeg 2000"])
def test_a_codestream_that_claims_other_dimensions_is_not_decoded(
    anterior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "ant.dcm"
    dataset = one_view(anterior, 1)
    if kind == "jpeg":
        codestream = bytearray(jpeg_lossless(anterior))
        at = codestream.index(b"\xff\xc3") + 5
        codestream[at : at + 4] = struct.pack(">HH", 65500, 65500)
        dataset.PixelData = encapsulate([bytes(codestream)])
        dataset["PixelData"].VR = "OB"
        save(dataset, path, transfer_syntax="1.2.840.10008.1.2.4.70")
    else:
        save_compressed(dataset, path, transfer_syntax="1.2.840.10008.1.2.4.90")
        content = bytearray(path.read_bytes())
        at = content.index(b"\xff\x4f\xff\x51") + 8
        content[at : at + 8] = struct.pack(">II", 60_000, 60_000)
        path.write_bytes(content)

    def never(*_: object) -> bytes:
        raise AssertionError("the decoder was asked")

    monkeypatch.setattr(decoding.Decoder, "decode", never)
    with pytest.raises(InputError, match=r"compressed (image says|pixel data has no)"):
        read(path)
