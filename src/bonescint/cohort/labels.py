"""A folder of scans in a known layout, and the table of labels that comes with it.

Columns (names in any case, spaces and underscores alike):

- `label`: 0 or 1, or negative or positive (no or yes, in some languages); required;
- what names the scan, at least one of: `accession`, `study` (Study Instance UID), `file` (name,
  path below the folder, or what both views' names have in common), `patient`;
- optional: `centre, split, sex, age, primary, mask_anterior, mask_posterior`.

Identifiers are kept only to be hashed; no message repeats a value of the table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from bonescint.dicom import Discovery, StudyFiles, discover, is_dicom, names_of
from bonescint.dicom.identity import OLDEST
from bonescint.dicom.words import view_in_path
from bonescint.scan import InputError, ParameterError, Split, View
from bonescint.tables import (
    Columns,
    Numbers,
    Problem,
    Row,
    folded,
    one_spelling,
    read_table,
    refuse,
    said_spellings,
    truth_of,
)

_MASKS = ("mask_anterior", "mask_posterior")
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

    def differences(self, other: LabelRow) -> list[str]:
        """Columns in which two rows that name the same scan contradict each other."""
        return [name for name, value in self._facts().items() if value != other._facts()[name]]

    def _facts(self) -> dict[str, object]:
        others = ("patient", "centre", "split", "sex", "age", "primary", *_MASKS)
        return {"label": self.positive, **{name: getattr(self, name) for name in others}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """A valid table of labels.

    Attributes:
        source: the file, or what the labels were taken from.
        rows: in the table's order.
        has_split: whether it says which split a scan belongs to.
        folder: that paths of masks are relative to.
        notes: how the table was read, where its owner should know; no value but a centre is quoted.
    """

    source: str
    rows: tuple[LabelRow, ...]
    has_split: bool
    folder: Path
    notes: tuple[str, ...] = ()

    def masks(self, row: LabelRow) -> tuple[tuple[View, Path], ...]:
        """The physician's masks that a row names, by view."""
        named = ((view, getattr(row, f"mask_{view.value}")) for view in View)
        return tuple((view, self.folder / name) for view, name in named if name)

    def check_masks(self) -> None:
        """Make sure that every mask that a row names is there, before a long work begins.

        Raises:
            InputError: one is not; all are named.
        """
        problems = [
            Problem(row=row.row, column=f"mask_{view.value}", text="no such file")
            for row in self.rows
            for view, path in self.masks(row)
            if not path.is_file()
        ]
        refuse(self.source, problems, "Give paths relative to the table")


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
        **{name: row.text(name) for name in ("file", *_MASKS)},
    )


class Layout(StrEnum):
    """How a folder of scans is laid out."""

    AUTO = "auto"
    """DICOM files and pictures in any folders."""
    PAIRS = "png-pairs"
    """Pictures only, one file per view."""
    PARAGUAY = "zenodo-13900966"
    """AP and PA of 291 patients, 16-bit PNG, one label per patient."""
    BS80K = "bs-80k"
    """Folders ANT and POST, 8-bit JPEG, labels in text files."""


_ANY = (
    "DICOM headers, or the names of pictures, say which view is which; if two views cannot be "
    "paired, each is a scan of one view.",
)
_PICTURES = (
    "A pair is two pictures whose names differ only in anterior and posterior (ant, post, AP, "
    "PA), or which have the same name in folders called ANT and POST; one picture with two bodies "
    "is AP | PA.",
    "Grey values are taken as intensity, not as counts; the pixel spacing is not known.",
)
ASSUMPTIONS: dict[Layout, tuple[str, ...]] = {
    Layout.AUTO: _ANY,
    Layout.PAIRS: (*_PICTURES, "DICOM files are ignored."),
    Layout.PARAGUAY: (
        *_PICTURES,
        "Every picture belongs to the patient whose number in the table of labels is the name of "
        "its pair or of its folder; the label of a patient applies to all of the patient's scans.",
        "The layout comes from a description (16-bit PNG, 1024 rows, 256 columns, one pair per "
        "patient); it was not compared with the data set.",
    ),
    Layout.BS80K: (
        *_PICTURES,
        "Labels are in text files with lines 'name 0' or 'name 1', whose file name or folder says "
        "ANT, POST, whole, WB or label; a study is positive if one of its views is.",
        "Each pair is of a different patient: 3247 patients are said to have one whole-body pair "
        "each, and nothing in the files contradicts this.",
        "Region crops are not tall enough to be read as a body; boxes of suspected foci (VOC "
        "XML) are not read. The layout comes from a description; it was not compared.",
    ),
}
_LINE = re.compile(r"^\s*(?P<name>.*?\S)[\s,;]+(?P<label>[01])(?:\.0)?\s*$")
_LABEL_FILE = re.compile(r"whole|label|(?:^|[^a-z])wb(?:[^a-z]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A folder of scans with its labels.

    Attributes:
        folder: that was searched.
        found: studies and refused files.
        labels: labels of the scans.
        assumptions: that were made, a sentence each.
    """

    folder: Path
    found: Discovery
    labels: Labels
    assumptions: tuple[str, ...]


def collect(folder: Path, labels: Path | None, layout: Layout, *, outside: Path) -> Collection:
    """Search a folder and read its labels.

    Args:
        folder: to search, with everything below it.
        labels: table of labels; only `bs-80k` does without.
        layout: how the folder is laid out.
        outside: the cohort that is being made; its content is skipped.

    Raises:
        InputError: no such folder, or wrong labels.
        ParameterError: no labels.
    """
    if not folder.is_dir():
        raise InputError(folder, "no such folder", "Give the folder that holds the scans")
    if labels is None and layout is not Layout.BS80K:
        raise ParameterError("labels", "cohort create", "a table of labels (--labels)", None)
    table = None if labels is None else read_labels(labels)  # before a long search
    found = _without(discover([folder]), outside)
    if layout is not Layout.AUTO:
        pictures = tuple(study for study in found.studies if not is_dicom(study))
        found = Discovery(studies=pictures, refused=found.refused)
    if table is None:
        table = _text_labels(folder, found.studies)
    return Collection(folder=folder, found=found, labels=table, assumptions=ASSUMPTIONS[layout])


def _without(found: Discovery, outside: Path) -> Discovery:
    """What was found outside the folders that this command writes."""
    own = (outside.resolve(), outside.with_name(f"{outside.name}.private").resolve())

    def is_own(path: Path) -> bool:
        return any(path.resolve().is_relative_to(folder) for folder in own)

    return Discovery(
        studies=tuple(study for study in found.studies if not is_own(study.files[0])),
        refused=tuple(error for error in found.refused if not is_own(Path(error.source))),
    )


def _text_labels(folder: Path, studies: tuple[StudyFiles, ...]) -> Labels:
    """Labels of BS-80K: a study is positive if a line says so of one of its views."""
    said: dict[str, bool] = {}
    for file in sorted(folder.rglob("*.txt")):
        if view_in_path(file) is None and not _LABEL_FILE.search(file.stem):
            continue
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            match = _LINE.match(line)
            if match:
                name = Path(match["name"].replace("\\", "/")).name.lower()
                said[name] = said.get(name, False) or match["label"] == "1"
    if not said:
        raise InputError(
            folder, "no text file holds lines 'name 0' or 'name 1'", "Give --labels labels.csv"
        )
    rows = []
    for number, study in enumerate(studies, start=1):
        labels = [said[name] for name in sorted(names_of(study, folder)) if name in said]
        if labels:
            name = study.files[0].relative_to(folder).as_posix()
            rows.append(LabelRow(row=number, positive=any(labels), file=name))
    if not rows:
        raise InputError(
            folder, "no line of the text files names a picture", "Give --labels labels.csv"
        )
    return Labels(
        source=f"text files in {folder}", rows=tuple(rows), has_split=False, folder=folder
    )
