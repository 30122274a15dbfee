"""What the steps of a run left on disk, read for its report and for comparisons of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bonescint.evaluate import Estimate, ScoredCases
from bonescint.evaluate.scored import patient_numbers
from bonescint.experiment.evaluation_run import INFINITE
from bonescint.experiment.files import read_rows
from bonescint.files import json_in
from bonescint.scan import InputError

_POINTED = "pointing_game"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResults:
    """The evaluation of one model.

    Attributes:
        name: of the model in the study.
        content: of `evaluation.json`.
        folder: of the evaluation.
    """

    name: str
    content: Mapping[str, Any]
    folder: Path

    @classmethod
    def read(cls, name: str, folder: Path) -> ModelResults:
        """Read an evaluation.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        file = folder / "evaluation.json"
        try:
            content = json_in(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            problem = f"no readable evaluation ({type(error).__name__})"
            raise InputError(file, problem, "Run the experiment again") from error
        return cls(name=name, content=content, folder=folder)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Rows of a table by column; none if the evaluation has no such table."""
        found = self.content["tables"].get(table)
        if found is None:
            return []
        return [
            dict(zip(found["columns"], map(_finite_or_not, row), strict=True))
            for row in found["rows"]
        ]

    def estimate(self, table: str, measure: str) -> Estimate:
        """A figure with its interval; undefined if the table has none of that name."""
        for row in self.rows(table):
            if row["measure"] == measure:
                return Estimate(
                    value=_number(row["value"]),
                    low=_number(row["low"]),
                    high=_number(row["high"]),
                    level=row["level"],
                    method=row["method"],
                    note=row["note"],
                )
        return Estimate(value=math.nan, note="not measured")

    @property
    def operating_point(self) -> float | None:
        """Probability from which a scan is positive."""
        point: float | None = self.content["settings"]["operating_point"]
        return point

    @property
    def threshold(self) -> float:
        """The same, infinite where no scan is called positive."""
        return math.inf if self.operating_point is None else self.operating_point

    def scored(self) -> ScoredCases:
        """Probabilities, labels and patients of the judged scans, in the order of the cohort."""
        rows = self.rows("cases")
        return ScoredCases(
            scores=np.array([row["mbd_probability"] for row in rows]),
            positive=np.array([row["label"] for row in rows]),
            patients=patient_numbers([row.get("patient", row["scan_id"]) for row in rows]),
        )

    def picture(self, name: str) -> bytes | None:
        """A figure as SVG, or `None`."""
        file = self.folder / "figures" / f"{name}.svg"
        return file.read_bytes() if file.is_file() else None

    def pointing(self, *, called: bool) -> dict[str, float]:
        """By positive scan with masks: whether the map's highest value lies on a lesion.

        Args:
            called: only true positives, else all.
        """
        return {
            row["scan_id"]: float(row[_POINTED])
            for row in self.rows("localisation_scans")
            if row[_POINTED] is not None and (row["outcome"] == "true positive" or not called)
        }


def written_rows(file: Path) -> list[dict[str, str]]:
    """Rows of a table that a step wrote; none if there is none."""
    if not file.is_file():
        return []
    columns, rows = read_rows(file)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _finite_or_not(cell: object) -> object:
    """A cell with infinity as a number again."""
    for positive, words in INFINITE.items():
        if cell == words:
            return math.inf if positive else -math.inf
    return cell


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def paired_share(
    first: Mapping[str, float], second: Mapping[str, float], *, resamples: int, seed: int = 1
) -> tuple[int, Estimate]:
    """Difference of two shares over the scans that both have, first minus second.

    Args:
        first: 0 or 1 by scan.
        second: the same of the other model.
        resamples: of the percentile bootstrap over scans.
        seed: of the bootstrap.

    Returns:
        Number of common scans, and the difference with its 95 % interval.

    Examples:
        >>> count, difference = paired_share({"a": 1, "b": 1}, {"a": 0, "b": 1}, resamples=500)
        >>> count, difference.value
        (2, 0.5)
    """
    common = sorted(first.keys() & second.keys())
    if not common:
        return 0, Estimate(value=math.nan, note="no common scans")
    change = np.array([first[scan] - second[scan] for scan in common])
    rng = np.random.default_rng([seed, 53])
    drawn = rng.integers(0, change.size, (resamples, change.size))
    low, high = np.percentile(change[drawn].mean(axis=1), [2.5, 97.5])
    return len(common), Estimate(
        value=float(change.mean()),
        low=float(low),
        high=float(high),
        method=f"percentile bootstrap over scans, {resamples} resamples",
    )
