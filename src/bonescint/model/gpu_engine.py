"""The graph of `Engine` on an NVIDIA GPU, by ONNX Runtime, since OpenVINO does not support it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.model.engine import INPUT_NAME, GraphOutput, as_input, require_open
from bonescint.scan import ModelFolderError, ParameterError

CUDA = "CUDAExecutionProvider"
_INSTALL = "pip install onnxruntime-gpu"


class GpuEngine:
    """A graph in a session of ONNX Runtime.

    Outputs differ from those of `Engine` by rounding, so results record the device.

    Args:
        onnx: path of the ONNX file.
        provider: ONNX Runtime's name of the device.

    Raises:
        ParameterError: ONNX Runtime is not installed, or offers no such device here.
        ModelFolderError: it cannot read the file.
    """

    def __init__(self, onnx: Path, *, provider: str = CUDA) -> None:
        runtime = load_onnxruntime()
        offered = runtime.get_available_providers()
        if provider not in offered:
            requirement = f"one that ONNX Runtime offers here ({', '.join(offered)}; {_INSTALL})"
            raise ParameterError("device", "Classifier", requirement, provider)
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session: Any = runtime.InferenceSession(str(onnx), options, providers=[provider])
        except Exception as error:  # its errors have no common class
            raise ModelFolderError(
                f"{onnx}: ONNX Runtime cannot read it. Train or download the model again."
            ) from error
        if provider not in self._session.get_providers():  # it silently falls back to the CPU
            requirement = "one that works here: check the driver and the version of CUDA"
            raise ParameterError("device", "Classifier", requirement, provider)
        rows, columns = self._session.get_inputs()[0].shape[2:]
        self._shape = (1, 1, int(rows), int(columns))

    def close(self) -> None:
        """Free the session."""
        self._session = None

    @property
    def composite_shape(self) -> tuple[int, ...]:
        """Shape of one composite with its leading axes: (1, 1, rows, columns)."""
        return self._shape

    def run(self, composite: NDArray[np.float32]) -> GraphOutput:
        """Run one composite (1, rows, columns).

        Raises:
            ParameterError: another shape, or the engine was closed.
        """
        require_open(self._session)
        given = {INPUT_NAME: as_input(composite, self._shape)}
        logits, maps = self._session.run(["logits", "maps"], given)
        return GraphOutput(
            logits=np.asarray(logits[0], dtype=np.float32),
            maps=np.maximum(np.asarray(maps[0], dtype=np.float32), 0),
        )

    def run_many(self, composites: Iterable[NDArray[np.float32]]) -> Iterator[GraphOutput]:
        """Run composites as a stream, in order."""
        yield from map(self.run, composites)


def load_onnxruntime() -> Any:
    """Import ONNX Runtime.

    Raises:
        ParameterError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        requirement = f"given where ONNX Runtime is installed ({_INSTALL})"
        raise ParameterError("device", "Classifier", requirement, "cuda") from error
    return onnxruntime
