"""Figures of a reader study: ROC curves, the paper's Figure 7, FROC curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.accuracy import DiagnosticAccuracy
from bonescint.mrmc.analysis import ReaderAnalysis
from bonescint.mrmc.covariance import BootstrapFigure
from bonescint.mrmc.endpoints import froc_points
from bonescint.plotting import (
    COLOURS,
    GREY,
    INK,
    LIGHT,
    legend,
    new_axes,
    plain_text,
    save,
    unit_axes,
)
from bonescint.roc import RocCurve
from bonescint.scan import RESEARCH_USE, ParameterError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class AverageRocCurve(NamedTuple):
    """An average of ROC curves.

    Attributes:
        false_positive_rate: float64 (points,), 1 - specificity, never falling.
        sensitivity: float64 (points,), never falling.
    """

    false_positive_rate: NDArray[np.float64]
    sensitivity: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Area under the curve, its points joined by lines."""
        return float(np.trapezoid(self.sensitivity, self.false_positive_rate))


def average_curve(curves: Sequence[RocCurve]) -> AverageRocCurve:
    """The average of curves, whose area is the mean of their areas.

    Averaged along lines of equal `false_positive_rate + sensitivity`, so neither axis is
    preferred: Chen and Samuelson, Br J Radiol 2014;87:20140016.

    Args:
        curves: at least one.

    Raises:
        ParameterError: no curve.

    Examples:
        >>> truth = np.array([0, 0, 1, 1], bool)
        >>> both = [RocCurve.of(np.array(row), truth) for row in ([1.0, 2, 2, 3], [1.0, 2, 3, 4])]
        >>> average_curve(both).area
        0.9375
    """
    if not curves:
        raise ParameterError("curves", "average_curve", "at least one", "none")
    along = [curve.false_positive_rate + curve.sensitivity for curve in curves]
    above = [curve.sensitivity - curve.false_positive_rate for curve in curves]
    grid = np.unique(np.concatenate(along))
    heights = [np.interp(grid, x, y) for x, y in zip(along, above, strict=True)]
    mean = np.mean(heights, axis=0)
    return AverageRocCurve((grid - mean) / 2, (grid + mean) / 2)


_MODEL = "#000000"


def draw_roc(analysis: ReaderAnalysis, path: Path, *, title: str = "") -> Path | None:
    """Draw every reader's ROC curve, the average of each modality, and the model's with its point.

    Args:
        analysis: analysis of a study.
        path: `.png`, `.svg` or `.pdf`.
        title: above the figure.

    Returns:
        The file; `None` where no reader has a curve.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    reads = analysis.reads
    by_modality = [
        [
            RocCurve.of(ratings, reads.truth)
            for ratings in of_readers
            if _both_classes(ratings, reads.truth)
        ]
        for of_readers in reads.ratings
    ]
    if not any(by_modality):
        return None
    figure, axis = new_axes(5.4, 5.6)
    axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.7, linestyle=(0, (4, 4)))
    for number, (modality, curves) in enumerate(zip(reads.modalities, by_modality, strict=True)):
        if not curves:
            continue
        colour = COLOURS[number % len(COLOURS)]
        for curve in curves:
            axis.plot(
                curve.false_positive_rate, curve.sensitivity, color=colour, linewidth=0.8, alpha=0.4
            )
        mean = average_curve(curves)
        name = f"modality {plain_text(modality)}: " if len(reads.modalities) > 1 else ""
        who = f"mean of {len(curves)} readers" if len(curves) > 1 else "1 reader"
        axis.plot(
            mean.false_positive_rate,
            mean.sensitivity,
            color=colour,
            linewidth=2.4,
            label=f"{name}{who}, AUC {mean.area:.3f}",
        )
        style = {"marker": "o", "markersize": 4.5, "color": colour, "markeredgewidth": 0.6}
        _draw_points(axis, analysis, modality, **style)
    _draw_model(axis, analysis)
    unit_axes(axis, "1 - specificity", "Sensitivity")
    axis.set_aspect("equal")
    legend(axis, "lower right")
    return save(figure, path, footer=RESEARCH_USE, title=title)


def _both_classes(ratings: np.ndarray, truth: np.ndarray) -> bool:
    read = ~np.isnan(ratings)
    return bool((read & truth).any() and (read & ~truth).any())


def _draw_points(axis: Axes, analysis: ReaderAnalysis, modality: str, **style: Any) -> None:
    """Draw the known operating points of the readers of a modality, or of the model."""
    for one in analysis.decisions.accuracies:
        if one.modality == modality and one.sensitivity.defined and one.specificity.defined:
            point = 1 - one.specificity.value, one.sensitivity.value
            axis.plot(*point, markeredgecolor="white", linestyle="", **style)


def _draw_model(axis: Axes, analysis: ReaderAnalysis) -> None:
    if analysis.model is None or not _both_classes(analysis.model, analysis.reads.truth):
        return
    curve = RocCurve.of(analysis.model, analysis.reads.truth)
    axis.plot(
        curve.false_positive_rate,
        curve.sensitivity,
        color=_MODEL,
        linewidth=1.8,
        label=f"model, AUC {curve.area:.3f}",
    )
    label = f"model at {analysis.settings.model_at:.3g}"
    _draw_points(axis, analysis, "", marker="D", markersize=7, color=_MODEL, label=label)


def draw_froc(analysis: ReaderAnalysis, path: Path, *, title: str = "") -> Path | None:
    """Draw every reader's FROC curve, where foci were marked.

    Args:
        analysis: analysis of a study.
        path: `.png`, `.svg` or `.pdf`.
        title: above the figure.

    Returns:
        The file; `None` where no foci were marked.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    marked = analysis.marked
    if marked is None:
        return None
    figure, axis = new_axes(5.8, 4.8)
    for number, modality in enumerate(marked.modalities):
        colour, name = COLOURS[number % len(COLOURS)], f"modality {plain_text(modality)}"
        for reader in range(len(marked.readers)):
            points = froc_points(marked, number, reader)
            if points is None or not marked.read[number, reader].any():
                continue
            axis.plot(*points, color=colour, linewidth=1.0, alpha=0.7, label=name)
            axis.plot(points[0][-1], points[1][-1], marker="o", markersize=3.5, color=colour)
            name = "_"  # one entry of the legend per modality
    axis.set(ylim=(0, 1.01), xlabel="False marks per case", ylabel="Share of lesions marked")
    axis.set_xlim(left=0)
    legend(axis, "lower right", title="one line per reader")
    return save(figure, path, footer=RESEARCH_USE, title=title)


def draw_figure_7(analysis: ReaderAnalysis, path: Path, *, title: str = "") -> Path | None:
    """Draw the paper's Figure 7: violins of bootstrapped figures, reading times, F1.

    Ibrahim et al., Cancer Imaging 2023;23:12. A violin is of resampled cases, its line the
    median, its bar the quartiles; boxes are of the logarithm of seconds per case. Panels without
    data are left out.

    Args:
        analysis: analysis of a study.
        path: `.png`, `.svg` or `.pdf`.
        title: above the figure.

    Returns:
        The file; `None` where there is nothing to show.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    shown = _model_first(one for one in analysis.resampled if one.draws.size > 1)
    timed = bool(analysis.times)
    accuracies = _model_first(one for one in analysis.decisions.accuracies if one.f1.defined)
    panels = [bool(shown), timed, bool(accuracies)]
    if not any(panels):
        return None
    widest = max(len(shown), len(analysis.times), len(accuracies))
    height = max(3.2, 1.3 + 0.34 * widest)
    figure, axes = new_axes(1.0 + 3.7 * sum(panels), height, columns=sum(panels))
    left = list(np.atleast_1d(axes))
    if shown:
        _draw_violins(left.pop(0), analysis, shown)
    if timed:
        _draw_times(left.pop(0), analysis)
    if accuracies:
        _draw_f1(left.pop(0), analysis, accuracies)
    return save(figure, path, footer=RESEARCH_USE, title=title)


_Shown = TypeVar("_Shown", BootstrapFigure, DiagnosticAccuracy)


def _model_first(shown: Iterable[_Shown]) -> list[_Shown]:
    return sorted(shown, key=lambda one: bool(one.modality))


def _label(analysis: ReaderAnalysis, who: str, modality: str) -> str:
    several = modality and len(analysis.reads.modalities) > 1
    said = f"{who}, {modality}" if several else who
    return plain_text(said if len(said) <= 24 else said[:23] + "…")


def _colour(analysis: ReaderAnalysis, modality: str) -> str:
    if not modality:
        return _MODEL
    return COLOURS[analysis.reads.modalities.index(modality) % len(COLOURS)]


def _rows(axis: Axes, labels: Sequence[str]) -> None:
    axis.set_yticks(range(1, len(labels) + 1), labels)
    axis.set_ylim(len(labels) + 0.6, 0.4)  # the first on top
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color=LIGHT, linewidth=0.6)
    axis.set_axisbelow(True)


def _draw_violins(axis: Axes, analysis: ReaderAnalysis, shown: Sequence[BootstrapFigure]) -> None:
    for row, one in enumerate(shown, 1):
        colour = _colour(analysis, one.modality)
        lower, median, upper = np.quantile(one.draws, [0.25, 0.5, 0.75])
        if np.ptp(one.draws) > 1e-9:
            parts = axis.violinplot(
                one.draws, positions=[row], orientation="horizontal", widths=0.8, showextrema=False
            )
            for body in parts["bodies"]:  # type: ignore[attr-defined]
                body.set(facecolor=colour, alpha=0.35, edgecolor=colour, linewidth=0.8)
        axis.plot([lower, upper], [row, row], color=colour, linewidth=4, solid_capstyle="butt")
        axis.plot(median, row, marker="|", markersize=11, color="white", markeredgewidth=1.8)
        axis.plot(median, row, marker="|", markersize=9, color=INK, markeredgewidth=1.0)
    _rows(axis, [_label(analysis, one.who, one.modality) for one in shown])
    draws = len(shown[0].draws)
    axis.set_xlabel(
        f"{analysis.figures_of_merit.endpoint}\n{draws} bootstrap samples of the cases", fontsize=9
    )


def _draw_times(axis: Axes, analysis: ReaderAnalysis) -> None:
    reads = analysis.reads
    labels = []
    for row, one in enumerate(analysis.times, 1):
        at = reads.modalities.index(one.modality), reads.readers.index(one.reader)
        seconds = reads.seconds[at]
        known = seconds[~np.isnan(seconds) & (seconds > 0)]
        colour = _colour(analysis, one.modality)
        axis.boxplot(
            known,
            positions=[row],
            orientation="horizontal",
            widths=0.55,
            patch_artist=True,
            boxprops={"facecolor": colour + "44", "edgecolor": colour},
            medianprops={"color": INK, "linewidth": 1.4},
            whiskerprops={"color": colour},
            capprops={"color": colour},
            flierprops={"marker": ".", "markersize": 3, "markeredgecolor": colour},
        )
        labels.append(_label(analysis, one.reader, one.modality))
    axis.set_xscale("log")
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    _rows(axis, labels)
    axis.set_xlabel("Reading time per case (s), logarithmic\nmedian and quartiles", fontsize=9)


def _draw_f1(
    axis: Axes, analysis: ReaderAnalysis, accuracies: Sequence[DiagnosticAccuracy]
) -> None:
    for row, one in enumerate(accuracies, 1):
        colour = _colour(analysis, one.modality)
        axis.plot([one.f1.low, one.f1.high], [row, row], color=colour, linewidth=1.6)
        axis.plot(one.f1.value, row, marker="o", markersize=6, color=colour)
    _rows(axis, [_label(analysis, one.who, one.modality) for one in accuracies])
    level = f"{100 * analysis.settings.level:g} %"
    axis.set_xlabel(f"F1 score\n{level} bootstrap interval", fontsize=9)
