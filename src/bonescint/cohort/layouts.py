"""Folders as people and public data sets keep them: what is found, and what is assumed of it.

No layout of a public data set was seen by us; theirs come from descriptions. So each layout says
what it takes for granted, and a user can compare that with what lies in the folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bonescint.cohort.labels import LabelRow, Labels, read_labels
from bonescint.dicom import Discovery, StudyFiles, discover, is_dicom, names_of
from bonescint.dicom.words import view_in_path
from bonescint.scan import InputError, ParameterError


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
        labels: of the scans.
        assumptions: what was taken for granted, a sentence each.
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
        outside: a folder whose content is passed over: the cohort that is being made.

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
    """What does not lie in the folders that this command writes."""
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
