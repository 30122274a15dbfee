"""The manifest: one table that says what a cohort holds.

Required columns: `scan_id, patient_id, centre, split, label, file`; optional: `sex, age,
primary, truth, mask_anterior, mask_posterior, simulated`. CSV.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bonescint.dicom.listing import MANIFEST_COLUMNS
from bonescint.files import write_table
from bonescint.scan import Case, InputError, Split
from bonescint.tables import (
    SAME,
    Columns,
    Numbers,
    Problem,
    Row,
    name_key,
    one_spelling,
    read_table,
    refuse,
    said_spellings,
    truth_of,
)

_REQUIRED = MANIFEST_COLUMNS
_OPTIONAL = ("sex", "age", "primary", "truth")
_MASKS = ("mask_anterior", "mask_posterior")
_SIMULATED = "simulated"
_FORMER_PREFIX = "anatomy-"  # of simulated patients, in manifests without that column
_COLUMNS = Columns(
    names={name: (name,) for name in (*_REQUIRED, *_OPTIONAL, *_MASKS, _SIMULATED)},
    required=_REQUIRED,
    remedy="Add them, one row per scan",
)
_TEXTS = ("file", "sex", "primary", "truth", *_MASKS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The cases of a cohort and the folder that their paths are relative to.

    Attributes:
        cases: in the table's order.
        folder: the folder of the manifest.

    Raises:
        InputError: the same scan twice, or a patient in two splits.
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
            if split_of.setdefault(name_key(case.patient_id), case.split) is not case.split:
                raise InputError(
                    self.folder,
                    f"patient {case.patient_id} is in {split_of[name_key(case.patient_id)]} and in "
                    f"{case.split}",
                    "Put every scan of a patient into one split",
                )

    def split(self, split: Split) -> tuple[Case, ...]:
        """The cases of one split."""
        return tuple(case for case in self.cases if case.split == split)

    def path(self, case: Case) -> Path:
        """The scan's file; a folder where a study has one file per view."""
        return self.folder / case.file

    @property
    def by_path(self) -> dict[Path, Case]:
        """The cases by the path of their scan, without those that name no file."""
        return {self.path(case): case for case in self.cases if case.file}


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRows:
    """The readable part of a manifest, with everything that is wrong in it.

    Attributes:
        path: path of the table.
        cases: row number (the header is row 1) and case of each valid row.
        problems: what is wrong, row by row.
        repeats: scans that are listed twice, and patients in two splits.
    """

    path: Path
    cases: tuple[tuple[int, Case], ...]
    problems: tuple[Problem, ...]
    repeats: tuple[Problem, ...]


def _checked(row: Row, age_of: Numbers) -> Case | list[Problem]:
    """The case of a row, or all that is wrong with it."""
    problems = []

    def wrong(column: str, what: str) -> None:
        problems.append(Problem(row=row.number, column=column, text=what))

    names = {name: row.name(name) for name in ("scan_id", "patient_id", "centre")}
    for name, value in names.items():
        if not value:
            wrong(name, "is empty")
    positive, split = truth_of(row.text("label")), row.text("split").lower()
    if positive is None:
        wrong("label", f"must be 0 or 1, got '{row.text('label')}'")
    if split not in set(Split):
        wrong("split", f"must be one of {', '.join(Split)}, got '{row.text('split')}'")
    age = None
    if row.text("age"):
        age = age_of(row.text("age"))
        if age is None:
            wrong("age", "is no number")
        elif not 0 <= age < 130:
            wrong("age", "must be from 0 to 130 years")
    simulated = names["patient_id"].startswith(_FORMER_PREFIX)
    if _SIMULATED in row.table:
        said = truth_of(row.text(_SIMULATED) or "0")
        if said is None:
            wrong(_SIMULATED, f"must be 0 or 1, got '{row.text(_SIMULATED)}'")
        simulated = bool(said)
    if problems or positive is None:
        return problems
    texts = {name: row.text(name) for name in _TEXTS}
    return Case(
        split=Split(split), positive=positive, age=age, simulated=simulated, **names, **texts
    )


def examine_manifest(path: Path | str) -> ManifestRows:
    """Read a manifest and collect everything that is wrong in it.

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
    table = read_table(source, _COLUMNS)
    age_of = table.numbers("age")
    cases: list[tuple[int, Case]] = []
    problems: list[Problem] = []
    for row in table.rows:
        checked = _checked(row, age_of)
        if isinstance(checked, Case):
            cases.append((row.number, checked))
        else:
            problems += checked
    cases, notes = _spelt_alike(cases)
    table.warn(*notes)
    return ManifestRows(
        path=source,
        cases=tuple(cases),
        problems=tuple(problems),
        repeats=tuple(_repeats(cases)),
    )


def _spelt_alike(cases: list[tuple[int, Case]]) -> tuple[list[tuple[int, Case]], list[str]]:
    """The cases with one spelling for each patient and centre, and notes on what was changed."""
    patients = one_spelling(case.patient_id for _, case in cases)
    centres = one_spelling(case.centre for _, case in cases)
    scans = one_spelling(dict.fromkeys(case.scan_id for _, case in cases))
    said = [("patient", patients, SAME), ("centre", centres, SAME), ("scan", scans, "kept apart")]
    notes = [said_spellings(kind, used, became=became) for kind, used, became in said if used]
    alike = [
        (
            number,
            replace(
                case,
                patient_id=patients.get(case.patient_id, case.patient_id),
                centre=centres.get(case.centre, case.centre),
            ),
        )
        for number, case in cases
    ]
    return alike, notes


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
        InputError: unreadable, columns missing, invalid rows or patients in two splits; every
            one is named.
    """
    rows = examine_manifest(path)
    refuse(rows.path, (*rows.problems, *rows.repeats), "Correct the manifest")
    return Manifest(cases=tuple(case for _, case in rows.cases), folder=rows.path.parent)


def cohort_fingerprint(manifest: Manifest) -> str:
    """Hash of the identifiers, patients, labels and splits of a cohort, in any order.

    Returns:
        64 hexadecimal digits.
    """
    lines = sorted(
        f"{case.scan_id}\t{case.patient_id}\t{int(case.positive)}\t{case.split}"
        for case in manifest.cases
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def write_manifest(cases: Iterable[Case], path: Path) -> None:
    """Write a manifest as CSV, atomically.

    The columns of masks, and `simulated`, are written only if a case needs them.

    Args:
        cases: the rows.
        path: the CSV file; its folder must exist.

    Raises:
        OutputError: it cannot be written.
    """
    listed = list(cases)
    more: list[str] = []
    if any(case.mask_anterior or case.mask_posterior for case in listed):
        more += _MASKS
    if any(case.simulated for case in listed):
        more.append(_SIMULATED)
    write_table(path, [*_REQUIRED, *_OPTIONAL, *more], (_row(case, more) for case in listed))


def _row(case: Case, more: Sequence[str]) -> list[object]:
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
        *(int(case.simulated) if name == _SIMULATED else getattr(case, name) for name in more),
    ]
