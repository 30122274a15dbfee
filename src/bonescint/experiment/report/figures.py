"""Figures of an experiment: ROC curves, flow of scans, calls, inputs and networks.

Those of inputs and networks are the paper's Figures 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bonescint.cohort import Manifest, truth_of
from bonescint.dicom import read
from bonescint.experiment.evaluation.data import MappedScan, scan_at_hand
from bonescint.explain import explain
from bonescint.files import make_folder
from bonescint.model import ModelFolder
from bonescint.plotting import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RenderedFigure,
    new_axes,
    rendered,
)
from bonescint.prepare import prepare
from bonescint.report.document_page import PageFigure
from bonescint.scan import Case, Split

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 880
PANELS = "From left: anterior, posterior, and both with the evidence overlaid."


@dataclass(frozen=True, slots=True)
class FigureWriter:
    """Writes figures as PNG and SVG.

    Attributes:
        folder: the folder to write to; made if missing.
    """

    folder: Path

    def figure(
        self, name: str, picture: RenderedFigure, caption: str, *, wide: bool = False
    ) -> PageFigure:
        """Write a figure as PNG and SVG, and return it for the page.

        Args:
            name: name of the files, without a suffix.
            picture: the rendered figure.
            caption: caption, which is also the alternative text.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRow:
    """One level of a flow of scans.

    Attributes:
        title: name of the level, such as the split or the index test.
        boxes: text of each box, side by side.
        come_from: for each box, indices of the boxes above that its scans come from.
    """

    title: str
    boxes: tuple[str, ...]
    come_from: tuple[tuple[int, ...], ...]


def flow_figure(rows: Sequence[FlowRow], *, width: float = 7.6) -> RenderedFigure:
    """A flow diagram of scans from top to bottom, as STARD asks for.

    Args:
        rows: the levels; those of the first have an empty `come_from`.
        width: width in inches.

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
    """Draw a text in a white box with round corners, centred at a point."""
    box = {"boxstyle": f"round,pad={pad}", "facecolor": "white", "edgecolor": edge}
    look: Any = {"fontsize": size, "color": INK, "bbox": box | {"linewidth": width}}
    axes.text(*place, text, ha="center", va="center", **look)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], **placed: Any) -> None:
    """Draw a thin arrow."""
    shape = {"arrowstyle": "-|>", "color": GREY, "linewidth": 0.8}
    axes.annotate("", xy=end, xytext=start, arrowprops=shape, **placed)


def _middle(number: int, count: int) -> float:
    """Horizontal position of a box, beside the titles on the left."""
    return 0.18 + 0.82 / count * (number + 0.5)


def drawable(threshold: float) -> float | None:
    """The threshold, or `None` if it is above every score and so not on a scale from 0 to 1."""
    return threshold if math.isfinite(threshold) else None


def drawn_calls(
    manifest: Manifest,
    calls: Iterable[tuple[Case, float]],
    maps: Mapping[str, MappedScan],
    threshold: float,
    *,
    outlined: bool = False,
) -> Iterator[tuple[Case, float, bytes]]:
    """Pictures of scans whose files are available, as WebP.

    Args:
        manifest: the cohort.
        calls: cases that have a map, with their probabilities.
        maps: maps by scan.
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


_REPEATS = (2, 2, 3, 3, 3)


def input_figures(
    cards: Mapping[str, ModelFolder], cohort: Manifest
) -> Iterator[tuple[str, RenderedFigure]]:
    """A caption and a picture of prepared scans for every preprocessing.

    The first positive and the first negative validation scan are shown.

    Args:
        cards: the model folders of an experiment.
        cohort: cohort of the experiment.

    Raises:
        InputError: a scan that cannot be read.
        MissingExtraError: matplotlib is not installed.
    """
    cases = [_first(cohort, positive=True), _first(cohort, positive=False)]
    # Models of one preprocessing may read it at different sizes.
    for preprocessing in dict.fromkeys(folder.card.preprocessing for folder in cards.values()):
        figure, panels = new_axes(5.4, 2.9, columns=2)
        for axes, case in zip(panels, cases, strict=True):
            composite = prepare(read(cohort.path(case)), preprocessing).composite[0]
            axes.imshow(composite, cmap="gray_r", vmin=0, vmax=1, interpolation="antialiased")
            axes.set_axis_off()
            words = "with disease" if case.positive else "without disease"
            axes.set_title(words, fontsize=8, color=INK)
        users = ", ".join(
            name for name, folder in cards.items() if folder.card.preprocessing == preprocessing
        )
        rows, columns = composite.shape
        caption = (
            f"Prepared scans, {rows} x {columns} pixels, AP left and PA right, preprocessing "
            f"{preprocessing.identifier} ({users})."
        )
        yield caption, rendered(figure)


def _first(cohort: Manifest, *, positive: bool) -> Case:
    return next(case for case in cohort.split(Split.VALIDATION) if case.positive == positive)


def architecture_figures(cards: Mapping[str, ModelFolder]) -> Iterator[tuple[str, RenderedFigure]]:
    """A caption and a picture for every network that bonescint trained.

    Args:
        cards: the model folders of an experiment.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    drawn: dict[str, list[str]] = {}
    parts: dict[str, list[tuple[str, str]]] = {}
    for name, folder in cards.items():
        settings = folder.card.training.settings
        network = _NETWORKS.get(str(settings.get("network")))
        if network is None or "shape" not in settings:
            continue
        rows, columns = folder.card.preprocessing.rows, 2 * folder.card.preprocessing.columns
        boxes = [("input", f"{rows} x {columns}\nx {network.channels}")]
        boxes += network.blocks(settings["shape"], rows, columns)
        boxes += network.head(settings["shape"], rows, columns)
        key = repr(boxes)
        drawn.setdefault(key, []).append(name)
        parts[key] = boxes
    for key, names in drawn.items():
        caption = (
            f"Network of {', '.join(names)}. Each convolution is 3 x 3 unless stated otherwise "
            f"and is followed by ReLU; x: number of repetitions in a block."
        )
        yield caption, _boxes_in_a_row(parts[key])


def _trunk(shape: Mapping[str, Any], rows: int, columns: int) -> list[tuple[str, str]]:
    """VGG16's blocks, each with the size of its output."""
    found = []
    for block, (channels, repeats) in enumerate(zip(shape["channels"], _REPEATS, strict=True)):
        size = f"{rows >> block} x {columns >> block}\nx {channels}"
        text = f"conv {channels}\nx {repeats}"
        found.append((f"block {block + 1}\n{text}{_pool(block)}", size))
    return found


def _halving(shape: Mapping[str, Any], rows: int, columns: int) -> list[tuple[str, str]]:
    """The compact network's blocks, each with the size of its output."""
    found = []
    for block, channels in enumerate(shape["channels"], start=1):
        size = f"{rows >> block} x {columns >> block}\nx {channels}"
        more = "2 residual\npairs" if block > 1 else "5 x 5"
        found.append((f"block {block}\nconv {channels},\nstride 2\n{more}", size))
    return found


def _pool(block: int) -> str:
    return "\nmax pool" if block < len(_REPEATS) - 1 else ""


def _paper(shape: Mapping[str, Any], rows: int, columns: int) -> list[tuple[str, str]]:
    last = shape["channels"][-1]
    return [
        ("max pool,\naverage", f"{rows >> 5} x {columns >> 5}\nto {last}"),
        ("dense\nReLU", str(shape["hidden"])),
        ("dense\nsoftmax", "2"),
    ]


def _cells(
    shape: Mapping[str, Any],
    rows: int,
    columns: int,
    *,
    joined: str = "blocks 4, 5",
    convolutions: int = 2,
) -> list[tuple[str, str]]:
    cells = f"{rows >> 3} x {columns >> 3}"
    return [
        (
            f"{joined},\nother view,\nother side,\nplace, whole",
            f"{cells}\nx {shape['cells']}",
        ),
        (f"conv\nx {convolutions}", f"{cells}\nx {shape['cells']}"),
        ("a logit\nper cell", cells),
        ("log-sum-\nexp", "2"),
    ]


_Boxes = Callable[[Mapping[str, Any], int, int], list[tuple[str, str]]]


class _Drawn(NamedTuple):
    """How a network is drawn: channels of its input, its blocks and its head."""

    channels: int
    blocks: _Boxes
    head: _Boxes


_NETWORKS = {
    "vgg16": _Drawn(3, _trunk, _paper),
    "vgg16-cells": _Drawn(3, _trunk, _cells),
    "compact-cells": _Drawn(1, _halving, partial(_cells, joined="blocks 3-5", convolutions=3)),
}


def _boxes_in_a_row(boxes: list[tuple[str, str]]) -> RenderedFigure:
    figure, axes = new_axes(7.6, 1.2)
    axes.set_xlim(-0.5, len(boxes) - 0.5)
    axes.set_ylim(-1.0, 0.85)
    axes.axis("off")
    for number, (text, size) in enumerate(boxes):
        colour = GREY if number == 0 else BLUE if number <= len(_REPEATS) else ORANGE
        colour = GREEN if number == len(boxes) - 1 else colour
        boxed_text(axes, (number, 0.15), text, size=6.5, pad=0.35, edge=colour, width=1.2)
        axes.text(number, -0.8, size, ha="center", va="center", fontsize=6.5, color=GREY)
        if number:  # from behind one box to the edge of the next
            arrow(axes, (number - 1, 0.15), (number - 0.32, 0.15), zorder=0)
    return rendered(figure)
