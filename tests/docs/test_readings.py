"""The page shows what `benchmarks/readings.py` measured."""

from __future__ import annotations

import csv
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_reading_that_was_tried_is_on_the_page() -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    shown = page.partition("<!-- readings -->")[2].partition("<!-- /readings -->")[0]
    _, _, *lines = [line for line in shown.splitlines() if line.startswith("|")]
    table = ROOT / "benchmarks" / "readings.csv"
    rows = []
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert (cells[0], cells[2], cells[4]) == (row["batch_size"], row["precision"], row["seed"])
        assert (cells[5], cells[6], cells[7]) == (row["rows"], row["steps"], row["loss"])
        assert cells[10].startswith(f"{float(row['validation_auc']):.3f}")
        assert cells[12] == row["collapsed"]
