"""What goes into the networks of an experiment, and their layers: the paper's Figures 1 and 2."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from bonescint.cohort import Manifest
from bonescint.dicom import read
from bonescint.experiment.report.figures import arrow, boxed_text
from bonescint.model import ModelFolder
from bonescint.plotting import BLUE, GREEN, GREY, INK, ORANGE, RenderedFigure, new_axes, rendered
from bonescint.prepare import prepare
from bonescint.scan import Case, Split

_REPEATS = (2, 2, 3, 3, 3)


def input_figures(
    cards: Mapping[str, ModelFolder], cohort: Manifest
) -> Iterator[tuple[str, RenderedFigure]]:
    """A caption and a picture for every preprocessing: prepared scans, as the networks see them.

    The first positive and the first negative validation scan are shown.

    Args:
        cards: the model folders of an experiment.
        cohort: of the experiment.

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
    """VGG16's blocks, each with the size of what it gives."""
    found = []
    for block, (channels, repeats) in enumerate(zip(shape["channels"], _REPEATS, strict=True)):
        size = f"{rows >> block} x {columns >> block}\nx {channels}"
        text = f"conv {channels}\nx {repeats}"
        found.append((f"block {block + 1}\n{text}{_pool(block)}", size))
    return found


def _halving(shape: Mapping[str, Any], rows: int, columns: int) -> list[tuple[str, str]]:
    """The compact network's blocks, each with the size of what it gives."""
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
    """How a network is drawn: channels of its input, its blocks, and what stands behind them."""

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
