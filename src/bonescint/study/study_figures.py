"""Figures that only a study has: times with the model's own, and titles over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bonescint.files import written_beside
from bonescint.scan import MissingExtraError
from bonescint.study.model_reading import ModelReads

_GROSS, _ACTIVE, _MODEL = "#E69F00", "#0072B2", "#000000"
_INK = "#333333"
_DPI = 200
_TITLE_PX = 30


def draw_times(
    times: Mapping[str, tuple[list[float], list[float]]], model: ModelReads | None, path: Path
) -> Path | None:
    """Box plots of the time per scan on a logarithmic axis: gross, active, and the model's own.

    Boxes are quartiles with the median, whiskers reach to 1.5 interquartile ranges.

    Args:
        times: gross and active seconds of each reader.
        model: with its times on this machine.
        path: PNG file.

    Returns:
        The file; `None` if there is no time to show.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if not times:
        return None
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, NullFormatter
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "evaluate") from error
    rows = [(name, gross, active) for name, (gross, active) in times.items()]
    figure = Figure(figsize=(7.2, 1.5 + 0.42 * (len(rows) + (model is not None))),
                    layout="constrained")  # fmt: skip
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    labels = []
    if model is not None:
        _box(axis, list(model.seconds.values()), 1.0, _MODEL, 0.5)
        labels.append("model")
    for name, gross, active in rows:
        place = len(labels) + 1.0
        _box(axis, gross, place - 0.19, _GROSS, 0.3)
        _box(axis, active, place + 0.19, _ACTIVE, 0.3)
        labels.append(name.replace("$", r"\$"))
    axis.set_yticks(range(1, len(labels) + 1), labels)
    axis.set_ylim(len(labels) + 0.6, 0.4)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("Time per scan (s), logarithmic", fontsize=9)
    axis.grid(axis="x", color="#e4e4e4", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(colors=_INK, labelsize=9)
    from matplotlib.patches import Patch

    said = [("gross", _GROSS), ("active (no pause, hidden tab, idle time)", _ACTIVE)]
    if model is not None:
        said.append(("model, measured on this machine", _MODEL))
    handles = [
        Patch(facecolor=f"{colour}55", edgecolor=colour, label=name) for name, colour in said
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    with written_beside(path) as beside:
        figure.savefig(beside, dpi=_DPI, format="png")
    return path


def _box(axis: object, seconds: list[float], place: float, colour: str, width: float) -> None:
    known = np.array([value for value in seconds if value > 0])
    if not known.size:
        return
    axis.boxplot(  # type: ignore[attr-defined]
        known,
        positions=[place],
        orientation="horizontal",
        widths=width,
        patch_artist=True,
        boxprops={"facecolor": f"{colour}55", "edgecolor": colour},
        medianprops={"color": _INK, "linewidth": 1.3},
        whiskerprops={"color": colour},
        capprops={"color": colour},
        flierprops={"marker": ".", "markersize": 3, "markeredgecolor": colour},
        manage_ticks=False,
    )


def with_title(path: Path, title: str) -> None:
    """Put a title over a PNG picture, in as many lines as it needs."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    font = ImageFont.load_default(size=_TITLE_PX)
    lines = _wrapped(title, font, picture.width - 2 * _TITLE_PX)
    step = round(1.35 * _TITLE_PX)
    top = step * len(lines) + _TITLE_PX
    titled = Image.new("RGB", (picture.width, picture.height + top), "white")
    titled.paste(picture, (0, top))
    draw = ImageDraw.Draw(titled)
    for number, line in enumerate(lines):
        draw.text((_TITLE_PX, 0.6 * _TITLE_PX + step * number), line, fill=_INK, font=font)
    with written_beside(path) as beside:
        titled.save(beside, format="PNG")


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
