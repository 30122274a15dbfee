"""How long a reader looked at a case, from the raw events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

_AWAY = {"pause": "resume", "hidden": "visible", "idle": "back"}
_BACK = {back: away for away, back in _AWAY.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An event, as far as time is concerned.

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
    """How long an answer took.

    Attributes:
        gross_s: from showing the case to submitting the answer.
        active_s: without pause, hidden tab and idle time (from the moment that the page found
            the reader idle until the next input).
    """

    gross_s: float
    active_s: float


def case_time(moments: Sequence[Moment], stage: str) -> CaseTime | None:
    """Time for one answer.

    Each tab has a clock of its own; a page that was loaded again goes on in another one. So
    spans are taken within a tab and summed, and only the gross time of an answer that was given
    over several tabs rests on the reader's own clock.

    Args:
        moments: of one case, in any order.
        stage: whose answer.

    Returns:
        The time, or `None` if the case was never shown or submitted.

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
    """Milliseconds in which at least one reason to be away held."""
    away: set[str] = set()
    since, total = start.t_ms, 0.0
    for moment in moments:
        if moment.t_ms > end.t_ms:
            break
        before = bool(away)
        if moment.kind in _AWAY:
            away.add(moment.kind)
        elif moment.kind in _BACK:
            away.discard(_BACK[moment.kind])
        if not before and away:
            since = moment.t_ms
        elif before and not away:
            total += moment.t_ms - since
    return total + (end.t_ms - since if away else 0.0)
