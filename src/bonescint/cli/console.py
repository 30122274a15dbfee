"""What all commands share: printing, progress bars and error handling.

Every function imports what it needs when it is called, so that importing this module is quick.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from bonescint.scan import BonescintError

SOME_FAILED = 1
NOTHING_DONE = 2
INTERRUPTED = 130
_PIPE_WIDTH = 160
_LINE_S = 30.0

# The extra that each library comes with, for packages that import it without saying so themselves.
_EXTRA_OF = {
    "alembic": "study",
    "argon2": "study",
    "dicomweb_client": "pacs",
    "fastapi": "study",
    "fsspec": "cluster",
    "fsrs": "teach",
    "httpx": "study",
    "multipart": "study",
    "psycopg": "postgresql",
    "pyarrow": "cluster",
    "pynetdicom": "pacs",
    "pydantic": "study",
    "python_multipart": "study",
    "sqlalchemy": "study",
    "starlette": "study",
    "uvicorn": "study",
    "prometheus_client": "serve",
    "h5py": "train",
    "lightning": "train",
    "matplotlib": "evaluate",
    "mujoco": "simulate",
    "musclemimic_models": "simulate",
    "nibabel": "masks",
    "nncf": "train",
    "onnx": "train",
    "openpyxl": "evaluate",
    "ray": "cluster",
    "s3fs": "cluster",
    "safetensors": "train",
    "torch": "train",
    "trimesh": "simulate",
}


def results_console() -> Console:
    """The console on standard output, for what the user asked for."""
    return _console(stderr=False)


def messages_console() -> Console:
    """The console on standard error, for progress and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    class PipeConsole(Console):
        """Leaves a closed pipe to `clear_failures`."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    # A file or a pipe has no width; this one is wide enough that nothing is cut.
    width = None if stream.isatty() else _PIPE_WIDTH
    return PipeConsole(file=stream, width=width, highlight=False, markup=False, emoji=False)


def say(text: object) -> None:
    """Print a line on standard error; characters that cannot be displayed are escaped."""
    messages_console().print(_displayable(text), soft_wrap=True)


def say_notice(where: object = "") -> None:
    """Print where the results are, and that they are for research use only."""
    from bonescint.scan import RESEARCH_USE

    say(f"{where}. {RESEARCH_USE}" if where else RESEARCH_USE)


def show(text: object) -> None:
    """Print a line on standard output; characters that cannot be displayed are escaped."""
    results_console().print(_displayable(text), soft_wrap=True)


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    right: Collection[str] = (),
) -> None:
    """Print a table on standard output; characters that cannot be displayed are escaped.

    Args:
        columns: headings of the columns.
        rows: a cell for each column.
        title: above the table.
        right: columns that are flush right, such as numbers.
    """
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(_displayable(name), justify="right" if name in right else "left")
    for row in rows:
        table.add_row(*map(_displayable, row))
    results_console().print(table)


def say_error(error: BonescintError | str) -> None:
    """Print one line on standard error that says why the command ends."""
    typer.echo(f"Error: {_one_line(error)}", err=True)


def say_warning(text: object) -> None:
    """Print one line on standard error about something that does not end the command."""
    typer.echo(f"Warning: {_one_line(text)}", err=True)


def _one_line(text: object) -> str:
    return " ".join(_displayable(line) for line in str(text).splitlines())


def _displayable(text: object) -> str:
    from bonescint.report import displayable

    return displayable(text)


def open_in_browser(address: str) -> None:
    """Open an address in the browser, if this machine has a display."""
    import webbrowser

    has_screen = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if has_screen:
        webbrowser.open(address)


@contextmanager
def _table_warnings_said() -> Iterator[None]:
    """Print each warning about a table once, as one line; leave other warnings as they are."""
    from bonescint.tables import TableWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", TableWarning)
        others, said = warnings.showwarning, set[str]()

        def show_warning(
            message: Warning | str, category: type[Warning], *place: Any, **more: Any
        ) -> None:
            if not issubclass(category, TableWarning):
                others(message, category, *place, **more)
            elif str(message) not in said:
                said.add(str(message))
                say_warning(message)

        warnings.showwarning = show_warning
        yield


@contextmanager
def clear_failures() -> Iterator[None]:
    """Report expected errors as one line with an exit status, without a traceback.

    A warning about a table is printed once, as one line.
    """
    from bonescint.scan import BonescintError, MissingExtraError

    try:
        with _table_warnings_said():
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
    """The error to report for one of the operating system, with the path if it is known."""
    from bonescint.files import FULL, cannot_write
    from bonescint.scan import os_reason

    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    if error.errno in FULL:
        return cannot_write(Path(path or "What should be written"), error)
    return f"{path}: {os_reason(error)}." if path else f"The system refused: {os_reason(error)}."


def _fail(error: BonescintError | str, *, stdout_is_gone: bool = False) -> NoReturn:
    """Report an error, if anything can be printed, and exit with status 2."""
    if stdout_is_gone:  # what is left in its buffer would be written again at the very end
        _discard(sys.stdout)
    try:
        say_error(error)
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)
    raise typer.Exit(NOTHING_DONE)


def _discard(stream: TextIO) -> None:
    """Redirect a stream, and what is left in its buffer, to the null device."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class Shown:
    """Shows the progress of work: a bar, with printed lines above it."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, visible=False)

    def progress(self, what: str, done: int, total: int) -> None:
        """Update the bar: what is being done, and how many of how many steps are done."""
        self._bar.update(
            self._task,
            description=_displayable(what),
            completed=done,
            total=total,
            visible=done < total,
        )

    def part(self, what: str) -> Callable[[int, int], None]:
        """A progress callback for one named part of the work, called with (done, total)."""
        self._bar.update(self._task, description=what, visible=True)
        return partial(self.progress, what)

    def tell(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(_displayable(text), soft_wrap=True)

    def stop(self) -> None:
        """Remove the bar before the work has ended."""
        self._bar.stop()


@contextmanager
def progress_shown() -> Iterator[Shown]:
    """A progress bar on standard error; where that is no terminal, a line at intervals."""
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
        """Says in a line how far the work is, `_LINE_S` after its beginning and each line."""

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
        yield Shown(bar)
