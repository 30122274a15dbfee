"""The protocol of a study and the software that runs it; both are hashed."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from functools import lru_cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from typing import Any

import bonescint
from bonescint.scan import ParameterError
from bonescint.scan.checked import check_number, check_text, check_whole
from bonescint.schema import construct

_MOST_CASES = 100_000
WASHOUT_DAYS = 28.0
"""Days between two sessions, where nothing else is said."""


class SecondSession(StrEnum):
    """What follows after the wash-out."""

    NONE = "none"
    REPEAT = "repeat"
    AIDED = "aided"


class AnswerStage(StrEnum):
    """Which answer to a case: before or after the model's output was shown."""

    UNAIDED = "unaided"
    AIDED = "aided"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyProtocol:
    """The protocol: what every reader is asked, and under which conditions.

    Attributes:
        title: shown to readers.
        seed: seed of the sample and of every reader's order.
        cases: number of cases that count.
        training_cases: read first, with feedback, and left out of the analysis.
        second_session: none, the same again, or with the model's output.
        washout_days: between the end of the first session and the second.
        revisions: whether an answer may be changed until the session is finished; every
            version is kept.
        idle_s: after so long without input, time no longer counts as active.
        break_every_min: after so much reading a break is suggested.
        least_width_px: narrower windows are refused, in CSS pixels.
        least_height_px: lower windows are refused, in CSS pixels.
        question: to be answered by yes or no.
        closing_text: shown when a session is finished.

    Raises:
        ParameterError: a value that cannot be used.
    """

    title: str
    seed: int
    cases: int
    training_cases: int = 2
    second_session: SecondSession = SecondSession.NONE
    washout_days: float = WASHOUT_DAYS
    revisions: bool = False
    idle_s: float = 60.0
    break_every_min: float = 45.0
    least_width_px: int = 1180
    least_height_px: int = 560
    question: str = "Metastatic bone disease?"
    closing_text: str = "Thank you. Your answers are stored; you can close this window."

    def __post_init__(self) -> None:
        for name in ("title", "question", "closing_text"):
            check_text(self, name)
            if not getattr(self, name).strip():
                raise ParameterError(name, "StudyProtocol", "a line of text", "")
        check_whole(self, "seed", 0, 2**63 - 1)
        check_whole(self, "cases", 1, _MOST_CASES)
        check_whole(self, "training_cases", 0, 100)
        check_number(self, "washout_days", 0, 3650)
        check_number(self, "idle_s", 5, 3600)
        check_number(self, "break_every_min", 1, 1440)
        check_whole(self, "least_width_px", 320, 10_000)
        check_whole(self, "least_height_px", 200, 10_000)
        object.__setattr__(self, "second_session", SecondSession(self.second_session))

    @property
    def sessions(self) -> int:
        """Number of reading sessions of each reader."""
        return 1 if self.second_session is SecondSession.NONE else 2

    def is_aided(self, number: int) -> bool:
        """Whether a session (1 or 2) shows the model's output."""
        return number > 1 and self.second_session is SecondSession.AIDED

    def stages(self, number: int) -> tuple[AnswerStage, ...]:
        """The answers that each case of a session needs, in order."""
        return (
            (AnswerStage.UNAIDED, AnswerStage.AIDED)
            if self.is_aided(number)
            else (AnswerStage.UNAIDED,)
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, in the order of the attributes."""
        return {**asdict(self), "second_session": self.second_session.value}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> StudyProtocol:
        """Rebuild a protocol from `to_json`'s dictionary.

        Raises:
            InputError: a value that cannot be used.

        Examples:
            >>> protocol = StudyProtocol(title="A study", seed=7, cases=134)
            >>> StudyProtocol.from_json(protocol.to_json()) == protocol
            True
        """
        known = {field.name for field in fields(cls)}
        stored = {name: value for name, value in content.items() if name in known}
        return construct(cls, stored, "the protocol", "Restore it from a backup")

    @property
    def sha256(self) -> str:
        """Hash of the entire protocol."""
        return sha256_of(self.to_json())


def sha256_of(content: object) -> str:
    """Hash of JSON-ready content, independent of the order of its keys.

    Examples:
        >>> sha256_of({"a": 1, "b": 2}) == sha256_of({"b": 2, "a": 1})
        True
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


_PAGES = ("bonescint.study", "bonescint.viewer")
_LIBRARIES = ("fastapi", "numpy", "sqlalchemy", "starlette", "uvicorn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """The versions that run, and a hash of everything that makes the pages.

    Attributes:
        bonescint: version of the package.
        python: version of Python.
        libraries: versions of the libraries that the server uses.
        pages_sha256: hash of the modules, templates, scripts and styles of the reader study and of
            the viewer.
    """

    bonescint: str
    python: str
    libraries: dict[str, str]
    pages_sha256: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @property
    def sha256(self) -> str:
        """Hash of all of these."""
        return sha256_of(self.to_json())


@lru_cache(maxsize=1)
def running_software() -> Software:
    """The software of this process."""
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    return Software(
        bonescint=bonescint.__version__,
        python=platform.python_version(),
        libraries=versions,
        pages_sha256=_hash_of({name: resources.files(name) for name in _PAGES}),
    )


def _hash_of(folders: Mapping[str, Traversable]) -> str:
    seen = hashlib.sha256()
    files = [one for name, folder in folders.items() for one in _contents(folder, f"{name}/")]
    for name, content in sorted(files):
        seen.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return seen.hexdigest()


def _contents(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                found += _contents(entry, f"{prefix}{entry.name}/")
        elif not entry.name.endswith(".pyc"):
            found.append((prefix + entry.name, entry.read_bytes()))
    return found
