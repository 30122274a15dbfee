"""The tables of judged foci, at full precision."""

from __future__ import annotations

import math

from bonescint.evaluate.lesions import JudgedFocus
from bonescint.evaluate.tables import measures_table
from bonescint.experiment.evaluation.lesion_result import LesionEvaluation
from bonescint.tables import CellValue, ResultTable


def lesion_tables(found: LesionEvaluation) -> list[ResultTable]:
    """All tables of an evaluation of lesions; empty ones are left out.

    Args:
        found: the evaluation.
    """
    curve = found.curve
    tables = [
        ResultTable(
            name="focus_sensitivity",
            title="Metastases found, by contrast-to-noise ratio",
            columns=(
                *("contrast_to_noise", "metastases", "measure", "counted"),
                *("value", "low", "high", "level", "method"),
            ),
            rows=tuple(
                (
                    *(band.name, band.lesions, one.name, one.counted),
                    *map(_known, (one.estimate.value, one.estimate.low, one.estimate.high)),
                    *(one.estimate.level, one.estimate.method),
                )
                for band in found.bands
                for one in band.measures
            ),
        ),
        ResultTable(
            name="focus_free_response",
            title="Free response of foci",
            columns=("false_foci_per_scan", "share_found"),
            rows=tuple(zip(curve.false_marks.tolist(), curve.found.tolist(), strict=True)),
        ),
        measures_table("foci", "Found foci", found.measures),
        measures_table("bone_scan_index", "Bone Scan Index", found.agreement),
        ResultTable(
            name="bone_scan_index_scans",
            title="Bone Scan Index, scan by scan",
            columns=("scan_id", "reference_percent", "percent", "low", "high"),
            rows=tuple(
                (one.scan_id, one.reference, one.measured, _known(one.low), _known(one.high))
                for one in found.pairs
            ),
        ),
        _true_lesions(found),
        ResultTable(
            name="found_foci",
            title="Found foci, one by one",
            columns=("scan_id", "focus", "probability", "shows", "metastases", "benign", "dice"),
            rows=tuple(
                (
                    *(scan.scan_id, one.number, one.rating, _shown(one)),
                    " ".join(map(str, one.metastases)),
                    " ".join(map(str, one.benign)),
                    " ".join(f"{of:.4f}" for of in one.dice),
                )
                for scan in found.scans
                for one in scan.foci
            ),
        ),
    ]
    return [table for table in tables if table.rows]


def _true_lesions(found: LesionEvaluation) -> ResultTable:
    """Every metastasis, with the best rating of a focus that finds it."""
    rows: list[tuple[CellValue, ...]] = []
    for scan in found.scans:
        ratings = scan.ratings()
        for one in scan.lesions:
            if one.malignant:
                noise, rating = _known(one.contrast_to_noise), _known(ratings[one.number])
                rows.append((scan.scan_id, one.number, noise, rating))
    return ResultTable(
        name="metastases",
        title="Metastases, one by one",
        columns=("scan_id", "metastasis", "contrast_to_noise", "highest_probability_on_it"),
        rows=tuple(rows),
    )


def _shown(focus: JudgedFocus) -> str:
    if focus.metastases:
        return "metastasis"
    return "benign lesion" if focus.benign else "neither"


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
