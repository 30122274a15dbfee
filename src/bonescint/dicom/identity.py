"""Pseudonyms: the only form in which a header's identifiers leave this package.

A `scan_id` is a keyed hash of UIDs. UIDs are long and arbitrary, nobody can list them all, so
a fixed public key is enough and the same study gets the same name everywhere. A PatientID is
a short number: whoever knows the key can try them all, so a public key would protect nobody.
It is hashed only with a secret key that the caller keeps; without one there is no patient_id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ParameterError

PUBLIC_SCAN_KEY = b"bonescint/scan-id/1"


def keyed_hash(parts: Iterable[bytes], *, key: bytes, purpose: str) -> str:
    """16 hexadecimal digits of a keyed BLAKE2b over length-prefixed parts.

    Args:
        parts: what is hashed, in order.
        key: any non-empty bytes; longer ones than BLAKE2b takes (64) are hashed first.
        purpose: up to 16 characters that keep hashes for different ends apart.

    Raises:
        ParameterError: an empty key.

    Examples:
        >>> named = keyed_hash([b"1.2.3"], key=b"secret", purpose="scan")
        >>> len(named), named == keyed_hash([b"1.2.3"], key=b"other", purpose="scan")
        (16, False)
    """
    if not key:
        raise ParameterError("id_key", "bonescint.dicom", "non-empty bytes", key)
    if len(key) > hashlib.blake2b.MAX_KEY_SIZE:
        key = hashlib.blake2b(key).digest()
    digest = hashlib.blake2b(digest_size=8, key=key, person=purpose.encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def scan_id_from_uids(study_uid: str, instance_uids: Iterable[str], *, key: bytes) -> str:
    """Name of a scan from its Study Instance UID and SOP Instance UIDs, in any order."""
    parts = [study_uid.encode(), *sorted(uid.encode() for uid in instance_uids)]
    return "bs-" + keyed_hash(parts, key=key, purpose="scan uids")


def scan_id_from_images(images: Iterable[NDArray[np.float32]], *, key: bytes) -> str:
    """Name of a scan from its pixels, for pictures and files without UIDs."""
    parts: list[bytes] = []
    for image in images:
        parts += [repr(image.shape).encode(), np.ascontiguousarray(image, "<f4").tobytes()]
    return "bs-" + keyed_hash(parts, key=key, purpose="scan pixels")


def patient_pseudonym(patient_id: str, *, key: bytes) -> str:
    """Pseudonym of a patient under a secret key."""
    return "pt-" + keyed_hash([patient_id.encode()], key=key, purpose="patient")
