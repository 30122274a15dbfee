"""Pseudonyms, against hashlib itself."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from bonescint.dicom import identity
from bonescint.scan import ParameterError


def test_the_hash_is_keyed_blake2b_of_length_prefixed_parts() -> None:
    message = b"\x03" + bytes(7) + b"1.2" + b"\x01" + bytes(7) + b"3"
    expected = hashlib.blake2b(message, digest_size=8, key=b"k", person=b"scan uids").hexdigest()
    assert identity.scan_id_from_uids("1.2", ["3"], key=b"k") == f"bs-{expected}"


def test_order_of_instances_does_not_matter_and_the_key_does() -> None:
    one = identity.scan_id_from_uids("1.2", ["4", "3"], key=b"k")
    assert one == identity.scan_id_from_uids("1.2", ["3", "4"], key=b"k")
    assert one != identity.scan_id_from_uids("1.2", ["3", "4"], key=b"other")
    assert one != identity.scan_id_from_uids("1.23", ["4"], key=b"k")


def test_pixels_and_shape_name_a_picture() -> None:
    image = np.arange(6, dtype=np.float32)
    flat = identity.scan_id_from_images([image.reshape(2, 3)], key=b"k")
    assert flat != identity.scan_id_from_images([image.reshape(3, 2)], key=b"k")
    assert flat == identity.scan_id_from_images([image.reshape(2, 3).copy()], key=b"k")


def test_long_keys_count_to_their_last_byte() -> None:
    key = bytes(100)
    one, other = (
        identity.keyed_hash([b"7"], key=some, purpose="patient") for some in (key, key[1:])
    )
    assert one != other


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ParameterError, match="id_key"):
        identity.keyed_hash([b"7"], key=b"", purpose="patient")


@pytest.mark.parametrize(("length", "hashed"), [(1, False), (63, False), (64, False), (65, True)])
def test_a_key_longer_than_blake2b_takes_is_hashed_first(length: int, hashed: bool) -> None:
    key = bytes(range(length))
    used = hashlib.blake2b(key).digest() if hashed else key
    message = b"\x01" + bytes(7) + b"7"
    expected = hashlib.blake2b(message, digest_size=8, key=used, person=b"patient").hexdigest()
    assert identity.keyed_hash([b"7"], key=key, purpose="patient") == expected


def test_a_picture_is_named_by_the_shape_and_little_endian_floats_of_every_view() -> None:
    images = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((1, 2), np.float32)]
    message = b"".join(
        len(part).to_bytes(8, "little") + part
        for part in (b"(2, 3)", images[0].tobytes(), b"(1, 2)", b"\x00\x00\x80\x3f" * 2)
    )
    expected = hashlib.blake2b(message, digest_size=8, key=b"k", person=b"scan pixels").hexdigest()
    assert identity.scan_id_from_images(images, key=b"k") == f"bs-{expected}"
