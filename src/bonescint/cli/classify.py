"""`bonescint classify`, `demo` and `info`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bonescint.cli.console import (
    INTERRUPTED,
    NOTHING_DONE,
    NOTICE,
    SOME_FAILED,
    open_in_browser,
    progress_shown,
    results_console,
    say,
    show,
)
from bonescint.cli.options import AnyWorkers, AsJson, Device, Open, Sources

if TYPE_CHECKING:
    from bonescint.classify import ClassifiedScan, ClassifySummary
    from bonescint.dicom import ScanInfo

_INFO_SCHEMA_VERSION = 1
_WIDE = 110
_MOST_ROWS = 60


def classify(
    sources: Sources,
    *,
    out: Path = Path("results"),
    model: Path | None = None,
    workers: AnyWorkers = None,
    device: Device = "cpu",
    hash_sources: bool = False,
    call_anyway: bool = False,
    as_json: AsJson = False,
) -> int:
    """Classify scans: tables, pictures with the evidence, a page.

    SOURCES are DICOM files, pairs of PNGs, JPEGs or TIFFs (*_anterior.png, *_posterior.png),
    pictures with AP and PA side by side, and folders and ZIP archives, which are searched
    recursively. Files that are not bone scans are rejected and listed with the reason; the rest of
    the batch continues.

    A scan that is too unlike those that the model knows gets a probability and a map, and no call.
    `bonescint model adapt` adapts the model to your camera; --call-anyway calls such scans, too.

    If interrupted with Ctrl-C, rerun the same command to resume: finished scans are not repeated
    unless the model, the settings, the versions or their files have changed.

    Names and numbers in headers never reach the results. Names of files and folders do: results
    give the path of a file relative to what you gave (for "archive/" perhaps "DOE JOHN
    123456/IM0001"). With --hash-sources they contain a keyed hash instead; OUT.private/sources.csv,
    for you alone, lists which file is which. A name burned into the pixels is not removed.

    Args:
        out: Results folder.
        model: Model folder, or 'shipped', the model that comes with bonescint (the default).
        hash_sources: Replace names of files and folders in the results by a keyed hash.
        call_anyway: Call scans that are too unlike those the model knows, too.

    Written to the results folder:
      results.csv    one row per scan: scan_id, source, views, mbd_probability, call, ...
      results.json   the same and more: activation maps, the model card, rejected files with reasons
      pictures/      one picture per scan: AP | PA, alone and with the evidence overlaid
      index.html     all scans on one page, offline

    Examples:
      bonescint classify scan.dcm
      bonescint classify archive/ --out results/ --workers 4
      bonescint classify archive/ --model my-model/ --json > summary.json
      bonescint classify archive/ --out results/ --hash-sources
    """
    from bonescint.classify import classify

    return _run(
        lambda progress: classify(
            sources,
            out,
            model=model,
            workers=workers,
            device=device,
            hash_sources=hash_sources,
            call_anyway=call_anyway,
            progress=progress,
        ),
        as_json=as_json,
        hashed=hash_sources,
    )


def demo(*, out: Path = Path("results"), opens: Open = True) -> int:
    """Classify one real scan and three simulated studies, and show the page of results.

    The real scan (anterior view only) comes with the package pydicom-data:
    pip install 'bonescint[demo]'

    Args:
        out: Results folder.

    Example:
      bonescint demo --out results/
    """
    from bonescint.classify import demo

    return _run(lambda progress: demo(out, progress=progress), opens=opens)


def info(sources: Sources, *, as_json: AsJson = False) -> int:
    """Show what a file contains: views and how they were identified, matrix, spacing, counts.

    Examples:
      bonescint info scan.dcm
      bonescint info archive/ --json | jq '.scans[].warnings'
    """
    from bonescint.dicom import info

    report = info(sources)
    if as_json:
        refused = [
            {
                "source": error.source,
                "kind": type(error).__name__,
                "reason": f"{error.problem}. {error.remedy}.",
            }
            for error in report.refused
        ]
        scans = [asdict(described) for described in report.scans]
        content = {"schema_version": _INFO_SCHEMA_VERSION, "scans": scans, "refused": refused}
        typer.echo(json.dumps(content, indent=1))
    else:
        for number, described in enumerate(report.scans):
            if number:
                show("")
            for label, text in _described(described):
                show(f"{label + ':':<16}{text}")
    for error in report.refused:
        say(f"Rejected: {error}")
    if not report.scans:
        return NOTHING_DONE
    return SOME_FAILED if report.refused else 0


def _described(scan: ScanInfo) -> list[tuple[str, str]]:
    """Label and text of each line about one scan; what is unknown is said to be."""
    from bonescint.scan import View

    spacing, window = scan.pixel_spacing_mm, scan.energy_window_kev
    seen = {
        view.view: f"total {view.total:,.0f}, maximum {view.maximum:,.0f} {scan.unit.value}; "
        f"identified by {view.rule.value}"
        for view in scan.views
    }
    camera = " ".join(filter(None, (scan.manufacturer, scan.camera)))
    return [
        ("Scan", scan.scan_id),
        ("Source", scan.source),
        *((view.value.capitalize(), text) for view, text in seen.items()),
        *((view.value.capitalize(), "missing") for view in View if view not in seen),
        ("Matrix", f"{scan.rows} rows x {scan.columns} columns"),
        ("Spacing", f"{spacing[0]:g} x {spacing[1]:g} mm" if spacing else "unknown"),
        ("Energy window", f"{window[0]:g} to {window[1]:g} keV" if window else "unknown"),
        ("Camera", camera or "unknown"),
        ("Stored as", ", ".join(filter(None, (scan.modality, scan.transfer_syntax)))),
        *(("Warning", warning) for warning in scan.warnings),
    ]


def _run(
    work: Callable[[Callable[[int, int], None]], ClassifySummary],
    *,
    as_json: bool = False,
    hashed: bool = False,
    opens: bool = False,
) -> int:
    """Classify under a progress bar, print what came out, and return the exit status."""
    from bonescint.classify import ClassifyInterrupted

    try:
        with progress_shown() as shown:
            summary = work(shown.part("Classifying"))
    except ClassifyInterrupted as interrupted:  # with what was done until then
        summary = interrupted.summary
    if opens:
        open_in_browser((summary.folder / "index.html").resolve().as_uri())
    if as_json:
        typer.echo(json.dumps(summary.to_json(), indent=1))
    else:
        _print_table(summary)
    for message in _messages(summary):
        say(message)
    if hashed:
        from bonescint.classify.naming import private_folder

        private = private_folder(summary.folder) / "sources.csv"
        say(f"Which file is which: {private}. Keep it, and do not share it.")
    if summary.interrupted:
        return INTERRUPTED
    if not summary.results:
        return NOTHING_DONE
    return SOME_FAILED if summary.refused else 0


def _print_table(summary: ClassifySummary) -> None:
    from rich.table import Table

    from bonescint.report import operating_point_text

    if summary.results:
        console = results_console()
        wide = console.width >= _WIDE
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("Scan", overflow="fold")
        table.add_column("Source", overflow="fold", no_wrap=wide)
        table.add_column("Views", no_wrap=True)
        table.add_column("Probability", justify="right")
        table.add_column(f"Call at {operating_point_text(summary.operating_point)}")
        table.add_column("Warnings", overflow="fold")
        for result in summary.results[:_MOST_ROWS]:
            table.add_row(*_cells(result, source_letters=console.width // (3 if wide else 4)))
        console.print(table)
    for result in summary.results[:_MOST_ROWS]:
        if result.truth:
            said = result.truth.beside(positive=result.positive)
            show(f"Truth of {result.scan_id}: {said}")
    hidden = len(summary.results) - _MOST_ROWS
    if hidden > 0:
        show(f"... and {hidden} more in {summary.folder / 'results.csv'}")


def _cells(result: ClassifiedScan, *, source_letters: int) -> tuple[str, ...]:
    from bonescint.report import displayable
    from bonescint.scan import Call

    return (
        displayable(result.scan_id),
        shortened(displayable(result.source), source_letters),
        "+".join({"anterior": "AP", "posterior": "PA"}[view] for view in result.views),
        f"{result.mbd_probability:.3f}",
        Call.of(result.positive).value + (" ?" if result.uncertain else ""),
        displayable("; ".join(result.warnings)),
    )


def _messages(summary: ClassifySummary) -> Iterator[str]:
    """What was rejected, where the results are, and what they are not."""
    yield from _rejected(summary)
    if summary.interrupted:
        yield (
            f"Stopped with Ctrl-C after {len(summary.results)} scans, whose results are "
            f"written. Rerun the same command to resume."
        )
    elif not summary.results:
        yield "Nothing could be classified" + ("." if summary.refused else ": no file was found.")
    if summary.taken_over:
        yield f"{summary.taken_over} scans were finished by an interrupted run, and were kept."
    if not summary.written:
        yield f"The earlier results in {summary.folder} are left as they are."
    elif summary.results:
        scans = "1 scan" if len(summary.results) == 1 else f"{len(summary.results)} scans"
        yield (
            f"{scans} in {summary.seconds:.1f} s by {summary.model_id}: "
            f"{summary.calls.in_words()}. Look at {summary.folder / 'index.html'}"
        )
    elif summary.refused:
        yield f"{summary.folder / 'results.json'} lists them all."
    if summary.calls.no_call:
        yield (
            "Scans without a call are unlike the scans this model knows. Adapt it to your camera "
            "(bonescint model adapt), or call them all the same (--call-anyway)."
        )
    yield NOTICE


def _rejected(summary: ClassifySummary) -> Iterator[str]:
    """A line for each rejected input; of many, the first, if results.json lists them all."""
    for refusal in summary.refused[:_MOST_ROWS]:
        yield f"Rejected: {refusal.source}: {refusal.reason}"
    hidden = len(summary.refused) - _MOST_ROWS
    if hidden > 0:
        where = "; results.json has the reasons" if summary.written else ""
        yield f"... and {hidden} more were rejected{where}."


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
