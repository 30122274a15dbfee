"""A model whose answers can be told by hand: means over the composite and its cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bonescint.model import ModelCard, ModelFolder, TrainingRecord, write_model_folder
from bonescint.prepare import Preprocessing, preprocessing_named
from bonescint.scan import Acquisition, PixelUnit, PlattCalibration, Scan

SMALL: Preprocessing = replace(
    preprocessing_named("ibrahim2023"), name="small", rows=64, columns=32
)


def mean_model(rows: int = 64) -> bytes:
    """Logits (mean, 3 x mean) and maps (cell means, 2 x cell means)."""
    three = helper.make_tensor("three", TensorProto.FLOAT, [1, 2], [1.0, 3.0])
    two = helper.make_tensor("two", TensorProto.FLOAT, [1, 2, 1, 1], [1.0, 2.0])
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    nodes = [
        helper.make_node(
            "AveragePool", ["scan"], ["cells"], kernel_shape=[16, 16], strides=[16, 16]
        ),
        helper.make_node("Mul", ["cells", "two"], ["maps"]),
        helper.make_node("ReduceMean", ["scan", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "three"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("scan", TensorProto.FLOAT, ["n", 1, rows, rows])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info(
                "maps", TensorProto.FLOAT, ["n", 2, rows // 16, rows // 16]
            ),
        ],
        [three, two, axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


@pytest.fixture
def onnx_bytes() -> bytes:
    return mean_model()


@pytest.fixture
def card() -> ModelCard:
    return ModelCard(
        name="demo",
        version="1.2",
        architecture="Means.",
        preprocessing=SMALL,
        operating_point=0.6,
        calibration=PlattCalibration(slope=0.5),
        training=TrainingRecord(
            origin="nothing", cohort_sha256="0" * 64, scans={"train positive": 3}, weights="none"
        ),
        limitations=("It knows nothing.",),
        software={"numpy": "2.0.0", "torch": "2.6.0"},
        created="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture
def folder(tmp_path: Path, card: ModelCard, onnx_bytes: bytes) -> ModelFolder:
    return write_model_folder(tmp_path / "model", card=card, onnx=onnx_bytes)


@pytest.fixture
def scan() -> Scan:
    rng = np.random.default_rng(3)
    return Scan(
        anterior=rng.poisson(4, (64, 32)),
        posterior=rng.poisson(9, (64, 32)),
        pixel_spacing_mm=(2.4, 2.4),
        unit=PixelUnit.COUNTS,
        scan_id="bs-1",
        acquisition=Acquisition(modality="NM"),
    )
