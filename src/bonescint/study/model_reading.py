"""The model reads a study's cases, timed on this machine."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bonescint.scan import Acquisition, PixelUnit, Scan, View
from bonescint.study.folder import StudyFolder
from bonescint.study.integrity import read_picture
from bonescint.study.pictures import unpacked
from bonescint.study.store.database import Store
from bonescint.study.store.tables import StudyCase

if TYPE_CHECKING:
    from bonescint.model import ModelFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReads:
    """What a model says of the cases that count.

    Attributes:
        model_id: name, version and the start of the graph's hash.
        operating_point: from which it says yes.
        probabilities: by scan_id.
        seconds: for each, from pixels in memory to the probability, on this machine.
        machine: what it ran on.
    """

    model_id: str
    operating_point: float
    probabilities: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    machine: str = ""


def model_reads(
    study: StudyFolder,
    store: Store,
    model: Path | str | ModelFolder | None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> ModelReads:
    """Let a model read the cases that count, as the readers saw them.

    Args:
        study: the folder.
        store: its store.
        model: a model folder; the shipped one if `None`.
        progress: called with the number of cases done and of all.

    Raises:
        ModelFolderError: the model cannot be used.
        StudyError: a picture is missing or was altered.
    """
    from bonescint.model import Classifier, ModelFolder, shipped_model

    if model is None:
        folder = shipped_model()
    else:
        folder = model if isinstance(model, ModelFolder) else ModelFolder.load(model)
    truths = study.truth()
    with store.reading() as db:
        cases = db.query(StudyCase).filter_by(training=False).order_by(StudyCase.token).all()
    machine = f"{platform.machine()}, {platform.system()}, CPU"
    found = ModelReads(
        model_id=folder.model_id, operating_point=folder.card.operating_point, machine=machine
    )
    with Classifier(folder) as classifier:
        for number, case in enumerate(cases, start=1):
            scan = _scan_of(study, case)
            if number == 1:
                classifier.predict(scan)  # compiles and warms up, once per study, not per case
            began = time.perf_counter()
            answer = classifier.predict(scan)
            scan_id = str(truths[case.token]["scan_id"])
            found.seconds[scan_id] = time.perf_counter() - began
            found.probabilities[scan_id] = answer.mbd_probability
            if progress is not None:
                progress(number, len(cases))
    return found


def _scan_of(study: StudyFolder, case: StudyCase) -> Scan:
    facts = case.picture
    _, content = read_picture(study.image_file(case.token), facts, case.image_sha256)
    views = unpacked(content, facts)
    images = {
        view: (views[view] / facts["scale"]).astype(np.float32) if view in views else None
        for view in View
    }
    known = facts["row_mm"] is not None
    return Scan(
        anterior=images[View.ANTERIOR],
        posterior=images[View.POSTERIOR],
        pixel_spacing_mm=(facts["row_mm"], facts["column_mm"]) if known else None,
        unit=PixelUnit(facts["unit"]),
        scan_id=case.token,
        acquisition=Acquisition(modality="NM"),
    )
