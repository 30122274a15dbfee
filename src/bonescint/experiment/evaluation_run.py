"""From files to a report: what `bonescint evaluate` does."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bonescint import __version__
from bonescint.cohort import read_manifest
from bonescint.evaluate.canvas import Picture
from bonescint.evaluate.tables import Table, write_csv, write_workbook
from bonescint.experiment.evaluating import (
    Evaluation,
    EvaluationSettings,
    compare_against,
    evaluate_joined,
)
from bonescint.experiment.evaluation_page import NOTICE, draw_figures, evaluation_document
from bonescint.experiment.evaluation_tables import evaluation_tables
from bonescint.experiment.joining import join, read_predictions
from bonescint.report.document_page import write_document
from bonescint.scan import OutputError

EVALUATION_SCHEMA_VERSION = 1
_BIG = 20_000
"""Rows above which a table stays out of the JSON file and the workbook; its CSV has them all."""


def evaluate(
    predictions: Path,
    cohort: Path,
    out: Path,
    *,
    settings: EvaluationSettings | None = None,
    against: Path | None = None,
    ignore_unknown: bool = False,
    workbook: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Judge anyone's predictions by a cohort's reference standard, and write a report.

    Args:
        predictions: CSV table with `scan_id, mbd_probability`.
        cohort: manifest of the cohort.
        out: folder of the report: `report.html`, `figures/`, `tables/`, `evaluation.json`.
        settings: how to judge.
        against: predictions of another model of the same scans, to compare with.
        ignore_unknown: leave out predictions of scans that the manifest does not know.
        workbook: write `tables.xlsx` too.
        progress: told what is being done.

    Returns:
        What was found.

    Raises:
        InputError: tables that are wrong, every row named; a split that cannot be judged.
        OutputError: the folder cannot be written.
        MissingExtraError: matplotlib or openpyxl is not installed.
    """
    tell = progress or (lambda _: None)
    settings = settings or EvaluationSettings()
    _check_folder(out)
    tell("Reading")
    manifest = read_manifest(cohort)
    joined = join(
        read_predictions(predictions), manifest, source=predictions, ignore_unknown=ignore_unknown
    )
    other = None
    if against is not None:
        rows = read_predictions(against)
        other = join(rows, manifest, source=against, ignore_unknown=ignore_unknown)
    tell("Judging")
    found = evaluate_joined(joined, settings, source=predictions)
    if other is not None and against is not None:
        compared = compare_against(joined, other, settings, name=against.name)
        found = replace(found, against=compared)
    tell("Drawing")
    pictures = draw_figures(found)
    inputs = {"predictions": predictions, "cohort": _table_of(cohort)}
    if against is not None:
        inputs["against"] = against
    _write(out, found, pictures, inputs, workbook=workbook)
    return found


def _check_folder(out: Path) -> None:
    try:
        for name in ("figures", "tables"):
            (out / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}).") from error


def _table_of(cohort: Path) -> Path:
    return cohort / "manifest.csv" if cohort.is_dir() else cohort


def _write(
    out: Path,
    found: Evaluation,
    pictures: dict[str, Picture],
    inputs: dict[str, Path],
    *,
    workbook: bool,
) -> None:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    tables = evaluation_tables(found)
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in inputs.items()}
    settings = found.settings
    facts = (
        ("Predictions", f"{inputs['predictions'].name}, sha256 {hashes['predictions'][:12]}"),
        ("Cohort", f"{inputs['cohort'].name}, sha256 {hashes['cohort'][:12]}"),
        ("Judged", f"{len(found.part.cases)} scans of the {settings.judged} split, "
                   f"{int(found.part.positive.sum())} with disease"),
        ("Operating point", found.judgement.point.source),
        ("Resampling", settings.resampling.method),
        ("Software", f"bonescint {__version__}"),
    )  # fmt: skip
    document = evaluation_document(found, pictures, created=created, facts=facts)
    try:
        for name, picture in pictures.items():
            for suffix, content in (("png", picture.png), ("svg", picture.svg)):
                _write_bytes(out / "figures" / f"{name}.{suffix}", content)
        for table in tables:
            write_csv(table, out / "tables" / f"{table.name}.csv")
        if workbook:
            small = [table for table in tables if len(table.rows) <= _BIG]
            write_workbook(small, out / "tables.xlsx", notice=NOTICE)
        text = json.dumps(_as_json(found, tables, created, hashes), indent=1)
        _write_bytes(out / "evaluation.json", text.encode("utf-8"))
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}).") from error
    write_document(out / "report.html", document)


def _write_bytes(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(content)
    beside.replace(path)


def _as_json(
    found: Evaluation, tables: tuple[Table, ...], created: str, hashes: dict[str, str]
) -> dict[str, Any]:
    settings = found.settings
    threshold = found.judgement.point.threshold
    return {
        "schema_version": EVALUATION_SCHEMA_VERSION,
        "notice": NOTICE,
        "created": created,
        "software": {"bonescint": __version__},
        "inputs_sha256": hashes,
        "settings": {
            "judged": settings.judged.value,
            "operating_point": threshold if math.isfinite(threshold) else None,
            "operating_point_source": found.judgement.point.source,
            "resamples": settings.resampling.resamples,
            "stratified": settings.resampling.stratified,
            "level": settings.resampling.level,
            "seed": settings.resampling.seed,
        },
        "tables": {
            table.name: {
                "title": table.title,
                "columns": list(table.columns),
                "rows": [[_json_cell(cell) for cell in row] for row in table.rows],
            }
            for table in tables
            if len(table.rows) <= _BIG
        },
    }


def _json_cell(cell: object) -> object:
    if isinstance(cell, float) and not math.isfinite(cell):
        return None if math.isnan(cell) else "infinite"
    return cell
