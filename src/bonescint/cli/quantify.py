"""`bonescint quantify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bonescint.cli.console import (
    NOTHING_DONE,
    SOME_FAILED,
    progress_shown,
    say,
    say_notice,
    show,
    show_table,
)
from bonescint.cli.options import AnyWorkers, AsJson, Device, Sources

if TYPE_CHECKING:
    from bonescint.classify.quantifying import QuantifySummary

Masses = Annotated[
    Literal["spiers", "simulator"],
    typer.Option(help="Table of the bones' masses for the Bone Scan Index."),
]

Prior = Annotated[
    list[Path] | None,
    typer.Option(help="An earlier scan of the same patient; repeat it, the oldest first."),
]
Weeks = Annotated[
    list[float] | None,
    typer.Option(help="With --prior: weeks after the start of treatment, once for each scan."),
]


def quantify(
    sources: Sources,
    *,
    out: Path | None = None,
    prior: Prior = None,
    weeks: Weeks = None,
    model: Path | None = None,
    masses: Masses = "spiers",
    workers: AnyWorkers = None,
    device: Device = "cpu",
    call_anyway: bool = False,
    detectability: bool = False,
    dicom: bool = False,
    as_json: AsJson = False,
) -> int:
    """Find regions and foci of scans, and the Bone Scan Index with its interval.

    SOURCES are what `bonescint classify` takes. Each scan is registered to an atlas of the bones;
    foci are outlined, matched between the views and named by their bone. The Bone Scan Index is
    the share of the skeleton's mass that is diseased, with a 95 % interval.

    A scan that is too unlike those that the model knows, or whose bones are not found well, gets no
    index, and the results say why. Without a pixel spacing there are no areas in mm². Research use
    only; not a medical device.

    With --prior, SOURCES is one scan, and the results are the changes since the prior scan: new,
    gone, grown and shrunk foci, the index over time, and with --weeks the outcome of PCWG3's 2+2
    rule (change.json, change.csv, change.png, index.html; bsi.png if two scans have an index and
    bonescint[evaluate] is installed).

    If interrupted with Ctrl-C, rerun the same command to resume: finished scans are not repeated
    unless the model, the settings, the version, their files or the names of these have changed. The
    results are the same for any number of workers.

    Args:
        out: Results folder; 'quantified' unless given, with --prior 'change'.
        model: Model folder, or a name of `bonescint model list` (default: shipped); its map must be
            the probability of each cell.
        call_anyway: Also give an index for scans that are too unlike those that the model knows.
        detectability: Also estimate the contrast at which 80 % of lesions of 10 mm are found, by
            adding lesions to each bone of the scan (about a minute of one core per scan).
        dicom: Also write each result as DICOM Structured Reports for the PACS.

    Written to the results folder:
      scans.csv      one row per scan: index, interval, number of metastases, remarks
      foci.csv       one row per focus: bone, region, probability, contrast, areas
      results.json   the same and more: outlines, areas of the twelve regions, refused files
      detectability.csv   with --detectability, one row per bone of each scan
      pictures/      one picture per scan: outlined foci, and the regions
      dicom/         with --dicom: Structured Reports of each scan, in new series of its study;
                     they hold the patient's name and numbers
      index.html     all scans on one page, which needs no network

    Examples:
      bonescint quantify scan.dcm
      bonescint quantify archive/ --out quantified/ --workers 4 --masses simulator
      bonescint quantify scan.dcm --detectability
      bonescint quantify study/ --out quantified/ --dicom
      bonescint quantify now.dcm --prior before.dcm --out change/
      bonescint quantify scan.dcm --json | jq '.scans[].bone_scan_index'
    """
    alone = ("--detectability", detectability), ("--dicom", dicom), ("--workers", workers)
    for option, chosen in alone:
        if chosen and (prior or weeks):
            from bonescint.scan import ParameterError

            raise ParameterError(option, "quantify", "given without --prior", chosen)
    if prior or weeks:
        return _change(
            sources,
            prior or [],
            out or Path("change"),
            weeks,
            model,
            masses,
            device,
            call_anyway,
            as_json,
        )
    from bonescint.classify.quantifying import quantify as quantify_sources
    from bonescint.quantify import MassTable

    with progress_shown() as shown:
        summary = quantify_sources(
            sources,
            out or Path("quantified"),
            model=model,
            masses=MassTable(masses),
            workers=workers,
            device=device,
            call_anyway=call_anyway,
            detectability=detectability,
            dicom=dicom,
            progress=shown.part("Quantifying"),
        )
    if as_json:
        refused = [entry.to_json() for entry in summary.refused]
        typer.echo(json.dumps({"scans": summary.scans, "refused": refused}, indent=1))
    else:
        _print_table(summary)
    for entry in summary.refused:
        say(f"Rejected: {entry.source}: {entry.reason}")
    not_delivered = [one["not_delivered"] for one in summary.scans if "not_delivered" in one]
    for reason in not_delivered:
        say(f"No DICOM reports: {reason}")
    if summary.written:
        say_notice(summary.folder / "index.html")
    else:
        say_notice(f"The earlier results in {summary.folder} are left as they are")
    if not summary.scans:
        return NOTHING_DONE
    return SOME_FAILED if summary.refused or not_delivered else 0


def _change(
    sources: list[Path],
    priors: list[Path],
    out: Path,
    weeks: list[float] | None,
    model: Path | None,
    masses: str,
    device: str,
    call_anyway: bool,
    as_json: bool,
) -> int:
    from bonescint.classify.changing import quantify_change
    from bonescint.quantify import MassTable, findings_in_words
    from bonescint.scan import ParameterError

    if len(sources) != 1:
        raise ParameterError("SOURCES", "--prior", "one scan", len(sources))
    if not priors:
        raise ParameterError("--weeks", "quantify", "given with --prior", weeks)
    with progress_shown() as shown:
        series = quantify_change(
            sources[0],
            priors,
            out,
            weeks=weeks,
            model=model,
            masses=MassTable(masses),
            device=device,
            call_anyway=call_anyway,
            progress=shown.part("Quantifying"),
        )
    if as_json:
        typer.echo(json.dumps(series.to_json(), indent=1))
    else:
        rows = [
            (
                number,
                one.change.value,
                one.bone,
                "" if one.area_ratio is None else f"{one.area_ratio:.2f}",
                findings_in_words(one.may_be),
            )
            for number, one in enumerate(series.changes, start=1)
        ]
        columns = ("Number", "Change", "Bone", "Area, times", "May be")
        show_table(columns, rows, right=("Area, times",))
        for remark in series.all_remarks:
            show(f"Remark: {remark}")
        for found in series.scans:
            index = "none" if found.index is None else f"{found.index.in_words} %"
            show(f"Scan {found.scan.scan_id}: Bone Scan Index {index}")
        if series.progression is not None:
            show(f"PCWG3: {series.progression.in_words}")
    say_notice(series.folder / "index.html")
    return 0


def _print_table(summary: QuantifySummary) -> None:
    from bonescint.classify.quantified_page import index_text, metastases_in

    columns = ("Scan", "Probability", "Call", "Bone Scan Index, %", "Metastases", "Remarks")
    rows = [
        (
            one["scan_id"],
            f"{one['mbd_probability']:.3f}",
            one["call"],
            index_text(one["bone_scan_index"]),
            str(metastases_in(one)),
            "; ".join(one["remarks"]),
        )
        for one in summary.scans
    ]
    if rows:
        show_table(columns, rows, right=("Probability", "Metastases"))
