"""Which part of each view goes to the model, and its antialiased resampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from bonescint.scan import ParameterError, Scan, View


class Extent(NamedTuple):
    """A rectangle on a view, in pixels with edges: pixel 0 spans from 0 to 1."""

    top: float
    left: float
    bottom: float
    right: float

    @property
    def height(self) -> float:
        """Rows that it spans."""
        return self.bottom - self.top

    @property
    def width(self) -> float:
        """Columns that it spans."""
        return self.right - self.left


@dataclass(frozen=True, slots=True)
class WholeField:
    """Take the whole view as acquired, whatever its proportions (as in the paper)."""

    kind: ClassVar[Literal["whole_field"]] = "whole_field"

    def extents(self, scan: Scan) -> dict[View, Extent]:
        """The extent of each present view: all of it."""
        rows, columns = scan.shape
        return dict.fromkeys(scan.views, Extent(0.0, 0.0, float(rows), float(columns)))


@dataclass(frozen=True, slots=True)
class BodyFrame:
    """Take a frame of fixed proportions around the body, the same size in both views.

    Cameras and picture archives differ in margins, matrix and cropping; if the body always fills
    the frame in the same way, the model need not learn that. Proportions are fixed, so every body
    is stretched by the same factor (1.5 sideways where 3:1 becomes 512 x 256); where head or feet
    are cut off, the frame extends beyond the image, which counts as empty there.

    Attributes:
        aspect: rows over columns of the frame, in square pixels.
        margin: free border on each side, as a share of the body's height.
        threshold: what belongs to the body, as a share of the typical count density in it.
    """

    aspect: float = 3.0
    margin: float = 0.02
    threshold: float = 0.12
    kind: ClassVar[Literal["body_frame"]] = "body_frame"

    def __post_init__(self) -> None:
        if not 1 <= self.aspect <= 6:
            raise ParameterError("aspect", "BodyFrame", "from 1 to 6", self.aspect)
        if not 0 <= self.margin < 0.5:
            raise ParameterError("margin", "BodyFrame", "from 0 to 0.5", self.margin)
        if not 0 < self.threshold < 1:
            raise ParameterError("threshold", "BodyFrame", "between 0 and 1", self.threshold)

    def extents(self, scan: Scan) -> dict[View, Extent]:
        """The extent of each present view; equal heights and widths, own centres."""
        bodies = {view: body_extent(image, self.threshold) for view, image in scan.images()}
        row_spacing, column_spacing = scan.pixel_spacing_mm or (1.0, 1.0)
        # Both heads move over the patient together: one range of rows serves both views.
        top = min(body.top for body in bodies.values())
        bottom = max(body.bottom for body in bodies.values())
        width = float(np.mean([body.width for body in bodies.values()]))
        height_mm = (bottom - top) * row_spacing * (1 + 2 * self.margin)
        width_mm = width * column_spacing * (1 + 2 * self.margin * self.aspect)
        height_mm = max(height_mm, width_mm * self.aspect)
        height = height_mm / row_spacing
        frame_width = height_mm / self.aspect / column_spacing
        middle = (top + bottom) / 2
        extents = {}
        for view, body in bodies.items():
            centre = (body.left + body.right) / 2
            extents[view] = Extent(
                middle - height / 2,
                centre - frame_width / 2,
                middle + height / 2,
                centre + frame_width / 2,
            )
        return extents


Framing = WholeField | BodyFrame

_ENOUGH_ROWS, _ENOUGH_COLUMNS = 400, 16
"""Enough to find a body; larger views are reduced first."""


def body_extent(image: NDArray[np.float32], threshold: float) -> Extent:
    """Find the rectangle that holds the patient's body.

    Smoothed values are compared with a share of their typical value inside the body, found
    on their square roots so that a hot bladder or injection site does not set the scale.
    Pieces smaller than a hundredth of the total are ignored.

    Args:
        image: a view, array (rows, columns), values at least 0.
        threshold: share of the typical value.

    Returns:
        The rectangle, in pixels; the whole image where nothing, or specks alone, stands out.

    Examples:
        >>> field = np.zeros((100, 40), dtype=np.float32)
        >>> field[20:80, 10:30] = 5
        >>> extent = body_extent(field, 0.12)
        >>> 16 <= extent.top <= 20 and 80 <= extent.bottom <= 84
        True
    """
    rows, columns = image.shape
    whole = Extent(0.0, 0.0, float(rows), float(columns))
    step = max(1, min(rows // _ENOUGH_ROWS, columns // _ENOUGH_COLUMNS))
    smooth = ndimage.gaussian_filter(_reduced(image, step), max(1.0, rows / step / _ENOUGH_ROWS))
    background = float(np.percentile(smooth, 5))
    # The root keeps a hot spot from setting the mean.
    root = np.sqrt(np.maximum(smooth - background, 0))
    typical_of = root[root > root.mean()]
    if typical_of.size == 0:
        return whole
    inside = root > np.sqrt(threshold) * float(np.median(typical_of))
    labels, _ = ndimage.label(inside, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    kept = np.concatenate([[False], sizes >= 0.01 * sizes.sum()])[labels]
    if not kept.any():
        return whole
    in_rows = np.flatnonzero(kept.any(axis=1))
    in_columns = np.flatnonzero(kept.any(axis=0))
    return Extent(
        float(in_rows[0] * step),
        float(in_columns[0] * step),
        float((in_rows[-1] + 1) * step),
        float((in_columns[-1] + 1) * step),
    )


def _reduced(image: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Means of blocks of step x step pixels; a remainder at the lower and right edge is ignored."""
    rows, columns = image.shape[0] // step * step, image.shape[1] // step * step
    total = np.zeros((rows // step, columns // step), dtype=np.float32)
    for row in range(step):  # much faster than a mean over two axes of blocks
        for column in range(step):
            total += image[row:rows:step, column:columns:step]
    total /= step**2
    return total


def body_outline(
    image: NDArray[np.floating], pixel_mm: tuple[float, float], *, level: float = 0.06
) -> NDArray[np.bool_]:
    """The patient's outline in a view: where smoothed counts stand out from the air.

    Args:
        image: (rows, columns), at least 0.
        pixel_mm: between rows and between columns.
        level: share of the typical value inside the body.

    Returns:
        bool (rows, columns); all true where nothing, or specks alone, stands out.

    Examples:
        >>> field = np.zeros((60, 40)); field[10:50, 10:30] = 5
        >>> outline = body_outline(field, (5.0, 5.0))
        >>> bool(outline[30, 20]), bool(outline[2, 2])
        (True, False)
    """
    smooth = ndimage.gaussian_filter(
        np.asarray(image, dtype=np.float64), [6.0 / step for step in pixel_mm]
    )
    smooth = np.maximum(smooth - np.percentile(smooth, 2), 0)
    root = np.sqrt(smooth)
    typical = root[root > root.mean()]
    if typical.size == 0:
        return np.ones(image.shape, dtype=bool)
    inside = root > np.sqrt(level) * float(np.median(typical))
    pieces, _ = ndimage.label(inside, structure=np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel())[1:]
    kept = np.isin(pieces, 1 + np.flatnonzero(sizes >= 0.01 * sizes.sum()))
    if not kept.any():
        return np.ones(image.shape, dtype=bool)
    return np.asarray(ndimage.binary_fill_holes(kept), dtype=bool)


def resampled(
    image: NDArray[np.float32], extent: Extent, *, rows: int, columns: int
) -> NDArray[np.float32]:
    """Resample the part of an image inside an extent to a given size.

    A triangle filter whose support grows with the reduction (Pillow's BILINEAR) keeps counts
    from aliasing and never overshoots. What lies beyond the image counts as 0.

    Args:
        image: array (rows, columns).
        extent: the part to take, in pixels of `image`; edges may lie outside.
        rows: rows of the result.
        columns: columns of the result.

    Returns:
        float32 array (rows, columns). Values are local means, not sums.

    Examples:
        >>> flat = np.ones((8, 4), dtype=np.float32)
        >>> half = resampled(flat, Extent(0, 0, 8, 4), rows=4, columns=2)
        >>> half.shape, float(half.mean())
        ((4, 2), 1.0)
    """
    height, width = image.shape
    before_rows = max(0, int(np.ceil(-extent.top)))
    before_columns = max(0, int(np.ceil(-extent.left)))
    after_rows = max(0, int(np.ceil(extent.bottom - height)))
    after_columns = max(0, int(np.ceil(extent.right - width)))
    if before_rows or before_columns or after_rows or after_columns:
        image = np.pad(image, ((before_rows, after_rows), (before_columns, after_columns)))
    box = (
        extent.left + before_columns,
        extent.top + before_rows,
        extent.right + before_columns,
        extent.bottom + before_rows,
    )
    picture = Image.fromarray(np.ascontiguousarray(image, dtype=np.float32))
    resized = picture.resize((columns, rows), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized, dtype=np.float32)
