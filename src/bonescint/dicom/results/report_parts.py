"""Common parts of all reports: document, algorithm, measurements, and measurement groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bonescint.dicom.results.source import derived_uid
from bonescint.extras import load
from bonescint.scan import RESEARCH_USE, Call, Prediction, View

if TYPE_CHECKING:
    from pydicom import Dataset

    from bonescint.dicom.results.results import ResultContext

SERIES_NUMBERS = {"report": 9902, "outlines": 9903, "quantities": 9904, "foci": 9905}
SCHEME = "99BONESCINT"
"""Designator of the private coding scheme, for what no standard scheme has."""
_SCHEME_NAME = "bonescint: concepts that no standard coding scheme has"
Code = tuple[str, str]
"""Value and meaning of a code; the scheme follows from the function that uses it."""
BONE: Code = ("272673000", "Bone")
"""SNOMED CT code of bone as such, of CID 8134."""
OOD_SCORE: Code = ("ood-score", "Out-of-distribution score")


def library() -> tuple[Any, Any]:
    """The reports of highdicom, and the codes of pydicom."""
    from pydicom.sr.codedict import codes

    return load("highdicom.sr", extra="pacs"), codes


def document(context: ResultContext, kind: str, groups: Sequence[Any]) -> Dataset:
    """A Comprehensive SR of measurement groups (TID 1500), in a series of its own.

    Args:
        context: the prediction, its model and its sources.
        kind: one of `SERIES_NUMBERS`.
        groups: at least one.
    """
    from pydicom.uid import ExplicitVRLittleEndian

    sr, codes = library()
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
    made: Dataset = sr.ComprehensiveSR(
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
    return made


def scan_group(
    context: ResultContext,
    measured: Sequence[Any],
    *,
    evaluated: Sequence[Any] = (),
    words: Sequence[str] = (),
) -> Any:
    """The whole scan (TID 1501): probability, call, out-of-distribution score, given measurements.

    Args:
        context: the prediction, its model and its sources.
        measured: further measurements.
        evaluated: further evaluations.
        words: sentences between the call and the notice.
    """
    sr, codes = library()
    answer = context.prediction
    presence = {
        Call.POSITIVE: codes.SCT.Present,
        Call.NEGATIVE: codes.SCT.Absent,
        Call.NO_CALL: codes.SCT.Undetermined,
    }[answer.call]
    score = [] if answer.ood_score is None else [own_number(OOD_SCORE, round(answer.ood_score, 4))]
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(context, "the scan", "Whole scan"),
        algorithm_id=_algorithm(context),
        finding_sites=[site(BONE)],
        measurements=[probability(answer.mbd_probability), *measured, *score],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(name=codes.SCT.BonyMetastasis, value=presence),
            *evaluated,
        ],
        source_images=[
            _image(context, sr.SourceImageForMeasurementGroup, file, frames)
            for file, frames in context.sources.frames_used()
        ],
    )
    said = " ".join([call_in_words(answer), *words, context.algorithm.notice])
    group[0].ContentSequence.append(_comment(said))
    return group


def view_group(
    context: ResultContext, name: str, view: View, *, where: Any, measured: Sequence[Any]
) -> Any:
    """Measurements of a site in one view, without an outline (TID 1501).

    The algorithm is named without its parameters, which the group of the whole scan has.

    Args:
        context: the prediction, its model and its sources.
        name: what is measured; no other group of the view has the same.
        view: the view.
        where: finding site.
        measured: at least one measurement.
    """
    sr, _ = library()
    called = f"{name}, {view.value} view"
    frame = context.sources.scan.acquisition.frames[view]
    image = _image(context, sr.SourceImageForMeasurementGroup, frame.file, (frame.number,))
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(context, called, called),
        algorithm_id=_algorithm(context, brief=True),
        finding_sites=[where],
        measurements=measured,
        source_images=[image],
    )


def outlined_group(
    context: ResultContext,
    name: str,
    view: View,
    outline: NDArray[np.float64],
    *,
    key: str,
    where: Any,
    measured: Sequence[Any],
) -> Any:
    """A polygon on its frame as a planar region of interest (TID 1410).

    Args:
        context: the prediction, its model and its sources.
        name: what is outlined.
        view: the view in which it lies.
        outline: float64 (n, 2), rows and columns of the polygon's corners in the view.
        key: what its tracking UID is derived from; no other group has the same.
        where: finding site.
        measured: at least one measurement.
    """
    sr, codes = library()
    place = context.sources.in_frame(view, outline)
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(context, key, f"{name}, {view.value} view"),
        referenced_region=sr.ImageRegion(
            graphic_type=sr.GraphicTypeValues.POLYLINE,
            graphic_data=np.vstack([place.points, place.points[:1]]),
            source_image=_image(context, sr.SourceImageForRegion, place.file, (place.frame,)),
        ),
        finding_type=codes.SCT.Lesion,
        algorithm_id=_algorithm(context),
        finding_sites=[where],
        measurements=measured,
    )


def site(code: Code, side: str = "") -> Any:
    """A finding site by its SNOMED CT code.

    Args:
        code: value and meaning.
        side: `"L"`, `"R"`, or empty.
    """
    sr, codes = library()
    return sr.FindingSite(
        anatomic_location=sr.CodedConcept(value=code[0], meaning=code[1], scheme_designator="SCT"),
        laterality={"L": codes.SCT.Left, "R": codes.SCT.Right}.get(side),
    )


def probability(share: float) -> Any:
    """A probability of metastases, 0 to 1, in per cent."""
    sr, codes = library()
    return sr.Measurement(
        name=codes.DCM.ProbabilityOfCancer, value=round(100 * share, 4), unit=codes.UCUM.Percent
    )


def area(value_mm2: float) -> Any:
    """An area."""
    sr, codes = library()
    return sr.Measurement(
        name=codes.SCT.Area, value=round(value_mm2, 3), unit=codes.UCUM.SquareMillimeter
    )


def own_number(code: Code, value: float, *, percent: bool = False) -> Any:
    """A number under a code of this software, without a unit or in per cent."""
    sr, codes = library()
    unit = codes.UCUM.Percent if percent else codes.UCUM.NoUnits
    return sr.Measurement(name=_own(code), value=value, unit=unit)


def own_evaluation(name: Code, value: Code) -> Any:
    """A statement whose name and value are codes of this software."""
    sr, _ = library()
    return sr.QualitativeEvaluation(name=_own(name), value=_own(value))


def _own(code: Code) -> Any:
    sr, _ = library()
    return sr.CodedConcept(value=code[0], meaning=code[1], scheme_designator=SCHEME)


def _tracking(context: ResultContext, key: str, identifier: str) -> Any:
    sr, _ = library()
    return sr.TrackingIdentifier(uid=context.uid(f"tracking of {key}"), identifier=identifier)


def _image(context: ResultContext, kind: Any, file: int, frames: Sequence[int]) -> Any:
    """A reference to frames of a source file; one that has a single frame is named as a whole."""
    header = context.sources.headers[file]
    return kind(
        referenced_sop_class_uid=header.SOPClassUID,
        referenced_sop_instance_uid=header.SOPInstanceUID,
        referenced_frame_numbers=list(frames) if context.sources.is_multi_frame(file) else None,
    )


def _algorithm(context: ResultContext, *, brief: bool = False) -> Any:
    """Algorithm Identification (TID 4019), with its parameters unless it is brief."""
    sr, codes = library()
    model = context.algorithm
    parameters = [
        f"SHA-256 of the model: {model.sha256}",
        f"Operating point on the probability: {100 * model.operating_point:.4g} %",
        f"Software: bonescint {model.software}",
        *context.settings,
        RESEARCH_USE,
    ]
    if model.ood_threshold is not None:
        parameters.append(f"No call above an out-of-distribution score of {model.ood_threshold:g}")
    return sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        family=codes.cid7162.ArtificialIntelligence,
        parameters=None if brief else parameters,
    )


def _comment(text: str) -> Any:
    """A sentence as a comment, an extension that the template permits."""
    sr, codes = library()
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
