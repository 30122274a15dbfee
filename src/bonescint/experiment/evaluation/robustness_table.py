"""The table of a model on worse scans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bonescint.evaluate.tables import Table, write_csv
from bonescint.experiment.evaluation.robustness import RobustnessRow
from bonescint.files import make_folder

COLUMNS = (
    "condition", "scans", "roc_auc", "low", "high", "difference", "difference_low",
    "difference_high", "p_value", "called_positive", "called_negative",
)  # fmt: skip


def write_robustness(rows: Sequence[RobustnessRow], file: Path, scans: int) -> None:
    """Write the rows as CSV.

    A condition that was not possible for all scans says for how many; one that was possible for
    none keeps its name and has no figures.

    Args:
        rows: as `robustness` gives them.
        file: the table.
        scans: that were tried.

    Raises:
        OutputError: it cannot be written.
    """
    cells = []
    for row in rows:
        change = row.difference
        estimate = None if change is None else change.difference
        cells.append(
            (
                _words(row, scans),
                row.scans,
                row.area.value,
                row.area.low,
                row.area.high,
                None if estimate is None else estimate.value,
                None if estimate is None else estimate.low,
                None if estimate is None else estimate.high,
                None if change is None else change.p_value,
                row.called_positive if row.area.defined else None,
                row.called_negative if row.area.defined else None,
            )
        )
    table = Table(
        name="robustness", title="The same scans, degraded", columns=COLUMNS, rows=tuple(cells)
    )
    make_folder(file.parent)
    write_csv(table, file)


def _words(row: RobustnessRow, scans: int) -> str:
    if row.area.defined and row.scans == scans:
        return row.words
    said = [f"{row.scans} of {scans} scans"] if row.scans else []
    said += [row.area.note] if not row.area.defined else []
    return f"{row.words} ({', '.join(said)})"
