"""A model's answer as DICOM objects: a Secondary Capture and up to two Structured Reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from bonescint.dicom.discovery import StudyFiles
from bonescint.dicom.header import quiet
from bonescint.dicom.results.source import ResultSources
from bonescint.dicom.writing import IMPLEMENTATION_UID
from bonescint.extras import load
from bonescint.files import make_folder, write_whole
from bonescint.scan import (
    RESEARCH_USE,
    EvidenceRegion,
    InputError,
    ParameterError,
    Prediction,
    Scan,
)

if TYPE_CHECKING:
    from pydicom import Dataset


class ResultKind(StrEnum):
    """The objects that are made of one prediction; the value is part of the file's name."""

    PICTURE = "picture"
    """Secondary Capture: the picture with the evidence."""
    REPORT = "report"
    """Structured Report of the whole scan: probability, call, out-of-distribution score."""
    OUTLINES = "outlines"
    """Structured Report of the outlined regions, if there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmFacts:
    """What results say of the model and the software that made them.

    Attributes:
        name: name of the model.
        version: version of the model.
        sha256: hash of the model's graph.
        operating_point: probability from which it calls a scan positive.
        map_kind: what its maps are, such as `"probability of each cell"`.
        software: version of bonescint.
        notice: statement about the model: research use only, and what it was trained on.
        ood_threshold: the out-of-distribution score above which there is no call, or `None`.
    """

    name: str
    version: str
    sha256: str
    operating_point: float
    map_kind: str
    software: str
    notice: str
    ood_threshold: float | None = None

    def __post_init__(self) -> None:
        # Every character set that a source may have can write these letters.
        for name in ("name", "version", "map_kind", "software", "notice"):
            plain = getattr(self, name).encode("ascii", "replace").decode()
            object.__setattr__(self, name, plain)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultContext:
    """Everything that the objects of one prediction have in common.

    Attributes:
        sources: the files of the scan.
        prediction: the answer.
        algorithm: the model.
        settings: what else decides what the objects hold, as sentences.

    Raises:
        ParameterError: a prediction of another scan.
    """

    sources: ResultSources
    prediction: Prediction
    algorithm: AlgorithmFacts
    settings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        of, wanted = self.prediction.scan_id, self.sources.scan.scan_id
        if of != wanted:
            raise ParameterError("prediction", "ResultContext", f"of {wanted}", of)

    @classmethod
    def read(
        cls,
        study: StudyFiles,
        scan: Scan,
        prediction: Prediction,
        algorithm: AlgorithmFacts,
        settings: tuple[str, ...] = (),
    ) -> Self:
        """Read the headers of the scan's files.

        Raises:
            InputError: a file is no DICOM, or lacks the UIDs that objects refer to.
            MissingExtraError: the extra `pacs` is not installed.
            ParameterError: a prediction of another scan, or a scan that was changed since it was
                read.
        """
        load("highdicom", extra="pacs")
        with quiet():
            sources = ResultSources.read(study, scan)
        return cls(sources=sources, prediction=prediction, algorithm=algorithm, settings=settings)

    def uid(self, kind: str) -> str:
        """The UID of a kind of object, or of something that it names.

        It is derived from the source's SOP Instance UIDs, the model, the software, the operating
        point, the call and the settings: a second run gives the same objects, another model others.
        """
        model = self.algorithm
        return self.sources.uid(
            kind,
            model.sha256,
            f"{model.name}@{model.version}",
            model.software,
            repr(model.operating_point),
            self.prediction.call.value,
            *self.settings,
        )

    def instance(self, kind: str, number: int) -> dict[str, Any]:
        """The first object of a new series, as highdicom's constructors take it.

        Args:
            kind: kind of object; its UIDs and the description of its series follow from it.
            number: Series Number.
        """
        return {
            "series_instance_uid": self.uid(f"series of the {kind}"),
            "series_number": number,
            "series_description": f"bonescint {kind}. {RESEARCH_USE}"[:64],
            "sop_instance_uid": self.uid(kind),
            "instance_number": 1,
            "manufacturer": "bonescint",
            "manufacturer_model_name": f"{self.algorithm.name} {self.algorithm.version}"[:64],
            "software_versions": self.algorithm.software[:64],
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultObject:
    """One DICOM object, complete.

    Attributes:
        kind: what it is.
        dataset: with its File Meta Information.
        content: the same as a DICOM file's bytes.
    """

    kind: ResultKind
    dataset: Dataset
    content: bytes


def result_objects(
    study: StudyFiles,
    scan: Scan,
    prediction: Prediction,
    *,
    picture: NDArray[np.uint8],
    regions: Sequence[EvidenceRegion],
    algorithm: AlgorithmFacts,
) -> tuple[ResultObject, ...]:
    """Make the DICOM objects of one prediction, in new series of the scan's own study.

    Patient and study are copied from the scan's files, character set included. UIDs follow from
    the sources, the model and the software, and dates from the sources: a second run gives the
    same bytes.

    Args:
        study: the files that the scan was read from.
        scan: as it was read.
        prediction: the answer for it.
        picture: uint8 (rows, columns, 3), red, green, blue.
        regions: the outlined regions; without any there is no report of outlines.
        algorithm: the model.

    Raises:
        InputError: a file is no DICOM, or lacks the UIDs that objects refer to.
        MissingExtraError: the extra `pacs` is not installed.
        ParameterError: a prediction of another scan, or a scan that was changed since it was read.
    """
    context = ResultContext.read(study, scan, prediction, algorithm)
    with made_of(study.source):
        return tuple(_made(context, picture, regions))


@contextmanager
def made_of(source: str) -> Iterator[None]:
    """Refuse a source whose header makes the making of objects fail.

    Raises:
        InputError: something was raised inside.
    """
    try:
        with quiet():
            yield
    except Exception as error:  # noqa: BLE001 - a damaged value may raise anything in pydicom
        problem = f"cannot be the source of DICOM results ({type(error).__name__})"
        raise InputError(source, problem, "Correct its header, or export it again") from None


def _made(
    context: ResultContext, picture: NDArray[np.uint8], regions: Sequence[EvidenceRegion]
) -> Iterator[ResultObject]:
    from bonescint.dicom.results.capture import secondary_capture
    from bonescint.dicom.results.report import outline_report, scan_report

    yield _encoded(context, ResultKind.PICTURE, secondary_capture(context, picture))
    yield _encoded(context, ResultKind.REPORT, scan_report(context, regions))
    if regions:
        yield _encoded(context, ResultKind.OUTLINES, outline_report(context, regions))


def _encoded(context: ResultContext, kind: ResultKind, dataset: Dataset) -> ResultObject:
    return ResultObject(kind=kind, dataset=dataset, content=encoded(context, dataset))


def encoded(context: ResultContext, dataset: Dataset) -> bytes:
    """An object as a DICOM file, with patient and study of its sources.

    Args:
        context: what it is made of.
        dataset: complete but for patient and study, which it gets.
    """
    from pydicom import dcmwrite
    from pydicom.uid import UID

    context.sources.identify(dataset)
    for equipment in dataset.get("ContributingEquipmentSequence", ()):
        equipment.pop("ContributionDateTime", None)  # highdicom's is now: no two runs agree
    dataset.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    dataset.file_meta.ImplementationVersionName = "BONESCINT"
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def object_name(stem: str, kind: ResultKind) -> str:
    """The name of an object's file.

    Examples:
        >>> object_name("bs-1", ResultKind.REPORT)
        'bs-1.report.dcm'
    """
    return f"{stem}.{kind.value}.dcm"


def write_result_objects(
    objects: Sequence[ResultObject], folder: Path, stem: str
) -> tuple[Path, ...]:
    """Write objects as `<stem>.<kind>.dcm`.

    Args:
        objects: of one prediction.
        folder: made if it does not exist.
        stem: start of the files' names.

    Returns:
        The paths.

    Raises:
        OutputError: a file cannot be written.
    """
    make_folder(folder)
    paths = []
    for one in objects:
        path = folder / object_name(stem, one.kind)
        write_whole(path, one.content)
        paths.append(path)
    return tuple(paths)
