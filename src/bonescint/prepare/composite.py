"""Apply preprocessing: both views of a scan become one array, AP and PA side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.prepare.framing import Extent, resampled
from bonescint.prepare.preprocessing import Preprocessing
from bonescint.scan import ParameterError, Scan, UnitError, View


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedScan:
    """The input of a model, and where each part of it lies on the scan.

    Attributes:
        scan_id: identifier of the scan.
        composite: float32 array (1, rows, 2 x columns) in [0, 1], anterior left, posterior
            right, each as seen from its own side; the half of a missing view is 0.
        extents: for each present view, the part of it that its half shows.
        preprocessing: name and version of the preprocessing.
    """

    scan_id: str
    composite: NDArray[np.float32]
    extents: Mapping[View, Extent]
    preprocessing: str

    def halves(self, composite_map: NDArray[np.float32]) -> dict[View, NDArray[np.float32]]:
        """Cut a map over the composite into one map for each present view.

        Args:
            composite_map: array (map rows, map columns), any resolution with an even number
                of columns.

        Returns:
            For each present view its half, array (map rows, map columns / 2); it covers
            exactly `extents[view]`.

        Raises:
            ParameterError: an odd number of columns.
        """
        columns = composite_map.shape[1]
        if columns % 2:
            raise ParameterError(
                "composite_map", "PreparedScan.halves", "even in its columns", columns
            )
        half = columns // 2
        parts = {View.ANTERIOR: composite_map[:, :half], View.POSTERIOR: composite_map[:, half:]}
        return {view: parts[view] for view in self.extents}


def prepare(scan: Scan, preprocessing: Preprocessing) -> PreparedScan:
    """Prepare a scan for a model.

    Args:
        scan: one or two views, in a unit that the preprocessing accepts.
        preprocessing: the steps.

    Returns:
        The composite and where its parts lie on the scan.

    Raises:
        UnitError: pixels in a unit that the preprocessing does not accept, for instance already
            normalised ones.

    Examples:
        >>> from bonescint.prepare import preprocessing_named
        >>> from bonescint.scan import Acquisition, PixelUnit
        >>> scan = Scan(anterior=np.eye(64, 32), posterior=None, pixel_spacing_mm=None,
        ...             unit=PixelUnit.COUNTS, scan_id="bs-1",
        ...             acquisition=Acquisition(modality="NM"))
        >>> prepare(scan, preprocessing_named("ibrahim2023")).composite.shape
        (1, 512, 512)
    """
    if scan.unit not in preprocessing.accepts:
        accepted = " or ".join(unit.value for unit in preprocessing.accepts)
        raise UnitError(
            f"The preprocessing {preprocessing.identifier} takes pixels in {accepted}. "
            f"Got {scan.unit.value} instead (scan {scan.scan_id})."
        )
    extents = preprocessing.framing.extents(scan)
    composite = np.zeros((1, preprocessing.rows, 2 * preprocessing.columns), dtype=np.float32)
    for view, image in scan.images():
        framed = resampled(
            image, extents[view], rows=preprocessing.rows, columns=preprocessing.columns
        )
        start = 0 if view is View.ANTERIOR else preprocessing.columns
        composite[0, :, start : start + preprocessing.columns] = preprocessing.intensity.normalised(
            framed
        )
    composite.flags.writeable = False
    return PreparedScan(
        scan_id=scan.scan_id,
        composite=composite,
        extents=extents,
        preprocessing=preprocessing.identifier,
    )
