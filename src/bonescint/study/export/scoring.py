"""Which marks hit a metastasis: within a stated radius, raw marks kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from bonescint.cohort import read_truth
from bonescint.scan import FocusKind, Truth, View
from bonescint.scan.lesions import lesions_by_place

ASSUMED_SPACING_MM = 2.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a mark is worth.

    Attributes:
        distance_mm: to the nearest metastasis of the view, 0 inside; `None` without any.
        lesion: number of the metastasis it belongs to; `None` if it hits none.
        hit: whether it lies within the radius.
    """

    distance_mm: float | None
    lesion: int | None
    hit: bool


class CaseScorer:
    """Scores the marks of one case against its metastases.

    A mark hits when it lies within the radius of a metastasis' mask, or of its centre where
    nobody drew a mask. It is then counted for the metastasis whose centre is nearest. A
    metastasis that is seen in both views is one: see `lesions_by_place`.

    Args:
        truth: with masks, or foci alone.
        spacing_mm: between rows and between columns.
        columns: of the views.
        radius_mm: that still counts.
    """

    def __init__(
        self,
        truth: Truth,
        spacing_mm: tuple[float, float],
        *,
        columns: int,
        radius_mm: float,
    ) -> None:
        self._spacing = spacing_mm
        self._radius = radius_mm
        self._foci = [f for f in truth.foci if f.kind is FocusKind.METASTASIS]
        self._lesion = lesions_by_place(self._foci, spacing_mm, columns=columns)
        self._distances: dict[View, NDArray[np.float64]] = {
            view: np.asarray(distance_transform_edt(~mask, sampling=spacing_mm))
            for view, mask in truth.masks.items()
            if mask.any()
        }

    @property
    def lesions(self) -> int:
        """How many metastases there are."""
        return max(self._lesion, default=0)

    def score(self, view: View, row: float, column: float) -> Score:
        """Score one mark."""
        centres = self._to_centres(view, row, column)
        distances = self._distances.get(view)
        if distances is not None:
            rows, columns = distances.shape
            at = (min(max(round(row), 0), rows - 1), min(max(round(column), 0), columns - 1))
            distance: float | None = float(distances[at])
        else:
            distance = min(centres.values(), default=None)
        hit = distance is not None and distance <= self._radius
        nearest = min(centres, key=centres.__getitem__) if hit and centres else None
        lesion = None if nearest is None else self._lesion[nearest]
        return Score(
            distance_mm=None if distance is None else round(distance, 2), lesion=lesion, hit=hit
        )

    def _to_centres(self, view: View, row: float, column: float) -> dict[int, float]:
        down, across = self._spacing
        return {
            number: float(np.hypot((row - f.row) * down, (column - f.column) * across))
            for number, f in enumerate(self._foci)
            if f.view is view
        }


def scorer_of(
    masks_file: Path, positive: bool, picture: Mapping[str, Any], radius_mm: float
) -> CaseScorer | None:
    """The scorer of a case; `None` where nobody knows where its metastases are.

    Args:
        masks_file: the case's truth file; it need not be there.
        positive: whether the case has metastases.
        picture: with its spacing; 2.4 mm is assumed where it is unknown.
        radius_mm: that still counts.
    """
    spacing = (
        picture.get("row_mm") or ASSUMED_SPACING_MM,
        picture.get("column_mm") or ASSUMED_SPACING_MM,
    )
    if masks_file.is_file():
        truth = read_truth(masks_file)
    elif positive:
        return None
    else:
        truth = Truth(positive=False)  # every mark is false, wherever it is
    return CaseScorer(truth, spacing, columns=int(picture["columns"]), radius_mm=radius_mm)


def median_and_quartiles(values: Sequence[float]) -> tuple[float, float, float] | None:
    """First quartile, median and third quartile; `None` of nothing."""
    if not values:
        return None
    first, middle, third = np.percentile(np.asarray(values, dtype=np.float64), [25, 50, 75])
    return float(first), float(middle), float(third)
