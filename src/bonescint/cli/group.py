"""The group of all commands, light: it stands before any command is chosen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup


class ClearGroup(TyperGroup):
    """The commands, none of which ends with a traceback that has a clear line."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the command line."""
        with _clear():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _clear():
            return super().invoke(ctx)


@contextmanager
def _clear() -> Iterator[None]:
    """`clear_failures`, imported where something failed.

    What is still to be printed is printed here: a pipe that was closed, or a full disk behind
    standard output, shows itself only then.
    """
    try:
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
    except typer.Exit:  # --help, --version, and what has been said
        raise
    except (Exception, KeyboardInterrupt):
        from bonescint.cli.console import clear_failures

        with clear_failures():
            raise
