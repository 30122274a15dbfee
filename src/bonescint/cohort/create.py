"""Make a de-identified cohort, split by patient, from scans and a table of labels."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonescint import __version__
from bonescint.cohort.ingest import (
    CohortFolders,
    IngestRequest,
    IngestResult,
    ingest_all,
    without_repeats,
)
from bonescint.cohort.labels import Collection, Labels, Layout, collect
from bonescint.cohort.manifest import Manifest, write_manifest
from bonescint.cohort.matching import Exclusion, LabelledStudy, Matching, match
from bonescint.cohort.splitting import DEFAULT_SHARES, PatientToSplit, SplitRule, deal
from bonescint.dicom import opened_key
from bonescint.files import LOCK, cannot_write, one_writer, write_table, write_whole
from bonescint.scan import (
    Case,
    InputError,
    NotABoneScanError,
    OutputError,
    ParameterError,
    Split,
)
from bonescint.tables import Problem, refuse

_ABOUT = "cohort.json"
_LEFT_OUT = "left-out.csv"
_NOTICE = "Pseudonyms only. Research use only, not a medical device."
_HARMLESS = {"not a bone scan", "copy of a file", "same pixels"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedCohort:
    """The result of `create_cohort`.

    Attributes:
        manifest: the cohort.
        private: folder beside it with the key, what each scan was made from, and what was
            left out; it must not be passed on.
        left_out: everything that was left out; only this and `private` hold paths.
        notes: what was assumed or tolerated, with counts; safe to show.
    """

    manifest: Manifest
    private: Path
    left_out: tuple[Exclusion, ...]
    notes: tuple[str, ...]

    @property
    def left_out_counts(self) -> Mapping[str, int]:
        """How many were left out, by kind."""
        return Counter(one.kind for one in self.left_out)

    @property
    def complete(self) -> bool:
        """Whether every bone scan and every row of the labels is in the cohort."""
        return not set(self.left_out_counts) - _HARMLESS


def create_cohort(
    folder: Path | str,
    out: Path | str,
    *,
    labels: Path | str | None = None,
    layout: Layout | str = Layout.AUTO,
    rule: SplitRule | None = None,
    centre: str = "A",
    copy: bool = True,
    allow_burned_in: bool = False,
    key: Path | str | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> CreatedCohort:
    """Make a cohort from a folder of scans and a table of labels.

    Views are paired, labels are matched (`match` says how), patients are split, scans are
    de-identified and copied. Pseudonyms are hashes with a secret key, which is made on the first
    run and kept in `<out>.private`, next to the cohort and never in it. After an interruption the
    same call resumes.

    Args:
        folder: to search for scans.
        out: folder of the cohort.
        labels: table of labels.
        layout: how the folder is organised.
        rule: shares and seed of the splits; 0.7, 0.15 and 0.15 if `None`. A column `split` of
            the labels takes precedence.
        centre: the centre of scans whose row names none.
        copy: copy the scans, de-identified (NM DICOM of counts, or 16-bit PNG); otherwise the
            manifest refers to the original files, which may name patients.
        allow_burned_in: take scans whose header says that text, perhaps a name, is part of the
            pixels; otherwise they are left out.
        key: file with the secret key, to give the same patients the same pseudonyms in
            several cohorts.
        workers: processes that read and write.
        progress: called with the number of scans done and of all.

    Returns:
        The cohort, and what was left out.

    Raises:
        InputError: invalid labels (every one named by row and column), no scan with a label, a
            patient whom the column `split` puts into two splits.
        OutputError: a place that cannot be written, where another process writes, or that holds
            something else.
        ParameterError: a setting that cannot be used.
    """
    target = Path(out)
    layout = _layout(layout)
    _check_free(target)
    with one_writer(target):
        source = None if labels is None else Path(labels)
        collection = collect(Path(folder), source, layout, outside=target)
        collection.labels.check_masks()
        folders = _opened(target, None if key is None else Path(key))
        matching = _matched(collection, folders)
        centres = {id(one): one.row.centre or centre for one in matching.labelled}
        # Before the long work: patients whom no split fits.
        _splits(matching.labelled, centres, collection.labels, rule)
        requests = [
            IngestRequest(
                study=one.study,
                patient_id=one.patient_id,
                masks=collection.labels.masks(one.row),
                copy=copy,
                allow_burned_in=allow_burned_in,
            )
            for one in matching.labelled
        ]
        results: list[IngestResult] = []
        for done, result in enumerate(ingest_all(requests, folders, workers=workers), start=1):
            results.append(result)
            if progress is not None:
                progress(done, len(requests))
        kept, refused = without_repeats(matching.labelled, results)
        left_out = (*_not_scans(collection), *matching.left_out, *refused)
        if not kept:
            _write_left_out(left_out, folders)
            kinds = ", ".join(dict.fromkeys(one.kind for one in refused))
            problem = f"no scan could be taken ({kinds})"
            remedy = f"{folders.private / _LEFT_OUT} says why, file by file"
            raise InputError(collection.folder, problem, remedy)
        split_of = _splits([one for one, _ in kept], centres, collection.labels, rule)
        cases = [_case(one, got, centres[id(one)], split_of[one.patient_id]) for one, got in kept]
        created = CreatedCohort(
            manifest=Manifest(cases=tuple(cases), folder=folders.out),
            private=folders.private,
            left_out=left_out,
            notes=_notes(collection, matching, kept),
        )
        _write(created, kept, folders, _settings(layout, rule, collection.labels, copy=copy))
        return created


def _matched(collection: Collection, folders: CohortFolders) -> Matching:
    """Studies with their labels.

    Raises:
        InputError: no row identifies a scan.
    """
    labels, studies = collection.labels, collection.found.studies
    matching = match(labels, studies, collection.folder, id_key=folders.id_key)
    if not matching.labelled:
        problem = f"no row identifies a scan: {len(studies)} scans and {len(labels.rows)} rows"
        raise InputError(labels.source, problem, "See docs/cohorts.md on how rows name scans")
    return matching


def _layout(layout: Layout | str) -> Layout:
    try:
        return Layout(layout)
    except ValueError:
        raise ParameterError(
            "layout", "cohort create", f"one of {', '.join(Layout)}", layout
        ) from None


def _check_free(out: Path) -> None:
    """Refuse, before the work begins, a folder that holds something else.

    Raises:
        OutputError: it does.
    """
    try:
        ours = not out.exists() or (
            out.is_dir()
            and (_is_begun(out / _ABOUT) or all(one.name == LOCK for one in out.iterdir()))
        )
    except OSError as error:
        raise cannot_write(out, error) from error
    if not ours:
        raise OutputError(f"{out}: contains something else. Choose another folder for the cohort.")


def _is_begun(about: Path) -> bool:
    """Whether an earlier run wrote this file."""
    return about.is_file() and b'"finished"' in about.read_bytes()


def _opened(out: Path, key: Path | None) -> CohortFolders:
    """Make the folders, or open those of an earlier run.

    Raises:
        OutputError: it cannot be written.
        InputError: a key file that holds no key.
    """
    private = out.with_name(f"{out.name}.private")
    try:
        for part in (out / "scans", out / "masks", private / "studies"):
            part.mkdir(parents=True, exist_ok=True)
        private.chmod(0o700)
        for folder in (out / "scans", out / "masks", private / "studies"):
            for left in folder.rglob("*.part"):  # what a run that was killed had begun
                left.unlink(missing_ok=True)
        if not (out / _ABOUT).is_file():
            _write_json({"notice": _NOTICE, "finished": False}, out / _ABOUT)
    except OSError as error:
        raise cannot_write(out, error) from error
    return CohortFolders(out=out, private=private, id_key=opened_key(private, key))


def _splits(
    labelled: Sequence[LabelledStudy],
    centres: Mapping[int, str],
    labels: Labels,
    rule: SplitRule | None,
) -> dict[str, Split]:
    """The split of each patient: from the table if it has one, else dealt by the rule."""
    if labels.has_split:
        return _told_splits(labelled, labels)
    scans: dict[str, list[LabelledStudy]] = defaultdict(list)
    for one in labelled:
        scans[one.patient_id].append(one)
    if len(scans) == 1 and len(labelled) > 1:
        raise InputError(
            labels.source,
            f"all {len(labelled)} scans have the same patient number (an anonymised archive?)",
            "Give a column patient",
        )
    rule = rule or SplitRule(shares=DEFAULT_SHARES)
    known = set(centres.values())
    unknown = [name for name in rule.test_centres if name not in known]
    if unknown:
        raise ParameterError("test_centre", "cohort create", f"one of {sorted(known)}", unknown[0])
    return deal(
        (
            PatientToSplit(
                patient_id=patient_id,
                positive=any(one.row.positive for one in ones),
                centres=frozenset(centres[id(one)] for one in ones),
            )
            for patient_id, ones in scans.items()
        ),
        rule,
    )


def _told_splits(labelled: Sequence[LabelledStudy], labels: Labels) -> dict[str, Split]:
    first: dict[str, LabelledStudy] = {}
    problems = []
    for one in labelled:
        earlier = first.setdefault(one.patient_id, one)
        if earlier.row.split is not one.row.split:
            text = (
                f"puts a patient into {one.row.split} who is in {earlier.row.split} by row "
                f"{earlier.row.row}"
            )
            problems.append(Problem(row=one.row.row, column="split", text=text))
    refuse(labels.source, dict.fromkeys(problems), "Put every scan of a patient into one split")
    return {patient: one.row.split or Split.TRAIN for patient, one in first.items()}


def _case(one: LabelledStudy, got: IngestResult, centre: str, split: Split) -> Case:
    row, masks = one.row, got.masks or {}
    return Case(
        scan_id=got.scan_id,
        patient_id=one.patient_id,
        centre=centre,
        split=split,
        positive=row.positive,
        file=got.file,
        sex=row.sex or one.keys.sex,
        age=one.keys.age if row.age is None else row.age,
        primary=row.primary,
        mask_anterior=masks.get("anterior", ""),
        mask_posterior=masks.get("posterior", ""),
    )


def _not_scans(collection: Collection) -> list[Exclusion]:
    """Exclusions for files that are no readable bone scan, by kind."""
    kinds = []
    for error in collection.found.refused:
        strange = isinstance(error, NotABoneScanError) or "neither a DICOM" in error.problem
        kind = "not a bone scan" if strange else "not readable"
        if error.problem.startswith("is a copy of"):
            kind = "copy of a file"
        kinds.append(Exclusion(kind=kind, source=error.source, reason=str(error)))
    return kinds


def _notes(
    collection: Collection, matching: Matching, kept: Sequence[tuple[LabelledStudy, IngestResult]]
) -> tuple[str, ...]:
    """What was assumed, tolerated or done, with counts; nothing in it names a patient."""
    notes = [*collection.assumptions]
    notes += [f"Table of labels: {note}." for note in collection.labels.notes]
    alone = sum(one.patient_assumed for one, _ in kept)
    if alone:
        notes.append(
            f"{alone} scans name no patient: each was counted as a separate patient. If some are "
            f"of the same patient, give a column patient; otherwise splits leak."
        )
    if matching.doubted:
        notes.append(
            f"{matching.doubted} patients share the header's Patient ID with another one; "
            f"where the table's column patient is filled, it was used."
        )
    counted = Counter(text for _, got in kept for text in (*got.warnings, *got.notes))
    notes += [f"{count} scans: {text}" for text, count in counted.most_common()]
    return tuple(notes)


def _settings(
    layout: Layout, rule: SplitRule | None, labels: Labels, *, copy: bool
) -> dict[str, Any]:
    """How the cohort was made, JSON-ready."""
    rule = rule or SplitRule(shares=DEFAULT_SHARES)
    dealt = {
        "shares": {split.value: share for split, share in rule.shares.items()},
        "seed": rule.seed,
        "test_centres": list(rule.test_centres),
    }
    return {
        "bonescint": __version__,
        "layout": layout.value,
        "files": "copied without identity" if copy else "referred to where they are",
        "splits": "from the column split of the labels" if labels.has_split else dealt,
    }


def _write(
    created: CreatedCohort,
    kept: Sequence[tuple[LabelledStudy, IngestResult]],
    folders: CohortFolders,
    settings: Mapping[str, Any],
) -> None:
    """Write the manifest, how it was made, and in the private folder what identifies patients."""
    cases = created.manifest.cases
    write_table(
        folders.private / "sources.csv",
        ("scan_id", "patient_id", "labels_row", "source"),
        (
            (case.scan_id, case.patient_id, one.row.row, _text(one.study.source))
            for case, (one, _) in zip(cases, kept, strict=True)
        ),
    )
    _write_left_out(created.left_out, folders)
    write_manifest(cases, folders.out / "manifest.csv")
    _remove_others(folders.out, cases)
    about = {
        "notice": _NOTICE,
        "finished": True,
        **settings,
        "scans": len(cases),
        "patients": len({case.patient_id for case in cases}),
        "left_out": dict(created.left_out_counts),
        "notes": list(created.notes),
    }
    _write_json(about, folders.out / _ABOUT)
    if not any((folders.out / "masks").iterdir()):
        (folders.out / "masks").rmdir()


def _write_left_out(left_out: Sequence[Exclusion], folders: CohortFolders) -> None:
    write_table(
        folders.private / _LEFT_OUT,
        ("kind", "source", "reason"),
        ((one.kind, _text(one.source), _text(one.reason)) for one in left_out),
    )


def _remove_others(out: Path, cases: Sequence[Case]) -> None:
    """Remove copies that the manifest does not name, such as those of a row that was withdrawn."""
    named = {name for one in cases for name in (one.file, one.mask_anterior, one.mask_posterior)}
    try:
        for part in ("scans", "masks"):
            for path in (out / part).iterdir():
                if f"{part}/{path.name}" not in named:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError as error:
        raise cannot_write(out, error) from error


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _write_json(content: Mapping[str, Any], path: Path) -> None:
    write_whole(path, json.dumps(content, indent=2) + "\n")
