"""Weights to begin with: ImageNet's, or those of a trained model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from bonescint.extras import load
from bonescint.files import json_in
from bonescint.model import ModelFolder
from bonescint.prepare import Preprocessing
from bonescint.scan import InputError, ParameterError
from bonescint.train.compact import BLOCK_CONVOLUTIONS
from bonescint.train.export import CONSTANTS, INPUT_SCALE, NETWORK
from bonescint.train.imagenet import NAMES, REMEDY, float32, read_imagenet
from bonescint.train.network import InputScale, ScanNetwork
from bonescint.train.networks import NetworkKind

if TYPE_CHECKING:
    import onnx

_HEADS: Mapping[NetworkKind, Mapping[str, tuple[str, ...]]] = {
    NetworkKind.VGG16: {"Gemm": ("hidden", "output")},
    NetworkKind.VGG16_CELLS: {
        "Conv": ("coarse", "fine", "first", "second", "cell"),
        "Gemm": ("context",),
    },
    NetworkKind.COMPACT_CELLS: {
        "Conv": ("coarse", "middle", "between", "fine", "first", "second", "cell"),
        "Gemm": ("context",),
    },
}
"""Layers behind the blocks' convolutions, by kind of node, in the order of the graph."""
_PARTS = ("weight", "bias")
_NOT_OURS = "Give a model of bonescint train"


def block_names(network: NetworkKind) -> tuple[str, ...]:
    """Names of the convolutions of a network's blocks, in the order of the graph.

    Examples:
        >>> block_names(NetworkKind.VGG16)[0], len(block_names(NetworkKind.VGG16))
        ('block1_conv1', 13)
    """
    return NAMES if network.begins_with_imagenet else BLOCK_CONVOLUTIONS


def network_of(model: onnx.ModelProto) -> NetworkKind:
    """Which network a graph is, as `to_onnx` recorded.

    Raises:
        ParameterError: one that this release does not know.
    """
    properties = {item.key: item.value for item in model.metadata_props}
    name = properties.get(NETWORK, NetworkKind.VGG16.value)
    if name not in set(NetworkKind):
        raise ParameterError("model", "network_of", f"one of {', '.join(NetworkKind)}", name)
    return NetworkKind(name)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InitialWeights:
    """What a training begins with: ImageNet's convolutions, a trained model, or nothing.

    Attributes:
        kernels: kernels by Keras-like layer names, float32 (outputs, inputs, kernel, kernel);
            empty to train from scratch.
        biases: biases by the same names, float32 (outputs,).
        input_scale: the scale of inputs that the first convolution was trained with.
        source: name of the file or model, for the model card.
        sha256: hash of the file.
        head: the layers behind the convolutions of a trained model, by their names in the network;
            `None` to initialise the head at random.
        network: the network that the head belongs to, if there is one.
        constants: constants of the head, see `ScanNetwork.constants`.
        preprocessing: preprocessing of a trained model, else `None`.
    """

    kernels: Mapping[str, NDArray[np.float32]]
    biases: Mapping[str, NDArray[np.float32]]
    input_scale: InputScale
    source: str
    sha256: str
    head: Mapping[str, NDArray[np.float32]] | None = None
    network: NetworkKind = NetworkKind.VGG16
    constants: Mapping[str, float] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None

    @property
    def described(self) -> str:
        """Source and hash of the weights, for the model card."""
        return f"{self.source}, sha256 {self.sha256[:12]}" if self.sha256 else self.source

    @property
    def _remedy(self) -> str:
        """The remedy for layers of other sizes, for errors."""
        if self.head is None:
            return REMEDY
        return "Give settings with the model's own shape, or none"

    def require_fit(self, network: NetworkKind) -> None:
        """Refuse a network that these weights do not fit.

        Raises:
            InputError: it is of another kind.
        """
        for_trunk = self.head is None and network.begins_with_imagenet
        if self.kernels and not for_trunk and network is not self.network:
            raise InputError(
                self.source,
                f"a {self.network.value} network, the settings ask for {network.value}",
                "Give settings with the same network, or other weights",
            )

    @torch.no_grad()
    def copy_into(self, network: ScanNetwork) -> None:
        """Overwrite a network's convolutions, and its head if these weights have one.

        Raises:
            InputError: another network, or a layer of another shape.
        """
        self.require_fit(NetworkKind(network.kind))
        for name, layer in network.convolutions() if self.kernels else ():
            kernel, bias = self.kernels[name], self.biases[name]
            if kernel.shape != tuple(layer.weight.shape):
                raise InputError(
                    self.source,
                    f"{name} has kernels of shape {kernel.shape}, the network needs "
                    f"{tuple(layer.weight.shape)}",
                    self._remedy,
                )
            layer.weight.copy_(torch.from_numpy(kernel))
            if layer.bias is not None:
                layer.bias.copy_(torch.from_numpy(bias))
        network.set_constants(self.constants)
        for name, values in (self.head or {}).items():
            layer_name, kind = name.split(".")
            parameter = getattr(getattr(network, layer_name), kind)
            if values.shape != tuple(parameter.shape):
                raise InputError(
                    self.source,
                    f"{name} has shape {values.shape}, the network needs {tuple(parameter.shape)}",
                    self._remedy,
                )
            parameter.copy_(torch.from_numpy(values))


NOTHING_LEARNT = InitialWeights(
    kernels={}, biases={}, input_scale=InputScale.UNIT, source="drawn from the seed", sha256=""
)
"""Every layer is initialised at random."""


def load_weights(file: Path) -> InitialWeights:
    """Read weights to begin with.

    Args:
        file: a file of ImageNet weights, see `read_imagenet`, or a model folder, whose convolutions
            and head are trained further. A folder without `models/weights.safetensors` (release
            0.1, the shipped model) is read from its graph, at int8 precision if that is quantised.

    Returns:
        The weights with their input scale.

    Raises:
        InputError: no such file, another layout, or not readable.
        ModelFolderError: a model folder that is incomplete or was altered.
        MissingExtraError: a library of the extra `train` is missing.
    """
    if file.is_dir():
        folder = ModelFolder.load(file)
        return _from_graph(folder) if folder.weights_path is None else _from_stored(folder)
    layers = read_imagenet(file)
    return InitialWeights(
        kernels=layers.kernels,
        biases=layers.biases,
        input_scale=layers.input_scale,
        source=file.name,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )


def _from_stored(folder: ModelFolder) -> InitialWeights:
    """Read the weights from `weights.safetensors` of a model folder."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder.weights_path, framework="np") as content:
            header = json_in(content.metadata()["header"])
            arrays = {name: float32(content.get_tensor(name)) for name in content.keys()}  # noqa: SIM118
        network = NetworkKind(header["network"])
        scale, constants = InputScale(header["input_scale"]), header["constants"]
        return _of_model(folder, network, scale, constants, arrays)
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        problem = f"no weights of a network that bonescint trains ({error})"
        raise InputError(str(folder.weights_path), problem, _NOT_OURS) from error


def _of_model(
    folder: ModelFolder,
    network: NetworkKind,
    scale: InputScale,
    constants: Mapping[str, float],
    arrays: Mapping[str, NDArray[np.float32]],
) -> InitialWeights:
    """Weights of a trained model from arrays by `layer.weight` and `layer.bias`.

    Raises:
        KeyError: a layer is missing.
    """
    head = [name for names in _HEADS[network].values() for name in names]
    return InitialWeights(
        kernels={name: arrays[f"{name}.weight"] for name in block_names(network)},
        biases={name: arrays[f"{name}.bias"] for name in block_names(network)},
        input_scale=scale,
        source=folder.model_id,
        sha256=folder.sha256,
        head={f"{name}.{part}": arrays[f"{name}.{part}"] for name in head for part in _PARTS},
        network=network,
        constants=constants,
        preprocessing=folder.card.preprocessing,
    )


def _from_graph(folder: ModelFolder) -> InitialWeights:
    """Read the weights from the graph's nodes, identified by their order."""
    onnx = load("onnx", extra="train")
    model = onnx.load(folder.onnx_path)
    as_array = onnx.numpy_helper.to_array
    stored = {item.name: as_array(item) for item in model.graph.initializer}
    arrays: dict[str, NDArray[np.float32]] = {}
    try:
        # The exporter stores equal arrays once and makes the others point there; an int8 model
        # keeps what is left in float as float16, widened by a Cast.
        for node in model.graph.node:
            if node.op_type in ("Identity", "Cast") and node.input[0] in stored:
                stored[node.output[0]] = stored[node.input[0]]
            if node.op_type == "DequantizeLinear" and node.input[0] in stored:
                stored[node.output[0]] = _dequantised(node, stored)
        properties = {item.key: item.value for item in model.metadata_props}
        network = network_of(model)
        head = _HEADS[network]
        for kind, names in (
            ("Conv", (*block_names(network), *head.get("Conv", ()))),
            ("Gemm", head.get("Gemm", ())),
        ):
            nodes = [node for node in model.graph.node if node.op_type == kind]
            for name, node in zip(names, nodes, strict=True):
                for part, inward in zip(_PARTS, node.input[1:3], strict=True):
                    arrays[f"{name}.{part}"] = float32(stored[inward].copy())
        constants = json_in(properties.get(CONSTANTS, "{}"))
        return _of_model(folder, network, InputScale(properties[INPUT_SCALE]), constants, arrays)
    except (IndexError, KeyError, ValueError) as error:
        problem = f"not the graph of a network that bonescint trains ({error})"
        raise InputError(folder.path, problem, _NOT_OURS) from error


def _dequantised(node: Any, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Weights of an int8 model as numbers again (ONNX, DequantizeLinear)."""
    values, scale, *zero = (arrays[name] for name in node.input)
    axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1)
    shape = [1] * values.ndim
    if scale.ndim:
        shape[axis] = scale.size
    shift = zero[0].astype(np.float32).reshape(shape) if zero else np.float32(0)
    return np.asarray((values.astype(np.float32) - shift) * scale.reshape(shape), np.float32)
