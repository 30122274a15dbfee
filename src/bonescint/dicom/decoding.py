"""Compressed frames to pixels, in a process of their own.

JPEG, JPEG-LS, JPEG 2000 and RLE decoders are native code that was written for well-formed
input. Decoding is therefore done by a worker process with a memory and a time limit: whatever a
damaged codestream does to it, the reader answers with an `InputError` and starts another
process for the next file. Its answers may hold bytes and nothing else. One process serves a whole
batch, so its start (about 0.2 s) is paid once, and only by those who read compressed files. Of
18 721 compressed files that `benchmarks/fuzz_reader.py` damaged (seeds 1 and 2), 19 made the RLE
decoder panic and one made GDCM abort (a 12-bit JPEG): in the reader's own process that would have
ended the batch.

Which library decodes what, all permissively licensed: GDCM (BSD) JPEG baseline, extended up to
12 bits and lossless; CharLS through pyjpegls (MIT) JPEG-LS; OpenJPEG through
pylibjpeg-openjpeg (MIT) JPEG 2000; pylibjpeg-rle (MIT) RLE. pylibjpeg-libjpeg is GPL and is
not used.
"""

from __future__ import annotations

import atexit
import functools
import os
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from bonescint.parallel import WorkerDiedError, WorkerProcess

DECODE_TIMEOUT_S = 60.0
MAX_ADDRESS_SPACE_BYTES = 640 * 1024 * 1024
_Value = TypeVar("_Value")
_END_OF_IMAGE = b"\xff\xd9"

CODECS: Mapping[str, str] = MappingProxyType(
    {
        "1.2.840.10008.1.2.5": "rle",
        "1.2.840.10008.1.2.4.50": "jpeg",
        "1.2.840.10008.1.2.4.51": "jpeg",
        "1.2.840.10008.1.2.4.57": "jpeg",
        "1.2.840.10008.1.2.4.70": "jpeg",
        "1.2.840.10008.1.2.4.80": "jpeg_ls",
        "1.2.840.10008.1.2.4.81": "jpeg_ls",
        "1.2.840.10008.1.2.4.90": "jpeg_2000",
        "1.2.840.10008.1.2.4.91": "jpeg_2000",
    }
)
"""Codec of each compressed transfer syntax that is read."""

LOSSY_SYNTAXES = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
"""Transfer syntaxes that always lose counts."""

PERHAPS_LOSSY_SYNTAXES = frozenset({"1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91"})
"""Transfer syntaxes that may be used with and without loss."""


class DecodingError(ValueError):
    """A codestream that cannot be decoded; the message says why, in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLayout:
    """What the DICOM header says of a frame: one sample a pixel."""

    transfer_syntax: str
    rows: int
    columns: int
    bits_allocated: int


def decode_frame(codestream: bytes, layout: FrameLayout) -> bytes:
    """Decode one compressed frame.

    Args:
        codestream: the frame's bytes.
        layout: what the header says of it.

    Returns:
        Pixels in row order, little endian, of 1, 2 or 4 bytes each.

    Raises:
        DecodingError: unknown or damaged codestream, one of other dimensions than the header's,
            a decoder that crashed, hung or needed too much memory.
    """
    codec = CODECS[layout.transfer_syntax]
    if codec in ("jpeg", "jpeg_ls") and not codestream.rstrip(b"\0\xff").endswith(_END_OF_IMAGE):
        # CharLS takes many seconds over a codestream that is cut short.
        raise DecodingError("the compressed pixel data is truncated")
    if codec != "rle":
        dimensions = codestream_dimensions(codestream)
        if dimensions is None:
            raise DecodingError("the compressed pixel data has no image header")
        if dimensions != (layout.rows, layout.columns, 1):
            raise DecodingError(
                f"the compressed image says {dimensions[0]} x {dimensions[1]} pixels of "
                f"{dimensions[2]} samples, the header {layout.rows} x {layout.columns} of 1"
            )
    pixels = shared_decoder().decode(codestream, codec, layout)
    pixel_count = layout.rows * layout.columns
    if len(pixels) not in (pixel_count, 2 * pixel_count, 4 * pixel_count):
        raise DecodingError("the size of the decoded image differs from that in the header")
    return pixels


def codestream_dimensions(codestream: bytes) -> tuple[int, int, int] | None:
    """(rows, columns, samples) that a JPEG, JPEG-LS or JPEG 2000 codestream announces.

    Examples:
        >>> codestream_dimensions(bytes.fromhex("ffd8 ffc3 000b 10 0400 0100 01 01 11 00"))
        (1024, 256, 1)
    """
    if codestream[:2] == b"\xff\xd8":
        return _jpeg_dimensions(codestream)
    start = codestream.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(codestream) < start + 42:
        return None
    right, bottom, left, top, tile_width, tile_height = struct.unpack_from(
        ">6I", codestream, start + 8
    )
    rows, columns = bottom - top, right - left
    tiles = (rows // max(tile_height, 1) + 1) * (columns // max(tile_width, 1) + 1)
    if tiles > 4096:
        return None
    return rows, columns, int(struct.unpack_from(">H", codestream, start + 40)[0])


def codestream_is_signed(codestream: bytes) -> bool:
    """Whether a JPEG 2000 codestream says that its first component is signed."""
    start = codestream.find(b"\xff\x4f\xff\x51")
    return start >= 0 and len(codestream) > start + 42 and codestream[start + 42] >= 0x80


def _jpeg_dimensions(codestream: bytes) -> tuple[int, int, int] | None:
    at = 2
    while at + 4 <= len(codestream) and codestream[at] == 0xFF:
        marker = codestream[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        is_frame_header = marker == 0xF7 or (
            0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)
        )
        if is_frame_header:
            if at + 10 > len(codestream):
                return None
            rows, columns, samples = struct.unpack_from(">HHB", codestream, at + 5)
            return rows, columns, samples
        at += 2 + int(struct.unpack_from(">H", codestream, at + 2)[0])
    return None


class Decoder:
    """A decoder process that is started when needed and replaced when it died.

    Attributes:
        timeout_s: how long one frame may take.
        crashes: how many processes died.
    """

    def __init__(self, *, timeout_s: float = DECODE_TIMEOUT_S) -> None:
        self.timeout_s = timeout_s
        self.crashes = 0
        self._process: WorkerProcess | None = None
        self._lock = threading.Lock()

    def decode(self, codestream: bytes, codec: str, layout: FrameLayout) -> bytes:
        """Decode one frame; see `decode_frame`."""
        with self._lock:
            pixels = self._run(_decoded, codestream, codec, layout)
        if pixels is None:
            raise DecodingError("the compressed pixel data is damaged or of an unknown kind")
        return pixels

    def close(self) -> None:
        """End the process, if one runs."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _run(self, function: Callable[..., _Value], *arguments: object) -> _Value:
        try:
            if self._process is None or not self._process.is_alive:
                self.close()
                self._process = WorkerProcess(preload=__name__, plain_answers=True)
                self._process.run(_limit_memory, timeout_s=self.timeout_s)
            return self._process.run(function, arguments, timeout_s=self.timeout_s)
        except WorkerDiedError as error:
            self.crashes += 1
            self.close()
            raise DecodingError(
                f"the compressed pixel data was not decoded within {self.timeout_s:g} s"
                if error.timed_out
                else "the compressed pixel data made the decoder fail"
            ) from None


def shared_decoder() -> Decoder:
    """This process's decoder; a forked process gets its own."""
    return _decoder_of(os.getpid())


@functools.lru_cache(maxsize=1)
def _decoder_of(_pid: int) -> Decoder:
    decoder = Decoder()
    atexit.register(decoder.close)
    return decoder


def _limit_memory() -> None:
    """In the decoder's process: refuse what would fill the machine's memory."""
    try:
        import resource
    except ImportError:  # Windows: the time limit and the size checks remain.
        return
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE_BYTES, MAX_ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _decoded(codestream: bytes, codec: str, layout: FrameLayout) -> bytes | None:
    """In the decoder's process: the pixels of one frame, or `None` for damaged data."""
    try:
        return _DECODERS[codec](codestream, layout)
    except BaseException:  # noqa: BLE001 - a panic in Rust is no Exception
        return None


def _decode_rle(codestream: bytes, layout: FrameLayout) -> bytes:
    from rle.utils import decode_pixel_data

    return bytes(
        decode_pixel_data(
            codestream,
            version=2,
            transfer_syntax=layout.transfer_syntax,
            rows=layout.rows,
            columns=layout.columns,
            bits_allocated=layout.bits_allocated,
        )
    )


def _decode_jpeg_ls(codestream: bytes, _layout: FrameLayout) -> bytes:
    import jpeg_ls

    return bytes(jpeg_ls.decode_pixel_data(codestream)[0])


def _decode_jpeg_2000(codestream: bytes, _layout: FrameLayout) -> bytes:
    from openjpeg.utils import decode_pixel_data

    return bytes(decode_pixel_data(codestream, version=2))


def _decode_jpeg(codestream: bytes, layout: FrameLayout) -> bytes:
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(codestream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((layout.columns, layout.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    syntax = gdcm.TransferSyntax.GetTSType(layout.transfer_syntax)
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    # GDCM would cut values to fewer bits in silence; the codestream knows how many it has.
    bits = layout.bits_allocated
    image.SetPixelFormat(gdcm.PixelFormat(1, bits, bits, bits - 1, 0))
    # GDCM hands its char* over as text.
    pixels: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")
    return pixels


_DECODERS: Mapping[str, Callable[[bytes, FrameLayout], bytes]] = MappingProxyType(
    {
        "rle": _decode_rle,
        "jpeg": _decode_jpeg,
        "jpeg_ls": _decode_jpeg_ls,
        "jpeg_2000": _decode_jpeg_2000,
    }
)
