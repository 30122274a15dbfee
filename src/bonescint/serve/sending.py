"""Send the DICOM objects of a folder to a PACS; what was accepted is not sent twice."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TextIO

from bonescint.dicom.files import read_bytes
from bonescint.files import cannot_write, json_in, one_writer
from bonescint.scan import InputError
from bonescint.serve.associations import MOST_CONTEXTS
from bonescint.serve.peers import (
    Destination,
    DicomObject,
    ObjectRefusedError,
    PeerError,
    is_dicom_file,
)

SENT = ".bonescint-sent.jsonl"
"""File in a folder that lists, as hashes, which objects were accepted by whom."""

_DICOMDIR = "1.2.840.10008.1.3.10"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSummary:
    """What became of the objects of a folder.

    Attributes:
        accepted: how many the peer accepted now.
        accepted_before: how many an earlier run had sent.
        refused: files that were not sent, or not accepted, each with the reason.
        unsent: how many could not be sent because the peer failed.
        failure: how it failed, in a sentence; empty if it did not.
    """

    accepted: int
    accepted_before: int
    refused: tuple[InputError, ...]
    unsent: int = 0
    failure: str = ""


def send(
    folder: Path,
    destination: Destination,
    *,
    retries: int = 5,
    progress: Callable[[int, int], None] | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> SendSummary:
    """Send every DICOM object in a folder, and below it, to a peer.

    Files that are no DICOM objects are left out, and so are hidden ones. Which objects were
    accepted is written to the folder at once, so that the same call resumes after an interruption.

    Args:
        folder: the folder, or a single file.
        destination: by C-STORE (`StoringPeer`) or STOW-RS (`WebServer`).
        retries: how many times it is tried again, after waits that grow, when nothing gets through.
        progress: called with the number of objects done and of all.
        wait: waits so many seconds.

    Returns:
        What was accepted and what was not.

    Raises:
        InputError: there is no such folder, or no DICOM object in it.
        OutputError: the folder cannot be written to, or another process sends from it.
    """
    if not folder.exists():
        raise InputError(folder, "no such file or folder", "Check the path")
    place = folder if folder.is_dir() else folder.parent
    refused: list[InputError] = []
    objects = list(_objects_in(folder, refused))
    if not objects and not refused:
        raise InputError(folder, "holds no DICOM object", "Check the path")
    with one_writer(place), _Sent(place, destination) as sent:
        waiting = [one for one in objects if one not in sent]
        before, total = len(objects) - len(waiting), len(objects)
        failure, tried = "", 0
        while waiting:
            was = len(waiting)
            waiting, failure, again = _round(waiting, destination, sent, refused)
            if progress:
                progress(total - len(waiting), total)
            tried = tried + 1 if len(waiting) == was else 0
            if not waiting or not again or tried > retries:
                break
            wait(growing_wait_s(tried))
        return SendSummary(
            accepted=sent.added,
            accepted_before=before,
            refused=tuple(refused),
            unsent=len(waiting),
            failure=failure if waiting else "",
        )


def growing_wait_s(
    tried: int, *, first_s: float = _FIRST_WAIT_S, longest_s: float = _LONGEST_WAIT_S
) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, up to a limit.

    Examples:
        >>> [growing_wait_s(tried) for tried in (0, 1, 2, 3, 40)]
        [2.0, 2.0, 4.0, 8.0, 60.0]
    """
    return min(longest_s, first_s * 2.0 ** min(max(0, tried - 1), 30))


def _objects_in(folder: Path, refused: list[InputError]) -> Iterator[DicomObject]:
    """The DICOM objects of a folder, in the order of their paths."""
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    for path in paths:
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not path.is_file() or not is_dicom_file(path):
            continue
        try:
            one = DicomObject.of(path)
        except InputError as error:
            refused.append(error)
            continue
        if one.sop_class != _DICOMDIR:
            yield one


def _round(
    waiting: Sequence[DicomObject],
    destination: Destination,
    sent: _Sent,
    refused: list[InputError],
) -> tuple[list[DicomObject], str, bool]:
    """Try each object once.

    Returns:
        Objects to try again, why, and whether that is worth it.
    """
    left: list[DicomObject] = []
    failure = ""
    for batch in _batches(waiting):
        at: DicomObject | None = None
        try:
            with destination.connected(batch) as connection:
                for at in batch:
                    try:
                        connection.store(at)
                        sent.add(at)
                    except ObjectRefusedError as error:
                        if error.again:
                            left.append(at)
                            failure = f"{destination}: {error}."
                        else:
                            refused.append(_not_taken(at, error))
        except PeerError as error:
            unsent = [one for one in waiting if one not in sent and not _is_in(one, refused)]
            # Perhaps it is this object at which the peer fails: the others go first.
            unsent.sort(key=lambda one: one is at)
            return unsent, str(error), error.again
    return left, failure, True


def _not_taken(one: DicomObject, error: ObjectRefusedError) -> InputError:
    return InputError(one.path, f"not accepted: {error}", "Ask whoever runs the PACS")


def _is_in(one: DicomObject, refused: Sequence[InputError]) -> bool:
    return str(one.path) in {error.source for error in refused}


def _batches(objects: Sequence[DicomObject]) -> Iterator[Sequence[DicomObject]]:
    """Parts of a list that need no more presentation contexts than an association may have."""
    batch: list[DicomObject] = []
    kinds: set[tuple[str, str]] = set()
    for one in objects:
        kind = one.sop_class, one.transfer_syntax
        if kind not in kinds and len(kinds) == MOST_CONTEXTS:
            yield batch
            batch, kinds = [], set()
        batch.append(one)
        kinds.add(kind)
    if batch:
        yield batch


class _Sent:
    """Which objects a destination has accepted: a line each, written before the next is sent."""

    def __init__(self, folder: Path, destination: Destination) -> None:
        self.path = folder / SENT
        self.added = 0
        self._destination = str(destination)
        self._known: set[str] = set()
        self._keys: dict[Path, str] = {}
        self._stream: TextIO | None = None

    def __enter__(self) -> Self:
        try:
            self._stream = self.path.open("a+", encoding="utf-8")
            self._stream.seek(0)
            content = self._stream.read()
            if content and not content.endswith("\n"):  # a line that a kill cut short
                self._stream.write("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise cannot_write(self.path, OSError(str(error))) from None
        for line in content.splitlines():
            try:
                self._known.add(json_in(line)["accepted"])
            except (ValueError, TypeError, KeyError):
                continue
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream:
            self._stream.close()

    def __contains__(self, one: DicomObject) -> bool:
        return self._key(one) in self._known

    def add(self, one: DicomObject) -> None:
        """Note that an object was accepted.

        Raises:
            OutputError: the disk is full, or the folder is gone.
        """
        key = self._key(one)
        self._known.add(key)
        self.added += 1
        try:
            if self._stream:
                self._stream.write(json.dumps({"accepted": key}) + "\n")
                self._stream.flush()
                os.fsync(self._stream.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _key(self, one: DicomObject) -> str:
        """A hash of the destination and of the file's content, which includes its UID."""
        if one.path not in self._keys:
            digest = hashlib.sha256(self._destination.encode() + b"\0")
            digest.update(read_bytes(one.path))
            self._keys[one.path] = digest.hexdigest()
        return self._keys[one.path]
