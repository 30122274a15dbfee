"""How a command is declared: a signature, a docstring and a call.

Imported before any command is chosen, so it imports nothing but typer.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

_Function = TypeVar("_Function", bound=Callable[..., int | None])
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# Names of the last release: the command that they belong to, the old name, the new name. They
# work for one more release and say what they are called now.
_RENAMED: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("train",), "--recipe", "--preprocessing"),
    (("study", "readers"), "--keep-out", "--deactivate"),
    (("study", "readers"), "--let-in", "--activate"),
    (("cohort", "check"), "--near", "--near-duplicates"),
    (("cohort", "check"), "--no-near", "--no-near-duplicates"),
)


# Options that stand on the command line: the name of each one's parameter, and how it is written.
_given: ContextVar[Mapping[str, str]] = ContextVar("_given")


class ClearCommand(TyperCommand):
    """A command that fails with one clear line, and exits with the status that it returns."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        from bonescint.cli.console import clear_failures

        sources = {one: ctx.get_parameter_source(one.name) for one in self.params}
        _given.set(
            {
                str(one.name): one.opts[0]
                for one, source in sources.items()
                if source is not None and source.name == "COMMANDLINE"
            }
        )
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
        name: name of the program; groups of commands get theirs where they are added.
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


def command(group: typer.Typer, name: str | None = None) -> Callable[[_Function], _Function]:
    """Declare a function as a command of a group, by its own name unless another one is given.

    Positional parameters become arguments, keyword-only ones options; `out` is `-o`, too, and a
    path must not be empty. The docstring is the help: its first line also stands in the list of
    commands, and its section `Args` has the help of each parameter, unless the parameter's type
    brings its own (see `options`). What the function returns is the exit status, `None` for 0.
    """

    def declare(function: _Function) -> _Function:
        text, described = _help_of(inspect.getdoc(function) or "")
        hints = get_type_hints(function, include_extras=True)
        for parameter in inspect.signature(function).parameters.values():
            words = described.get(parameter.name)
            hint = _declared(parameter, hints[parameter.name], words)
            function.__annotations__[parameter.name] = hint
        group.command(
            name,
            cls=ClearCommand,
            help=preformatted(text),
            short_help=text.partition("\n")[0],
            context_settings=_CONTEXT,
        )(function)
        return function

    return declare


def refuse_unread(goes_with: Mapping[str, Sequence[str]], chosen: Container[str]) -> None:
    """Refuse options that the running command was given and would not read.

    Args:
        goes_with: for the name of an option's parameter, the choices with which it is read.
        chosen: the choices that were made.

    Raises:
        typer.BadParameter: an option was given without any of its choices.
    """
    given = _given.get()
    for name, choices in goes_with.items():
        if name in given and not any(one in chosen for one in choices):
            raise typer.BadParameter(f"{given[name]} goes with {' or '.join(choices)}.")


def _help_of(docstring: str) -> tuple[str, dict[str, str]]:
    """The help of a command, and that of each parameter in its section `Args`."""
    before, _, rest = docstring.partition("\n\nArgs:\n")
    section, _, after = rest.partition("\n\n")
    described: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line.startswith(" " * 8):
            described[name] += f" {line.strip()}"
        else:
            name, _, words = line.strip().partition(": ")
            described[name] = words
    return "\n\n".join(filter(None, (before, after))), described


def _declared(parameter: inspect.Parameter, hint: Any, words: str | None) -> Any:
    """A parameter's type as typer reads it."""
    kind, *given = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    info: Any
    if given:
        info = copy.copy(given[0])
    elif parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
        info = typer.Argument(metavar=parameter.name.upper())
    elif parameter.name == "out":
        info = typer.Option("--out", "-o")
    elif parameter.default is False:  # without a --no-... that would change nothing
        info = typer.Option(f"--{parameter.name.replace('_', '-')}")
    else:
        info = typer.Option()
    info.help = words or info.help
    if Path in (kind, *get_args(kind)):
        info.parser = _path
    return Annotated[kind, info]


def _path(given: str) -> Path:
    """A path from the command line; `''`, which is often an unset variable, is refused."""
    if not str(given):
        raise typer.BadParameter("an empty path. Give a name; '.' is the current folder.")
    return Path(given)


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
                said = f"{old} is now called {new}; the old name works in this release only."
                typer.echo(f"Warning: {said}", err=True)
    return words


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
