"""A stream that ends the work of a parser which a file makes read without end."""

from __future__ import annotations

from typing import BinaryIO

MAX_READS = 60_000
"""Reads that a header may take: two or three for each DICOM element or item, so some 25 000."""

MAX_BYTES = 8 * 1024 * 1024
"""Bytes of a header that are read; what a parser seeks past does not count."""

_CHARACTER_SET_BYTES = 1024
_CHARACTER_SET_TAGS = (b"\x08\x00\x05\x00", b"\x00\x08\x00\x05")


class TooLargeError(ValueError):
    """A header beyond the limits; the message says in what."""


class MeteredStream:
    """A file that raises `TooLargeError` where a bone scan's header would have ended.

    Args:
        stream: the file.
        reads: most reads.

    Attributes:
        problem: what was beyond the limits, else empty; parsers turn some errors into others.
        limited: set it to False once the header is parsed.

    Examples:
        >>> from io import BytesIO
        >>> metered = MeteredStream(BytesIO(bytes(100_000)))
        >>> while metered.read(1):
        ...     pass
        Traceback (most recent call last):
        ...
        bonescint.dicom.metered.TooLargeError: its header has far more elements than a bone scan's
    """

    def __init__(self, stream: BinaryIO, *, reads: int = MAX_READS) -> None:
        self._most_reads = reads
        self.seek = stream.seek
        self.tell = stream.tell
        self.problem = ""
        self.limited = True
        self._stream = stream
        self._reads = 0
        self._bytes = 0
        self._element = b""

    def read(self, size: int = -1) -> bytes:
        """Read as a file does; never more than what is left of the limit and one byte."""
        if not self.limited:
            return self._stream.read(size)
        self._reads += 1
        if self._reads > self._most_reads:
            self._refuse("its header has far more elements than a bone scan's")
        if size > _CHARACTER_SET_BYTES and self._element.startswith(_CHARACTER_SET_TAGS):
            self._refuse("its header lists thousands of character sets")
        left = MAX_BYTES - self._bytes
        content = self._stream.read(left + 1 if size < 0 else min(size, left + 1))
        self._bytes += len(content)
        if self._bytes > MAX_BYTES:
            self._refuse(f"its header has more than {MAX_BYTES >> 20} MiB before the pixels")
        if size == 8:  # a DICOM element's tag, VR and length
            self._element = content
        return content

    def _refuse(self, problem: str) -> None:
        self.problem = problem
        raise TooLargeError(problem)
