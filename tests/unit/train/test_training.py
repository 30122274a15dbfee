"""Learning, stopping and going on, the same seed, and the way from a manifest to a folder."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import lightning.pytorch as lightning
import numpy as np
import onnx
import pytest
import torch

from bonescint.cohort import read_manifest
from bonescint.model import Classifier, Engine, ModelFolder, write_model_folder
from bonescint.prepare import prepare, preprocessing_named
from bonescint.scan import InputError, OutputError, ParameterError, Split
from bonescint.train import configuration_for_model, read_configuration
from bonescint.train import learner as learner_module
from bonescint.train import training as training_module
from bonescint.train.configuration import Schedule, TrainingConfiguration, TrainingStage
from bonescint.train.dataset import BalancedBatches
from bonescint.train.network import InputScale
from bonescint.train.quantise import quantised_onnx
from bonescint.train.run import Checkpoints, RunFolder
from bonescint.train.sample import ListedSource
from bonescint.train.training import fit, initial_network, train, usual_settings
from bonescint.train.vgg16 import Vgg16Classifier
from bonescint.train.weights import InitialWeights, load_weights


def state_of(network: Vgg16Classifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def started(run: RunFolder) -> RunFolder:
    run.path.mkdir(parents=True, exist_ok=True)
    return run


def test_the_same_seed_gives_the_same_weights(
    tmp_path: Path,
    source: ListedSource,
    settings: TrainingConfiguration,
    weights: InitialWeights,
) -> None:
    trained = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run = started(RunFolder(tmp_path / name))
        network = fit(
            source, source, settings=replace(settings, seed=seed), weights=weights, run=run
        )
        trained.append(state_of(network))
    assert same(trained[0], trained[1])
    assert not same(trained[0], trained[2])


class _Remembers(Checkpoints):
    """Keeps the weights after every step."""

    seen: ClassVar[list[dict[str, torch.Tensor]]] = []

    def on_train_batch_end(self, trainer: lightning.Trainer, *rest: object) -> None:
        super().on_train_batch_end(trainer, *rest)  # type: ignore[arg-type]
        network = trainer.lightning_module.network
        self.seen.append({name: value.clone() for name, value in network.named_parameters()})


def test_the_running_average_begins_anew_with_other_rows(
    tmp_path: Path,
    source: ListedSource,
    settings: TrainingConfiguration,
    weights: InitialWeights,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Epochs have 3 steps: the average is of the last three alone, early ones weighing less."""
    settings = replace(
        settings, stages=(TrainingStage(epochs=1, rows=64), TrainingStage(epochs=1, rows=128))
    )
    monkeypatch.setattr(_Remembers, "seen", [])
    monkeypatch.setattr(training_module, "Checkpoints", _Remembers)
    run = started(RunFolder(tmp_path / "run"))
    network = fit(source, source, settings=settings, weights=weights, run=run)
    assert len(_Remembers.seen) == 6
    first, second, third = _Remembers.seen[3:]
    for name, value in network.named_parameters():
        expected = first[name] * 2 / 11 + second[name] * 9 / 11
        expected = expected * 3 / 12 + third[name] * 9 / 12
        torch.testing.assert_close(value, expected, msg=name)


class _StopsAt(Checkpoints):
    """Presses Ctrl-C after a number of steps."""

    at = 0

    def on_train_batch_end(self, trainer: lightning.Trainer, *rest: object) -> None:
        super().on_train_batch_end(trainer, *rest)  # type: ignore[arg-type]
        if trainer.global_step == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_going_on_equals_never_having_stopped(
    tmp_path: Path,
    source: ListedSource,
    settings: TrainingConfiguration,
    weights: InitialWeights,
    monkeypatch: pytest.MonkeyPatch,
    stop: int,
) -> None:
    """Epochs have 3 steps; checkpoints stand after steps 2, 3 and 4."""
    settings = replace(
        settings, stages=(TrainingStage(epochs=1, rows=64), TrainingStage(epochs=1, rows=128))
    )
    whole = fit(
        source,
        source,
        settings=settings,
        weights=weights,
        run=started(RunFolder(tmp_path / "whole")),
    )
    run = started(RunFolder(tmp_path / "stopped"))
    with monkeypatch.context() as patch:
        patch.setattr(_StopsAt, "at", stop)
        patch.setattr(training_module, "Checkpoints", _StopsAt)
        with pytest.raises(KeyboardInterrupt):
            fit(source, source, settings=settings, weights=weights, run=run)
    assert run.checkpoint.is_file() is (stop >= 2)
    resumed = fit(
        source,
        source,
        settings=settings,
        weights=weights,
        run=run,
        resume=run.checkpoint.is_file(),
    )
    assert same(state_of(whole), state_of(resumed))


def test_it_learns_hot_spots(
    tmp_path: Path,
    source: ListedSource,
    settings: TrainingConfiguration,
    weights: InitialWeights,
) -> None:
    settings = replace(
        settings,
        stages=(TrainingStage(epochs=12, rows=64),),
        scan_augmentations=(),
        frozen_blocks=0,
        averaging_decay=None,
        head_learning_rate=5e-3,
        schedule=Schedule.CONSTANT,
    )
    run = started(RunFolder(tmp_path / "run"))
    fit(source, source, settings=settings, weights=weights, run=run)
    with run.log.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == [str(number) for number in range(12)]
    assert float(rows[-1]["val_auc"]) > 0.95
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_scans_without_masks_train_too(
    tmp_path: Path,
    source: ListedSource,
    settings: TrainingConfiguration,
    weights: InitialWeights,
) -> None:
    bare = ListedSource(tuple(replace(sample, masks=None) for sample in source.samples))
    run = started(RunFolder(tmp_path / "run"))
    network = fit(bare, bare, settings=settings, weights=weights, run=run)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


@pytest.fixture
def _narrow_weights(weights: InitialWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_module, "load_weights", lambda _: weights)


@pytest.mark.usefixtures("_narrow_weights")
def test_from_a_manifest_to_a_model_folder(
    tmp_path: Path, cohort: Path, settings: TrainingConfiguration, source: ListedSource
) -> None:
    out = tmp_path / "my-model"
    shown: list[tuple[str, int, int]] = []
    told: list[str] = []
    folder = train(cohort, out, settings=settings, weights=Path("w"),
                   progress=lambda *what: shown.append(what), tell=told.append)  # fmt: skip
    assert folder == ModelFolder.load(out)
    assert folder.ood is None
    (lacks,) = told
    assert "no score for scans unlike its training cohort" in lacks
    assert "60 training and 20 validation scans" in lacks
    assert {what for what, _, _ in shown} == {"decoding train scans", "decoding validation scans",
                                              "decoding test scans", "epoch 1 of 2",
                                              "epoch 2 of 2"}  # fmt: skip
    assert shown[-1] == ("epoch 2 of 2", shown[-1][2], shown[-1][2])
    card = folder.card
    assert card.name == "my-model"
    assert card.training.origin == "simulated scans only"
    assert card.training.scans["train positive"] == 2
    assert card.training.settings["stages"] == [{"epochs": 2, "rows": 64}]
    assert any("not validated on patients" in limitation for limitation in card.limitations)
    measured = {metric.measured_on.split(":")[0] for metric in card.metrics}
    assert measured == {"validation split", "test split"}
    assert card.metrics[0].name == "roc_auc_score"
    with Classifier(folder) as classifier:
        prediction = classifier.predict(source.sample(0).scan)
    assert 0 <= prediction.mbd_probability <= 1
    # The same call again finds everything done, and writes the same graph.
    assert train(cohort, out, settings=settings, weights=Path("w")).sha256 == (folder.sha256)
    with pytest.raises(ParameterError, match="seed"):
        train(cohort, out, settings=replace(settings, seed=9), weights=Path("w"))
    with pytest.raises(ParameterError, match="tracking"):
        train(cohort, out, settings=settings, weights=Path("w"), tracking="mlflow")  # type: ignore[arg-type]
    truth = next(case.truth for case in read_manifest(cohort).split(Split.TRAIN) if case.truth)
    os.utime(cohort.parent / truth)
    with pytest.raises(ParameterError, match="scans"):
        train(cohort, out, settings=settings, weights=Path("w"))


@pytest.mark.usefixtures("_narrow_weights")
def test_a_training_that_goes_on_says_where(
    tmp_path: Path, cohort: Path, settings: TrainingConfiguration, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = len(_batches_of(cohort, settings))
    told: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(_StopsAt, "at", steps + 1)  # in the second epoch of two
        patch.setattr(training_module, "Checkpoints", _StopsAt)
        with pytest.raises(KeyboardInterrupt):
            train(cohort, tmp_path / "m", settings=settings, weights=Path("w"), tell=told.append)
    assert told == []
    train(cohort, tmp_path / "m", settings=settings, weights=Path("w"), tell=told.append)
    assert told[0] == "resuming at epoch 2 of 2"
    told.clear()
    train(cohort, tmp_path / "m", settings=settings, weights=Path("w"), tell=told.append)
    assert not any("resuming" in text for text in told)  # it was whole


def _batches_of(cohort: Path, settings: TrainingConfiguration) -> BalancedBatches:
    labels = [case.positive for case in read_manifest(cohort).split(Split.TRAIN)]
    return BalancedBatches(labels, batch_size=settings.batch_size, seed=settings.seed,
                           steps=settings.steps_per_epoch)  # fmt: skip


@pytest.mark.usefixtures("_narrow_weights")
def test_the_card_counts_the_epochs_that_were_done(
    tmp_path: Path, cohort: Path, settings: TrainingConfiguration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner_module, "roc_auc_score", lambda *_: 0.5)
    settings = replace(settings, stages=(TrainingStage(epochs=5, rows=64),), patience=1)
    folders = [
        train(cohort, tmp_path / "m", settings=settings, weights=Path("w"))
        for _ in range(2)  # ended by its patience, it does not go on
    ]
    assert [folder.card.training.epochs for folder in folders] == [2, 2]
    assert folders[0].sha256 == folders[1].sha256


@pytest.fixture
def parent(
    tmp_path: Path,
    cohort: Path,
    settings: TrainingConfiguration,
    weights: InitialWeights,
) -> ModelFolder:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_module, "load_weights", lambda _: weights)
        out = tmp_path / "parent"
        return train(cohort, out, settings=settings, weights=Path("w"))


def without_weights(folder: ModelFolder, target: Path) -> ModelFolder:
    """As release 0.1 wrote it: the graph alone holds the weights."""
    onnx_bytes = folder.onnx_path.read_bytes()
    return write_model_folder(target, card=folder.card, onnx=onnx_bytes, ood=folder.ood)


def test_the_weights_beside_the_graph_are_its_own_in_half_precision(
    tmp_path: Path, parent: ModelFolder
) -> None:
    stored = load_weights(parent.path)
    graph = load_weights(without_weights(parent, tmp_path / "old").path)
    assert parent.weights_path is not None
    assert (stored.network, stored.input_scale, stored.sha256, stored.preprocessing) == (
        graph.network, graph.input_scale, graph.sha256, graph.preprocessing,
    )  # fmt: skip
    assert stored.constants == pytest.approx(graph.constants)
    assert stored.head is not None
    assert graph.head is not None
    for found, exact in (
        (stored.kernels, graph.kernels), (stored.biases, graph.biases), (stored.head, graph.head)
    ):  # fmt: skip
        assert found.keys() == exact.keys()
        for name, values in exact.items():
            half = values.astype(np.float16).astype(np.float32)
            np.testing.assert_array_equal(found[name], half, err_msg=name)


def test_going_on_does_not_ask_for_the_order_of_nodes(tmp_path: Path, parent: ModelFolder) -> None:
    """A graph that says nothing of its weights, as another exporter might write it."""
    graph = onnx.load(parent.onnx_path)
    del graph.metadata_props[:]
    graph.graph.node.reverse()
    weights = parent.read_weights()
    for kept in (weights, None):
        folder = write_model_folder(
            tmp_path / str(kept is None), card=parent.card, onnx=graph.SerializeToString(),
            weights=kept,
        )  # fmt: skip
        if kept is None:
            with pytest.raises(InputError, match="not the graph of a network"):
                load_weights(folder.path)
        else:
            assert load_weights(folder.path).kernels.keys()


def test_a_trained_model_goes_on_where_it_stands(
    tmp_path: Path,
    cohort: Path,
    settings: TrainingConfiguration,
    source: ListedSource,
    parent: ModelFolder,
) -> None:
    """From the folder alone: first the same answers, then, after training, other ones."""
    parent = without_weights(parent, tmp_path / "0.1")
    loaded = load_weights(parent.path)
    assert loaded.source == parent.model_id
    network = initial_network(settings, loaded).eval()
    composite = prepare(source.sample(0).scan, settings.preprocessing).composite
    with Engine(parent.onnx_path) as engine, torch.no_grad():
        expected = engine.run(composite).logits
        assert network(torch.tensor(composite)[None])[0].numpy() == pytest.approx(
            expected, abs=1e-5
        )
    # Hardly any learning rate, so that what standardises must not have changed the function.
    still = replace(settings, backbone_learning_rate=1e-9, head_learning_rate=1e-9)
    child = train(cohort, tmp_path / "child", settings=still, weights=parent.path)
    with Engine(child.onnx_path) as engine:
        assert engine.run(composite).logits == pytest.approx(expected, abs=1e-3)
    assert child.card.training.weights.startswith(parent.model_id)


def test_a_model_goes_on_with_its_own_preparation(
    tmp_path: Path, cohort: Path, settings: TrainingConfiguration, weights: InitialWeights
) -> None:
    """As one of the paper's: the whole field, scaled to 0 to 1, and no framing on the body."""
    preprocessing = replace(preprocessing_named("ibrahim2023"), rows=96, columns=48)
    settings = replace(settings, preprocessing=preprocessing, input_scale=InputScale.TORCHVISION)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_module, "load_weights", lambda _: weights)
        folder = train(cohort, tmp_path / "m", settings=settings, weights=Path("w"))
    found = configuration_for_model(folder.path)
    assert found.preprocessing == folder.card.preprocessing == preprocessing
    assert found.input_scale is InputScale.TORCHVISION
    assert {stage.rows for stage in found.stages} == {96}
    assert found.epochs == read_configuration("fine-tune").epochs


def test_a_quantised_model_goes_on_too(
    tmp_path: Path, parent: ModelFolder, source: ListedSource, settings: TrainingConfiguration
) -> None:
    """Its kernels are its parent's to seven bits (NNCF leaves one against overflow)."""
    composites = [
        prepare(sample.scan, settings.preprocessing).composite for sample in source.samples
    ]
    data = quantised_onnx(onnx.load(parent.onnx_path), composites).SerializeToString()
    card = replace(parent.card, precision="int8")
    small = write_model_folder(tmp_path / "int8", card=card, onnx=data)
    exact = load_weights(without_weights(parent, tmp_path / "0.1").path)
    rounded = load_weights(small.path)
    for name, kernel in exact.kernels.items():
        step = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True) / 63
        assert (np.abs(rounded.kernels[name] - kernel) <= 0.51 * step + 1e-7).all(), name
    usual = usual_settings(rounded)
    assert (usual.network, usual.layers.channels) == (settings.network, settings.layers.channels)
    assert usual.epochs == 3


def rewritten(manifest: Path, change: Callable[[list[str], int], list[str]]) -> None:
    with manifest.open() as stream:
        header, *rows = list(csv.reader(stream))
    rows = [change(row, number) for number, row in enumerate(rows)]
    with manifest.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


_Change = Callable[[list[str], int], list[str]]


def _column(index: int, value: str, only: int | None = None) -> _Change:
    def change(row: list[str], number: int) -> list[str]:
        if only is None or number == only:
            row[index] = value
        return row

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_column(4, "0"), "column label: the split train has no positive scan"),
        (_column(4, "1"), "column label: the split train has no negative scan"),
        (_column(3, "train"), "column split: no scan is in the split validation"),
        (_column(5, "", only=3), r"manifest\.csv, column file: scan \S+: no file is named"),
        (_column(5, "gone.dcm", only=2), r"column file: scan \S+: 'gone\.dcm' does not exist"),
        (_column(9, "gone.npz", only=0), r"column truth: scan \S+: 'gone\.npz' does not exist"),
        (
            _column(5, "gone.dcm"),
            r"18 problems: column file: scan .*: 'gone\.dcm' does not .*; column file: scan .*: 'g",
        ),
        (_column(4, "maybe", only=1), r"row 3, column label: must be 0 or 1"),
    ],
)
def test_a_cohort_that_cannot_be_learnt_from_is_refused_before_work_begins(
    tmp_path: Path,
    cohort: Path,
    settings: TrainingConfiguration,
    change: _Change,
    message: str,
) -> None:
    rewritten(cohort, change)
    out = tmp_path / "out"
    with pytest.raises(InputError, match=message):
        train(cohort, out, settings=settings, weights=Path("w"))
    assert not out.exists()
    assert not (tmp_path / "out.run").exists()


@pytest.mark.usefixtures("_narrow_weights")
def test_places_devices_and_scans_that_cannot_be_used_are_refused(
    tmp_path: Path, cohort: Path, settings: TrainingConfiguration
) -> None:
    with pytest.raises(OutputError, match="not a model folder"):
        train(cohort, cohort.parent, settings=settings, weights=Path("w"))
    with pytest.raises(ParameterError, match="device"):
        train(cohort, tmp_path / "out", settings=settings, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ParameterError, match="torch sees here"):
            train(cohort, tmp_path / "out", settings=settings, device="gpu")
    (cohort.parent / "s1.dcm").write_bytes(b"no scan")
    with pytest.raises(InputError, match=r"s1\.dcm"):
        train(cohort, tmp_path / "out", settings=settings, weights=Path("w"))


@pytest.mark.usefixtures("_narrow_weights")
def test_a_label_that_the_truth_contradicts_is_refused(
    tmp_path: Path, cohort: Path, settings: TrainingConfiguration
) -> None:
    rewritten(cohort, _column(4, "1", only=1))
    with pytest.raises(InputError, match=r"s1\.npz.*the manifest contradicts it"):
        train(cohort, tmp_path / "out", settings=settings, weights=Path("w"))
