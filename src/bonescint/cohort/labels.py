"""The table of labels that comes with a folder of scans.

Columns (names in any case, spaces and underscores alike):

- `label`: 0 or 1, or negative or positive; required;
- what names the scan, at least one of: `accession`, `study` (Study Instance UID), `file` (name,
  path below the folder, or what both views' names have in common), `patient`;
- optional: `centre, split, sex, age, primary, mask_anterior, mask_posterior`.

Identifiers are kept only to be hashed; no message repeats a value of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bonescint.cohort.problems import Problem, refuse
from bonescint.cohort.tables import Table, plain_name, read_table
from bonescint.dicom.identifiers import OLDEST
from bonescint.scan import InputError, Split

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "accession": ("accession", "accession_number", "accession_no"),
    "study": ("study", "study_uid", "study_instance_uid"),
    "patient": ("patient", "patient_id"),
    "file": ("file", "file_name", "filename", "path"),
    "label": ("label",),
    "centre": ("centre", "center", "hospital"),
    "split": ("split",),
    "sex": ("sex", "gender", "patient_sex"),
    "age": ("age", "patient_age"),
    "primary": ("primary", "primary_tumour", "primary_tumor"),
    "mask_anterior": ("mask_anterior",),
    "mask_posterior": ("mask_posterior",),
}
NAMING = ("accession", "study", "file", "patient")
_LABELS: Mapping[str, bool] = {
    "0": False,
    "0.0": False,
    "negative": False,
    "1": True,
    "1.0": True,
    "positive": True,
}
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
    """

    source: str
    rows: tuple[LabelRow, ...]
    has_split: bool
    folder: Path


def read_labels(path: Path) -> Labels:
    """Read a table of labels.

    Raises:
        InputError: no table, columns missing, or wrong cells; every one is named by row and
            column, without its value.
    """
    table = read_table(path)
    column_of = _columns(table)
    rows: list[LabelRow] = []
    problems: list[Problem] = []
    for number, cells in table.rows:
        row = {name: cells.get(column, "") for name, column in column_of.items()}
        parsed = _parsed(row, column_of, number, problems)
        if parsed is not None:
            rows.append(parsed)
    refuse(path, problems, "Correct the table")
    if not rows:
        raise InputError(path, "holds no row", "Give one row a scan")
    return Labels(
        source=str(path), rows=tuple(rows), has_split="split" in column_of, folder=path.parent
    )


def _columns(table: Table) -> dict[str, str]:
    """For each name that is known the table's column."""
    found: dict[str, str] = {}
    problems = []
    for column in table.columns:
        for name, aliases in _ALIASES.items():
            if plain_name(column) not in {plain_name(alias) for alias in aliases}:
                continue
            if name in found:
                problems.append(
                    Problem(row=1, column=column, text=f"says the same as column {found[name]}")
                )
            found.setdefault(name, column)
    if "label" not in found:
        problems.append(Problem(row=1, column="label", text="is missing"))
    if not any(name in found for name in NAMING):
        text = f"no column names the scans: one of {', '.join(NAMING)} is needed"
        problems.append(Problem(row=1, column="", text=text))
    refuse(table.path, problems, "Correct the header of the table")
    return found


def _parsed(
    row: Mapping[str, str], column_of: Mapping[str, str], number: int, problems: list[Problem]
) -> LabelRow | None:
    """A row, or `None` with what is wrong added to the problems."""
    before = len(problems)

    def wrong(name: str, text: str) -> None:
        problems.append(Problem(row=number, column=column_of[name], text=text))

    label = _LABELS.get(row["label"].lower())
    if label is None:
        empty = "is empty, " if not row["label"] else ""
        wrong("label", f"{empty}must be 0 or 1, or negative or positive")
    if not any(row.get(name) for name in NAMING):
        named = [column_of[name] for name in NAMING if name in column_of]
        problems.append(
            Problem(row=number, column=" and ".join(named), text="nothing names the scan")
        )
    split = None
    if "split" in column_of:
        split = _SPLITS.get(row["split"].lower())
        if split is None:
            wrong("split", f"must be one of {', '.join(Split)}")
    sex = _SEXES.get(row.get("sex", "").lower())
    if sex is None:
        wrong("sex", "must be F, M or empty")
    age = _age(row.get("age", ""), lambda text: wrong("age", text))
    for name in ("centre", "primary"):
        text = row.get(name, "")
        if len(text) > 60 or not text.isprintable():
            wrong(name, "must be a short line of text")
    if len(problems) > before or label is None:
        return None
    texts = (
        "accession",
        "study",
        "file",
        "patient",
        "centre",
        "primary",
        "mask_anterior",
        "mask_posterior",
    )
    return LabelRow(
        row=number,
        positive=label,
        split=split,
        sex=sex or "",
        age=age,
        **{name: row.get(name, "") for name in texts},
    )


def _age(text: str, wrong: Callable[[str], None]) -> float | None:
    if not text:
        return None
    try:
        age = float(text.removesuffix("Y").removesuffix("y").replace(",", "."))
    except ValueError:
        wrong("is no number of years")
        return None
    if not 0 <= age < 130:
        wrong("must be from 0 to 130 years")
        return None
    return min(age, OLDEST)
