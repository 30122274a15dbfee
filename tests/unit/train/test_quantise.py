from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from bonescint.cohort import read_manifest
from bonescint.model import Engine, ModelCard, ModelFolder, TrainingRecord, write_model_folder
from bonescint.prepare import prepare, preprocessing_named
from bonescint.scan import Case, ParameterError, PlattCalibration, Split
from bonescint.train import quantise as quantise_module
from bonescint.train.cells import Vgg16Cells
from bonescint.train.export import NETWORK, to_onnx
from bonescint.train.network import InputScale, NetworkShape
from bonescint.train.quantise import chosen_cases, compared, correlation, quantise, quantised_onnx
from bonescint.train.sample import ListedSource
from bonescint.train.vgg16 import Vgg16Classifier
from bonescint.train.weights import load_weights

PREPROCESSING = replace(preprocessing_named("body-root"), name="small", rows=64, columns=32)


@pytest.fixture(scope="module")
def composites(source: ListedSource) -> list[NDArray[np.float32]]:
    return [prepare(sample.scan, PREPROCESSING).composite for sample in source.samples]


def a_network() -> Vgg16Classifier:
    torch.manual_seed(3)
    # Narrower random networks round too few products for their errors to cancel.
    shape = NetworkShape(channels=(16, 16, 32, 64, 64), hidden=32)
    network = Vgg16Classifier(shape=shape, input_scale=InputScale.KERAS_BGR)
    for _, layer in network.convolutions():
        torch.nn.init.kaiming_normal_(layer.weight)
    return network


@pytest.fixture(scope="module")
def parent_model() -> onnx.ModelProto:
    return to_onnx(a_network(), rows=64)


@pytest.fixture(scope="module")
def quantised_bytes(parent_model: onnx.ModelProto, composites: list[NDArray[np.float32]]) -> bytes:
    return quantised_onnx(parent_model, composites).SerializeToString()


@pytest.fixture
def quantised(quantised_bytes: bytes) -> onnx.ModelProto:
    """A graph of its own for each test, which may change it."""
    return onnx.load_model_from_string(quantised_bytes)


@pytest.fixture
def parent(tmp_path: Path, parent_model: onnx.ModelProto) -> ModelFolder:
    card = ModelCard(
        name="demo",
        version="1",
        architecture="VGG16",
        preprocessing=PREPROCESSING,
        operating_point=0.5,
        training=TrainingRecord(origin="nothing", cohort_sha256="", scans={}, weights="random"),
    )
    return write_model_folder(tmp_path / "fp32", card=card, onnx=parent_model.SerializeToString())


def test_all_convolutions_but_the_first_hold_int8(quantised: onnx.ModelProto) -> None:
    kinds = {init.name: init.data_type for init in quantised.graph.initializer}
    made_by = {node.output[0]: node for node in quantised.graph.node}
    convolutions = [node for node in quantised.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 13
    assert kinds[convolutions[0].input[1]] == TensorProto.FLOAT
    for convolution in convolutions[1:]:
        scaled = made_by[convolution.input[1]]
        assert scaled.op_type == "DequantizeLinear"
        assert kinds[scaled.input[0]] == TensorProto.INT8
    # The input of the network and everything after the last convolution stay in float.
    quantisers = [node for node in quantised.graph.node if node.op_type == "QuantizeLinear"]
    assert all("scan" not in node.input for node in quantisers)
    last = max(i for i, node in enumerate(quantised.graph.node) if node.op_type == "Conv")
    after = {node.op_type for node in list(quantised.graph.node)[last + 1 :]}
    assert "QuantizeLinear" not in after


def test_the_quantised_graph_runs_and_stays_close(
    quantised: onnx.ModelProto, parent_model: onnx.ModelProto, composites: list[NDArray[np.float32]]
) -> None:
    with (
        Engine(parent_model.SerializeToString()) as one,
        Engine(quantised.SerializeToString()) as two,
    ):
        pairs = [(one.run(composite), two.run(composite)) for composite in composites]
    correlations = [correlation(a.maps[1], b.maps[1]) for a, b in pairs]
    assert np.nanmedian(correlations) > 0.95
    margins = np.array([[a.logits[1] - a.logits[0], b.logits[1] - b.logits[0]] for a, b in pairs])
    assert np.corrcoef(margins.T)[0, 1] > 0.95


def test_the_quantised_graphs_maps_are_grad_cam_of_its_own_features(
    quantised: onnx.ModelProto, composites: list[NDArray[np.float32]]
) -> None:
    """By Grad-CAM's definition: autograd from the logits to what the int8 convolutions gave."""
    pools = [node for node in quantised.graph.node if node.op_type == "MaxPool"]
    name = pools[-1].input[0]
    quantised.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(quantised.SerializeToString())
    network = a_network().eval()
    compared_maps = 0
    for composite in composites[:4]:
        logits, maps, array = session.run(["logits", "maps", name], {"scan": composite[None]})
        features = torch.from_numpy(array).requires_grad_()
        ours = network.classified(features)
        np.testing.assert_allclose(logits, ours.detach().numpy(), rtol=1e-4, atol=1e-5)
        for target in (0, 1):
            (gradient,) = torch.autograd.grad(ours[0, target], features, retain_graph=True)
            weights = gradient.mean(dim=(2, 3), keepdim=True)
            expected = torch.relu((weights * features).sum(dim=1)).detach().numpy()[0]
            np.testing.assert_allclose(
                maps[0, target], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max() + 1e-12
            )
            compared_maps += bool(expected.any())
    assert compared_maps >= 4


def test_no_sum_overflows_on_processors_without_vnni(
    quantised: onnx.ModelProto, composites: list[NDArray[np.float32]]
) -> None:
    """They add two products of 8 bits in 16: twice 255 times a weight of seven bits fits."""
    arrays = {item.name: onnx.numpy_helper.to_array(item) for item in quantised.graph.initializer}
    weights = [values for values in arrays.values() if values.dtype == np.int8 and values.ndim == 4]
    assert len(weights) == 12
    assert max(int(np.abs(values.astype(int)).max()) for values in weights) <= 64
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = quantised.SerializeToString()
    in_float = onnxruntime.InferenceSession(data, options)
    with Engine(data) as engine:
        for composite in composites:
            expected = in_float.run(None, {"scan": composite[None]})[1][0, 1]
            assert correlation(engine.run(composite).maps[1], expected) > 0.99


def test_a_network_of_another_release_is_refused(
    parent_model: onnx.ModelProto, composites: list[NDArray[np.float32]]
) -> None:
    later = onnx.ModelProto()
    later.CopyFrom(parent_model)
    noted = {item.key: item for item in later.metadata_props}
    noted[NETWORK].value = "of-later"
    with pytest.raises(ParameterError, match=r"vgg16-cells.*of-later"):
        quantised_onnx(later, composites)


def test_large_weights_in_float_are_stored_in_half_and_learn_on(
    tmp_path: Path, parent: ModelFolder, composites: list[NDArray[np.float32]]
) -> None:
    torch.manual_seed(4)
    network = Vgg16Cells(shape=NetworkShape(channels=(8, 8, 16, 16, 16), cells=32))
    torch.nn.init.normal_(network.cell.weight, std=0.5)
    model = to_onnx(network, rows=64)
    quantised = quantised_onnx(model, composites)
    kinds = {init.name: init.data_type for init in quantised.graph.initializer}
    assert kinds["network.first.weight.half"] == TensorProto.FLOAT16
    with Engine(model.SerializeToString()) as one, Engine(quantised.SerializeToString()) as two:
        answers = [(one.run(composite), two.run(composite)) for composite in composites]
    assert np.nanmedian([correlation(a.maps[1], b.maps[1]) for a, b in answers]) > 0.95
    card = replace(parent.card, name="cells", precision="int8")
    folder = write_model_folder(tmp_path / "int8", card=card, onnx=quantised.SerializeToString())
    again = load_weights(folder.path).head
    assert again is not None
    np.testing.assert_allclose(again["first.weight"], network.first.weight.detach(), atol=1e-3)


def test_a_model_compared_with_itself_is_the_same(
    parent: ModelFolder, composites: list[NDArray[np.float32]], source: ListedSource
) -> None:
    agreement = compared(parent, parent, composites, labels=source.positives)
    one, two = agreement.auc
    assert one == two
    assert agreement.median_map_correlation == pytest.approx(1.0)
    figures = {metric.name: metric.value for metric in agreement.metrics("18 scans")}
    assert figures["parent_probability_error"] == 0.0


def test_a_calibration_of_its_own_is_no_difference_of_the_graph(
    parent: ModelFolder, composites: list[NDArray[np.float32]], source: ListedSource, tmp_path: Path
) -> None:
    twice = parent.card.calibration.then(PlattCalibration(slope=0.5, intercept=1.0))
    card = replace(parent.card, calibration=twice)
    onnx = parent.onnx_path.read_bytes()
    calibrated = write_model_folder(tmp_path / "calibrated", card=card, onnx=onnx)
    agreement = compared(parent, calibrated, composites, labels=source.positives)
    np.testing.assert_array_equal(agreement.parent_probabilities, agreement.probabilities)


def test_correlation_is_numpys() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.random((2, 4, 4)).astype(np.float32)
    assert correlation(one, two) == pytest.approx(np.corrcoef(one.ravel(), two.ravel())[0, 1])
    assert np.isnan(correlation(one, np.zeros_like(one)))


def a_case(number: int, *, positive: bool, split: Split = Split.TRAIN) -> Case:
    return Case(
        scan_id=f"s{number}",
        patient_id=f"p{number}",
        centre="here",
        split=split,
        positive=positive,
        file=f"{number}.dcm",
    )


@pytest.mark.parametrize(
    ("positives", "negatives", "count", "expected"),
    [(10, 10, 6, (3, 3)), (1, 10, 6, (1, 5)), (10, 1, 6, (5, 1)), (1, 1, 6, (1, 1))],
)
def test_chosen_cases_are_half_positive_where_possible(
    positives: int, negatives: int, count: int, expected: tuple[int, int]
) -> None:
    cases = [a_case(n, positive=n < positives) for n in range(positives + negatives)]
    chosen = chosen_cases(cases, count=count, seed=1)
    positive = sum(case.positive for case in chosen)
    assert (positive, len(chosen) - positive) == expected
    assert len({case.scan_id for case in chosen}) == len(chosen)


def test_a_folder_is_quantised_into_a_folder(
    tmp_path: Path,
    parent: ModelFolder,
    source: ListedSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bonescint.cohort import write_manifest

    cases = [
        a_case(
            number, positive=sample.positive, split=Split.TRAIN if number < 9 else Split.VALIDATION
        )
        for number, sample in enumerate(source.samples)
    ]
    write_manifest(cases, tmp_path / "manifest.csv")
    assert len(read_manifest(tmp_path / "manifest.csv").cases) == 18
    monkeypatch.setattr(
        quantise_module, "read", lambda file: source.sample(int(Path(file).stem)).scan
    )
    out = tmp_path / "int8"
    folder = quantise(parent, tmp_path / "manifest.csv", out, count=8, compare=8)
    assert folder == ModelFolder.load(out)
    assert folder.card.precision == "int8"
    assert folder.read_weights() == parent.read_weights()
    assert folder.onnx_path.stat().st_size < parent.onnx_path.stat().st_size
    names = [metric.name for metric in folder.card.metrics]
    assert "parent_map_correlation_score" in names
    with pytest.raises(ParameterError, match="fp32"):
        quantise(folder, tmp_path / "manifest.csv", tmp_path / "again")
    with pytest.raises(ParameterError, match="at least one"):
        quantised_onnx(onnx.load(parent.onnx_path), [])
