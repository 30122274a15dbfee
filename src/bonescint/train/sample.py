"""What training reads: scans with their label and, where known, lesion masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bonescint.prepare import Extent, PreparedScan, resampled
from bonescint.scan import ParameterError, PixelUnit, Scan, View

_SUBCELLS = 4
_SUBCELL_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """A scan to learn from.

    Attributes:
        scan: the scan.
        positive: the reference standard.
        masks: for each view a bool array of the scan's shape, true on metastases; `None`
            where nobody segmented the scan (a negative scan needs no mask).
    """

    scan: Scan
    positive: bool
    masks: Mapping[View, NDArray[np.bool_]] | None = None

    def __post_init__(self) -> None:
        for view, mask in (self.masks or {}).items():
            if mask.shape != self.scan.shape:
                raise ParameterError(
                    "masks", "Sample", f"of shape {self.scan.shape} ({view})", mask.shape
                )

    def mask(self, view: View) -> NDArray[np.bool_] | None:
        """The mask of a view, or `None` if it has none."""
        return None if self.masks is None else self.masks.get(view)

    def changed(
        self,
        images: Mapping[View, NDArray[np.float32]],
        *,
        step: str,
        masks: Mapping[View, NDArray[np.bool_]] | None = None,
        unit: PixelUnit | None = None,
    ) -> Sample:
        """The same patient in other images.

        Args:
            images: by view; a view that is not given is missing.
            step: added to the scan's history.
            masks: that go with the images; the old ones if not given.
            unit: of the images, if it changed; pictures (INTENSITY) have no pixel spacing.
        """
        scan = self.scan.with_views(
            anterior=images.get(View.ANTERIOR),
            posterior=images.get(View.POSTERIOR),
            step=step,
            unit=unit,
        )
        if unit is PixelUnit.INTENSITY:
            scan = replace(scan, pixel_spacing_mm=None)
        return Sample(
            scan=scan, positive=self.positive, masks=self.masks if masks is None else masks
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

    def sample(self, index: int) -> Sample:
        """Sample number `index`."""


@dataclass(frozen=True, slots=True, eq=False)
class ListedSource:
    """Samples that are in memory already.

    Attributes:
        samples: the samples.
    """

    samples: tuple[Sample, ...]

    @property
    def positives(self) -> Sequence[bool]:
        """The reference standard of every sample."""
        return tuple(sample.positive for sample in self.samples)

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.samples)

    def sample(self, index: int) -> Sample:
        """Sample number `index`."""
        return self.samples[index]


def lesion_cells(
    sample: Sample, prepared: PreparedScan, *, rows: int, columns: int
) -> NDArray[np.bool_] | None:
    """Which cells of the activation map hold a metastasis.

    A cell counts as soon as one of its 4 x 4 parts is covered by more than 0.3.

    Args:
        sample: scan, label and masks.
        prepared: the same scan after the recipe (its extents are used).
        rows: cells along the composite's rows.
        columns: cells along the composite's columns, both views together.

    Returns:
        Bool array (rows, columns), or `None` where nobody knows.

    Examples:
        >>> from bonescint.prepare import prepare, recipe_named
        >>> from bonescint.scan import Acquisition, PixelUnit
        >>> scan = Scan(anterior=np.ones((64, 32)), posterior=np.ones((64, 32)), scan_id="s",
        ...             pixel_spacing_mm=None, unit=PixelUnit.COUNTS,
        ...             acquisition=Acquisition(modality="NM"))
        >>> mask = np.zeros((64, 32), dtype=bool)
        >>> mask[:2, :2] = True
        >>> sample = Sample(scan=scan, positive=True, masks={View.POSTERIOR: mask})
        >>> cells = lesion_cells(sample, prepare(scan, recipe_named("ibrahim2023")),
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
        cells[:, start : start + half] = _cells_of(mask, extent, rows=rows, columns=half)
    return cells


def _cells_of(
    mask: NDArray[np.bool_], extent: Extent, *, rows: int, columns: int
) -> NDArray[np.bool_]:
    fine = resampled(
        mask.astype(np.float32), extent, rows=rows * _SUBCELLS, columns=columns * _SUBCELLS
    )
    parts = fine.reshape(rows, _SUBCELLS, columns, _SUBCELLS)
    covered: NDArray[np.bool_] = parts.max(axis=(1, 3)) > _SUBCELL_SHARE
    return covered
