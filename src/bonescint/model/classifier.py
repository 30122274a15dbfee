"""Inference: scans in, predictions with activation maps out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bonescint.model.engine import Engine, GraphOutput, RunSettings
from bonescint.model.folder import ModelFolder
from bonescint.model.gpu_engine import GpuEngine
from bonescint.model.ood import features_of
from bonescint.prepare import PreparedScan, prepare
from bonescint.scan import ActivationMap, ModelFolderError, ParameterError, Prediction, Scan, View

TARGETS = ("no_mbd", "mbd")


class Classifier:
    """Runs a model folder with OpenVINO. Use it as a context manager.

    Args:
        folder: a verified model folder.
        device: `"cpu"`, `"gpu"` or `"auto"` (OpenVINO's), or `"cuda"`, which ONNX Runtime runs.
        threads: number of processor threads, or `None` for all of them.
        call_anyway: also call scans that are too unlike the training scans.

    Raises:
        ParameterError: there is no such device.
        ModelFolderError: OpenVINO cannot read the graph, or its input is not what the
            preprocessing gives.

    Examples:
        with Classifier(ModelFolder.load("my-model")) as classifier:
            prediction = classifier.predict(scan)
    """

    def __init__(
        self,
        folder: ModelFolder,
        *,
        device: str = "cpu",
        threads: int | None = None,
        call_anyway: bool = False,
    ) -> None:
        self._folder = folder
        self._call_anyway = call_anyway
        self._engine: Engine | GpuEngine
        if device == "cuda":
            self._engine = GpuEngine(folder.onnx_path)
        else:
            settings = RunSettings(
                device=device, threads=threads, bfloat16=folder.card.precision == "int8"
            )
            self._engine = Engine(folder.onnx_path, settings)
        preprocessing = folder.card.preprocessing
        if self._engine.composite_shape != (1, 1, preprocessing.rows, 2 * preprocessing.columns):
            raise ModelFolderError(
                f"{folder.onnx_path}: takes composites of {self._engine.composite_shape[2:]}, "
                f"its preprocessing gives {(preprocessing.rows, 2 * preprocessing.columns)}. "
                "Train or download the model again."
            )

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the compiled graph."""
        self._engine.close()

    @property
    def folder(self) -> ModelFolder:
        """The model folder that it runs."""
        return self._folder

    @property
    def model_id(self) -> str:
        """Name, version and the start of the graph's hash."""
        return self._folder.model_id

    def prepare(self, scan: Scan) -> PreparedScan:
        """Apply the model's preprocessing to a scan."""
        return prepare(scan, self._folder.card.preprocessing)

    def predict(self, scan: Scan) -> Prediction:
        """Classify one scan.

        Args:
            scan: one or two views.

        Returns:
            The answer, with the warnings of the scan and one for a missing view.

        Raises:
            UnitError: pixels that the preprocessing does not take.
        """
        return self.predict_prepared(self.prepare(scan), warnings=scan.warnings)

    def predict_prepared(
        self, prepared: PreparedScan, *, warnings: tuple[str, ...] = ()
    ) -> Prediction:
        """Classify one prepared scan.

        Args:
            prepared: by this model's preprocessing, possibly in another process.
            warnings: to carry over from the scan.

        Raises:
            ParameterError: prepared by another preprocessing.
        """
        self._require_preprocessing(prepared)
        answer = self._engine.run(prepared.composite)
        return self._prediction(prepared, answer, warnings)

    def predict_many(
        self, prepared: Iterable[tuple[PreparedScan, tuple[str, ...]]]
    ) -> Iterator[Prediction]:
        """Classify prepared scans as a stream, in order, with few in memory.

        Args:
            prepared: scans by this model's preprocessing, each with the warnings to carry over.

        Yields:
            A prediction for each.

        Raises:
            ParameterError: one was prepared by another preprocessing.
        """
        waiting: deque[tuple[PreparedScan, tuple[str, ...]]] = deque()

        def composites() -> Iterator[NDArray[np.float32]]:
            for one, warnings in prepared:
                self._require_preprocessing(one)
                waiting.append((one, warnings))
                yield one.composite

        for answer in self._engine.run_many(composites()):
            one, warnings = waiting.popleft()
            yield self._prediction(one, answer, warnings)

    def margins(self, prepared: Iterable[PreparedScan]) -> Iterator[float]:
        """Scores before calibration of prepared scans, as a stream and in order.

        Args:
            prepared: scans by this model's preprocessing.

        Yields:
            The logit of the disease minus that of its absence.

        Raises:
            ParameterError: one was prepared by another preprocessing.
        """

        def composites() -> Iterator[NDArray[np.float32]]:
            for one in prepared:
                self._require_preprocessing(one)
                yield one.composite

        for answer in self._engine.run_many(composites()):
            yield margin_of(answer.logits)

    def _require_preprocessing(self, prepared: PreparedScan) -> None:
        wanted = self._folder.card.preprocessing.identifier
        if prepared.preprocessing != wanted:
            raise ParameterError(
                "prepared", "Classifier", f"by the preprocessing {wanted}", prepared.preprocessing
            )

    def _prediction(
        self, prepared: PreparedScan, answer: GraphOutput, warnings: tuple[str, ...]
    ) -> Prediction:
        card, local = self._folder.card, self._folder.card.local
        margin = margin_of(answer.logits)
        probability = card.calibration.probability(margin)
        maps = []
        for target, values in zip(TARGETS, answer.maps, strict=True):
            for view, half in prepared.halves(values).items():
                extent = prepared.extents[view]
                maps.append(ActivationMap(view=view, target=target, values=half, extent=extent))
        score, strange = self._unlike(prepared)
        called = not strange or self._call_anyway
        return Prediction(
            scan_id=prepared.scan_id,
            mbd_probability=probability,
            positive=probability >= card.operating_point if called else None,
            model_id=self.model_id,
            activation_maps=tuple(maps),
            warnings=(*warnings, *_missing_view(prepared), *strange),
            uncertain=called and card.is_uncertain(probability),
            ood_score=score,
            unlike=bool(strange),
            rank_among_normals=None if local is None else local.rank(margin),
        )

    def _unlike(self, prepared: PreparedScan) -> tuple[float | None, tuple[str, ...]]:
        """How unlike the training cohort a scan is, and a warning if it is beyond the threshold."""
        detector = self._folder.ood
        if detector is None:
            return None, ()
        features = features_of(prepared)
        warning = detector.warning(features)
        return detector.score(features), (warning,) if warning else ()


def _missing_view(prepared: PreparedScan) -> tuple[str, ...]:
    if len(prepared.extents) == len(View):
        return ()
    present = next(iter(prepared.extents))
    return (
        f"{present.value} view only: the model is intended for both views; disease visible only "
        f"from the other side is missed",
    )


def margin_of(logits: NDArray[np.float32]) -> float:
    """Logit of the disease minus that of its absence, the input of a calibration.

    Args:
        logits: (2,), no metastatic bone disease and the disease.

    Examples:
        >>> margin_of(np.array([-1.0, 1.5], dtype=np.float32))
        2.5
    """
    return float(logits[1]) - float(logits[0])
