"""The work of a node's worker process: classify a study, and make the objects that answer it."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bonescint.classify.classify import model_folder
from bonescint.classify.delivery import DICOM_FOLDER, DeliveryOrder, algorithm_facts
from bonescint.classify.results import notice_of
from bonescint.dicom import StudyFiles, discover, read_study
from bonescint.explain import explain
from bonescint.scan import InputError
from bonescint.serve.peers import DicomObject, hashed_uid, silence_libraries
from bonescint.serve.queue import QueuedStudy, sync_tree
from bonescint.serve.study_outcome import ScanOutcome, StudyOutcome

if TYPE_CHECKING:
    from bonescint.model import Classifier


def classify_study(
    study: QueuedStudy, model: Path | None, *, call_anyway: bool = False
) -> StudyOutcome:
    """Classify the scans of a study, and write the objects that answer them to its folder.

    The same study gives the same bytes, so a worker that was killed may begin again. What lies in
    the answer's folder as accepted before is left out.

    Args:
        study: in the state in which it is classified.
        model: a model folder; the shipped one if `None`.
        call_anyway: also call scans that are too unlike those that the model knows.

    Raises:
        OutputError: an object cannot be written.
        MissingExtraError: the extra `pacs` is not installed.
        ModelFolderError: the model cannot be used.
    """
    silence_libraries()
    classifier = open_model(model, call_anyway)
    study.answer.mkdir(mode=0o700, exist_ok=True)
    shutil.rmtree(study.folder / DICOM_FOLDER, ignore_errors=True)  # of a worker that was killed
    for path in study.unsent():
        path.unlink()
    found = discover(sorted(study.objects.glob("*.dcm")))
    scans, refused = [], [_reason(error) for error in found.refused]
    for files in found.studies:
        try:
            scans.append(_classified(files, study, classifier))
        except InputError as error:
            refused.append(_reason(error))
    shutil.rmtree(study.folder / DICOM_FOLDER, ignore_errors=True)
    sync_tree(study.answer)
    return StudyOutcome(
        scans=tuple(scans),
        refused=tuple(refused),
        gone=study.gone(),
        model=classifier.model_id,
        notice=notice_of(classifier.folder),
    )


@cache
def open_model(model: Path | None, call_anyway: bool) -> Classifier:
    """The model, opened once for all studies of a worker.

    Raises:
        ModelFolderError: the model cannot be used.
    """
    from bonescint.model import Classifier

    return Classifier(model_folder(model), call_anyway=call_anyway)


def _classified(files: StudyFiles, study: QueuedStudy, classifier: Classifier) -> ScanOutcome:
    scan = read_study(files)
    prediction = classifier.predict(scan)
    card = classifier.folder.card
    explanation = explain(
        scan,
        prediction,
        operating_point=card.operating_point,
        notice=notice_of(classifier.folder),
    )
    order = DeliveryOrder(algorithm=algorithm_facts(classifier.folder), folder=study.folder)
    picture = np.asarray(explanation.picture.convert("RGB"))
    written = order.deliver(files, scan, prediction, picture=picture, stem=scan.scan_id)
    count = 0
    for name in written:
        path = study.folder / name
        called = hashed_uid(DicomObject.of(path).instance)
        if (study.answer / f"{called}.sent").exists():
            path.unlink()
        else:
            path.rename(study.answer / f"{called}.dcm")
            count += 1
    return ScanOutcome(
        scan_id=scan.scan_id,
        mbd_probability=round(prediction.mbd_probability, 6),
        call=prediction.call.value,
        objects=count,
    )


def _reason(error: InputError) -> str:
    """Why an input gave no answer, under the file's name, which is a hash."""
    return f"{Path(error.source).name}: {error.problem}"
