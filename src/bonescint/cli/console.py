"""What all commands share: where they print, and how they fail."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TextIO

import typer

from bonescint.files import FULL, cannot_write
from bonescint.report import displayable
from bonescint.scan import BonescintError, MissingExtraError, os_reason
from bonescint.tables import TableWarning

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

SOME_FAILED = 1
NOTHING_DONE = 2
INTERRUPTED = 130
_PIPE_WIDTH = 160
_LINE_S = 30.0

# Libraries that come with an extra, for rooms that import them without saying so themselves.
_EXTRA_OF = {
    "alembic": "study",
    "argon2": "study",
    "fastapi": "study",
    "httpx": "study",
    "multipart": "study",
    "psycopg": "postgresql",
    "pydantic": "study",
    "python_multipart": "study",
    "sqlalchemy": "study",
    "starlette": "study",
    "uvicorn": "study",
    "h5py": "train",
    "lightning": "train",
    "matplotlib": "evaluate",
    "mujoco": "simulate",
    "musclemimic_models": "simulate",
    "nibabel": "masks",
    "nncf": "train",
    "onnx": "train",
    "openpyxl": "evaluate",
    "safetensors": "train",
    "torch": "train",
    "trimesh": "simulate",
}


def results_console() -> Console:
    """Standard output: for what the user asked for."""
    return _console(stderr=False)


def messages_console() -> Console:
    """Standard error: for progress, and for what went wrong."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    class PipeConsole(Console):
        """One that leaves a closed pipe to `clear_failures`."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    # A file or a pipe has no width: room enough that nothing is cut.
    width = None if stream.isatty() else _PIPE_WIDTH
    return PipeConsole(file=stream, width=width, highlight=False, markup=False, emoji=False)


def say_error(error: BonescintError | str) -> None:
    """One line on standard error."""
    text = " ".join(displayable(line) for line in str(error).splitlines())
    typer.echo(f"Error: {text}", err=True)


def say_warning(text: str) -> None:
    """One line on standard error about what was done all the same."""
    typer.echo(f"Warning: {text}", err=True)


class _TableWarnings:
    """Says each warning of a table once, on standard error; others go their way."""

    def __init__(self, others: Callable[..., None]) -> None:
        self._others = others
        self._said: set[str] = set()

    def __call__(
        self, message: Warning | str, category: type[Warning], *args: Any, **options: Any
    ) -> None:
        text = " ".join(displayable(line) for line in str(message).splitlines())
        if not issubclass(category, TableWarning):
            self._others(message, category, *args, **options)
        elif text not in self._said:
            self._said.add(text)
            say_warning(text)


@contextmanager
def clear_failures() -> Iterator[None]:
    """Turn errors that have a clear line into that line and an exit status, no traceback.

    What has to be known of a table that was read is one line each, said once.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", TableWarning)
            warnings.showwarning = _TableWarnings(warnings.showwarning)
            yield
    except BonescintError as error:
        _fail(error)
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library not in _EXTRA_OF:
            raise
        _fail(MissingExtraError(library, _EXTRA_OF[library]))
    except BrokenPipeError:
        _fail("The output was closed before everything was printed.", stdout_is_gone=True)
    except OSError as error:
        _fail(_of_system(error), stdout_is_gone=error.filename is None)
    except RecursionError:
        _fail("A file is nested too deeply to be read.")
    except MemoryError:
        _fail("There is not enough memory for this command.")
    except KeyboardInterrupt as error:
        typer.echo("Stopped with Ctrl-C.", err=True)
        raise typer.Exit(INTERRUPTED) from error


def _of_system(error: OSError) -> BonescintError | str:
    """What the system refused; a full disk names what could not be written."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    if error.errno in FULL:
        return cannot_write(Path(path or "What should be written"), error)
    return f"{path}: {os_reason(error)}." if path else f"The system refused: {os_reason(error)}."


def _fail(error: BonescintError | str, *, stdout_is_gone: bool = False) -> NoReturn:
    """Say what is wrong, if that can be said, and end with status 2."""
    if stdout_is_gone:  # what is left in its buffer would be tried again at the very end
        _discard(sys.stdout)
    try:
        say_error(error)
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)
    raise typer.Exit(NOTHING_DONE)


def _discard(stream: TextIO) -> None:
    """Send a stream to nowhere, with what is left in its buffer."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on standard error; without a terminal a line now and then."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    class Lines(Progress):
        """Says in a line where the work is, `_LINE_S` after its beginning and after each line."""

        said_at = time.monotonic()

        def update(self, task_id: TaskID, **changes: Any) -> None:
            super().update(task_id, **changes)
            task = self.tasks[task_id]
            if time.monotonic() - self.said_at >= _LINE_S and task.total:
                self.said_at = time.monotonic()
                share = f"{task.completed:.0f} of {task.total:.0f} ({task.percentage:.0f} %)"
                self.console.print(f"{task.description}: {share}", soft_wrap=True)

    console = messages_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    kind = Progress if console.is_terminal else Lines
    with kind(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar


class Shown(NamedTuple):
    """Where work of several parts says how far it is.

    Attributes:
        progress: called with what is being done, how much of it is done, and of how much.
        tell: prints a line.
    """

    progress: Callable[[str, int, int], None]
    tell: Callable[[str], None]


@contextmanager
def progress_shown() -> Iterator[Shown]:
    """A progress bar for work of several parts, with lines above it."""
    with progress_bar() as bar:
        task = bar.add_task("", total=None, visible=False)

        def progress(what: str, done: int, total: int) -> None:
            bar.update(
                task,
                description=displayable(what),
                completed=done,
                total=total,
                visible=done < total,
            )

        yield Shown(progress, lambda text: bar.console.print(displayable(text), soft_wrap=True))
