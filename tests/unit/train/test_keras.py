"""The paper's network, draw and training against Keras, which the paper used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from bonescint.prepare import preprocessing_named
from bonescint.train import TrainingConfiguration, TrainingStage, read_configuration
from bonescint.train.configuration import Precision
from bonescint.train.dataset import TrainingBatch, resized
from bonescint.train.learner import Learner
from bonescint.train.network import VGG16, InputScale, NetworkShape
from bonescint.train.run import quiet_lightning
from bonescint.train.training import initial_network
from bonescint.train.vgg16 import CONVOLUTIONS_PER_BLOCK, Vgg16Classifier
from bonescint.train.weights import NOTHING_LEARNT

# Keras' own way from torch's tensors to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
STEPS = 20


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        yield importlib.import_module("keras")


def of_the_paper(rows: int, shape: NetworkShape, **changed: Any) -> TrainingConfiguration:
    return replace(
        read_configuration("ibrahim2023"),
        preprocessing=resized(preprocessing_named("ibrahim2023"), rows),
        stages=(TrainingStage(epochs=1, rows=rows),),
        steps_per_epoch=STEPS,
        precision=Precision.FLOAT32,
        shape=shape,
        **changed,
    )


def a_network(settings: TrainingConfiguration) -> Vgg16Classifier:
    """Convolutions drawn so that activations keep their size through thirteen layers."""
    network = initial_network(settings, NOTHING_LEARNT)
    assert isinstance(network, Vgg16Classifier)
    generator = torch.Generator().manual_seed(settings.seed)
    for _, layer in network.convolutions():
        torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        torch.nn.init.zeros_(layer.bias)
    return network


def by_hand(keras: ModuleType, rows: int, shape: NetworkShape) -> Any:
    """VGG16's convolutions in Keras, with numbers of channels that its own does not offer."""
    layers = keras.layers
    inputs = values = keras.Input((rows, rows, 3))
    for block, count in enumerate(CONVOLUTIONS_PER_BLOCK, start=1):
        for index in range(1, count + 1):
            values = layers.Conv2D(
                shape.channels[block - 1],
                3,
                padding="same",
                activation="relu",
                name=f"block{block}_conv{index}",
            )(values)
        values = layers.MaxPooling2D(2, strides=2)(values)
    return keras.Model(inputs, values)


def the_papers(keras: ModuleType, trunk: Any, hidden: int) -> tuple[Any, Any]:
    """The model with softmax, and the same model as far as the logits."""
    layers = keras.layers
    pooled = layers.GlobalAveragePooling2D()(trunk.output)
    values = layers.Dense(hidden, activation="relu", name="hidden")(pooled)
    logits = layers.Dense(2, name="output")(values)
    probabilities = layers.Activation("softmax")(logits)
    return keras.Model(trunk.input, probabilities), keras.Model(trunk.input, logits)


def copy_to_keras(network: Vgg16Classifier, model: Any) -> None:
    for name, layer in network.convolutions():
        kernel = layer.weight.detach().numpy().transpose(2, 3, 1, 0)
        model.get_layer(name).set_weights([kernel, layer.bias.detach().numpy()])
    for name in ("hidden", "output"):
        dense = getattr(network, name)
        model.get_layer(name).set_weights(
            [dense.weight.detach().numpy().T, dense.bias.detach().numpy()]
        )


def batches_of(rows: int, size: int, dtype: torch.dtype = torch.float32) -> list[TrainingBatch]:
    """Noise; scans of the class 1 are brighter in a corner, so that there is something to learn."""
    generator = torch.Generator().manual_seed(rows)
    made = []
    for _ in range(STEPS):
        composites = torch.rand(size, 1, rows, rows, generator=generator)
        labels = torch.arange(size) % 2
        composites[labels == 1, :, : rows // 2, : rows // 2] += 0.5
        unknown = torch.zeros(size)
        cells = torch.zeros(size, rows // 16, rows // 16)
        findings = torch.zeros(size, 0, rows // 16, rows // 16)
        scaled = (composites / 1.5).to(dtype)
        made.append(TrainingBatch(scaled, labels, cells, unknown, findings, unknown))
    return made


def channels_last(composites: torch.Tensor) -> NDArray[np.floating]:
    return np.repeat(composites.numpy().transpose(0, 2, 3, 1), 3, axis=3)


class _Losses(lightning.Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, *given: Any) -> None:
        self.seen.append(float(given[2]["loss"]))


def our_losses(
    network: Vgg16Classifier, settings: TrainingConfiguration, batches: list[TrainingBatch]
) -> list[float]:
    losses = _Losses()
    learner = Learner(
        network,
        settings,
        steps_per_epoch=STEPS,
        stage_loader=lambda _: DataLoader([]),
        validation_loader=lambda _: DataLoader([]),
    )
    with quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            precision="64-true" if batches[0].composites.dtype is torch.float64 else "32-true",
            callbacks=[losses],
        )
        trainer.fit(learner, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    return losses.seen


def keras_losses(
    keras: ModuleType, model: Any, batches: list[TrainingBatch], epsilon: float
) -> list[float]:
    optimizer = keras.optimizers.Adam(learning_rate=1e-4, epsilon=epsilon)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy")
    losses = []
    for batch in batches:
        model.reset_metrics()  # otherwise the mean over all steps so far
        truth = np.eye(2)[batch.labels.numpy()]
        losses.append(float(model.train_on_batch(channels_last(batch.composites), truth)))
    return losses


def test_kerass_own_vgg16_has_the_same_logits(keras: ModuleType) -> None:
    network = a_network(of_the_paper(64, VGG16)).eval()
    trunk = keras.applications.VGG16(include_top=False, weights=None, input_shape=(64, 64, 3))
    model, logits = the_papers(keras, trunk, 512)
    copy_to_keras(network, model)
    composites = batches_of(64, 3)[0].composites
    with torch.no_grad():
        ours = network(composites).numpy()
    theirs = logits.predict_on_batch(channels_last(composites))
    assert np.ptp(theirs[:, 1] - theirs[:, 0]) > 0.1  # the scans do differ
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def test_kerass_preprocessing_of_vgg16_is_our_scale(keras: ModuleType) -> None:
    composites = batches_of(64, 2)[0].composites
    settings = of_the_paper(64, NetworkShape(channels=(4, 4, 8, 8, 8), hidden=16))
    network = a_network(replace(settings, input_scale=InputScale.KERAS_BGR)).eval()
    model, logits = the_papers(keras, by_hand(keras, 64, network.shape), 16)
    copy_to_keras(network, model)
    scaled = keras.applications.vgg16.preprocess_input(255 * channels_last(composites))
    with torch.no_grad():
        ours = network(composites).numpy()
    np.testing.assert_allclose(ours, logits.predict_on_batch(scaled), rtol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "tolerance", "epsilon", "rows", "size", "channels", "hidden"),
    [
        ("float32", 1e-3, 1e-8, 64, 4, (8, 8, 16, 16, 32), 32),
        ("float32", 1e-3, 1e-7, 96, 8, (8, 16, 16, 32, 32), 64),
        # Without rounding, which many steps make large, next to nothing is left.
        ("float64", 1e-6, 1e-8, 64, 8, (8, 16, 16, 32, 32), 64),
        ("float64", 1e-6, 1e-7, 128, 2, (16, 16, 32, 32, 64), 512),
    ],
)
def test_twenty_steps_lose_what_keras_loses(
    keras: ModuleType,
    dtype: str,
    tolerance: float,
    epsilon: float,
    rows: int,
    size: int,
    channels: tuple[int, int, int, int, int],
    hidden: int,
) -> None:
    shape = NetworkShape(channels=channels, hidden=hidden)
    settings = of_the_paper(rows, shape, keras_epsilon=epsilon)
    network = a_network(settings)
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        model, _ = the_papers(keras, by_hand(keras, rows, shape), hidden)
        copy_to_keras(network, model)
        batches = batches_of(rows, size, getattr(torch, dtype))
        theirs = keras_losses(keras, model, batches, epsilon)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    ours = our_losses(network, settings, batches)
    assert len(ours) == STEPS
    assert np.ptp(theirs) > 0.02  # twenty steps do change something
    np.testing.assert_allclose(ours, theirs, rtol=tolerance)


def test_the_head_begins_as_kerass_does(keras: ModuleType) -> None:
    """The same limits and spread of the weights (uniform, so both fix it), biases zero."""
    network = initial_network(of_the_paper(64, VGG16), NOTHING_LEARNT)
    trunk = keras.Input((512,))
    hidden = keras.layers.Dense(512, name="hidden")
    output = keras.layers.Dense(2, name="output")
    output(hidden(trunk))
    for layer in (hidden, output):
        theirs, their_bias = layer.get_weights()
        ours = getattr(network, layer.name)
        weight, bias = ours.weight.detach().numpy(), ours.bias.detach().numpy()
        assert np.abs(weight).max() == pytest.approx(np.abs(theirs).max(), rel=0.01)
        assert weight.std() == pytest.approx(theirs.std(), rel=0.1)
        assert not bias.any()
        assert not their_bias.any()
