"""One side of a comparison: its scans, or a normal database in their place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bonescint.cohort.compare.averages import Averages, read_normal_database
from bonescint.cohort.manifest import examine_manifest
from bonescint.dicom import StudyFiles, discover
from bonescint.scan import InputError
from bonescint.tables import name_key


@dataclass(frozen=True, slots=True, kw_only=True)
class SideScan:
    """A scan that a side lists.

    Attributes:
        source: what it is called in messages: its `scan_id` in a manifest, else its path below
            what was given.
        files: files of the study, or the one path that a manifest names.
        patient: pseudonym that a manifest gives; empty if none does.
        positive: its label, or `None`.
    """

    source: str
    files: StudyFiles | Path
    patient: str = ""
    positive: bool | None = None


@dataclass(frozen=True, slots=True)
class OmittedScan:
    """A scan that is not compared.

    Attributes:
        source: see `SideScan`; a row of the manifest, or a file.
        reason: what is wrong.
    """

    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """One side of a comparison, as it was given.

    Attributes:
        letter: "A" or "B".
        name: name of the folder or file.
        scans: to read, empty for a normal database.
        omitted: what cannot be read, as far as that is known before reading.
        stored: averages of a normal database, or `None`.
        notes: that belong in the report.
    """

    letter: str
    name: str
    scans: tuple[SideScan, ...] = ()
    omitted: tuple[OmittedScan, ...] = ()
    stored: Averages | None = None
    notes: tuple[str, ...] = ()


def open_side(letter: str, path: Path, *, label: bool | None = None) -> Side:
    """Find the scans of a side.

    Args:
        letter: "A" or "B".
        path: a manifest, a folder that holds one, another folder or archive of scans, or a normal
            database (.npz).
        label: take only scans with this label; where there are no labels, all are taken.

    Raises:
        InputError: nothing is there, or no table or file of the kind.
    """
    name = path.resolve().name
    if path.suffix.lower() == ".npz":
        return Side(letter=letter, name=name, stored=read_normal_database(path))
    if not path.exists():
        raise InputError(path, "does not exist", "Check the path")
    if path.suffix.lower() in (".csv", ".xlsx") or (path / "manifest.csv").is_file():
        return _of_manifest(letter, name, path, label)
    found = discover([path])
    scans = tuple(
        SideScan(source=_below(study.source, path), files=study) for study in found.studies
    )
    omitted = tuple(OmittedScan(_below(one.source, path), _reason(one)) for one in found.refused)
    notes = () if label is None else ("its scans have no labels, so --label kept all of them",)
    return Side(letter=letter, name=name, scans=scans, omitted=omitted, notes=notes)


def _of_manifest(letter: str, name: str, path: Path, label: bool | None) -> Side:
    rows = examine_manifest(path)
    omitted = [
        OmittedScan(f"row {one.row}", f"column {one.column}: {one.text}") for one in rows.problems
    ]
    scans: list[SideScan] = []
    for row, case in rows.cases:
        if label is not None and case.positive is not label:
            continue
        if not case.file:
            omitted.append(OmittedScan(f"row {row}", "column file: is empty"))
            continue
        scans.append(
            SideScan(
                source=case.scan_id,
                files=rows.path.parent / case.file,
                patient=name_key(case.patient_id),
                positive=case.positive,
            )
        )
    return Side(letter=letter, name=name, scans=tuple(scans), omitted=tuple(omitted))


def _reason(error: InputError) -> str:
    """What is wrong with a file, for the page, which names no other."""
    copy = error.problem.startswith("is a copy of")
    return "is a copy of another file" if copy else error.problem


def _below(source: str, path: Path) -> str:
    """A path relative to what the user gave."""
    return " + ".join(
        part.removeprefix(f"{path}").lstrip("/\\") or Path(part).name
        for part in source.split(" + ")
    )
