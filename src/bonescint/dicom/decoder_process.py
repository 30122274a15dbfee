"""The decoder's own process: compressed frames in on stdin, pixels out on stdout.

Runs as `python -m bonescint.dicom.decoder_process`, started by `decoding.py`, which says why.
It answers one request after another until stdin closes. A request is a line of JSON and the
codestream; an answer is a line of JSON and, if it went well, the pixels, little endian.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, BinaryIO

MAX_ADDRESS_SPACE_BYTES = 640 * 1024 * 1024


def main() -> None:
    """Serve requests until stdin closes."""
    requests = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as answers:
        _silence_libraries()
        _limit_memory()
        while line := requests.readline():
            _serve(json.loads(line), requests, answers)


def _serve(request: dict[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
    codestream = requests.read(request["length"])
    try:
        pixels = decode(codestream, request)
        answer: dict[str, Any] = {"ok": True, "length": len(pixels)}
    except BaseException as error:  # noqa: BLE001 - a panic in Rust is no Exception
        pixels, answer = b"", {"ok": False, "problem": type(error).__name__}
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.write(pixels)
    answers.flush()


def decode(codestream: bytes, request: dict[str, Any]) -> bytes:
    """Decode one frame with the library that was chosen for its codec."""
    if request["codec"] == "rle":
        from rle.utils import decode_pixel_data as decode_rle

        return bytes(decode_rle(codestream, version=2, **request))
    if request["codec"] == "jpeg_ls":
        import jpeg_ls

        return bytes(jpeg_ls.decode_pixel_data(codestream)[0])
    if request["codec"] == "jpeg_2000":
        from openjpeg.utils import decode_pixel_data

        return bytes(decode_pixel_data(codestream, version=2))
    return _decode_jpeg(codestream, request)


def _decode_jpeg(codestream: bytes, request: dict[str, Any]) -> bytes:
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(codestream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((request["columns"], request["rows"], 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    syntax = gdcm.TransferSyntax.GetTSType(request["transfer_syntax"])
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    # GDCM would cut values to fewer bits in silence; the codestream knows how many it has.
    bits = request["bits_allocated"]
    image.SetPixelFormat(gdcm.PixelFormat(1, bits, bits, bits - 1, 0))
    # GDCM hands its char* over as text.
    pixels: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")
    return pixels


def _silence_libraries() -> None:
    """Send what C libraries print to nowhere: it would garble the answers."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows: the time limit and the size checks remain.
        return
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE_BYTES, MAX_ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
