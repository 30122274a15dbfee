"""The closed-form Grad-CAM against captum, autograd, ONNX Runtime and OpenVINO."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from captum.attr import LayerGradCam
from torch import Tensor

from bonescint.model import Engine
from bonescint.train.export import to_onnx
from bonescint.train.network import VGG16, CellHead, InputScale, NetworkShape
from bonescint.train.vgg16 import Vgg16Classifier

SHAPES = (
    NetworkShape(channels=(4, 4, 8, 8, 8), hidden=16),
    NetworkShape(channels=(8, 8, 16, 16, 32), hidden=64),
)


def a_network(shape: NetworkShape, seed: int, scale: InputScale) -> Vgg16Classifier:
    torch.manual_seed(seed)
    network = Vgg16Classifier(shape=shape, input_scale=scale)
    for _, layer in network.convolutions():
        torch.nn.init.kaiming_normal_(layer.weight)
    network.pooled_mean.normal_(0, 0.5)
    network.pooled_deviation.uniform_(0.5, 2)
    # The lesion of a hidden layer that is all active would hide a wrong mask of its units.
    torch.nn.init.normal_(network.hidden.bias)
    return network.eval()


def composites(kind: str, rows: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    if kind == "random":
        return torch.rand(3, 1, rows, rows, generator=generator)
    structured = torch.zeros(3, 1, rows, rows)
    structured[0, 0, 8:56, 20:30] = 0.5
    structured[1, 0, 30:34, 30:34] = 1.0
    structured[2, 0] = torch.linspace(0, 1, rows)
    return structured


def relative(one: Tensor, two: Tensor) -> float:
    difference = (one - two).detach().abs().max()
    return float(difference / two.detach().abs().max().clamp(min=1e-30))


def a_session(data: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options)


@pytest.mark.parametrize("scale", list(InputScale))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["random", "structured"])
def test_maps_of_the_onnx_graph_agree_with_captum(
    scale: InputScale, shape: NetworkShape, kind: str
) -> None:
    worst = 0.0
    for seed in range(2):
        network = a_network(shape, seed, scale)
        composite = composites(kind)
        session = a_session(to_onnx(network, rows=64).SerializeToString())
        logits, maps = session.run(None, {"scan": composite.numpy()})
        gradcam = LayerGradCam(network, network.last_activation)
        for target in (0, 1):
            expected = gradcam.attribute(composite, target=target, relu_attributions=True)
            if expected.abs().max() == 0:
                assert np.abs(maps[:, target]).max() == 0
                continue
            ours = torch.from_numpy(maps[:, target : target + 1])
            worst = max(worst, relative(ours, expected.detach()))
        assert relative(torch.from_numpy(logits), network(composite).detach()) < 1e-4
    assert worst < 1e-4


def test_full_size_maps_agree_with_captum() -> None:
    """VGG16 at 512 x 512, as the paper has it."""
    network = a_network(VGG16, 0, InputScale.KERAS_BGR)
    composite = torch.rand(1, 1, 512, 512, generator=torch.Generator().manual_seed(2)) ** 3
    session = a_session(to_onnx(network, rows=512).SerializeToString())
    _, maps = session.run(None, {"scan": composite.numpy()})
    assert maps.shape == (1, 2, 32, 32)
    gradcam = LayerGradCam(network, network.last_activation)
    for target in (0, 1):
        expected = gradcam.attribute(composite, target=target, relu_attributions=True).detach()
        assert expected.abs().max() > 0
        assert relative(torch.from_numpy(maps[:, target : target + 1]), expected) < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_maps_agree_with_autograd(shape: NetworkShape) -> None:
    network = a_network(shape, 1, InputScale.UNIT).double()
    composite = composites("random").double()
    logits, maps = network.forward_with_maps(composite)
    for target in (0, 1):
        features = network.features(composite).detach().requires_grad_()
        network.classified(features)[:, target].sum().backward()
        assert features.grad is not None
        weights = features.grad.mean(dim=(2, 3), keepdim=True)
        expected = torch.relu((weights * features).sum(dim=1))
        assert relative(maps[:, target], expected) < 1e-12
    torch.testing.assert_close(logits, network(composite))


def test_openvino_agrees_with_onnx_runtime() -> None:
    network = a_network(SHAPES[1], 2, InputScale.KERAS_BGR)
    data = to_onnx(network, rows=64).SerializeToString()
    session = a_session(data)
    with Engine(data) as engine:
        for composite in composites("structured").numpy():
            logits, maps = session.run(None, {"scan": composite[None]})
            answer = engine.run(composite)
            np.testing.assert_allclose(answer.logits, logits[0], rtol=1e-4, atol=1e-5)
            scale = max(float(np.abs(maps).max()), 1e-12)
            assert np.abs(answer.maps - maps[0]).max() / scale < 1e-4


def test_folding_changes_nothing_but_removes_the_standardisation() -> None:
    network = a_network(SHAPES[0], 4, InputScale.UNIT)
    folded = network.folded()
    composite = composites("random")
    for one, two in zip(
        network.forward_with_maps(composite), folded.forward_with_maps(composite), strict=True
    ):
        assert relative(two.detach(), one.detach()) < 1e-5
    names = {node.op_type for node in to_onnx(network, rows=64).graph.node}
    assert "Sub" not in names


def test_the_input_scales_see_what_their_weights_were_trained_on() -> None:
    grey = torch.full((1, 1, 64, 64), 0.5)
    seen = {}
    for scale in InputScale:
        network = Vgg16Classifier(shape=SHAPES[0], input_scale=scale)
        inputs: list[Tensor] = []
        first = dict(network.convolutions())["block1_conv1"]
        handle = first.register_forward_pre_hook(lambda _, args, kept=inputs: kept.append(args[0]))
        network(grey)
        handle.remove()
        seen[scale] = inputs[0][0, :, 32, 32].tolist()
    # keras.applications.vgg16.preprocess_input, mode "caffe"; torchvision's documented one.
    assert seen[InputScale.KERAS_BGR] == pytest.approx(
        [127.5 - 103.939, 127.5 - 116.779, 127.5 - 123.68], abs=1e-4
    )
    assert seen[InputScale.TORCHVISION] == pytest.approx(
        [(0.5 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.5 - 0.406) / 0.225], abs=1e-5
    )
    assert seen[InputScale.UNIT] == [0.5] * 3


def test_the_default_network_is_the_papers() -> None:
    network = Vgg16Classifier()
    convolutions = list(network.convolutions())
    assert len(convolutions) == 13
    assert [name for name, _ in convolutions][-1] == "block5_conv3"
    # VGG16 without its top has 14 714 688 parameters (keras.applications' documentation).
    counted = sum(p.numel() for _, layer in convolutions for p in layer.parameters())
    assert counted == 14_714_688
    assert tuple(network.hidden.weight.shape) == (512, 512)
    assert tuple(network.output.weight.shape) == (2, 512)


def test_frozen_blocks_keep_no_gradient() -> None:
    network = a_network(SHAPES[0], 1, InputScale.UNIT)
    network.features(composites("random"), frozen_blocks=2).sum().backward()
    for name, layer in network.convolutions():
        assert (layer.weight.grad is None) is (name[5] in "12")


def test_a_head_for_cells_begins_by_saying_no() -> None:
    said = CellHead(8, kinds=3)(torch.rand(2, 8, 4, 4))
    assert torch.equal(said, torch.full((2, 3, 4, 4), -4.0))
