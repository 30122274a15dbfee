"""VGG16's ImageNet weights from three kinds of file: Keras', torchvision's, safetensors.

Simonyan & Zisserman 2014, Visual Geometry Group, CC BY 4.0.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bonescint.extras import load
from bonescint.files import FULL, cannot_write
from bonescint.scan import InputError
from bonescint.train.network import InputScale
from bonescint.train.vgg16 import CONVOLUTIONS_PER_BLOCK

KERAS_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
KERAS_URL = "https://github.com/fchollet/deep-learning-models/releases/download/v0.1/" + KERAS_FILE
KERAS_MD5 = "6d6bbae143d832006294945121d1f1fc"
_TORCHVISION_INDICES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_TIMEOUT_S = 20
"""Without a network some systems never answer."""
REMEDY = (
    f"Give Keras' {KERAS_FILE}, torchvision's vgg16 .pth, or a .safetensors file with "
    "block1_conv1.weight to block5_conv3.bias"
)
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


class Vgg16Layers(NamedTuple):
    """VGG16's convolutions from a file.

    Attributes:
        kernels: by Keras' names, float32 (outputs, inputs, 3, 3).
        biases: by the same names, float32 (outputs,).
        input_scale: what the first convolution was trained on.
    """

    kernels: Mapping[str, NDArray[np.float32]]
    biases: Mapping[str, NDArray[np.float32]]
    input_scale: InputScale


def read_imagenet(file: Path) -> Vgg16Layers:
    """Read VGG16's convolutions; the kind of file follows from its suffix.

    Args:
        file: `.h5` or `.hdf5` (Keras, "notop"), `.pth` or `.pt` (torchvision's vgg16), or
            `.safetensors` (names as Keras', kernels OIHW; its metadata may name the scale).

    Raises:
        InputError: no such file, another layout, or not readable.
        MissingExtraError: a library of the extra `train` is missing.
    """
    readers = {
        ".h5": _from_keras,
        ".hdf5": _from_keras,
        ".pth": _from_torchvision,
        ".pt": _from_torchvision,
        ".safetensors": _from_safetensors,
    }
    if not file.is_file():
        raise InputError(file, "no such file", REMEDY)
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise InputError(file, f"unknown kind of weights file '{file.suffix}'", REMEDY)
    try:
        layers = reader(file)
    except _UNREADABLE as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:160]
        raise InputError(file, f"not a readable VGG16 weights file ({reason})", REMEDY) from error
    for name, kernel in layers.kernels.items():
        if kernel.ndim != 4 or layers.biases[name].shape != kernel.shape[:1]:
            raise InputError(file, f"{name} is not a 3 x 3 convolution with a bias", REMEDY)
    return layers


def float32(array: Any) -> NDArray[np.float32]:
    """An array as layers hold it: float32, in C order."""
    return np.ascontiguousarray(np.asarray(array, dtype=np.float32))


def _from_keras(file: Path) -> Vgg16Layers:
    """Keras 1 names layers `block1_conv1_W_1:0`, later releases `kernel:0`, one group deeper."""
    h5py = load("h5py", extra="train")
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
            kernels[name] = float32(kernel.transpose(3, 2, 0, 1))  # HWIO to OIHW
            biases[name] = float32(bias)
    return Vgg16Layers(kernels, biases, InputScale.KERAS_BGR)


def _from_torchvision(file: Path) -> Vgg16Layers:
    state = torch.load(file, map_location="cpu", weights_only=True)
    kernels, biases = {}, {}
    for name, index in zip(NAMES, _TORCHVISION_INDICES, strict=True):
        kernels[name] = float32(state[f"features.{index}.weight"])
        biases[name] = float32(state[f"features.{index}.bias"])
    return Vgg16Layers(kernels, biases, InputScale.TORCHVISION)


def _from_safetensors(file: Path) -> Vgg16Layers:
    safetensors = load("safetensors", extra="train")
    kernels, biases = {}, {}
    try:
        with safetensors.safe_open(file, "np") as content:
            metadata = content.metadata() or {}
            for name in NAMES:
                kernels[name] = float32(content.get_tensor(f"{name}.weight"))
                biases[name] = float32(content.get_tensor(f"{name}.bias"))
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    if metadata.get("layout", "OIHW") != "OIHW":
        raise ValueError(f"kernels in layout {metadata['layout']} instead of OIHW")
    return Vgg16Layers(kernels, biases, _scale_named(metadata["input"]))


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
        "Train with --settings compact, which needs no weights, or continue from a model (--from "
        f"shipped), or download {KERAS_FILE} elsewhere and give it with --weights FILE"
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as beside:
        partial = Path(beside.name)
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310
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
