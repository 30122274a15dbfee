"""The table of labels that comes with a folder of scans.

Columns (names in any case, spaces and underscores alike):

- `label`: 0 or 1, or negative or positive (no or yes, in some languages); required;
- what names the scan, at least one of: `accession`, `study` (Study Instance UID), `file` (name,
  path below the folder, or what both views' names have in common), `patient`;
- optional: `centre, split, sex, age, primary, mask_anterior, mask_posterior`.

Identifiers are kept only to be hashed; no message repeats a value of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bonescint.cohort.problems import Problem, refuse
from bonescint.dicom.identifiers import OLDEST
from bonescint.scan import InputError, Split
from bonescint.tables import (
    Columns,
    Numbers,
    Row,
    folded,
    one_spelling,
    read_table,
    said_spellings,
    truth_of,
)

NAMING = ("accession", "study", "file", "patient")
_COLUMNS = Columns(
    names={
        "accession": ("accession", "accession number", "accession no"),
        "study": ("study", "study uid", "study instance uid"),
        "patient": ("patient", "patient id"),
        "file": ("file", "file name", "path"),
        "label": ("label",),
        "centre": ("centre", "center", "hospital"),
        "split": ("split",),
        "sex": ("sex", "gender", "patient sex"),
        "age": ("age", "patient age"),
        "primary": ("primary", "primary tumour", "primary tumor"),
        "mask_anterior": ("mask anterior",),
        "mask_posterior": ("mask posterior",),
    },
    required=("label",),
    remedy="Give a table with label and accession, study, file or patient",
)
_SEXES: Mapping[str, str] = {
    "f": "F",
    "female": "F",
    "w": "F",
    "m": "M",
    "male": "M",
    "": "",
    "o": "",
    "u": "",
    "unknown": "",
    "other": "",
}
_SPLITS: Mapping[str, Split] = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "validation": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "val": Split.VALIDATION,
    "test": Split.TEST,
    "external test": Split.TEST,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """One row of the table.

    Attributes:
        row: as a spreadsheet counts.
        positive: the label.
        accession: as the table says, like the next three; not shown when printed.
        study: Study Instance UID.
        file: name of a file.
        patient: number or name of the patient.
        centre: where it was acquired, or empty.
        split: part of the study, or `None` if the table has no such column.
        sex: `"F"`, `"M"` or empty.
        age: years, at most 90, or `None`.
        primary: primary tumour, or empty.
        mask_anterior: path of a physician's mask, or empty.
        mask_posterior: the same of the posterior view.
    """

    row: int
    positive: bool
    accession: str = field(default="", repr=False)
    study: str = field(default="", repr=False)
    file: str = field(default="", repr=False)
    patient: str = field(default="", repr=False)
    centre: str = ""
    split: Split | None = None
    sex: str = ""
    age: float | None = None
    primary: str = ""
    mask_anterior: str = ""
    mask_posterior: str = ""

    @property
    def facts(self) -> tuple[object, ...]:
        """What two rows that name the same scan must agree on."""
        return (
            self.positive,
            self.patient,
            self.centre,
            self.split,
            self.sex,
            self.age,
            self.primary,
            self.mask_anterior,
            self.mask_posterior,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """A table of labels without a fault.

    Attributes:
        source: the file, or what the labels were taken from.
        rows: in the table's order.
        has_split: whether it says which split a scan belongs to.
        folder: that paths of masks are relative to.
        notes: what has to be known of how the table was read, without a value of it but centres.
    """

    source: str
    rows: tuple[LabelRow, ...]
    has_split: bool
    folder: Path
    notes: tuple[str, ...] = ()


def read_labels(path: Path) -> Labels:
    """Read a table of labels, as CSV or .xlsx.

    Raises:
        InputError: no table, columns missing, or wrong cells; every one is named by row and
            column, without its value.
    """
    table = read_table(path, _COLUMNS)
    if not any(name in table for name in NAMING):
        problem = f"no column names the scans: one of {', '.join(NAMING)} is needed"
        raise table.error(problem, "Correct the header of the table", row=table.header_row)
    age_of = table.numbers("age")
    rows: list[LabelRow] = []
    problems: list[Problem] = []
    for row in table.rows:
        parsed = _parsed(row, age_of, problems)
        if parsed is not None:
            rows.append(parsed)
    refuse(table.source, problems, "Correct the table")
    if not rows:
        raise InputError(table.source, "holds no row", "Give one row per scan")
    told, notes = _spelt_alike(rows)
    return Labels(
        source=table.source,
        rows=told,
        has_split="split" in table,
        folder=path.parent,
        notes=(*table.notes, *notes),
    )


def _spelt_alike(rows: Sequence[LabelRow]) -> tuple[tuple[LabelRow, ...], list[str]]:
    """Rows in which a patient and a centre each have one spelling, and what that changed."""
    patients = one_spelling(row.patient for row in rows if row.patient)
    centres = one_spelling(row.centre for row in rows if row.centre)
    notes = [said_spellings("centre", centres)] if centres else []
    if patients:
        told = [str(row.row) for row in rows if row.patient in patients]
        notes.append(
            f"patients of row {', '.join(told[:5])}{' and more' if len(told) > 5 else ''} differ "
            "from others in capitals, spaces or leading zeros only: taken for the same"
        )
    alike = (
        replace(
            row,
            patient=patients.get(row.patient, row.patient),
            centre=centres.get(row.centre, row.centre),
        )
        for row in rows
    )
    return tuple(alike), notes


def _parsed(row: Row, age_of: Numbers, problems: list[Problem]) -> LabelRow | None:
    """A row, or `None` with what is wrong added to the problems."""
    before = len(problems)
    columns = row.table.columns

    def wrong(name: str, text: str) -> None:
        problems.append(Problem(row=row.number, column=columns.get(name, name), text=text))

    label = truth_of(row.text("label"))
    if label is None:
        empty = "is empty, " if not row.text("label") else ""
        wrong("label", f"{empty}must be 0 or 1, or negative or positive")
    if not any(row.text(name) for name in NAMING):
        named = [columns[name] for name in NAMING if name in columns]
        text = "nothing names the scan"
        problems.append(Problem(row=row.number, column=" and ".join(named), text=text))
    split = _SPLITS.get(folded(row.text("split")))
    if split is None and "split" in columns:
        wrong("split", f"must be one of {', '.join(Split)}")
    sex = _SEXES.get(folded(row.text("sex")))
    if sex is None:
        wrong("sex", "must be F, M or empty")
    years = row.text("age")
    age = age_of(years.removesuffix("Y").removesuffix("y"))
    if years and age is None:
        wrong("age", "is not a number of years")
    elif age is not None and not 0 <= age < 130:
        wrong("age", "must be from 0 to 130 years")
    for name in ("centre", "primary"):
        if len(row.name(name)) > 60 or not row.name(name).isprintable():
            wrong(name, "must be a short line of text")
    if len(problems) > before or label is None:
        return None
    return LabelRow(
        row=row.number,
        positive=label,
        split=split,
        sex=sex or "",
        age=None if age is None else min(age, OLDEST),
        **{name: row.name(name) for name in ("accession", "study", "patient", "centre", "primary")},
        **{name: row.text(name) for name in ("file", "mask_anterior", "mask_posterior")},
    )
