"""A prediction as Comprehensive Structured Reports of template TID 1500.

There are two, each in a series of its own: one of the whole scan, one of the outlined regions. A
viewer that opens reports by their outlines (OHIF) shows an empty viewport for a report that holds
both, and of a series of several reports it shows one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bonescint.dicom.results.report_parts import (
    BONE,
    Code,
    area,
    document,
    library,
    outlined_group,
    own_number,
    probability,
    scan_group,
    site,
)
from bonescint.scan import BodyPart, EvidenceRegion

if TYPE_CHECKING:
    from pydicom import Dataset

    from bonescint.dicom.results.results import AlgorithmFacts, ResultContext

FINDING_SITES: Mapping[BodyPart | None, Code] = MappingProxyType(
    {
        BodyPart.HEAD_AND_NECK: ("774007", "Head and Neck"),
        BodyPart.CHEST: ("816094009", "Chest"),
        BodyPart.ABDOMEN_AND_PELVIS: ("818982008", "Abdomen and Pelvis"),
        BodyPart.LOWER_LIMB: ("61685007", "Lower limb"),
        None: BONE,  # a map has no names of bones
    }
)
"""SNOMED CT codes of CID 4031 (common anatomic regions); of bone as such, of CID 8134."""
REGION_COUNT: Code = ("evidence-regions", "Number of outlined regions of evidence")


def scan_report(context: ResultContext, regions: Sequence[EvidenceRegion]) -> Dataset:
    """The report of the whole scan: probability, call, score, number of outlined regions.

    Args:
        context: the prediction, its model and its sources.
        regions: the outlined regions, which are counted.
    """
    count = own_number(REGION_COUNT, len(regions))
    return document(context, "report", [scan_group(context, [count])])


def outline_report(context: ResultContext, regions: Sequence[EvidenceRegion]) -> Dataset:
    """The report of the outlined regions, each as a polygon on its frame.

    Args:
        context: the prediction, its model and its sources.
        regions: at least one.
    """
    groups = [
        _region_group(context, number, region) for number, region in enumerate(regions, start=1)
    ]
    return document(context, "outlines", groups)


def _region_group(context: ResultContext, number: int, region: EvidenceRegion) -> Any:
    measured = [_evidence(context.algorithm, region)]
    spacing = context.sources.scan.pixel_spacing_mm
    if spacing is not None:
        measured.append(area(region.pixels * spacing[0] * spacing[1]))
    return outlined_group(
        context,
        f"Region {number}",
        region.view,
        region.outline,
        key=f"region {number}",
        where=site(FINDING_SITES[region.body_part]),
        measured=measured,
    )


def _evidence(model: AlgorithmFacts, region: EvidenceRegion) -> Any:
    """The strongest evidence in a region, as what the model's maps are."""
    if model.map_kind.startswith("probability"):
        return probability(min(region.peak, 1.0))
    sr, codes = library()
    name = codes.DCM.ClassActivation
    if model.map_kind == "Grad-CAM":
        name = codes.DCM.GradientWeightedClassActivation
    return sr.Measurement(name=name, value=float(f"{region.peak:.6g}"), unit=codes.UCUM.NoUnits)
