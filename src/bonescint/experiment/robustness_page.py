"""The table of a model on worse scans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bonescint.evaluate.tables import Table, write_csv
from bonescint.experiment.robustness import RobustnessRow

COLUMNS = (
    "condition", "scans", "roc_auc", "low", "high", "difference", "difference_low",
    "difference_high", "p_value", "called_positive", "called_negative",
)  # fmt: skip


def write_robustness(rows: Sequence[RobustnessRow], evaluation: Path, scans: int) -> None:
    """Write `tables/robustness.csv` of an evaluation.

    Raises:
        OutputError: it cannot be written.
    """
    cells = []
    for row in rows:
        change = row.difference
        estimate = None if change is None else change.difference
        cells.append(
            (
                row.words,
                scans,
                row.area.value,
                row.area.low,
                row.area.high,
                None if estimate is None else estimate.value,
                None if estimate is None else estimate.low,
                None if estimate is None else estimate.high,
                None if change is None else change.p_value,
                row.called_positive,
                row.called_negative,
            )
        )
    table = Table(
        name="robustness", title="The same scans, made worse", columns=COLUMNS, rows=tuple(cells)
    )
    (evaluation / "tables").mkdir(parents=True, exist_ok=True)
    write_csv(table, evaluation / "tables" / "robustness.csv")
