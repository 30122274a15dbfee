"""What a check reports of a cohort: its findings, and the paper's Table 1 for its patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from bonescint.files import make_folder, require_own, write_table, write_whole
from bonescint.scan import Case, Split

_COLUMNS = ("level", "kind", "rows", "text")
_FILES = ("findings.csv", "table1.csv", "table1.txt")


class Level(StrEnum):
    """How serious a finding is."""

    ERROR = "error"
    """Results from this cohort would be wrong, or cannot be had."""
    WARNING = "warning"
    """To be looked at and, perhaps, to be reported in a paper."""


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


_TITLES = {
    Split.TRAIN: "Training",
    Split.VALIDATION: "Validation",
    Split.TEST: "Test",
}
_SEXES = (("F", "women"), ("M", "men"), ("", "not known"))
_MOST_PRIMARIES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Table1Row:
    """One line of the table.

    Attributes:
        group: what the line belongs to, such as `"Centre A"`.
        name: what is counted, such as `"with metastasis"`.
        cells: text for each split, then for all.
    """

    group: str
    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table1:
    """The patients of a cohort, by split.

    Attributes:
        columns: titles of the splits that are there, then `"All"`, with numbers of scans.
        rows: centres as in the paper (Ibrahim et al. 2023, Table 1), then patients, sex, age
            and primary tumour.
    """

    columns: tuple[str, ...]
    rows: tuple[Table1Row, ...]

    def to_text(self) -> str:
        """The table for a terminal or a text file; it ends with a line break."""
        lines = [("", "", *self.columns)]
        group = ""
        for row in self.rows:
            lines.append((row.group if row.group != group else "", row.name, *row.cells))
            group = row.group
        widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
        text = []
        for number, line in enumerate(lines):
            if number and line[0]:
                text.append("")
            padded = [
                cell.ljust(width) if place < 2 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            text.append("  ".join(padded).rstrip())
        return "\n".join(text) + "\n"

    def write_csv(self, path: Path) -> None:
        """Write it as CSV.

        Raises:
            OutputError: it cannot be written.
        """
        write_table(
            path,
            ("group", "name", *self.columns),
            ((row.group, row.name, *row.cells) for row in self.rows),
        )


def table1(cases: Sequence[Case]) -> Table1:
    """Count a cohort as the paper's Table 1 does.

    Ages are of scans, like the numbers of women and men; patients are counted once.

    Args:
        cases: cases of a manifest.

    Examples:
        >>> case = Case(scan_id="a", patient_id="p", centre="A", split=Split.TRAIN, positive=True)
        >>> print(table1([case]).to_text().splitlines()[2])
        Centre A     with metastasis                         1            1
    """
    splits = [split for split in Split if any(case.split is split for case in cases)]
    parts = [[case for case in cases if case.split is split] for split in splits] + [list(cases)]
    titles = [_TITLES[split] for split in splits] + ["All"]
    rows: list[Table1Row] = []

    def add(group: str, name: str, cell: Callable[[list[Case]], str]) -> None:
        rows.append(Table1Row(group=group, name=name, cells=tuple(cell(part) for part in parts)))

    labels = ((True, "with metastasis"), (False, "without metastasis"))
    for centre in sorted({case.centre for case in cases}):
        for positive, name in labels:
            add(f"Centre {centre}", name, _counting(centre=centre, positive=positive))
    for positive, name in labels:
        add("All centres", name, _sharing(positive=positive))
    add("Patients", "number", lambda part: _number(len({case.patient_id for case in part})))
    add("Patients", "with more than one scan", lambda part: _number(_repeated(part)))
    for sex, name in _SEXES:
        if any(case.sex == sex for case in cases):
            add("Sex", name, _sharing(sex=sex))
    add("Age, years", "median (quartiles)", _ages)
    add("Age, years", "not known", _counting(age=None))
    for primary in _primaries(cases):
        add("Primary tumour", primary or "none or unknown", _sharing(primary=primary))
    columns = tuple(f"{title} (n = {len(part)})" for title, part in zip(titles, parts, strict=True))
    return Table1(columns=columns, rows=tuple(rows))


def _number(count: int) -> str:
    return str(count) if count else "-"


def _matching(part: list[Case], wanted: dict[str, object]) -> int:
    return sum(all(getattr(case, name) == value for name, value in wanted.items()) for case in part)


def _counting(**wanted: object) -> Callable[[list[Case]], str]:
    """A cell that counts the cases with given attributes."""
    return lambda part: _number(_matching(part, wanted))


def _sharing(**wanted: object) -> Callable[[list[Case]], str]:
    """A cell that counts such cases and gives their share of all."""

    def cell(part: list[Case]) -> str:
        count = _matching(part, wanted)
        return f"{count} ({100 * count / len(part):.1f} %)" if count else "-"

    return cell


def _repeated(part: list[Case]) -> int:
    scans = Counter(case.patient_id for case in part)
    return sum(count > 1 for count in scans.values())


def _ages(part: list[Case]) -> str:
    ages = [case.age for case in part if case.age is not None]
    if not ages:
        return "-"
    low, middle, high = np.percentile(ages, [25, 50, 75])
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def _primaries(cases: Sequence[Case]) -> list[str]:
    """Primaries by number of scans, the commonest first; very many are not listed."""
    counts = Counter(case.primary for case in cases)
    if set(counts) == {""}:
        return []
    return sorted(counts, key=lambda name: (-counts[name], name))[:_MOST_PRIMARIES]
