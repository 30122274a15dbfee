"""OpenVINO without its telemetry: composites to logits and maps, several at a time, in order."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ModelFolderError, ParameterError

INPUT_NAME = "scan"
_DEVICES = {"cpu": "CPU", "gpu": "GPU"}
DEVICES = ("cpu", "gpu", "auto")


class GraphOutput(NamedTuple):
    """The output of the graph for one composite.

    Attributes:
        logits: float32 (2,), no metastatic bone disease and the disease.
        maps: float32 (2, map rows, map columns), evidence for each, at least 0.
    """

    logits: NDArray[np.float32]
    maps: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How the graph is run.

    Attributes:
        device: `"cpu"`, `"gpu"` or `"auto"` (a GPU if OpenVINO sees one, else the CPU).
        threads: number of processor threads, or `None` for all of them.
        bfloat16: let layers in float compute in bfloat16 where the processor can.
        throughput: several scans at once instead of each as fast as possible.
    """

    device: str = "cpu"
    threads: int | None = None
    bfloat16: bool = False
    throughput: bool = False

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ParameterError("device", "Classifier", " or ".join(DEVICES), self.device)
        if self.threads is not None and self.threads < 1:
            raise ParameterError("threads", "Classifier", "at least 1", self.threads)


class Engine:
    """A compiled graph. Use it as a context manager.

    Args:
        onnx: path of the ONNX file, or its bytes.
        settings: how to run it.

    Raises:
        ModelFolderError: OpenVINO cannot read the file, or the graph is another one.
        ParameterError: there is no such device.
    """

    def __init__(self, onnx: Path | bytes, settings: RunSettings | None = None) -> None:
        settings = settings or RunSettings()
        core: Any = load_openvino().Core()
        device = _device(core, settings.device)
        try:
            model = core.read_model(onnx)
        except RuntimeError as error:
            name = onnx if isinstance(onnx, Path) else "the ONNX model"
            raise ModelFolderError(
                f"{name}: OpenVINO cannot read it. Train or download the model again."
            ) from error
        names = {name for port in model.outputs for name in port.get_names()}
        if not {"logits", "maps"} <= names or INPUT_NAME not in model.inputs[0].get_names():
            raise ModelFolderError(
                f"The ONNX model must take '{INPUT_NAME}' and give 'logits' and 'maps'. "
                f"Got {sorted(names)} instead."
            )
        shape = model.inputs[0].get_partial_shape()
        self._shape = (1, 1, *(int(shape[axis].get_length()) for axis in (2, 3)))
        model.reshape({INPUT_NAME: list(self._shape)})  # batches are no faster
        self._compiled: Any = core.compile_model(model, device, _properties(device, settings))
        self._requests: list[Any] = [self._compiled.create_infer_request()]

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the compiled graph."""
        self._requests = []
        self._compiled = None

    @property
    def composite_shape(self) -> tuple[int, ...]:
        """Shape of one composite with its leading axes: (1, 1, rows, columns)."""
        return self._shape

    def run(self, composite: NDArray[np.float32]) -> GraphOutput:
        """Run one composite (1, rows, columns).

        Raises:
            ParameterError: another shape, or the engine was closed.
        """
        require_open(self._compiled)
        request = self._requests[0]
        request.infer({INPUT_NAME: as_input(composite, self._shape)})
        return _answer(request)

    def run_many(self, composites: Iterable[NDArray[np.float32]]) -> Iterator[GraphOutput]:
        """Run composites as a stream, in order, with few in memory.

        Args:
            composites: arrays (1, rows, columns); read only as far ahead as there are
                requests in flight.

        Yields:
            An answer for each.
        """
        require_open(self._compiled)
        wanted = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        while len(self._requests) < wanted + 1:
            self._requests.append(self._compiled.create_infer_request())
        free = deque(self._requests[: wanted + 1])
        busy: deque[Any] = deque()
        source = iter(composites)
        try:
            while True:
                for composite in itertools.islice(source, len(free)):
                    request = free.popleft()
                    request.start_async({INPUT_NAME: as_input(composite, self._shape)}, None, False)
                    busy.append(request)
                    if not free:
                        break
                if not busy:
                    return
                request = busy.popleft()
                request.wait()
                answer = _answer(request)
                free.append(request)
                yield answer
        finally:
            for request in busy:
                request.wait()


def require_open(compiled: Any) -> None:
    """Refuse to run an engine that was closed.

    Raises:
        ParameterError: there is no compiled graph.
    """
    if compiled is None:
        raise ParameterError("engine", "run", "open", "a closed one")


def as_input(composite: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A composite (1, rows, columns) as the graph takes it: `shape`, (1, 1, rows, columns).

    Raises:
        ParameterError: another shape.
    """
    if composite.shape != shape[1:]:
        raise ParameterError("composite", "run", f"of shape {shape[1:]}", composite.shape)
    return np.ascontiguousarray(composite, dtype=np.float32)[None]


def _answer(request: Any) -> GraphOutput:
    logits = np.array(request.get_tensor("logits").data[0], dtype=np.float32)
    maps = np.array(request.get_tensor("maps").data[0], dtype=np.float32)
    return GraphOutput(logits=logits, maps=np.maximum(maps, 0))


def _device(core: Any, wanted: str) -> str:
    there = [str(name) for name in core.available_devices]
    gpus = [name for name in there if name.startswith("GPU")]
    if wanted == "auto":
        return gpus[0] if gpus else "CPU"
    if wanted == "gpu" and not gpus:
        raise ParameterError(
            "device", "Classifier", f"one that OpenVINO sees here ({', '.join(there)})", wanted
        )
    return _DEVICES[wanted]


def _properties(device: str, settings: RunSettings) -> dict[str, str]:
    properties = {"PERFORMANCE_HINT": "THROUGHPUT" if settings.throughput else "LATENCY"}
    if device == "CPU":
        properties["INFERENCE_PRECISION_HINT"] = "bf16" if settings.bfloat16 else "f32"
        if settings.threads is not None:
            properties["INFERENCE_NUM_THREADS"] = str(settings.threads)
    return properties


_TELEMETRY = "openvino_telemetry"


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Hide openvino_telemetry from imports inside the block.

    Examples:
        >>> with without_telemetry():
        ...     import openvino_telemetry
        Traceback (most recent call last):
        ...
        ModuleNotFoundError: import of openvino_telemetry halted; None in sys.modules
    """
    hidden = {
        name: module
        for name, module in sys.modules.items()
        if name == _TELEMETRY or name.startswith(f"{_TELEMETRY}.")
    }
    for name in hidden:
        del sys.modules[name]
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
        sys.modules.update(hidden)


def load_openvino() -> ModuleType:
    """Import openvino without its telemetry.

    Examples:
        >>> load_openvino().__name__
        'openvino'
    """
    with without_telemetry():
        return importlib.import_module("openvino")
