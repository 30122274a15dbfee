"""Figures of an experiment: ROC curves of all models, flow of scans, pictures of calls."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint.cohort import Manifest, truth_of
from bonescint.experiment.evaluation.data import MappedScan, scan_at_hand
from bonescint.explain import explain
from bonescint.files import make_folder
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
from bonescint.report.document_page import PageFigure
from bonescint.scan import Case

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 880
PANELS = "From left: anterior, posterior, and both with the evidence overlaid."
_COLOURS = (BLUE, ORANGE, GREEN, PINK, INK)
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))


@dataclass(frozen=True, slots=True)
class FigureWriter:
    """Where figures are kept as PNG and SVG.

    Attributes:
        folder: made if it is not there.
    """

    folder: Path

    def figure(
        self, name: str, picture: RenderedFigure, caption: str, *, wide: bool = False
    ) -> PageFigure:
        """Write both files, and give what goes into the page.

        Args:
            name: of the files.
            picture: drawn.
            caption: below it; it also says what is shown to those who do not see it.
            wide: whether it takes the page's whole width.

        Raises:
            OutputError: they cannot be written.

        Examples:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     kept = FigureWriter(Path(folder) / "figures")
            ...     shown = kept.figure("roc", RenderedFigure(png=b"a", svg=b"b"), "ROC curves.")
            ...     shown.content, sorted(file.name for file in kept.folder.iterdir())
            (b'b', ['roc.png', 'roc.svg'])
        """
        make_folder(self.folder)
        picture.write(self.folder, name)
        return PageFigure(caption=caption, content=picture.svg, wide=wide)


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
            boxed_text(axes, (x, -level), text)
            for above in row.come_from[number]:
                start = _middle(above, len(rows[level - 1].boxes))
                arrow(axes, (start, -level + 0.73), (x, -level + 0.27))
    return rendered(figure)


def boxed_text(
    axes: Axes,
    place: tuple[float, float],
    text: str,
    *,
    size: float = 8,
    pad: float = 0.45,
    edge: str = GREY,
    width: float = 0.8,
) -> None:
    """A text in a white box with round corners, in the middle of a place."""
    box = {"boxstyle": f"round,pad={pad}", "facecolor": "white", "edgecolor": edge}
    look: Any = {"fontsize": size, "color": INK, "bbox": box | {"linewidth": width}}
    axes.text(*place, text, ha="center", va="center", **look)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], **placed: Any) -> None:
    """A thin arrow."""
    shape = {"arrowstyle": "-|>", "color": GREY, "linewidth": 0.8}
    axes.annotate("", xy=end, xytext=start, arrowprops=shape, **placed)


def _middle(number: int, count: int) -> float:
    """Where a box stands, beside the titles on the left."""
    return 0.18 + 0.82 / count * (number + 0.5)


def drawable(threshold: float) -> float | None:
    """A threshold above every score has no place on a scale from 0 to 1."""
    return threshold if math.isfinite(threshold) else None


def drawn_calls(
    manifest: Manifest,
    calls: Iterable[tuple[Case, float]],
    maps: Mapping[str, MappedScan],
    threshold: float,
    *,
    outlined: bool = False,
) -> Iterator[tuple[Case, float, bytes]]:
    """Pictures of scans whose files are at hand, as WebP.

    Args:
        manifest: the cohort.
        calls: cases that have a map, with their probabilities.
        maps: by scan.
        threshold: probability from which a scan is called positive.
        outlined: draw the outlines of lesions where the truth is known.

    Raises:
        InputError: a truth or a mask that cannot be read.
    """
    for case, probability in calls:
        mapped = maps[case.scan_id].with_answer(probability, positive=probability >= threshold)
        scan = scan_at_hand(manifest, case, mapped)
        if scan is not None:
            truth = truth_of(manifest, case) if outlined and case.positive else None
            shown = explain(
                scan,
                mapped.prediction,
                operating_point=drawable(threshold),
                lesions=None if truth is None else truth.masks,
            )
            yield case, probability, shown.thumbnail_webp(width=WIDTH, quality=80)
