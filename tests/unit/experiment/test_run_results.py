"""What the steps of a run left on disk, read again."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bonescint.evaluate.tables import Table
from bonescint.experiment.evaluation.results import ModelResults
from bonescint.experiment.evaluation_run import _json_cell
from bonescint.scan import InputError


def results(folder: Path, *rows: tuple[object, ...]) -> ModelResults:
    columns = (
        "measure", "in_words", "first", "second", "difference", "low", "high", "level", "method",
        "note", "p_value", "test",
    )  # fmt: skip
    table = Table(name="comparison", title="Compared", columns=columns, rows=rows)  # type: ignore[arg-type]
    cells = [[_json_cell(cell) for cell in row] for row in table.rows]
    content = {"tables": {"comparison": {"columns": list(table.columns), "rows": cells}}}
    (folder / "evaluation.json").write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
    return ModelResults.read("one", folder)


def test_infinity_keeps_its_sign(tmp_path: Path) -> None:
    """Differences of likelihood ratios have infinite limits where few scans are resampled."""
    row = ("ratio", "Likelihood ratio", math.inf, 0.5, 0.5, -math.inf, 1.0, 0.95, "m", "", 0.4, "b")
    found = results(tmp_path, row)
    (read,) = found.rows("comparison")
    assert (read["first"], read["low"], read["high"]) == (math.inf, -math.inf, 1.0)


def test_no_evaluation_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Run the experiment again"):
        ModelResults.read("one", tmp_path)
