"""`bonescint classify`, `demo` and `info`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bonescint.cli.console import (
    INTERRUPTED,
    NOTHING_DONE,
    SOME_FAILED,
    open_in_browser,
    progress_shown,
    results_console,
    say,
    show,
)
from bonescint.cli.options import (
    AnyWorkers,
    AsJson,
    Device,
    Engine,
    Open,
    Pictures,
    PositiveOrNone,
    Sources,
)

if TYPE_CHECKING:
    from bonescint.classify import ClassifiedScan, ClassifySummary
    from bonescint.classify.cluster import ClusterSummary

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
    dicom: bool = False,
    fhir: bool = False,
    parquet: bool = False,
    maps: bool = False,
    site: str = "",
    sites_by_folder: bool = False,
    shard: str | None = None,
    pictures: Pictures = None,
    engine: Engine = "local",
    address: str | None = None,
    actors: PositiveOrNone = None,
    actor_cpus: PositiveOrNone = None,
    actor_gpus: float | None = None,
    as_json: AsJson = False,
) -> int:
    """Classify scans, and write tables, pictures with the evidence, and a page.

    SOURCES are DICOM files, pairs of PNGs, JPEGs or TIFFs (*_anterior.png, *_posterior.png),
    pictures with AP and PA side by side, and folders, ZIP archives and addresses of S3 buckets,
    which are searched recursively (credentials: AWS_* in the environment). Files that are not bone
    scans are rejected and listed with the reason; the rest of the batch continues.

    A scan that is too unlike those that the model knows gets a probability and a map, and no call.
    `bonescint model adapt` adapts the model to your camera; --call-anyway calls such scans, too.

    If interrupted with Ctrl-C, rerun the same command to resume: finished scans are not repeated
    unless the model, the settings, the versions or their files have changed.

    Patients' names and numbers in headers never reach the results, and of dates only the year of
    the acquisition. Names of files and folders do: results give the path of a file relative to what
    you gave (for "archive/" perhaps "DOE JOHN 123456/IM0001"). With --hash-sources they contain a
    keyed hash instead; OUT.private/sources.csv, for you alone, lists which file is which. A name
    burned into the pixels is not removed.

    Args:
        out: Results folder.
        model: Model folder, or the name of a model that comes with bonescint (bonescint model
            list); 'shipped' by default.
        hash_sources: Replace names of files and folders in the results by a keyed hash.
        call_anyway: Also call scans that are too unlike those that the model knows.
        dicom: Also write each result as DICOM objects for the PACS: picture and reports.
        fhir: Also write each result as an HL7 FHIR R5 bundle, which names no patient.
        parquet: Also write results.parquet, a typed table with camera and year for bonescint
            results; needs pip install 'bonescint[cluster]'.
        maps: Also write results.parquet, including the activation maps (float16).
        site: Hospital or department that the scans come from, for the column site of the results.
        sites_by_folder: Use the first folder of each file's path as its site; not with
            --site or --hash-sources.
        shard: K/N, such as 3/40: classify only the third of 40 shards of the archive, into a
            subfolder of OUT. No study is in two shards; bonescint results join joins the results.
        address: Address of the Ray cluster: auto, host:6379 or ray://host:10001. Default:
            RAY_ADDRESS, or else a cluster on this machine that ends with the command.
        actors: With Ray: number of actors that classify at the same time. Default: as many as the
            cluster has resources for.
        actor_cpus: With Ray: cores per actor. Default: 1.
        actor_gpus: With Ray and --device cuda: GPUs per actor, such as 0.5. Default: 1.

    With --engine ray the studies are classified on a Ray cluster. results.csv and results.parquet
    have the same rows as without it; there are no pictures and no page. Every node needs bonescint
    and access to the files, under the same paths or in a bucket (then with AWS_* in its own
    environment). OUT may be the address of a bucket. If interrupted, or when the archive has grown,
    rerun the same command: finished scans are not repeated. See docs/scale.md.

    Written to the results folder:
      results.csv    one row per scan: scan_id, source, views, mbd_probability, call, ...
      results.json   the same and more: activation maps, the model card, rejected files with reasons
      pictures/      one picture per scan: AP | PA, alone and with the evidence overlaid
      index.html     all scans on one page, which needs no network
      dicom/         with --dicom: a Secondary Capture and Structured Reports of each scan, in new
                     series of its study; they hold the patient's name and numbers
      fhir/          with --fhir: a bundle of each scan: report, observations, study
      results.parquet  with --parquet: a row per scan and per rejected file, typed columns

    Examples:
      bonescint classify scan.dcm
      bonescint classify archive/ --out results/ --workers 4
      bonescint classify archive/ --model my-model/ --json > summary.json
      bonescint classify archive/ --out results/ --hash-sources
      bonescint classify study/ --out results/ --dicom
      bonescint classify archive/ --out results/ --site Ghent --parquet
      bonescint classify archive/ --out results/ --shard 3/40 --no-pictures --parquet
      bonescint classify s3://archive/nm/ --out s3://results/run-7/ --engine ray --address auto
    """
    from bonescint.classify import Shard, classify

    part = None if shard is None else Shard.parse(shard)
    if engine == "ray":
        from bonescint.classify.cluster import RaySettings, classify_on_ray

        _require_none("ray", workers=workers, pictures=pictures, dicom=dicom, fhir=fhir)
        settings = RaySettings(
            address=address,
            actors=actors,
            cpus=1 if actor_cpus is None else actor_cpus,
            gpus=1.0 if actor_gpus is None else actor_gpus,
        )
        return _run_on_ray(
            lambda progress: classify_on_ray(
                sources,
                out,
                model=model,
                settings=settings,
                device=device,
                hash_sources=hash_sources,
                call_anyway=call_anyway,
                maps=maps,
                site=site,
                sites_by_folder=sites_by_folder,
                shard=part,
                progress=progress,
            ),
            as_json=as_json,
            hashed=out if hash_sources else None,
        )
    on_ray = {"actors": actors, "actor_cpus": actor_cpus, "actor_gpus": actor_gpus}
    _require_none("local", address=address, **on_ray)
    return _run(
        lambda progress: classify(
            sources,
            out,
            model=model,
            workers=workers,
            device=device,
            hash_sources=hash_sources,
            call_anyway=call_anyway,
            dicom=dicom,
            fhir=fhir,
            parquet=parquet,
            maps=maps,
            site=site,
            sites_by_folder=sites_by_folder,
            shard=part,
            pictures=pictures is not False,
            progress=progress,
        ),
        as_json=as_json,
        hashed=out if hash_sources else None,
    )


def _require_none(engine: str, **options: object) -> None:
    """Refuse options that an engine does not have."""
    from bonescint.scan import ParameterError

    for name, value in options.items():
        if value:
            option = f"--{name.replace('_', '-')}"
            raise ParameterError(option, "classify", f"left out with --engine {engine}", value)


def _run_on_ray(
    work: Callable[[Callable[[str, int, int], None]], ClusterSummary],
    *,
    as_json: bool,
    hashed: Path | None,
) -> int:
    """Classify under a progress bar that says the rate, and return the exit status."""
    began = time.monotonic()

    def rated(what: str, done: int, total: int) -> None:
        rate = done / max(time.monotonic() - began, 1e-9)
        shown.progress(f"{what} ({rate:.1f} per second since the start)", done, total)

    with progress_shown() as shown:
        summary = work(rated)
    if as_json:
        typer.echo(json.dumps(summary.to_json(), indent=1))
    for message in summary.messages():
        say(message)
    _say_key(hashed)
    if not summary.scans:
        return NOTHING_DONE
    return SOME_FAILED if summary.refused else 0


def _say_key(hashed: Path | None) -> None:
    if hashed is not None:
        from bonescint.classify.naming import private_folder

        private = private_folder(hashed) / "sources.csv"
        say(f"Which file is which: {private}. Keep it, and do not share it.")


def demo(*, out: Path = Path("results"), opens: Open = True) -> int:
    """Classify one real scan and four simulated ones, and show the page of results.

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
        typer.echo(json.dumps(report.to_json(), indent=1))
    else:
        for number, described in enumerate(report.scans):
            for line in [""] * bool(number) + described.lines():
                show(line)
    for error in report.refused:
        say(f"Rejected: {error}")
    if not report.scans:
        return NOTHING_DONE
    return SOME_FAILED if report.refused else 0


def _run(
    work: Callable[[Callable[[int, int], None]], ClassifySummary],
    *,
    as_json: bool = False,
    hashed: Path | None = None,
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
    for message in summary.messages():
        say(message)
    _say_key(hashed)
    if summary.interrupted:
        return INTERRUPTED
    if not summary.results:
        return NOTHING_DONE
    return SOME_FAILED if summary.refused or summary.not_delivered else 0


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
