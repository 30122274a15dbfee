"""Compressed frames to pixels, in a process of their own.

JPEG, JPEG-LS, JPEG 2000 and RLE decoders are native code that was written for well-formed
input. Decoding is therefore done by a child process with a memory and a time limit: whatever a
damaged codestream does to it, the reader answers with an `InputError` and starts another
child for the next file. One child serves a whole batch, so its start (about 0.2 s) is
paid once, and only by those who read compressed files. Of 18 721 compressed
files that `benchmarks/fuzz_reader.py` damaged (seeds 1 and 2), 19 made the RLE decoder panic and
one made GDCM abort (a 12-bit JPEG): in the reader's own process that would have ended the batch.

Which library decodes what, all permissively licensed: GDCM (BSD) JPEG baseline, extended up to
12 bits and lossless; CharLS through pyjpegls (MIT) JPEG-LS; OpenJPEG through
pylibjpeg-openjpeg (MIT) JPEG 2000; pylibjpeg-rle (MIT) RLE. pylibjpeg-libjpeg is GPL and is
not used.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

DECODE_TIMEOUT_S = 60.0
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
    """A decoder process that is started when needed and replaced when it died."""

    def __init__(self, *, timeout_s: float = DECODE_TIMEOUT_S) -> None:
        self.timeout_s = timeout_s
        self.crashes = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def decode(self, codestream: bytes, codec: str, layout: FrameLayout) -> bytes:
        """Decode one frame; see `decode_frame`."""
        request = {
            "codec": codec,
            "transfer_syntax": layout.transfer_syntax,
            "rows": layout.rows,
            "columns": layout.columns,
            "bits_allocated": layout.bits_allocated,
            "length": len(codestream),
        }
        with self._lock:
            return self._exchange(json.dumps(request).encode() + b"\n", codestream)

    def close(self) -> None:
        """End the process, if one runs."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was left to write goes nowhere
                    continue

    def _exchange(self, request: bytes, codestream: bytes) -> bytes:
        process = self._running()
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        watchdog = threading.Timer(self.timeout_s, end)
        watchdog.daemon = True
        watchdog.start()
        try:
            if process.stdin is None or process.stdout is None:
                raise DecodingError("the decoder process has no pipes")
            process.stdin.write(request + codestream)
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            if not answer["ok"]:
                raise DecodingError("the compressed pixel data is damaged or of an unknown kind")
            pixels = process.stdout.read(answer["length"])
            died = len(pixels) != answer["length"]
        except (OSError, json.JSONDecodeError):
            died = True
        finally:
            watchdog.cancel()
        if died:
            self.crashes += 1
            self.close()
            raise DecodingError(
                f"the compressed pixel data was not decoded within {self.timeout_s:g} s"
                if late.is_set()
                else "the compressed pixel data made the decoder fail"
            )
        return pixels

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            package_root = str(Path(__file__).resolve().parents[2])
            path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "bonescint.dicom.decoder_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            )
        return self._process


def shared_decoder() -> Decoder:
    """This process's decoder; a forked process gets its own."""
    return _decoder_of(os.getpid())


@functools.lru_cache(maxsize=1)
def _decoder_of(_pid: int) -> Decoder:
    decoder = Decoder()
    atexit.register(decoder.close)
    return decoder
