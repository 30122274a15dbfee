"""Progress: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import pytest

from bonescint.cli import console


def test_without_a_terminal_a_line_says_how_much_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_LINE_S", 0.0)
    with console.progress_shown() as shown:
        shown.progress("simulating", 3, 12)
        shown.tell("[2 of 5] Reading with ours ...")
    written = capsys.readouterr()
    assert written.err.splitlines() == [
        "simulating: 3 of 12 (25 %)",
        "[2 of 5] Reading with ours ...",
    ]
    assert written.out == ""


def test_without_a_terminal_quick_work_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_shown() as shown:
        for done in range(100):
            shown.progress("reading", done, 100)
    assert capsys.readouterr().err == ""


def test_a_line_holds_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_LINE_S", 0.0)
    with console.progress_shown() as shown:
        shown.progress("\x1b[31mred", 1, 2)
    assert "\x1b" not in capsys.readouterr().err
