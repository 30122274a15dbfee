"""Figures of a whole study: the flow of scans, and the ROC curves of all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bonescint.evaluate.canvas import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PINK,
    Picture,
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
) -> Picture:
    """ROC curves of several models on one pair of axes.

    Args:
        curves: by model, (1 - specificity, sensitivity) along the curve.
        labels: by model, for the legend.
        points: by model, the operating point on the same axes.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, axes = new_axes(4.6, 4.4)
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


def flow_figure(boxes: Sequence[tuple[str, Sequence[str]]]) -> Picture:
    """A flow of scans from top to bottom, as STARD asks for.

    Args:
        boxes: a row each: what the scans go through, and what stands in the boxes side by side.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    height = 0.95 * len(boxes)
    figure, axes = new_axes(7.6, height)
    axes.set_xlim(0, 1)
    axes.set_ylim(-len(boxes) + 0.5, 0.5)
    axes.axis("off")
    for row, (title, texts) in enumerate(boxes):
        axes.text(0.0, -row, title, va="center", ha="left", fontsize=8, color=GREY)
        width = 0.82 / len(texts)
        for number, text in enumerate(texts):
            x = 0.18 + width * (number + 0.5)
            axes.text(
                x, -row, text, va="center", ha="center", fontsize=8, color=INK,
                bbox={"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": GREY,
                      "linewidth": 0.8},
            )  # fmt: skip
        if row:
            above = boxes[row - 1][1]
            for number in range(len(texts)):
                x = 0.18 + width * (number + 0.5)
                parent = min(number * len(above) // len(texts), len(above) - 1)
                start = 0.18 + 0.82 / len(above) * (parent + 0.5)
                axes.annotate(
                    "", xy=(x, -row + 0.27), xytext=(start, -row + 0.73),
                    arrowprops={"arrowstyle": "-|>", "color": GREY,
                                "linewidth": 0.8},
                )  # fmt: skip
    return rendered(figure)
