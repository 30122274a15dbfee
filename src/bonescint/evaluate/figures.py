"""Figures of an evaluation, as PNG and SVG. Needs the extra `evaluate` (matplotlib).

Colours are Okabe and Ito's, which colour-blind readers tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.false_evidence import PlaceRow
from bonescint.evaluate.judgement import Calibration, Judgement
from bonescint.evaluate.map_metrics import FreeResponseCurve, HitGroup
from bonescint.evaluate.metrics import Confusion, Measure
from bonescint.evaluate.subgroups import Subgroup
from bonescint.plotting import (
    BLUE,
    GREY,
    INK,
    LIGHT,
    ORANGE,
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


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[
    NDArray[np.float64], NDArray[np.float64]
]:  # fmt: skip
    """A curve with no more points than can be seen; the ends stay."""
    if x.size <= _MOST_POINTS:
        return x, y
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    wanted = np.linspace(0, length[-1], _MOST_POINTS)
    kept = np.unique(np.searchsorted(length, wanted).clip(0, x.size - 1))
    return x[kept], y[kept]


def roc_figure(judgement: Judgement) -> RenderedFigure:
    """The ROC curve with its pointwise interval and the operating point."""
    figure, axes = new_axes(3.8, 3.8)
    curve, band = judgement.curve, judgement.band
    level = round(100 * judgement.resampling.level)
    axes.fill_between(band.at, band.low, band.high, color=BLUE, alpha=0.18, linewidth=0,
                      label=f"{level} % interval, pointwise")  # fmt: skip
    axes.plot(*_thinned(1 - curve.specificity, curve.sensitivity), color=BLUE, linewidth=1.6,
              label=f"AUC {judgement.area.text()}")  # fmt: skip
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    table = judgement.confusion
    axes.plot(table.false_positives / table.negatives, table.true_positives / table.positives,
              "o", color=ORANGE, markersize=7, markeredgecolor="white",
              label="operating point")  # fmt: skip
    unit_axes(axes, "1 - specificity", "Sensitivity")
    legend(axes, "lower right")
    return rendered(figure)


def precision_recall_figure(judgement: Judgement) -> RenderedFigure:
    """Positive predictive value against sensitivity."""
    figure, axes = new_axes(3.8, 3.8)
    curve = judgement.curve
    prevalence = judgement.cases.prevalence
    axes.plot(*_thinned(curve.sensitivity[1:], curve.precision[1:]), color=BLUE, linewidth=1.6,
              label="Model")  # fmt: skip
    axes.axhline(prevalence, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.annotate(f"prevalence {prevalence:.2f}", (0.01, prevalence), xytext=(0, 3),
                  textcoords="offset points", color=GREY, fontsize=9)  # fmt: skip
    table = judgement.confusion
    if table.called:
        axes.plot(table.true_positives / table.positives, table.true_positives / table.called,
                  "o", color=ORANGE, markersize=7, markeredgecolor="white",
                  label="operating point")  # fmt: skip
    unit_axes(axes, "Sensitivity (recall)", "Positive predictive value (precision)")
    legend(axes, "lower left")
    return rendered(figure)


def calibration_figure(
    calibration: Calibration, judgement: Judgement, after: Calibration | None = None
) -> RenderedFigure:
    """Observed against predicted, with the distribution of the probabilities below."""
    figure, axes = new_axes(3.8, 4.6, rows=2, heights=(4, 1))
    above, below = axes
    above.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
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
    for place, word, colour in ((0.98, "with disease", ORANGE), (0.02, "without", BLUE)):
        below.text(0.5, place, word, transform=below.transAxes, ha="center", fontsize=8.5,
                   va="top" if place > 0.5 else "bottom", color=colour)  # fmt: skip
    return rendered(figure)


def _draw_bins(axes: Axes, calibration: Calibration, colour: str, label: str, marker: str) -> None:
    bins = [one for one in calibration.bins if one.observed.defined]
    at = [one.predicted for one in bins]
    observed = np.array([one.observed.value for one in bins])
    below = observed - [one.observed.low for one in bins]
    above = np.array([one.observed.high for one in bins]) - observed
    axes.errorbar(at, observed, yerr=np.clip([below, above], 0, None), fmt=marker, color=colour,
                  markersize=4.5, elinewidth=0.9, label=label)  # fmt: skip
    axes.plot(at, observed, color=colour, linewidth=0.8, alpha=0.6)


def decision_figure(judgement: Judgement) -> RenderedFigure:
    """Net benefit of the model, of calling everybody, and of calling nobody."""
    figure, axes = new_axes(4.2, 3.3)
    curve = judgement.decision
    axes.fill_between(curve.thresholds, curve.low, curve.high, color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(curve.thresholds, curve.model, color=BLUE, linewidth=1.6, label="Model")
    axes.plot(curve.thresholds, curve.everybody, color=ORANGE, linewidth=1.1,
              linestyle=(0, (5, 2)), label="Call every scan positive")  # fmt: skip
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
    counts = np.array(
        [[confusion.true_positives, confusion.false_negatives],
         [confusion.false_positives, confusion.true_negatives]], dtype=float
    )  # fmt: skip
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = (("true positive", "false negative"), ("false positive", "true negative"))
    for row in range(2):
        for column in range(2):
            share = float(rates[row, column])
            right = row == column
            axes.add_patch(_cell(column, row, BLUE if right else ORANGE, share))
            dark = right and share > 0.55
            text = f"{int(counts[row, column])}\n{100 * share:.1f} %"
            axes.text(column + 0.5, row + 0.46, text, ha="center", va="center", fontsize=12,
                      color="white" if dark else INK)  # fmt: skip
            axes.text(column + 0.5, row + 0.86, names[row][column], ha="center", fontsize=8.5,
                      color="white" if dark else INK)  # fmt: skip
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
        panel.axvline(total.value, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
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
            panel.plot(estimate.value, height, "s", color=BLUE, markersize=4.5)
            lows.append(estimate.value)
        low = math.floor(10 * min([*lows, 0.9])) / 10
        panel.set_xlim(max(0.0, low - 0.02), 1.02)
        panel.locator_params(axis="x", nbins=4)
        panel.set_title(title, fontsize=9, color=INK)
        panel.set_ylim(len(lines) - 0.4, -0.6)
        panel.grid(axis="x", color=LIGHT, linewidth=0.6)
        panel.set_axisbelow(True)
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


def control_figure(model: RocCurve, control: RocCurve, labels: tuple[str, str]) -> RenderedFigure:
    """The ROC curves of the model and of the control that never sees the scan."""
    figure, axes = new_axes(3.8, 3.8)
    for curve, colour, label, style in ((model, BLUE, labels[0], "-"),
                                        (control, ORANGE, labels[1], (0, (5, 2)))):  # fmt: skip
        axes.plot(*_thinned(1 - curve.specificity, curve.sensitivity), color=colour,
                  linewidth=1.6, linestyle=style, label=label)  # fmt: skip
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    unit_axes(axes, "1 - specificity", "Sensitivity")
    legend(axes, "lower right")
    return rendered(figure)


_MOST_FALSE = 5.0


def free_response_figure(curve: FreeResponseCurve, at: Sequence[Measure]) -> RenderedFigure:
    """Lesions found against false marks per scan, with intervals at some numbers of marks.

    Args:
        curve: of all scans.
        at: as `free_response_measures` gives them.
    """
    figure, axes = new_axes(4.0, 3.5)
    axes.step(curve.false_marks, curve.found, where="post", color=BLUE, linewidth=1.6)
    limits = [float(one.name.split("_at_")[1].removesuffix("_score")) for one in at]
    for limit, one in zip(limits, at, strict=True):
        if not math.isnan(one.estimate.low):
            axes.plot([limit, limit], [one.estimate.low, one.estimate.high], color=ORANGE,
                      linewidth=1.1)  # fmt: skip
        axes.plot(limit, one.estimate.value, "o", color=ORANGE, markersize=4.5)
    axes.set_xlim(-0.02 * _MOST_FALSE, _MOST_FALSE)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel("False marks per scan")
    axes.set_ylabel(f"Share of {curve.lesions} lesions marked")
    axes.grid(color=LIGHT, linewidth=0.6)
    axes.set_axisbelow(True)
    return rendered(figure)


def hit_rate_figure(groups: Sequence[tuple[str, Sequence[HitGroup]]]) -> RenderedFigure:
    """Hit rates of lesions by contrast and by size.

    Args:
        groups: a name for the axis and the groups, for each panel.
    """
    shown = [(name, found) for name, found in groups if found]
    figure, panels = new_axes(3.1 * max(len(shown), 1) + 0.6, 3.2, columns=max(len(shown), 1))
    for panel, (name, found) in zip(np.atleast_1d(panels), shown, strict=True):
        at = np.arange(len(found))
        for place, group in zip(at, found, strict=True):
            if not group.rate.defined:
                continue
            if not math.isnan(group.rate.low):
                panel.plot([place, place], [group.rate.low, group.rate.high], color=BLUE,
                           linewidth=1.2)  # fmt: skip
            panel.plot(place, group.rate.value, "s", color=BLUE, markersize=6)
        panel.set_xticks(at, [f"{g.name.replace(' to ', chr(10) + 'to ')}\nn = {g.lesions}"
                              for g in found])  # fmt: skip
        panel.set_xlim(-0.5, len(found) - 0.5)
        panel.set_ylim(-0.02, 1.02)
        panel.set_xlabel(name)
        panel.set_ylabel("Share of lesions hit")
        panel.grid(axis="y", color=LIGHT, linewidth=0.6)
        panel.set_axisbelow(True)
    return rendered(figure)


def places_figure(rows: Sequence[PlaceRow]) -> RenderedFigure:
    """Where the evidence of false positives lies, beside what an aimless map would score."""
    figure, axes = new_axes(6.6, 0.9 + 0.26 * len(rows))
    heights = np.arange(len(rows), dtype=float)
    for height, row in zip(heights, rows, strict=True):
        axes.barh(height, row.evidence.value, height=0.5, color=BLUE, linewidth=0)
        if not math.isnan(row.evidence.low):
            axes.plot([row.evidence.low, row.evidence.high], [height, height], color=INK,
                      linewidth=0.9)  # fmt: skip
        axes.plot(row.area, height, "|", color=ORANGE, markersize=13, markeredgewidth=2)
        axes.plot(row.highest.value, height, "o", color="white", markeredgecolor=INK,
                  markersize=5.5)  # fmt: skip
    axes.set_yticks(heights, [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, None)
    axes.set_xlabel("Share")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=LIGHT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.barh(-5, 0, color=BLUE, label="of the evidence (interval)")
    axes.plot([], [], "|", color=ORANGE, markersize=11, markeredgewidth=2,
              label="of the image: a random map")  # fmt: skip
    axes.plot([], [], "o", color="white", markeredgecolor=INK, markersize=5.5,
              label="of scans with their highest evidence there")  # fmt: skip
    axes.spines["bottom"].set_color(GREY)
    legend(axes, "lower right")
    return rendered(figure)
