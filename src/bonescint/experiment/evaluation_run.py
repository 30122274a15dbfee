"""From files to a report: what `bonescint evaluate` does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bonescint import __version__
from bonescint.cohort import read_manifest
from bonescint.evaluate.tables import Table, write_csv, write_workbook
from bonescint.experiment.evaluation.data import join, read_predictions
from bonescint.experiment.evaluation.evaluate import (
    Evaluation,
    EvaluationSettings,
    chosen_point,
    compare_predictions,
    evaluate_joined,
)
from bonescint.experiment.evaluation.maps import MappedScan, read_maps
from bonescint.experiment.evaluation.saliency_evaluation import (
    SaliencyEvaluation,
    drawable_scans,
    evaluate_saliency,
)
from bonescint.experiment.evaluation.tables import evaluation_tables
from bonescint.experiment.files import fingerprint
from bonescint.experiment.report.model_report import NOTICE, draw_figures, evaluation_document
from bonescint.experiment.report.saliency_report import (
    failures_section,
    saliency_figures,
    saliency_sections,
    saliency_tables,
)
from bonescint.files import make_folder, one_writer, require_own, write_whole
from bonescint.report.document_page import PageSection, write_document

EVALUATION_SCHEMA_VERSION = 1
_JSON, _PAGE, _WORKBOOK = "evaluation.json", "report.html", "tables.xlsx"
_FOLDERS = ("figures", "tables")
_BIG = 20_000
"""Rows above which a table stays out of the JSON file and the workbook; its CSV has them all."""


def evaluate(
    predictions: Path,
    cohort: Path,
    out: Path,
    *,
    settings: EvaluationSettings | None = None,
    against: Path | None = None,
    maps: Path | None = None,
    ignore_unknown: bool = False,
    workbook: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Evaluate anyone's predictions by a cohort's reference standard, and write a report.

    Args:
        predictions: CSV table with `scan_id, mbd_probability`.
        cohort: manifest of the cohort.
        out: folder of the report: `report.html`, `figures/`, `tables/`, `evaluation.json`.
        settings: how to judge.
        against: predictions of another model of the same scans, to compare with.
        maps: `results.json` of `bonescint classify` with the activation maps of the same
            predictions, to measure them against lesion masks.
        ignore_unknown: leave out predictions of scans that the manifest does not know.
        workbook: write `tables.xlsx` too.
        progress: called with what is being done, how much of it is done, and of how much.

    Returns:
        What was found.

    Raises:
        InputError: tables that are wrong, every row named; a split that cannot be judged.
        OutputError: the folder cannot be written, another process writes there, or it holds files
            of other origin in the places of the report.
        MissingExtraError: matplotlib or openpyxl is not installed.
    """
    with one_writer(out):
        names = (_JSON, _PAGE, _WORKBOOK, *_FOLDERS)
        require_own(out, names, mark=_JSON, signature='"bonescint"')
        report = _judge(
            predictions, cohort, settings or EvaluationSettings(),
            against=against, maps=maps, ignore_unknown=ignore_unknown,
            tell=progress or (lambda *_: None),
        )  # fmt: skip
        report.write(out, workbook=workbook)
        return report.found


def _judge(
    predictions: Path,
    cohort: Path,
    settings: EvaluationSettings,
    *,
    against: Path | None,
    maps: Path | None,
    ignore_unknown: bool,
    tell: Callable[[str, int, int], None],
) -> _Report:
    tell("Reading", 0, 1)
    manifest = read_manifest(cohort)
    joined = join(
        read_predictions(predictions), manifest, source=predictions, ignore_unknown=ignore_unknown
    )
    other = None
    if against is not None:
        rows = read_predictions(against)
        other = join(rows, manifest, source=against, ignore_unknown=ignore_unknown)
        chosen_point(other, settings, against)  # refused before any work, if it has none
    mapped = read_maps(maps) if maps is not None else {}
    found = evaluate_joined(
        joined,
        settings,
        source=predictions,
        counts=_counts(mapped),
        progress=partial(tell, "Judging"),
    )
    if other is not None and against is not None:
        compared = compare_predictions(joined, other, settings, name=against.name)
        found = replace(found, against=compared)
    explanation = None
    if mapped:
        measured = partial(tell, "Measuring maps")
        explanation = evaluate_saliency(found, mapped, progress=measured)
    tell("Drawing", 0, 1)
    inputs = {"predictions": predictions, "cohort": _table_of(cohort)}
    inputs |= {name: path for name, path in (("against", against), ("maps", maps)) if path}
    return _Report(found=found, explanation=explanation, mapped=mapped, inputs=inputs)


def _table_of(cohort: Path) -> Path:
    return cohort / "manifest.csv" if cohort.is_dir() else cohort


def _counts(mapped: Mapping[str, MappedScan]) -> dict[str, float]:
    """Counts of posterior views by scan, where pixels are counts."""
    return {
        scan_id: scan.posterior_counts
        for scan_id, scan in mapped.items()
        if scan.posterior_counts is not None
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Report:
    """What is written.

    Attributes:
        found: the evaluation.
        explanation: what maps are worth, or `None`.
        mapped: scans with maps and pictures.
        inputs: files that went in, by what they are.
    """

    found: Evaluation
    explanation: SaliencyEvaluation | None
    mapped: Mapping[str, MappedScan]
    inputs: Mapping[str, Path]

    def write(self, out: Path, *, workbook: bool) -> None:
        created = datetime.now(UTC).isoformat(timespec="seconds")
        hashes = {name: fingerprint(path) for name, path in self.inputs.items()}
        pictures = draw_figures(self.found)
        tables = evaluation_tables(self.found)
        sections: tuple[PageSection, ...] = ()
        if self.explanation is not None:
            pictures |= saliency_figures(self.explanation)
            tables += saliency_tables(self.explanation)
            sections = saliency_sections(self.explanation, pictures)
        sections += failures_section(self.found, drawable_scans(self.found.part, self.mapped))
        document = evaluation_document(
            self.found, pictures, created=created, facts=self._facts(hashes), more=sections
        )
        # A run that is stopped from here on leaves no page beside figures of another one.
        (out / _PAGE).unlink(missing_ok=True)
        text = json.dumps(_as_json(self.found, tables, created, hashes), indent=1)
        write_whole(out / _JSON, text)
        for name in _FOLDERS:
            make_folder(out / name)
        for name, picture in pictures.items():
            picture.write(out / "figures", name)
        for table in tables:
            write_csv(table, out / "tables" / f"{table.name}.csv")
        if workbook:
            small = [table for table in tables if len(table.rows) <= _BIG]
            write_workbook(small, out / _WORKBOOK, notice=NOTICE)
        write_document(out / _PAGE, document)

    def _facts(self, hashes: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        found = self.found
        part = found.part
        return (
            *(
                (name.capitalize(), f"{path.name}, sha256 {hashes[name][:12]}")
                for name, path in self.inputs.items()
            ),
            ("Judged", f"{len(part.cases)} scans of the {part.split} split, "
                       f"{int(part.positive.sum())} with disease"),
            ("Operating point", found.judgement.point.source),
            ("Resampling", found.settings.resampling.method),
            ("Software", f"bonescint {__version__}"),
        )  # fmt: skip


def _as_json(
    found: Evaluation, tables: tuple[Table, ...], created: str, hashes: Mapping[str, str]
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


INFINITE = {True: "infinite", False: "minus infinite"}
"""What JSON, which has no infinity, is given instead, by whether it is above 0."""


def _json_cell(cell: object) -> object:
    if isinstance(cell, float) and not math.isfinite(cell):
        return None if math.isnan(cell) else INFINITE[cell > 0]
    return cell
