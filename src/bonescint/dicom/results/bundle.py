"""A prediction as an HL7 FHIR R5 bundle: a diagnostic report with what it rests on.

The patient is referred to as the one of the imaging study, without a name or a number: whoever
receives the bundle knows the study.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bonescint.dicom.header import quiet
from bonescint.dicom.results.report import FINDING_SITES
from bonescint.dicom.results.report_parts import OOD_SCORE, call_in_words
from bonescint.dicom.results.results import AlgorithmFacts, ResultContext
from bonescint.dicom.results.source import ResultSources
from bonescint.scan import RESEARCH_USE, Call, EvidenceRegion, Prediction, Scan

if TYPE_CHECKING:
    from bonescint.dicom.discovery import StudyFiles

_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_SNOMED = "http://snomed.info/sct"
_LOINC = "http://loinc.org"
_UCUM = "http://unitsofmeasure.org"
_OWN = "urn:bonescint:concepts"
_UID_SYSTEM = "urn:dicom:uid"
_NUCLEAR_MEDICINE = {"coding": [{"system": _DICOM, "code": "NM", "display": "Nuclear Medicine"}]}
_PRESENCE = {
    Call.POSITIVE: ("52101004", "Present"),
    Call.NEGATIVE: ("272519000", "Absent"),
    Call.NO_CALL: ("373068000", "Undetermined"),
}
_PROBABILITY = (_DICOM, "111047", "Probability of cancer")


def result_bundle(
    study: StudyFiles,
    scan: Scan,
    prediction: Prediction,
    *,
    regions: Sequence[EvidenceRegion],
    algorithm: AlgorithmFacts,
) -> dict[str, Any]:
    """A FHIR R5 bundle of one prediction: report, observations, study, outlines, device.

    Args:
        study: the files that the scan was read from.
        scan: as it was read.
        prediction: the answer for it.
        regions: the outlined regions.
        algorithm: the model.

    Returns:
        A JSON-ready `Bundle` of the type `collection`. The same input gives the same bundle.

    Raises:
        InputError: a file is no DICOM, or lacks the UIDs that the bundle refers to.
        ParameterError: a prediction of another scan, or a scan that was changed since it was read.
    """
    with quiet():
        context = ResultContext(
            sources=ResultSources.read(study, scan), prediction=prediction, algorithm=algorithm
        )
        resources = _resources(context, regions)
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one} for one in resources],
    }


def _resources(context: ResultContext, regions: Sequence[EvidenceRegion]) -> list[dict[str, Any]]:
    """The report first, then what it rests on."""
    imaging, observed = _imaging_study(context), _observations(context)
    outlines = [
        _selection(context, number, region) for number, region in enumerate(regions, start=1)
    ]
    report = _report(context, imaging, observed, len(regions))
    return [report, *observed, imaging, *outlines, _device(context)]


def _resource(context: ResultContext, kind: str, what: str, **content: Any) -> dict[str, Any]:
    """A resource whose id follows from what it is of."""
    number = int(context.uid(f"fhir {what}").rpartition(".")[2])
    return {"resourceType": kind, "id": str(uuid.UUID(int=number)), **content}


def _refer(resource: dict[str, Any]) -> dict[str, str]:
    return {"reference": f"urn:uuid:{resource['id']}", "type": resource["resourceType"]}


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _oid(uid: object) -> str:
    return f"urn:oid:{uid}"


def _subject(context: ResultContext) -> dict[str, Any]:
    """The patient of the study, by the study's UID: no name, no number."""
    patient = {"system": "urn:bonescint:patient-of-study", "value": _oid(context.sources.study_uid)}
    return {"type": "Patient", "identifier": patient, "display": "Patient of the imaging study"}


def _dated(context: ResultContext) -> dict[str, str]:
    date = context.sources.date
    return {} if date is None else {"effectiveDateTime": f"{date[:4]}-{date[4:6]}-{date[6:]}"}


def _device(context: ResultContext) -> dict[str, Any]:
    """The software with its model, by the model's hash."""
    model = context.algorithm
    return _resource(
        context,
        "Device",
        "device",
        identifier=[{"system": "urn:bonescint:model-sha256", "value": model.sha256}],
        manufacturer="bonescint",
        name=[{"value": f"bonescint with model {model.name}", "type": "user-friendly-name"}],
        version=[
            {"type": {"text": "software"}, "value": model.software},
            {"type": {"text": "model"}, "value": model.version},
        ],
        note=[{"text": model.notice}],
    )


def _imaging_study(context: ResultContext) -> dict[str, Any]:
    """The source study with the files that were read."""
    series: dict[str, dict[str, Any]] = {}
    for header in context.sources.headers:
        uid = str(header.SeriesInstanceUID)
        one = series.setdefault(uid, {"uid": uid, "modality": _NUCLEAR_MEDICINE, "instance": []})
        one["instance"].append(
            {
                "uid": str(header.SOPInstanceUID),
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": _oid(header.SOPClassUID)},
            }
        )
    study_uid = _oid(context.sources.study_uid)
    return _resource(
        context,
        "ImagingStudy",
        "study",
        identifier=[{"system": _UID_SYSTEM, "value": study_uid}],
        status="available",
        modality=[_NUCLEAR_MEDICINE],
        subject=_subject(context),
        series=list(series.values()),
    )


def _observations(context: ResultContext) -> list[dict[str, Any]]:
    """Probability, call and out-of-distribution score."""
    answer = context.prediction
    percent = {"value": round(100 * answer.mbd_probability, 4), "unit": "%"}
    present = _concept(_SNOMED, *_PRESENCE[answer.call])
    found = [
        _observation(
            context,
            "probability",
            _concept(*_PROBABILITY),
            valueQuantity={**percent, "system": _UCUM, "code": "%"},
        ),
        _observation(
            context,
            "call",
            _concept(_SNOMED, "94222008", "Bony metastasis"),
            valueCodeableConcept=present,
        ),
    ]
    if answer.ood_score is not None:
        score = {"value": round(answer.ood_score, 4), "system": _UCUM, "code": "1"}
        found.append(
            _observation(context, "score", _concept(_OWN, *OOD_SCORE), valueQuantity=score)
        )
    return found


def _observation(
    context: ResultContext, what: str, code: dict[str, Any], **value: Any
) -> dict[str, Any]:
    return _resource(
        context,
        "Observation",
        what,
        status="preliminary",
        code=code,
        subject=_subject(context),
        **_dated(context),
        **value,
        note=[{"text": RESEARCH_USE}],
        bodySite=_concept(_SNOMED, *FINDING_SITES[None]),
        device=_refer(_device(context)),
        derivedFrom=[_refer(_imaging_study(context))],
    )


def _selection(context: ResultContext, number: int, region: EvidenceRegion) -> dict[str, Any]:
    """An outlined region as an ImagingSelection: its polygon on its frame."""
    place = context.sources.in_frame(region.view, region.outline)
    header = context.sources.headers[place.file]
    closed = [*place.points.tolist(), place.points[0].tolist()]
    instance: dict[str, Any] = {
        "uid": str(header.SOPInstanceUID),
        "sopClass": {"system": "urn:ietf:rfc:3986", "code": _oid(header.SOPClassUID)},
        "imageRegion2D": [
            {"regionType": "polyline", "coordinate": [value for pair in closed for value in pair]}
        ],
    }
    if context.sources.is_multi_frame(place.file):
        instance["subset"] = [str(place.frame)]
    words = (
        f"Region {number} of the model's evidence, {region.view.value} view, "
        f"{100 * region.level:.0f} % of the scale"
    )
    return _resource(
        context,
        "ImagingSelection",
        f"region {number}",
        status="available",
        subject=_subject(context),
        code={"text": words},
        studyUid=context.sources.study_uid,
        seriesUid=str(header.SeriesInstanceUID),
        derivedFrom=[_refer(_imaging_study(context))],
        bodySite={"concept": _concept(_SNOMED, *FINDING_SITES[region.body_part])},
        instance=[instance],
    )


def _report(
    context: ResultContext,
    imaging: dict[str, Any],
    observed: Sequence[dict[str, Any]],
    regions: int,
) -> dict[str, Any]:
    category = "http://terminology.hl7.org/CodeSystem/v2-0074"
    outlined = f"{regions} outlined region{'' if regions == 1 else 's'} of evidence."
    return _resource(
        context,
        "DiagnosticReport",
        "report",
        status="preliminary",
        category=[_concept(category, "NMS", "Nuclear Medicine Scan")],
        code=_concept(_LOINC, "49118-3", "NM unspecified body region"),
        subject=_subject(context),
        **_dated(context),
        result=[_refer(one) for one in observed],
        study=[_refer(imaging)],
        note=[{"text": context.algorithm.notice}],
        conclusion=f"{RESEARCH_USE} {call_in_words(context.prediction)} {outlined}",
    )
