"""Match rows of the table of labels with studies, by hashed identifiers; nothing is guessed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bonescint.cohort.labels import LabelRow, Labels
from bonescint.dicom import (
    Identifier,
    StudyFiles,
    StudyKeys,
    hashed_identifier,
    names_of,
    pair_name,
    study_keys,
)
from bonescint.dicom.identity import keyed_hash
from bonescint.scan import InputError
from bonescint.tables import Problem, folded, name_key, refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledStudy:
    """A study with its label and its patient.

    Attributes:
        study: its files.
        row: row of the table.
        keys: what its headers say, hashed.
        patient_id: pseudonym of the patient.
        patient_assumed: whether nothing names the patient, so that the study counts as one.
    """

    study: StudyFiles
    row: LabelRow
    keys: StudyKeys
    patient_id: str
    patient_assumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """Something that is left out of the cohort.

    Attributes:
        kind: a word or two, without anything that identifies a patient.
        source: path, or the row of the table; may identify a patient.
        reason: what is wrong; may identify a patient, too.
    """

    kind: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """The result of matching.

    Attributes:
        labelled: studies with a label, in the order found.
        left_out: studies without a label and rows without a study.
        doubted: number of patients who share a header's Patient ID with another one.
    """

    labelled: tuple[LabelledStudy, ...]
    left_out: tuple[Exclusion, ...]
    doubted: int


class _Index:
    """Index of the studies by every identifier that a row may give."""

    def __init__(
        self, studies: Sequence[StudyFiles], keys: Sequence[StudyKeys], folder: Path
    ) -> None:
        self.by_hash: dict[tuple[Identifier, str], set[int]] = defaultdict(set)
        self.by_name: dict[str, set[int]] = defaultdict(set)
        self.by_person: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        for place, (study, key) in enumerate(zip(studies, keys, strict=True)):
            for kind in Identifier:
                if getattr(key, kind.value):
                    self.by_hash[kind, getattr(key, kind.value)].add(place)
            for name in names_of(study, folder):
                self.by_name[name_key(name)].add(place)
            if not key.study and not key.patient:
                parents = {p.parent.name for p in study.files if p.parent != folder}
                common = pair_name(study)
                for name in {
                    *parents,
                    common,
                    common.replace(" ", "_"),
                    common.replace(" ", "-"),
                } - {""}:
                    self.by_person[name_key(name)][folded(name)].add(place)

    def named_by(self, row: LabelRow, id_key: bytes) -> tuple[set[int], str]:
        """Indices of the studies that a row names, and why they would be a guess, or empty."""
        sets = []
        for kind in (Identifier.ACCESSION, Identifier.STUDY):
            value = getattr(row, kind.value)
            if value:
                sets.append(self.by_hash[kind, hashed_identifier(kind, value, id_key=id_key)])
        if row.file:
            name = name_key(row.file.replace("\\", "/").lstrip("./"))
            sets.append(self.by_name.get(name, set()))
        if sets:
            places = set.intersection(*sets)
            several = row.file and len(places) > 1
            reason = f"names {len(places)} scans; give the path below the folder"
            return places, reason if several else ""
        hashed = hashed_identifier(Identifier.PATIENT, row.patient, id_key=id_key)
        spelt = self.by_person.get(name_key(row.patient), {})
        reason = "names pictures whose numbers differ in leading zeros; give a column file"
        return (
            self.by_hash[Identifier.PATIENT, hashed].union(*spelt.values()),
            reason if len(spelt) > 1 else "",
        )


def match(
    labels: Labels, studies: Sequence[StudyFiles], folder: Path, *, id_key: bytes
) -> Matching:
    """Give studies their labels.

    A row names the studies that agree with every one of `accession`, `study` and `file` that it
    fills; if it fills none of them, all studies of its `patient`. A `file` that names several
    studies, or a `patient` whose pictures have numbers that differ in leading zeros, is left out,
    not guessed. Where a row fills `patient` too, that is the patient; otherwise the one to whom
    other rows give the header's Patient ID, if they agree; otherwise the header's Patient ID;
    otherwise the study is taken for a patient of its own.

    Args:
        labels: the table.
        studies: as found.
        folder: that was searched.
        id_key: secret key of all hashes.

    Raises:
        InputError: rows that name the same study and differ; every pair is named.
    """
    left_out: list[Exclusion] = []
    readable: list[StudyFiles] = []
    keys: list[StudyKeys] = []
    for study in studies:
        try:
            keys.append(study_keys(study, id_key=id_key))
            readable.append(study)
        except InputError as error:
            left_out.append(Exclusion(kind="not readable", source=study.source, reason=str(error)))
    index = _Index(readable, keys, folder)
    rows_of: dict[int, list[LabelRow]] = defaultdict(list)
    for row in labels.rows:
        places, doubt = index.named_by(row, id_key)
        if doubt:
            left_out.append(
                Exclusion(kind="row names several scans", source=f"row {row.row}", reason=doubt)
            )
            continue
        if not places:
            left_out.append(
                Exclusion(
                    kind="row without a scan",
                    source=f"row {row.row}",
                    reason="no scan of the folder has this name",
                )
            )
        for place in places:
            rows_of[place].append(row)
    refuse(labels.source, _contradictions(rows_of), "Correct the table")
    told: dict[str, set[str]] = defaultdict(set)  # patients of the table by the header's
    for place, (row, *_) in rows_of.items():
        if row.patient and keys[place].patient:
            patient = hashed_identifier(Identifier.PATIENT, row.patient, id_key=id_key)
            told[keys[place].patient].add(patient)
    one_told = {header: min(patients) for header, patients in told.items() if len(patients) == 1}
    labelled = []
    for place, study in enumerate(readable):
        if place in rows_of:
            labelled.append(_labelled(study, rows_of[place][0], keys[place], one_told, id_key))
        else:
            left_out.append(
                Exclusion(
                    kind="no label", source=study.source, reason="no row identifies this scan"
                )
            )
    return Matching(labelled=tuple(labelled), left_out=tuple(left_out), doubted=_doubted(labelled))


def _contradictions(rows_of: dict[int, list[LabelRow]]) -> list[Problem]:
    problems = []
    said = set()
    for rows in rows_of.values():
        first = rows[0]
        for other in rows[1:]:
            differ = first.differences(other)
            if differ and (first.row, other.row) not in said:
                said.add((first.row, other.row))
                text = f"names the same scan as row {first.row} and differs in {', '.join(differ)}"
                problems.append(Problem(row=other.row, column="", text=text))
    return problems


def _labelled(
    study: StudyFiles,
    row: LabelRow,
    keys: StudyKeys,
    one_told: Mapping[str, str],
    id_key: bytes,
) -> LabelledStudy:
    told = hashed_identifier(Identifier.PATIENT, row.patient, id_key=id_key) or one_told.get(
        keys.patient, keys.patient
    )
    own = keyed_hash(
        [study.source.encode("utf-8", "surrogateescape")], key=id_key, purpose="lone study"
    )
    return LabelledStudy(
        study=study,
        row=row,
        keys=keys,
        patient_id=f"pt-{told or own}",
        patient_assumed=not told,
    )


def _doubted(labelled: Sequence[LabelledStudy]) -> int:
    """How many patients share a header's Patient ID with another one."""
    patients_of: dict[str, set[str]] = defaultdict(set)
    for one in labelled:
        if one.keys.patient:
            patients_of[one.keys.patient].add(one.patient_id)
    return sum(len(patients) - 1 for patients in patients_of.values())
