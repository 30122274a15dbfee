"""Read Pixel Data as images of rescaled values, checked against the header before decoding."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from bonescint.dicom.decoding import (
    CODECS,
    LOSSY_SYNTAXES,
    PERHAPS_LOSSY_SYNTAXES,
    DecodingError,
    FrameLayout,
    codestream_is_signed,
    decode_frame,
)
from bonescint.dicom.files import MAX_PIXELS, MAX_VIEW_PIXELS
from bonescint.dicom.frames import Frame
from bonescint.dicom.header import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Header
from bonescint.scan import InputError, NotABoneScanError

_NATIVE = frozenset({DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE})
_EXPORT_AGAIN = "Export or copy the file again"
_COLOUR_TOLERANCE = 24
_GREY_OR_RGB = ("", "MONOCHROME1", "MONOCHROME2", "RGB")
_STREAM_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")
"""How JPEG and JPEG-LS, JPEG 2000 and a JP2 file begin."""
_NEXT_STREAM = re.compile(rb"\xff\xd9[\0\xff]*(?:\xff\xd8\xff|\xff\x4f\xff\x51)")
"""The end of one codestream with the start of another; neither occurs inside of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """How the header says that pixels are stored.

    Attributes:
        rows: rows of a frame.
        columns: columns of a frame.
        frame_count: frames in Pixel Data.
        samples: values a pixel, 1 (grey) or 3 (colour).
        bits_allocated: bits a value takes: 8, 16 or 32.
        bits_stored: bits of it that count.
        high_bit: highest of them.
        signed: whether values are in two's complement.
        planar: colours stored plane by plane.
    """

    rows: int
    columns: int
    frame_count: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    planar: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame that is not compressed."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


def pixel_layout(header: Header, source: str) -> PixelLayout:
    """Read and check how pixels are stored.

    Raises:
        InputError: an attribute is missing or senseless, or the image is too large.
    """
    numbers = {}
    for keyword in ("Rows", "Columns", "BitsAllocated"):
        number = header.whole_number(keyword)
        if number is None or number < 1:
            raise InputError(source, f"the header has no usable {keyword}", _EXPORT_AGAIN)
        numbers[keyword] = number
    rows, columns, allocated = numbers["Rows"], numbers["Columns"], numbers["BitsAllocated"]
    frame_count = header.whole_number("NumberOfFrames") or 1
    samples = header.whole_number("SamplesPerPixel") or 1
    if rows * columns > MAX_VIEW_PIXELS or rows * columns * frame_count > MAX_PIXELS:
        raise InputError(
            source,
            f"announces {frame_count} frames of {rows} x {columns} pixels, over the limit of "
            f"{MAX_PIXELS >> 20} Mi pixels",
            "A bone scan is far smaller; leave this file out",
        )
    photometric = header.text("PhotometricInterpretation").upper()
    if photometric not in _GREY_OR_RGB:
        if photometric == "PALETTE COLOR":
            problem = "its pixels are indices into a colour table (PALETTE COLOR), not counts"
            raise InputError(source, problem, "Export it as MONOCHROME2")
        raise NotABoneScanError(
            source, "its pixels are neither grey nor RGB", "Export the grey counts of the camera"
        )
    stored = header.whole_number("BitsStored") or allocated
    high = header.whole_number("HighBit")
    high = stored - 1 if high is None else high
    if allocated not in (8, 16, 32) or samples not in (1, 3) or not 1 <= stored <= allocated:
        raise InputError(
            source,
            f"stores {samples} values of {stored} in {allocated} bits per pixel, which is not "
            f"supported",
            "Export it with 8 or 16 bits per pixel",
        )
    if not stored - 1 <= high < allocated:
        raise InputError(source, "its High Bit contradicts its Bits Stored", _EXPORT_AGAIN)
    return PixelLayout(
        rows=rows,
        columns=columns,
        frame_count=frame_count,
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=header.whole_number("PixelRepresentation") == 1,
        planar=header.whole_number("PlanarConfiguration") == 1,
    )


def read_images(
    header: Header, layout: PixelLayout, frames: tuple[Frame, ...], source: str
) -> tuple[tuple[NDArray[np.float32], ...], tuple[str, ...]]:
    """Decode frames and apply rescale slope and intercept.

    Args:
        header: parsed with its pixels.
        layout: from `pixel_layout`.
        frames: the frames wanted.
        source: what errors name.

    Returns:
        A float32 image (rows, columns) for each frame, and warnings. Negative values, which
        lossy compression leaves behind, are set to 0.

    Raises:
        InputError: Pixel Data is missing, of the wrong length, damaged, or of an unknown
            transfer syntax.
        NotABoneScanError: a colour image.
    """
    pixel_data = header.pixel_data
    if not pixel_data:
        raise InputError(source, "it has no pixel data", _EXPORT_AGAIN)
    warnings: list[str] = []
    if header.transfer_syntax in _NATIVE:
        stored = _native_frames(pixel_data, header, layout, frames, source, warnings)
    elif header.transfer_syntax in CODECS:
        stored = _compressed_frames(pixel_data, header, layout, frames, source)
    else:
        raise InputError(
            source,
            "its transfer syntax (compression method) is not supported",
            "Export it uncompressed, or with JPEG Lossless, JPEG-LS, JPEG 2000 or RLE",
        )
    warnings += _loss_warnings(header)
    images = []
    for values in stored:
        image = _rescaled(values, header, source)
        padding = _padding(values, header, layout)
        if image[padding].any():
            warnings.append(
                "pixels with the Pixel Padding Value were set to 0: they are not counts"
            )
            image[padding] = 0
        images.append(image)
    if any(image.min() < 0 for image in images):
        warnings.append("negative pixels were set to 0")
        images = [np.maximum(image, np.float32(0)) for image in images]
    return tuple(images), tuple(warnings)


def _loss_warnings(header: Header) -> tuple[str, ...]:
    """What the header tells of lossy compression, now or earlier."""
    stated = header.text("LossyImageCompression")
    if header.transfer_syntax in LOSSY_SYNTAXES or stated.startswith("01"):
        return ("compressed with loss: counts are approximate",)
    if header.transfer_syntax in PERHAPS_LOSSY_SYNTAXES and stated != "00":
        return ("perhaps compressed with loss: the header does not say",)
    return ()


def _native_frames(
    pixel_data: bytes,
    header: Header,
    layout: PixelLayout,
    frames: tuple[Frame, ...],
    source: str,
    warnings: list[str],
) -> list[NDArray[np.integer]]:
    expected = layout.frame_bytes * layout.frame_count
    excess = len(pixel_data) - expected
    if excess < 0:
        raise InputError(
            source,
            f"its pixel data has {len(pixel_data)} bytes where {expected} are due: "
            "the file is truncated or its header wrong",
            _EXPORT_AGAIN,
        )
    if excess >= layout.frame_bytes:
        raise InputError(
            source,
            f"its pixel data has {len(pixel_data)} bytes where {expected} are due: "
            "the header announces fewer frames than there are",
            _EXPORT_AGAIN,
        )
    if excess > 1:
        warnings.append("bytes after the last pixel were ignored")
    order = ">" if header.transfer_syntax == EXPLICIT_BIG else "<"
    dtype = np.dtype(f"{order}u{layout.bits_allocated // 8}")
    values = []
    for frame in frames:
        raw = np.frombuffer(
            pixel_data,
            dtype,
            count=layout.frame_bytes // dtype.itemsize,
            offset=frame.index * layout.frame_bytes,
        )
        values.append(_stored_values(_grey(raw, layout, source), layout))
    return values


def _compressed_frames(
    pixel_data: bytes, header: Header, layout: PixelLayout, frames: tuple[Frame, ...], source: str
) -> list[NDArray[np.integer]]:
    if layout.samples != 1:
        raise NotABoneScanError(
            source, "it is a compressed colour image", "Export the grey counts of the camera"
        )
    frame_layout = FrameLayout(
        transfer_syntax=header.transfer_syntax,
        rows=layout.rows,
        columns=layout.columns,
        bits_allocated=layout.bits_allocated,
    )
    codestreams = _codestreams(pixel_data, header, layout.frame_count, source)
    values = []
    for frame in frames:
        try:
            decoded = decode_frame(codestreams[frame.index], frame_layout)
        except DecodingError as error:
            raise InputError(source, str(error), _EXPORT_AGAIN) from None
        dtype = np.dtype(f"<u{len(decoded) // (layout.rows * layout.columns)}")
        raw = np.frombuffer(decoded, dtype).reshape(layout.rows, layout.columns)
        values.append(
            _stored_values(raw, _decoded_layout(layout, codestreams[frame.index], header))
        )
    return values


def _decoded_layout(layout: PixelLayout, codestream: bytes, header: Header) -> PixelLayout:
    """How a decoder hands pixels over: aligned low, with the sign that the codestream says."""
    if CODECS[header.transfer_syntax] == "rle":
        return layout
    signed = layout.signed or codestream_is_signed(codestream)
    bits = layout.bits_stored if signed else 32
    return replace(layout, signed=signed, bits_stored=bits, high_bit=bits - 1)


def _codestreams(pixel_data: bytes, header: Header, frame_count: int, source: str) -> list[bytes]:
    """The compressed images, as many as the header, the fragments and the offset tables say.

    An RLE image is one fragment (PS3.5 A.4.2); any other begins where a fragment begins with the
    marker of a codestream, and may go on in the fragments after it.

    Raises:
        InputError: these numbers differ, or the fragments are damaged.
    """
    from pydicom.encaps import generate_fragments, parse_basic_offsets

    stream = BytesIO(pixel_data)
    try:
        offsets = parse_basic_offsets(stream)
        fragments = list(generate_fragments(stream))
    except Exception:  # noqa: BLE001 - damaged fragments may raise anything in pydicom
        offsets, fragments = [], []
    is_rle = CODECS[header.transfer_syntax] == "rle"
    parts: list[list[bytes]] = []
    for fragment in fragments:
        if not parts or (fragment if is_rle else fragment.startswith(_STREAM_STARTS)):
            parts.append([])
        parts[-1].append(fragment)
    codestreams = [b"".join(part) for part in parts]
    found = len(codestreams) + sum(len(_NEXT_STREAM.findall(one)) for one in codestreams)
    listed = {len(offsets), header.extended_offset_count} - {0}
    if {found, *listed} != {frame_count}:
        raise InputError(
            source,
            f"its compressed pixel data does not hold the {frame_count} frames of its header "
            f"(found {found})",
            _EXPORT_AGAIN,
        )
    return codestreams


def _grey(raw: NDArray[np.integer], layout: PixelLayout, source: str) -> NDArray[np.integer]:
    """(rows, columns) of grey values; colour that is no grey is refused."""
    if layout.samples == 1:
        return raw.reshape(layout.rows, layout.columns)
    shape = (3, layout.rows, layout.columns) if layout.planar else (layout.rows, layout.columns, 3)
    colours = raw.reshape(shape).astype(np.int64)
    axis = 0 if layout.planar else 2
    spread = colours.max(axis=axis) - colours.min(axis=axis)
    if (spread > _COLOUR_TOLERANCE).mean() > 0.002:
        raise NotABoneScanError(
            source, "it is a colour picture", "Export the grey counts of the camera"
        )
    grey: NDArray[np.int64] = np.median(colours, axis=axis).astype(np.int64)
    return grey


def _stored_values(raw: NDArray[np.integer], layout: PixelLayout) -> NDArray[np.integer]:
    """Cut out the bits that count and give them their sign."""
    width = raw.dtype.itemsize * 8
    if layout.bits_stored >= width:
        return raw.view(raw.dtype.str.replace("u", "i")) if layout.signed else raw
    values = raw.astype(np.int64) >> (layout.high_bit + 1 - layout.bits_stored)
    values &= (1 << layout.bits_stored) - 1
    if layout.signed:
        sign = 1 << (layout.bits_stored - 1)
        values = (values ^ sign) - sign
    return values


def _padding(values: NDArray[np.integer], header: Header, layout: PixelLayout) -> NDArray[np.bool_]:
    """Which stored values are padding (PS3.3 C.7.5.1.1.2)."""
    value, limit = map(header.stored_number, ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    if value is None:
        return np.zeros(values.shape, bool)
    limits = [_in_stored_bits(end, layout) for end in (value, limit) if end is not None]
    wide = values.astype(np.int64)
    return (wide >= min(limits)) & (wide <= max(limits))


def _in_stored_bits(number: int, layout: PixelLayout) -> int:
    """A value as a pixel would hold it: some writers give it the wrong sign or width."""
    number &= (1 << layout.bits_stored) - 1
    is_negative = layout.signed and number >> (layout.bits_stored - 1)
    return number - (1 << layout.bits_stored) if is_negative else number


def _rescale_number(header: Header, keyword: str, source: str) -> float | None:
    """The number, or `None` if the header has none; an unusable one is an error."""
    number = header.number(keyword)
    if number is None and header.has(keyword):
        raise InputError(source, f"its {keyword} is not a usable number", _EXPORT_AGAIN)
    return number


def _rescaled(values: NDArray[np.integer], header: Header, source: str) -> NDArray[np.float32]:
    slope = _rescale_number(header, "RescaleSlope", source)
    intercept = _rescale_number(header, "RescaleIntercept", source)
    if header.items("ModalityLUTSequence"):
        raise InputError(
            source, "it maps its pixels through a lookup table", "Export the counts themselves"
        )
    if slope == 0:
        raise InputError(source, "its rescale slope is 0", _EXPORT_AGAIN)
    if slope is not None and slope < 0:
        raise InputError(source, "its rescale slope is negative", _EXPORT_AGAIN)
    if slope in (None, 1.0) and intercept in (None, 0.0):
        return values.astype(np.float32)
    scaled = values.astype(np.float64) * (1.0 if slope is None else slope) + (intercept or 0.0)
    return scaled.astype(np.float32)
