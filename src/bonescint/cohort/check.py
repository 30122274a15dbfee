"""Is a cohort fit to train and to test on? Leakage, duplicates, missing files, balance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort.cohort_report import CohortReport, Finding, Level, table1
from bonescint.cohort.ingest import view_hash
from bonescint.cohort.manifest import Manifest, examine_manifest
from bonescint.cohort.near_duplicates import near_pairs, signature
from bonescint.cohort.truth import truth_of
from bonescint.dicom import read
from bonescint.parallel import map_in_processes
from bonescint.scan import BonescintError, Case, MissingExtraError, Split, View

_RARE = 0.1
_FEW = 20
_MISPLACED = 0.5
_MOST_PAIRS = 500


def check_cohort(
    path: Path | str,
    *,
    near: bool = True,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> CohortReport:
    """Check a cohort: every finding is listed, errors first.

    Errors: invalid rows; a scan listed twice; a patient, identical pixels or a near-duplicate in
    two splits; identical pixels with different labels; files, truths or masks that are missing or
    unusable; a split with only one class. Warnings: other things that one should know.

    Args:
        path: a manifest, or a folder that holds `manifest.csv`.
        near: also look for near-duplicates (`bonescint.cohort.near_duplicates`).
        workers: processes that read scans.
        progress: called with the number of scans read and of all.

    Returns:
        The findings and the paper's Table 1.

    Raises:
        InputError: no readable table, or columns missing.
    """
    rows = examine_manifest(path)
    cases = list(rows.cases)
    # `Manifest` refuses leakage; here it is a finding, so only the folder is taken along.
    folder = Manifest(cases=(), folder=rows.path.parent)
    prints = fingerprints(folder, cases, near=near, workers=workers, progress=progress)
    findings = [
        Finding(
            level=Level.ERROR,
            kind="wrong row",
            rows=(problem.row,),
            text=f"column {problem.column}: {problem.text}",
        )
        for problem in rows.problems
    ]
    by_row = dict(cases)
    findings += _repeated(cases)
    findings += _broken(prints)
    same, same_rows = _same_pixels(prints, by_row)
    findings += same
    bound = None
    if near:
        pairs, bound = _near(prints, by_row, same_rows)
        findings += pairs
    findings += _balance(cases)
    findings += _gaps(cases)
    order = {Level.ERROR: 0, Level.WARNING: 1}
    return CohortReport(
        source=rows.path,
        findings=tuple(sorted(findings, key=lambda one: order[one.level])),
        table=table1([case for _, case in cases]),
        scans=len(cases),
        compared=sum(bool(one.hashes) for one in prints),
        near_bound=bound,
    )


def _repeated(cases: Sequence[tuple[int, Case]]) -> Iterator[Finding]:
    scans: dict[str, list[int]] = defaultdict(list)
    patients: dict[str, list[tuple[int, Case]]] = defaultdict(list)
    files: dict[str, list[int]] = defaultdict(list)
    for row, case in cases:
        scans[case.scan_id].append(row)
        patients[case.patient_id].append((row, case))
        if case.file:
            files[case.file].append(row)
    for scan_id, rows in scans.items():
        if len(rows) > 1:
            yield Finding(
                level=Level.ERROR,
                kind="scan listed twice",
                rows=tuple(rows),
                text=f"scan {scan_id}",
            )
    for patient, listed in patients.items():
        if len({case.split for _, case in listed}) > 1:
            sides = ", ".join(sorted({case.split.value for _, case in listed}))
            yield Finding(
                level=Level.ERROR,
                kind="patient in two splits",
                rows=tuple(row for row, _ in listed),
                text=f"patient {patient} is in {sides}",
            )
    for rows in files.values():
        if len(rows) > 1:
            yield Finding(
                level=Level.ERROR, kind="file listed twice", rows=tuple(rows), text="the same file"
            )


def _broken(prints: Sequence[Fingerprint]) -> Iterator[Finding]:
    for one in prints:
        for kind, text in one.problems:
            yield Finding(level=Level.ERROR, kind=kind, rows=(one.row,), text=text)
    empty = tuple(one.row for one in prints if one.empty_masks)
    if empty:
        yield Finding(
            level=Level.WARNING,
            kind="empty masks",
            rows=empty,
            text="labelled positive, but the masks are empty",
        )
    outside = tuple(one.row for one in prints if one.outside > _MISPLACED)
    if outside:
        yield Finding(
            level=Level.WARNING,
            kind="misplaced masks",
            rows=outside,
            text="most of a mask lies where there are no counts: is it turned or mirrored?",
        )


def _same_pixels(
    prints: Sequence[Fingerprint], by_row: Mapping[int, Case]
) -> tuple[list[Finding], set[frozenset[int]]]:
    """Groups of scans that share a view to the last count."""
    groups: dict[str, list[int]] = defaultdict(list)
    for one in prints:
        for digest in dict.fromkeys(one.hashes.values()):
            groups[digest].append(one.row)
    findings, done, together = [], set(), set()
    for rows in groups.values():
        if len(rows) < 2:
            continue
        together |= {frozenset((a, b)) for a in rows for b in rows if a < b}
        if tuple(rows) in done:
            continue
        done.add(tuple(rows))
        cases = [by_row[row] for row in rows]
        findings.append(_alike("same pixels", rows, cases, "a view has exactly the same counts"))
    return findings, together


def _alike(kind: str, rows: Sequence[int], cases: Sequence[Case], text: str) -> Finding:
    """A finding about scans that are the same, as grave as where they stand."""
    sides = sorted({case.split.value for case in cases})
    labels = {case.positive for case in cases}
    patients = {case.patient_id for case in cases}
    said = [text]
    level = Level.WARNING
    if len(sides) > 1:
        level, kind = Level.ERROR, f"{kind} in two splits"
        said.append(f"in {' and '.join(sides)}")
    if len(labels) > 1:
        level = Level.ERROR
        said.append("with different labels")
    if len(patients) > 1:
        said.append("under different patients")
    return Finding(level=level, kind=kind, rows=tuple(rows), text=", ".join(said))


def _near(
    prints: Sequence[Fingerprint], by_row: Mapping[int, Case], same: set[frozenset[int]]
) -> tuple[list[Finding], float]:
    read = [one for one in prints if one.signature]
    pairs, bound = near_pairs(
        [{view: part.astype(np.float32) for view, part in one.signature.items()} for one in read]
    )
    findings = []
    for pair in pairs:
        rows = (read[pair.first].row, read[pair.second].row)
        if frozenset(rows) in same:
            continue
        cases = [by_row[row] for row in rows]
        text = f"nearly identical (score {pair.score:.2f}, bound {bound:.2f})"
        findings.append(_alike("near-duplicate", rows, cases, text))
    findings.sort(key=lambda one: one.level is not Level.ERROR)
    hidden = len(findings) - _MOST_PAIRS
    if hidden > 0:
        more = Finding(
            level=findings[_MOST_PAIRS].level, kind="near-duplicate", text=f"{hidden} more pairs"
        )
        findings = [*findings[:_MOST_PAIRS], more]
    return findings, bound


def _balance(cases: Sequence[tuple[int, Case]]) -> Iterator[Finding]:
    if not cases:
        yield Finding(level=Level.ERROR, kind="empty", text="no row can be used")
        return
    for split in Split:
        labels = [case.positive for _, case in cases if case.split is split]
        if not labels:
            level = Level.WARNING
            yield Finding(level=level, kind="empty split", text=f"no scan is in {split}")
            continue
        positive = sum(labels)
        if positive in (0, len(labels)):
            missing = "positive" if positive == 0 else "negative"
            yield Finding(
                level=Level.ERROR,
                kind="one class only",
                text=f"{split} has no {missing} scan ({len(labels)} scans)",
            )
        elif not _RARE <= positive / len(labels) <= 1 - _RARE:
            yield Finding(
                level=Level.WARNING,
                kind="label balance",
                text=f"{100 * positive / len(labels):.1f} % of {split} are positive",
            )
        if 0 < min(positive, len(labels) - positive) < _FEW:
            few = min(positive, len(labels) - positive)
            yield Finding(
                level=Level.WARNING,
                kind="few scans",
                text=f"{split} has {few} scans of one class: intervals will be wide",
            )
    for centre in sorted({case.centre for _, case in cases}):
        labels = [case.positive for _, case in cases if case.centre == centre]
        if len(set(labels)) == 1 and len({case.centre for _, case in cases}) > 1:
            only = "positive" if labels[0] else "negative"
            yield Finding(
                level=Level.WARNING,
                kind="label follows the centre",
                text=f"every scan of centre {centre} is {only}",
            )


def _gaps(cases: Sequence[tuple[int, Case]]) -> Iterator[Finding]:
    for name, missing in (
        ("file", [row for row, case in cases if not case.file]),
        ("sex", [row for row, case in cases if not case.sex]),
        ("age", [row for row, case in cases if case.age is None]),
    ):
        if missing and (name == "file" or len(missing) < len(cases)):
            yield Finding(
                level=Level.WARNING,
                kind=f"no {name}",
                rows=tuple(missing),
                text=f"column {name} is empty",
            )
        elif missing:
            yield Finding(
                level=Level.WARNING, kind=f"no {name}", text=f"column {name} is empty everywhere"
            )
    strange = tuple(row for row, case in cases if case.sex not in ("", "F", "M"))
    if strange:
        yield Finding(
            level=Level.WARNING, kind="sex", rows=strange, text="column sex is neither F nor M"
        )


_FEW_TO_SHARE = 16  # scans that are read before other processes would have begun


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fingerprint:
    """What a check keeps of a scan.

    Attributes:
        row: of the manifest.
        hashes: of the values of each view.
        signature: for near-duplicates, float16 (4608,) for each view; empty if not wanted.
        problems: what is wrong with the scan, its truth or its masks; no path in it.
        empty_masks: whether it is positive and every mask that it has is empty.
        outside: largest share of a mask that lies where nothing was counted.
    """

    row: int
    hashes: dict[View, str] = field(default_factory=dict)
    signature: dict[View, NDArray[np.float16]] = field(default_factory=dict)
    problems: tuple[tuple[str, str], ...] = ()
    empty_masks: bool = False
    outside: float = 0.0


def fingerprints(
    manifest: Manifest,
    cases: Sequence[tuple[int, Case]],
    *,
    near: bool,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[Fingerprint]:
    """Read every scan of a cohort once.

    Args:
        manifest: for its folder.
        cases: rows with their numbers; those without a file are left out.
        near: whether signatures are wanted.
        workers: processes that read.
        progress: called with the number of scans read and of all.

    Raises:
        BonescintError: a worker was killed.
        MissingExtraError: a NIfTI mask, and nibabel is not installed.
    """
    wanted = [(row, case) for row, case in cases if case.file]
    work = partial(_fingerprint, folder=manifest, near=near)
    workers = 1 if len(wanted) < _FEW_TO_SHARE else workers
    found: list[Fingerprint] = []
    for one in map_in_processes(work, wanted, workers=workers, kept=False):
        found.append(one)
        if progress is not None:
            progress(len(found), len(wanted))
    return found


def _fingerprint(item: tuple[int, Case], *, folder: Manifest, near: bool) -> Fingerprint:
    row, case = item
    path = folder.path(case)
    if not path.exists():
        return Fingerprint(row=row, problems=(("missing file", "column file: does not exist"),))
    try:
        scan = read(path)
    except BonescintError as error:
        return Fingerprint(row=row, problems=(("not readable", _reason(error)),))
    problems = []
    empty, outside = False, 0.0
    try:
        truth = truth_of(folder, case)
    except MissingExtraError:
        raise
    except BonescintError as error:
        truth = None
        problems.append(("truth or mask", _reason(error)))
    if truth is not None:
        if truth.positive is not case.positive:
            problems.append(("truth or mask", "its truth contradicts the label"))
        for view, mask in truth.masks.items():
            image = scan.view(view)
            if image is None or mask.shape != image.shape:
                problems.append(
                    (
                        "truth or mask",
                        f"the {view.value} mask does not have the shape of the view, or there is "
                        f"no such view",
                    )
                )
            elif mask.any():
                outside = max(
                    outside, float((image[mask] <= 0.01 * np.percentile(image, 99)).mean())
                )
        masked = bool(case.mask_anterior or case.mask_posterior)
        empty = masked and case.positive and not any(m.any() for m in truth.masks.values())
    return Fingerprint(
        row=row,
        hashes={view: view_hash(image) for view, image in scan.images()},
        signature=(
            {view: part.astype(np.float16) for view, part in signature(scan).items()}
            if near
            else {}
        ),
        problems=tuple(problems),
        empty_masks=empty,
        outside=outside,
    )


def _reason(error: BonescintError) -> str:
    """The problem without the path: paths may name a patient."""
    return getattr(error, "problem", None) or str(error)
