"""The manifest: one table that says what a cohort holds.

Required columns: `scan_id, patient_id, centre, split, label, file`; optional: `sex, age,
primary, truth, mask_anterior, mask_posterior`. CSV.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bonescint.cohort.problems import Problem, refuse
from bonescint.cohort.tables import read_table
from bonescint.files import write_table
from bonescint.scan import Case, InputError, Split

_REQUIRED = ("scan_id", "patient_id", "centre", "split", "label", "file")
_OPTIONAL = ("sex", "age", "primary", "truth")
_MASKS = ("mask_anterior", "mask_posterior")
_COLUMNS = frozenset((*_REQUIRED, *_OPTIONAL, *_MASKS))
_TEXTS = ("file", "sex", "primary", "truth", *_MASKS)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRows:
    """A manifest as far as it can be read, with everything that is wrong in it.

    Attributes:
        path: of the table.
        cases: number of the row (the header is row 1) and its case, without the wrong rows.
        problems: what is wrong, row by row.
        repeats: a scan that is listed twice, or a patient on two sides of a split.
    """

    path: Path
    cases: tuple[tuple[int, Case], ...]
    problems: tuple[Problem, ...]
    repeats: tuple[Problem, ...]


def _checked(row: Mapping[str, str], number: int) -> Case | list[Problem]:
    """The case of a row, or all that is wrong with it."""
    text = {key: (value or "").strip() for key, value in row.items() if key in _COLUMNS}
    problems = []

    def wrong(column: str, what: str) -> None:
        problems.append(Problem(row=number, column=column, text=what))

    for name in ("scan_id", "patient_id", "centre"):
        if not text.get(name):
            wrong(name, "is empty")
    label, split = text.get("label", ""), text.get("split", "")
    if label not in _LABELS:
        wrong("label", f"must be 0 or 1, got '{label}'")
    if split not in set(Split):
        wrong("split", f"must be one of {', '.join(Split)}, got '{split}'")
    age = None
    if text.get("age"):
        try:
            age = float(text["age"])
        except ValueError:
            wrong("age", "is no number")
        else:
            if not 0 <= age < 130:
                wrong("age", "must be from 0 to 130 years")
    if problems:
        return problems
    return Case(
        scan_id=text["scan_id"],
        patient_id=text["patient_id"],
        centre=text["centre"],
        split=Split(split),
        positive=_LABELS[label],
        age=age,
        **{name: text.get(name, "") for name in _TEXTS},
    )


def examine_manifest(path: Path | str) -> ManifestRows:
    """Read a manifest as far as it can be read.

    Args:
        path: a CSV table, or a folder that holds `manifest.csv`.

    Returns:
        The cases and everything that is wrong.

    Raises:
        InputError: no readable table, or columns missing.
    """
    source = Path(path)
    if source.is_dir():
        source = source / "manifest.csv"
    try:
        table = read_table(source)
    except InputError as error:
        if error.problem == "no such file":
            raise InputError(source, error.problem, "Give the path of a manifest") from error
        raise
    missing = [name for name in _REQUIRED if name not in table.columns]
    if missing:
        raise InputError(
            source, f"columns missing: {', '.join(missing)}", "Add them, one row a scan"
        )
    cases: list[tuple[int, Case]] = []
    problems: list[Problem] = []
    for number, row in table.rows:
        checked = _checked(row, number)
        if isinstance(checked, Case):
            cases.append((number, checked))
        else:
            problems += checked
    return ManifestRows(
        path=source,
        cases=tuple(cases),
        problems=tuple(problems),
        repeats=tuple(_repeats(cases)),
    )


def _repeats(cases: Iterable[tuple[int, Case]]) -> Iterator[Problem]:
    row_of: dict[str, int] = {}
    split_of: dict[str, tuple[int, Split]] = {}
    for number, case in cases:
        first = row_of.setdefault(case.scan_id, number)
        if first != number:
            text = f"scan {case.scan_id} is listed twice (first in row {first})"
            yield Problem(row=number, column="scan_id", text=text)
        row, split = split_of.setdefault(case.patient_id, (number, case.split))
        if split is not case.split:
            text = f"patient {case.patient_id} is in {split} and in {case.split} (row {row})"
            yield Problem(row=number, column="split", text=text)


def read_manifest(path: Path | str) -> Manifest:
    """Read a cohort's manifest.

    Args:
        path: a CSV table, or a folder that holds `manifest.csv`.

    Returns:
        The cases, valid and without leakage between splits.

    Raises:
        InputError: unreadable, columns missing, rows that are wrong or a patient on two sides
            of a split; every one is named.
    """
    rows = examine_manifest(path)
    refuse(rows.path, (*rows.problems, *rows.repeats), "Correct the manifest")
    return Manifest(cases=tuple(case for _, case in rows.cases), folder=rows.path.parent)


def write_manifest(cases: Iterable[Case], path: Path) -> None:
    """Write a manifest as CSV, beside and then renamed into place.

    The columns of masks are there only if a case has one.

    Args:
        cases: the rows.
        path: the CSV file; its folder must exist.

    Raises:
        OutputError: it cannot be written.
    """
    listed = list(cases)
    masks = _MASKS if any(case.mask_anterior or case.mask_posterior for case in listed) else ()
    write_table(path, [*_REQUIRED, *_OPTIONAL, *masks], (_row(case, masks) for case in listed))


def _row(case: Case, masks: Sequence[str]) -> list[object]:
    return [
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
        *(getattr(case, name) for name in masks),
    ]
