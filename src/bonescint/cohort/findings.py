"""What is wrong with a cohort, and what should be known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from bonescint.cohort.table1 import Table1
from bonescint.files import make_folder, require_own, write_table, write_whole

_COLUMNS = ("level", "kind", "rows", "text")
_FILES = ("findings.csv", "table1.csv", "table1.txt")


class Level(StrEnum):
    """How much a finding weighs."""

    ERROR = "error"
    """Results from this cohort would be wrong, or cannot be had."""
    WARNING = "warning"
    """To be looked at and, perhaps, to be said in a paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found.

    Attributes:
        level: error or warning.
        kind: a word or two.
        text: what it is, without a full stop.
        rows: rows of the manifest, as a spreadsheet counts.
    """

    level: Level
    kind: str
    text: str
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.level}: {self.kind}: {self.text}"
        rows = f"row{'s' if len(self.rows) > 1 else ''} {', '.join(map(str, self.rows[:20]))}"
        more = f" and {len(self.rows) - 20} more" if len(self.rows) > 20 else ""
        return f"{self.level}: {self.kind}: {rows}{more}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortReport:
    """What a check of a cohort found.

    Attributes:
        source: the manifest.
        findings: errors first.
        table: who is in the cohort.
        scans: rows that could be read.
        compared: scans whose pixels were compared.
        near_bound: score from which two scans counted as near-duplicates, or `None` if they
            were not looked for.
    """

    source: Path
    findings: tuple[Finding, ...]
    table: Table1
    scans: int
    compared: int
    near_bound: float | None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(one for one in self.findings if one.level is Level.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that are warnings."""
        return tuple(one for one in self.findings if one.level is Level.WARNING)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {
            "source": str(self.source),
            "scans": self.scans,
            "compared": self.compared,
            "near_bound": self.near_bound,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "findings": [
                {
                    "level": one.level.value,
                    "kind": one.kind,
                    "text": one.text,
                    "rows": list(one.rows),
                }
                for one in self.findings
            ],
            "table1": {
                "columns": list(self.table.columns),
                "rows": [[row.group, row.name, *row.cells] for row in self.table.rows],
            },
        }

    def write(self, out: Path) -> None:
        """Write `findings.csv`, `table1.csv` and `table1.txt`.

        Raises:
            OutputError: the folder cannot be written, or holds files of other origin.
        """
        require_own(out, _FILES, mark=_FILES[0], signature=",".join(_COLUMNS))
        make_folder(out)
        write_table(out / _FILES[0], _COLUMNS, _lines(self.findings))
        write_whole(out / "table1.txt", self.table.to_text())
        self.table.write_csv(out / "table1.csv")


def _lines(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    return [(one.level.value, one.kind, " ".join(map(str, one.rows)), one.text) for one in findings]
