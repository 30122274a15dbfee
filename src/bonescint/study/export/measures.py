"""What is computed from raw events and marks: times and hits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from bonescint.cohort import read_truth
from bonescint.scan import FocusKind, Truth, View
from bonescint.scan.lesions import lesions_by_place

ASSUMED_SPACING_MM = 2.4
"""Spacing of rows and columns that is assumed where a scan does not say it."""

RADIUS_MM = 15.0
"""Within this distance of a metastasis a mark hits it, where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How a mark relates to the metastases.

    Attributes:
        distance_mm: to the nearest metastasis of the view, 0 inside; `None` if there is none.
        lesion: number of the metastasis that it hits, or `None`.
        hit: whether it lies within the radius; `None` if the metastases are unknown.
    """

    distance_mm: float | None
    lesion: int | None
    hit: bool | None


class CaseScorer:
    """Scores the marks of one case against its metastases.

    A mark hits if it lies within the radius of a metastasis' mask, or of its centre if there
    is no mask. It is then counted for the metastasis whose centre is nearest. A
    metastasis that is seen in both views is one: see `lesions_by_place`.

    Args:
        truth: with masks, or with foci alone.
        spacing_mm: between rows and between columns.
        columns: number of columns of the views.
        radius_mm: within which a mark hits.
    """

    def __init__(
        self,
        truth: Truth,
        spacing_mm: tuple[float, float],
        *,
        columns: int,
        radius_mm: float,
    ) -> None:
        self._spacing = spacing_mm
        self._radius = radius_mm
        self._foci = [f for f in truth.foci if f.kind is FocusKind.METASTASIS]
        self._lesion = lesions_by_place(self._foci, spacing_mm, columns=columns)
        self._distances: dict[View, NDArray[np.float64]] = {
            view: np.asarray(distance_transform_edt(~mask, sampling=spacing_mm))
            for view, mask in truth.masks.items()
            if mask.any()
        }

    @property
    def lesions(self) -> int:
        """The number of metastases."""
        return max(self._lesion, default=0)

    def score(self, view: View, row: float, column: float) -> Score:
        """Score one mark."""
        centres = self._to_centres(view, row, column)
        distances = self._distances.get(view)
        if distances is not None:
            rows, columns = distances.shape
            at = (min(max(round(row), 0), rows - 1), min(max(round(column), 0), columns - 1))
            distance: float | None = float(distances[at])
        else:
            distance = min(centres.values(), default=None)
        hit = distance is not None and distance <= self._radius
        nearest = min(centres, key=centres.__getitem__) if hit and centres else None
        lesion = None if nearest is None else self._lesion[nearest]
        return Score(
            distance_mm=None if distance is None else round(distance, 2), lesion=lesion, hit=hit
        )

    def _to_centres(self, view: View, row: float, column: float) -> dict[int, float]:
        down, across = self._spacing
        return {
            number: float(np.hypot((row - f.row) * down, (column - f.column) * across))
            for number, f in enumerate(self._foci)
            if f.view is view
        }


def spacing_of(picture: Mapping[str, Any]) -> tuple[float, float] | None:
    """The spacing of a picture's rows and columns in mm, if it is known."""
    row_mm, column_mm = picture.get("row_mm"), picture.get("column_mm")
    return (row_mm, column_mm) if row_mm and column_mm else None


def scorer_of(
    masks_file: Path, positive: bool, picture: Mapping[str, Any], radius_mm: float
) -> CaseScorer | None:
    """The scorer of a case; `None` if the positions of its metastases are unknown.

    Args:
        masks_file: the case's truth file; it need not exist.
        positive: whether the case has metastases.
        picture: with its spacing; 2.4 mm is assumed if it is unknown.
        radius_mm: within which a mark hits.
    """
    spacing = spacing_of(picture) or (ASSUMED_SPACING_MM, ASSUMED_SPACING_MM)
    truth = read_truth(masks_file) if masks_file.is_file() else Truth(positive=positive)
    scorer = CaseScorer(truth, spacing, columns=int(picture["columns"]), radius_mm=radius_mm)
    # Without disease every mark is a false positive; with disease that nobody marked, none is.
    return None if positive and not scorer.lesions else scorer


def median_and_quartiles(values: Sequence[float]) -> tuple[float, float, float] | None:
    """First quartile, median and third quartile; `None` of nothing."""
    if not values:
        return None
    first, middle, third = np.percentile(np.asarray(values, dtype=np.float64), [25, 50, 75])
    return float(first), float(middle), float(third)


_AWAY = {"pause": "resume", "hidden": "visible", "idle": "back"}
_BACK = {back: away for away, back in _AWAY.items()}


def note_away(away: set[str], kind: str) -> None:
    """Keep the reasons for which a reader is away, after an event of this kind.

    Examples:
        >>> away = {"hidden"}
        >>> for kind in ("pause", "zoom", "visible"):
        ...     note_away(away, kind)
        >>> away
        {'pause'}
    """
    if kind in _AWAY:
        away.add(kind)
    elif kind in _BACK:
        away.discard(_BACK[kind])


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The part of an event that reading times depend on.

    Attributes:
        kind: what happened.
        tab: in which tab of the browser.
        t_ms: that tab's monotonic clock.
        client_s: the reader's own clock.
        stage: unaided or aided, for `shown` and `submit`.
    """

    kind: str
    tab: str
    t_ms: float
    client_s: float
    stage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTime:
    """The time that an answer took.

    Attributes:
        gross_s: from the display of the case to the submission of the answer.
        active_s: without pause, hidden tab and idle time (from when the page noticed that the
            reader was idle until the next input).
    """

    gross_s: float
    active_s: float


def case_time(moments: Sequence[Moment], stage: str) -> CaseTime | None:
    """The time of one answer.

    Each tab has its own clock, and reloading a page starts another one. Therefore times are
    measured within each tab and summed; only the gross time of an answer that was given in
    several tabs relies on the clock of the reader's computer.

    Args:
        moments: moments of one case, in any order.
        stage: stage of the answer.

    Returns:
        The time, or `None` if the case was never shown or never submitted.

    Examples:
        >>> at = lambda kind, t, stage="": Moment(kind=kind, tab="a", t_ms=t, client_s=t / 1000,
        ...                                       stage=stage)
        >>> case_time([at("shown", 0, "unaided"), at("pause", 4000), at("resume", 9000),
        ...            at("submit", 12000, "unaided")], "unaided")
        CaseTime(gross_s=12.0, active_s=7.0)
    """
    ordered = sorted(moments, key=lambda moment: (moment.client_s, moment.t_ms))
    spans: list[tuple[Moment, Moment, float]] = []
    for _, group in groupby(sorted(ordered, key=lambda m: m.tab), key=lambda m: m.tab):
        span = _span(sorted(group, key=lambda moment: moment.t_ms), stage)
        if span is not None:
            spans.append(span)
    if not any(end.kind == "submit" for _, end, _ in spans):
        return None
    active_s = sum((end.t_ms - start.t_ms - away) / 1000 for start, end, away in spans)
    if len(spans) == 1:
        start, end, _ = spans[0]
        gross_s = (end.t_ms - start.t_ms) / 1000
    else:
        first = min(start.client_s for start, _, _ in spans)
        last = max(end.client_s for _, end, _ in spans)
        gross_s = max(last - first, active_s)
    return CaseTime(gross_s=round(gross_s, 3), active_s=round(max(active_s, 0.0), 3))


def _span(moments: Sequence[Moment], stage: str) -> tuple[Moment, Moment, float] | None:
    """First and last moment of an answer in one tab, and the milliseconds away between them."""
    shown = next((m for m in moments if m.kind == "shown" and m.stage == stage), None)
    if shown is None:
        return None
    later = [m for m in moments if m.t_ms >= shown.t_ms]
    submits = [m for m in later if m.kind == "submit" and m.stage == stage]
    end = submits[0] if submits else later[-1]
    return shown, end, _away_ms(shown, end, later)


def _away_ms(start: Moment, end: Moment, moments: Iterable[Moment]) -> float:
    """Milliseconds in which the reader was away for at least one reason."""
    away: set[str] = set()
    since, total = start.t_ms, 0.0
    for moment in moments:
        if moment.t_ms > end.t_ms:
            break
        before = bool(away)
        note_away(away, moment.kind)
        if not before and away:
            since = moment.t_ms
        elif before and not away:
            total += moment.t_ms - since
    return total + (end.t_ms - since if away else 0.0)
