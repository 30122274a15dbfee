"""DICOM files whose headers cost far more to parse than they have bytes.

Each is a well-formed file but for what swells it, so that a reader has no other reason to refuse
it. PS3.5 sections 7.1 (elements), 7.5 (sequences) and A.4 (fragments) say how they are written.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from types import MappingProxyType

from PIL import Image

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
RLE = "1.2.840.10008.1.2.5"

_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
_OPEN_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
_ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
_SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
_LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC")


def element(tag: int, vr: bytes, value: bytes, *, length: int | None = None) -> bytes:
    """An element, little endian; without a VR in Implicit VR."""
    length = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not vr:
        return head + struct.pack("<I", length) + value
    if vr in _LONG:
        return head + vr + struct.pack("<HI", 0, length) + value
    return head + vr + struct.pack("<H", length) + value


def file_with(
    swollen: Mapping[int, bytes], *, syntax: str = EXPLICIT, pixels: bytes | None = None
) -> bytes:
    """A whole-body file of one view, with these encoded elements in it or instead of its own."""
    vr = syntax != IMPLICIT
    plain: dict[int, tuple[bytes, bytes]] = {
        0x00080008: (b"CS", b"ORIGINAL\\PRIMARY\\WHOLE BODY\\EMISSION "),
        0x00080016: (b"UI", b"1.2.840.10008.5.1.4.1.1.20"),
        0x00080018: (b"UI", b"1.2.3.4.5 "),
        0x00080060: (b"CS", b"NM"),
        0x0020000D: (b"UI", b"1.2.3.4 "),
        0x00280002: (b"US", struct.pack("<H", 1)),
        0x00280004: (b"CS", b"MONOCHROME2 "),
        0x00280010: (b"US", struct.pack("<H", 400)),
        0x00280011: (b"US", struct.pack("<H", 100)),
        0x00280100: (b"US", struct.pack("<H", 16)),
        0x00280101: (b"US", struct.pack("<H", 16)),
        0x00280102: (b"US", struct.pack("<H", 15)),
        0x00280103: (b"US", struct.pack("<H", 0)),
    }
    encoded = {
        tag: element(tag, kind if vr else b"", value) for tag, (kind, value) in plain.items()
    }
    encoded |= swollen
    if pixels is None:
        pixels = element(0x7FE00010, b"OW" if vr else b"", bytes(400 * 100 * 2))
    body = b"".join(encoded[tag] for tag in sorted(encoded)) + pixels
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = element(0x00020010, b"UI", uid)
    return (
        bytes(128)
        + b"DICM"
        + element(0x00020000, b"UL", struct.pack("<I", len(meta)))
        + meta
        + body
    )


def empty_items(count: int, *, tag: int = 0x00081140, defined: bool = False) -> bytes:
    """A sequence of empty items (by default Referenced Image Sequence, which nobody reads)."""
    items = _ITEM * count
    if defined:
        return file_with({tag: element(tag, b"SQ", items)})
    return file_with({tag: element(tag, b"SQ", items + _SEQUENCE_END, length=0xFFFFFFFF)})


def tiny_elements(count: int) -> bytes:
    """Empty elements of 8 bytes, each of another tag, in the private groups."""
    tags = (
        group << 16 | place for group in range(0x0029, 0x7FDF, 2) for place in range(0x1000, 0xFFFF)
    )
    swollen = {tag: element(tag, b"LO", b"") for tag, _ in zip(tags, range(count), strict=False)}
    return file_with(swollen)


def tiny_elements_in_an_item(count: int) -> bytes:
    """The same, inside one item of a sequence."""
    inner = b"".join(
        element(0x00290000 + place % 0xF000 + 0x1000, b"LO", b"") for place in range(count)
    )
    value = _OPEN_ITEM + inner + _ITEM_END + _SEQUENCE_END
    return file_with({0x00081140: element(0x00081140, b"SQ", value, length=0xFFFFFFFF)})


def many_values(size: int, *, tag: int = 0x00080008, text: bytes = b"A\\") -> bytes:
    """One value of so many bytes that is a list of one-letter texts (by default Image Type)."""
    value = text * (size // len(text))
    return file_with({tag: element(tag, b"", value)}, syntax=IMPLICIT)


def many_values_in_an_item(size: int, *, tag: int = 0x00540022) -> bytes:
    """A long list of numbers as the Start Angle of a detector."""
    angle = element(0x00540200, b"UN", b"1\\" * (size // 2))
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(angle)) + angle
    return file_with({tag: element(tag, b"SQ", item)})


def deep(depth: int, *, tag: int = 0x00081140) -> bytes:
    """Sequences in sequences, so many deep."""
    opening = element(tag, b"SQ", b"", length=0xFFFFFFFF) + _OPEN_ITEM
    return file_with({tag: opening * depth + (_ITEM_END + _SEQUENCE_END) * depth})


def fragments(count: int) -> bytes:
    """Compressed pixel data in so many empty fragments."""
    value = _ITEM * (count + 1) + _SEQUENCE_END
    return file_with({}, syntax=RLE, pixels=element(0x7FE00010, b"OB", value, length=0xFFFFFFFF))


def undelimited(size: int) -> bytes:
    """A private value of undefined length that never ends."""
    return file_with({0x00091010: element(0x00091010, b"OB", bytes(size), length=0xFFFFFFFF)})


def crossing(size: int, *, at_least_items: int = 50) -> bytes:
    """No bomb: a valid file whose sequence lies across the first 262 144 bytes, for instance."""
    note = element(0x00081155, b"UI", b"1.2.3 ") + element(
        0x00204000, b"LT", b"x" * (size // at_least_items)
    )
    item = _OPEN_ITEM + note + _ITEM_END
    value = item * at_least_items + _SEQUENCE_END
    return file_with({0x00081140: element(0x00081140, b"SQ", value, length=0xFFFFFFFF)})


def png_of_chunks(count: int, *, kind: bytes = b"abCd") -> bytes:
    """A grey PNG of 400 x 200 with so many empty chunks that nobody knows (PNG 5.3, 5.4)."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checked

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 200, 400, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(201 * 400)))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(kind, b"") * count + pixels + chunk(b"IEND", b"")


def jpeg_of_segments(count: int) -> bytes:
    """A JPEG of 400 x 200 with so many empty comments (ITU-T T.81, B.2.4.5)."""
    stream = BytesIO()
    Image.new("L", (200, 400)).save(stream, "JPEG")
    plain = stream.getvalue()
    return plain[:2] + b"\xff\xfe\x00\x02" * count + plain[2:]


PICTURE_BOMBS: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "1 000 000 PNG chunks": partial(png_of_chunks, 1_000_000),
        "4 000 000 JPEG segments": partial(jpeg_of_segments, 4_000_000),
    }
)
"""The same of pictures."""

BOMBS: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "200 000 empty items": partial(empty_items, 200_000),
        "1 000 000 empty items": partial(empty_items, 1_000_000),
        "1 000 000 empty items, length told": partial(
            empty_items, 1_000_000, tag=0x00540022, defined=True
        ),
        "19 MB of one-letter values": partial(many_values, 19_000_000),
        "19 MB of numbers in an item": partial(many_values_in_an_item, 19_000_000),
        "19 MB of character sets": partial(
            many_values, 19_000_000, tag=0x00080005, text=b"ISO_IR 100\\"
        ),
        "19 MB of private creators": partial(many_values, 19_000_000, tag=0x00110010),
        "19 MB of frames' detectors": partial(
            many_values, 19_000_000, tag=0x00540020, text=b"\x01\0"
        ),
        "15 MB of tiny elements": partial(tiny_elements, 15_000_000 // 8),
        "15 MB of tiny elements in an item": partial(tiny_elements_in_an_item, 15_000_000 // 8),
        "10 000 sequences deep": partial(deep, 10_000),
        "300 sequences deep": partial(deep, 300),
        "2 000 000 fragments": partial(fragments, 2_000_000),
        "150 MB without an end": partial(undelimited, 150_000_000),
    }
)
"""Files by what they hold; each is made when it is called."""
