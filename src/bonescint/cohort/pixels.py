"""The pixels of a cohort's scans, read once: hashes, signatures, and what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort.ingest import view_hash
from bonescint.cohort.manifest import Manifest
from bonescint.cohort.masks import truth_of
from bonescint.cohort.near_duplicates import signature
from bonescint.cohort.processes import map_in_processes
from bonescint.dicom import read
from bonescint.scan import BonescintError, Case, MissingExtraError, View

_CHUNK = 8
_FEW = 16  # scans that are read before other processes would have begun


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
    workers = 1 if len(wanted) < _FEW else workers
    found: list[Fingerprint] = []
    for one in map_in_processes(work, wanted, workers=workers, chunk=_CHUNK, kept=False):
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
