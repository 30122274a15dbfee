"""Antialiased resampling of a part of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonescint.prepare.framing import Extent


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
