"""The regions of a scan whose evidence is strong, with their outlines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.explain.body_parts import BodyInView
from bonescint.explain.evidence import EvidenceScale, map_on_grid
from bonescint.scan import EvidenceRegion, Prediction, Scan

LEAST_LEVEL = 0.5
"""Half of the evidence scale: the outline is a focus' full width at half of the scale."""


def evidence_regions(
    scan: Scan,
    prediction: Prediction,
    *,
    operating_point: float | None = None,
    least_level: float = LEAST_LEVEL,
) -> tuple[EvidenceRegion, ...]:
    """The connected regions whose evidence for the disease is at or above a level of the scale.

    The scale is that of the picture (`EvidenceScale`): a scan whose probability is below half of
    the operating point has none. A scan that the model does not call has none either: it is too
    unlike those that the model knows for its map to be relied upon.

    Args:
        scan: the scan.
        prediction: the prediction for it.
        operating_point: the model's threshold on the probability.
        least_level: from 0 to 1.

    Returns:
        The regions of both views, strongest first. Pixels that only touch at a corner are parts of
        two regions. Holes are not cut out.

    Examples:
        >>> from bonescint.scan import Acquisition, ActivationMap, PixelUnit, View
        >>> scan = Scan(anterior=np.ones((4, 4)), posterior=None, pixel_spacing_mm=None,
        ...             unit=PixelUnit.COUNTS, scan_id="a", acquisition=Acquisition(modality="NM"))
        >>> hot = ActivationMap(view=View.ANTERIOR, target="mbd", extent=(0, 0, 4, 4),
        ...                     values=np.diag([0.0, 1.0, 0.0, 0.0]))
        >>> answer = Prediction(scan_id="a", mbd_probability=0.9, positive=True, model_id="m",
        ...                     activation_maps=(hot,))
        >>> region, = evidence_regions(scan, answer, operating_point=0.5)
        >>> region.outline.tolist()
        [[1.0, 1.0], [1.0, 2.0], [2.0, 2.0], [2.0, 1.0]]
    """
    if prediction.positive is None:
        return ()
    scale = EvidenceScale.of(prediction, operating_point=operating_point)
    rows, columns = scan.shape
    found = []
    for view, image in scan.images():
        shown = prediction.activation_map(view)
        if shown is None:
            continue
        values = map_on_grid(shown, scan.shape, rows=rows, columns=columns)
        levels = scale.levels(values)
        body = None
        pieces, count = ndimage.label(levels >= max(least_level, 1e-6))
        for number in range(1, count + 1):
            inside = np.asarray(pieces == number, dtype=bool)
            outline = outline_of(inside)
            body = body or BodyInView.of(image, scan.pixel_spacing_mm)
            found.append(
                EvidenceRegion(
                    view=view,
                    outline=outline,
                    peak=float(values[inside].max()),
                    level=min(float(levels[inside].max()), 1.0),
                    pixels=int(inside.sum()),
                    body_part=body.part_of(outline),
                )
            )
    return tuple(sorted(found, key=lambda region: -region.level))


def outline_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The outer outline of a connected mask, along the edges of its pixels.

    Args:
        mask: bool (rows, columns), with at least one true pixel; all true pixels are connected by
            their edges.

    Returns:
        float64 (n, 2), rows and columns of the corners, clockwise from the upper left one.

    Examples:
        >>> outline_of(np.array([[1, 0], [1, 1]], bool)).tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 2.0], [2.0, 2.0], [2.0, 0.0]]
    """
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    row, column = (int(places[0]) for places in np.nonzero(padded))
    start = (row, column)  # the upper left corner of the first pixel, in padded coordinates
    at, heading = start, (0, 1)
    corners = []
    while True:
        turn = _turn(padded, at, heading)
        if turn != heading or at == start:
            corners.append(at)
        heading = turn
        at = (at[0] + heading[0], at[1] + heading[1])
        if at == start:
            return np.array(corners, dtype=np.float64) - 1


def _turn(
    padded: NDArray[np.bool_], at: tuple[int, int], heading: tuple[int, int]
) -> tuple[int, int]:
    """The direction in which the outline goes on, with the mask to its right.

    Where two pixels touch at a corner alone it turns to the right, and so keeps to its own.
    """
    down, across = heading
    right = (across, -down)

    def is_inside(ahead: tuple[int, int], beside: tuple[int, int]) -> bool:
        """Whether the pixel in the quadrant between two directions belongs to the mask."""
        row = at[0] + (0 if 1 in (ahead[0], beside[0]) else -1)
        column = at[1] + (0 if 1 in (ahead[1], beside[1]) else -1)
        return bool(padded[row, column])

    left = (-right[0], -right[1])
    if not is_inside(heading, right):
        return right
    return left if is_inside(heading, left) else heading
