"""A stand-in model folder: a real ONNX graph that needs no training, for tests and benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bonescint.model import ModelCard, ModelFolder, TrainingRecord, write_model_folder
from bonescint.prepare import preprocessing_named

SIZE = 512
CELL = 16


def write_stand_in_model(
    path: Path, *, operating_point: float = 0.5, gain: float = 20.0
) -> ModelFolder:
    """Write a model whose maps are local means and whose logit grows with the brightness."""
    card = ModelCard(
        name="stand-in",
        version="1",
        architecture="mean brightness",
        preprocessing=preprocessing_named("body-root"),
        operating_point=operating_point,
        training=TrainingRecord(
            origin="simulated scans only", cohort_sha256="no cohort", scans={}, weights="none"
        ),
        limitations=("It looks at brightness only.",),
    )
    return write_model_folder(path, card=card, onnx=_graph(gain).SerializeToString())


def _graph(gain: float) -> onnx.ModelProto:
    cells = SIZE // CELL
    nodes = [
        helper.make_node(
            "AveragePool", ["scan"], ["warm"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]
        ),
        helper.make_node("Sub", ["one", "warm"], ["cold"]),
        helper.make_node("Concat", ["cold", "warm"], ["both"], axis=1),
        helper.make_node("Relu", ["both"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["warm"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "one"),
        numpy_helper.from_array(np.array([[0.0, gain]], np.float32), "weight"),
        numpy_helper.from_array(np.array([0.0, -2.5], np.float32), "bias"),
    ]
    graph = helper.make_graph(
        nodes,
        "stand_in",
        [helper.make_tensor_value_info("scan", TensorProto.FLOAT, ["n", 1, SIZE, SIZE])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", 2, cells, cells]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model
