"""How a command is declared: a signature, a docstring and a call.

Imported before any command is chosen, so it imports nothing but typer.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec

import typer
from typer.core import TyperCommand, TyperGroup

_Parameters = ParamSpec("_Parameters")
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# Names of the last release: the command that they belong to, the old name, the new name. They
# work for one more release and say what they are called now.
_RENAMED: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("cohort", "check"), "--near", "--near-duplicates"),
    (("cohort", "check"), "--no-near", "--no-near-duplicates"),
)


class ClearCommand(TyperCommand):
    """A command that fails with one clear line, and exits with the status that it returns."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        from bonescint.cli.console import clear_failures

        with clear_failures():
            status = super().invoke(ctx)
        raise typer.Exit(status or 0)


class ClearGroup(TyperGroup):
    """A group of commands in which also what fails outside a command is one clear line."""

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **more: Any) -> Any:
        """Read the command line."""
        with _clear():
            words = args if parent else _with_new_names(args)
            return super().make_context(info_name, words, parent=parent, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _clear():
            return super().invoke(ctx)


def command_group(text: str, name: str | None = None) -> typer.Typer:
    """A group of commands.

    Args:
        text: its help, whose first line also stands in the list of commands.
        name: of the program; groups of commands get theirs where they are added.
    """
    return typer.Typer(
        name=name,
        cls=ClearGroup,
        help=preformatted(text),
        short_help=text.partition("\n")[0],
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_CONTEXT,
    )


def command(
    group: typer.Typer, name: str | None = None
) -> Callable[[Callable[_Parameters, int | None]], Callable[_Parameters, int | None]]:
    """Declare a function as a command.

    Its parameters are the options, its docstring is the help, whose first line also stands in the
    group's list, and what it returns is the exit status (`None` for 0).

    Args:
        group: that the command belongs to.
        name: the function's own if left out.
    """

    def declare(
        function: Callable[_Parameters, int | None],
    ) -> Callable[_Parameters, int | None]:
        text = inspect.getdoc(function) or ""
        first = text.partition("\n")[0]
        declared = group.command(
            name,
            cls=ClearCommand,
            help=preformatted(text),
            short_help=first,
            context_settings=_CONTEXT,
        )
        return declared(function)

    return declare


def preformatted(text: str) -> str:
    r"""Help whose paragraphs with indented lines are shown as they are written.

    Examples:
        >>> preformatted("One.\n\nExamples:\n  bonescint demo")
        'One.\n\n\x08\nExamples:\n  bonescint demo'
    """
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(f"\b\n{one}" if "\n " in one else one for one in paragraphs)


def _with_new_names(words: list[str]) -> list[str]:
    """The words of a command line, with names of the last release replaced by today's."""
    for path, old, new in _RENAMED:
        if tuple(words[: len(path)]) != path:
            continue
        for place in range(len(path), len(words)):
            name, equals, value = words[place].partition("=")
            if name == old:
                words = [*words[:place], f"{new}{equals}{value}", *words[place + 1 :]]
                _say_renamed(old, new)
    return words


def _say_renamed(old: str, new: str) -> None:
    typer.echo(
        f"Warning: {old} is now called {new}; the old name works in this release only.", err=True
    )


@contextmanager
def _clear() -> Iterator[None]:
    """`clear_failures`, imported only once something has failed.

    What is still to be printed is printed here: a closed pipe, or a full disk behind standard
    output, does not show before.
    """
    try:
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
    except typer.Exit:  # --help, --version, and failures that have been reported
        raise
    except (Exception, KeyboardInterrupt):
        from bonescint.cli.console import clear_failures

        with clear_failures():
            raise
