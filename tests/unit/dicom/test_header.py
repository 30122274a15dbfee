"""Headers that cost far more to parse than they have bytes are refused; large valid ones read."""

from __future__ import annotations

import logging
import struct
import threading
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from dicom_files import ge_discovery, multi_frame, save
from header_bombs import (
    crossing,
    deep,
    element,
    empty_items,
    file_with,
    fragments,
    many_values,
    tiny_elements,
    tiny_elements_in_an_item,
)
from pydicom import Dataset

from bonescint.dicom import StudyFiles, discover, info, read, read_study
from bonescint.dicom.header import MAX_FRAGMENTS, MAX_ITEMS, MAX_VALUE_BYTES, Header, parse, quiet
from bonescint.scan import InputError

FAR_MORE = "its header has far more elements than a bone scan's"


def refusal(content: bytes) -> str:
    with pytest.raises(InputError) as caught:
        parse(content, Path("a.dcm"), pixels=True)
    assert "\n" not in str(caught.value)
    return caught.value.problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (empty_items(30_000), FAR_MORE),
        (tiny_elements(61_000), FAR_MORE),
        (tiny_elements_in_an_item(61_000), FAR_MORE),
        (deep(400), "its header nests sequences hundreds deep"),
        (fragments(MAX_FRAGMENTS), "its compressed pixel data is in more than 16,384 pieces"),
        (
            file_with({0x00091010: element(0x00091010, b"OB", bytes(9 << 20), length=0xFFFFFFFF)}),
            "its header has more than 8 MiB before the pixels",
        ),
        (
            many_values(2000, tag=0x00080005, text=b"ISO_IR 100\\"),
            "its header lists thousands of character sets",
        ),
    ],
)
def test_a_header_beyond_the_limits_is_refused(content: bytes, problem: str) -> None:
    assert refusal(content) == problem


@pytest.mark.parametrize(
    "content",
    [
        empty_items(15_000),
        empty_items(1_000_000, defined=True),  # of a length that is told: passed over
        tiny_elements(15_000),
        deep(50),
        fragments(MAX_FRAGMENTS - 1),
        file_with({0x00091010: element(0x00091010, b"OB", bytes(40 << 20))}),
        many_values(990, tag=0x00080005, text=b"ISO_IR 100\\"),
    ],
)
def test_a_large_header_within_the_limits_is_parsed(content: bytes) -> None:
    header = parse(content, Path("a.dcm"), pixels=False)
    assert header.has_pixel_data
    assert header.text("Modality") == "NM"


def test_a_long_value_is_refused_where_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(many_values(MAX_VALUE_BYTES + 2))
    (error,) = discover([path]).refused
    assert str(error) == (
        f"{path}: its ImageType has 65,538 bytes, over the limit of 64 KiB. "
        "A bone scan's has a few; leave this file out."
    )
    header = parse(many_values(MAX_VALUE_BYTES), path, pixels=False)
    assert len(header.texts("ImageType")) == MAX_VALUE_BYTES // 2 + 1
    assert parse(many_values(100_000), path, pixels=False).has("ImageType")


def test_a_long_value_in_an_item_of_unknown_length_is_refused_too() -> None:
    angle = element(0x00540200, b"UN", b"1\\" * 50_000)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(angle)) + angle
    value = item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    content = file_with({0x00540022: element(0x00540022, b"SQ", value, length=0xFFFFFFFF)})
    header = parse(content, Path("a.dcm"), pixels=False)
    (detector,) = header.items("DetectorInformationSequence")
    with pytest.raises(InputError, match=r"a\.dcm: its StartAngle has 100,000 bytes"):
        detector.number("StartAngle")


def test_more_items_than_frames_can_be_are_refused_where_they_are_used() -> None:
    header = parse(empty_items(MAX_ITEMS, tag=0x00540022), Path("a.dcm"), pixels=False)
    assert len(header.items("DetectorInformationSequence")) == 4096
    header = parse(empty_items(MAX_ITEMS + 1, tag=0x00540022), Path("a.dcm"), pixels=False)
    with pytest.raises(InputError, match="has 4,097 items, over the limit of 4,096"):
        header.items("DetectorInformationSequence")


@pytest.mark.parametrize("bomb", [empty_items(30_000), many_values(10_000_000), deep(400)])
def test_a_bomb_costs_its_own_place_in_a_folder(anterior, posterior, tmp_path, bomb: bytes) -> None:
    (tmp_path / "1.dcm").write_bytes(bomb)
    save(ge_discovery(anterior, posterior), tmp_path / "2.dcm")
    report = info(tmp_path)
    assert [scan.files for scan in report.scans] == [("2.dcm",)]
    assert [error.source for error in report.refused] == [str(tmp_path / "1.dcm")]


@pytest.mark.parametrize("size", [200_000, 262_000, 300_000, 3_000_000])
def test_a_sequence_across_any_offset_is_read(anterior, posterior, tmp_path, size: int) -> None:
    assert parse(crossing(size), Path("a.dcm"), pixels=False).has_pixel_data
    dataset = ge_discovery(anterior, posterior)
    item = Dataset()
    item.TextValue = "x" * (size // 100)
    dataset.AcquisitionContextSequence = [item] * 100
    dataset["AcquisitionContextSequence"].is_undefined_length = True
    scan = read(save(dataset, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(scan.anterior, anterior)


def test_only_the_header_of_a_file_is_read() -> None:
    class Counting(BytesIO):
        most = 0

        def read(self, size: int | None = -1) -> bytes:
            content = super().read(size)
            self.most = max(self.most, self.tell())
            return content

    stream = Counting(file_with({}, pixels=element(0x7FE00010, b"OW", bytes(10_000_000))))
    assert parse(stream, Path("a.dcm"), pixels=False).has_pixel_data
    assert stream.most <= 64 * 1024


def test_a_deflated_file_is_inflated_whole_and_a_bomb_is_not(tmp_path: Path) -> None:
    syntax = "1.2.840.10008.1.2.1.99"
    dataset = multi_frame([np.zeros((400, 100), np.uint16)])
    block = dataset.private_block(0x0011, "BIG", create=True)
    block.add_new(0x01, "OB", bytes(3_000_000))
    path = save(dataset, tmp_path / "a.dcm", transfer_syntax=syntax)
    assert parse(path.read_bytes(), path, pixels=False).has_pixel_data
    content = path.read_bytes()
    start = 132 + 12 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(1, wbits=-15)
    bomb = packer.compress(zlib.decompressobj(-15).decompress(content[start:])[:2_000_000])
    for _ in range(13):
        bomb += packer.compress(bytes(1 << 24))
    assert refusal(content[:start] + bomb + packer.flush()) == (
        "its deflated data would expand to gigabytes"
    )


def test_a_dicomdir_is_known_by_its_class_whatever_its_size(tmp_path: Path) -> None:
    for count, defined in ((3, False), (50_000, True)):
        content = empty_items(count, tag=0x00041220, defined=defined)
        (tmp_path / "DICOMDIR").write_bytes(content)
        (error,) = discover([tmp_path / "DICOMDIR"]).refused
        assert error.problem == "is a DICOMDIR, an index of files"


def test_private_names_are_found_by_their_creator_in_any_block() -> None:
    dataset = Dataset()
    dataset.add_new(0x00110010, "LO", "OTHER")
    dataset.add_new(0x00110011, "LO", "GEMS_GENIE_1")
    dataset.add_new(0x00111012, "LO", "POST")
    dataset.add_new(0x00111112, "LO", ["ANT", "POST"])
    header = Header(dataset)
    assert header.private_texts(0x0011, "GEMS_GENIE_1", 0x12) == ("ANT", "POST")
    assert header.private_texts(0x0011, "GEMS_GENIE_1", 0x30) == ()
    assert header.private_texts(0x0011, "NOBODY", 0x12) == ()


def test_a_study_in_pieces_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(fragments(20_000))
    with pytest.raises(InputError, match="in more than 16,384 pieces"):
        read_study(StudyFiles((path,), str(path)))


def test_a_thread_that_leaves_ends_the_silence_of_no_other() -> None:
    logger = logging.getLogger("pydicom")
    inside, entered, left = (threading.Event() for _ in range(3))

    def first() -> None:
        with quiet():
            inside.set()
            assert entered.wait(10)
        left.set()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        thread = threading.Thread(target=first)
        thread.start()
        assert inside.wait(10)
        with quiet():
            entered.set()
            assert left.wait(10)
            warnings.warn("Invalid value for VR PN: 'KOWALSKA^ANNA'", stacklevel=1)
            assert logger.disabled
        thread.join()
        assert not said
        warnings.warn("heard again", stacklevel=1)
        assert len(said) == 1
    assert not logger.disabled
