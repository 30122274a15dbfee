"""The files that a scan was read from, as the objects that refer to them need them."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from bonescint.dicom.discovery import StudyFiles
from bonescint.dicom.files import read_bytes, sha256
from bonescint.dicom.header import Header, looks_like_dicom, parse, quiet
from bonescint.scan import InputError, ParameterError, Scan, View

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

_KEY = b"bonescint/results/1"
_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_UID_FORM = re.compile(r"(?=.{1,64}$)(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_REQUIRED_WORDS = """
    PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName
    StudyID AccessionNumber
"""
_OPTIONAL_WORDS = """
    SpecificCharacterSet TimezoneOffsetFromUTC IssuerOfPatientID
    IssuerOfPatientIDQualifiersSequence TypeOfPatientID PatientBirthTime
    PatientBirthDateInAlternativeCalendar PatientAlternativeCalendar ReferencedPatientSequence
    OtherPatientIDs OtherPatientIDsSequence OtherPatientNames EthnicGroup PatientComments
    QualityControlSubject PatientSpeciesDescription PatientSpeciesCodeSequence
    PatientBreedDescription PatientBreedCodeSequence ResponsiblePerson ResponsiblePersonRole
    ResponsibleOrganization PatientIdentityRemoved DeidentificationMethod
    DeidentificationMethodCodeSequence ClinicalTrialSponsorName ClinicalTrialProtocolID
    ClinicalTrialProtocolName ClinicalTrialSiteID ClinicalTrialSiteName ClinicalTrialSubjectID
    ClinicalTrialSubjectReadingID ClinicalTrialTimePointID ClinicalTrialTimePointDescription
    IssuerOfAccessionNumberSequence StudyDescription PhysiciansOfRecord
    PhysiciansOfRecordIdentificationSequence NameOfPhysiciansReadingStudy
    PhysiciansReadingStudyIdentificationSequence ReferringPhysicianIdentificationSequence
    ConsultingPhysicianName RequestingService RequestingServiceCodeSequence
    ReferencedStudySequence ProcedureCodeSequence ReasonForPerformedProcedureCodeSequence
    AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence PatientAge PatientSize
    PatientWeight PatientBodyMassIndex PatientSizeCodeSequence MedicalAlerts Allergies
    SmokingStatus PregnancyStatus LastMenstrualDate PatientState Occupation
    AdditionalPatientHistory AdmissionID IssuerOfAdmissionIDSequence ReasonForVisit
    PatientSexNeutered LongitudinalTemporalInformationModified
"""
REQUIRED, OPTIONAL = tuple(_REQUIRED_WORDS.split()), tuple(_OPTIONAL_WORDS.split())
"""Attributes of the patient and the study (PS3.3 C.7.1, C.7.2): those that must be present, if only
empty, and those that are copied where the source has them."""
BLANK: dict[str, None] = dict.fromkeys(
    (
        "patient_id",
        "patient_name",
        "patient_birth_date",
        "patient_sex",
        "accession_number",
        "study_id",
        "study_date",
        "study_time",
        "referring_physician_name",
    )
)
"""highdicom's names of the required ones."""
_TIMES = ("Content", "Acquisition", "Series", "Study")
_TAKEN = ("Acquisition", "Series", "Study", "Content")
"""The content may be of a later day: that of reprocessing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameRegion:
    """A region of a view, where it lies in a frame of a source file.

    Attributes:
        file: place of the file among the sources.
        frame: number of the frame, from 1.
        points: float64 (n, 2), columns and rows of a polygon's corners, as SCOORD has them.
    """

    file: int
    frame: int
    points: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultSources:
    """The DICOM files of one scan: what results refer to and copy their identity from.

    Attributes:
        headers: data sets without pixels, in the order in which the scan was read from them.
        scan: the scan.
    """

    headers: tuple[Dataset, ...]
    scan: Scan

    @classmethod
    def read(cls, study: StudyFiles, scan: Scan) -> Self:
        """Read the headers of a scan's files.

        Args:
            study: the files.
            scan: as read from them, its views not changed since.

        Raises:
            InputError: a file is no DICOM, has changed, or lacks the UIDs that results refer to.
            ParameterError: the scan was changed after it was read.
        """
        if scan.history:
            raise ParameterError("scan", "ResultSources.read", "as it was read", scan.history)
        headers = []
        for path, known in zip(study.files, scan.acquisition.file_sha256, strict=True):
            content = read_bytes(path)
            if not looks_like_dicom(content):
                raise InputError(
                    path,
                    "is no DICOM file: DICOM results would have nothing to refer to",
                    "Give the scan as DICOM",
                )
            if sha256(content) != known:
                raise InputError(path, "has changed since it was read", "Classify it again")
            header = parse(content, path, pixels=False)
            _check_uids(header, str(path))
            headers.append(header.dataset)
        if set(scan.acquisition.frames) != set(scan.views):
            raise InputError(
                study.source, "not all of its views are DICOM", "Give both views as DICOM"
            )
        return cls(headers=tuple(headers), scan=scan)

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return str(self.headers[0].StudyInstanceUID)

    @property
    def date(self) -> str | None:
        """When the scan was taken, `YYYYMMDD`, if its files say so."""
        moment = _moment(Header(self.headers[0]), _TAKEN)
        return None if moment is None else moment[0]

    def uid(self, kind: str, *parts: str) -> str:
        """A UID that the same sources, kind and parts always give.

        Args:
            kind: what the UID is for.
            parts: whatever else decides what the object holds, such as the model's hash.
        """
        instances = sorted(str(header.SOPInstanceUID) for header in self.headers)
        return derived_uid([kind, *instances, *parts])

    def frames_used(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """For each file its place and the numbers of the frames that the scan was read from."""
        used: dict[int, set[int]] = {}
        for frame in self.scan.acquisition.frames.values():
            used.setdefault(frame.file, set()).add(frame.number)
        return tuple((file, tuple(sorted(numbers))) for file, numbers in sorted(used.items()))

    def in_frame(self, view: View, outline: NDArray[np.float64]) -> FrameRegion:
        """Where a polygon of a view lies in its source file.

        Args:
            view: a view of the scan.
            outline: (n, 2) rows and columns in the view.
        """
        frame = self.scan.acquisition.frames[view]
        points = frame.positions(outline)[:, ::-1]
        return FrameRegion(file=frame.file, frame=frame.number, points=points)

    def is_multi_frame(self, file: int) -> bool:
        """Whether a file has several frames, so that references must name theirs."""
        return (Header(self.headers[file]).whole_number("NumberOfFrames") or 1) > 1

    def blank_headers(self) -> tuple[Dataset, ...]:
        """The sources without patient and study, which are copied unchanged at the end."""
        from pydicom import Dataset

        blanks = []
        for header in self.headers:
            blank = Dataset()
            for keyword in _UIDS:
                setattr(blank, keyword, header[keyword].value)
            for keyword in REQUIRED:
                setattr(blank, keyword, None)
            blanks.append(blank)
        return tuple(blanks)

    def identify(self, target: Dataset) -> None:
        """Copy the patient's and the study's attributes, the character set and the time.

        The time of the content is that of the source, so that a second run writes the same bytes;
        today's is taken where the source has none.

        Args:
            target: a result, complete but for that.
        """
        source = self.headers[0]
        with quiet():
            for keyword in (*REQUIRED, *OPTIONAL):
                if keyword in target:
                    del target[keyword]
                try:
                    target.add(_copied(source, keyword))
                except Exception:  # noqa: BLE001 - a missing element, or one that is damaged
                    if keyword in REQUIRED:
                        setattr(target, keyword, None)
            target.StudyInstanceUID = self.study_uid
        date, time = _moment(Header(source)) or datetime.now(UTC).strftime("%Y%m%d %H%M%S").split()
        target.InstanceCreationDate, target.InstanceCreationTime = date, time
        target.ContentDate, target.ContentTime = date, time


def derived_uid(parts: Iterable[str]) -> str:
    """A UID under 2.25 that the same parts always give.

    Examples:
        >>> derived_uid(["picture", "1.2.3"]) == derived_uid(["picture", "1.2.3"])
        True
        >>> derived_uid(["picture", "1.2.3"]) == derived_uid(["report", "1.2.3"])
        False
    """
    digest = hashlib.blake2b(digest_size=16, key=_KEY)
    for part in parts:
        content = part.encode()
        digest.update(len(content).to_bytes(8, "little") + content)
    return f"2.25.{uuid.UUID(bytes=digest.digest(), version=5).int}"


def _copied(source: Dataset, keyword: str) -> DataElement:
    """An element as it stands in a file: a name keeps its bytes, also those that are not decoded.

    Raises:
        KeyError: it is not there.
    """
    from pydicom.dataelem import RawDataElement
    from pydicom.valuerep import PersonName

    raw = source.get_item(keyword)
    element: DataElement = source[keyword]
    if isinstance(raw, RawDataElement) and raw.value and isinstance(element.value, PersonName):
        element.value.original_string = raw.value.rstrip(b" \0")
    return element


def _check_uids(header: Header, source: str) -> None:
    for keyword in _UIDS:
        if not _UID_FORM.fullmatch(header.text(keyword)):
            problem = f"has no valid {keyword}: DICOM results could not refer to it"
            raise InputError(source, problem, "Export it again")


def _moment(header: Header, kinds: Sequence[str] = _TIMES) -> tuple[str, str] | None:
    """Date and time of the source, if it has any: the first of some kinds."""
    for kind in kinds:
        date, time = header.text(f"{kind}Date"), header.text(f"{kind}Time")
        if re.fullmatch(r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", date):
            return date, time if re.fullmatch(r"\d{6}(\.\d{1,6})?", time) else "000000"
    return None
