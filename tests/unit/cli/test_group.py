"""How a command is declared: arguments, options and help from a signature and its docstring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner, Result

from bonescint.cli.app import app
from bonescint.cli.group import command, command_group

tried = command_group("Commands to try.", "tried")
given: dict[str, object] = {}


@command(tried)
def weigh(
    scans: list[Path],
    *,
    out: Path = Path("here"),
    by_hand: bool = False,
    most: Annotated[int, typer.Option(min=1, help="At most so many.")] = 3,
) -> int:
    """Weigh scans, one by one.

    Args:
        scans: Files
            to weigh.
        out: Where to write.
        by_hand: Without scales.

    Examples:
      tried weigh a.dcm   b.dcm
    """
    given.update(scans=scans, out=out, by_hand=by_hand, most=most)
    return len(scans) - 1


@command(tried)
def rest() -> None:
    """Do nothing."""


def run(*words: str) -> Result:
    return CliRunner().invoke(tried, list(words))


def test_positional_parameters_are_arguments_and_the_others_options() -> None:
    assert run("weigh", "a", "b", "-o", "there", "--by-hand", "--most", "2").exit_code == 1
    assert given == {
        "scans": [Path("a"), Path("b")],
        "out": Path("there"),
        "by_hand": True,
        "most": 2,
    }
    assert run("weigh", "a").exit_code == 0
    assert run("rest").exit_code == 0


def test_help_is_the_docstring() -> None:
    said = run("weigh", "--help").stdout
    assert "Weigh scans, one by one.\n" in said
    assert "\n    tried weigh a.dcm   b.dcm\n" in said  # as it is written
    assert "SCANS" in said
    for text in ("Files to weigh.", "Where to write.", "Without scales.", "At most so many."):
        assert text in said
    assert "Args:" not in said
    assert "--no-by-hand" not in said
    assert "Weigh scans, one by one." in run("--help").stdout


def test_an_empty_path_and_a_number_out_of_range_are_refused() -> None:
    for words in (("weigh", ""), ("weigh", "a", "--out", ""), ("weigh", "a", "--most", "0")):
        assert run(*words).exit_code == 2


def _commands() -> list[tuple[str, ...]]:
    root = typer.main.get_command(app)
    names: list[tuple[str, ...]] = []
    for name, one in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(one, "commands", None)
        names += [(name, each) for each in inner] if inner else [(name,)]
    return names


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_every_command_describes_every_parameter_and_gives_an_example(
    words: tuple[str, ...],
) -> None:
    one = typer.main.get_command(app)
    for word in words:
        one = one.commands[word]  # type: ignore[attr-defined]
    assert [each.name for each in one.params if not getattr(each, "help", "")] == []
    said = CliRunner().invoke(app, [*words, "--help"]).stdout
    assert f"bonescint {' '.join(words)}" in said.partition("Example")[2]


@pytest.mark.parametrize(
    ("words", "now"),
    [
        (("train", "none.csv", "--out", "x", "--recipe=ibrahim2023"), "--preprocessing"),
        (("cohort", "check", "none.csv", "--no-near"), "--no-near-duplicates"),
        (("study", "readers", "none", "--keep-out", "r1"), "--deactivate"),
        (("study", "readers", "none", "--let-in", "r1"), "--activate"),
    ],
)
def test_names_of_the_last_release_work_and_say_what_they_are_now(
    words: tuple[str, ...], now: str
) -> None:
    ran = CliRunner().invoke(app, list(words))
    first, second = ran.stderr.splitlines()
    assert first.startswith("Warning: --")
    assert first.endswith(f"is now called {now}; the old name works in this release only.")
    assert second.startswith("Error: none")  # and no usage error
