"""`bonescint info`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bonescint.cli.console import (
    NOTHING_DONE,
    SOME_FAILED,
    clear_failures,
    messages_console,
    results_console,
)
from bonescint.report import displayable
from bonescint.scan import View

if TYPE_CHECKING:
    from bonescint.dicom import InfoReport, ScanInfo

INFO_SCHEMA_VERSION = 1


def run_info(sources: list[Path], *, as_json: bool) -> None:
    """Describe the studies that are found, and exit with the status that says how it went."""
    with clear_failures():
        from bonescint.dicom import info

        report = info(sources)
        if as_json:
            typer.echo(json.dumps(_to_json(report), indent=1))
        else:
            console = results_console()
            for number, described in enumerate(report.scans):
                if number:
                    console.print()
                for label, text in _lines(described):
                    console.print(f"{label + ':':<16}{displayable(text)}", soft_wrap=True)
        messages = messages_console()
        for error in report.refused:
            messages.print(f"Rejected: {displayable(error)}", soft_wrap=True)
        if not report.scans:
            raise typer.Exit(NOTHING_DONE)
        raise typer.Exit(SOME_FAILED if report.refused else 0)


def _lines(described: ScanInfo) -> list[tuple[str, str]]:
    """Label and text of each line about one scan; what is unknown is said to be."""
    spacing = described.pixel_spacing_mm
    window = described.energy_window_kev
    unit = described.unit.value
    lines = [
        ("Scan", described.scan_id),
        ("Source", described.source),
    ]
    for view in described.views:
        total = f"total {view.total:,.0f}, maximum {view.maximum:,.0f} {unit}"
        lines.append((view.view.value.capitalize(), f"{total}; identified by {view.rule.value}"))
    present = {view.view for view in described.views}
    lines += [(view.value.capitalize(), "missing") for view in View if view not in present]
    lines += [
        ("Matrix", f"{described.rows} rows x {described.columns} columns"),
        ("Spacing", f"{spacing[0]:g} x {spacing[1]:g} mm" if spacing else "unknown"),
        ("Energy window", f"{window[0]:g} to {window[1]:g} keV" if window else "unknown"),
        ("Camera", " ".join(filter(None, (described.manufacturer, described.camera))) or "unknown"),
        ("Stored as", ", ".join(filter(None, (described.modality, described.transfer_syntax)))),
    ]
    lines += [("Warning", warning) for warning in described.warnings]
    return lines


def _to_json(report: InfoReport) -> dict[str, Any]:
    return {
        "schema_version": INFO_SCHEMA_VERSION,
        "scans": [asdict(described) for described in report.scans],
        "refused": [
            {
                "source": error.source,
                "kind": type(error).__name__,
                "reason": f"{error.problem}. {error.remedy}.",
            }
            for error in report.refused
        ],
    }
