"""`bonescint evaluate`: from files of predictions to a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bonescint.cohort import Manifest, read_manifest
from bonescint.experiment.evaluation.data import MappedScan, join, read_maps, read_predictions
from bonescint.experiment.evaluation.evaluate import (
    chosen_point,
    compare_predictions,
    evaluate_joined,
)
from bonescint.experiment.evaluation.lesion_evaluation import evaluate_lesions, read_quantified
from bonescint.experiment.evaluation.results import (
    NOTICE,
    EvaluationResult,
    EvaluationSettings,
    InputFile,
    write_result,
)
from bonescint.experiment.evaluation.saliency_evaluation import evaluate_saliency
from bonescint.experiment.evaluation.tables import BIG, json_tables, result_tables
from bonescint.experiment.paths import fingerprint
from bonescint.experiment.report.lesion_report import lesion_figures, lesion_section
from bonescint.experiment.report.model_report import draw_figures, evaluation_document
from bonescint.experiment.report.saliency_report import (
    as_figure,
    failures_section,
    saliency_figures,
    saliency_sections,
    segmented_pictures,
)
from bonescint.files import make_folder, one_writer, require_own
from bonescint.report.document_page import write_document
from bonescint.tables import write_csv, write_workbook

_JSON, _PAGE, _WORKBOOK = "evaluation.json", "report.html", "tables.xlsx"
_FOLDERS = ("figures", "tables")


def evaluate(
    predictions: Path,
    cohort: Path,
    out: Path,
    *,
    settings: EvaluationSettings | None = None,
    against: Path | None = None,
    maps: Path | None = None,
    lesions: Path | None = None,
    ignore_unknown: bool = False,
    workbook: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> EvaluationResult:
    """Evaluate predictions against a cohort's reference standard, and write a report.

    Args:
        predictions: CSV table with `scan_id, mbd_probability`.
        cohort: manifest of the cohort.
        out: folder of the report: `report.html`, `figures/`, `tables/`, `evaluation.json`.
        settings: how to evaluate.
        against: predictions of another model of the same scans, to compare with.
        maps: `results.json` of `bonescint classify` with the activation maps of the same
            predictions, to measure them against lesion masks.
        lesions: `results.json` of `bonescint quantify` with the foci and Bone Scan Indices of the
            same scans, to judge them against lesion masks.
        ignore_unknown: leave out predictions of scans that the manifest does not know.
        workbook: write `tables.xlsx` too.
        progress: called with (task, done, total).

    Returns:
        What was found.

    Raises:
        InputError: tables that are wrong, every row named; a split that cannot be evaluated.
        OutputError: the folder cannot be written, another process writes there, or it holds files
            of other origin in the places of the report.
        MissingExtraError: matplotlib or openpyxl is not installed.
    """
    tell = progress or (lambda *_: None)
    with one_writer(out):
        names = (_JSON, _PAGE, _WORKBOOK, *_FOLDERS)
        require_own(out, names, mark=_JSON, signature='"bonescint"')
        tell("Reading", 0, 1)
        manifest = read_manifest(cohort)
        result, mapped = _evaluated(
            predictions,
            manifest,
            settings or EvaluationSettings(),
            against=against,
            maps=maps,
            lesions=lesions,
            ignore_unknown=ignore_unknown,
            tell=tell,
        )
        tell("Drawing", 0, 1)
        table = cohort / "manifest.csv" if cohort.is_dir() else cohort
        inputs = {"predictions": predictions, "cohort": table, "against": against, "maps": maps}
        inputs["lesions"] = lesions
        result = replace(
            result,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            inputs=tuple(
                InputFile(role=role, name=path.name, sha256=fingerprint(path))
                for role, path in inputs.items()
                if path is not None
            ),
        )
        _write(result, manifest, mapped, out, workbook=workbook)
        return result


def _evaluated(
    predictions: Path,
    manifest: Manifest,
    settings: EvaluationSettings,
    *,
    against: Path | None,
    maps: Path | None,
    lesions: Path | None,
    ignore_unknown: bool,
    tell: Callable[[str, int, int], None],
) -> tuple[EvaluationResult, Mapping[str, MappedScan]]:
    """What was found, and the maps by scan."""
    rows = read_predictions(predictions)
    joined = join(rows, manifest, source=predictions, ignore_unknown=ignore_unknown)
    other = None
    if against is not None:
        rows = read_predictions(against)
        other = join(rows, manifest, source=against, ignore_unknown=ignore_unknown)
        chosen_point(other, settings, against)  # refused before any work, if it has none
    mapped = {} if maps is None else read_maps(maps)
    quantified = {} if lesions is None else read_quantified(lesions)
    counts = {name: scan.posterior_counts for name, scan in mapped.items()}
    result = evaluate_joined(
        joined,
        settings,
        source=predictions,
        counts={name: count for name, count in counts.items() if count is not None},
        progress=partial(tell, "Judging"),
    )
    if other is not None and against is not None:
        compared = compare_predictions(joined, other, settings, name=against.name)
        result = replace(result, comparison=compared)
    if mapped:
        saliency = evaluate_saliency(
            joined.part(settings.judged),
            manifest,
            mapped,
            threshold=result.threshold,
            resampling=settings.resampling,
            progress=partial(tell, "Measuring maps"),
        )
        result = replace(result, saliency=saliency)
    if lesions is not None:
        found = evaluate_lesions(
            joined.part(settings.judged),
            manifest,
            quantified,
            source=lesions,
            resampling=settings.resampling,
            progress=partial(tell, "Judging foci"),
        )
        result = replace(result, lesions=found)
    return result, mapped


def _write(
    result: EvaluationResult,
    manifest: Manifest,
    mapped: Mapping[str, MappedScan],
    out: Path,
    *,
    workbook: bool,
) -> None:
    """Write the report folder."""
    pictures = draw_figures(result)
    segmented = segmented_pictures(result, manifest, mapped)
    if result.saliency is not None:
        pictures |= saliency_figures(result.saliency)
    if result.lesions is not None:
        pictures |= lesion_figures(result.lesions)
    for number, shown in enumerate(segmented.values(), 1):  # names need not be harmless
        pictures[f"segmented_{number:02d}"] = as_figure(shown)
    sections = (
        *lesion_section(result, pictures),
        *saliency_sections(result, pictures, segmented),
        *failures_section(result, manifest, mapped),
    )
    document = evaluation_document(result, pictures, more=sections)
    tables = result_tables(result)
    # A run that is stopped from here on leaves no page beside figures of another one.
    (out / _PAGE).unlink(missing_ok=True)
    write_result(result, out / _JSON, json_tables(tables))
    for name in _FOLDERS:
        make_folder(out / name)
    for name, picture in pictures.items():
        picture.write(out / "figures", name)
    for table in tables:
        write_csv(table, out / "tables" / f"{table.name}.csv")
    if workbook:
        small = [table for table in tables if len(table.rows) <= BIG]
        write_workbook(small, out / _WORKBOOK, about=[NOTICE])
    write_document(out / _PAGE, document)
