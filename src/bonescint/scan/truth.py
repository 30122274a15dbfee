"""The truth about a scan, from the simulator or from a physician's segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bonescint.scan.checked import check_member
from bonescint.scan.errors import ParameterError
from bonescint.scan.views import View


class FocusKind(StrEnum):
    """What a focus of uptake is."""

    METASTASIS = "metastasis"
    MIMIC = "mimic"
    ORGAN = "organ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """A place where disease is, or where a reader or a model sees it.

    Attributes:
        view: the view in which the position is meant.
        row: row of the centre, in pixels of that view (0 at the head).
        column: column of the centre, in pixels of that view as seen from its own side.
        radius_mm: size, or `None` if unknown.
        confidence: 0 to 1 for a reader or a model; 1 for a truth.
        kind: metastasis, mimic (what looks like a metastasis and is not one), or organ (tracer
            where it is usual outside bone, such as the bladder).
        cause: what made it, such as `"prostate metastasis"` or `"rib fracture"`.
        region: bone or organ, such as `"L3"`.
        contrast: uptake over the bone around it, or `None`.
        contrast_to_noise: added counts over the square root of all counts in its mask.
    """

    view: View
    row: float
    column: float
    radius_mm: float | None = None
    confidence: float = 1.0
    kind: FocusKind = FocusKind.METASTASIS
    cause: str = ""
    region: str = ""
    contrast: float | None = None
    contrast_to_noise: float | None = None

    def __post_init__(self) -> None:
        check_member(self, "view", View)
        check_member(self, "kind", FocusKind)
        if not 0 <= self.confidence <= 1:
            raise ParameterError("confidence", "Focus", "from 0 to 1", self.confidence)
        if self.radius_mm is not None and not self.radius_mm > 0:
            raise ParameterError("radius_mm", "Focus", "above 0 mm", self.radius_mm)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """The reference standard of one scan.

    Attributes:
        positive: whether at least one metastasis is present.
        foci: every metastasis, mimic and hot organ, once for each view it is seen in.
        masks: for each view a bool array (rows, columns), true on metastases; empty if
            nobody segmented the scan.
        source: who or what says so, such as `"simulator"`.
        simulated: whether a simulator made the scan, so that no patient was imaged.

    Raises:
        ParameterError: metastases without `positive`, or a mask that is not (rows, columns).
    """

    positive: bool
    foci: tuple[Focus, ...] = ()
    masks: Mapping[View, NDArray[np.bool_]] = field(default_factory=dict)
    source: str = ""
    simulated: bool = False

    def __post_init__(self) -> None:
        if not self.positive and any(f.kind is FocusKind.METASTASIS for f in self.foci):
            raise ParameterError("positive", "Truth", "true when a metastasis is listed", False)
        frozen: dict[View, NDArray[np.bool_]] = {}
        for view, mask in self.masks.items():
            array = np.array(mask, dtype=bool, copy=True)
            if array.ndim != 2:
                raise ParameterError("masks", "Truth", "(rows, columns) per view", array.shape)
            array.flags.writeable = False
            frozen[view] = array
        object.__setattr__(self, "masks", frozen)
