"""Crop a scan to the patient and any uptake beside the body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonescint.prepare import body_extent
from bonescint.scan import Prediction, Scan, View
from bonescint.viewer import grey_window

_BODY = 0.04
"""Least counts of the body, as a share of its typical counts: includes soft tissue of the feet."""
_DARK = 0.25
"""Least value that is kept wherever it lies, as a share of the range from white to black."""
_MARGIN = 0.025
"""Free border on each side, as a share of the body's height."""
_ENOUGH_ROWS = 256
"""Enough to find the body for cropping."""

Box = tuple[slice, slice]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CroppedScan:
    """A scan cropped to the patient, with its maps and masks.

    Attributes:
        scan: its views, each cropped to the same size around its own body.
        prediction: the prediction, its maps moved to their places on the cropped views.
        lesions: masks, cropped in the same way.
    """

    scan: Scan
    prediction: Prediction
    lesions: Mapping[View, NDArray[np.bool_]]


def cropped(
    scan: Scan,
    prediction: Prediction,
    lesions: Mapping[View, NDArray[np.bool_]] | None = None,
) -> CroppedScan:
    """Crop a scan to the patient.

    Args:
        scan: one or two views.
        prediction: the prediction for it.
        lesions: a bool array of the scan's shape for each segmented view.
    """
    masks = {view: lesions[view] for view in scan.views if lesions and view in lesions}
    boxes = crop_boxes(scan, masks)
    maps = []
    for activation in prediction.activation_maps:
        rows, columns = boxes.get(activation.view, (slice(0, None), slice(0, None)))
        top, left, bottom, right = activation.extent
        moved = (top - rows.start, left - columns.start, bottom - rows.start, right - columns.start)
        maps.append(replace(activation, extent=moved))
    views = {view: image[boxes[view]] for view, image in scan.images()}
    return CroppedScan(
        scan=scan.with_views(
            anterior=views.get(View.ANTERIOR),
            posterior=views.get(View.POSTERIOR),
            step="cropped to the patient",
        ),
        prediction=replace(prediction, activation_maps=tuple(maps)),
        lesions={view: mask[boxes[view]] for view, mask in masks.items()},
    )


def crop_boxes(
    scan: Scan, lesions: Mapping[View, NDArray[np.bool_]] | None = None
) -> dict[View, Box]:
    """Which rows and columns of each view are drawn.

    Both views have the same rows, because both detectors move over the patient together, and the
    same number of columns, around each view's own body. Uptake beside the body and segmented
    lesions are never cut off.

    Args:
        scan: one or two views.
        lesions: a bool array of the scan's shape for each segmented view.

    Examples:
        >>> from bonescint.scan import Acquisition, PixelUnit
        >>> image = np.zeros((200, 100))
        >>> image[40:140, 30:60] = 9
        >>> scan = Scan(anterior=image, posterior=None, pixel_spacing_mm=None,
        ...             unit=PixelUnit.COUNTS, scan_id="bs-1",
        ...             acquisition=Acquisition(modality="NM"))
        >>> rows, columns = crop_boxes(scan)[View.ANTERIOR]
        >>> 30 < rows.start < 40, 140 < rows.stop < 150, columns.start < 30, columns.stop > 60
        (True, True, True, True)
    """
    shown = {view: _shown(scan, view, image, lesions) for view, image in scan.images()}
    rows, columns = scan.shape
    row_mm, column_mm = scan.pixel_spacing_mm or (1.0, 1.0)
    top = min(part[0] for part in shown.values())
    bottom = max(part[2] for part in shown.values())
    border = _MARGIN * (bottom - top)
    top, bottom = max(0, int(top - border)), min(rows, int(np.ceil(bottom + border)))
    beside = border * row_mm / column_mm
    width = min(columns, int(np.ceil(max(p[3] - p[1] for p in shown.values()) + 2 * beside)))
    boxes: dict[View, Box] = {}
    for view, (_, left, _, right) in shown.items():
        start = min(max(0, round((left + right - width) / 2)), columns - width)
        boxes[view] = slice(top, bottom), slice(start, start + width)
    return boxes


def _shown(
    scan: Scan,
    view: View,
    image: NDArray[np.float32],
    lesions: Mapping[View, NDArray[np.bool_]] | None,
) -> tuple[float, float, float, float]:
    """Top, left, bottom and right of the part of a view that must be visible."""
    coarse = max(1, image.shape[0] // _ENOUGH_ROWS)
    reduced = np.asarray(Image.fromarray(image).reduce(coarse))
    body = body_extent(reduced, _BODY)
    parts = [(coarse * body.top, coarse * body.left, coarse * body.bottom, coarse * body.right)]
    window = grey_window(image, scan.unit)
    dark = image > window.low + _DARK * (window.high - window.low)
    # Four adjacent pixels, because a single one may be noise.
    marks = [dark[1:, 1:] & dark[:-1, :-1] & dark[1:, :-1] & dark[:-1, 1:]]
    if lesions and view in lesions:
        marks.append(lesions[view])
    for mark in marks:
        in_rows, in_columns = (np.flatnonzero(mark.any(axis=axis)) for axis in (1, 0))
        if in_rows.size:
            down, across = in_rows[[0, -1]] + (0, 2), in_columns[[0, -1]] + (0, 2)
            parts.append((float(down[0]), float(across[0]), float(down[1]), float(across[1])))
    tops, lefts, bottoms, rights = zip(*parts, strict=True)
    return min(tops), min(lefts), max(bottoms), max(rights)
