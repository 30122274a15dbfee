"""The model reads a study's cases: for an aided session, and for the analysis."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bonescint.scan import Acquisition, PixelUnit, Prediction, Scan, View
from bonescint.study.folder import StudyFolder, write_private
from bonescint.study.integrity import read_picture
from bonescint.study.pictures import unpacked
from bonescint.study.protocol import sha256_of
from bonescint.study.store.database import Store
from bonescint.study.store.sessions import ModelIdentity
from bonescint.study.store.tables import StudyCase

if TYPE_CHECKING:
    from bonescint.model import Classifier, ModelFolder


_COARSER = 4


class Outputs:
    """Classifies the cases of a study and writes what readers will see. A context manager."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._hashes: list[str] = []

    @classmethod
    def of(cls, model: Path | str | ModelFolder | None) -> Outputs:
        """With a model folder, or the model that comes with the package.

        Raises:
            ModelFolderError: it cannot be used.
        """
        from bonescint.model import Classifier, ModelFolder, shipped_model

        if model is None:
            folder = shipped_model()
        else:
            folder = model if isinstance(model, ModelFolder) else ModelFolder.load(model)
        return cls(Classifier(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._classifier.close()

    @property
    def identity(self) -> ModelIdentity:
        """The model, and a hash of all that was written."""
        return ModelIdentity(
            model_id=self._classifier.model_id, sha256=sha256_of(sorted(self._hashes))
        )

    def write(self, file: Path, scan: Scan) -> None:
        """Classify one scan and write its output."""
        prediction = self._classifier.predict(scan)
        operating_point = self._classifier.folder.card.operating_point
        content = json.dumps(shown_output(scan, prediction, operating_point)).encode()
        self._hashes.append(hashlib.sha256(content).hexdigest())
        write_private(file, content)


def shown_output(scan: Scan, prediction: Prediction, operating_point: float) -> dict[str, Any]:
    """What a page needs to show a prediction: probability, threshold, levels of evidence.

    The levels are the overlay's own (`explain.EvidenceScale`), on a grid four times coarser
    than the view, which the page draws smoothly.
    """
    from bonescint.explain import EvidenceScale, heat_colours, map_on_grid, opacity

    scale = EvidenceScale.of(prediction, operating_point=operating_point)
    rows, columns = (max(1, size // _COARSER) for size in scan.shape)
    maps = {}
    for view in scan.views:
        found = prediction.activation_map(view)
        if found is None:
            continue
        levels = scale.levels(map_on_grid(found, scan.shape, rows=rows, columns=columns))
        stored = np.rint(255 * np.clip(levels, 0, 1)).astype(np.uint8)
        maps[view.value] = base64.b64encode(stored.tobytes()).decode()
    alpha = np.rint(255 * opacity()).astype(np.uint8)[:, None]
    colours = np.concatenate([heat_colours(), alpha], axis=1)
    return {
        "model_id": prediction.model_id,
        "mbd_probability": prediction.mbd_probability,
        "operating_point": operating_point,
        "positive": prediction.positive,
        "rows": rows,
        "columns": columns,
        "maps": maps,
        "colours": base64.b64encode(np.ascontiguousarray(colours).tobytes()).decode(),
    }


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
