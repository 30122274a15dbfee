"""The manifest: one table that says what a cohort holds.

Required columns: `scan_id, patient_id, centre, split, label, file`; optional: `sex, age,
primary, truth`. CSV.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bonescint.scan import BonescintError, Case, InputError, Split

_REQUIRED = ("scan_id", "patient_id", "centre", "split", "label", "file")
_OPTIONAL = ("sex", "age", "primary", "truth")
_COLUMNS = frozenset((*_REQUIRED, *_OPTIONAL))
_LABELS: Mapping[str, bool] = {"0": False, "1": True, "0.0": False, "1.0": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The cases of a cohort and the folder that their paths are relative to.

    Attributes:
        cases: in the table's order.
        folder: the folder of the manifest.

    Raises:
        InputError: the same scan twice, or a patient on two sides of a split.
    """

    cases: tuple[Case, ...]
    folder: Path

    def __post_init__(self) -> None:
        scans: set[str] = set()
        split_of: dict[str, Split] = {}
        for case in self.cases:
            if case.scan_id in scans:
                raise InputError(
                    self.folder, f"scan {case.scan_id} is listed twice", "Remove one of the rows"
                )
            scans.add(case.scan_id)
            if split_of.setdefault(case.patient_id, case.split) is not case.split:
                raise InputError(
                    self.folder,
                    f"patient {case.patient_id} is in {split_of[case.patient_id]} and in "
                    f"{case.split}",
                    "Put every scan of a patient into one split",
                )

    def split(self, split: Split) -> tuple[Case, ...]:
        """The cases of one split."""
        return tuple(case for case in self.cases if case.split is split)

    def path(self, case: Case) -> Path:
        """The scan's file; a folder where a study has one file per view."""
        return self.folder / case.file


def _case(row: Mapping[str, str | None], number: int, source: Path) -> Case:
    text = {key: (value or "").strip() for key, value in row.items() if key in _COLUMNS}
    where = f"{source}, row {number}"
    label = text.get("label", "")
    if label not in _LABELS:
        raise InputError(where, f"label must be 0 or 1, got '{label}'", "Correct the column label")
    if text.get("split") not in set(Split):
        raise InputError(
            where,
            f"split must be one of {', '.join(Split)}, got '{text.get('split', '')}'",
            "Correct the column split",
        )
    try:
        age = float(text["age"]) if text.get("age") else None
        return Case(
            scan_id=text.get("scan_id", ""),
            patient_id=text.get("patient_id", ""),
            centre=text.get("centre", ""),
            split=Split(text["split"]),
            positive=_LABELS[label],
            file=text.get("file", ""),
            sex=text.get("sex", ""),
            age=age,
            primary=text.get("primary", ""),
            truth=text.get("truth", ""),
        )
    except (BonescintError, ValueError) as error:
        raise InputError(where, str(error).rstrip("."), "Correct the row") from error


def read_manifest(path: Path | str) -> Manifest:
    """Read a cohort's manifest.

    Args:
        path: a CSV table, or a folder that holds `manifest.csv`.

    Returns:
        The cases, valid and without leakage between splits.

    Raises:
        InputError: unreadable, columns missing, a row that is wrong (named), a patient on
            two sides of a split.
    """
    source = Path(path)
    if source.is_dir():
        source = source / "manifest.csv"
    try:
        with source.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream)
            columns = table.fieldnames or []
            rows = list(table)
    except FileNotFoundError as error:
        raise InputError(source, "no such file", "Give the path of a manifest") from error
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            source, f"not a readable table ({type(error).__name__})", "Give a CSV table"
        ) from error
    missing = [name for name in _REQUIRED if name not in columns]
    if missing:
        raise InputError(
            source, f"columns missing: {', '.join(missing)}", "Add them, one row a scan"
        )
    cases = tuple(_case(row, number, source) for number, row in enumerate(rows, start=2))
    return Manifest(cases=cases, folder=source.parent)


def write_manifest(cases: Iterable[Case], path: Path) -> None:
    """Write a manifest as CSV, beside and then renamed into place.

    Args:
        cases: the rows.
        path: the CSV file; its folder must exist.
    """
    beside = path.with_name(path.name + ".part")
    with beside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*_REQUIRED, *_OPTIONAL])
        for case in cases:
            writer.writerow(
                [
                    case.scan_id,
                    case.patient_id,
                    case.centre,
                    case.split.value,
                    int(case.positive),
                    case.file,
                    case.sex,
                    "" if case.age is None else f"{case.age:g}",
                    case.primary,
                    case.truth,
                ]
            )
    beside.replace(path)
