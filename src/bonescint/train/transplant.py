"""Transplant metastases to scans without any, to get more training scans with a single lesion.

Single lesions make reading bone scans hard, and few patients have just one. A planar scan sums
everything behind each pixel, so a lesion's counts above its surroundings can be taken from one scan
and added to another patient's at the same place of the body, in both views. This is copy-paste
augmentation (Ghiasi et al., CVPR 2021) that adds instead of pasting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.prepare import BodyFrame, Extent
from bonescint.scan import PixelUnit, View
from bonescint.train.sample import TrainingSample

_MORE = 0.3
"""Chance of one more lesion, and of one more after that."""
_MOST = 4
_SEARCH = (10, 6)
"""Rows and columns by which the position may be corrected, so that bone lies on bone."""
_FAR = 0.2
"""Penalty of the largest shift, as a correlation."""
_RIM, _TAPER = 3, 5
"""Width in pixels of a lesion's blurred rim, and of the fade-out around it."""
_REACHES = (12.0, 5.0)
"""Pixels (standard deviation) over which surroundings are estimated: near if possible."""
_LEAST_SURROUNDINGS = 0.1
_LARGEST = 0.02
"""Largest lesion, as a share of the frame."""
_LEAST_SIGNAL = 5.0
"""Least excess over the noise of the underlying counts, so that a physician could see it."""
_FRAME = BodyFrame()


@dataclass(frozen=True, slots=True, eq=False)
class _Lesion:
    """A lesion in one view, cut out and resampled to the host's pixels.

    Attributes:
        excess: float32 (rows, columns), counts above the surroundings, on the host's scale.
        surroundings: float32, the same shape: the donor's bones with the lesion smoothed away.
        mask: bool, the same shape.
        top: row of the host's image where the cut begins.
        left: column where it begins.
    """

    excess: NDArray[np.float32]
    surroundings: NDArray[np.float32]
    mask: NDArray[np.bool_]
    top: int
    left: int

    def box(self, shift: tuple[int, int], shape: tuple[int, ...]) -> tuple[slice, slice] | None:
        """Slices of the lesion in the image after a shift; `None` if it is not entirely inside."""
        top, left = self.top + shift[0], self.left + shift[1]
        bottom, right = top + self.mask.shape[0], left + self.mask.shape[1]
        if min(top, left) < 0 or bottom > shape[0] or right > shape[1]:
            return None
        return np.s_[top:bottom, left:right]


def transplanted(
    donor: TrainingSample, host: TrainingSample, rng: np.random.Generator
) -> TrainingSample:
    """Add one or a few metastases of a positive scan to a negative one.

    Args:
        donor: a positive scan with masks.
        host: a negative scan.
        rng: chooses the lesions.

    Returns:
        The host with lesions and their masks, positive; the unchanged donor where that is
        impossible (a donor without counts, a missing view, no lesion that would be visible). If the
        host is a picture, its values are treated as counts on the donor's scale, and its maximum is
        kept.

    Examples:
        >>> from bonescint.scan import Acquisition, Scan
        >>> def scan(spot: float, name: str) -> Scan:
        ...     image = np.zeros((256, 64), dtype=np.float32)
        ...     image[8:248, 12:52] = 20
        ...     image[100:104, 20:24] += spot
        ...     return Scan(anterior=image, posterior=image[:, ::-1], pixel_spacing_mm=None,
        ...                 unit=PixelUnit.COUNTS, scan_id=name,
        ...                 acquisition=Acquisition(modality="NM"))
        >>> mask = np.zeros((256, 64), dtype=bool)
        >>> mask[100:104, 20:24] = True
        >>> ill = TrainingSample(scan=scan(80, "ill"), positive=True,
        ...              masks={View.ANTERIOR: mask, View.POSTERIOR: mask[:, ::-1]})
        >>> well = TrainingSample(scan=scan(0, "well"), positive=False)
        >>> new = transplanted(ill, well, np.random.default_rng(1))
        >>> new.positive, new.scan.scan_id, int(new.scan.anterior[101, 21]) // 10
        (True, 'well', 10)
    """
    if not _possible(donor, host):
        return donor
    frames = [_FRAME.extents(sample.scan) for sample in (donor, host)]
    numbered = {
        view: np.asarray(ndimage.label(mask)[0], dtype=np.int32)
        for view in donor.scan.views
        if (mask := donor.mask(view)) is not None
    }
    found = [
        (view, number) for view, areas in numbered.items() for number in range(1, areas.max() + 1)
    ]
    images = {view: image.copy() for view, image in host.scan.images()}
    masks = {view: np.zeros(host.scan.shape, dtype=bool) for view in images}
    taken = {view: np.zeros(donor.scan.shape, dtype=bool) for view in numbered}
    wanted = 1
    while wanted < _MOST and rng.random() < _MORE:
        wanted += 1
    moved = 0
    for turn in rng.permutation(len(found)):
        view, number = found[turn]
        chosen = _both_views(numbered, view, number, frames[0])
        if any(area.sum() > _LARGEST * area.size for area in chosen.values()):
            continue
        if any((taken[view] & area).any() for view, area in chosen.items()):
            continue  # came with its other view
        is_picture = host.scan.unit is PixelUnit.INTENSITY
        if _add(images, masks, donor, chosen, frames[0], frames[1], is_picture=is_picture):
            moved += 1
            for view, area in chosen.items():
                taken[view] |= area
        if moved == wanted:
            break
    if not moved:
        return donor
    if host.scan.unit is PixelUnit.INTENSITY:
        for view, before in host.scan.images():
            images[view] = np.minimum(images[view], before.max())
    scan = host.changed(images, step="metastases transplanted").scan
    return TrainingSample(scan=scan, positive=True, masks=masks)


def _possible(donor: TrainingSample, host: TrainingSample) -> bool:
    counts = donor.scan.unit is PixelUnit.COUNTS and host.scan.unit is not PixelUnit.NORMALISED
    views = all(len(sample.scan.views) == len(View) for sample in (donor, host))
    return counts and views and donor.positive and not host.positive and donor.masks is not None


def _both_views(
    numbered: Mapping[View, NDArray[np.int32]],
    view: View,
    number: int,
    frame: Mapping[View, Extent],
) -> dict[View, NDArray[np.bool_]]:
    """A lesion's area in its view, and the lesions at the mirrored place in the other view."""
    area = numbered[view] == number
    chosen = {view: area}
    other = View.POSTERIOR if view is View.ANTERIOR else View.ANTERIOR
    if other not in numbered:
        return chosen
    rows, columns = np.nonzero(area)
    here, there = frame[view], frame[other]
    mirrored = there.left + there.width * (1 - (columns + 0.5 - here.left) / here.width)
    inside = np.zeros_like(area)
    inside[
        max(0, rows.min() - _TAPER) : rows.max() + _TAPER + 1,
        max(0, int(mirrored.min()) - _TAPER) : max(0, int(mirrored.max()) + _TAPER + 1),
    ] = True
    behind = np.unique(numbered[other][inside])
    chosen[other] = np.isin(numbered[other], behind[behind > 0])
    return chosen


def _add(
    images: dict[View, NDArray[np.float32]],
    masks: dict[View, NDArray[np.bool_]],
    donor: TrainingSample,
    chosen: Mapping[View, NDArray[np.bool_]],
    donor_frame: Mapping[View, Extent],
    host_frame: Mapping[View, Extent],
    *,
    is_picture: bool,
) -> bool:
    """Add a lesion to images and masks, if it is visible in at least one view."""
    lesions, of_a_count = {}, {}
    for view, area in chosen.items():
        image, every = donor.scan.view(view), donor.mask(view)
        if image is None or every is None or not area.any():
            continue
        factor = _typical(images[view]) / _typical(image)
        extents = donor_frame[view], host_frame[view]
        lesion = _lifted(image, area, every, extents, factor)
        if lesion is None:
            return False
        lesions[view] = lesion
        of_a_count[view] = factor if is_picture else 1.0
    shift = _best_shift(lesions, images)
    boxes, shows = {}, False
    for view, lesion in lesions.items():
        box = lesion.box(shift[view], images[view].shape)
        if box is None:
            return False
        boxes[view] = box
        below = float(images[view][box][lesion.mask].sum()) / of_a_count[view]
        signal = float(lesion.excess[lesion.mask].sum()) / of_a_count[view]
        shows |= bool(signal > _LEAST_SIGNAL * np.sqrt(max(1.0, below)))
    for view, box in boxes.items() if shows else ():
        images[view][box] = np.maximum(images[view][box] + lesions[view].excess, 0)
        masks[view][box] |= lesions[view].mask
    return shows


def _lifted(
    image: NDArray[np.float32],
    area: NDArray[np.bool_],
    every: NDArray[np.bool_],
    extents: tuple[Extent, Extent],
    factor: float,
) -> _Lesion | None:
    """Separate a lesion from its surroundings; `None` if other lesions cover all of them.

    Args:
        image: the donor's view.
        area: the lesion in it.
        every: all lesions in it.
        extents: the donor's frame and the host's.
        factor: the host's counts over the donor's.
    """
    margin = int(2 * _REACHES[0])
    rows, columns = np.nonzero(area)
    top, left = max(0, rows.min() - margin), max(0, columns.min() - margin)
    box = np.s_[top : rows.max() + margin + 1, left : columns.max() + margin + 1]
    inside, cut = area[box], image[box]
    clear = (ndimage.distance_transform_edt(~every[box]) > _RIM + _TAPER).astype(np.float32)
    surroundings = np.full_like(cut, np.nan)
    for reach in _REACHES:
        weight = ndimage.gaussian_filter(clear, reach)
        near = ndimage.gaussian_filter(clear * cut, reach) / np.maximum(weight, 1e-6)
        surroundings = np.where(weight >= _LEAST_SURROUNDINGS, near, surroundings)
    if np.isnan(surroundings[inside]).any():
        return None
    surroundings = np.where(np.isnan(surroundings), cut, surroundings)
    share = np.clip((_RIM + _TAPER - ndimage.distance_transform_edt(~inside)) / _TAPER, 0, 1)
    excess = np.asarray(share * (cut - surroundings), dtype=np.float32)

    here, there = extents
    tall, wide = there.height / here.height, there.width / here.width
    first_row = there.top + (top - here.top) * tall
    first_column = there.left + (left - here.left) * wide
    new_top, new_left = int(np.floor(first_row)), int(np.floor(first_column))
    count = (int(inside.shape[0] * tall), int(inside.shape[1] * wide))
    # centres of the host's pixels on the cut, whose pixel 0 has its centre at 0
    at_rows = (new_top + np.arange(count[0]) + 0.5 - first_row) / tall - 0.5
    at_columns = (new_left + np.arange(count[1]) + 0.5 - first_column) / wide - 0.5
    grid = np.stack(np.meshgrid(at_rows, at_columns, indexing="ij"))

    def brought(values: NDArray[np.float32], order: Literal[0, 1]) -> NDArray[np.float32]:
        moved = ndimage.map_coordinates(values, grid, order=order, mode="nearest")
        return np.asarray(moved, dtype=np.float32)

    return _Lesion(
        excess=factor * brought(excess, 1),
        surroundings=factor * brought(cut - excess, 1),
        mask=brought(inside.astype(np.float32), 0) > 0.5,
        top=new_top,
        left=new_left,
    )


def _best_shift(
    lesions: Mapping[View, _Lesion], images: Mapping[View, NDArray[np.float32]]
) -> dict[View, tuple[int, int]]:
    """The shift that aligns the donor's bones best with the host's, mirrored between the views."""
    rows, columns = _SEARCH
    total = np.zeros((2 * rows + 1, 2 * columns + 1))
    for view, lesion in lesions.items():
        field = np.pad(np.sqrt(images[view]), ((rows, rows), (columns, columns)), mode="edge")
        height, width = lesion.mask.shape
        part = field[
            max(0, lesion.top) : lesion.top + height + 2 * rows,
            max(0, lesion.left) : lesion.left + width + 2 * columns,
        ]
        if part.shape != (height + 2 * rows, width + 2 * columns):
            continue
        windows = np.lib.stride_tricks.sliding_window_view(part, (height, width))
        wanted = np.sqrt(np.maximum(lesion.surroundings, 0))
        wanted = (wanted - wanted.mean()) / max(1e-6, float(wanted.std()))
        deviations = np.maximum(windows.std(axis=(2, 3)), 1e-6)
        found = np.einsum("ijkl,kl->ij", windows, wanted) / wanted.size / deviations
        total += found if view is View.ANTERIOR else found[:, ::-1]
    down, across = np.mgrid[-rows : rows + 1, -columns : columns + 1]
    total -= _FAR * ((down / rows) ** 2 + (across / columns) ** 2)
    best = np.unravel_index(int(total.argmax()), total.shape)
    down_by, across_by = int(down[best]), int(across[best])
    return {View.ANTERIOR: (down_by, across_by), View.POSTERIOR: (down_by, -across_by)}


def _typical(image: NDArray[np.float32]) -> float:
    """Typical counts of a pixel inside the body."""
    inside = image[image > image.mean()]
    return max(1e-6, float(np.median(inside))) if inside.size else 1e-6
