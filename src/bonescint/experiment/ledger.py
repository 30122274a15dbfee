"""Steps of a long run; a finished step is not repeated.

A step is a dataclass whose fields are everything that its result depends on. Its fingerprint
covers all fields, so that a field that is added later cannot be left out. `work` gets `Resources`,
which say how the work is done and never change its result.
"""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from bonescint import __version__
from bonescint.cohort import Manifest
from bonescint.files import json_in, make_folder, write_whole
from bonescint.scan import Case

_FILE_COLUMNS = frozenset({"file", "truth", "mask_anterior", "mask_posterior"})


@dataclass(frozen=True, slots=True)
class Output:
    """A file or folder that a step writes.

    Attributes:
        path: path of the file or folder.
        proof: a file in the folder whose presence shows that the folder is complete.
    """

    path: Path
    proof: str = ""

    def is_there(self) -> bool:
        """Whether it was written."""
        return (self.path / self.proof).exists()


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortPart:
    """The cases of a cohort, and the columns of them, that a step reads.

    Attributes:
        folder: folder that paths of files are relative to.
        cases: the cases, in the manifest's order.
        columns: fields of a case that are read; one that names a file stands for its content.
    """

    folder: Path
    cases: tuple[Case, ...]
    columns: tuple[str, ...]

    @property
    def cohort(self) -> Manifest:
        """A manifest of these cases only."""
        return Manifest(cases=self.cases, folder=self.folder)

    def identity(self) -> dict[str, Any]:
        """The number of cases and a hash of each column."""
        hashes = {
            column: _digest([self._cell(case, column) for case in self.cases])
            for column in self.columns
        }
        return {"scans": len(self.cases), **hashes}

    def _cell(self, case: Case, column: str) -> object:
        value = getattr(case, column)
        return content_sha256(self.folder / value) if value and column in _FILE_COLUMNS else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """How steps do their work; none of it affects a result.

    Attributes:
        workers: processes that simulate and read, or `None` for the usual number.
        device: where models are trained.
        tracking: name of the tool that logs a training.
        cache: folder of decoded scans.
        progress: called with (task, done, total).
        tell: called with messages for the user.
        goes_on: whether the same work was begun before and not finished.
    """

    workers: int | None = None
    device: str = "cpu"
    tracking: str = "none"
    cache: Path | None = None
    progress: Callable[[str, int, int], None] = lambda *_: None
    tell: Callable[[str], None] = lambda _: None
    goes_on: bool = False


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """A part of a run.

    Fields of subclasses are inputs or outputs by their type: a `Path` stands for the content of
    its file or folder, a `CohortPart` for the rows and files that it reads; an `Output` is an
    output. A field of settings that changes no result has the metadata `{"decides": False}`.

    Attributes:
        name: name of the step; may contain slashes.
    """

    name: str

    @property
    def subject(self) -> str:
        """The last part of its name, which is the model for a model's step."""
        return self.name.rpartition("/")[2]

    @abstractmethod
    def work(self, means: Resources) -> bool | None:
        """Do the work; an interrupted step must not leave output that looks complete.

        Returns:
            Whether an interrupted run had done a part of it, so that its time says little.
        """

    @property
    def inputs(self) -> dict[str, Any]:
        """What the result depends on, JSON-ready, by field."""
        own = {
            field.name: identity(getattr(self, field.name))
            for field in fields(self)
            if not isinstance(getattr(self, field.name), Output)
        }
        return own | {"bonescint": __version__}

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What it writes."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(value for value in values if isinstance(value, Output))


def identity(value: object) -> Any:
    """A JSON-ready form of an input, equal for equal contents.

    Raises:
        TypeError: a type of value for which no such form is defined.

    Examples:
        >>> identity({"resamples": 100, "centres": ("A", "B")})
        {'resamples': 100, 'centres': ['A', 'B']}
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Path):
        return content_sha256(value)
    if isinstance(value, CohortPart):
        return value.identity()
    if is_dataclass(value) and not isinstance(value, type):
        decide = {
            field.name: identity(getattr(value, field.name))
            for field in fields(value)
            if field.metadata.get("decides", True)
        }
        return {"kind": type(value).__name__, **decide}
    if isinstance(value, Mapping):
        return {str(identity(name)): identity(one) for name, one in value.items()}
    if isinstance(value, Sequence):
        return [identity(one) for one in value]
    raise TypeError(f"A step cannot depend on a {type(value).__name__}.")


def content_sha256(path: Path) -> str:
    """Hash of the content of a file, or of all files of a folder and their names; `""` for none."""
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*") if file.is_file())
        return _digest([[str(file.relative_to(path)), content_sha256(file)] for file in inside])
    try:
        status = path.stat()
    except OSError:
        return ""
    return _file_sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1_000_000)
def _file_sha256(path: Path, size: int, time_ns: int) -> str:  # noqa: ARG001
    """Hash of a file; it is read again only if its size or time changes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8")).hexdigest()


class Ledger:
    """Which steps of a run are done, kept in a folder.

    Args:
        folder: the folder in which a file for each step is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def is_done(self, step: Step) -> bool:
        """Whether a step was finished with the same inputs and its outputs are there."""
        noted = self._noted(step)
        return (
            "finished" in noted
            and noted.get("inputs") == _as_noted(step.inputs)
            and all(output.is_there() for output in step.outputs)
        )

    def changed(self, step: Step) -> tuple[str, ...]:
        """Inputs that changed since the step was last begun; none if it never was.

        Columns of a cohort are listed one by one.
        """
        before = self._noted(step).get("inputs")
        return () if before is None else tuple(_differing(before, _as_noted(step.inputs)))

    def do(self, step: Step, means: Resources) -> bool:
        """Do a step unless it is done.

        Its beginning is recorded first, so that an interrupted step is not mistaken for an earlier
        one that was finished.

        Returns:
            Whether the step was done now.

        Raises:
            OutputError: the ledger cannot be written.
        """
        if self.is_done(step):
            return False
        inputs = step.inputs
        self._note(step, inputs)
        start = time.perf_counter()
        in_part = step.work(means)
        self._note(
            step,
            inputs,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=None if in_part else round(time.perf_counter() - start, 2),
        )
        return True

    def unfinished(self) -> tuple[str, ...]:
        """Names of the steps that were begun and are not finished."""
        noted = (_read(file) for file in sorted(self._folder.glob("*.json")))
        return tuple(str(one.get("step")) for one in noted if "finished" not in one)

    def was_begun(self, step: Step) -> bool:
        """Whether it was begun with the same inputs and interrupted."""
        noted = self._noted(step)
        return "finished" not in noted and noted.get("inputs") == _as_noted(step.inputs)

    def seconds(self, step: Step) -> float | None:
        """Seconds that a finished step took since it was last begun or resumed, if that is known.

        It is not where the step said that an interrupted run had done a part of it.
        """
        try:
            return float(self._noted(step)["seconds"])
        except (KeyError, TypeError, ValueError):
            return None

    def _file(self, step: Step) -> Path:
        return self._folder / f"{step.name.replace('/', '.')}.json"

    def _noted(self, step: Step) -> dict[str, Any]:
        return _read(self._file(step))

    def _note(self, step: Step, inputs: Mapping[str, Any], **more: object) -> None:
        note = {"step": step.name, **more, "inputs": inputs}
        make_folder(self._folder)
        write_whole(self._file(step), json.dumps(note, indent=1) + "\n")


def _read(file: Path) -> dict[str, Any]:
    try:
        noted = json_in(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _as_noted(inputs: Mapping[str, Any]) -> Any:
    """Inputs as they are after being written to JSON and read back."""
    return json.loads(json.dumps(inputs))


def _differing(before: object, now: Mapping[str, Any]) -> list[str]:
    if not isinstance(before, dict):
        return list(now)
    found: list[str] = []
    for name in dict.fromkeys((*now, *before)):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(new, dict) and isinstance(old, dict):
            found += _differing(old, new)
        else:
            found.append(name)
    return found
