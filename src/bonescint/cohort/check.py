"""Check that a cohort is fit for training and testing: leakage, duplicates, missing files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
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
_FEW_TO_SHARE = 16  # scans that are read before other processes would have begun


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
        _error("wrong row", f"column {problem.column}: {problem.text}", problem.row)
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
    findings += _balance([case for _, case in cases])
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


def _error(kind: str, text: str, *rows: int) -> Finding:
    return Finding(level=Level.ERROR, kind=kind, text=text, rows=rows)


def _warning(kind: str, text: str, *rows: int) -> Finding:
    return Finding(level=Level.WARNING, kind=kind, text=text, rows=rows)


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
            yield _error("scan listed twice", f"scan {scan_id}", *rows)
    for patient, listed in patients.items():
        splits = sorted({case.split.value for _, case in listed})
        if len(splits) > 1:
            text = f"patient {patient} is in {', '.join(splits)}"
            yield _error("patient in two splits", text, *(row for row, _ in listed))
    for rows in files.values():
        if len(rows) > 1:
            yield _error("file listed twice", "the same file", *rows)


def _broken(prints: Sequence[Fingerprint]) -> Iterator[Finding]:
    for one in prints:
        for kind, text in one.problems:
            yield _error(kind, text, one.row)
    empty = [one.row for one in prints if one.empty_masks]
    if empty:
        yield _warning("empty masks", "labelled positive, but the masks are empty", *empty)
    outside = [one.row for one in prints if one.outside > _MISPLACED]
    if outside:
        text = "most of a mask lies where there are no counts: is it turned or mirrored?"
        yield _warning("misplaced masks", text, *outside)


def _same_pixels(
    prints: Sequence[Fingerprint], by_row: Mapping[int, Case]
) -> tuple[list[Finding], set[frozenset[int]]]:
    """Findings about scans with an identical view, and all pairs of such scans."""
    groups: dict[str, list[int]] = defaultdict(list)
    for one in prints:
        for digest in dict.fromkeys(one.hashes.values()):
            groups[digest].append(one.row)
    shared = dict.fromkeys(tuple(rows) for rows in groups.values() if len(rows) > 1)
    text = "a view has exactly the same counts"
    findings = [_alike("same pixels", rows, by_row, text) for rows in shared]
    return findings, {frozenset(pair) for rows in shared for pair in combinations(rows, 2)}


def _alike(kind: str, rows: Sequence[int], by_row: Mapping[int, Case], text: str) -> Finding:
    """A finding about scans that look the same: an error in two splits or with two labels."""
    cases = [by_row[row] for row in rows]
    splits = sorted({case.split.value for case in cases})
    said, make = [text], _warning
    if len(splits) > 1:
        make, kind = _error, f"{kind} in two splits"
        said.append(f"in {' and '.join(splits)}")
    if len({case.positive for case in cases}) > 1:
        make = _error
        said.append("with different labels")
    if len({case.patient_id for case in cases}) > 1:
        said.append("under different patients")
    return make(kind, ", ".join(said), *rows)


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
        if frozenset(rows) not in same:
            text = f"nearly identical (score {pair.score:.2f}, bound {bound:.2f})"
            findings.append(_alike("near-duplicate", rows, by_row, text))
    findings.sort(key=lambda one: one.level is not Level.ERROR)
    hidden = len(findings) - _MOST_PAIRS
    if hidden > 0:
        level = findings[_MOST_PAIRS].level
        more = Finding(level=level, kind="near-duplicate", text=f"{hidden} more pairs")
        findings = [*findings[:_MOST_PAIRS], more]
    return findings, bound


def _balance(cases: Sequence[Case]) -> Iterator[Finding]:
    if not cases:
        yield _error("empty", "no row can be used")
        return
    for split in Split:
        labels = [case.positive for case in cases if case.split is split]
        if not labels:
            yield _warning("empty split", f"no scan is in {split}")
            continue
        share, few = sum(labels) / len(labels), min(sum(labels), len(labels) - sum(labels))
        if not few:
            missing = "negative" if share else "positive"
            yield _error("one class only", f"{split} has no {missing} scan ({len(labels)} scans)")
        elif not _RARE <= share <= 1 - _RARE:
            yield _warning("label balance", f"{100 * share:.1f} % of {split} are positive")
        if 0 < few < _FEW:
            text = f"{split} has {few} scans of one class: intervals will be wide"
            yield _warning("few scans", text)
    by_centre: dict[str, set[bool]] = defaultdict(set)
    for case in cases:
        by_centre[case.centre].add(case.positive)
    for centre in sorted(by_centre) if len(by_centre) > 1 else ():
        if len(by_centre[centre]) == 1:
            only = "positive" if by_centre[centre] == {True} else "negative"
            text = f"every scan of centre {centre} is {only}"
            yield _warning("label follows the centre", text)


def _gaps(cases: Sequence[tuple[int, Case]]) -> Iterator[Finding]:
    for name, missing in (
        ("file", [row for row, case in cases if not case.file]),
        ("sex", [row for row, case in cases if not case.sex]),
        ("age", [row for row, case in cases if case.age is None]),
    ):
        if missing and (name == "file" or len(missing) < len(cases)):
            yield _warning(f"no {name}", f"column {name} is empty", *missing)
        elif missing:
            yield _warning(f"no {name}", f"column {name} is empty everywhere")
    strange = [row for row, case in cases if case.sex not in ("", "F", "M")]
    if strange:
        yield _warning("sex", "column sex is neither F nor M", *strange)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fingerprint:
    """What the check of a cohort keeps of one scan.

    Attributes:
        row: its row in the manifest.
        hashes: a hash of the pixel values of each view.
        signature: for near-duplicates, float16 (4608,) for each view; empty if not wanted.
        problems: what is wrong with the scan, its truth or its masks; no path in it.
        empty_masks: whether it is positive and every mask that it has is empty.
        outside: largest share of a mask's pixels that lies on pixels without counts.
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
    """Fingerprint every scan of a cohort, reading each file once.

    Args:
        manifest: gives the folder of the files.
        cases: row numbers and cases; those without a file are left out.
        near: also compute the signatures for near-duplicates.
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
        problems.append(_reason(error))
    if truth is not None:
        if truth.positive is not case.positive:
            problems.append("its truth contradicts the label")
        for view, mask in truth.masks.items():
            image = scan.view(view)
            if image is None or mask.shape != image.shape:
                problems.append(
                    f"the {view.value} mask does not have the shape of the view, or there is no "
                    "such view"
                )
            elif mask.any():
                dark = image[mask] <= 0.01 * np.percentile(image, 99)
                outside = max(outside, float(dark.mean()))
        masked = bool(case.mask_anterior or case.mask_posterior)
        empty = masked and case.positive and not any(m.any() for m in truth.masks.values())
    own = signature(scan) if near else {}
    return Fingerprint(
        row=row,
        hashes={view: view_hash(image) for view, image in scan.images()},
        signature={view: part.astype(np.float16) for view, part in own.items()},
        problems=tuple(("truth or mask", text) for text in problems),
        empty_masks=empty,
        outside=outside,
    )


def _reason(error: BonescintError) -> str:
    """The problem without the path: paths may name a patient."""
    return getattr(error, "problem", None) or str(error)
