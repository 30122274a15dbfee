"""Figures of what maps are worth: free response, lesions hit, where false evidence lies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bonescint.evaluate.canvas import (
    BLUE,
    GREY,
    INK,
    LIGHT,
    ORANGE,
    Picture,
    legend,
    new_axes,
    rendered,
)
from bonescint.evaluate.false_evidence import PlaceRow
from bonescint.evaluate.localised import FreeResponseCurve, HitGroup
from bonescint.evaluate.measure import Measure

_MOST_FALSE = 5.0


def free_response_figure(curve: FreeResponseCurve, at: Sequence[Measure]) -> Picture:
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


def hit_rate_figure(groups: Sequence[tuple[str, Sequence[HitGroup]]]) -> Picture:
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


def places_figure(rows: Sequence[PlaceRow]) -> Picture:
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
