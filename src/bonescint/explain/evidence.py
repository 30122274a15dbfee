"""The scale of the evidence, common to both views, and resampling of maps onto a view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ActivationMap, ParameterError, Prediction, View


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceScale:
    """Converts values of a scan's MBD maps to levels from 0 to 1.

    Dividing each map by its own maximum would paint every scan red somewhere, however normal.
    So the place with the most evidence *in either view* gets the level `reached`, which is 1
    where the model calls the scan positive (probability at or above the operating point) and
    decreases in proportion to the probability below it: a scan at a tenth of the operating point
    fills a tenth of the scale and remains almost grey.

    Attributes:
        peak: the highest value of the MBD maps of both views, in the maps' units.
        reached: the level that the peak gets, 0 to 1.
    """

    peak: float
    reached: float

    @classmethod
    def of(cls, prediction: Prediction, *, operating_point: float | None = None) -> EvidenceScale:
        """The scale of one scan.

        Args:
            prediction: with its activation maps.
            operating_point: the model's threshold on the probability; without one the level
                reached is the probability itself.

        Raises:
            ParameterError: an operating point outside [0, 1].

        Examples:
            >>> answer = Prediction(scan_id="bs-1", mbd_probability=0.1, positive=False,
            ...                     model_id="m")
            >>> round(EvidenceScale.of(answer, operating_point=0.4).reached, 3)
            0.25
        """
        if operating_point is not None and not 0 <= operating_point <= 1:
            raise ParameterError("operating_point", "EvidenceScale.of", "0 to 1", operating_point)
        maps = [prediction.activation_map(view) for view in View]
        peak = max((float(shown.values.max()) for shown in maps if shown is not None), default=0.0)
        probability = prediction.mbd_probability
        if operating_point is None:
            reached = probability
        elif probability >= operating_point:
            reached = 1.0
        else:
            reached = probability / operating_point
        return cls(peak=peak, reached=reached)

    def levels(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Levels from 0 to `reached`; all 0 where the maps are empty."""
        if self.peak <= 0:
            return np.zeros_like(values)
        return np.asarray(values * np.float32(self.reached / self.peak), dtype=np.float32)


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
    """The size of the largest panel that shows a view in its true proportions.

    Args:
        shape: (rows, columns) of the view.
        pixel_spacing_mm: between rows and between columns; pixels count as square if unknown.
        most_rows: available rows.
        most_columns: available columns.

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
        rows: rows of the grid, such as those of the view.
        columns: columns of the grid.

    Returns:
        float32 array (rows, columns), interpolated bilinearly between the centres of the cells.

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
