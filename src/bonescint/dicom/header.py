"""A DICOM header, parsed within limits and safe to read.

pydicom parses from a `MeteredStream`, which stops it once it has read more than any bone scan's
header holds: a file of some megabytes can list a million elements or values. Long values are
skipped, and refused on access. Values of a damaged header may raise any exception on access;
`Header` treats them as absent. pydicom's warnings and log lines quote element values, including
patients' names, so they are silenced (`quiet`). A deflated data set is inflated here, because
pydicom would inflate a decompression bomb to its full size.
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from bonescint.dicom.files import MAX_FILE_BYTES, MAX_READS, MeteredStream, TooLargeError
from bonescint.dicom.process_wide import process_wide
from bonescint.scan import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

MAX_VALUE_BYTES = 64 * 1024
"""Longest value, or sequence, that is used."""

MAX_ITEMS = 4096
"""Most items of a sequence that is used: one per frame."""

MAX_FRAGMENTS = 16_384
"""Most pieces of compressed pixel data."""

_LONGEST_CREATOR = 128
_HEAD_BYTES = 64 * 1024
_FIRST_PIXEL_ELEMENT = 0x7FE00008
_PIXEL_DATA = 0x7FE00010
_UNDEFINED_LENGTH = 0xFFFFFFFF
_LONG_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT"})


class LongHeaderError(InputError):
    """A header that takes more reads than were allowed; the caller may allow more."""


@process_wide
@contextmanager
def quiet() -> Iterator[None]:
    """Silence pydicom's and Pillow's warnings and logs, which quote header values."""
    logger = logging.getLogger("pydicom")
    was_disabled = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = was_disabled


@dataclass(frozen=True, slots=True)
class Header:
    """Tolerant access to a data set: absent, empty and damaged values read as empty or `None`.

    Attributes:
        dataset: the pydicom data set behind it.
        transfer_syntax: UID of the transfer syntax, empty if the file does not say.
        has_pixel_data: whether parsing reached a Pixel Data element.
        pixel_data: its raw bytes, if they were requested.
        source: the file, for errors.
        media_class: SOP class that the File Meta Information names, empty if it does not.

    Raises:
        InputError: on access, of a value longer than `MAX_VALUE_BYTES`, or a sequence of more
            than `MAX_ITEMS` items.
    """

    dataset: Dataset
    transfer_syntax: str = ""
    has_pixel_data: bool = False
    pixel_data: bytes | None = None
    source: str = ""
    media_class: str = ""

    def _value(self, keyword: str) -> Any:
        self._check_length(keyword)
        try:
            return self.dataset.get(keyword)
        except Exception:  # noqa: BLE001 - a damaged value may raise anything in pydicom
            return None

    def _check_length(self, key: str | int) -> None:
        length = _length(self.dataset, key)
        if length > MAX_VALUE_BYTES:
            named = key if isinstance(key, str) else "private name"
            raise InputError(
                self.source,
                f"its {named} has {length:,} bytes, over the limit of {MAX_VALUE_BYTES >> 10} KiB",
                "A bone scan's has a few; leave this file out",
            )

    def has(self, keyword: str) -> bool:
        """Whether the element is there and not empty, readable or not."""
        try:
            return _length(self.dataset, keyword) > MAX_VALUE_BYTES or bool(
                self.dataset[keyword].value not in (None, "", b"")
            )
        except KeyError:
            return False
        except Exception:  # noqa: BLE001 - there, but damaged
            return True

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Each value as text without padding."""
        return _texts(self._value(keyword))

    def text(self, keyword: str) -> str:
        """The value as text, several joined by backslashes as DICOM does; empty if absent."""
        return "\\".join(self.texts(keyword))

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """All values as finite numbers; empty if any is not a finite number."""
        value = self._value(keyword)
        return () if value is None else _numbers(value)

    def number(self, keyword: str) -> float | None:
        """A single number, or `None`."""
        values = self.numbers(keyword)
        return values[0] if len(values) == 1 else None

    def whole_numbers(self, keyword: str) -> tuple[int, ...]:
        """All values as integers; empty if any is not an integer."""
        values = self.numbers(keyword)
        return tuple(int(v) for v in values) if all(v == int(v) for v in values) else ()

    def whole_number(self, keyword: str) -> int | None:
        """A single integer, or `None`."""
        values = self.whole_numbers(keyword)
        return values[0] if len(values) == 1 else None

    def stored_number(self, keyword: str) -> int | None:
        """An integer of two or four bytes whose sign the header leaves open (US or SS)."""
        value = self._value(keyword)
        if isinstance(value, bytes) and len(value) in (2, 4):
            little = self.dataset.original_encoding[1]
            return int.from_bytes(value, "little" if little else "big")
        return self.whole_number(keyword)

    @property
    def extended_offset_count(self) -> int:
        """Number of frames in the Extended Offset Table, 0 without one."""
        value = self._value("ExtendedOffsetTable")
        return len(value) // 8 if isinstance(value, bytes) else 0

    def items(self, keyword: str) -> tuple[Header, ...]:
        """The items of a sequence."""
        from pydicom import Dataset

        value = self._value(keyword)
        try:
            items = tuple(
                Header(item, source=self.source) for item in value if isinstance(item, Dataset)
            )
        except Exception:  # noqa: BLE001 - as above
            return ()
        if len(items) > MAX_ITEMS:
            raise InputError(
                self.source,
                f"its {keyword} has {len(items):,} items, over the limit of {MAX_ITEMS:,}",
                "A bone scan's has a few; leave this file out",
            )
        return items

    def private_texts(self, group: int, creator: str, element: int) -> tuple[str, ...]:
        """Values of a private element of a named creator."""
        first = group << 16 | 0x10
        for named in sorted(set(map(int, self.dataset.keys())) & set(range(first, first + 0xF0))):
            if _length(self.dataset, named) <= _LONGEST_CREATOR and (creator,) == self._at(named):
                tag = group << 16 | (named & 0xFF) << 8 | element
                self._check_length(tag)
                return self._at(tag)
        return ()

    def _at(self, tag: int) -> tuple[str, ...]:
        try:
            return _texts(self.dataset[tag].value)
        except Exception:  # noqa: BLE001 - as above; a missing element raises KeyError
            return ()


def _length(dataset: Dataset, key: str | int) -> int:
    """Bytes of a value that pydicom has not yet converted; 0 if it has, or there is none."""
    from pydicom.dataelem import RawDataElement

    try:
        element = dataset.get_item(key, keep_deferred=True)
    except Exception:  # noqa: BLE001 - an absent element raises KeyError, a damaged one anything
        return 0
    if not isinstance(element, RawDataElement):
        return 0
    return len(element.value) if element.value is not None else element.length


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    try:
        if isinstance(value, bytes):
            value = value.decode("ascii", "replace").split("\\")
        elif isinstance(value, str) or not hasattr(value, "__iter__"):
            value = [value]
        cleaned = [str(entry).strip(" \0\t\r\n") for entry in value]
    except Exception:  # noqa: BLE001 - as above
        return ()
    return tuple(cleaned) if any(cleaned) else ()


def _numbers(value: Any) -> tuple[float, ...]:
    try:
        several = hasattr(value, "__iter__") and not isinstance(value, str | bytes)
        numbers = tuple(float(entry) for entry in (value if several else [value]))
    except Exception:  # noqa: BLE001 - as above
        return ()
    return numbers if all(abs(number) < 1e15 for number in numbers) else ()


def parse(file: bytes | BinaryIO, path: Path, *, pixels: bool, reads: int = MAX_READS) -> Header:
    """Parse a DICOM file.

    Args:
        file: its content, or the open file, of which only the header is read.
        path: path of the file, for errors.
        pixels: read Pixel Data too, for which `file` must be the content; otherwise parsing stops
            before it.
        reads: largest number of reads; see `MeteredStream`.

    Raises:
        InputError: the content is no DICOM file, cannot be parsed, has a header beyond the
            limits above, or is deflated and would grow beyond `MAX_FILE_BYTES`.
    """
    stream = BytesIO(file) if isinstance(file, bytes) else file
    stream.seek(0)
    head = stream.read(_HEAD_BYTES)
    if not looks_like_dicom(head):
        raise InputError(
            path, "is neither a DICOM file nor a PNG, JPEG or TIFF picture", "Leave this file out"
        )
    try:
        with quiet():
            return _parse(stream, head, str(path), pixels=pixels, reads=reads)
    except TooLargeError as error:
        kind = InputError if reads == MAX_READS else LongHeaderError
        raise kind(path, str(error), "Leave this file out") from None
    except Exception as error:  # noqa: BLE001 - a damaged file may raise anything in pydicom
        if RecursionError in (type(error), type(error.__context__)):
            raise InputError(
                path, "its header nests sequences hundreds deep", "Leave this file out"
            ) from None
        raise InputError(
            path, "its DICOM header is damaged", "Export or copy the file again"
        ) from None


def looks_like_dicom(content: bytes) -> bool:
    """Whether a file has the DICOM prefix, or starts at once with group 0002 or 0008."""
    if content[128:132] == b"DICM":
        return True
    if len(content) < 132:
        return False
    group, element = struct.unpack_from("<HH", content)
    if group == 0x0002:
        return element <= 0x0102 and content[4:6].isupper()
    length = struct.unpack_from("<I", content, 4)[0]
    return group == 0x0008 and element <= 0x0018 and (content[4:6].isupper() or length <= 128)


def _parse(stream: BinaryIO, head: bytes, source: str, *, pixels: bool, reads: int) -> Header:
    from pydicom.filereader import read_dataset, read_partial

    reached = False

    def stop(tag: Any, _vr: str | None, _length: int) -> bool:
        nonlocal reached
        reached = reached or tag == _PIXEL_DATA
        return bool(tag >= _FIRST_PIXEL_ELEMENT)

    transfer_syntax, media_class, meta_end = _file_meta(head)
    deflated = transfer_syntax == DEFLATED
    if deflated:
        stream.seek(meta_end)
        stream = BytesIO(_inflate(stream.read()))
    stream.seek(0)
    metered = MeteredStream(stream, reads=reads)
    file = cast(BinaryIO, metered)
    try:
        if deflated:
            dataset = read_dataset(file, False, True, stop_when=stop, defer_size=MAX_VALUE_BYTES)
        else:
            dataset = read_partial(file, stop_when=stop, defer_size=MAX_VALUE_BYTES, force=True)
            transfer_syntax = transfer_syntax or _assumed_syntax(dataset)
    except Exception:
        if metered.problem:
            raise TooLargeError(metered.problem) from None
        raise
    pixel_data = None
    if pixels and reached:
        pixel_data = _value_at(stream, dataset)
    return Header(dataset, transfer_syntax, reached, pixel_data, source, media_class)


def _value_at(stream: BinaryIO, dataset: Dataset) -> bytes:
    """The value of the element at the stream's position, as far as the file goes.

    pydicom drops a truncated value; it is needed here for the error message.
    """
    is_implicit, is_little = dataset.original_encoding
    order = "<" if is_little else ">"
    at, head = stream.tell(), stream.read(12)
    if is_implicit:
        start, length = at + 8, struct.unpack_from(f"{order}I", head, 4)[0]
    elif head[4:6] in _LONG_VRS:
        start, length = at + 12, struct.unpack_from(f"{order}I", head, 8)[0]
    else:
        start, length = at + 8, struct.unpack_from(f"{order}H", head, 6)[0]
    stream.seek(start)
    if length != _UNDEFINED_LENGTH:
        return stream.read(length)
    value = stream.read(MAX_FILE_BYTES)
    _check_fragments(value, order)
    return value


def _check_fragments(value: bytes, order: str) -> None:
    """Refuse compressed pixel data in too many pieces (PS3.5 A.4)."""
    at, count = 0, 0
    while at + 8 <= len(value):
        group, element, length = struct.unpack_from(f"{order}HHI", value, at)
        if (group, element) != (0xFFFE, 0xE000):
            return
        at, count = at + 8 + length, count + 1
        if count > MAX_FRAGMENTS:
            raise TooLargeError(
                f"its compressed pixel data is in more than {MAX_FRAGMENTS:,} pieces"
            )


def _assumed_syntax(dataset: Dataset) -> str:
    """What pydicom assumed in a file without File Meta Information."""
    is_implicit, is_little = dataset.original_encoding
    if not is_little:
        return EXPLICIT_BIG
    return IMPLICIT_LITTLE if is_implicit else EXPLICIT_LITTLE


def _file_meta(head: bytes) -> tuple[str, str, int]:
    """Transfer syntax, SOP class (empty if absent) and the offset where the data set starts."""
    at = 132 if head[128:132] == b"DICM" else 0
    named = {0x0010: "", 0x0002: ""}
    while at + 8 <= len(head):
        group, element = struct.unpack_from("<HH", head, at)
        if group != 0x0002:
            break
        if head[at + 4 : at + 6] in _LONG_VRS:
            if at + 12 > len(head):
                break
            start, length = at + 12, struct.unpack_from("<I", head, at + 8)[0]
        else:
            start, length = at + 8, struct.unpack_from("<H", head, at + 6)[0]
        if element in named:
            named[element] = head[start : start + length].decode("ascii", "replace").strip(" \0")
        at = start + length
    return named[0x0010], named[0x0002], at


def _inflate(deflated: bytes) -> bytes:
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, MAX_FILE_BYTES)
    if len(inflated) == MAX_FILE_BYTES:
        raise TooLargeError("its deflated data would expand to gigabytes")
    return inflated
