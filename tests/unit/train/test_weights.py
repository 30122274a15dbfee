"""The loaders against files built here in each layout, and an independent convolution."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.signal import correlate

from bonescint.scan import InputError
from bonescint.train import imagenet as weights_module
from bonescint.train.imagenet import NAMES, fetch_keras_weights
from bonescint.train.network import InputScale
from bonescint.train.vgg16 import Vgg16Classifier
from bonescint.train.weights import load_weights

TORCHVISION_INDICES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
SIZES = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


def kernel_hwio(number: int) -> NDArray[np.float32]:
    rng = np.random.default_rng([11, number])
    inputs = 3 if number == 0 else SIZES[number - 1]
    shape = (3, 3, inputs, SIZES[number])
    return rng.integers(-9, 9, size=shape, dtype=np.int8).astype(np.float32) / 100


def bias(number: int) -> NDArray[np.float32]:
    return np.random.default_rng([12, number]).normal(size=SIZES[number]).astype(np.float32)


@pytest.fixture(scope="session")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As keras-applications v0.1 wrote it: a group a layer, `..._W_1:0` and `..._b_1:0`."""
    file = tmp_path_factory.mktemp("keras") / "vgg16_notop.h5"
    with h5py.File(file, "w") as content:
        for number, name in enumerate(NAMES):
            group = content.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()]
            group[f"{name}_W_1:0"] = kernel_hwio(number)
            group[f"{name}_b_1:0"] = bias(number)
        content.create_group("block1_pool")
    return file


@pytest.fixture(scope="session")
def torchvision_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("torchvision") / "vgg16.pth"
    state = {}
    for number, index in enumerate(TORCHVISION_INDICES):
        # RGB first: the same picture gives the same sums if the channels are turned.
        kernel = kernel_hwio(number)
        kernel = kernel[:, :, ::-1] if number == 0 else kernel
        oihw = np.moveaxis(np.moveaxis(kernel, 3, 0), 3, 1)
        state[f"features.{index}.weight"] = torch.from_numpy(oihw.copy())
        state[f"features.{index}.bias"] = torch.from_numpy(bias(number))
    state["classifier.0.weight"] = torch.zeros(2, 2)
    torch.save(state, file)
    return file


@pytest.fixture(scope="session")
def safetensors_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("safetensors") / "vgg16.safetensors"
    arrays = {}
    for number, name in enumerate(NAMES):
        oihw = np.einsum("hwio->oihw", kernel_hwio(number))
        arrays[f"{name}.weight"] = np.ascontiguousarray(oihw)
        arrays[f"{name}.bias"] = bias(number)
    save_file(arrays, file, metadata={"layout": "OIHW", "input": "BGR, 0 to 255"})
    return file


def first_two_layers(scaled: NDArray[np.float64], kernels: list[NDArray[np.float32]]) -> object:
    """Convolutions with SciPy, kernels HWIO, channels last: a path of its own."""
    values = scaled
    for number, kernel in enumerate(kernels):
        height, width, _ = values.shape
        padded = np.pad(values, ((1, 1), (1, 1), (0, 0)))
        result = np.empty((height, width, kernel.shape[3]))
        for output in range(kernel.shape[3]):
            result[..., output] = correlate(padded, kernel[..., output], mode="valid")[..., 0]
        values = np.maximum(result + bias(number), 0)
    return values


@pytest.mark.parametrize("kind", ["keras", "torchvision", "safetensors"])
def test_the_first_layers_compute_what_the_file_says(
    kind: str, request: pytest.FixtureRequest
) -> None:
    loaded = load_weights(request.getfixturevalue(f"{kind}_file"))
    network = Vgg16Classifier(input_scale=loaded.input_scale)
    loaded.copy_into(network)
    grey = np.random.default_rng(1).random((12, 10))
    first = kernel_hwio(0)
    if kind == "torchvision":
        assert loaded.input_scale is InputScale.TORCHVISION
        mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        scaled = (grey[..., None] - mean) / deviation
        first = first[:, :, ::-1]
    else:
        assert loaded.input_scale is InputScale.KERAS_BGR
        scaled = 255 * grey[..., None] - np.array([103.939, 116.779, 123.68])
    expected = first_two_layers(scaled, [first, kernel_hwio(1)])
    composite = torch.from_numpy(grey[None, None].astype(np.float32))
    layers = dict(network.convolutions())
    with torch.no_grad():
        values = composite * network._factor + network._offset
        for name in NAMES[:2]:
            values = torch.relu(layers[name](values))
    actual = values[0].permute(1, 2, 0).double().numpy()
    assert np.abs(actual - expected).max() / np.abs(expected).max() < 1e-5


@pytest.mark.parametrize("kind", ["keras", "torchvision", "safetensors"])
def test_every_layer_is_taken_over(kind: str, request: pytest.FixtureRequest) -> None:
    loaded = load_weights(request.getfixturevalue(f"{kind}_file"))
    for number, name in enumerate(NAMES):
        expected = kernel_hwio(number)
        if kind == "torchvision" and number == 0:
            expected = expected[:, :, ::-1]
        assert loaded.kernels[name].shape == (SIZES[number], expected.shape[2], 3, 3)
        # One element at a time says that no axis was mixed up.
        for o, i, h, w in ((0, 0, 0, 0), (5, 1, 2, 0), (SIZES[number] - 1, 2, 0, 2), (3, 0, 1, 2)):
            assert loaded.kernels[name][o, i, h, w] == expected[h, w, i, o]
        np.testing.assert_array_equal(loaded.biases[name], bias(number))


def test_later_keras_names_are_read(keras_file: Path, tmp_path: Path) -> None:
    later = tmp_path / "later.hdf5"
    with h5py.File(keras_file, "r") as old, h5py.File(later, "w") as new:
        root = new.create_group("model_weights")
        for name in NAMES:
            group = root.create_group(name).create_group(name)
            group["kernel:0"] = old[name][f"{name}_W_1:0"][()]
            group["bias:0"] = old[name][f"{name}_b_1:0"][()]
    one, two = load_weights(keras_file), load_weights(later)
    for name in NAMES:
        np.testing.assert_array_equal(one.kernels[name], two.kernels[name])


@pytest.mark.parametrize("suffix", [".h5", ".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x02garbage."])
def test_what_is_no_weights_file_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(content)
    with pytest.raises(InputError, match="not a readable VGG16 weights file") as refusal:
        load_weights(file)
    assert "\n" not in str(refusal.value)


def test_a_missing_layer_a_missing_file_and_another_kind_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "cut.h5"
    with h5py.File(file, "w") as content:
        content.create_group("block1_conv1")
    with pytest.raises(InputError, match="block1_conv1"):
        load_weights(file)
    with pytest.raises(InputError, match="no such file"):
        load_weights(tmp_path / "nothing.h5")
    (tmp_path / "weights.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"'\.bin'"):
        load_weights(tmp_path / "weights.bin")


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "ran"),)  # type: ignore[return-value]

    file = tmp_path / "evil.pth"
    torch.save({"features.0.weight": Evil()}, file)
    with pytest.raises(InputError):
        load_weights(file)
    assert not (tmp_path / "ran").exists()


def test_fetching_checks_the_md5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / "served.h5"
    served.write_bytes(b"weights")
    with pytest.raises(InputError, match="the downloaded file does not have the MD5"):
        fetch_keras_weights(tmp_path / "cache", url=served.as_uri())
    assert not list((tmp_path / "cache").iterdir())
    md5 = hashlib.md5(b"weights", usedforsecurity=False).hexdigest()
    monkeypatch.setattr(weights_module, "KERAS_MD5", md5)
    fetched = fetch_keras_weights(tmp_path / "cache", url=served.as_uri())
    assert fetched.read_bytes() == b"weights"
    served.unlink()
    assert fetch_keras_weights(tmp_path / "cache", url=served.as_uri()) == fetched
    with pytest.raises(InputError, match=r"could not be downloaded.*Train with --settings compact"):
        fetch_keras_weights(tmp_path / "other", url=served.as_uri())


def test_the_file_at_hand_is_read(imagenet_file: Path) -> None:
    loaded = load_weights(imagenet_file)
    assert loaded.input_scale is InputScale.KERAS_BGR
    assert loaded.kernels["block1_conv1"].std() == pytest.approx(0.2067, abs=1e-3)
