from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from bonescint.model import Classifier
from bonescint.model.engine import Engine
from bonescint.model.gpu_engine import CUDA, GpuEngine
from bonescint.scan import ModelFolderError, ParameterError

onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
HERE = onnxruntime.get_available_providers()
STAND_IN = Path(__file__).parents[1] / "classify" / "stand_in.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> object:
    write = runpy.run_path(str(STAND_IN))["write_stand_in_model"]
    return write(tmp_path_factory.mktemp("models") / "stand-in")


@pytest.mark.parametrize(
    "provider",
    [
        "CPUExecutionProvider",
        pytest.param(CUDA, marks=pytest.mark.skipif(CUDA not in HERE, reason="needs a GPU")),
    ],
)
def test_onnx_runtime_and_openvino_agree(folder, provider: str) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    composites = [rng.random((1, 512, 512), dtype=np.float32) for _ in range(2)]
    engine = GpuEngine(folder.onnx_path, provider=provider)
    with Engine(folder.onnx_path) as other:
        assert engine.composite_shape == other.composite_shape
        for ours, theirs in zip(
            engine.run_many(composites), other.run_many(composites), strict=True
        ):
            np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-3)
            np.testing.assert_allclose(ours.maps, theirs.maps, atol=1e-4)
    with pytest.raises(ParameterError, match="of shape"):
        engine.run(composites[0][:, :5])
    engine.close()
    with pytest.raises(ParameterError, match="open"):
        engine.run(composites[0])


@pytest.mark.skipif(CUDA in HERE, reason="here is one")
def test_without_a_gpu_a_line_says_what_is_offered(folder) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ParameterError, match=r"CPUExecutionProvider; pip install onnxruntime-gpu"):
        Classifier(folder, device="cuda")


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"none")
    with pytest.raises(ModelFolderError, match="ONNX Runtime cannot read it"):
        GpuEngine(tmp_path / "model.onnx", provider="CPUExecutionProvider")
