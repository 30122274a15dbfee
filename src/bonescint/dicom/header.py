"""A DICOM header, parsed within limits and read without surprises.

pydicom parses; this module keeps it on a short leash. Values of a damaged header may raise
anything on access, so `Header` answers "absent" instead. pydicom's warnings and log lines
quote element values, a patient's name among them, so they are kept silent (`quiet`). A
deflated data set is inflated here, because pydicom would inflate a bomb to its full size.
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
from typing import TYPE_CHECKING, Any

from bonescint.dicom.files import MAX_FILE_BYTES
from bonescint.scan import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

_FIRST_PIXEL_ELEMENT = 0x7FE00008
_PIXEL_DATA = 0x7FE00010
_UNDEFINED_LENGTH = 0xFFFFFFFF
_LONG_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT"})


class _TooLargeError(ValueError):
    """A deflated data set that would grow beyond the limit."""


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
    """Tolerant access to a data set: what is absent, empty or damaged is empty or `None`.

    Attributes:
        dataset: the pydicom data set behind it.
        transfer_syntax: UID of the transfer syntax, empty if the file does not say.
        has_pixel_data: whether parsing came to a Pixel Data element.
        pixel_data: its raw bytes, if they were asked for.
    """

    dataset: Dataset
    transfer_syntax: str = ""
    has_pixel_data: bool = False
    pixel_data: bytes | None = None

    def _value(self, keyword: str) -> Any:
        try:
            return self.dataset.get(keyword)
        except Exception:  # noqa: BLE001 - a damaged value may raise anything in pydicom
            return None

    def has(self, keyword: str) -> bool:
        """Whether the element is there and not empty, readable or not."""
        try:
            return bool(self.dataset[keyword].value not in (None, "", b""))
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
        """Each value as a finite number; empty if one of them is none."""
        value = self._value(keyword)
        return () if value is None else _numbers(value)

    def number(self, keyword: str) -> float | None:
        """A single number, or `None`."""
        values = self.numbers(keyword)
        return values[0] if len(values) == 1 else None

    def whole_numbers(self, keyword: str) -> tuple[int, ...]:
        """Each value as an integer; empty if one of them is none."""
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
            order = "little" if self.dataset.original_encoding[1] else "big"
            return int.from_bytes(value, order)
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
            return tuple(Header(item) for item in value if isinstance(item, Dataset))
        except Exception:  # noqa: BLE001 - as above
            return ()

    def private_texts(self, group: int, creator: str, element: int) -> tuple[str, ...]:
        """Values of a private element of a named creator."""
        try:
            value = self.dataset.private_block(group, creator)[element].value
        except Exception:  # noqa: BLE001 - as above; a missing block raises KeyError
            return ()
        return _texts(value)


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


def parse(content: bytes, path: Path, *, pixels: bool) -> Header:
    """Parse a DICOM file.

    Args:
        content: the file, or for `pixels=False` at least its start.
        path: of the file, for errors.
        pixels: whether Pixel Data is wanted; otherwise parsing stops before it.

    Raises:
        InputError: the content is no DICOM file, cannot be parsed, or is deflated and would
            grow beyond `MAX_FILE_BYTES`.
    """
    if not looks_like_dicom(content):
        raise InputError(
            path, "is neither a DICOM file nor a PNG or JPEG picture", "Leave this file out"
        )
    try:
        with quiet():
            return _parse(content, pixels=pixels)
    except _TooLargeError:
        raise InputError(
            path, "its deflated data would fill gigabytes", "Leave this file out"
        ) from None
    except Exception:  # noqa: BLE001 - a damaged file may raise anything in pydicom
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


def _parse(content: bytes, *, pixels: bool) -> Header:
    from pydicom.filereader import read_dataset, read_partial

    reached = False

    def stop(tag: Any, _vr: str | None, _length: int) -> bool:
        nonlocal reached
        reached = reached or tag == _PIXEL_DATA
        return bool(tag >= _FIRST_PIXEL_ELEMENT)

    transfer_syntax, meta_end = _file_meta(content)
    if transfer_syntax == DEFLATED:
        content = _inflate(content[meta_end:], limit=MAX_FILE_BYTES if pixels else 1 << 20)
        stream = BytesIO(content)
        dataset = read_dataset(stream, False, True, stop_when=stop)
    else:
        stream = BytesIO(content)
        dataset = read_partial(stream, stop_when=stop, force=True)
        transfer_syntax = transfer_syntax or _assumed_syntax(dataset)
    pixel_data = None
    if pixels and reached:
        pixel_data = _value_at(content, stream.tell(), dataset)
    return Header(dataset, transfer_syntax, reached, pixel_data)


def _value_at(content: bytes, at: int, dataset: Dataset) -> bytes:
    """The value of the element at an offset, as far as the file goes.

    pydicom gives nothing of a value that is cut short; here it is wanted, to say what is wrong.
    """
    is_implicit, is_little = dataset.original_encoding
    order = "<" if is_little else ">"
    if is_implicit:
        start, length = at + 8, struct.unpack_from(f"{order}I", content, at + 4)[0]
    elif content[at + 4 : at + 6] in _LONG_VRS:
        start, length = at + 12, struct.unpack_from(f"{order}I", content, at + 8)[0]
    else:
        start, length = at + 8, struct.unpack_from(f"{order}H", content, at + 6)[0]
    return content[start:] if length == _UNDEFINED_LENGTH else content[start : start + length]


def _assumed_syntax(dataset: Dataset) -> str:
    """What pydicom took for granted in a file without File Meta Information."""
    is_implicit, is_little = dataset.original_encoding
    if not is_little:
        return EXPLICIT_BIG
    return IMPLICIT_LITTLE if is_implicit else EXPLICIT_LITTLE


def _file_meta(content: bytes) -> tuple[str, int]:
    """Transfer syntax UID (empty if absent) and the offset where the data set starts."""
    at = 132 if content[128:132] == b"DICM" else 0
    transfer_syntax = ""
    while at + 8 <= len(content):
        group, element = struct.unpack_from("<HH", content, at)
        if group != 0x0002:
            break
        if content[at + 4 : at + 6] in _LONG_VRS:
            if at + 12 > len(content):
                break
            start, length = at + 12, struct.unpack_from("<I", content, at + 8)[0]
        else:
            start, length = at + 8, struct.unpack_from("<H", content, at + 6)[0]
        if element == 0x0010:
            transfer_syntax = content[start : start + length].decode("ascii", "replace")
            transfer_syntax = transfer_syntax.strip(" \0")
        at = start + length
    return transfer_syntax, at


def _inflate(deflated: bytes, *, limit: int) -> bytes:
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, limit)
    if limit == MAX_FILE_BYTES and len(inflated) == limit:
        raise _TooLargeError("a deflated data set")
    return inflated
