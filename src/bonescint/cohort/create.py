"""A folder of scans and a table of labels to a cohort without identities, split by patient."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bonescint.cohort.created import (
    ABOUT,
    NOTICE,
    CreatedCohort,
    not_scans,
    notes_of,
    settings_of,
    write_created,
    write_json,
)
from bonescint.cohort.ingest import CohortFolders, IngestRequest, IngestResult, ingest_all
from bonescint.cohort.labels import Labels, Layout, collect
from bonescint.cohort.manifest import Manifest
from bonescint.cohort.matching import Labelled, LeftOut, match
from bonescint.cohort.splitting import DEFAULT_SHARES, PatientToSplit, SplitRule, deal
from bonescint.files import LOCK, cannot_write, one_writer, write_whole
from bonescint.scan import (
    Case,
    InputError,
    OutputError,
    ParameterError,
    Split,
    View,
)
from bonescint.tables import Problem, refuse

_KEY_BYTES = 32
_CONTENT_LETTERS = 12


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
        centre: of scans whose row names none.
        copy: copy the scans (NM DICOM of counts, or 16-bit PNG), without identity; otherwise
            the manifest points at the files as they are, names and all.
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
        return _created(
            Path(folder), target, labels=None if labels is None else Path(labels), layout=layout,
            rule=rule, centre=centre, copy=copy, allow_burned_in=allow_burned_in,
            key=None if key is None else Path(key),
            workers=workers, progress=progress,
        )  # fmt: skip


def _created(
    folder: Path,
    target: Path,
    *,
    labels: Path | None,
    layout: Layout,
    rule: SplitRule | None,
    centre: str,
    copy: bool,
    allow_burned_in: bool,
    key: Path | None,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> CreatedCohort:
    collection = collect(folder, labels, layout, outside=target)
    _check_masks(collection.labels)
    place = _opened(target, key)
    matching = match(
        collection.labels, collection.found.studies, collection.folder, id_key=place.id_key
    )
    if not matching.labelled:
        raise InputError(
            collection.labels.source,
            f"no row identifies a scan: {len(collection.found.studies)} scans and "
            f"{len(collection.labels.rows)} rows",
            "See docs/cohorts.md on how rows name scans",
        )
    centres = {id(one): one.row.centre or centre for one in matching.labelled}
    orders = [
        _order(one, collection.labels, copy=copy, allow_burned_in=allow_burned_in)
        for one in matching.labelled
    ]
    # Before the long work: patients whom no split fits.
    _dealt(matching.labelled, centres, collection.labels, rule)
    taken: list[IngestResult] = []
    for done, one in enumerate(ingest_all(orders, place, workers=workers), start=1):
        taken.append(one)
        if progress is not None:
            progress(done, len(orders))
    kept, refused = _kept(matching.labelled, taken)
    if not kept:
        raise InputError(collection.folder, "no scan could be taken", refused[0].reason)
    split_of = _dealt([one for one, _ in kept], centres, collection.labels, rule)
    cases = [_case(one, got, centres[id(one)], split_of[one.patient_id]) for one, got in kept]
    left_out = (*not_scans(collection), *matching.left_out, *refused)
    created = CreatedCohort(
        manifest=Manifest(cases=tuple(cases), folder=place.out),
        private=place.private,
        left_out=left_out,
        notes=notes_of(collection, matching, kept),
    )
    write_created(created, kept, place, settings_of(layout, rule, collection.labels, copy=copy))
    return created


def _layout(layout: Layout | str) -> Layout:
    try:
        return Layout(layout)
    except ValueError:
        raise ParameterError(
            "layout", "cohort create", f"one of {', '.join(Layout)}", layout
        ) from None


def _check_free(out: Path) -> None:
    """Say before the work begins that something else lies where the cohort is to go.

    Raises:
        OutputError: it does.
    """
    try:
        ours = not out.exists() or (
            out.is_dir() and (_begun(out / ABOUT) or all(one.name == LOCK for one in out.iterdir()))
        )
    except OSError as error:
        raise cannot_write(out, error) from error
    if not ours:
        raise OutputError(f"{out}: contains something else. Choose another folder for the cohort.")


def _begun(about: Path) -> bool:
    """Whether an earlier run wrote this file."""
    return about.is_file() and b'"finished"' in about.read_bytes()


def _opened(out: Path, key: Path | None) -> CohortFolders:
    """Make the folders, or find those of an earlier run.

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
        if not (out / ABOUT).is_file():
            write_json({"notice": NOTICE, "finished": False}, out / ABOUT)
        key_file = key or private / "key"
        if key is None and not key_file.is_file():
            write_whole(key_file, secrets.token_hex(_KEY_BYTES) + "\n", private=True)
    except OSError as error:
        raise cannot_write(out, error) from error
    try:
        id_key = key_file.read_bytes().strip()
    except OSError as error:
        raise InputError(key_file, f"cannot be read ({error.strerror})", "Give a file") from error
    if len(id_key) < 16:
        raise InputError(
            key_file, "holds no key of at least 16 characters", "Write a long random text into it"
        )
    return CohortFolders(out=out, private=private, id_key=id_key)


def _check_masks(labels: Labels) -> None:
    """Every mask that a row names must be there, before the work begins."""
    problems = [
        Problem(row=row.row, column=f"mask_{view.value}", text="no such file")
        for row in labels.rows
        for view, path in _masks(row, labels)
        if not path.is_file()
    ]
    refuse(labels.source, problems, "Give paths relative to the table")


def _masks(row: Any, labels: Labels) -> tuple[tuple[View, Path], ...]:
    named = ((view, getattr(row, f"mask_{view.value}")) for view in View)
    return tuple((view, labels.folder / name) for view, name in named if name)


def _order(one: Labelled, labels: Labels, *, copy: bool, allow_burned_in: bool) -> IngestRequest:
    return IngestRequest(
        study=one.study,
        patient_id=one.patient_id,
        masks=_masks(one.row, labels),
        copy=copy,
        allow_burned_in=allow_burned_in,
    )


def _dealt(
    labelled: Sequence[Labelled],
    centres: Mapping[int, str],
    labels: Labels,
    rule: SplitRule | None,
) -> dict[str, Split]:
    """The split of each patient: from the table if it has one, else dealt by the rule."""
    if labels.has_split:
        return _told_splits(labelled, labels)
    scans: dict[str, list[Labelled]] = defaultdict(list)
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


def _told_splits(labelled: Sequence[Labelled], labels: Labels) -> dict[str, Split]:
    first: dict[str, Labelled] = {}
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


def _kept(
    labelled: Sequence[Labelled], taken: Sequence[IngestResult]
) -> tuple[list[tuple[Labelled, IngestResult]], list[LeftOut]]:
    """Scans that came in; without the same pixels a second time, and with a name of their own."""
    by_pixels: dict[str, list[tuple[Labelled, IngestResult]]] = defaultdict(list)
    refused = []
    for one, got in zip(labelled, taken, strict=True):
        if got.refused:
            refused.append(
                LeftOut(kind=got.refused_kind, source=one.study.source, reason=got.refused)
            )
        else:
            by_pixels[got.pixels].append((one, got))
    kept: list[tuple[Labelled, IngestResult]] = []
    names: set[str] = set()
    for same in by_pixels.values():
        first = same[0][0]
        if len({one.row.positive for one, _ in same}) > 1 or (
            len({one.patient_id for one, _ in same if not one.patient_assumed}) > 1
        ):
            reason = "has the pixels of another scan, with another label or patient"
            refused += [
                LeftOut(
                    kind="identical pixels, contradictory rows",
                    source=one.study.source,
                    reason=reason,
                )
                for one, _ in same
            ]
            continue
        refused += [
            LeftOut(
                kind="same pixels",
                source=one.study.source,
                reason=f"has the pixels of {first.study.source}",
            )
            for one, _ in same[1:]
        ]
        one, got = same[0]
        if got.scan_id in names:  # as `classify` tells apart scans under the same UIDs
            got = replace(got, scan_id=f"{got.scan_id}-{got.content[:_CONTENT_LETTERS]}")
        names.add(got.scan_id)
        kept.append((one, got))
    return kept, refused


def _case(one: Labelled, got: IngestResult, centre: str, split: Split) -> Case:
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
