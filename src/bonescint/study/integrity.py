"""Checking a study before it is served or backed up: its key, pictures, outputs and truth."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bonescint.study.errors import StudyError
from bonescint.study.folder import FROM_BACKUP, Progress, StudyFolder, images_sha256, opaque_token
from bonescint.study.protocol import sha256_of
from bonescint.study.store.database import Store
from bonescint.study.store.tables import StudyCase, StudyRow

_SHOWN = 3
_GZIP = 31  # zlib's code for gzip with any window
_MARGIN = 65_536  # that compression may add to pixels


def read_picture(file: Path, facts: Mapping[str, Any], sha256: str) -> tuple[bytes, bytes]:
    """Read a stored picture, unpack its pixels and check them against their hash.

    At most the picture's size is unpacked.

    Args:
        file: the gzip file.
        facts: rows, columns and views.
        sha256: hash of the pixels.

    Returns:
        The content of the file, and the pixels.

    Raises:
        StudyError: the file is missing, or was altered since the study was made.
    """
    length = 2 * int(facts["rows"]) * int(facts["columns"]) * len(facts["views"])
    unpacking = zlib.decompressobj(wbits=_GZIP)
    try:
        with file.open("rb") as stream:
            content = stream.read(length + _MARGIN)
        pixels = unpacking.decompress(content, length + 1)
    except (OSError, zlib.error) as error:
        raise not_whole(file) from error
    whole = len(pixels) == length and unpacking.eof and not unpacking.unused_data
    if not whole or hashlib.sha256(pixels).hexdigest() != sha256:
        raise not_whole(file)
    return content, pixels


def require_whole(
    study: StudyFolder, store: Store, *, truth: bool = False, progress: Progress | None = None
) -> None:
    """Refuse a study whose key, pictures or model outputs are missing or altered.

    Args:
        study: the study folder.
        store: its store.
        truth: check the truth as well, which a server never reads.
        progress: called with the number of pictures done and of all.

    Raises:
        StudyError: names the first files that are missing or altered, and how many there are.
    """
    key = study.secret()
    with store.reading() as db:
        row = db.get_one(StudyRow, 1)
        cases = db.scalars(select(StudyCase).order_by(StudyCase.token)).all()
    if images_sha256(cases) != row.images_sha256:
        raise StudyError(
            f"{study.path}: its store does not list the pictures that it was made with. "
            f"{FROM_BACKUP}"
        )
    problems = []
    for number, case in enumerate(cases, start=1):
        try:
            read_picture(study.image_file(case.token), case.picture, case.image_sha256)
        except StudyError:
            problems.append(study.image_file(case.token))
        if progress is not None:
            progress(number, len(cases))
    if row.model_sha256 and _hash_of_outputs(study, cases) != row.model_sha256:
        problems.append(study.private / "model")
    problems += [
        study.feedback_file(case.token)
        for case in cases
        if case.training and not study.feedback_file(case.token).is_file()
    ]
    if truth:
        problems += _altered_truths(study, key, [case.token for case in cases])
    if problems:
        raise not_whole(*problems)


def _hash_of_outputs(study: StudyFolder, cases: Iterable[StudyCase]) -> str:
    hashes = []
    for case in cases:
        file = study.model_file(case.token)
        try:
            hashes.append(hashlib.sha256(file.read_bytes()).hexdigest())
        except OSError as error:
            raise not_whole(file) from error
    return sha256_of(sorted(hashes))


def _altered_truths(study: StudyFolder, key: bytes, tokens: Iterable[str]) -> list[Path]:
    truths = study.truth()
    problems = []
    for token in tokens:
        entry = truths[token]
        if opaque_token(key, entry["scan_id"]) != token:
            raise StudyError(
                f"{study.truth_file}: does not belong to the key of this study. {FROM_BACKUP}"
            )
        if not truth_is_unaltered(study.masks_file(token), entry):
            problems.append(study.masks_file(token))
    return problems


def truth_is_unaltered(file: Path, entry: Mapping[str, Any]) -> bool:
    """Whether a case's truth file is unchanged since the study was made, or still absent."""
    try:
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError:
        found = ""
    except OSError as error:
        raise not_whole(file) from error
    return found == str(entry.get("truth_sha256", ""))


def not_whole(*files: Path) -> StudyError:
    """The error for files that are missing or altered."""
    shown = ", ".join(map(str, files[:_SHOWN]))
    more = f" and {len(files) - _SHOWN} more" if files[_SHOWN:] else ""
    return StudyError(f"{shown}{more}: missing, or altered since the study was made. {FROM_BACKUP}")
