"""What has changed between scans of one patient: foci new, gone and grown, and PCWG3's rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bonescint.quantify.bone_atlas import BoneAtlas, Floats, bone_atlas
from bonescint.quantify.bone_scan_index import METASTASIS_FROM
from bonescint.quantify.foci import MatchedFocus
from bonescint.quantify.quantified import QuantifiedScan
from bonescint.quantify.registration import in_view_mm
from bonescint.scan import ParameterError, View

SAME_MM = 30.0
"""Foci of two scans within this distance, on the average body, are one. Assumed."""
GROWN_FROM = 1.5
"""A focus has grown if its area, averaged over its views, has by this factor. Assumed."""
RISEN_FROM = 2.0
"""A focus that was there before is new if its excess of uptake has risen by this factor."""
DOUBTFUL_BELOW = 0.2
"""A prior focus under this probability may be what a metastasis now replaces."""
DOUBTFUL_MM = 15.0
"""Within this distance of a doubtful one."""
NEW_FROM = 0.35
"""Where nothing was before, a focus counts from this probability on: the prior scan tells, too."""
FLARE_WEEKS = 12.0
CONFIRMATION_WEEKS = 6.0


class FocusChange(StrEnum):
    """What has become of a focus."""

    NEW = "new"
    GONE = "gone"
    GROWN = "grown"
    SHRUNK = "shrunk"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChangedFocus:
    """A metastasis of one of two scans, or of both.

    Attributes:
        change: what has become of it.
        prior: the focus on the prior scan, or `None`.
        present: the focus on the present scan, or `None`.
        area_ratio: area now over area before, averaged over the views, or `None`.
    """

    change: FocusChange
    prior: MatchedFocus | None
    present: MatchedFocus | None
    area_ratio: float | None

    @property
    def bone(self) -> str:
        """The bone in which it lies."""
        focus = self.present or self.prior
        return "" if focus is None else focus.bone

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary; `prior` and `present` are numbers of foci in their scans."""
        return {
            "change": self.change.value,
            "bone": self.bone,
            "prior": None if self.prior is None else self.prior.number,
            "present": None if self.present is None else self.present.number,
            "area_ratio": None if self.area_ratio is None else round(self.area_ratio, 3),
        }


def changed_foci(
    prior: QuantifiedScan, present: QuantifiedScan, atlas: BoneAtlas | None = None
) -> tuple[ChangedFocus, ...]:
    """Compare the metastases of two scans of one patient.

    Both scans are laid on the atlas, so that posture and framing do not matter. A metastasis is
    new if no focus was near its place before, or only a doubtful one with far less uptake; then a
    probability of 0.35 suffices, since the prior scan tells, too. It is gone if no focus of any
    kind is near its place now.

    Args:
        prior: the earlier scan.
        present: the later scan.
        atlas: the one of bonescint if `None`.
    """
    atlas = atlas or bone_atlas()
    pairs = _counterparts(prior, present, atlas)
    found = []
    for before, now in pairs:
        ill_before = before is not None and before.probability >= METASTASIS_FROM
        ill_now = now is not None and now.probability >= (
            METASTASIS_FROM if before is not None else NEW_FROM
        )
        if not (ill_before or ill_now):
            continue
        change, ratio = _judged(before, now)
        found.append(ChangedFocus(change=change, prior=before, present=now, area_ratio=ratio))
    order = list(FocusChange)
    found.sort(key=lambda one: (order.index(one.change), -_probability(one)))
    return tuple(found)


def _probability(one: ChangedFocus) -> float:
    return max(focus.probability for focus in (one.prior, one.present) if focus is not None)


def _judged(
    before: MatchedFocus | None, now: MatchedFocus | None
) -> tuple[FocusChange, float | None]:
    if now is None:
        return FocusChange.GONE, None
    if before is None:
        return FocusChange.NEW, None
    ratio = _area_ratio(before, now)
    risen = (now.clearest.contrast - 1) / max(before.clearest.contrast - 1, 0.1)
    if before.probability < DOUBTFUL_BELOW and risen >= RISEN_FROM:
        return FocusChange.NEW, ratio
    if ratio >= GROWN_FROM:
        return FocusChange.GROWN, ratio
    return (FocusChange.SHRUNK if ratio <= 1 / GROWN_FROM else FocusChange.UNCHANGED), ratio


def _area_ratio(before: MatchedFocus, now: MatchedFocus) -> float:
    """Ratio of areas as shares of bone, over the views that both have, or over all."""
    earlier = {shown.view: shown.share_of_bone for shown in before.in_views}
    later = {shown.view: shown.share_of_bone for shown in now.in_views}
    both = [np.log(later[view] / earlier[view]) for view in earlier.keys() & later.keys()]
    if both:
        return float(np.exp(np.mean(both)))
    return float(np.mean(list(later.values())) / np.mean(list(earlier.values())))


def _counterparts(
    prior: QuantifiedScan, present: QuantifiedScan, atlas: BoneAtlas
) -> list[tuple[MatchedFocus | None, MatchedFocus | None]]:
    """Foci of both scans in pairs, near ones together; those without counterpart alone."""
    before, now = list(prior.foci), list(present.foci)
    pairs: list[tuple[MatchedFocus | None, MatchedFocus | None]] = []
    if before and now:
        there = np.array([atlas_place_mm(focus, prior, atlas) for focus in before])
        here = np.array([atlas_place_mm(focus, present, atlas) for focus in now])
        distances = np.linalg.norm(there[:, None] - here[None], axis=2)
        # Of foci that are equally near, the more probable ones belong together.
        doubt = np.subtract.outer(
            [focus.probability for focus in before], [focus.probability for focus in now]
        )
        doubtful = np.array([focus.probability < DOUBTFUL_BELOW for focus in before])
        most = np.where(doubtful, DOUBTFUL_MM, SAME_MM)[:, None]
        cost = np.where(distances <= most, distances + 10 * np.abs(doubt), 1e6)
        for one, other in zip(*linear_sum_assignment(cost), strict=True):
            if cost[one, other] < 1e6:
                pairs.append((before[one], now[other]))
    paired_before = {id(one) for one, _ in pairs}
    paired_now = {id(other) for _, other in pairs}
    pairs += [(one, None) for one in before if id(one) not in paired_before]
    pairs += [(None, other) for other in now if id(other) not in paired_now]
    return pairs


def atlas_place_mm(focus: MatchedFocus, scan: QuantifiedScan, atlas: BoneAtlas) -> Floats:
    """Where a focus lies on the average body: (2,), mm to the left and up, mean of its views."""
    registration = scan.body.registration
    pose, pixel_mm = registration.pose, registration.pixel_mm
    bone = atlas.bones.index(focus.bone)
    places = atlas.places_mm(pose.shape, atlas.span(bone))
    found = []
    for shown in focus.in_views:
        column = shown.column
        if shown.view is View.POSTERIOR:
            column = scan.scan.shape[1] - 1 - column
        at = np.array([(column + 0.5) * pixel_mm[1], (shown.row + 0.5) * pixel_mm[0]], np.float32)
        laid = in_view_mm(places, pose.origin_mm[shown.view])
        nearest = int(((laid - at) ** 2).sum(axis=1).argmin())
        beside = (at - laid[nearest]) * np.array([1, -1], np.float32)
        found.append(atlas.mean_mm[atlas.span(bone)][nearest] + beside)
    return np.asarray(np.mean(found, axis=0), np.float32)


class ProgressionState(StrEnum):
    """What PCWG3's rule says of a series."""

    NONE = "no progression"
    TO_CONFIRM = "to be confirmed"
    PROGRESSION = "progression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progression:
    """PCWG3's verdict on a series of bone scans.

    Attributes:
        state: the verdict.
        scan: index of the scan at which progression began or may have begun, or `None`.
        flare: whether new foci of the first scan on treatment were not followed by others, so that
            they may be a flare: healing bone that takes up more tracer.
        in_words: the verdict in a sentence.
    """

    state: ProgressionState
    scan: int | None
    flare: bool
    in_words: str


def progression(weeks: Sequence[float], new_foci: NDArray[np.intp]) -> Progression:
    """Apply the 2+2 rule of the Prostate Cancer Working Group 3 to a series of scans.

    Scher et al., J Clin Oncol 2016;34:1402. Two or more new lesions on the first scan on treatment
    within 12 weeks count only if a scan at least 6 weeks later shows two or more further ones;
    otherwise that first scan becomes the new reference, and the new lesions may be a flare. Later,
    two or more new lesions against the reference count if they are still there at least 6 weeks
    later.

    Args:
        weeks: of each scan, after the start of treatment, increasing; the first is the baseline.
        new_foci: (scans, scans), number of foci that the column's scan has and the row's has not.

    Raises:
        ParameterError: fewer than two scans, or weeks that do not increase.

    Examples:
        >>> counts = np.array([[0, 3, 3], [0, 0, 0], [0, 0, 0]])
        >>> progression([0, 9, 17], counts).in_words
        'No progression; the 3 new foci of scan 2 were not followed by others and may be a flare.'
    """
    number = len(weeks)
    if number < 2 or any(later <= earlier for earlier, later in pairwise(weeks)):
        requirement = "of two scans or more, increasing"
        raise ParameterError("weeks", "progression", requirement, tuple(weeks))
    first_new = int(new_foci[0, 1])
    flare = False
    if weeks[1] <= FLARE_WEEKS and first_new >= 2:
        confirming = _later(weeks, 1)
        if confirming is None:
            return _to_confirm(1, first_new)
        further = int(new_foci[1, confirming])
        if further >= 2:
            return _progressed(1, first_new, f"{further} further ones on scan {confirming + 1}")
        flare = True
    reference = 1 if weeks[1] <= FLARE_WEEKS else 0
    for scan in range(reference + 1, number):
        new = int(new_foci[reference, scan])
        if new < 2:
            continue
        confirming = _later(weeks, scan)
        if confirming is None:
            return _to_confirm(scan, new, flare=flare)
        if int(new_foci[reference, confirming]) >= 2:
            return _progressed(scan, new, f"still there on scan {confirming + 1}", flare=flare)
    said = "No progression."
    if flare:
        said = (
            f"No progression; the {first_new} new foci of scan 2 were not followed by others and "
            "may be a flare."
        )
    return Progression(state=ProgressionState.NONE, scan=None, flare=flare, in_words=said)


def _later(weeks: Sequence[float], scan: int) -> int | None:
    """The first scan that is late enough to confirm another."""
    late = (n for n in range(scan + 1, len(weeks)) if weeks[n] - weeks[scan] >= CONFIRMATION_WEEKS)
    return next(late, None)


def _to_confirm(scan: int, new: int, *, flare: bool = False) -> Progression:
    return Progression(
        state=ProgressionState.TO_CONFIRM,
        scan=scan,
        flare=flare,
        in_words=f"{new} new foci on scan {scan + 1}: to be confirmed by a scan at least "
        f"{CONFIRMATION_WEEKS:g} weeks later.",
    )


def _progressed(scan: int, new: int, how: str, *, flare: bool = False) -> Progression:
    return Progression(
        state=ProgressionState.PROGRESSION,
        scan=scan,
        flare=flare,
        in_words=f"Progression at scan {scan + 1}: {new} new foci, {how}.",
    )
