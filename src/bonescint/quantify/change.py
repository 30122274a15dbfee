"""What has changed between scans of one patient: foci new, gone and grown, and PCWG3's rule."""

from __future__ import annotations

from collections.abc import Sequence
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
from bonescint.quantify.foci import MatchedFocus
from bonescint.quantify.focus_network import USUAL, clearest
from bonescint.quantify.laid_atlas import LaidAtlas, laid_atlas
from bonescint.quantify.local_rise import local_rise
from bonescint.quantify.quantified import QuantifiedScan
from bonescint.scan import ParameterError, PixelUnit

SAME_MM = 30.0
"""Foci of two scans within this distance on the average body are the same. Assumed."""
GROWN_FROM = 1.5
"""A focus has grown if its area, averaged over its views, has grown by this factor. Assumed."""
DOUBTFUL_BELOW = 0.2
"""A metastasis may be new although a prior focus of a lower probability lies at its place."""
DOUBTFUL_MM = 15.0
"""Distance within which that prior focus lies at the same place."""
RISEN_BY = 3.5
"""Standard deviations by which uptake must have risen (`local_rise`)."""
NEW_FROM = 0.2
"""Where uptake has risen, a focus is new from this probability of a metastasis on, given that it is
not usual uptake, which the rise excludes. Benign findings are thus assumed to change four times as
rarely as metastases appear."""
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

    Both scans are registered to the atlas, so that posture and position in the field of view do not
    matter. A metastasis is new if the prior scan has no focus near its place, or only a doubtful
    one, and if the uptake there has risen by more than counting noise and the variation of repeated
    scans explain (`local_rise`). The rise excludes usual uptake, so it then suffices that the
    probability of a metastasis is a fifth of that of all findings; even what the network calls
    usual uptake on the present scan alone may be new (`with_risen`). A metastasis is gone if the
    present scan has no focus of any kind near its place.

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
        found.append(ChangedFocus(change=change, prior=before, present=now, area_ratio=ratio))
    order = list(FocusChange)
    found.sort(key=lambda one: (order.index(one.change), -_probability(one)))
    return tuple(found)


def with_risen(
    prior: QuantifiedScan, present: QuantifiedScan, atlas: BoneAtlas | None = None
) -> QuantifiedScan:
    """The present scan with the usual uptake that is none, given the prior scan, among its foci.

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
        self._counts = {prior.scan.unit, present.scan.unit} == {PixelUnit.COUNTS}
        self._images = {
            view: (image, _resampled(before, self._before.pixel_mm, self._now.pixel_mm))
            for view, image in present.scan.images()
            if (before := prior.scan.view(view)) is not None
        }
        risen = [one for one in present.usual if self.is_new(one, unless_shown=False)]
        first = len(present.foci) + 1
        self.present = replace(
            present,
            foci=(*present.foci, *(replace(one, number=n) for n, one in enumerate(risen, first))),
            usual=tuple(one for one in present.usual if one not in risen),
        )

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

    def is_new(self, focus: MatchedFocus, *, unless_shown: bool = True) -> bool:
        """Whether a focus without counterpart is a metastasis where uptake has risen.

        Args:
            focus: of the present scan.
            unless_shown: the answer where the prior scan does not show the place.
        """
        not_usual = 1 - focus.finding_probabilities.get(USUAL, 0.0)
        if focus.probability < NEW_FROM * not_usual:
            return False
        rise = self._rise(focus)
        return unless_shown if rise is None else rise >= RISEN_BY

    def _rise(self, focus: MatchedFocus) -> float | None:
        """In the view that shows it best; `None` where the prior scan does not show the place."""
        views = [shown for shown in focus.in_views if shown.view in self._images]
        if not views:
            return None
        clear = clearest(views)
        place = self._now.place_mm(focus.in_views, focus.bone)
        had = self._before.pixel_of(place, focus.bone, clear.view)
        ratio = [a / b for a, b in zip(self._before.pixel_mm, self._now.pixel_mm, strict=True)]
        now, before = self._images[clear.view]
        return local_rise(
            now,
            before,
            (clear.row + 0.5, clear.column + 0.5),
            (had[0] * ratio[0], had[1] * ratio[1]),
            self._now.pixel_mm,
            counts=self._counts,
        )


def _resampled(
    image: NDArray[np.float32], pixel_mm: tuple[float, float], wanted_mm: tuple[float, float]
) -> NDArray[np.float32]:
    """An image on pixels of another size; its sum is kept."""
    if np.allclose(pixel_mm, wanted_mm, rtol=1e-3):
        return image
    scale = [a / b for a, b in zip(pixel_mm, wanted_mm, strict=True)]
    found = ndimage.zoom(image, scale, order=1, grid_mode=True, mode="nearest")
    return np.asarray(found / np.prod(scale), np.float32)


def _places_mm(foci: Sequence[MatchedFocus], laid: LaidAtlas) -> Floats:
    """Where the foci of a scan lie on the average body: (foci, 2), mm."""
    return np.array([laid.place_mm(focus.in_views, focus.bone) for focus in foci])


def _area_ratio(before: MatchedFocus, now: MatchedFocus) -> float:
    """Ratio of areas as shares of bone, over the views that both have, or over all."""
    earlier = {shown.view: shown.share_of_bone for shown in before.in_views}
    later = {shown.view: shown.share_of_bone for shown in now.in_views}
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
