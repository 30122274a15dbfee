"""Which local scans can be used, and what is wrong with the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort import cohort_fingerprint
from bonescint.evaluate.conformal import (
    FAR_ABOVE,
    HIGH_SHARE,
    high_scores,
    needed_normals,
    strangers,
)
from bonescint.experiment.adaptation.local_scans import FoundScans, ScoredScan, by_patient
from bonescint.model import ModelFolder
from bonescint.scan import InputError, Split, View

_MOST_NAMED = 10
_KINDS = {"counts": "scans with counts (DICOM)", "intensity": "pictures or rescaled scans"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UsableScans:
    """Local scans that can be used.

    Attributes:
        scans: in their order.
        notes: what was left out or assumed, for the card: no path and no name in it.
        doubts: what a person should look at first, for the card and the page.
        named: the same and more, with the files, for the person at the machine.
    """

    scans: tuple[ScoredScan, ...]
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    @property
    def patients(self) -> dict[str, list[ScoredScan]]:
        """Scans of each patient."""
        return by_patient(self.scans)

    @property
    def highest(self) -> tuple[ScoredScan, ...]:
        """The scan with the highest score of each patient."""
        return tuple(max(scans, key=lambda scan: scan.margin) for scans in self.patients.values())

    @property
    def margins(self) -> NDArray[np.float64]:
        """The highest score of each patient, before calibration."""
        return np.array([scan.margin for scan in self.highest])


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are.

    Examples:
        >>> listed(["a", "b"])
        'a, b'
    """
    shown = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def without_learnt(found: FoundScans, folder: ModelFolder) -> tuple[FoundScans, tuple[str, ...]]:
    """Leave out the scans that a model learnt from, where its card says that it did.

    Args:
        found: local scans.
        folder: the model folder.

    Returns:
        The scans, and what was left out.

    Raises:
        InputError: none is left.
    """
    learnt = {
        path
        for manifest in found.manifests
        if cohort_fingerprint(manifest) == folder.card.training.cohort_sha256
        for path, case in manifest.by_path.items()
        if case.split is not Split.TEST
    }
    if not learnt:
        return found, ()
    studies = tuple(
        study
        for study in found.studies
        if study.files[0] not in learnt and study.files[0].parent not in learnt
    )
    if not studies:
        problem = "the model was trained on these scans, which say nothing of others"
        raise InputError(found.source, problem, "Give scans that it has not seen")
    out = len(found.studies) - len(studies)
    note = f"{out} scans were left out that the model was trained on; its test split was used"
    return replace(found, studies=studies), (note,)


def only_normals(found: FoundScans) -> tuple[FoundScans, tuple[str, ...]]:
    """Leave out scans that a manifest labels positive.

    Raises:
        InputError: it labels all of them so.
    """
    ill = [study for study in found.studies if (case := found.case(study)) and case.positive]
    if not ill:
        return found, ()
    if len(ill) == len(found.studies):
        problem = f"the manifest labels all {len(ill)} scans positive (label 1)"
        raise InputError(found.source, problem, "Give scans without metastatic bone disease")
    kept = tuple(study for study in found.studies if study not in ill)
    note = f"{len(ill)} scans were left out that the manifest labels positive"
    return replace(found, studies=kept), (note,)


def require_enough(source: Path, scans: int, specificity: float, why: str = "") -> None:
    """Reject fewer patients than a specificity needs.

    Raises:
        InputError: with the number that is needed.
    """
    needed = needed_normals(specificity)
    if scans < needed:
        few = "1 normal patient" if scans == 1 else f"{scans} normal patients"
        raise InputError(
            source,
            f"has {few}{why}; a specificity of {specificity:g} needs at least {needed}",
            f"Give {needed - scans} more, or ask for a lower --specificity",
        )


def usable_scans(
    source: Path, scans: Sequence[ScoredScan], refused: Sequence[InputError]
) -> UsableScans:
    """Check scans that were read.

    Args:
        source: what the user named.
        scans: that were read.
        refused: files that are no bone scan, or cannot be read.

    Raises:
        InputError: no scan, scans of different kinds, or one view missing in all.
    """
    if not scans:
        first = f" ({refused[0].source}: {refused[0].problem})" if refused else ""
        problem = f"holds no whole-body bone scan{first}"
        raise InputError(source, problem, "Give a folder, ZIP archive or manifest of bone scans")
    _require_one_kind(source, scans)
    kept, notes, named = list(scans), [], []
    if refused:
        notes.append(f"{len(refused)} files were left out that are no readable bone scans")
        said = listed([f"{error.source} ({error.problem})" for error in refused])
        named.append(f"left out, no readable bone scans: {said}")
    kept, single = _with_both_views(source, kept)
    if single:
        notes.append(
            f"{len(single)} scans were left out that have one view only: nothing is said of such"
        )
        named.append(f"left out, one view only: {listed([scan.source for scan in single])}")
    kept, copies = _without_copies(kept)
    if copies:
        notes.append(f"{len(copies)} scans were left out that are copies of others")
        named.append(f"left out, copies of others: {listed([scan.source for scan in copies])}")
    notes += _on_patients(kept)
    return UsableScans(scans=tuple(kept), notes=tuple(notes), named=tuple(named))


def _require_one_kind(source: Path, scans: Sequence[ScoredScan]) -> None:
    kinds = Counter(scan.unit for scan in scans)
    if len(kinds) > 1:
        said = " and ".join(
            f"{count} {_KINDS.get(unit, unit)}" for unit, count in kinds.most_common()
        )
        rare = kinds.most_common()[-1][0]
        such = listed([scan.source for scan in scans if scan.unit == rare])
        raise InputError(
            source,
            f"mixes {said}, which a model scores differently ({such})",
            "Give one kind: scans as they will be classified later",
        )


def _with_both_views(
    source: Path, scans: list[ScoredScan]
) -> tuple[list[ScoredScan], list[ScoredScan]]:
    """Scans with both views, and the others."""
    both = [scan for scan in scans if len(scan.views) == len(View)]
    single = [scan for scan in scans if len(scan.views) < len(View)]
    if single and not both:
        there = Counter(view for scan in single for view in scan.views)
        missing = [view.value for view in View if view.value not in there]
        what = f"the {missing[0]} view is missing in all" if missing else "no scan has both views"
        raise InputError(
            source,
            f"{what} {len(single)} scans",
            "Give both views of each scan, in one file or in two whose names tell the view",
        )
    return both, single


def _without_copies(scans: list[ScoredScan]) -> tuple[list[ScoredScan], list[ScoredScan]]:
    """Each content once, and the copies."""
    seen: set[frozenset[str]] = set()
    first: list[ScoredScan] = []
    copies: list[ScoredScan] = []
    for scan in scans:
        content = frozenset(scan.files_sha256)
        (copies if content in seen else first).append(scan)
        seen.add(content)
    return first, copies


def _on_patients(scans: Sequence[ScoredScan]) -> list[str]:
    """Notes on patients with several scans, and on scans without a patient."""
    groups = by_patient(scans)
    several = sum(len(group) > 1 for group in groups.values())
    nameless = sum(not scan.patient for scan in scans)
    notes = []
    if several:
        who = "1 patient has" if several == 1 else f"{several} patients have"
        notes.append(f"{who} several scans and counts once, by the highest score")
    if nameless:
        notes.append(
            f"nothing tells the patient of {nameless} scans: each was taken as another patient's, "
            "which a manifest with patient_id can correct"
        )
    return notes


def with_doubts(
    usable: UsableScans, logits: Sequence[float], distances: Sequence[float]
) -> UsableScans:
    """Note scans that may show disease or be of another kind, by both scores.

    Args:
        usable: normal scans.
        logits: calibrated, of each patient, in the order of `usable.highest`.
        distances: how unlike the training cohort each of these is; none where nothing tells.
    """
    highest = usable.highest
    doubts, named = [], []
    high = high_scores(np.array(logits))
    if high.suspicious:
        doubts.append(
            f"{high.places.size} of {high.count} normal patients score {FAR_ABOVE:g} logits or "
            f"more above the median, where at most {100 * HIGH_SHARE:g} % are expected (binomial "
            f"p {high.p_value:.2g}): some may have disease. Look at them, leave out those with "
            "disease and repeat: disease among the normals raises the threshold and costs "
            "sensitivity"
        )
        such = listed([highest[place].source for place in high.places])
        named.append(f"may have disease, look at them: {such}")
    far = strangers(np.array(distances))
    if far.size:
        doubts.append(
            f"{far.size} of {high.count} normal patients have scans far less like the model's than "
            "the others': they may be of another kind. Look at them, and leave out what is no "
            "whole-body bone scan"
        )
        such = listed([highest[place].source for place in far])
        named.append(f"may be of another kind, look at them: {such}")
    return replace(usable, doubts=tuple(doubts), named=(*usable.named, *named))
