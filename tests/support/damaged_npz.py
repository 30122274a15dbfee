"""An npz file that is damaged in ways for which Python has errors of their own."""

from __future__ import annotations

import io
import struct

import numpy as np


def damaged_npz(name: str) -> dict[str, bytes]:
    """An array that cannot be unpacked, and one that is packed in a way unknown to Python."""
    packed = io.BytesIO()
    np.savez_compressed(packed, **{name: np.array("{}")})
    whole = packed.getvalue()
    letters, extra = struct.unpack_from("<HH", whole, 26)
    unpacked, method = 30 + letters + extra, whole.index(b"PK\1\2") + 10
    found = {}
    changes = {"cannot be unpacked": (unpacked, 0xFF), "packed in another way": (method, 99)}
    for kind, (place, value) in changes.items():
        content = bytearray(whole)
        content[place] = value
        found[kind] = bytes(content)
    return found
