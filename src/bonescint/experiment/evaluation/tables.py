"""The tables of an evaluation, at full precision, for CSV files, workbooks and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bonescint.evaluate import Estimate, Measure
from bonescint.evaluate.judgement import Calibration
from bonescint.evaluate.map_metrics import HIT_LEVEL
from bonescint.evaluate.tables import (
    comparisons_table,
    confusion_table,
    interactions_table,
    measures_table,
    subgroups_table,
)
from bonescint.experiment.evaluation.lesion_tables import lesion_tables
from bonescint.experiment.evaluation.results import (
    FALSE_NEGATIVE,
    TRUE_POSITIVE,
    EvaluationResult,
)
from bonescint.experiment.evaluation.saliency_result import SaliencyEvaluation
from bonescint.scan import Split
from bonescint.tables import CellValue, ResultTable

BIG = 20_000
"""Rows above which a table stays out of the JSON file and the workbook; its CSV has them all."""
_INFINITE = {True: "infinite", False: "minus infinite"}


def result_tables(result: EvaluationResult) -> tuple[ResultTable, ...]:
    """All tables, in the order of the report."""
    judgement = result.judgement
    tables = [
        flow_table(result),
        left_out_table(result),
        measures_table("performance", "Performance", result.performance),
        measures_table("performance_at_half", "Performance at 0.5", judgement.at_half),
        measures_table("performance_resampled", "Performance, resampled", judgement.resampled),
        confusion_table(judgement.confusion),
    ]
    if judgement.not_called is not None:
        missing = judgement.not_called.measures
        tables.append(measures_table("not_called", "Scans without a call", missing))
    tables.append(measures_table("calibration", "Calibration", judgement.calibration.measures))
    tables.append(_reliability_table("reliability", judgement.calibration))
    if result.recalibrated is not None and result.recalibration is not None:
        line = result.recalibration
        fitted = (
            Measure(name="recalibration_slope", words="Slope", estimate=line.slope),
            Measure(name="recalibration_intercept", words="Intercept", estimate=line.intercept),
        )
        measures = (*fitted, *result.recalibrated.measures)
        tables.append(measures_table("calibration_after", "Calibration after a fit", measures))
        tables.append(_reliability_table("reliability_after", result.recalibrated))
    tables += [
        _curve_table(result),
        _decision_table(result),
        subgroups_table(result.subgroups),
        interactions_table(result.interactions),
    ]
    if result.control is not None:
        title = "Model minus the control of age, sex and primary tumour"
        tables.append(comparisons_table("control", title, (result.control.comparison,)))
    if result.comparison is not None:
        both = (*result.comparison.closed, *result.comparison.resampled)
        tables.append(comparisons_table("comparison", f"Minus {result.comparison.name}", both))
    tables.append(_scans_table(result))
    if result.saliency is not None:
        tables += _saliency_tables(result.saliency)
    if result.lesions is not None:
        tables += lesion_tables(result.lesions)
    return tuple(tables)


def json_tables(tables: Iterable[ResultTable]) -> dict[str, object]:
    """Tables ready for JSON, which has no infinity; big ones are left out."""
    return {
        table.name: {
            "title": table.title,
            "columns": list(table.columns),
            "rows": [[_json_cell(cell) for cell in row] for row in table.rows],
        }
        for table in tables
        if len(table.rows) <= BIG
    }


def _json_cell(cell: CellValue) -> CellValue:
    if isinstance(cell, float) and not math.isfinite(cell):
        return None if math.isnan(cell) else _INFINITE[cell > 0]
    return cell


def flow_table(result: EvaluationResult) -> ResultTable:
    """What became of every scan of the manifest, by split."""
    rows: list[tuple[CellValue, ...]] = []
    for one in result.flow:
        total = one.with_prediction + one.without_prediction
        counts = (total, one.without_prediction, one.with_prediction)
        classes = (one.positives, one.with_prediction - one.positives)
        rows.append((one.split.value, *counts, *classes, _used_for(result, one.split)))
    if result.unknown:
        row = ("not in the manifest", None, None, result.unknown, None, None, "left out")
        rows.append(row)
    columns = "split in_manifest without_prediction with_prediction positives negatives used_for"
    return _table("flow", "Flow of scans", columns, rows)


def _used_for(result: EvaluationResult, split: Split) -> str:
    if split is result.judged:
        return "judged"
    uses = []
    if split is Split.VALIDATION:
        uses += ["operating point"] if result.settings.threshold is None else []
        uses += ["calibration"] if result.recalibrated is not None else []
    return " and ".join(uses) or "not used"


def left_out_table(result: EvaluationResult) -> ResultTable:
    """Every scan of the used splits that has no prediction, every prediction without a scan."""
    rows = [
        (one.scan_id, one.split, None if one.positive is None else int(one.positive), one.why)
        for one in result.left_out
    ]
    return _table("left_out", "Left out", "scan_id split label why", rows)


def _reliability_table(name: str, calibration: Calibration) -> ResultTable:
    rows = [
        (*(one.lowest, one.highest, one.predicted), *_ends(one.observed), one.count)
        for one in calibration.bins
    ]
    columns = "lowest highest predicted observed low high scans"
    return _table(name, "Reliability curve", columns, rows)


def _curve_table(result: EvaluationResult) -> ResultTable:
    curve = result.judgement.curve
    shares = (curve.thresholds, curve.sensitivity, curve.specificity, curve.precision)
    counts = (curve.true_positives, curve.false_positives)
    rows = zip(*(one.tolist() for one in (*shares, *counts)), strict=True)
    columns = "threshold sensitivity specificity precision true_positives false_positives"
    return _table("roc_curve", "ROC and precision-recall curve", columns, rows)


def _decision_table(result: EvaluationResult) -> ResultTable:
    curve = result.judgement.decision
    lines = (curve.thresholds, curve.model, curve.low, curve.high, curve.everybody)
    rows = zip(*(one.tolist() for one in lines), strict=True)
    columns = "threshold net_benefit low high net_benefit_of_calling_all"
    return _table("decision_curve", "Decision curve", columns, rows)


def _scans_table(result: EvaluationResult) -> ResultTable:
    rows = []
    for scan in result.scans:
        known = (scan.scan_id, scan.patient, scan.centre, int(scan.positive), scan.probability)
        above = int(scan.probability >= result.threshold) if scan.called else None
        rows.append((*known, above, result.outcome(scan)))
    columns = "scan_id patient centre label mbd_probability called_positive outcome"
    return _table("cases", "Judged scans", columns, rows)


def _saliency_tables(found: SaliencyEvaluation) -> list[ResultTable]:
    """How maps agree with lesions; empty tables are left out."""
    by_scan = "scan_id outcome pointing_game pointing_game_near energy_inside lesion_share"
    places = "place scans_with_highest scans share low high evidence evidence_low evidence_high"
    tables = [
        measures_table("localisation", "Maps of true positives", found.measures),
        measures_table("localisation_all", "Maps of all positives", found.measures_of_all),
        measures_table("free_response", "Free response", found.curve_measures),
        _table(
            "lesions_hit",
            "Lesions hit, by contrast and size",
            "by group lesions share_hit low high",
            [
                (name, group.name, group.lesions, *_interval(group.rate))
                for name, groups in (("contrast", found.by_contrast), ("radius_mm", found.by_size))
                for group in groups
            ],
        ),
        _table(
            "localisation_scans",
            "Maps, scan by scan",
            f"{by_scan} best_iou lesions lesions_hit",
            [
                (
                    one.scan_id,
                    TRUE_POSITIVE if one.positive_call else FALSE_NEGATIVE,
                    one.pointing_game,
                    one.pointing_game_near,
                    one.energy_inside,
                    one.lesion_share,
                    one.best_iou,
                    len(one.reached),
                    sum(reached >= HIT_LEVEL for reached in one.reached),
                )
                for one in found.scans
            ],
        ),
        _table(
            "lesions",
            "Lesions of true positives",
            "scan_id contrast radius_mm reached",
            [
                (one.scan_id, _known(one.contrast), _known(one.radius_mm), one.reached)
                for one in found.lesions
            ],
        ),
        _table(
            "false_evidence",
            "Where the evidence of false positives lies",
            f"{places} area",
            [
                (
                    *(row.name, row.scans, row.of, *_ends(row.highest), row.evidence.value),
                    *(_known(row.evidence.low), _known(row.evidence.high), row.area),
                )
                for row in found.false_positives
            ],
        ),
    ]
    return [table for table in tables if table.rows]


def _table(
    name: str, title: str, columns: str, rows: Iterable[tuple[CellValue, ...]]
) -> ResultTable:
    """A table whose column names are given as one text, separated by blanks."""
    return ResultTable(name=name, title=title, columns=tuple(columns.split()), rows=tuple(rows))


def _ends(estimate: Estimate) -> tuple[CellValue, ...]:
    return estimate.value, estimate.low, estimate.high


def _interval(estimate: Estimate) -> tuple[CellValue, ...]:
    return _known(estimate.value), _known(estimate.low), _known(estimate.high)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
