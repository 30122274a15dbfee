"""What has changed between scans of one patient: foci new, gone and grown, and PCWG3's rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from bonescint.quantify.bone_atlas import BoneAtlas, Floats, bone_atlas
from bonescint.quantify.bone_scan_index import METASTASIS_FROM
from bonescint.quantify.candidates import FocusInView
from bonescint.quantify.foci import MatchedFocus, RisenInView, risen_candidates
from bonescint.quantify.focus_network import USUAL, shift_between_views
from bonescint.quantify.laid_atlas import LaidAtlas, laid_atlas
from bonescint.quantify.quantified import QuantifiedScan
from bonescint.quantify.rise_map import GRID_MM, ViewRise, in_pixels, rise_map
from bonescint.scan import ParameterError, SiteGroup, View

SAME_MM = 30.0
"""Foci of two scans within this distance on the average body are the same. Assumed."""
GROWN_FROM = 1.5
"""A focus has grown if its area, averaged over its views, has grown by this factor. Assumed."""
DOUBTFUL_BELOW = 0.2
"""A metastasis may be new although a prior focus of a lower probability lies at its place."""
DOUBTFUL_MM = 15.0
"""Distance within which that prior focus lies at the same place."""
RISEN_BY = 3.75
"""Standard deviations by which uptake must have risen (`rise_map`)."""
OUTSIDE_BONE = (SiteGroup.KIDNEY, SiteGroup.BLADDER, SiteGroup.URINE, SiteGroup.INJECTION)
"""What differs between any two scans: a rise is not new if it may be one of these."""
LEAST_OUTSIDE_BONE = 0.3
"""Probability of these from which on a rise may be one of them."""
DISTAL = ("hand", "ulna", "radius", "foot", "tibia", "fibula", "patella")
"""Where a rise alone is not called new: metastases are rare, and limbs move most. Assumed."""
_SAME_RISE_MM = 10.0
"""A rise within this distance of a focus' maximum is that of the focus."""
LEAST_IN_VIEW = 1.0
"""Standard deviations by which a view alone must have risen to show a focus of its own."""
_CLIMBS = 4
"""Steps of that length to the maximum of the rise."""
FLARE_WEEKS = 12.0
CONFIRMATION_WEEKS = 6.0


class FocusChange(StrEnum):
    """What has become of a focus."""

    NEW = "new"
    GONE = "gone"
    GROWN = "grown"
    SHRUNK = "shrunk"
    UNCHANGED = "unchanged"
    NOT_SHOWN = "not shown"
    """The present scan does not show its place."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChangedFocus:
    """A metastasis of one of two scans, or of both.

    Attributes:
        change: what has become of it.
        prior: the focus on the prior scan, or `None`.
        present: the focus on the present scan, or `None`.
        area_ratio: present area divided by prior area, averaged over the views, or `None`.
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

    @property
    def may_be(self) -> Mapping[str, float]:
        """Probability of each finding, the most probable first; if new, given the rise."""
        focus = self.present or self.prior
        if focus is None:
            return {}
        return given_rise(focus) if self.change is FocusChange.NEW else focus.finding_probabilities

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary; `prior` and `present` are numbers of foci in their scans."""
        return {
            "change": self.change.value,
            "bone": self.bone,
            "prior": None if self.prior is None else self.prior.number,
            "present": None if self.present is None else self.present.number,
            "area_ratio": None if self.area_ratio is None else round(self.area_ratio, 3),
            "may_be": {name: round(of, 4) for name, of in self.may_be.items() if of >= 5e-4},
        }


def given_rise(focus: MatchedFocus) -> Mapping[str, float]:
    """Probability of each finding where uptake has risen: it is not usual uptake."""
    said = focus.finding_probabilities
    rest = max(1 - said.get(USUAL, 0.0), 1e-9)
    return {name: of / rest for name, of in said.items() if name != USUAL}


def changed_foci(
    prior: QuantifiedScan, present: QuantifiedScan, atlas: BoneAtlas | None = None
) -> tuple[ChangedFocus, ...]:
    """Compare the metastases of two scans of one patient.

    Both scans are registered to the atlas, so that posture and position in the field of view do not
    matter. A metastasis is new if the prior scan has no focus near its place, or only a doubtful
    one, and if the uptake there has risen by more than counting noise and the variation of repeated
    scans explain (`rise_map`). A rise excludes usual uptake, so new uptake in bone counts as a
    metastasis whatever the present scan alone shows (`with_risen`), unless it may be urine or an
    injection site, or lies in a forearm, hand, lower leg or foot; its probabilities remain those of
    the present scan (`given_rise`). A metastasis is gone if the present scan shows its place, and
    no focus of any kind near it.

    Args:
        prior: the earlier scan.
        present: the later scan.
        atlas: the one of bonescint if `None`.
    """
    atlas = atlas or bone_atlas()
    compared = _Compared(prior, present, atlas)
    found = []
    for before, now in compared.counterparts():
        ill_before = before is not None and before.probability >= METASTASIS_FROM
        ill_now = now is not None and now.probability >= METASTASIS_FROM
        doubtful = before is None or before.probability < DOUBTFUL_BELOW
        new = now is not None and doubtful and compared.is_new(now)
        if not (ill_before or ill_now or new):
            continue
        change, ratio = (FocusChange.NEW, None) if new else _change_between(before, now)
        if before is not None and now is None and not compared.shows(before):
            change = FocusChange.NOT_SHOWN
        found.append(ChangedFocus(change=change, prior=before, present=now, area_ratio=ratio))
    order = list(FocusChange)
    found.sort(key=lambda one: (order.index(one.change), -_probability(one)))
    return tuple(found)


def with_risen(
    prior: QuantifiedScan, present: QuantifiedScan, atlas: BoneAtlas | None = None
) -> QuantifiedScan:
    """The present scan, its foci completed by those that only the prior scan shows to be new.

    Args:
        prior: the earlier scan.
        present: the later scan.
        atlas: the one of bonescint if `None`.
    """
    return _Compared(prior, present, atlas or bone_atlas()).present


def _probability(one: ChangedFocus) -> float:
    return max(focus.probability for focus in (one.prior, one.present) if focus is not None)


def _change_between(
    before: MatchedFocus | None, now: MatchedFocus | None
) -> tuple[FocusChange, float | None]:
    if now is None:
        return FocusChange.GONE, None
    if before is None:  # its uptake was there before, though no focus was found
        return FocusChange.UNCHANGED, None
    ratio = _area_ratio(before, now)
    if ratio >= GROWN_FROM:
        return FocusChange.GROWN, ratio
    return (FocusChange.SHRUNK if ratio <= 1 / GROWN_FROM else FocusChange.UNCHANGED), ratio


class _Compared:
    """The rise of uptake from the prior scan to the foci of the present one."""

    def __init__(self, prior: QuantifiedScan, present: QuantifiedScan, atlas: BoneAtlas) -> None:
        self._prior = prior
        self._before = laid_atlas(prior.body, prior.scan.shape, atlas)
        self._now = laid_atlas(present.body, present.scan.shape, atlas)
        self._rows, self._columns = present.scan.shape
        self._shift_mm = shift_between_views(present.body) * self._now.pixel_mm[1]
        self._rises = rise_map(prior.scan, present.scan, self._before, self._now, present.body)
        taken: list[Floats] = []
        risen: list[MatchedFocus] = []
        self._beside: list[MatchedFocus] = []
        # Of several candidates at one rise, the nearest to its maximum is taken.
        for one in sorted((*present.foci, *present.usual), key=self._order):
            if (self._rise(one) or 0) < RISEN_BY:
                continue
            summit, usual = self._summit(one), one in present.usual
            if one.probability < METASTASIS_FROM and _any_near(taken, summit):
                self._beside.append(one)
                continue
            taken.append(summit[None] if usual else self._extent(one))
            risen += [one] if usual and self.is_new(one) else []
        risen += [one for one in self._further(present, taken, atlas) if self.is_new(one)]
        first = len(present.foci) + 1
        self.present = replace(
            present,
            foci=(*present.foci, *(replace(one, number=n) for n, one in enumerate(risen, first))),
            usual=tuple(one for one in present.usual if one not in risen),
        )

    def _order(self, focus: MatchedFocus) -> tuple[bool, float]:
        return focus.probability < METASTASIS_FROM, -(self._rise(focus) or 0)

    def _further(
        self, present: QuantifiedScan, taken: Sequence[Floats], atlas: BoneAtlas
    ) -> tuple[MatchedFocus, ...]:
        """Candidates at the maxima of the rise that are none on the present scan alone."""
        shape, pixel_mm = present.scan.shape, self._now.pixel_mm
        risen = {}
        for view, of in self._rises.items():
            maxima = (_maxima(of) + 0.5) * GRID_MM
            far = [at for at in maxima if not _any_near(taken, self._from_front(at, view)[0])]
            if far:
                had, added = (in_pixels(each, shape, pixel_mm) for each in (of.had, of.added))
                places = [(int(row / pixel_mm[0]), int(left / pixel_mm[1])) for row, left in far]
                risen[view] = RisenInView(places, had, added)
        if not risen:
            return ()
        return risen_candidates(present.scan, present.prediction, present.body, risen, atlas)

    def _from_front(self, places_mm: Floats, view: View) -> Floats:
        """Places in a view (n, 2), mm, where the anterior view has them."""
        found = np.array(places_mm, np.float32, ndmin=2)
        if view is View.POSTERIOR:
            found[:, 1] = self._columns * self._now.pixel_mm[1] - found[:, 1] - self._shift_mm
        return found

    def _extent(self, focus: MatchedFocus) -> Floats:
        """The outlines of a focus and the maximum of its rise, from the front, mm: (n, 2)."""
        outlines = []
        for shown in focus.in_views:
            cells = np.argwhere(shown.mask) + np.array([shown.top + 0.5, shown.left + 0.5])
            outlines.append(self._from_front(cells * self._now.pixel_mm, shown.view))
        return np.concatenate([*outlines, self._summit(focus)[None]])

    def _summit(self, focus: MatchedFocus) -> Floats:
        """Where the rise of a focus that has risen has its maximum, from the front, mm."""
        tops = []
        for shown in focus.in_views:
            if (of := self._rises.get(shown.view)) is None:
                continue
            at = self._on_grid(shown)
            for _ in range(_CLIMBS):
                near = _near(at)
                top = np.unravel_index(int(of.rise[near].argmax()), of.rise[near].shape)
                at = np.array([part.start + n + 0.5 for part, n in zip(near, top, strict=True)])
            rise = float(of.rise[tuple(at.astype(int))])
            tops.append((rise, self._from_front(at * GRID_MM, shown.view)[0]))
        place: Floats = max(tops, key=lambda of: of[0])[1]
        return place

    def _on_grid(self, shown: FocusInView) -> Floats:
        at = np.array([shown.row + 0.5, shown.column + 0.5], np.float32)
        return np.asarray(at * self._now.pixel_mm / GRID_MM, np.float32)

    def counterparts(self) -> list[tuple[MatchedFocus | None, MatchedFocus | None]]:
        """Foci of both scans in pairs, near ones together; those without counterpart alone."""
        before, now = list(self._prior.foci), list(self.present.foci)
        pairs: list[tuple[MatchedFocus | None, MatchedFocus | None]] = []
        if before and now:
            there, here = _places_mm(before, self._before), _places_mm(now, self._now)
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

    def shows(self, before: MatchedFocus) -> bool:
        """Whether the present scan shows a prior focus' place in a view that showed the focus."""
        place = self._before.place_mm(before.in_views, before.bone)
        at = [
            self._now.pixel_of(place, before.bone, one.view)
            for one in before.in_views
            if one.view in self._now.at
        ]
        return any(0 <= row < self._rows and 0 <= col < self._columns for row, col in at)

    def is_new(self, focus: MatchedFocus) -> bool:
        """Whether a focus, without or with a doubtful counterpart, is where uptake has risen.

        Where the prior scan does not show the place, a metastasis is new.
        """
        if focus.probability < METASTASIS_FROM:
            findings = given_rise(focus)
            outside = sum(findings.get(site.value, 0.0) for site in OUTSIDE_BONE)
            if (
                focus in self._beside
                or outside >= LEAST_OUTSIDE_BONE
                or focus.bone.startswith(DISTAL)
            ):
                return False
        rise = self._rise(focus)
        return focus.probability >= METASTASIS_FROM if rise is None else rise >= RISEN_BY

    def _rise(self, focus: MatchedFocus) -> float | None:
        """The largest near its maxima; `None` where the prior scan does not show the place."""
        found = []
        for shown in focus.in_views:
            near = _near(self._on_grid(shown))
            of = self._rises.get(shown.view)
            if of is not None and of.shown[near].any():
                found.append(float(of.rise[near].max()))
        return max(found, default=None)


def _near(at: Floats) -> tuple[slice, slice]:
    """The points of a grid within some 10 mm of a place on it, in points."""
    reach = _SAME_RISE_MM / GRID_MM
    first, last = np.maximum(at - reach, 0).astype(int), (at + reach).astype(int)
    return slice(first[0], last[0] + 1), slice(first[1], last[1] + 1)


def _any_near(places: Sequence[Floats], place: Floats) -> bool:
    """Whether a place (2,) is near one of each array's places (n, 2), mm."""
    return any(bool(np.hypot(*(one - place).T).min() <= DOUBTFUL_MM) for one in places)


def _maxima(of: ViewRise) -> NDArray[np.intp]:
    """Where on its grid a rise is significant and the largest nearby: (maxima, 2)."""
    reach = 2 * round(DOUBTFUL_MM / GRID_MM) + 1
    highest = of.rise == ndimage.maximum_filter(of.rise, reach)
    return np.argwhere(highest & (of.rise >= RISEN_BY) & (of.own >= LEAST_IN_VIEW))


def _places_mm(foci: Sequence[MatchedFocus], laid: LaidAtlas) -> Floats:
    """Where the foci of a scan lie on the average body: (foci, 2), mm."""
    return np.array([laid.place_mm(focus.in_views, focus.bone) for focus in foci])


def _area_ratio(before: MatchedFocus, now: MatchedFocus) -> float:
    """Ratio of areas over the views that both have, or over all; of shares of bone if need be."""
    known = all(one.area_mm2 is not None for one in (*before.in_views, *now.in_views))
    earlier, later = (
        {one.view: (one.area_mm2 if known else None) or one.share_of_bone for one in of.in_views}
        for of in (before, now)
    )
    both = [np.log(later[view] / earlier[view]) for view in earlier.keys() & later.keys()]
    if both:
        return float(np.exp(np.mean(both)))
    return float(np.mean(list(later.values())) / np.mean(list(earlier.values())))


class ProgressionState(StrEnum):
    """What PCWG3's rule says of a series."""

    NONE = "no progression"
    TO_CONFIRM = "to be confirmed"
    PROGRESSION = "progression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progression:
    """Outcome of PCWG3's 2+2 rule for a series of bone scans.

    Attributes:
        state: the outcome.
        scan: index of the scan at which progression began or may have begun, or `None`.
        flare: whether new foci of the first scan on treatment were not followed by others, so that
            they may be a flare: healing bone that takes up more tracer.
        in_words: the outcome in a sentence.
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
    two or more new lesions against the reference count if a scan at least 6 weeks later has two or
    more against it, too. Only numbers are compared: whether they are the same lesions is not.

    Args:
        weeks: of each scan, after the start of treatment, increasing; the first is the baseline,
            and the only one that may have been made before the start.
        new_foci: (scans, scans), number of foci that the column's scan has and the row's has not.

    Raises:
        ParameterError: fewer than two scans, or weeks that `require_increasing` refuses.

    Examples:
        >>> counts = np.array([[0, 3, 3], [0, 0, 0], [0, 0, 0]])
        >>> progression([0, 9, 17], counts).in_words
        'No progression; the 3 new foci of scan 2 were not followed by others and may be a flare.'
    """
    require_increasing(weeks)
    number = len(weeks)
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
        confirmed = int(new_foci[reference, confirming])
        if confirmed >= 2:
            return _progressed(scan, new, f"{confirmed} on scan {confirming + 1}", flare=flare)
    said = "No progression."
    if flare:
        said = (
            f"No progression; the {first_new} new foci of scan 2 were not followed by others and "
            "may be a flare."
        )
    return Progression(state=ProgressionState.NONE, scan=None, flare=flare, in_words=said)


def require_increasing(weeks: Sequence[float]) -> None:
    """Refuse weeks of fewer than two scans, that do not increase, or of two baselines.

    Raises:
        ParameterError: they are such.
    """
    increasing = all(earlier < later for earlier, later in pairwise(weeks))
    if len(weeks) < 2 or not (increasing and all(map(math.isfinite, weeks)) and weeks[1] > 0):
        requirement = "of one baseline, then of scans after the start (above 0), increasing"
        raise ParameterError("weeks", "progression", requirement, tuple(weeks))


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
