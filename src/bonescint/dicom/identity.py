"""Pseudonyms: the only form in which a header's identifiers leave this package.

A `scan_id` is a keyed hash of UIDs. UIDs are long and arbitrary, nobody can list them all, so
a fixed public key is enough and the same study gets the same name everywhere. A PatientID is
a short number: whoever knows the key can try them all, so a public key would protect nobody.
It is hashed only with a secret key that the caller keeps; without one there is no patient_id.

A label comes with an accession number or a patient's number. Neither leaves this package: both
sides are hashed with the same secret key, and the hashes are compared.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonescint.dicom.discovery import StudyFiles
from bonescint.dicom.files import opened, read_bytes
from bonescint.dicom.header import Header, looks_like_dicom, parse
from bonescint.dicom.pairing import day_of, patient_number
from bonescint.dicom.words import pair_key, view_in_path
from bonescint.files import write_whole
from bonescint.scan import InputError, ParameterError
from bonescint.tables import plain_name

PUBLIC_SCAN_KEY = b"bonescint/scan-id/1"


def keyed_hash(parts: Iterable[bytes], *, key: bytes, purpose: str) -> str:
    """16 hexadecimal digits of a keyed BLAKE2b over length-prefixed parts.

    Args:
        parts: bytes to hash, in order.
        key: any non-empty bytes; a key longer than BLAKE2b's 64 bytes is hashed first.
        purpose: up to 16 characters; different purposes give different hashes.

    Raises:
        ParameterError: an empty key.

    Examples:
        >>> named = keyed_hash([b"1.2.3"], key=b"secret", purpose="scan")
        >>> len(named), named == keyed_hash([b"1.2.3"], key=b"other", purpose="scan")
        (16, False)
    """
    if not key:
        raise ParameterError("id_key", "bonescint.dicom", "non-empty bytes", key)
    digest = hashlib.blake2b(digest_size=8, key=blake2b_key(key), person=purpose.encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def blake2b_key(key: bytes) -> bytes:
    """A key as BLAKE2b takes it: one of more than 64 bytes is hashed first.

    Examples:
        >>> blake2b_key(b"short"), len(blake2b_key(bytes(100)))
        (b'short', 64)
    """
    return key if len(key) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.blake2b(key).digest()


_KEY_BYTES = 32


def opened_key(private: Path, file: Path | None) -> bytes:
    """The secret key of all pseudonyms.

    Args:
        private: folder in which the key is made on the first run, and found again.
        file: a file that holds the key instead.

    Raises:
        InputError: the file cannot be read, or holds no key of at least 16 characters.
        OutputError: no key can be written.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as private:
        ...     opened_key(Path(private), None) == opened_key(Path(private), None)
        True
    """
    path = file or private / "key"
    if file is None and not path.is_file():
        write_whole(path, secrets.token_hex(_KEY_BYTES) + "\n", private=True)
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "Give a file") from error
    if len(key) < 16:
        raise InputError(
            path, "holds no key of at least 16 characters", "Write a long random text into it"
        )
    return key


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


OLDEST = 90.0
"""Ages above 89 years may identify a person; they are given as 90."""

_MAGIC_BYTES = 132
_DAYS_A_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}


class Identifier(StrEnum):
    """What a study may be named by."""

    ACCESSION = "accession"
    STUDY = "study"
    PATIENT = "patient"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyKeys:
    """Identifiers, sex and age from a study's header, identifiers hashed; empty where absent.

    Attributes:
        accession: hash of the Accession Number.
        study: hash of the Study Instance UID.
        patient: hash of the Patient ID, unless that is a placeholder.
        sex: `"F"`, `"M"` or empty.
        age: whole years at the time of the study, at most 90, or `None`.
        day: when the scan was taken, or `None`; to order scans by, it identifies a patient.
    """

    accession: str = ""
    study: str = ""
    patient: str = ""
    sex: str = ""
    age: float | None = None
    day: date | None = None


def hashed_identifier(kind: Identifier, value: str, *, id_key: bytes) -> str:
    """A keyed hash of an identifier; empty for an empty one.

    Leading zeros of a number are ignored, and so are differences that keyboards and spreadsheets
    make (`bonescint.tables.plain_name`); case matters.

    Raises:
        ParameterError: an empty key.

    Examples:
        >>> key = b"secret"
        >>> hashed_identifier(Identifier.ACCESSION, "00123", id_key=key) == hashed_identifier(
        ...     Identifier.ACCESSION, "123.0", id_key=key)
        True
        >>> hashed_identifier(Identifier.PATIENT, " ", id_key=key)
        ''
    """
    plain = plain_name(value)
    if plain.isascii() and plain.isdigit():
        plain = plain.lstrip("0") or "0"
    return keyed_hash([plain.encode()], key=id_key, purpose=kind.value) if plain else ""


def study_keys(study: StudyFiles, *, id_key: bytes) -> StudyKeys:
    """Read the identifiers, sex, age and day from a study's first file.

    Args:
        study: as `discover` found it.
        id_key: secret key of the hashes.

    Returns:
        Hashes, sex, age and day; all empty for pictures, which say nothing.

    Raises:
        InputError: the file cannot be read.

    Examples:
        >>> from pydicom.data import get_testdata_file
        >>> path = Path(get_testdata_file("JPGExtended.dcm", download=False))
        >>> keys = study_keys(StudyFiles((path,), "scan.dcm"), id_key=b"secret")
        >>> len(keys.study)
        16
    """
    path = study.files[0]
    with opened(path) as stream:
        if not looks_like_dicom(stream.read(_MAGIC_BYTES)):
            return StudyKeys()
        header = parse(stream, path, pixels=False)
    hashes = {
        kind.value: hashed_identifier(kind, text, id_key=id_key)
        for kind, text in (
            (Identifier.ACCESSION, header.text("AccessionNumber")),
            (Identifier.STUDY, header.text("StudyInstanceUID")),
            (Identifier.PATIENT, patient_number(header)),
        )
    }
    sex = header.text("PatientSex").upper()
    known = sex if sex in ("F", "M") else ""
    return StudyKeys(**hashes, sex=known, age=_age(header), day=day_of(header))


def _age(header: Header) -> float | None:
    text = header.text("PatientAge").upper()
    if text[:-1].isdigit() and text[-1:] in _DAYS_A_YEAR:
        age = int(text[:-1]) / _DAYS_A_YEAR[text[-1]]
    else:
        born, seen = header.text("PatientBirthDate"), header.text("StudyDate")
        if not all(len(date) == 8 and date.isdigit() for date in (born, seen)):
            return None
        age = int(seen[:4]) - int(born[:4]) - (seen[4:] < born[4:])
    return min(float(int(age)), OLDEST) if 0 <= age < 130 else None


def pair_name(study: StudyFiles) -> str:
    """The name that a study's files share without the view, in lower case, separated by spaces.

    Examples:
        >>> paths = (Path("x/P_7_anterior.png"), Path("x/P_7_posterior.png"))
        >>> pair_name(StudyFiles(paths, "both"))
        'p 7'
    """
    return pair_key(study.files[0])[1].lower()


def names_of(study: StudyFiles, folder: Path) -> frozenset[str]:
    """Every name that a table may call a study's files by, lower case.

    Those are: path relative to the searched folder, file name, file name without its ending,
    and the name that both views have in common.

    Examples:
        >>> paths = (Path("x/a/P7_ant.png"), Path("x/a/P7_post.png"))
        >>> sorted(names_of(StudyFiles(paths, "both"), Path("x")))
        ['a/p7_ant.png', 'a/p7_post.png', 'p7', 'p7_ant', 'p7_ant.png', 'p7_post', 'p7_post.png']
    """
    names = set()
    for path in study.files:
        relative = path.relative_to(folder) if path.is_relative_to(folder) else path
        names |= {relative.as_posix().lower(), path.name.lower(), path.stem.lower()}
        if view_in_path(path) is not None:
            common = pair_name(study)
            names |= {common, common.replace(" ", "_"), common.replace(" ", "-")} - {""}
    return frozenset(names)


def is_dicom(study: StudyFiles) -> bool:
    """Whether a study's first file is DICOM rather than a picture; False if it is gone."""
    try:
        return looks_like_dicom(read_bytes(study.files[0], limit=_MAGIC_BYTES))
    except InputError:
        return False
