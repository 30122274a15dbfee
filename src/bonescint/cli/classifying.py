"""`bonescint classify`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from bonescint.cli.console import (
    INTERRUPTED,
    NOTHING_DONE,
    SOME_FAILED,
    clear_failures,
    messages_console,
    progress_bar,
    results_console,
)
from bonescint.report import displayable, operating_point_text
from bonescint.scan import Call

if TYPE_CHECKING:
    from bonescint.classify import ClassifiedScan, ClassifySummary, Refusal

_WIDE = 110
_MOST_ROWS = 60


def run_classify(
    sources: list[Path],
    out: Path,
    *,
    model: Path | None,
    workers: int | None,
    device: str,
    hash_sources: bool,
    call_anyway: bool,
    as_json: bool,
) -> None:
    """Classify, print a table or JSON, and exit with the status that says how it went."""
    with clear_failures():
        from bonescint.classify import classify

        summary = _with_progress(
            lambda progress: classify(
                sources,
                out,
                model=model,
                workers=workers,
                device=device,
                hash_sources=hash_sources,
                call_anyway=call_anyway,
                progress=progress,
            )
        )
        _report(summary, as_json=as_json, hashed=hash_sources)


def run_demo(out: Path, *, opens: bool) -> None:
    """Classify the demonstration's scans, then show the page in a browser if there is one."""
    with clear_failures():
        from bonescint.classify import demo

        summary = _with_progress(lambda progress: demo(out, progress=progress))
        if opens:
            open_page(summary.folder / "index.html")
        _report(summary, as_json=False)


def open_page(page: Path) -> None:
    """Open a page in the browser, where somebody could be looking at one."""
    open_address(page.resolve().as_uri())


def open_address(address: str) -> None:
    """Open an address in the browser, where somebody could be looking at it."""
    import os
    import sys
    import webbrowser

    has_screen = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if has_screen:
        webbrowser.open(address)


def _with_progress(
    work: Callable[[Callable[[int, int], None]], ClassifySummary],
) -> ClassifySummary:
    """Run under a progress bar; Ctrl-C gives what was done until then."""
    from bonescint.classify import ClassifyInterrupted

    try:
        with progress_bar() as bar:
            task = bar.add_task("Reading", total=None)
            return work(
                lambda done, total: bar.update(
                    task, description="Classifying", completed=done, total=total
                )
            )
    except ClassifyInterrupted as stopped:
        return stopped.summary


def _report(summary: ClassifySummary, *, as_json: bool, hashed: bool = False) -> NoReturn:
    """Print what came out, and exit with the status that says how it went."""
    if as_json:
        typer.echo(json.dumps(summary.to_json(), indent=1))
    else:
        _print_table(summary)
    _print_messages(summary)
    if hashed:
        from bonescint.classify.naming import private_folder

        private = displayable(private_folder(summary.folder) / "sources.csv")
        messages_console().print(
            f"Which file is which: {private}. Keep it, and do not share it.", soft_wrap=True
        )
    raise typer.Exit(_status(summary))


def _status(summary: ClassifySummary) -> int:
    if summary.interrupted:
        return INTERRUPTED
    if not summary.results:
        return NOTHING_DONE
    return SOME_FAILED if summary.refused else 0


def _print_table(summary: ClassifySummary) -> None:
    from rich.table import Table

    console = results_console()
    if summary.results:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("Scan", overflow="fold")
        letters = console.width // (3 if console.width >= _WIDE else 4)
        table.add_column("Source", overflow="fold", no_wrap=console.width >= _WIDE)
        table.add_column("Views", no_wrap=True)
        table.add_column("Probability", justify="right")
        table.add_column(f"Call at {operating_point_text(summary.operating_point)}")
        table.add_column("Warnings", overflow="fold")
        for result in summary.results[:_MOST_ROWS]:
            table.add_row(*_cells(result, source_letters=letters))
        console.print(table)
    for result in summary.results[:_MOST_ROWS]:
        if result.truth:
            said = result.truth.beside(positive=result.positive)
            console.print(f"Truth of {displayable(result.scan_id)}: {said}", highlight=False)
    hidden = len(summary.results) - _MOST_ROWS
    if hidden > 0:
        console.print(
            f"... and {hidden} more in {_shown(summary.folder / 'results.csv')}",
            soft_wrap=True,
        )


def _cells(result: ClassifiedScan, *, source_letters: int) -> tuple[str, ...]:
    return (
        displayable(result.scan_id),
        shortened(displayable(result.source), source_letters),
        "+".join({"anterior": "AP", "posterior": "PA"}[view] for view in result.views),
        f"{result.mbd_probability:.3f}",
        Call.of(result.positive).value + (" ?" if result.uncertain else ""),
        displayable("; ".join(result.warnings)),
    )


def _print_messages(summary: ClassifySummary) -> None:
    """What was refused, where the results are, and what they are not."""
    console = messages_console()
    say: Callable[[str], None] = lambda text: console.print(text, soft_wrap=True)  # noqa: E731
    print_refused(summary.refused, say, listed=summary.written)
    if summary.interrupted:
        say(
            f"Stopped with Ctrl-C after {len(summary.results)} scans, whose results are "
            f"written. Rerun the same command to resume."
        )
    elif not summary.results:
        say("Nothing could be classified" + ("." if summary.refused else ": no file was found."))
    if summary.taken_over:
        say(f"{summary.taken_over} scans were finished by an interrupted run, and were kept.")
    if not summary.written:
        say(f"The earlier results in {_shown(summary.folder)} are left as they are.")
    elif not summary.results:
        if summary.refused:
            say(f"{_shown(summary.folder / 'results.json')} lists them all.")
    else:
        scans = "1 scan" if len(summary.results) == 1 else f"{len(summary.results)} scans"
        say(
            f"{scans} in {summary.seconds:.1f} s by {summary.model_id}: "
            f"{summary.calls.in_words()}. "
            f"Look at {_shown(summary.folder / 'index.html')}"
        )
    if summary.calls.no_call:
        say(
            "Scans without a call are unlike the scans this model knows. Adapt it to your camera "
            "(bonescint model adapt), or call them all the same (--call-anyway)."
        )
    say("Research use only. Not a medical device.")


def print_refused(
    refused: tuple[Refusal, ...], say: Callable[[str], None], *, listed: bool
) -> None:
    """One line for each refused input, the first of many (if results.json lists them all)."""
    for refusal in refused[:_MOST_ROWS]:
        say(f"Rejected: {displayable(refusal.source)}: {displayable(refusal.reason)}")
    hidden = len(refused) - _MOST_ROWS
    if hidden > 0:
        where = "; results.json has the reasons" if listed else ""
        say(f"... and {hidden} more were rejected{where}.")


def shortened(text: str, letters: int) -> str:
    """Text of at most so many letters, cut in the middle: the end of a path tells most.

    Examples:
        >>> shortened("archive/2019/unit-3/study-0815.dcm", 24)
        'archive...study-0815.dcm'
    """
    if len(text) <= letters:
        return text
    kept = max(8, letters) - 3
    return f"{text[: kept // 3]}...{text[kept // 3 - kept :]}"


def _shown(path: Path) -> str:
    """A path that breaks no line and moves no cursor."""
    return displayable(path)
