"""The model reads each case while the learner does, so that its answer is there in time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from bonescint.scan import BonescintError, Scan

if TYPE_CHECKING:
    from bonescint.model import Classifier

_LOG = logging.getLogger("bonescint.teach")
_Output = Mapping[str, Any]


class ModelAnswers:
    """Classifies cases in a thread of its own; the graph is compiled at the first one.

    Args:
        model: a model folder, a name of `bonescint model list`, or `"none"`.

    Raises:
        ModelFolderError: the folder cannot be used.
    """

    def __init__(self, model: str) -> None:
        from bonescint.model import ModelFolder

        self._folder = None if model == "none" else ModelFolder.load(model)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._classifier: Classifier | None = None

    def close(self) -> None:
        """Stop, and free the model."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._classifier is not None:
            self._classifier.close()

    def read(self, scan: Scan) -> Future[_Output | None]:
        """Begin to read a scan.

        Returns:
            What `explain.shown_output` gives; `None` without a model, or if it cannot read this
            scan, which is logged.
        """
        return self._thread.submit(self._output, scan)

    def _output(self, scan: Scan) -> _Output | None:
        if self._folder is None:
            return None
        from bonescint.explain import shown_output
        from bonescint.model import Classifier

        try:
            # One thread: simulating the next case has the other cores.
            self._classifier = self._classifier or Classifier(self._folder, threads=1)
        except BonescintError as error:
            self._folder = None  # it would fail for every case
            _LOG.warning("Cases are shown without a model: %s", error)
            return None
        try:
            prediction = self._classifier.predict(scan)
        except BonescintError as error:
            _LOG.warning("The model does not read a case: %s", error)
            return None
        return shown_output(scan, prediction, self._folder.card.operating_point)
