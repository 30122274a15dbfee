"""Pictures of a comparison: maps, landmarks, uptake, spectra, scores. PNG files.

All but the maps need the extra `evaluate` (matplotlib). A is blue and B orange everywhere.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonescint.cohort.compare.characteristics import BANDS, Subject
from bonescint.cohort.compare.maps import HALVES, SIDE, FrameMap
from bonescint.cohort.compare.results import CohortComparison, ComparedCharacteristic
from bonescint.plotting import BLUE, GREY, INK, LIGHT, ORANGE, legend, new_axes, rendered_as
from bonescint.scan import View

COLOURS = {"A": BLUE, "B": ORANGE}
MAPS = {"mean": "mean", "sd": "spread", "asymmetry_sd": "asymmetry"}
"""Maps and how their figures are called."""
OPTIONAL = {"separation", "model"}
"""Figures that not every comparison has."""
_HEIGHT, _WIDTH = 3 * SIDE, 2 * SIDE
"""Of a picture of both views; the frame is three times as high as one view is wide."""
_GAMMA = 0.75
_ABOVE: Mapping[str, Any] = {
    "frameon": False,
    "fontsize": 8,
    "labelcolor": INK,
    "ncols": 2,
    "loc": "lower center",
}
_TOP = 99.9


def draw_figures(found: CohortComparison) -> dict[str, bytes]:
    """Every figure, PNG by the name of its file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    drawn: dict[str, bytes] = {}
    if found.separation is not None:
        drawn["separation"] = _histogram(
            found.separation.scores, "Probability of B that the classifier gives a scan"
        )
    for name, called in MAPS.items():
        first, second = (side.averages.maps.arrays()[name] for side in found.sides)
        top = float(np.percentile(np.maximum(first, second), _TOP)) or 1.0
        drawn[f"{called}_a"], drawn[f"{called}_b"] = grey(first, top), grey(second, top)
        drawn[f"{called}_difference"] = signed(second - first, difference_scale(first, second))
    drawn["landmarks"] = _landmarks(found)
    drawn["uptake"] = _uptake(found)
    drawn["resolution"] = _spectra(found)
    if any(found.scored):
        drawn["model"] = _histogram(
            tuple(np.array(one.probabilities if one else ()) for one in found.scored),
            "Probability of metastatic bone disease",
        )
    return drawn


def difference_scale(first: FrameMap, second: FrameMap) -> float:
    """The difference at which its picture has full colour."""
    return float(np.percentile(np.abs(second - first), _TOP)) or 1.0


def grey(values: FrameMap, top: float) -> bytes:
    """A map in inverted grey, PNG: white is 0, black is `top`."""
    shades = 1 - np.clip(values / top, 0, 1) ** _GAMMA
    return _png(Image.fromarray((255 * shades).astype(np.uint8)))


def signed(values: FrameMap, scale: float) -> bytes:
    """A difference, PNG: white is 0, full blue is `-scale` (A has more), full orange `scale`."""
    share = np.clip(values / scale, -1, 1)[..., None]
    blue, orange = (np.array(_rgb(colour), dtype=np.float32) for colour in (BLUE, ORANGE))
    colour = 255 + np.where(share < 0, blue - 255, orange - 255) * np.abs(share)
    return _png(Image.fromarray(colour.astype(np.uint8)))


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    shown = picture.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
    shown.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _histogram(scores: tuple[NDArray[np.float64], ...], what: str) -> bytes:
    """Shares of the scans of both sides along 0 to 1."""
    figure, axes = new_axes(5.0, 3.0)
    edges = np.linspace(0, 1, 21)
    for letter, values in zip("AB", scores, strict=True):
        if not len(values):
            continue
        height, _ = np.histogram(values, edges)
        height = height / len(values)
        axes.stairs(height, edges, fill=True, alpha=0.35, color=COLOURS[letter], linewidth=0)
        label = f"{letter}, {len(values)} scans"
        axes.stairs(height, edges, color=COLOURS[letter], linewidth=1.6, label=label)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, None)
    axes.set_xlabel(what)
    axes.set_ylabel("Share of the scans")
    axes.legend(**_ABOVE, bbox_to_anchor=(0.5, 1.0))
    return rendered_as(figure, "png")


def _value(
    one: ComparedCharacteristic, side: int
) -> tuple[float | None, tuple[float, float] | None]:
    """What is shown of a side: the median with the 5th and 95th percentile, else the maps'."""
    spread = one.spreads[side]
    if spread is None:
        return one.of_maps[side], None
    return spread.percentiles[2], (spread.percentiles[0], spread.percentiles[-1])


def _landmarks(found: CohortComparison) -> bytes:
    """Both mean anterior views with their landmarks, and lines from one to the other."""
    figure, axes = new_axes(4.8, 5.4)
    half = HALVES[View.ANTERIOR]
    rows = np.arange(SIDE)
    for side, left in ((0, 0.0), (1, 1.6)):
        image = found.sides[side].averages.maps.mean
        body = np.flatnonzero(image.max(axis=1) > 0.1)
        top, bottom = (rows[body[0]], rows[body[-1]] + 1) if body.size else (0, SIDE)
        shown = image[top:bottom, half]
        scale: dict[str, Any] = {"vmin": 0, "vmax": float(shown.max(initial=0)) or 1.0}
        place = (left, left + 1, 1, 0)
        axes.imshow(shown, cmap="Greys", aspect="auto", extent=place, alpha=0.8, **scale)
    for one in found.characteristics:
        if one.kind.subject is not Subject.LANDMARK:
            continue
        (first, _), (second, _) = _value(one, 0), _value(one, 1)
        if first is not None:
            axes.plot([0, 1], [first, first], color=BLUE, linewidth=1.3)
        if second is not None:
            axes.plot([1.6, 2.6], [second, second], color=ORANGE, linewidth=1.3)
            axes.text(2.66, second, one.kind.words, va="center", fontsize=8, color=INK)
        elif first is not None:
            axes.text(1.06, first, one.kind.words, va="center", fontsize=8, color=INK)
        if first is not None and second is not None:
            axes.plot([1, 1.6], [first, second], color=GREY, linewidth=1.0)
    axes.set_xlim(-0.02, 3.4)
    axes.set_ylim(1.0, 0.0)
    axes.set_xticks([0.5, 2.1], ["A", "B"])
    axes.set_ylabel("Share of the body's height, from the crown")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)
    return rendered_as(figure, "png")


def _uptake(found: CohortComparison) -> bytes:
    """Uptake of regions over the lumbar spine: medians and 5th to 95th percentiles."""
    shown = [one for one in found.characteristics if one.kind.subject is Subject.UPTAKE]
    figure, axes = new_axes(5.2, 0.8 + 0.27 * len(shown))
    for place, one in enumerate(shown):
        for side, (letter, shift) in enumerate((("A", -0.16), ("B", 0.16))):
            middle, ends = _value(one, side)
            colour = COLOURS[letter]
            if ends is not None:
                style: dict[str, Any] = {"solid_capstyle": "butt", "alpha": 0.6}
                axes.plot(ends, [place + shift] * 2, color=colour, linewidth=1.6, **style)
            if middle is not None:
                mark = "o" if ends is not None else "D"
                axes.plot(middle, place + shift, mark, color=colour, markersize=4.5)
    axes.set_xscale("log")
    axes.set_xticks([0.05, 0.1, 0.2, 0.5, 1, 2, 5], ["0.05", "0.1", "0.2", "0.5", "1", "2", "5"])
    axes.minorticks_off()
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, 0.02), min(high, 8))
    axes.axvline(1, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(shown)), [one.kind.words for one in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Uptake over that of the lumbar spine")
    axes.grid(axis="x", color=LIGHT, linewidth=0.6)
    axes.set_axisbelow(True)
    for letter, colour in COLOURS.items():
        axes.plot([], [], "o-", color=colour, markersize=4.5, label=letter)
    axes.legend(**_ABOVE, bbox_to_anchor=(0.4, 1.0))
    return rendered_as(figure, "png")


def _spectra(found: CohortComparison) -> bytes:
    """Mean power spectra of both sides."""
    figure, axes = new_axes(4.6, 3.2)
    middles = np.sqrt(np.array(BANDS[:-1]) * np.array(BANDS[1:]))
    drawn = False
    for side in found.sides:
        spectrum: NDArray[Any] = side.averages.spectrum
        if np.isfinite(spectrum).any():
            letter = side.side.letter
            axes.plot(middles, spectrum, "o-", color=COLOURS[letter], markersize=3.5, label=letter)
            drawn = True
    axes.set_xscale("log")
    axes.set_xticks([4, 8, 16, 32, 64, 128], ["4", "8", "16", "32", "64", "128"])
    axes.minorticks_off()
    axes.set_xlabel("Cycles per height of the body")
    axes.set_ylabel("Power of structure (dB)")
    axes.grid(color=LIGHT, linewidth=0.6)
    axes.set_axisbelow(True)
    if drawn:
        legend(axes, "lower left")
    return rendered_as(figure, "png")
