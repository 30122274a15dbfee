"""Tables of an evaluation: rows for CSV, workbooks and pages."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bonescint.evaluate.comparing import Comparison
from bonescint.evaluate.metrics import Confusion, Measure
from bonescint.evaluate.subgroups import Interaction, Subgroup
from bonescint.intervals import Estimate
from bonescint.tables import CellValue, ResultTable

_INTERVAL = ("value", "low", "high", "level", "method", "note")


def _estimate_cells(estimate: Estimate) -> tuple[CellValue, ...]:
    numbers = (estimate.value, estimate.low, estimate.high)
    return (
        *(number if math.isfinite(number) else None for number in numbers),
        estimate.level,
        estimate.method,
        estimate.note,
    )


def measures_table(name: str, title: str, measures: Iterable[Measure]) -> ResultTable:
    """One row per measure: name, words, counts, value and interval."""
    return ResultTable(
        name=name,
        title=title,
        columns=("measure", "in_words", "counted", *_INTERVAL),
        rows=tuple(
            (one.name, one.words.strip(), one.counted, *_estimate_cells(one.estimate))
            for one in measures
        ),
    )


def confusion_table(confusion: Confusion) -> ResultTable:
    """Calls against truth, as counts and as shares of each row."""
    rows: list[tuple[CellValue, ...]] = []
    for truth, called, not_called in (
        ("with disease", confusion.true_positives, confusion.false_negatives),
        ("without disease", confusion.false_positives, confusion.true_negatives),
    ):
        total = called + not_called
        rates = (called / total, not_called / total) if total else (None, None)
        rows.append((truth, called, not_called, total, *rates))
    return ResultTable(
        name="confusion",
        title="Confusion matrix",
        columns=(
            *("truth", "called_positive", "called_negative", "scans"),
            *("rate_called_positive", "rate_called_negative"),
        ),
        rows=tuple(rows),
    )


def subgroups_table(found: Iterable[Subgroup]) -> ResultTable:
    """One row per level of a factor: area, sensitivity and specificity with intervals."""
    names = ("roc_auc_score", "sensitivity_score", "specificity_score")
    figures = tuple(name + part for name in names for part in ("", "_low", "_high"))
    rows: list[tuple[CellValue, ...]] = []
    for one in found:
        estimates = (one.area, one.sensitivity, one.specificity)
        cells = (cell for estimate in estimates for cell in _estimate_cells(estimate)[:3])
        rows.append((one.factor, one.level, one.positives, one.negatives, *cells, one.area.note))
    return ResultTable(
        name="subgroups",
        title="Subgroups",
        columns=("factor", "level", "positives", "negatives", *figures, "note"),
        rows=tuple(rows),
    )


def interactions_table(found: Iterable[Interaction]) -> ResultTable:
    """One row per test."""
    return ResultTable(
        name="interactions",
        title="Tests for interaction",
        columns=("factor", "measure", "test", "statistic", "degrees", "p_value", "p_holm", "note"),
        rows=tuple(
            (
                *(one.factor, one.figure, one.test, _number(one.statistic), one.degrees),
                *(_number(one.p_value), _number(one.p_holm), one.note),
            )
            for one in found
        ),
    )


def comparisons_table(name: str, title: str, found: Iterable[Comparison]) -> ResultTable:
    """One row per paired difference, first minus second."""
    return ResultTable(
        name=name,
        title=title,
        columns=(
            *("measure", "in_words", "first", "second", "difference"),
            *_INTERVAL[1:],
            *("p_value", "test"),
        ),
        rows=tuple(
            (
                *(one.name, one.words, _number(one.first), _number(one.second)),
                *_estimate_cells(one.difference),
                *(_number(one.p_value), one.test),
            )
            for one in found
        ),
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
