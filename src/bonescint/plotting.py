"""The one style of figures that matplotlib draws; it leaves no global state behind.

Colours are Okabe and Ito's, which colour-blind readers tell apart.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from bonescint.files import write_whole, written_beside
from bonescint.scan import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, LIGHT = "#22262b", "#6b7178", "#e4e7ea"
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
COLOURS = (BLUE, ORANGE, GREEN, PINK, "#E69F00", "#56B4E9")
LegendPlace: TypeAlias = Literal["lower left", "lower right", "upper left", "upper right"]
_DPI = 200
_LETTERS_PER_INCH = 13  # of the size of a title
_STYLE: Any = {  # matplotlib types its 300 keys one by one
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "svg.hashsalt": "bonescint",
    "svg.fonttype": "path",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFigure:
    """A figure that is drawn.

    Attributes:
        png: content of a PNG file.
        svg: content of an SVG file.
    """

    png: bytes
    svg: bytes

    def write(self, folder: Path, name: str) -> None:
        """Write it to a folder that is there, as PNG and as SVG.

        Raises:
            OutputError: it cannot be written.
        """
        write_whole(folder / f"{name}.png", self.png)
        write_whole(folder / f"{name}.svg", self.svg)


def new_axes(
    width: float,
    height: float,
    *,
    rows: int = 1,
    columns: int = 1,
    heights: tuple[float, ...] | None = None,
) -> tuple[Figure, Any]:
    """A figure in inches with one panel, or an array of them.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "evaluate") from error
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        panels = figure.subplots(rows, columns, height_ratios=heights)
    return figure, panels


def unit_axes(axes: Axes, x: str, y: str) -> None:
    """Both axes from 0 to 1, square, with a little air."""
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color=LIGHT, linewidth=0.6)
    axes.set_axisbelow(True)


def legend(axes: Axes, place: LegendPlace, *, title: str = "") -> None:
    """A legend without a frame."""
    axes.legend(
        loc=place, frameon=False, fontsize=9, labelcolor=INK, title=title or None, title_fontsize=8
    )


def rendered_as(figure: Figure, kind: Literal["png", "svg"]) -> bytes:
    """Draw a figure as one kind of file; the same figure gives the same bytes."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata=metadata)
    return buffer.getvalue()


def rendered(figure: Figure) -> RenderedFigure:
    """Draw a figure as PNG and as SVG."""
    return RenderedFigure(png=rendered_as(figure, "png"), svg=rendered_as(figure, "svg"))


def plain_text(name: str) -> str:
    """A user's name as it is: matplotlib takes what is between dollars for mathematics."""
    return "".join(letter for letter in name if letter.isprintable()).replace("$", r"\$")


def save(figure: Figure, path: Path, *, footer: str, title: str = "") -> Path:
    """Write a figure to a file, with a line at its bottom right.

    Args:
        figure: as `new_axes` gives it.
        path: `.png`, `.svg` or `.pdf`.
        footer: such as the notice of research use.
        title: above all panels, in as many lines as it needs.

    Raises:
        OutputError: it cannot be written.
    """
    import matplotlib as mpl

    if title:
        width = int(_LETTERS_PER_INCH * figure.get_figwidth())
        lines = textwrap.fill(plain_text(title), width)
        figure.suptitle(lines, x=0.02, ha="left", fontsize=9, color=INK)
    figure.text(0.995, 0.004, footer, ha="right", va="bottom", fontsize=6.5, color=GREY)
    figure.get_layout_engine().set(rect=(0, 0.025, 1, 0.975))  # type: ignore[union-attr,call-arg]
    with mpl.rc_context(_STYLE), written_beside(path) as beside, warnings.catch_warnings():
        # A name in letters that the font lacks is drawn as boxes: no reason to say more.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(beside, dpi=_DPI, format=path.suffix[1:])
    return path
