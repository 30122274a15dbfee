"""Figures of a whole study: the flow of scans, and the ROC curves of all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bonescint.plotting import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PINK,
    RenderedFigure,
    legend,
    new_axes,
    rendered,
    unit_axes,
)

_COLOURS = (BLUE, ORANGE, GREEN, PINK, INK)
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))


def curves_figure(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    labels: Mapping[str, str],
    points: Mapping[str, tuple[float, float]],
) -> RenderedFigure:
    """ROC curves of several models on one pair of axes.

    Args:
        curves: by model, (1 - specificity, sensitivity) along the curve.
        labels: by model, for the legend.
        points: by model, the operating point on the same axes.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, axes = new_axes(3.8, 3.8)
    unit_axes(axes, "1 - specificity", "Sensitivity")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.7, linestyle=":")
    for number, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        x, y = zip(*curve, strict=True)
        dashes = _DASHES[number % len(_DASHES)]
        axes.plot(x, y, color=colour, linewidth=1.6, linestyle=dashes, label=labels[name])
        if name in points:
            axes.plot(*points[name], marker="o", color=colour, markersize=5)
    legend(axes, "lower right")
    return rendered(figure)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRow:
    """One level of a flow of scans.

    Attributes:
        title: what the scans go through.
        boxes: text of each box, side by side.
        come_from: for each box the numbers of the boxes above that its scans come from.
    """

    title: str
    boxes: tuple[str, ...]
    come_from: tuple[tuple[int, ...], ...]


def flow_figure(rows: Sequence[FlowRow], *, width: float = 7.6) -> RenderedFigure:
    """A flow of scans from top to bottom, as STARD asks for.

    Args:
        rows: the levels; boxes of the first come from nowhere.
        width: in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, axes = new_axes(width, 0.95 * len(rows))
    axes.set_xlim(0, 1)
    axes.set_ylim(-len(rows) + 0.5, 0.5)
    axes.axis("off")
    for level, row in enumerate(rows):
        axes.text(0.0, -level, row.title, va="center", ha="left", fontsize=8, color=GREY)
        for number, text in enumerate(row.boxes):
            x = _middle(number, len(row.boxes))
            axes.text(
                x, -level, text, va="center", ha="center", fontsize=8, color=INK,
                bbox={"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": GREY,
                      "linewidth": 0.8},
            )  # fmt: skip
            for above in row.come_from[number]:
                start = _middle(above, len(rows[level - 1].boxes))
                axes.annotate(
                    "", xy=(x, -level + 0.27), xytext=(start, -level + 0.73),
                    arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 0.8},
                )  # fmt: skip
    return rendered(figure)


def _middle(number: int, count: int) -> float:
    """Where a box stands, beside the titles on the left."""
    return 0.18 + 0.82 / count * (number + 0.5)
