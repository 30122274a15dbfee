"""A worker's own process: tasks in on stdin, outcomes out on stdout, one after another.

Started by `pool.py`. It is no child of `multiprocessing`, because that would run the
caller's main script again in each worker and could not tell which task killed one.
"""

from __future__ import annotations

import importlib
import os
import pickle
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bonescint.scan import BonescintError


class UnexpectedError(BonescintError):
    """An unforeseen error, by its kind and place only.

    Its message is left out: a library may quote a header in it.
    """

    def __init__(self, kind: str, place: str) -> None:
        self._parts = (kind, place)
        super().__init__(f"Unexpected {kind} at {place}. Please report this message.")

    def __reduce__(self) -> tuple[type[UnexpectedError], tuple[str, str]]:
        return type(self), self._parts

    @classmethod
    def of(cls, error: Exception) -> UnexpectedError:
        """Describe an error by its class and the last line of bonescint in its traceback."""
        place = "an unknown place"
        for frame in traceback.extract_tb(error.__traceback__):
            path = Path(frame.filename)
            if "bonescint" in path.parts:
                place = f"{path.parent.name}/{path.name}:{frame.lineno}"
        return cls(type(error).__name__, place)


def outcome_of(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    """Call a function: (True, its value), or (False, a `BonescintError`)."""
    try:
        return True, function(*arguments)
    except BonescintError as error:
        return False, error
    except Exception as error:  # noqa: BLE001 - one bad file must not end a batch
        return False, UnexpectedError.of(error)


def serve(preload: str) -> None:
    """Work until stdin closes.

    Args:
        preload: a module to import before the first task, while the parent does other things.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tasks = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as outcomes:
        _silence()
        if preload:
            importlib.import_module(preload)
        while True:
            try:
                function, arguments = pickle.load(tasks)  # noqa: S301 - from our own parent
            except EOFError:
                return
            pickle.dump(outcome_of(function, arguments), outcomes, protocol=5)
            outcomes.flush()


def _end_with_parent() -> None:
    """End, even in the middle of a task, when the parent has been killed."""
    if hasattr(select, "poll"):  # elsewhere the task is finished first
        parent = select.poll()
        parent.register(sys.stdin.fileno(), 0)
        parent.poll()  # until the other end of the pipe is closed
        os._exit(1)


def _silence() -> None:
    """Send what libraries print to nowhere: it would garble the outcomes, or quote a header."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
