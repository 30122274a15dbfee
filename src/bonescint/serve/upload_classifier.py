"""Classify the scans of an upload: worker processes read and draw, one model here classifies.

The workers are those of `classify`, and do the same steps. Everything that is made of a scan stays
in memory; nothing of it is written to a disk.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bonescint.classify.steps import ReadyScan, read_and_prepare
from bonescint.dicom import Discovery, StudyFiles, discover
from bonescint.dicom.results import AlgorithmFacts, ResultKind, result_objects
from bonescint.explain import evidence_regions, explain, shown_output
from bonescint.parallel import Pool, pool_of, usual_workers
from bonescint.scan import (
    BonescintError,
    Call,
    EvidenceRegion,
    InputError,
    MissingExtraError,
    Prediction,
    Scan,
)
from bonescint.viewer import Picture

if TYPE_CHECKING:
    from bonescint.model import Classifier, ModelFolder

_TIMEOUT_S = 180.0


class TooManyScansError(BonescintError):
    """An upload with more scans than one request may have."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServedScan:
    """A classified scan, with all that the service returns for it.

    Attributes:
        study: the files that it was read from.
        scan: its name, a hash.
        views: names of its views.
        prediction: the probability, the call and the maps.
        regions: where the evidence is strong.
        picture: the scan with its evidence, a PNG file.
        pixels: the scan's pixels for a page, gzip.
        facts: size, spacing, views and windows of these pixels, JSON-ready.
        shown: the prediction for a page, JSON-ready.
        objects: DICOM objects by kind; none if it was not read from DICOM files.
        no_objects: why there are none; empty if there are.
    """

    study: StudyFiles
    scan: str
    views: tuple[str, ...]
    prediction: Prediction
    regions: tuple[EvidenceRegion, ...]
    picture: bytes
    pixels: bytes
    facts: Mapping[str, Any]
    shown: Mapping[str, Any]
    objects: Mapping[ResultKind, bytes]
    no_objects: str

    @property
    def call(self) -> Call:
        """The call, or that there is none."""
        return Call.of(self.prediction.positive)

    @property
    def size(self) -> int:
        """Bytes of its picture, pixels and DICOM objects; the rest is small."""
        objects = sum(len(content) for content in self.objects.values())
        return len(self.picture) + len(self.pixels) + objects


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedUpload:
    """What became of an upload.

    Attributes:
        scans: in the order of the files.
        refused: files that are no readable bone scan, with the reason.
    """

    scans: tuple[ServedScan, ...]
    refused: tuple[InputError, ...]


class UploadClassifier:
    """A model with its worker processes; use it as a context manager.

    It may be called from several threads at once.

    Args:
        folder: the model.
        workers: processes that read and draw; as many as cores, at most 8, if `None`.
        device: `"cpu"`, `"gpu"` or `"auto"`.
        call_anyway: also call scans that are too unlike the training scans.
        timeout_s: a process that spends longer on one scan is ended.
    """

    def __init__(
        self,
        folder: ModelFolder,
        *,
        workers: int | None = None,
        device: str = "cpu",
        call_anyway: bool = False,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        from bonescint.classify.delivery import algorithm_facts

        self.folder = folder
        self.algorithm: AlgorithmFacts = algorithm_facts(folder)
        self.workers = usual_workers(workers)
        self._device, self._call_anyway, self._timeout_s = device, call_anyway, timeout_s
        self._resources = ExitStack()
        self._one_at_a_time = threading.Lock()
        self._pool: Pool
        self._classifier: Classifier

    def __enter__(self) -> Self:
        from bonescint.model import Classifier

        # Workers first: they import while the model is compiled here.
        self._pool = self._resources.enter_context(
            pool_of(self.workers, timeout_s=self._timeout_s, preload=__name__)
        )
        self._classifier = self._resources.enter_context(
            Classifier(self.folder, device=self._device, call_anyway=self._call_anyway)
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def classify(self, folder: Path, *, most: int) -> ClassifiedUpload:
        """Classify the scans in a folder.

        Args:
            folder: of an upload.
            most: largest number of scans.

        Raises:
            TooManyScansError: there are more.
        """
        found = self._pool.submit(search, folder).result()
        if len(found.studies) > most:
            raise TooManyScansError(
                f"The upload has {len(found.studies)} scans; one request may have {most}."
            )
        preprocessing = self.folder.card.preprocessing
        refused = list(found.refused)
        begun = [
            (study, self._pool.submit(read_and_prepare, study, preprocessing))
            for study in found.studies
        ]
        drawing: list[tuple[StudyFiles, Future[ServedScan]]] = []
        for study, reading in begun:
            try:
                drawing.append((study, self._predicted(study, reading.result())))
            except BonescintError as error:
                refused.append(_refusal(error, study))
        scans = []
        for study, future in drawing:
            try:
                scans.append(future.result())
            except BonescintError as error:
                refused.append(_refusal(error, study))
        return ClassifiedUpload(scans=tuple(scans), refused=tuple(refused))

    def _predicted(self, study: StudyFiles, ready: ReadyScan) -> Future[ServedScan]:
        with self._one_at_a_time:
            prediction = self._classifier.predict_prepared(ready.prepared, warnings=ready.warnings)
        return self._pool.submit(drawn, ready.packed_scan, prediction, study, self.algorithm)


def _refusal(error: BonescintError, study: StudyFiles) -> InputError:
    if isinstance(error, InputError):
        return error
    return InputError(study.source, f"cannot be classified: {error}", "Leave this file out")


def search(folder: Path) -> Discovery:
    """Find the scans of an upload; run in a worker, since a damaged file may end the process."""
    return discover([folder])


def drawn(
    packed_scan: bytes, prediction: Prediction, study: StudyFiles, algorithm: AlgorithmFacts
) -> ServedScan:
    """Make the picture, the outlines and the DICOM objects of a classified scan.

    Args:
        packed_scan: packed by `read_and_prepare`.
        prediction: the probability, the call and the maps.
        study: the files that it was read from.
        algorithm: the model.
    """
    scan: Scan = pickle.loads(packed_scan)  # noqa: S301 - packed by `read_and_prepare`
    point = algorithm.operating_point
    explanation = explain(scan, prediction, operating_point=point, notice=algorithm.notice)
    regions = evidence_regions(scan, prediction, operating_point=point)
    objects: dict[ResultKind, bytes] = {}
    no_objects = ""
    try:
        made = result_objects(
            study,
            scan,
            prediction,
            picture=np.asarray(explanation.picture),
            regions=regions,
            algorithm=algorithm,
        )
        objects = {one.kind: one.content for one in made}
    except InputError as error:
        no_objects = f"No DICOM objects: {error.problem}."
    except MissingExtraError as error:
        no_objects = f"No DICOM objects: {error}"
    shown = Picture.of(scan)
    return ServedScan(
        study=study,
        scan=scan.scan_id,
        views=tuple(view.value for view in scan.views),
        prediction=prediction,
        regions=regions,
        picture=explanation.png(),
        pixels=shown.compressed(),
        facts=dict(shown.facts),
        shown=shown_output(scan, prediction, point),
        objects=objects,
        no_objects=no_objects,
    )
