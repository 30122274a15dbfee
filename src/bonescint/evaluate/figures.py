"""Figures of an evaluation, as PNG and SVG. Needs the extra `evaluate` (matplotlib)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.agreement import MeasuredPair
from bonescint.evaluate.false_evidence import PlaceRow
from bonescint.evaluate.judgement import Calibration, Judgement
from bonescint.evaluate.map_metrics import FreeResponseCurve, HitGroup
from bonescint.evaluate.metrics import Confusion, Measure, measure_named
from bonescint.evaluate.subgroups import Subgroup
from bonescint.intervals import Estimate
from bonescint.plotting import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT,
    ORANGE,
    PINK,
    RenderedFigure,
    legend,
    new_axes,
    rendered,
    unit_axes,
)
from bonescint.roc import RocCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS = 1500
_MOST_FALSE = 5.0
_DASHED: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (4, 3))}
_BAND: dict[str, Any] = {"color": BLUE, "alpha": 0.18, "linewidth": 0}
_POINT: dict[str, Any] = {
    "color": ORANGE,
    "markersize": 7,
    "markeredgecolor": "white",
    "label": "operating point",
}
_STYLES: tuple[tuple[str, Any], ...] = (
    (BLUE, "-"),
    (ORANGE, (0, (5, 2))),
    (GREEN, "-."),
    (PINK, ":"),
    (INK, (0, (5, 1, 1, 1))),
)


def _draw_curve(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], label: str, **style: Any
) -> None:
    """Draw a curve with no more points than can be seen; its ends stay."""
    if x.size > _MOST_POINTS:
        length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        wanted = np.linspace(0, length[-1], _MOST_POINTS)
        kept = np.unique(np.searchsorted(length, wanted).clip(0, x.size - 1))
        x, y = x[kept], y[kept]
    axes.plot(x, y, **{"color": BLUE, "linewidth": 1.6, **style}, label=label)


def _draw_roc(axes: Axes, curve: RocCurve, label: str, **style: Any) -> None:
    _draw_curve(axes, 1 - curve.specificity, curve.sensitivity, label, **style)


def _finish_roc(axes: Axes) -> None:
    unit_axes(axes, "1 - specificity", "Sensitivity")
    legend(axes, "lower right")


def _vertical_interval(axes: Axes, at: float, estimate: Estimate, **style: Any) -> None:
    """Draw the interval of an estimate, if it has one."""
    if not math.isnan(estimate.low):
        axes.plot([at, at], [estimate.low, estimate.high], **style)


def _grid(axes: Axes, **which: Any) -> None:
    axes.grid(**which, color=LIGHT, linewidth=0.6)
    axes.set_axisbelow(True)


def roc_figure(judgement: Judgement) -> RenderedFigure:
    """The ROC curve with its pointwise interval and the operating point."""
    figure, axes = new_axes(3.8, 3.8)
    band, table = judgement.band, judgement.confusion
    level = f"{round(100 * judgement.resampling.level)} % interval, pointwise"
    axes.fill_between(band.at, band.low, band.high, **_BAND, label=level)
    _draw_roc(axes, judgement.curve, f"AUC {judgement.area.text()}")
    axes.plot([0, 1], [0, 1], **_DASHED)
    false_positive_rate = table.false_positives / table.negatives
    axes.plot(false_positive_rate, table.true_positives / table.positives, "o", **_POINT)
    _finish_roc(axes)
    return rendered(figure)


def precision_recall_figure(judgement: Judgement) -> RenderedFigure:
    """Positive predictive value against sensitivity."""
    figure, axes = new_axes(3.8, 3.8)
    curve, table, prevalence = judgement.curve, judgement.confusion, judgement.cases.prevalence
    _draw_curve(axes, curve.sensitivity[1:], curve.precision[1:], "Model")
    axes.axhline(prevalence, **_DASHED)
    axes.annotate(
        f"prevalence {prevalence:.2f}",
        (0.01, prevalence),
        xytext=(0, 3),
        textcoords="offset points",
        color=GREY,
        fontsize=9,
    )
    if table.called:
        precision = table.true_positives / table.called
        axes.plot(table.true_positives / table.positives, precision, "o", **_POINT)
    unit_axes(axes, "Sensitivity (recall)", "Positive predictive value (precision)")
    legend(axes, "lower left")
    return rendered(figure)


def calibration_figure(
    calibration: Calibration, judgement: Judgement, after: Calibration | None = None
) -> RenderedFigure:
    """Observed against predicted, with the distribution of the probabilities below."""
    figure, axes = new_axes(3.8, 4.6, rows=2, heights=(4, 1))
    above, below = axes
    above.plot([0, 1], [0, 1], **_DASHED)
    _draw_bins(above, calibration, BLUE, "as predicted", "o")
    if after is not None:
        _draw_bins(above, after, ORANGE, "after a fit on validation", "s")
    unit_axes(above, "", "Observed share with disease")
    legend(above, "upper left")
    scores, truth = judgement.cases.scores, judgement.cases.positive
    edges = np.linspace(0, 1, 41)
    for members, colour, sign in ((truth, ORANGE, 1), (~truth, BLUE, -1)):
        count, _ = np.histogram(scores[members], edges)
        below.bar(edges[:-1], sign * count, width=0.025, align="edge", color=colour, linewidth=0)
    below.axhline(0, color=INK, linewidth=0.6)
    below.set_xlim(-0.01, 1.01)
    below.set_xlabel("Predicted probability of disease")
    below.set_yticks([])
    below.set_ylabel("scans", color=GREY)
    words = {"transform": below.transAxes, "ha": "center", "fontsize": 8.5}
    below.text(0.5, 0.98, "with disease", va="top", color=ORANGE, **words)
    below.text(0.5, 0.02, "without", va="bottom", color=BLUE, **words)
    return rendered(figure)


def _draw_bins(axes: Axes, calibration: Calibration, colour: str, label: str, marker: str) -> None:
    bins = [one for one in calibration.bins if one.observed.defined]
    at = [one.predicted for one in bins]
    observed = np.array([one.observed.value for one in bins])
    below = observed - [one.observed.low for one in bins]
    above = np.array([one.observed.high for one in bins]) - observed
    ends = np.clip([below, above], 0, None)
    style: dict[str, Any] = {"fmt": marker, "markersize": 4.5, "elinewidth": 0.9}
    axes.errorbar(at, observed, yerr=ends, color=colour, label=label, **style)
    axes.plot(at, observed, color=colour, linewidth=0.8, alpha=0.6)


def decision_figure(judgement: Judgement) -> RenderedFigure:
    """Net benefit of the model, of calling everybody, and of calling nobody."""
    figure, axes = new_axes(4.2, 3.3)
    curve = judgement.decision
    axes.fill_between(curve.thresholds, curve.low, curve.high, **_BAND)
    axes.plot(curve.thresholds, curve.model, color=BLUE, linewidth=1.6, label="Model")
    all_called: dict[str, Any] = {"linestyle": (0, (5, 2)), "label": "Call every scan positive"}
    axes.plot(curve.thresholds, curve.everybody, color=ORANGE, linewidth=1.1, **all_called)
    axes.axhline(0, color=GREY, linewidth=0.9, label="Call no scan positive")
    top = max(judgement.cases.prevalence, float(curve.high[: curve.high.size // 2].max()))
    axes.set_ylim(-0.15 * top, 1.15 * top)
    axes.set_xlim(0, 1)
    axes.set_xlabel("Threshold probability")
    axes.set_ylabel("Net benefit (true positives per scan)")
    legend(axes, "upper right")
    return rendered(figure)


def confusion_figure(confusion: Confusion) -> RenderedFigure:
    """Counts and row shares of the 2 x 2 table."""
    figure, axes = new_axes(3.7, 3.2)
    hits, misses = confusion.true_positives, confusion.false_negatives
    false, right = confusion.false_positives, confusion.true_negatives
    rows = (
        (("true positive", hits), ("false negative", misses)),
        (("false positive", false), ("true negative", right)),
    )
    for row, cells in enumerate(rows):
        total = max(sum(count for _, count in cells), 1)
        for column, (name, count) in enumerate(cells):
            correct, share = row == column, count / total
            axes.add_patch(_cell(column, row, BLUE if correct else ORANGE, share))
            colour = "white" if correct and share > 0.55 else INK
            said = f"{count}\n{100 * share:.1f} %"
            at = column + 0.5
            axes.text(at, row + 0.46, said, ha="center", va="center", fontsize=12, color=colour)
            axes.text(at, row + 0.86, name, ha="center", fontsize=8.5, color=colour)
    axes.set_xlim(0, 2)
    axes.set_ylim(2, 0)
    axes.set_xticks([0.5, 1.5], ["called positive", "called negative"])
    axes.set_yticks([0.5, 1.5], ["with\ndisease", "without\ndisease"])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return rendered(figure)


def _cell(column: int, row: int, colour: str, share: float) -> object:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    part = 0.08 + 0.85 * share
    mixed = tuple(1 - part * (1 - channel) for channel in to_rgb(colour))
    return Rectangle((column + 0.02, row + 0.02), 0.96, 0.96, facecolor=mixed, linewidth=0)


def subgroups_figure(found: Sequence[Subgroup], overall: Judgement) -> RenderedFigure:
    """Forest of area, sensitivity and specificity by subgroup."""
    lines = _forest_lines(found)
    # As wide as the text of a page: on paper its letters have the size that they have here.
    figure, axes = new_axes(6.8, 0.75 + 0.17 * len(lines), columns=3)
    heights = np.arange(len(lines), dtype=float)
    figures = ("Area under\nthe ROC curve", "Sensitivity", "Specificity")
    whole = (overall.area, overall.at_point[0].estimate, overall.at_point[1].estimate)
    for column, (panel, title, total) in enumerate(zip(axes, figures, whole, strict=True)):
        panel.axvline(total.value, **_DASHED)
        lows = []
        for height, (_, one) in zip(heights, lines, strict=True):
            if one is None:
                continue
            estimate = (one.area, one.sensitivity, one.specificity)[column]
            if not estimate.defined:
                panel.text(1.0, height, "-", ha="right", va="center", color=GREY)
                continue
            ends = [estimate.low, estimate.high]
            if not math.isnan(ends[0]):
                panel.plot(ends, [height, height], color=BLUE, linewidth=1.1)
                lows.append(ends[0])
            panel.plot(estimate.value, height, "s", color=BLUE, markersize=4.5, clip_on=False)
            lows.append(estimate.value)
        low = math.floor(10 * min([*lows, 0.9])) / 10
        panel.set_xlim(max(0.0, low - 0.02), 1.02)
        panel.locator_params(axis="x", nbins=4)
        panel.set_title(title, fontsize=9, color=INK)
        panel.set_ylim(len(lines) - 0.4, -0.6)
        _grid(panel, axis="x")
        panel.tick_params(axis="y", length=0)
        panel.spines["left"].set_visible(False)
        panel.set_yticks(heights, [""] * len(lines))
    axes[0].set_yticks(heights, [text for text, _ in lines])
    for label, (_, one) in zip(axes[0].get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if one is None else "normal")
    return rendered(figure)


def _forest_lines(found: Sequence[Subgroup]) -> list[tuple[str, Subgroup | None]]:
    lines: list[tuple[str, Subgroup | None]] = []
    factor = ""
    for one in found:
        if one.factor != factor:
            lines.append((one.factor, None))
            factor = one.factor
        lines.append((f"{one.level}  ({one.positives} / {one.negatives})", one))
    return lines


def roc_curves_figure(
    curves: Mapping[str, RocCurve], points: Sequence[tuple[float, float]] = ()
) -> RenderedFigure:
    """Several ROC curves on one pair of axes.

    Args:
        curves: by their labels.
        points: operating point of each, (1 - specificity, sensitivity); none are drawn if empty.
    """
    figure, axes = new_axes(3.8, 3.8)
    for number, (label, curve) in enumerate(curves.items()):
        colour, dashes = _STYLES[number % len(_STYLES)]
        _draw_roc(axes, curve, label, color=colour, linestyle=dashes)
        if points:
            axes.plot(*points[number], "o", color=colour, markersize=5)
    axes.plot([0, 1], [0, 1], **_DASHED)
    _finish_roc(axes)
    return rendered(figure)


def free_response_figure(curve: FreeResponseCurve, at: Sequence[Measure]) -> RenderedFigure:
    """Lesions found against false marks per scan, with intervals at some numbers of marks.

    Args:
        curve: curve of all scans.
        at: as `free_response_measures` gives them.
    """
    figure, axes = new_axes(4.0, 3.5)
    axes.step(curve.false_marks, curve.found, where="post", color=BLUE, linewidth=1.6)
    for one in at:
        limit = float(one.name.split("_at_")[1].removesuffix("_score"))
        _vertical_interval(axes, limit, one.estimate, color=ORANGE, linewidth=1.1)
        axes.plot(limit, one.estimate.value, "o", color=ORANGE, markersize=4.5)
    axes.set_xlim(-0.02 * _MOST_FALSE, _MOST_FALSE)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel("False marks per scan")
    axes.set_ylabel(f"Share of {curve.lesions} lesions marked")
    _grid(axes)
    return rendered(figure)


def hit_rate_figure(groups: Sequence[tuple[str, Sequence[HitGroup]]]) -> RenderedFigure:
    """Hit rates of lesions by contrast and by size.

    Args:
        groups: a name for the axis and the groups, for each panel.
    """
    shown = [(name, found) for name, found in groups if found]
    figure, panels = new_axes(3.1 * max(len(shown), 1) + 0.6, 3.2, columns=max(len(shown), 1))
    for panel, (name, found) in zip(np.atleast_1d(panels), shown, strict=True):
        for place, group in enumerate(found):
            if group.rate.defined:
                _vertical_interval(panel, place, group.rate, color=BLUE, linewidth=1.2)
                panel.plot(place, group.rate.value, "s", color=BLUE, markersize=6)
        names = [group.name.replace(" to ", "\nto ") for group in found]
        labels = [f"{said}\nn = {one.lesions}" for said, one in zip(names, found, strict=True)]
        panel.set_xticks(range(len(found)), labels)
        panel.set_xlim(-0.5, len(found) - 0.5)
        panel.set_ylim(-0.02, 1.02)
        panel.set_xlabel(name)
        panel.set_ylabel("Share of lesions hit")
        _grid(panel, axis="y")
    return rendered(figure)


def agreement_figure(
    pairs: Sequence[MeasuredPair], measures: Sequence[Measure], *, quantity: str
) -> RenderedFigure:
    """Measured against reference, and their difference against their mean (Bland and Altman 1986).

    Args:
        pairs: of all scans.
        measures: as `agreement_measures` gives them.
        quantity: what is measured, with its unit.
    """
    figure, (left, right) = new_axes(6.8, 3.3, columns=2)
    reference = np.array([one.reference for one in pairs])
    measured = np.array([one.measured for one in pairs])
    points: dict[str, Any] = {"color": BLUE, "markersize": 3.5, "alpha": 0.7}
    most = 1.05 * float(max(reference.max(), measured.max(), 1e-6))
    left.plot([0, most], [0, most], **_DASHED)
    for one in pairs:
        if not math.isnan(one.low):
            ends = [one.low, min(one.high, 2 * most)]
            left.plot([one.reference] * 2, ends, color=BLUE, linewidth=0.6, alpha=0.4)
    left.plot(reference, measured, "o", **points)
    left.set_xlim(-0.02 * most, most)
    left.set_ylim(-0.02 * most, most)
    left.set_xlabel(f"Reference, {quantity}")
    left.set_ylabel(f"Measured, {quantity}")
    right.plot((reference + measured) / 2, measured - reference, "o", **points)
    for name, style in (
        ("bias", {"color": ORANGE, "linewidth": 1.2}),
        ("lower_limit", {**_DASHED, "color": ORANGE}),
        ("upper_limit", {**_DASHED, "color": ORANGE}),
    ):
        value = measure_named(tuple(measures), name).estimate.value
        right.axhline(value, **style)
        label = {"xy": (1, value), "xycoords": ("axes fraction", "data"), "ha": "right"}
        right.annotate(f"{value:+.2f}", **label, va="bottom", color=ORANGE, fontsize=8.5)
    right.set_xlabel(f"Mean of both, {quantity}")
    right.set_ylabel("Measured minus reference")
    for panel in (left, right):
        _grid(panel)
    return rendered(figure)


def places_figure(rows: Sequence[PlaceRow]) -> RenderedFigure:
    """Where the evidence of false positives lies, with what a map without aim would score."""
    figure, axes = new_axes(6.6, 0.9 + 0.26 * len(rows))
    by_chance: dict[str, Any] = {"color": ORANGE, "markeredgewidth": 2}
    highest: dict[str, Any] = {"color": "white", "markeredgecolor": INK, "markersize": 5.5}
    for height, row in enumerate(rows):
        axes.barh(height, row.evidence.value, height=0.5, color=BLUE, linewidth=0)
        if not math.isnan(row.evidence.low):
            ends = [row.evidence.low, row.evidence.high]
            axes.plot(ends, [height, height], color=INK, linewidth=0.9)
        axes.plot(row.area, height, "|", **by_chance, markersize=13)
        axes.plot(row.highest.value, height, "o", **highest)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, None)
    axes.set_xlabel("Share")
    axes.tick_params(axis="y", length=0)
    _grid(axes, axis="x")
    axes.barh(-5, 0, color=BLUE, label="of the evidence (interval)")
    axes.plot([], [], "|", **by_chance, markersize=11, label="of the image: a random map")
    axes.plot([], [], "o", **highest, label="of scans with their highest evidence there")
    axes.spines["bottom"].set_color(GREY)
    legend(axes, "lower right")
    return rendered(figure)
