"""The folder of a node: which studies it holds, and how far each is.

A study is one folder, named by a hash of its Study Instance UID, which moves from state to state by
one rename:

    incoming/               objects that are being written; removed at start
    studies/<study>/        objects arrive
    classifying/<study>/        the worker has it; classified again at start
    answers/<study>/        its answer is on the way; sent on at start
    done/<study>/           its answer was accepted, or there is none to give

In it lie `objects/<object>-<content>.dcm` as received, `answer/<object>.dcm` still to be sent
(empty and called `.sent` once accepted), and `outcome.json`. Objects that were forgotten are empty
and called `.gone`; they are taken again if they come again. All names are hashes. Nothing else
says what state a study is in, so whatever moment the process is killed at, the next one finds all
of it. An object is on disk, and so is its name, before its sender gets an answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from bonescint.files import FULL, cannot_write, json_in, make_folder, one_writer, write_whole
from bonescint.scan import BonescintError, ParameterError
from bonescint.serve.peers import hashed_uid

OUTCOME = "outcome.json"
_PRIVATE = 0o700
_CONTENT_LETTERS = 16
_GONE, _SENT = ".gone", ".sent"


class StudyState(StrEnum):
    """How far a study is; the value is the name of the folder that it is in."""

    ARRIVING = "studies"
    CLASSIFYING = "classifying"
    ANSWERING = "answers"
    DONE = "done"


_BEFORE_DONE = (StudyState.ARRIVING, StudyState.CLASSIFYING, StudyState.ANSWERING)


class QueueFullError(BonescintError):
    """The node takes no further study for now: too many wait, or the disk is full."""


class OtherContentError(BonescintError):
    """An object of the same UID and another content was accepted before."""


@dataclass(frozen=True, slots=True)
class QueuedStudy:
    """A study in the queue.

    Attributes:
        name: hash of its Study Instance UID.
        folder: where it is.
    """

    name: str
    folder: Path

    @property
    def objects(self) -> Path:
        """The folder of the objects as they were received."""
        return self.folder / "objects"

    @property
    def answer(self) -> Path:
        """The folder of the objects to send, and of the names of those that were accepted."""
        return self.folder / "answer"

    def gone(self) -> int:
        """How many of its objects were deleted after an earlier answer, and did not come again."""
        return sum(1 for _ in self.objects.glob(f"*{_GONE}"))

    def unsent(self) -> list[Path]:
        """The objects that are still to be sent."""
        return sorted(self.answer.glob("*.dcm"))

    def outcome(self) -> dict[str, Any]:
        """What was found; empty while there is nothing."""
        try:
            content = json_in((self.folder / OUTCOME).read_bytes())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def mark_sent(self, path: Path) -> None:
        """Keep of an object that was accepted its name only."""
        path.with_suffix(_SENT).touch(mode=0o600)
        _sync(self.answer)
        path.unlink()


class StudyQueue:
    """The studies of a node, on disk; one process at a time has it open.

    Args:
        folder: made if it is not there; only its owner can enter it.
        most: as many studies may wait; a further one is refused.

    Raises:
        OutputError: it cannot be written to, or another process has it open.
        ParameterError: fewer than one study may wait.
    """

    def __init__(self, folder: Path, *, most: int = 1000) -> None:
        if most < 1:
            raise ParameterError("most", "StudyQueue", "at least 1", most)
        self.folder = folder
        self._most = most
        self._lock = threading.RLock()
        self._arrived_s: dict[str, float] = {}
        self._held = ExitStack()
        make_folder(folder, mode=_PRIVATE)
        self._held.enter_context(one_writer(folder))
        try:
            self._incoming = folder / "incoming"
            shutil.rmtree(self._incoming, ignore_errors=True)
            for name in ("incoming", *StudyState):
                make_folder(folder / name, mode=_PRIVATE)
            now = time.monotonic()
            self._arrived_s = dict.fromkeys(self._names(StudyState.ARRIVING), now)
            self._waiting = {name for state in _BEFORE_DONE for name in self._names(state)}
        except BaseException:
            self._held.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def waiting(self) -> int:
        """How many studies have no answer yet."""
        return len(self._waiting)

    def at(self, name: str, state: StudyState) -> QueuedStudy:
        """A study in a state, whether it is there or not."""
        return QueuedStudy(name, self.folder / state / name)

    def all_in(self, state: StudyState) -> list[QueuedStudy]:
        """The studies in a state."""
        return [self.at(name, state) for name in self._names(state)]

    def add(self, study_uid: str, instance_uid: str, content: bytes) -> bool:
        """Write an object into its study; when this returns, it is on disk.

        Returns:
            Whether it is new; an object that is here already, or that this node made itself, is
            not.

        Raises:
            OtherContentError: its UID belongs to an object of another content.
            QueueFullError: as many studies wait as may, or the disk is full.
            OutputError: it cannot be written for another reason.
        """
        name, stem = hashed_uid(study_uid), hashed_uid(instance_uid)
        digest = hashlib.sha256(content).hexdigest()[:_CONTENT_LETTERS]
        with self._lock:
            if not self._is_new(name, stem, digest):
                return False
            if name not in self._waiting and len(self._waiting) >= self._most:
                raise QueueFullError(f"{len(self._waiting)} studies wait.")
        beside = self._incoming / secrets.token_hex(8)
        try:
            _write_synced(beside, content)
            with self._lock:
                if not self._is_new(name, stem, digest):  # it came twice at once
                    return False
                place = self.at(name, StudyState.ARRIVING).objects
                new = not place.exists()
                place.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
                beside.rename(place / f"{stem}-{digest}.dcm")
                _sync(place)
                if new:
                    _sync(place.parent)
                    _sync(place.parent.parent)
                self._arrived_s[name] = time.monotonic()
                self._waiting.add(name)
        except OSError as error:
            if error.errno in FULL:
                raise QueueFullError("The disk is full.") from error
            raise cannot_write(self.folder, error) from error
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        return True

    def holds(self, instance_uid: str) -> bool:
        """Whether an object is here, complete."""
        pattern = f"*/objects/{hashed_uid(instance_uid)}-*.dcm"
        with self._lock:
            return any(next((self.folder / state).glob(pattern), None) for state in StudyState)

    def take_quiet(self, quiet_s: float) -> list[QueuedStudy]:
        """Take the studies to which nothing was added for a time, to be classified.

        A study that was classified before, and got a further object, is classified again as a
        whole once its earlier answer was accepted.
        """
        now = time.monotonic()
        taken = []
        with self._lock:
            for name, arrived_s in list(self._arrived_s.items()):
                busy = (StudyState.CLASSIFYING, StudyState.ANSWERING)
                if now - arrived_s < quiet_s or any(
                    self.at(name, state).folder.exists() for state in busy
                ):
                    continue
                self._join_earlier(name)
                taken.append(self._move(name, StudyState.ARRIVING, StudyState.CLASSIFYING))
                del self._arrived_s[name]
        return taken

    def quiet_in_s(self, quiet_s: float) -> float | None:
        """Seconds until a study may be taken; `None` if none is arriving."""
        with self._lock:
            if not self._arrived_s:
                return None
            return max(0.0, quiet_s - (time.monotonic() - min(self._arrived_s.values())))

    def classified(self, study: QueuedStudy, outcome: dict[str, Any]) -> QueuedStudy:
        """Move a study on: to its answer, or if there is nothing to send, to the end.

        Raises:
            OutputError: the outcome cannot be written.
        """
        write_whole(study.folder / OUTCOME, json.dumps(outcome, indent=1), private=True)
        _sync(study.folder / OUTCOME)
        _sync(study.folder)
        with self._lock:
            if study.unsent():
                return self._move(study.name, StudyState.CLASSIFYING, StudyState.ANSWERING)
            return self._end(study.name, StudyState.CLASSIFYING)

    def answered(self, study: QueuedStudy) -> QueuedStudy:
        """Move a study whose whole answer was accepted to the end."""
        with self._lock:
            return self._end(study.name, StudyState.ANSWERING)

    def forget_objects(self, older_than_s: float) -> int:
        """Delete the objects of studies that ended so long ago; their names stay.

        Returns:
            How many objects were deleted.
        """
        count = 0
        for study in self.all_in(StudyState.DONE):
            with self._lock, suppress(OSError):  # it has moved meanwhile
                if time.time() - (study.folder / OUTCOME).stat().st_mtime < older_than_s:
                    continue
                for path in study.objects.glob("*.dcm"):
                    path.with_suffix(_GONE).touch(mode=0o600)
                    path.unlink()
                    count += 1
        return count

    def _names(self, state: StudyState) -> list[str]:
        return sorted(path.name for path in (self.folder / state).iterdir() if path.is_dir())

    def _is_new(self, name: str, stem: str, digest: str) -> bool:
        for state in StudyState:
            study = self.at(name, state)
            for entry in _entries(study.objects):
                known, _, rest = entry.partition("-")
                if known == stem:
                    if rest.partition(".")[0] != digest:
                        raise OtherContentError("Another object of this UID was accepted before.")
                    if not entry.endswith(_GONE):
                        return False
            if any(entry.partition(".")[0] == stem for entry in _entries(study.answer)):
                return False
        return True

    def _join_earlier(self, name: str) -> None:
        """Bring the objects of a study that was classified before to its new ones.

        Done again after a kill in the middle, it goes on where it was.
        """
        earlier, study = self.at(name, StudyState.DONE), self.at(name, StudyState.ARRIVING)
        if not earlier.folder.exists():
            return
        for source, target in ((earlier.objects, study.objects), (earlier.answer, study.answer)):
            target.mkdir(mode=_PRIVATE, exist_ok=True)
            for entry in _entries(source):
                (source / entry).rename(target / entry)
            for came_again in target.glob("*.dcm"):
                came_again.with_suffix(_GONE).unlink(missing_ok=True)
            _sync(target)
        if (earlier.folder / OUTCOME).exists():
            (earlier.folder / OUTCOME).rename(study.folder / "earlier.json")
        shutil.rmtree(earlier.folder)

    def _end(self, name: str, state: StudyState) -> QueuedStudy:
        moved = self._move(name, state, StudyState.DONE)
        if name not in self._arrived_s:
            self._waiting.discard(name)
        return moved

    def _move(self, name: str, state: StudyState, to: StudyState) -> QueuedStudy:
        moved = self.at(name, to)
        self.at(name, state).folder.rename(moved.folder)
        _sync(self.folder / to)
        _sync(self.folder / state)
        return moved


def sync_tree(folder: Path) -> None:
    """Make sure that the files of a folder, and their names, are on disk."""
    for path in folder.iterdir():
        if path.is_file():
            _sync(path)
    _sync(folder)


def _entries(folder: Path) -> Iterator[str]:
    try:
        yield from os.listdir(folder)  # noqa: PTH208 - names alone, many times
    except FileNotFoundError:
        return


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)


def _sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
