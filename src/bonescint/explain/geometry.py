"""Where a map's cells lie on a view, and how large a view is drawn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ActivationMap, ParameterError


class PanelSize(NamedTuple):
    """Rows and columns of a view as drawn."""

    rows: int
    columns: int


def panel_size(
    shape: tuple[int, int],
    pixel_spacing_mm: tuple[float, float] | None,
    *,
    most_rows: int,
    most_columns: int,
) -> PanelSize:
    """The largest panel that shows a view in its true proportions.

    Args:
        shape: (rows, columns) of the view.
        pixel_spacing_mm: between rows and between columns; pixels count as square if unknown.
        most_rows: rows that are free.
        most_columns: columns that are free.

    Examples:
        >>> panel_size((100, 100), (2.0, 1.0), most_rows=800, most_columns=400)
        PanelSize(rows=800, columns=400)
    """
    row_mm, column_mm = pixel_spacing_mm or (1.0, 1.0)
    height, width = shape[0] * row_mm, shape[1] * column_mm
    scale = min(most_rows / height, most_columns / width)
    return PanelSize(max(1, round(height * scale)), max(1, round(width * scale)))


def _weights(count: int, length: int, start: float, stop: float, cells: int) -> NDArray[np.float32]:
    """Bilinear weights (count, cells) of a map's cells for `count` samples along a view.

    Samples lie in the middles of `count` equal parts of the view's `length` pixels; the map's
    cells divide [start, stop). Outside it the weights are 0; inside its outer half cells the
    outermost value holds.
    """
    position = (np.arange(count) + 0.5) * (length / count)
    cell = (position - start) / (stop - start) * cells - 0.5
    clamped = np.clip(cell, 0.0, cells - 1.0)
    lower = np.minimum(clamped.astype(np.intp), cells - 1)
    upper = np.minimum(lower + 1, cells - 1)
    share = clamped - lower
    inside = (position >= start) & (position < stop)
    weights = np.zeros((count, cells), dtype=np.float32)
    samples = np.arange(count)
    weights[samples, lower] += (1.0 - share) * inside
    weights[samples, upper] += share * inside
    return weights


def map_on_grid(
    activation: ActivationMap, shape: tuple[int, int], *, rows: int, columns: int
) -> NDArray[np.float32]:
    """Resample an activation map onto a grid that covers its view.

    The map's extent may reach beyond the image (that part is not shown) or cover only some of
    it (the rest is 0). Nothing is mirrored: a posterior map lies on the posterior view as that
    is seen from behind.

    Args:
        activation: a map of one view.
        shape: (rows, columns) of the view.
        rows: rows of the grid; the view's own for its own pixels.
        columns: columns of the grid.

    Returns:
        float32 array (rows, columns), bilinear between the middles of the map's cells.

    Raises:
        ParameterError: a grid without rows or columns.

    Examples:
        >>> from bonescint.scan import View
        >>> hot = ActivationMap(view=View.POSTERIOR, target="mbd", values=np.eye(2),
        ...                     extent=(0, 0, 8, 4))
        >>> map_on_grid(hot, (8, 4), rows=8, columns=4)[0].tolist()
        [1.0, 0.75, 0.25, 0.0]
    """
    for name, size in (("rows", rows), ("columns", columns)):
        if size < 1:
            raise ParameterError(name, "map_on_grid", "at least 1", size)
    top, left, bottom, right = activation.extent
    cell_rows, cell_columns = activation.values.shape
    down = _weights(rows, shape[0], top, bottom, cell_rows)
    across = _weights(columns, shape[1], left, right, cell_columns)
    return np.asarray(down @ activation.values @ across.T, dtype=np.float32)
