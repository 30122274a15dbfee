"""Training samples: scans with their label and, where known, lesion masks and findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bonescint.prepare import Extent, PreparedScan
from bonescint.scan import ParameterError, PixelUnit, Scan, View
from bonescint.train.findings import FINDINGS

_Value = TypeVar("_Value", bound=np.generic)


class PlaneMove(Protocol):
    """Applies to a mask of a view, or to its findings, the change that was applied to its image."""

    def __call__(self, view: View, plane: NDArray[_Value]) -> NDArray[_Value]:
        """The changed plane; values are picked, never interpolated."""


_SUBCELLS = 4
_SUBCELL_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSample:
    """A scan to learn from.

    Attributes:
        scan: the scan.
        positive: the reference standard.
        masks: for each view a bool array of the scan's shape, true on metastases; `None`
            where nobody segmented the scan (a negative scan needs no mask).
        findings: for each view a uint8 array of the scan's shape: the kind of finding that each
            pixel shows (`findings.py`); `None` if unknown.
    """

    scan: Scan
    positive: bool
    masks: Mapping[View, NDArray[np.bool_]] | None = None
    findings: Mapping[View, NDArray[np.uint8]] | None = None

    def __post_init__(self) -> None:
        for name in ("masks", "findings"):
            for view, plane in (getattr(self, name) or {}).items():
                if plane.shape != self.scan.shape:
                    raise ParameterError(
                        name, "TrainingSample", f"of shape {self.scan.shape} ({view})", plane.shape
                    )

    def mask(self, view: View) -> NDArray[np.bool_] | None:
        """The mask of a view, or `None` if it has none."""
        return None if self.masks is None else self.masks.get(view)

    def changed(
        self,
        images: Mapping[View, NDArray[np.float32]],
        *,
        step: str,
        moved: PlaneMove | None = None,
        unit: PixelUnit | None = None,
    ) -> TrainingSample:
        """The same patient in other images.

        Args:
            images: by view; a view that is not given is missing.
            step: added to the scan's history.
            moved: applies the change to a view's mask and findings; they are not changed if it
                is not given.
            unit: unit of the images, if it changed; pictures (INTENSITY) have no pixel spacing.
        """
        scan = self.scan.with_views(
            anterior=images.get(View.ANTERIOR),
            posterior=images.get(View.POSTERIOR),
            step=step,
            unit=unit,
        )
        if unit is PixelUnit.INTENSITY:
            scan = replace(scan, pixel_spacing_mm=None)

        def along(
            planes: Mapping[View, NDArray[_Value]] | None,
        ) -> dict[View, NDArray[_Value]] | None:
            if planes is None:
                return None
            return {
                view: plane if moved is None else moved(view, plane)
                for view, plane in planes.items()
                if view in images
            }

        return TrainingSample(
            scan=scan,
            positive=self.positive,
            masks=along(self.masks),
            findings=along(self.findings),
        )

    @property
    def lesion_pixels(self) -> int:
        """Pixels marked as metastasis in the views that are present."""
        return sum(
            int(np.count_nonzero(mask))
            for view, mask in (self.masks or {}).items()
            if view in self.scan.views
        )


class ScanSource(Protocol):
    """Gives samples by number; safe to use from several processes."""

    @property
    def positives(self) -> Sequence[bool]:
        """The reference standard of every sample."""

    def __len__(self) -> int:
        """How many samples there are."""

    def sample(self, index: int) -> TrainingSample:
        """Sample number `index`."""


@dataclass(frozen=True, slots=True, eq=False)
class ListedSource:
    """Samples that are in memory already.

    Attributes:
        samples: the samples.
    """

    samples: tuple[TrainingSample, ...]

    @property
    def positives(self) -> Sequence[bool]:
        """The reference standard of every sample."""
        return tuple(sample.positive for sample in self.samples)

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.samples)

    def sample(self, index: int) -> TrainingSample:
        """Sample number `index`."""
        return self.samples[index]


@dataclass(frozen=True, slots=True, eq=False)
class JoinedScans:
    """Samples of several sources as one, with the scans that metastases are transplanted to.

    Attributes:
        parts: the sources, in order; one may occur several times, to be drawn more often.
        hosts: numbers of the samples, counted over all parts, that metastases are transplanted to.

    Examples:
        >>> both = JoinedScans((ListedSource(()), ListedSource(())), hosts=())
        >>> len(both)
        0
    """

    parts: tuple[ScanSource, ...]
    hosts: tuple[int, ...]

    @property
    def positives(self) -> Sequence[bool]:
        """The reference standard of every sample."""
        return tuple(label for part in self.parts for label in part.positives)

    def __len__(self) -> int:
        """How many samples there are."""
        return sum(len(part) for part in self.parts)

    def sample(self, index: int) -> TrainingSample:
        """Sample number `index`."""
        for part in self.parts:
            if index < len(part):
                return part.sample(index)
            index -= len(part)
        raise IndexError(index)


def lesion_cells(
    sample: TrainingSample, prepared: PreparedScan, *, rows: int, columns: int
) -> NDArray[np.bool_] | None:
    """Which cells of the activation map hold a metastasis.

    A cell counts as soon as one of its 4 x 4 parts is covered by more than 0.3.

    Args:
        sample: scan, label and masks.
        prepared: the same scan after the preprocessing (its extents are used).
        rows: cells along the composite's rows.
        columns: cells along the composite's columns, both views together.

    Returns:
        Bool array (rows, columns), or `None` if unknown.

    Examples:
        >>> from bonescint.prepare import prepare, preprocessing_named
        >>> from bonescint.scan import Acquisition, PixelUnit
        >>> scan = Scan(anterior=np.ones((64, 32)), posterior=np.ones((64, 32)), scan_id="s",
        ...             pixel_spacing_mm=None, unit=PixelUnit.COUNTS,
        ...             acquisition=Acquisition(modality="NM"))
        >>> mask = np.zeros((64, 32), dtype=bool)
        >>> mask[:2, :2] = True
        >>> sample = TrainingSample(scan=scan, positive=True, masks={View.POSTERIOR: mask})
        >>> cells = lesion_cells(sample, prepare(scan, preprocessing_named("ibrahim2023")),
        ...                      rows=32, columns=32)
        >>> np.argwhere(cells).tolist()
        [[0, 16]]
    """
    if not sample.positive:
        return np.zeros((rows, columns), dtype=bool)
    if sample.masks is None:
        return None
    cells = np.zeros((rows, columns), dtype=bool)
    half = columns // 2
    for view, extent in prepared.extents.items():
        mask = sample.mask(view)
        if mask is None or not mask.any():
            continue
        start = 0 if view is View.ANTERIOR else half
        cells[:, start : start + half] = _cells_by_number(
            mask.astype(np.uint8), extent, kinds=1, rows=rows, columns=half
        )[0]
    return cells


def finding_cells(
    sample: TrainingSample, prepared: PreparedScan, *, rows: int, columns: int
) -> NDArray[np.bool_] | None:
    """Which findings each cell of the activation map shows, by the same rule as `lesion_cells`.

    Args:
        sample: scan and findings.
        prepared: the same scan after the preprocessing (its extents are used).
        rows: cells along the composite's rows.
        columns: cells along the composite's columns, both views together.

    Returns:
        Bool array (kinds, rows, columns), or `None` if unknown.
    """
    if sample.findings is None:
        return None
    cells = np.zeros((len(FINDINGS), rows, columns), dtype=bool)
    half = columns // 2
    for view, extent in prepared.extents.items():
        numbers = sample.findings.get(view)
        if numbers is not None:
            start = 0 if view is View.ANTERIOR else half
            cells[:, :, start : start + half] = _cells_by_number(
                numbers, extent, kinds=len(FINDINGS), rows=rows, columns=half
            )
    return cells


def _cells_by_number(
    numbers: NDArray[np.uint8], extent: Extent, *, kinds: int, rows: int, columns: int
) -> NDArray[np.bool_]:
    """Which cells show each of the kinds 1, 2..., by counting pixels: (kinds, rows, columns)."""
    parts = (rows * _SUBCELLS, columns * _SUBCELLS)
    # Much faster than `np.nonzero` of two-dimensional bytes.
    at_row, at_column = np.divmod(np.flatnonzero(numbers != 0), numbers.shape[1])
    present, number = np.unique(numbers[at_row, at_column], return_inverse=True)
    row = np.floor((at_row + 0.5 - extent.top) / extent.height * parts[0]).astype(np.intp)
    column = np.floor((at_column + 0.5 - extent.left) / extent.width * parts[1]).astype(np.intp)
    shown = (row >= 0) & (row < parts[0]) & (column >= 0) & (column < parts[1])
    several = (present.size, *parts)  # of the kinds that are there: most scans show a few
    place = np.ravel_multi_index((number[shown], row[shown], column[shown]), several)
    counted = np.bincount(place, minlength=present.size * parts[0] * parts[1])
    pixels_of_part = extent.height / parts[0] * extent.width / parts[1]
    covered = np.flatnonzero(counted > _SUBCELL_SHARE * pixels_of_part)
    kind, part_row, part_column = np.unravel_index(covered, several)
    cells = np.zeros((kinds, rows, columns), dtype=bool)
    cells[present[kind] - 1, part_row // _SUBCELLS, part_column // _SUBCELLS] = True
    return cells
