"""Weights to begin with: ImageNet's from three kinds of file, or those of a trained model.

VGG16: Simonyan & Zisserman 2014, Visual Geometry Group, CC BY 4.0.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from bonescint.files import FULL, cannot_write, json_in
from bonescint.model import ModelFolder
from bonescint.prepare import Preprocessing
from bonescint.scan import InputError, ParameterError
from bonescint.train.compact import BLOCK_CONVOLUTIONS
from bonescint.train.export import CONSTANTS, INPUT_SCALE, NETWORK
from bonescint.train.extras import load
from bonescint.train.network import InputScale, ScanNetwork
from bonescint.train.networks import NetworkKind
from bonescint.train.vgg16 import CONVOLUTIONS_PER_BLOCK

if TYPE_CHECKING:
    import onnx

KERAS_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
KERAS_URL = "https://github.com/fchollet/deep-learning-models/releases/download/v0.1/" + KERAS_FILE
KERAS_MD5 = "6d6bbae143d832006294945121d1f1fc"
_TORCHVISION_INDICES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_PATIENCE_S = 20
"""Without a network some systems answer nothing at all."""
_REMEDY = (
    f"Give Keras' {KERAS_FILE}, torchvision's vgg16 .pth, or a .safetensors file with "
    "block1_conv1.weight to block5_conv3.bias"
)
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
_UNREADABLE = (
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    AttributeError,
    pickle.UnpicklingError,
)
NAMES = tuple(
    f"block{block}_conv{index}"
    for block, count in enumerate(CONVOLUTIONS_PER_BLOCK, start=1)
    for index in range(1, count + 1)
)
"""Of VGG16's convolutions, as Keras calls them."""


def block_names(network: NetworkKind) -> tuple[str, ...]:
    """Names of the convolutions of a network's blocks, in the order of the graph.

    Examples:
        >>> block_names(NetworkKind.VGG16)[0], len(block_names(NetworkKind.VGG16))
        ('block1_conv1', 13)
    """
    return NAMES if network.begins_with_imagenet else BLOCK_CONVOLUTIONS


def network_of(model: onnx.ModelProto) -> NetworkKind:
    """Which network a graph is, as `to_onnx` noted.

    Raises:
        ParameterError: one that this release does not know.
    """
    properties = {item.key: item.value for item in model.metadata_props}
    name = properties.get(NETWORK, NetworkKind.VGG16.value)
    if name not in set(NetworkKind):
        raise ParameterError("model", "network_of", f"one of {', '.join(NetworkKind)}", name)
    return NetworkKind(name)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConvolutionWeights:
    """Kernels and biases of the convolutions, and the input scale that they want.

    Attributes:
        kernels: by names such as Keras', float32 (outputs, inputs, kernel, kernel); none where
            nothing was learnt yet.
        biases: by the same names, float32 (outputs,).
        input_scale: what the first convolution wants to see.
        source: where they come from, for the model card.
        sha256: of the file.
        head: of a trained model also the layers behind the convolutions, by their names in
            the network; else `None`, and the head begins at random.
        network: which network the head belongs to, if there is one.
        constants: of the head, see `ScanNetwork.constants`.
        preprocessing: of a trained model, what is done to a scan before it reads it; else `None`.
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
        """For the model card."""
        return f"{self.source}, sha256 {self.sha256[:12]}" if self.sha256 else self.source

    @property
    def _remedy(self) -> str:
        """Against layers of other sizes."""
        if self.head is None:
            return _REMEDY
        return "Give settings with the model's own shape, or none"

    def require_fit(self, network: NetworkKind) -> None:
        """Refuse a network that cannot begin with these weights.

        Raises:
            InputError: it is another one.
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


NOTHING_LEARNT = ConvolutionWeights(
    kernels={}, biases={}, input_scale=InputScale.UNIT, source="drawn from the seed", sha256=""
)
"""Every layer begins at random."""


def load_weights(file: Path) -> ConvolutionWeights:
    """Read weights to begin with; the kind of file follows from its suffix.

    Args:
        file: `.h5` or `.hdf5` (Keras, "notop"), `.pth` or `.pt` (torchvision's vgg16),
            `.safetensors` (names as Keras', kernels OIHW; its metadata may name the scale),
            or a model folder, whose convolutions and head go on learning (those of an int8
            model as far as its few bits tell them).

    Returns:
        The weights with their input scale.

    Raises:
        InputError: no such file, another layout, or not readable.
        ModelFolderError: a model folder that is not whole.
        MissingExtraError: a library of the extra `train` is missing.
    """
    if file.is_dir():
        return _from_model_folder(file)
    readers = {
        ".h5": _from_keras,
        ".hdf5": _from_keras,
        ".pth": _from_torchvision,
        ".pt": _from_torchvision,
        ".safetensors": _from_safetensors,
    }
    if not file.is_file():
        raise InputError(file, "no such file", _REMEDY)
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise InputError(file, f"unknown kind of weights file '{file.suffix}'", _REMEDY)
    try:
        kernels, biases, scale = reader(file)
    except _UNREADABLE as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:160]
        raise InputError(file, f"not a readable VGG16 weights file ({reason})", _REMEDY) from error
    for name in NAMES:
        if kernels[name].ndim != 4 or biases[name].shape != kernels[name].shape[:1]:
            raise InputError(file, f"{name} is not a 3 x 3 convolution with a bias", _REMEDY)
    return ConvolutionWeights(
        kernels=kernels,
        biases=biases,
        input_scale=scale,
        source=file.name,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )


_Layers = tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]], InputScale]


def _float32(array: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.asarray(array, dtype=np.float32))


def _from_keras(file: Path) -> _Layers:
    """Keras 1 names layers `block1_conv1_W_1:0`, later releases `kernel:0`, one group deeper."""
    h5py = load("h5py")
    kernels, biases = {}, {}
    with h5py.File(file, "r") as content:
        root = content.get("model_weights", content)
        for name in NAMES:
            found: list[Any] = []
            root[name].visititems(
                lambda _, item, found=found: (
                    found.append(item[()]) if isinstance(item, h5py.Dataset) else None
                )
            )
            kernel = next((array for array in found if array.ndim == 4), None)
            bias = next((array for array in found if array.ndim == 1), None)
            if kernel is None or bias is None:
                raise KeyError(f"{name} lacks its kernels or its biases")
            kernels[name] = _float32(kernel.transpose(3, 2, 0, 1))  # HWIO to OIHW
            biases[name] = _float32(bias)
    return kernels, biases, InputScale.KERAS_BGR


def _from_torchvision(file: Path) -> _Layers:
    state = torch.load(file, map_location="cpu", weights_only=True)
    kernels, biases = {}, {}
    for name, index in zip(NAMES, _TORCHVISION_INDICES, strict=True):
        kernels[name] = _float32(state[f"features.{index}.weight"])
        biases[name] = _float32(state[f"features.{index}.bias"])
    return kernels, biases, InputScale.TORCHVISION


def _from_safetensors(file: Path) -> _Layers:
    safetensors = load("safetensors")
    kernels, biases = {}, {}
    try:
        with safetensors.safe_open(file, "np") as content:
            metadata = content.metadata() or {}
            for name in NAMES:
                kernels[name] = _float32(content.get_tensor(f"{name}.weight"))
                biases[name] = _float32(content.get_tensor(f"{name}.bias"))
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    if metadata.get("layout", "OIHW") != "OIHW":
        raise ValueError(f"kernels in layout {metadata['layout']} instead of OIHW")
    return kernels, biases, _scale_named(metadata.get("input", "BGR"))


def _from_model_folder(path: Path) -> ConvolutionWeights:
    folder = ModelFolder.load(path)
    onnx = load("onnx")
    model = onnx.load(folder.onnx_path)
    as_array = onnx.numpy_helper.to_array
    arrays = {item.name: as_array(item) for item in model.graph.initializer}
    kernels: dict[str, NDArray[np.float32]] = {}
    biases: dict[str, NDArray[np.float32]] = {}
    try:
        # The exporter stores equal arrays once and makes the others point there; an int8 model
        # keeps what is left in float as float16, widened by a Cast.
        for node in model.graph.node:
            if node.op_type in ("Identity", "Cast") and node.input[0] in arrays:
                arrays[node.output[0]] = arrays[node.input[0]]
            if node.op_type == "DequantizeLinear" and node.input[0] in arrays:
                arrays[node.output[0]] = _dequantised(node, arrays)
        properties = {item.key: item.value for item in model.metadata_props}
        network = network_of(model)
        head, names_of_blocks = _HEADS[network], block_names(network)
        for kind, names in (
            ("Conv", (*names_of_blocks, *head.get("Conv", ()))),
            ("Gemm", head.get("Gemm", ())),
        ):
            nodes = [node for node in model.graph.node if node.op_type == kind]
            for name, node in zip(names, nodes, strict=True):
                for found, inward in ((kernels, node.input[1]), (biases, node.input[2])):
                    found[name] = _float32(arrays[inward].copy())
        scale = InputScale(properties[INPUT_SCALE])
        constants = json_in(properties.get(CONSTANTS, "{}"))
    except (IndexError, KeyError, ValueError) as error:
        raise InputError(
            path,
            f"not the graph of a network that bonescint trains ({error})",
            "Give a model of bonescint train",
        ) from error
    return ConvolutionWeights(
        kernels={name: kernels[name] for name in names_of_blocks},
        biases={name: biases[name] for name in names_of_blocks},
        input_scale=scale,
        source=folder.model_id,
        sha256=folder.sha256,
        head={
            f"{name}.{kind}": arrays[name]
            for names in head.values()
            for name in names
            for kind, arrays in (("weight", kernels), ("bias", biases))
        },
        network=network,
        constants=constants,
        preprocessing=folder.card.preprocessing,
    )


def _dequantised(node: Any, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Weights of an int8 model as numbers again (ONNX, DequantizeLinear)."""
    values, scale, *zero = (arrays[name] for name in node.input)
    axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1)
    shape = [1] * values.ndim
    if scale.ndim:
        shape[axis] = scale.size
    shift = zero[0].astype(np.float32).reshape(shape) if zero else np.float32(0)
    return np.asarray((values.astype(np.float32) - shift) * scale.reshape(shape), np.float32)


def _scale_named(description: str) -> InputScale:
    if description in set(InputScale):
        return InputScale(description)
    if description.startswith("BGR"):
        return InputScale.KERAS_BGR
    if description.startswith("RGB"):
        return InputScale.TORCHVISION
    raise ValueError(f"an input scale that this release does not know: {description}")


def fetch_keras_weights(cache: Path | None = None, *, url: str = KERAS_URL) -> Path:
    """The official Keras file, from the cache folder or, once, from the network.

    Args:
        cache: folder to keep it in; `~/.cache/bonescint` if not given.
        url: where to fetch it from.

    Returns:
        Path of a file whose MD5 was checked.

    Raises:
        InputError: no network, or the file that came is another one.
    """
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bonescint"
    target = folder / KERAS_FILE
    if target.is_file() and _md5(target) == KERAS_MD5:
        return target
    remedy = (
        "Train with --settings compact, which needs no weights, or go on from a model (--from "
        f"shipped), or download {KERAS_FILE} elsewhere and give it with --weights FILE"
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as beside:
        partial = Path(beside.name)
        try:
            with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310
                while block := answer.read(1 << 20):
                    beside.write(block)
        except OSError as error:
            partial.unlink()
            if error.errno in FULL:
                raise cannot_write(target, error) from error
            raise InputError(url, f"could not be downloaded ({error})", remedy) from error
    if _md5(partial) != KERAS_MD5:
        partial.unlink()
        raise InputError(url, f"the downloaded file does not have the MD5 {KERAS_MD5}", remedy)
    partial.replace(target)
    return target


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
