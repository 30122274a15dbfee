"""A learner's progress as pages show it: numbers, charts, tables; also that of a whole group."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from bonescint.intervals import Estimate
from bonescint.report.document_page import PageTable
from bonescint.teach.progress import LearnerProgress, Period
from bonescint.teach.web.charts import Chart, ChartLine

_Json = dict[str, Any]
_DIAGONAL = ChartLine(name="chance", points=((0.0, 0.0), (1.0, 1.0)), dashed=True)
_UNIT = (0.0, 1.0)
_INTERVALS = "Shares and areas with 95 % intervals; cases are taken as independent."


def numbers(progress: LearnerProgress) -> list[_Json]:
    """The main figures, each with what it rests on."""
    whole = progress.overall
    if whole is None:
        return []
    shown = [
        ("Correct answers, yes or no", whole.right),
        ("Area under the ROC curve", whole.auc),
        ("wAFROC area", whole.wafroc),
        ("Metastases found", whole.found),
    ]
    return [
        {"name": "Cases", "value": str(whole.last), "more": "answered"},
        *(_number(name, estimate) for name, estimate in shown),
        {
            "name": "False marks per case",
            "value": f"{whole.false_marks:.2f}",
            "more": f"{progress.false_marks_on_nothing} in all where nothing is",
        },
        {
            "name": "Seconds per case",
            "value": f"{whole.seconds[1]:.0f}",
            "more": f"half of them {whole.seconds[0]:.0f} to {whole.seconds[2]:.0f}",
        },
    ]


def _number(name: str, estimate: Estimate) -> _Json:
    if not estimate.defined:
        return {"name": name, "value": "-", "more": estimate.note}
    value, _, interval = estimate.text(2).partition(" (")
    return {"name": name, "value": value, "more": interval.rstrip(")") or estimate.note}


def charts(progress: LearnerProgress) -> list[Chart]:
    """ROC and wAFROC over time, time per case, the ROC curve, calibration of the confidence."""
    found = []
    periods = progress.over_time
    if len(periods) > 1:
        found.append(
            _over_time(
                periods,
                "Areas under the ROC and the wAFROC curve, in blocks of cases",
                "area",
                [("ROC", lambda one: one.auc), ("wAFROC", lambda one: one.wafroc)],
            )
        )
        found.append(
            _over_time(
                periods,
                "Right answers and metastases found, in blocks of cases",
                "share",
                [("right yes or no", lambda one: one.right), ("found", lambda one: one.found)],
            )
        )
        found.append(_seconds(periods))
    if progress.roc:
        curve = ChartLine(name="you", points=progress.roc, dots=False)
        caption = "ROC curve of your confidence, over all cases"
        titles = ("false positive rate", "sensitivity")
        found.append(Chart(caption, *titles, [curve, _DIAGONAL], _UNIT, _UNIT))
    bins = [one for one in progress.reliability if one.observed.defined]
    if bins:
        line = ChartLine(
            name="you",
            points=[(one.predicted, one.observed.value) for one in bins],
            interval=[(one.observed.low, one.observed.high) for one in bins],
        )
        perfect = ChartLine(name="perfectly calibrated", points=_DIAGONAL.points, dashed=True)
        caption = "How often there was disease, by how sure you were that there is"
        titles = ("your confidence", "share with disease")
        found.append(Chart(caption, *titles, [line, perfect], _UNIT, _UNIT))
    return found


def _middle(period: Period) -> float:
    return (period.first + period.last) / 2


def _over_time(
    periods: Sequence[Period],
    caption: str,
    title: str,
    lines: Sequence[tuple[str, Callable[[Period], Estimate]]],
) -> Chart:
    drawn = []
    for name, of in lines:
        defined = [(_middle(one), of(one)) for one in periods if of(one).defined]
        drawn.append(
            ChartLine(
                name=name,
                points=[(at, estimate.value) for at, estimate in defined],
                interval=[(estimate.low, estimate.high) for _, estimate in defined],
            )
        )
    return Chart(caption, "case", title, drawn, (0.0, float(periods[-1].last)), _UNIT)


def _seconds(periods: Sequence[Period]) -> Chart:
    line = ChartLine(
        name="median",
        points=[(_middle(one), one.seconds[1]) for one in periods],
        interval=[(one.seconds[0], one.seconds[2]) for one in periods],
    )
    most = max(one.seconds[2] for one in periods) or 1.0
    caption = "Seconds per case: median and quartiles, in blocks of cases"
    ends = (0.0, float(periods[-1].last))
    return Chart(caption, "case", "seconds", [line], ends, (0.0, most))


def tables(progress: LearnerProgress, *, group: bool = False) -> tuple[PageTable, ...]:
    """What was confused, what was missed, and the figures behind the charts.

    Args:
        progress: of a learner, or of a group taken as one.
        group: only what a teacher looks at: mistakes and bones.
    """
    both = (mistakes(progress), bones(progress))
    return both if group else (*both, over_time(progress))


def mistakes(progress: LearnerProgress) -> PageTable:
    """Benign uptake that was taken for metastases."""
    rows = [
        (
            one.site.value,
            str(one.cases),
            _text(one.mistaken),
            _text(one.latest),
            _text(one.named),
        )
        for one in progress.mistakes
        if one.mistaken.value > 0 or one.named.defined
    ]
    nothing = progress.false_marks_on_nothing
    if nothing:
        rows.append(
            (
                "nothing that takes up more tracer",
                "-",
                f"{nothing} time{'s' * (nothing != 1)}",
                "-",
                "-",
            )
        )
    return PageTable(
        caption="What was taken for a metastasis",
        columns=("what it was", "cases", "taken for one", "in the latest half", "named rightly"),
        rows=tuple(rows),
        note=_INTERVALS,
    )


def bones(progress: LearnerProgress) -> PageTable:
    """Metastases by bone: found, and from which contrast-to-noise ratio on."""
    return PageTable(
        caption="Metastases by bone",
        columns=("bone", "that can be seen", "found", "80 % found from contrast-to-noise"),
        rows=tuple(
            (
                one.bone or "elsewhere",
                str(one.lesions),
                _text(one.found),
                "-"
                if one.found_from is None
                else f"{one.found_from.value:.0f} "
                f"({one.found_from.low:.0f} to {one.found_from.high:.0f})",
            )
            for one in progress.bones
        ),
    )


def over_time(progress: LearnerProgress) -> PageTable:
    """The figures behind the charts."""
    return PageTable(
        caption="Over time",
        columns=("cases", "right", "ROC", "wAFROC", "found", "false marks per case", "seconds"),
        rows=tuple(
            (
                f"{one.first} to {one.last}",
                _text(one.right),
                _text(one.auc),
                _text(one.wafroc),
                _text(one.found),
                f"{one.false_marks:.2f}",
                f"{one.seconds[1]:.0f}",
            )
            for one in progress.over_time
        ),
        note=_INTERVALS,
    )


def _text(estimate: Estimate) -> str:
    return "-" if math.isnan(estimate.value) else estimate.text(2)
