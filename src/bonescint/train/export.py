"""A trained network as files: an ONNX graph that gives logits and maps, and its weights."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor, nn

from bonescint.extras import load
from bonescint.train.network import ScanNetwork

if TYPE_CHECKING:
    import onnx

INPUT_NAME = "scan"
OUTPUT_NAMES = ("logits", "maps")
INPUT_SCALE = "bonescint.input_scale"
"""Key in the ONNX file's metadata: the input scale of the first convolution."""
NETWORK = "bonescint.network"
"""Key in the ONNX file's metadata: which network it is."""
CONSTANTS = "bonescint.constants"
"""Key in the ONNX file's metadata: learnt numbers that belong to no layer, as JSON."""
_OPSET = 17


class _WithMaps(nn.Module):
    """Makes `forward_with_maps` the forward pass, which is what exporters follow."""

    def __init__(self, network: ScanNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, composite: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.forward_with_maps(composite)


def to_onnx(network: ScanNetwork, *, rows: int = 512) -> onnx.ModelProto:
    """Export a network in float32.

    Args:
        network: trained; its standardisation is folded into its layers first.
        rows: rows and columns of the composite, fixed in the graph.

    Returns:
        ONNX model. Input `scan` float32 (N, 1, rows, rows) in [0, 1]; outputs `logits`
        (N, 2) and `maps` (N, 2, map rows, map columns).

    Raises:
        MissingExtraError: the library onnx is not installed.

    Examples:
        >>> from bonescint.train import NetworkShape, Vgg16Classifier
        >>> narrow = Vgg16Classifier(shape=NetworkShape(channels=(2, 2, 4, 4, 4), hidden=8))
        >>> model = to_onnx(narrow, rows=64)
        >>> [output.name for output in model.graph.output]
        ['logits', 'maps']
    """
    library = load("onnx", extra="train")
    # The exporter follows the layout of the weights; ONNX knows only the default one.
    folded = network.folded().cpu().eval().laid_out(torch.contiguous_format)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The TorchScript exporter announces that torch's other one will be the default. That
        # one needs onnxscript and yields the same graph here, at several times the size of
        # dependencies.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.onnx")
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*TorchScript")
        file = Path(folder) / "model.onnx"
        torch.onnx.export(
            _WithMaps(folded),
            (torch.zeros(1, 1, rows, rows),),
            file,
            input_names=[INPUT_NAME],
            output_names=list(OUTPUT_NAMES),
            dynamic_axes={name: {0: "scans"} for name in (INPUT_NAME, *OUTPUT_NAMES)},
            opset_version=_OPSET,
            dynamo=False,
        )
        model: onnx.ModelProto = library.load(file)
    properties = {
        INPUT_SCALE: folded.input_scale.value,
        NETWORK: folded.kind,
        CONSTANTS: json.dumps(folded.constants()),
    }
    library.helper.set_model_props(model, properties)
    library.checker.check_model(model, full_check=True)
    return model


def to_safetensors(network: ScanNetwork) -> bytes:
    """A network's weights in float16, for trainings that continue from it.

    Args:
        network: trained; its standardisation is folded first.

    Returns:
        A safetensors file's content: `layer.weight` and `layer.bias` of each layer, those of the
        blocks by `ScanNetwork.convolutions`, and a JSON `header` that names the network.
    """
    folded = network.folded().cpu().eval().laid_out(torch.contiguous_format)
    layers: dict[str, nn.Module] = dict(folded.convolutions())
    in_blocks = {id(layer) for layer in layers.values()}
    layers |= {
        name: layer
        for name, layer in folded.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear) and id(layer) not in in_blocks
    }
    arrays = {
        f"{name}.{part}": values.detach().numpy().astype(np.float16)
        for name, layer in layers.items()
        for part, values in layer.named_parameters()
    }
    header = {
        "network": folded.kind,
        "input_scale": folded.input_scale.value,
        "constants": folded.constants(),
    }
    return save(arrays, metadata={"header": json.dumps(header, sort_keys=True)})
