"""The model's output as an aided session shows it, made when the study is made."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bonescint.scan import Prediction, Scan
from bonescint.study.folder import write_private
from bonescint.study.protocol import sha256_of
from bonescint.study.store.filling import ModelIdentity

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
