"""Tables of an evaluation: rows for CSV, workbooks and pages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bonescint.evaluate.comparing import Comparison
from bonescint.evaluate.metrics import Confusion, Measure
from bonescint.evaluate.subgroups import Interaction, Subgroup
from bonescint.files import write_table
from bonescint.intervals import Estimate
from bonescint.scan import ParameterError
from bonescint.tables import OutputSheet
from bonescint.tables import write_workbook as tables_writer

Cell: TypeAlias = str | int | float | None
_INTERVAL = ("value", "low", "high", "level", "method", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with a name.

    Attributes:
        name: of its file, without suffix.
        title: for people.
        columns: names.
        rows: cells; not a number and infinity are kept as words.

    Raises:
        ParameterError: a row that has not one cell for each column.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                requirement = f"{len(self.columns)} cells wide"
                raise ParameterError("rows", f"Table {self.name}", requirement, len(row))


def _estimate_cells(estimate: Estimate) -> tuple[Cell, ...]:
    numbers = (estimate.value, estimate.low, estimate.high)
    return (
        *(number if math.isfinite(number) else None for number in numbers),
        estimate.level,
        estimate.method,
        estimate.note,
    )


def measures_table(name: str, title: str, measures: Iterable[Measure]) -> Table:
    """A row a measure: name, words, counts, value and interval."""
    return Table(
        name=name,
        title=title,
        columns=("measure", "in_words", "counted", *_INTERVAL),
        rows=tuple(
            (one.name, one.words.strip(), one.counted, *_estimate_cells(one.estimate))
            for one in measures
        ),
    )


def confusion_table(confusion: Confusion) -> Table:
    """Calls against truth, as counts and as shares of each row."""
    rows: list[tuple[Cell, ...]] = []
    for truth, called, not_called in (
        ("with disease", confusion.true_positives, confusion.false_negatives),
        ("without disease", confusion.false_positives, confusion.true_negatives),
    ):
        total = called + not_called
        rates = (called / total, not_called / total) if total else (None, None)
        rows.append((truth, called, not_called, total, *rates))
    return Table(
        name="confusion",
        title="Confusion matrix",
        columns=("truth", "called_positive", "called_negative", "scans", "rate_called_positive",
                 "rate_called_negative"),
        rows=tuple(rows),
    )  # fmt: skip


def subgroups_table(found: Iterable[Subgroup]) -> Table:
    """A row a level of a factor, area, sensitivity and specificity with intervals."""
    figures = ("roc_auc_score", "sensitivity_score", "specificity_score")
    parts = ("", "_low", "_high")
    return Table(
        name="subgroups",
        title="Subgroups",
        columns=("factor", "level", "positives", "negatives",
                 *(figure + part for figure in figures for part in parts), "note"),
        rows=tuple(
            (one.factor, one.level, one.positives, one.negatives,
             *_estimate_cells(one.area)[:3], *_estimate_cells(one.sensitivity)[:3],
             *_estimate_cells(one.specificity)[:3], one.area.note)
            for one in found
        ),
    )  # fmt: skip


def interactions_table(found: Iterable[Interaction]) -> Table:
    """A row a test."""
    return Table(
        name="interactions",
        title="Tests for interaction",
        columns=("factor", "measure", "test", "statistic", "degrees", "p_value", "p_holm", "note"),
        rows=tuple(
            (one.factor, one.figure, one.test, _number(one.statistic), one.degrees,
             _number(one.p_value), _number(one.p_holm), one.note)
            for one in found
        ),
    )  # fmt: skip


def comparisons_table(name: str, title: str, found: Iterable[Comparison]) -> Table:
    """A row a paired difference, first minus second."""
    return Table(
        name=name,
        title=title,
        columns=("measure", "in_words", "first", "second", "difference", "low", "high", "level",
                 "method", "note", "p_value", "test"),
        rows=tuple(
            (one.name, one.words, _number(one.first), _number(one.second),
             *_estimate_cells(one.difference), _number(one.p_value), one.test)
            for one in found
        ),
    )  # fmt: skip


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def write_csv(table: Table, path: Path) -> None:
    """Write a table as CSV, beside and then renamed into place.

    Numbers have full precision. Text that a spreadsheet would run as a formula gets an
    apostrophe before it.

    Args:
        table: to write.
        path: of the file; its folder must exist.

    Raises:
        OutputError: it cannot be written.
    """
    write_table(path, table.columns, table.rows)


def write_workbook(tables: Sequence[Table], path: Path, *, notice: str) -> None:
    """Write tables as sheets of a workbook, behind one that says what it is.

    Args:
        tables: a sheet each.
        path: of the .xlsx file; its folder must exist.
        notice: the sentence that must be read first (research use only).

    Raises:
        MissingExtraError: openpyxl is not installed.
        OutputError: it cannot be written.
    """
    sheets = [
        OutputSheet(name=one.name, columns=one.columns, rows=one.rows, title=one.title)
        for one in tables
    ]
    tables_writer(sheets, path, about=[notice])
