"""Line charts as the pages draw them in SVG: theme, print and zoom follow the page.

matplotlib, which draws the figures of evaluations, is not needed to learn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 44
_TICKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartLine:
    """One line of a chart.

    Attributes:
        name: in the key; none if empty.
        points: x and y of each point, in the order of x.
        interval: low and high of each point; empty without.
        dashed: draw it dashed, without dots.
        dots: draw a dot at each point.
    """

    name: str
    points: Sequence[tuple[float, float]]
    interval: Sequence[tuple[float, float]] = ()
    dashed: bool = False
    dots: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on an axis: its place in pixels, and its text."""

    at: float
    text: str


class Chart:
    """A chart with the coordinates that its SVG needs.

    Args:
        caption: what it shows, in a sentence.
        x_title: under the horizontal axis.
        y_title: beside the vertical axis.
        lines: what is drawn.
        x_range: ends of the horizontal axis.
        y_range: ends of the vertical axis.

    Examples:
        >>> line = ChartLine(name="you", points=[(0, 0.0), (1, 1.0)])
        >>> chart = Chart("Right answers", "case", "share", [line], (0, 1), (0, 1))
        >>> chart.path(line)
        '52.0,226.0 426.0,12.0'
        >>> [tick.text for tick in chart.y_ticks()]
        ['0', '0.25', '0.5', '0.75', '1']
    """

    def __init__(
        self,
        caption: str,
        x_title: str,
        y_title: str,
        lines: Sequence[ChartLine],
        x_range: tuple[float, float],
        y_range: tuple[float, float],
    ) -> None:
        self.caption, self.x_title, self.y_title = caption, x_title, y_title
        self.lines = tuple(lines)
        self._x, self._y = x_range, y_range
        self.width, self.height = WIDTH, HEIGHT
        self.left, self.right = _LEFT, WIDTH - _RIGHT
        self.top, self.bottom = _TOP, HEIGHT - _BOTTOM

    def _at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self._x[0]) / max(self._x[1] - self._x[0], 1e-12)
        up = (y - self._y[0]) / max(self._y[1] - self._y[0], 1e-12)
        up = min(1.0, max(0.0, up))
        return (
            round(self.left + across * (self.right - self.left), 1),
            round(self.bottom - up * (self.bottom - self.top), 1),
        )

    def points(self, line: ChartLine) -> list[tuple[float, float]]:
        """The points of a line, in pixels."""
        return [self._at(x, y) for x, y in line.points if math.isfinite(y)]

    def path(self, line: ChartLine) -> str:
        """A line as SVG's `points`."""
        return " ".join(f"{x},{y}" for x, y in self.points(line))

    def band(self, line: ChartLine) -> str:
        """The interval of a line as SVG's `points` of a polygon; empty without one."""
        pairs = [
            (x, low, high)
            for (x, _), (low, high) in zip(line.points, line.interval, strict=False)
            if math.isfinite(low) and math.isfinite(high)
        ]
        corners = [self._at(x, high) for x, _, high in pairs]
        corners += [self._at(x, low) for x, low, _ in reversed(pairs)]
        return " ".join(f"{x},{y}" for x, y in corners)

    def x_ticks(self) -> list[Tick]:
        """Marks on the horizontal axis."""
        return [Tick(at=self._at(value, 0)[0], text=_text(value)) for value in _nice(*self._x)]

    def y_ticks(self) -> list[Tick]:
        """Marks on the vertical axis."""
        return [
            Tick(at=self._at(self._x[0], value)[1], text=_text(value)) for value in _nice(*self._y)
        ]


def _nice(low: float, high: float) -> list[float]:
    """Round numbers between two ends, about five."""
    raw = max((high - low) / (_TICKS - 1), 1e-9)
    size = 10 ** math.floor(math.log10(raw))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _text(value: float) -> str:
    return f"{value:.6g}"
