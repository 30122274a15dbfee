"""What broken and hostile DICOM peers send, as bytes."""

from __future__ import annotations

import random
import socket
import struct
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from tests.support import dicom_files, pacs_peers

_NM = dicom_files.NM_STORAGE


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def requested(
    called: str = "BONESCINT", calling: str = "HOSTILE", syntax: str = ExplicitVRLittleEndian
) -> bytes:
    """An A-ASSOCIATE-RQ for the storage of NM objects (PS3.8 9.3.2)."""
    context = struct.pack(">BBBB", 1, 0, 0, 0)
    context += _item(0x30, _NM.encode()) + _item(0x40, syntax.encode())
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3")
    body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16).encode(), calling.ljust(16).encode())
    body += _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, context) + _item(0x50, user)
    return struct.pack(">BBI", 1, 0, len(body)) + body


def _element(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, tag, len(value)) + value


def store_request(instance: str = "1.2.3.4") -> bytes:
    """The command set of a C-STORE request for an NM object, as a P-DATA-TF (PS3.7 9.3.1)."""

    def uid(text: str) -> bytes:
        return text.encode() + b"\0" * (len(text) % 2)

    command = _element(0x0002, uid(_NM)) + _element(0x0100, struct.pack("<H", 1))
    command += _element(0x0110, struct.pack("<H", 1)) + _element(0x0700, struct.pack("<H", 0))
    command += _element(0x0800, struct.pack("<H", 1)) + _element(0x1000, uid(instance))
    command = _element(0x0000, struct.pack("<I", len(command))) + command
    return part(command, command=True)


def part(content: bytes, *, command: bool = False, last: bool = True) -> bytes:
    """A P-DATA-TF with one fragment."""
    value = struct.pack(">IBB", len(content) + 2, 1, command | last << 1) + content
    return struct.pack(">BBI", 4, 0, len(value)) + value


def hostile_bytes(kind: str, rng: random.Random) -> list[bytes]:
    """What a peer of a kind sends after it has connected; what follows waits for an answer."""
    request = requested()
    if kind == "noise":
        return [rng.randbytes(rng.randrange(1, 400))]
    if kind == "too long":
        length = rng.choice((0xFFFFFFFF, 0x7FFFFFFF))
        return [struct.pack(">BBI", 1, 0, length) + rng.randbytes(500)]
    if kind == "half a request":
        return [request[: rng.randrange(len(request))]]
    if kind == "wrong inner lengths":
        return [_damaged(request, rng, start=74, count=8)]
    if kind == "a stranger":
        return [requested(called="SOMEBODY"), b"\x05\0\0\0\0\x04\0\0\0\0"]
    if kind == "asks twice":
        return [request + request]
    return [request, _in_an_association(kind, rng)]


def _in_an_association(kind: str, rng: random.Random) -> bytes:
    """What follows the request for an association."""
    if kind == "noise in an association":
        return part(rng.randbytes(60), command=True) + rng.randbytes(60)
    if kind == "too long in an association":
        return struct.pack(">BBI", 4, 0, 0x7FFFFFFF) + rng.randbytes(500)
    if kind == "wrong fragment lengths":
        fragment = struct.pack(">IBB", rng.choice((0, 1, 0xFFFFFFFF, 9999)), 1, 3)
        return struct.pack(">BBI", 4, 0, 16) + fragment + rng.randbytes(10)
    if kind == "half an object":
        return store_request() + part(rng.randbytes(3000), last=False)
    if kind == "noise as an object":
        return store_request() + part(rng.randbytes(3000))
    if kind == "damaged command":
        return _damaged(store_request(), rng, start=12, count=4) + part(rng.randbytes(300))
    raise ValueError(kind)


def _damaged(content: bytes, rng: random.Random, *, start: int, count: int) -> bytes:
    damaged = bytearray(content)
    for _ in range(count):
        damaged[rng.randrange(start, len(damaged))] = rng.randrange(256)
    return bytes(damaged)


KINDS = (
    "noise",
    "too long",
    "half a request",
    "wrong inner lengths",
    "noise in an association",
    "too long in an association",
    "wrong fragment lengths",
    "half an object",
    "noise as an object",
    "damaged command",
    "a stranger",
    "asks twice",
)


def attack(port: int, parts: list[bytes], *, timeout_s: float = 60.0) -> bytes:
    """Send parts, each after the answer to the one before, then say that no more comes.

    Returns:
        Everything that the node answers before it closes the connection.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        try:
            for number, content in enumerate(parts):
                if number:
                    answer += connection.recv(65536)
                connection.sendall(content)
            if len(parts) > 1:
                connection.settimeout(0.2)
                with suppress(TimeoutError):
                    answer += connection.recv(65536)
                connection.settimeout(timeout_s)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        except TimeoutError:
            raise
        except OSError:
            pass  # the node has closed it already
    return answer


def deflated_bomb(path: Path, *, mebibytes: int = 400, number: int = 300) -> Path:
    """An object that inflates to so much."""
    dataset = dicom_files.ge_discovery(*2 * [dicom_files.paint_body(rows=256, columns=64)])
    pacs_peers.identified(dataset, number)
    dicom_files.save(dataset, path, transfer_syntax=DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    at = 132 + 12 + struct.unpack_from("<I", content, 140)[0]
    packer = zlib.compressobj(9, wbits=-15)
    bomb = BytesIO()
    bomb.write(content[:at])
    bomb.write(packer.compress(zlib.decompress(content[at:], -15)))
    bomb.write(packer.compress(struct.pack("<HH2sHI", 0x7FE1, 0x0010, b"OB", 0, mebibytes << 20)))
    for _ in range(mebibytes):
        bomb.write(packer.compress(bytes(1 << 20)))
    bomb.write(packer.flush())
    path.write_bytes(bomb.getvalue())
    return path
