"""The model reads each case while the learner does, so that its answer is there in time."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from bonescint.scan import BonescintError, Scan

if TYPE_CHECKING:
    from bonescint.model import Classifier

_Output = Mapping[str, Any]


class ModelAnswers:
    """Classifies cases in a thread of its own; the model is loaded at the first one.

    Args:
        model: a model folder, `"shipped"`, or `"none"`.

    Raises:
        ModelFolderError: later, when the first case is read, if the model cannot be used; cases
            are then shown without a model, and `problem` says why.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._classifier: Classifier | None = None
        self.problem = ""

    def close(self) -> None:
        """Stop, and free the model."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._classifier is not None:
            self._classifier.close()

    def read(self, scan: Scan) -> Future[_Output | None]:
        """Begin to read a scan.

        Returns:
            What `explain.shown_output` gives; `None` without a model.
        """
        return self._thread.submit(self._output, scan)

    def _output(self, scan: Scan) -> _Output | None:
        if self._model == "none" or self.problem:
            return None
        from bonescint.explain import shown_output

        try:
            classifier = self._classifier or self._load()
            prediction = classifier.predict(scan)
        except BonescintError as error:
            self.problem = str(error)
            return None
        return shown_output(scan, prediction, classifier.folder.card.operating_point)

    def _load(self) -> Classifier:
        from bonescint.model import Classifier, ModelFolder

        folder = ModelFolder.load(self._model)
        # One thread: simulating the next case has the other cores.
        self._classifier = Classifier(folder, threads=1)
        return self._classifier
