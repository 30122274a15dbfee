"""What all commands share: where they print, and how they fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from bonescint.report import displayable
from bonescint.scan import BonescintError, MissingExtraError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

SOME_FAILED = 1
NOTHING_DONE = 2
INTERRUPTED = 130
_PIPE_WIDTH = 160

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

    stream = sys.stderr if stderr else sys.stdout
    # A file or a pipe has no width: room enough that nothing is cut.
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def say_error(error: BonescintError | str) -> None:
    """One line on standard error."""
    text = " ".join(displayable(line) for line in str(error).splitlines())
    typer.echo(f"Error: {text}", err=True)


@contextmanager
def clear_failures() -> Iterator[None]:
    """Turn errors that have a clear line into that line and an exit status, no traceback."""
    try:
        yield
    except BonescintError as error:
        say_error(error)
        raise typer.Exit(NOTHING_DONE) from error
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library not in _EXTRA_OF:
            raise
        say_error(MissingExtraError(library, _EXTRA_OF[library]))
        raise typer.Exit(NOTHING_DONE) from error
    except KeyboardInterrupt as error:
        typer.echo("Stopped with Ctrl-C.", err=True)
        raise typer.Exit(INTERRUPTED) from error


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on standard error, where a terminal is there to show it."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = messages_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield bar
