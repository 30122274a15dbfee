"""A quantified scan: regions, foci and the Bone Scan Index, with their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bonescint.quantify.bone_scan_index import (
    METASTASIS_FROM,
    BoneScanIndex,
    MassTable,
    bone_masses,
    bone_scan_index,
)
from bonescint.quantify.candidates import FocusInView
from bonescint.quantify.foci import MatchedFocus, named_candidates
from bonescint.quantify.regions import BodyRegions, body_regions
from bonescint.scan import RESEARCH_USE, Call, Prediction, Scan, View
from bonescint.simulate.seen_foci import TWELVE_NAMES

QUANTIFIED_SCHEMA_VERSION = 1
SHOWN_FROM = 0.1
"""Foci are shown from this probability of a metastasis on; results.json has all."""
_MUCH_UNSEEN = 0.05
"""Share of the skeleton's mass outside the image that a remark on the index names."""
_MARKS = bytes.maketrans(b"\0\1", b".#")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantifiedScan:
    """What `quantify_scan` finds.

    Attributes:
        scan: the scan.
        prediction: the model's answer for it.
        body: bones and regions.
        foci: foci, matched between the views, the most probable first.
        index: Bone Scan Index, or `None` with the reason in `remarks`.
        remarks: what to keep in mind, in words.
        usual: what stands out and is most probably usual uptake; unless a prior scan says that it
            has risen (`with_risen`).
    """

    scan: Scan
    prediction: Prediction
    body: BodyRegions
    foci: tuple[MatchedFocus, ...]
    index: BoneScanIndex | None
    remarks: tuple[str, ...]
    usual: tuple[MatchedFocus, ...] = ()

    @property
    def metastases(self) -> tuple[MatchedFocus, ...]:
        """The foci that count for the index."""
        return tuple(one for one in self.foci if one.probability >= METASTASIS_FROM)

    @property
    def shown_foci(self) -> tuple[MatchedFocus, ...]:
        """The foci that pictures and tables show, by their probability of a metastasis."""
        return tuple(one for one in self.foci if one.probability >= SHOWN_FROM)

    @property
    def is_doubtful(self) -> bool:
        """Whether there is no call, or bones were not found well: foci are not to be relied on."""
        return self.prediction.call is Call.NO_CALL or self.body.registration.poor != ()

    def region_areas(self, view: View) -> dict[str, dict[str, float | None]]:
        """Area of each region of a view.

        Args:
            view: one that the scan has.

        Returns:
            By region `share_of_bone`, the share of all bone in the view, and `area_mm2`, `None`
            without a pixel spacing.
        """
        regions = self.body.regions[view]
        pixels = np.bincount(regions.ravel(), minlength=len(TWELVE_NAMES) + 1)[1:]
        spacing = self.scan.pixel_spacing_mm
        return {
            name: {
                "share_of_bone": round(float(of / max(int(pixels.sum()), 1)), 5),
                "area_mm2": round(float(of) * spacing[0] * spacing[1], 1) if spacing else None,
            }
            for name, of in zip(TWELVE_NAMES, pixels, strict=True)
        }

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary with a schema version."""
        return {
            "schema_version": QUANTIFIED_SCHEMA_VERSION,
            "notice": RESEARCH_USE,
            "scan_id": self.scan.scan_id,
            "model_id": self.prediction.model_id,
            "mbd_probability": self.prediction.mbd_probability,
            "call": self.prediction.call.value,
            "shape": list(self.scan.shape),
            "pixel_spacing_mm": self.scan.pixel_spacing_mm and list(self.scan.pixel_spacing_mm),
            "remarks": list(self.remarks),
            "registration": {
                view.value: {
                    "likeness": round(of, 3),
                    "found_well": view not in poor,
                    "advantage_over_opposite_side": round(self.body.labels.advantage[view], 3),
                }
                for poor in (self.body.registration.poor,)
                for view, of in self.body.registration.likeness.items()
            },
            "agreement_on_left_and_right": self.body.labels.agreement
            and round(self.body.labels.agreement, 3),
            "regions": {view.value: self.region_areas(view) for view in self.body.regions},
            "bone_scan_index": None if self.index is None else index_json(self.index),
            "foci": [focus_json(one) for one in self.foci],
        }


def quantify_scan(
    scan: Scan,
    prediction: Prediction,
    *,
    masses: MassTable = MassTable.SPIERS,
    call_anyway: bool = False,
    seed: int = 0,
) -> QuantifiedScan:
    """Find regions and foci of a scan, and the share of its skeleton that is diseased.

    Args:
        scan: one or two views.
        prediction: of the scan, by a model whose map is the probability of each cell.
        masses: the bones' shares of mass for the Bone Scan Index.
        call_anyway: also give an index for a scan that the model does not call.
        seed: of the resampling for the interval.

    Returns:
        Regions, foci and index; without a call there is no index.
    """
    body = body_regions(scan)
    foci, usual = named_candidates(scan, prediction, body)
    remarks = [*scan.warnings, *prediction.warnings, *body.remarks]
    if scan.pixel_spacing_mm is None:
        remarks.append("The pixel spacing is unknown: areas are shares of the body's bone.")
    index = None
    if prediction.call is Call.NO_CALL and not call_anyway:
        remarks.append("The scan is too unlike those that the model knows: no index.")
    elif body.registration.poor:
        remarks.append("No index, since the bones were not found well.")
    else:
        index = bone_scan_index(scan, prediction, body, foci, table=masses, seed=seed)
        seen = np.max(list(body.shares_inside.values()), axis=0)
        unseen = float(bone_masses(masses) @ (1 - seen))
        if unseen >= _MUCH_UNSEEN:
            remarks.append(
                f"About {unseen:.0%} of the skeleton lie outside the image: the index is not that "
                "of the whole skeleton."
            )
    return QuantifiedScan(
        scan=scan,
        prediction=prediction,
        body=body,
        foci=foci,
        index=index,
        remarks=tuple(dict.fromkeys(remarks)),
        usual=usual,
    )


def index_json(index: BoneScanIndex) -> dict[str, Any]:
    """A Bone Scan Index for JSON."""
    return {
        "percent": round(index.percent, 4),
        "low": None if index.low is None else round(index.low, 4),
        "high": None if index.high is None else round(index.high, 4),
        "interval": "95 %: Poisson resampling of this scan, and errors in simulated scans",
        "bone_masses": index.table.value,
        "bone_masses_source": index.table.source,
        "metastases": index.metastases,
        "metastasis_from_probability": METASTASIS_FROM,
        "by_bone": {bone: round(of, 4) for bone, of in index.by_bone.items()},
    }


def focus_json(focus: MatchedFocus) -> dict[str, Any]:
    """A focus for JSON."""
    return {
        "number": focus.number,
        "bone": focus.bone,
        "region": focus.region,
        "probability": round(focus.probability, 4),
        "finding_probabilities": {
            name: round(of, 4) for name, of in focus.finding_probabilities.items() if of >= 5e-4
        },
        "views": [_view_json(one) for one in focus.in_views],
    }


def findings_in_words(probabilities: Mapping[str, float]) -> str:
    """Up to three findings with a probability of at least 0.05, the most probable first.

    Examples:
        >>> findings_in_words({"metastasis": 0.62, "joint": 0.21, "bladder": 0.01})
        'metastasis 0.62, joint 0.21'
    """
    shown = [f"{name} {of:.2f}" for name, of in probabilities.items() if of >= 0.05]
    return ", ".join(shown[:3])


def _view_json(focus: FocusInView) -> dict[str, Any]:
    return {
        "view": focus.view.value,
        "row": focus.row,
        "column": focus.column,
        "bone": focus.bone,
        "contrast": round(focus.contrast, 3),
        "contrast_to_noise": None
        if focus.contrast_to_noise is None
        else round(focus.contrast_to_noise, 2),
        "area_mm2": None if focus.area_mm2 is None else round(focus.area_mm2, 1),
        "share_of_bone": round(focus.share_of_bone, 6),
        "probability": round(focus.probability, 4),
        "outline": {
            "top": focus.top,
            "left": focus.left,
            "rows": [row.tobytes().translate(_MARKS).decode() for row in focus.mask],
        },
    }
