"""Steps of a long run, each done once: what is finished is not done again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bonescint.files import json_in, make_folder, write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of a run.

    Attributes:
        name: of the step; may hold slashes.
        inputs: what its result depends on, JSON-ready.
        outputs: files that it leaves.
        work: does it; must leave nothing half-written that looks whole.
    """

    name: str
    inputs: Mapping[str, Any]
    outputs: Sequence[Path]
    work: Callable[[], None]

    @property
    def fingerprint(self) -> str:
        """Hash of what the result depends on."""
        text = json.dumps(self.inputs, sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()


class Ledger:
    """Which steps of a run are done, kept in a folder.

    Args:
        folder: where a file for each step is written.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     target = Path(folder) / "sum.txt"
        ...     step = Step(name="sum", inputs={"of": [1, 2]}, outputs=[target],
        ...                 work=lambda: target.write_text("3") and None)
        ...     ledger = Ledger(Path(folder) / "steps")
        ...     ledger.do(step), ledger.do(step)
        (True, False)
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def is_done(self, step: Step) -> bool:
        """Whether a step was finished with the same inputs and its outputs are there."""
        try:
            noted = json_in(self._file(step).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        same = isinstance(noted, dict) and noted.get("fingerprint") == step.fingerprint
        return same and all(path.exists() for path in step.outputs)

    def do(self, step: Step) -> bool:
        """Do a step unless it is done.

        Returns:
            Whether there was anything to do.

        Raises:
            OutputError: the ledger cannot be written.
        """
        if self.is_done(step):
            return False
        start = time.perf_counter()
        step.work()
        self._note(step, time.perf_counter() - start)
        return True

    def seconds(self, step: Step) -> float | None:
        """How long a finished step took, in its last part if it was stopped in between."""
        try:
            return float(json_in(self._file(step).read_text(encoding="utf-8"))["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _file(self, step: Step) -> Path:
        return self._folder / f"{step.name.replace('/', '.')}.json"

    def _note(self, step: Step, seconds: float) -> None:
        note = {
            "step": step.name,
            "fingerprint": step.fingerprint,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 2),
            "inputs": step.inputs,
        }
        file = self._file(step)
        make_folder(self._folder)
        write_whole(file, json.dumps(note, indent=1, default=str) + "\n")
