"""A prediction as Comprehensive Structured Reports of template TID 1500.

There are two, each in a series of its own: one of the whole scan, one of the outlined regions. A
viewer that opens reports by their outlines (OHIF) shows an empty viewport for a report that holds
both, and of a series of several reports it shows one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bonescint.dicom.results.source import derived_uid
from bonescint.extras import load
from bonescint.scan import RESEARCH_USE, BodyPart, Call, EvidenceRegion, Prediction

if TYPE_CHECKING:
    from pydicom import Dataset

    from bonescint.dicom.results.results import AlgorithmFacts, ResultContext

SERIES_NUMBERS = {"report": 9902, "outlines": 9903}
SCHEME = "99BONESCINT"
"""Designator of the codes that no standard scheme has."""
_SCHEME_NAME = "bonescint: concepts that no standard coding scheme has"
FINDING_SITES: Mapping[BodyPart | None, tuple[str, str]] = MappingProxyType(
    {
        BodyPart.HEAD_AND_NECK: ("774007", "Head and Neck"),
        BodyPart.CHEST: ("816094009", "Chest"),
        BodyPart.ABDOMEN_AND_PELVIS: ("818982008", "Abdomen and Pelvis"),
        BodyPart.LOWER_LIMB: ("61685007", "Lower limb"),
        None: ("272673000", "Bone"),
    }
)
"""SNOMED CT codes of CID 4031 (common anatomic regions); of bone as such, of CID 8134."""
OOD_SCORE = ("ood-score", "Out-of-distribution score")
REGION_COUNT = ("evidence-regions", "Number of outlined regions of evidence")


def scan_report(context: ResultContext, regions: Sequence[EvidenceRegion]) -> Dataset:
    """The report of the whole scan: probability, call, score, number of outlined regions.

    Args:
        context: the prediction, its model and its sources.
        regions: the outlined regions, which are counted.
    """
    sr, codes = _library()
    answer = context.prediction
    measured = [
        _probability(100 * answer.mbd_probability),
        _number(REGION_COUNT, len(regions)),
    ]
    if answer.ood_score is not None:
        measured.append(_number(OOD_SCORE, round(answer.ood_score, 4)))
    images = [
        sr.SourceImageForMeasurementGroup(
            referenced_sop_class_uid=context.sources.headers[file].SOPClassUID,
            referenced_sop_instance_uid=context.sources.headers[file].SOPInstanceUID,
            referenced_frame_numbers=list(frames) if context.sources.is_multi_frame(file) else None,
        )
        for file, frames in context.sources.frames_used()
    ]
    presence = {
        Call.POSITIVE: codes.SCT.Present,
        Call.NEGATIVE: codes.SCT.Absent,
        Call.NO_CALL: codes.SCT.Undetermined,
    }[answer.call]
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=context.uid("tracking of the scan"), identifier="Whole scan"
        ),
        algorithm_id=_algorithm(context.algorithm),
        finding_sites=[_site(None)],
        measurements=measured,
        qualitative_evaluations=[
            sr.QualitativeEvaluation(name=codes.SCT.BonyMetastasis, value=presence)
        ],
        source_images=images,
    )
    words = f"{call_in_words(answer)} {context.algorithm.notice}"
    group[0].ContentSequence.append(_comment(words))
    return _document(context, "report", [group])


def outline_report(context: ResultContext, regions: Sequence[EvidenceRegion]) -> Dataset:
    """The report of the outlined regions, each as a polygon on its frame.

    Args:
        context: the prediction, its model and its sources.
        regions: at least one.
    """
    groups = [
        _region_group(context, number, region) for number, region in enumerate(regions, start=1)
    ]
    return _document(context, "outlines", groups)


def _region_group(context: ResultContext, number: int, region: EvidenceRegion) -> Any:
    """A region as a planar region of interest (TID 1410)."""
    sr, codes = _library()
    sources = context.sources
    place = sources.in_frame(region.view, region.outline)
    header = sources.headers[place.file]
    image = sr.SourceImageForRegion(
        referenced_sop_class_uid=header.SOPClassUID,
        referenced_sop_instance_uid=header.SOPInstanceUID,
        referenced_frame_numbers=[place.frame] if sources.is_multi_frame(place.file) else None,
    )
    measured = [_evidence(context.algorithm, region)]
    spacing = sources.scan.pixel_spacing_mm
    if spacing is not None:
        measured.append(
            sr.Measurement(
                name=codes.SCT.Area,
                value=round(region.pixels * spacing[0] * spacing[1], 3),
                unit=codes.UCUM.SquareMillimeter,
            )
        )
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=context.uid(f"tracking of region {number}"),
            identifier=f"Region {number}, {region.view.value} view",
        ),
        referenced_region=sr.ImageRegion(
            graphic_type=sr.GraphicTypeValues.POLYLINE,
            graphic_data=np.vstack([place.points, place.points[:1]]),
            source_image=image,
        ),
        finding_type=codes.SCT.Lesion,
        algorithm_id=_algorithm(context.algorithm),
        finding_sites=[_site(region.body_part)],
        measurements=measured,
    )


def _document(context: ResultContext, kind: str, groups: Sequence[Any]) -> Dataset:
    """A Comprehensive SR of measurement groups."""
    from pydicom.uid import ExplicitVRLittleEndian

    sr, codes = _library()
    schemes = load("highdicom.coding_schemes", extra="pacs")
    model = context.algorithm
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid(["device", model.sha256, model.software]),
        name="bonescint",
        manufacturer_name="bonescint",
        model_name=f"{model.name} {model.version}"[:64],
        serial_number=model.sha256,
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(
                observer_type=codes.DCM.Device, observer_identifying_attributes=device
            )
        ),
        procedure_reported=codes.LN.NMUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    document: Dataset = sr.ComprehensiveSR(
        evidence=context.sources.blank_headers(),
        content=content,
        **context.instance(kind, SERIES_NUMBERS[kind]),
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        coding_schemes=[
            schemes.CodingSchemeIdentificationItem(designator=SCHEME, name=_SCHEME_NAME)
        ],
    )
    return document


def _library() -> tuple[Any, Any]:
    """Highdicom's reports and pydicom's codes."""
    from pydicom.sr.codedict import codes

    return load("highdicom.sr", extra="pacs"), codes


def _algorithm(model: AlgorithmFacts) -> Any:
    """Algorithm Identification (TID 4019)."""
    sr, codes = _library()
    parameters = [
        f"SHA-256 of the model: {model.sha256}",
        f"Operating point on the probability: {100 * model.operating_point:.4g} %",
        f"Software: bonescint {model.software}",
        RESEARCH_USE,
    ]
    if model.ood_threshold is not None:
        parameters.append(f"No call above an out-of-distribution score of {model.ood_threshold:g}")
    return sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        family=codes.cid7162.ArtificialIntelligence,
        parameters=parameters,
    )


def _probability(percent: float) -> Any:
    sr, codes = _library()
    return sr.Measurement(
        name=codes.DCM.ProbabilityOfCancer, value=round(percent, 4), unit=codes.UCUM.Percent
    )


def _number(code: tuple[str, str], value: float) -> Any:
    """A number without a unit, under a code of this software."""
    sr, codes = _library()
    name = sr.CodedConcept(value=code[0], meaning=code[1], scheme_designator=SCHEME)
    return sr.Measurement(name=name, value=value, unit=codes.UCUM.NoUnits)


def _evidence(model: AlgorithmFacts, region: EvidenceRegion) -> Any:
    """The strongest evidence in a region, as what the model's maps are."""
    sr, codes = _library()
    if model.map_kind.startswith("probability"):
        return _probability(100 * min(region.peak, 1.0))
    name = codes.DCM.ClassActivation
    if model.map_kind == "Grad-CAM":
        name = codes.DCM.GradientWeightedClassActivation
    return sr.Measurement(name=name, value=round(region.peak, 6), unit=codes.UCUM.NoUnits)


def _site(part: BodyPart | None) -> Any:
    """The finding site: a map has no names of bones."""
    sr, _ = _library()
    value, meaning = FINDING_SITES[part]
    return sr.FindingSite(
        anatomic_location=sr.CodedConcept(value=value, meaning=meaning, scheme_designator="SCT")
    )


def _comment(text: str) -> Any:
    """A sentence, which the template does not foresee and permits."""
    sr, codes = _library()
    return sr.TextContentItem(
        name=codes.DCM.Comment,
        value=text,
        relationship_type=sr.RelationshipTypeValues.CONTAINS,
    )


def call_in_words(answer: Prediction) -> str:
    """The call as a sentence, since the codes cannot say that there is none.

    Examples:
        >>> call_in_words(Prediction(scan_id="a", mbd_probability=0.9, positive=True, model_id="m"))
        'Call of the model: positive.'
    """
    if answer.call is Call.NO_CALL:
        return "No call: the scan is unlike those that the model knows."
    doubt = " Uncertain: close to the operating point." if answer.uncertain else ""
    unlike = " The scan is unlike those that the model knows." if answer.unlike else ""
    return f"Call of the model: {answer.call.value}.{doubt}{unlike}"
