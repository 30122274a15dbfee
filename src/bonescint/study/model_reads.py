"""The model reads the cases of a study: for an aided session, and for the analysis."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bonescint.scan import Scan
from bonescint.study.folder import Progress, StudyFolder, write_private
from bonescint.study.integrity import read_picture
from bonescint.study.protocol import sha256_of
from bonescint.study.store.database import Store
from bonescint.study.store.tables import StudyCase
from bonescint.viewer import scan_of

if TYPE_CHECKING:
    from bonescint.model import Classifier, ModelFolder


def _classifier(model: Path | str | ModelFolder | None) -> Classifier:
    """A classifier with this model folder, or with the shipped model."""
    from bonescint.model import Classifier, ModelFolder, shipped_model

    if model is None:
        model = shipped_model()
    return Classifier(model if isinstance(model, ModelFolder) else ModelFolder.load(model))


class ModelOutputs:
    """Classifies the cases of a study and writes what readers will see. A context manager."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._hashes: list[str] = []

    @classmethod
    def of(cls, model: Path | str | ModelFolder | None) -> ModelOutputs:
        """With a model folder, or the shipped model if `None`.

        Raises:
            ModelFolderError: the model cannot be used.
        """
        return cls(_classifier(model))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._classifier.close()

    @property
    def model_id(self) -> str:
        """Name, version and the start of the graph's hash."""
        return self._classifier.model_id

    @property
    def sha256(self) -> str:
        """Hash of all outputs that were written."""
        return sha256_of(sorted(self._hashes))

    def write(self, file: Path, scan: Scan) -> None:
        """Classify one scan and write the output."""
        prediction = self._classifier.predict(scan)
        operating_point = self._classifier.folder.card.operating_point
        from bonescint.explain import shown_output

        content = json.dumps(shown_output(scan, prediction, operating_point)).encode()
        self._hashes.append(hashlib.sha256(content).hexdigest())
        write_private(file, content)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReads:
    """The model's probabilities for the cases that count, and how long it took.

    Attributes:
        model_id: name, version and the start of the graph's hash.
        operating_point: the lowest probability that it calls positive.
        probabilities: by scan_id.
        not_called: scans that it does not call, since they are unlike those that it knows.
        seconds: for each, from pixels in memory to the probability, on this machine.
        machine: what it ran on.
    """

    model_id: str
    operating_point: float
    probabilities: dict[str, float] = field(default_factory=dict)
    not_called: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)
    machine: str = ""


def model_reads(
    study: StudyFolder,
    store: Store,
    model: Path | str | ModelFolder | None,
    *,
    progress: Progress | None = None,
) -> ModelReads:
    """Let a model read the cases that count, from the pictures that readers saw.

    Args:
        study: the folder.
        store: its store.
        model: a model folder; the shipped one if `None`.
        progress: called with the number of cases done and of all.

    Raises:
        ModelFolderError: the model cannot be used.
        StudyError: a picture is missing or was altered.
    """
    truths = study.truth()
    with store.reading() as db:
        cases = db.query(StudyCase).filter_by(training=False).order_by(StudyCase.token).all()
    with _classifier(model) as classifier:
        found = ModelReads(
            model_id=classifier.model_id,
            operating_point=classifier.folder.card.operating_point,
            machine=f"{platform.machine()}, {platform.system()}, CPU",
        )
        for number, case in enumerate(cases, start=1):
            file = study.image_file(case.token)
            _, pixels = read_picture(file, case.picture, case.image_sha256)
            scan = scan_of(pixels, case.picture, scan_id=case.token)
            if number == 1:
                classifier.predict(scan)  # compiles and warms up, once per study, not per case
            began = time.perf_counter()
            answer = classifier.predict(scan)
            scan_id = str(truths[case.token]["scan_id"])
            found.seconds[scan_id] = time.perf_counter() - began
            found.probabilities[scan_id] = answer.mbd_probability
            if answer.positive is None:
                found.not_called.add(scan_id)
            if progress is not None:
                progress(number, len(cases))
    return found
