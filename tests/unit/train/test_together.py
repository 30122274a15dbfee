"""Several processes that train together, early stopping, and what follows a training."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import lightning.pytorch as lightning
import numpy as np
import pytest
import torch

from bonescint.scan import MissingExtraError, OutputError, ParameterError
from bonescint.train import learner as learner_module
from bonescint.train import read_configuration
from bonescint.train import training as training_module
from bonescint.train.configuration import Precision, TrainingConfiguration, TrainingStage
from bonescint.train.dataset import BalancedBatches
from bonescint.train.distributed import ProcessRank, rank_zero_first
from bonescint.train.networks import NetworkKind
from bonescint.train.run import Checkpoints, RunFolder, Tracking, logger_of
from bonescint.train.sample import ListedSource
from bonescint.train.training import fit, initial_network, train
from bonescint.train.weights import NOTHING_LEARNT, InitialWeights, load_weights

_WORKER = """
import sys
from pathlib import Path
import torch
from bonescint.train.distributed import ProcessRank
from bonescint.train.run import RunFolder
from bonescint.train.training import fit
torch.set_num_threads(1)
source, settings, weights = torch.load(Path(sys.argv[1]) / "given.pt", weights_only=False)
rank = ProcessRank.from_environment()
network = fit(source, source, settings=settings, weights=weights,
              run=RunFolder(Path(sys.argv[1])), rank=rank)
if rank.is_zero:
    torch.save(network.state_dict(), Path(sys.argv[1]) / "together.pt")
"""


@pytest.mark.parametrize("kind", list(NetworkKind))
def test_two_processes_learn_what_one_learns(
    tmp_path: Path,
    source: ListedSource,
    settings: TrainingConfiguration,
    weights: InitialWeights,
    kind: NetworkKind,
) -> None:
    """Gloo on the processor, started as torchrun starts them."""
    settings = replace(
        settings,
        network=kind,
        precision=Precision.FLOAT32,
        stages=(TrainingStage(epochs=1, rows=64),),
    )
    if not kind.begins_with_imagenet:
        weights = NOTHING_LEARNT
        settings = replace(settings, frozen_blocks=0, input_scale=None)
    alone = fit(source, source, settings=settings, weights=weights, run=_begun(tmp_path / "one"))
    run = _begun(tmp_path / "two")
    torch.save((source, settings, weights), run.path / "given.pt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _WORKER, str(run.path)],
            env=os.environ
            | {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "LOCAL_WORLD_SIZE": "2",
                "GROUP_RANK": "0",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "TORCHELASTIC_RUN_ID": "test",
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    together = torch.load(run.path / "together.pt", weights_only=True)
    last = dict(alone.convolutions())["block5_conv3"].weight
    begun = dict(initial_network(settings, weights).convolutions())["block5_conv3"].weight
    moved = (last - begun).abs().max()
    assert moved > 1e-4  # it learnt something, far beyond the tolerance below
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(together[name], value, rtol=1e-3, atol=2e-5, msg=name)


def _begun(path: Path) -> RunFolder:
    path.mkdir()
    return RunFolder(path)


_SETTINGS = """
network: vgg16-cells
stages: [{epochs: 2, rows: 64}]
batch_size: 4
steps_per_epoch: 2
backbone_learning_rate: 1.0e-3
averaging_decay: 0.9
precision: float32
loader_workers: 0
finding_weight: 0.5
shape: {channels: [4, 4, 8, 8, 8], cells: 4}
"""


def test_the_command_under_torchrun_leaves_what_one_process_leaves(
    tmp_path: Path, cohort: Path, weights: InitialWeights
) -> None:
    """From decoding to the model folder: two processes that share a cache, one that writes."""
    safetensors = pytest.importorskip("safetensors.numpy", reason="needs the extra 'train'")
    tensors = {f"{name}.weight": kernel for name, kernel in weights.kernels.items()}
    tensors |= {f"{name}.bias": bias for name, bias in weights.biases.items()}
    file = tmp_path / "narrow.safetensors"
    safetensors.save_file(tensors, file, {"input": "unit"})
    settings = tmp_path / "tiny.yaml"
    settings.write_text(_SETTINGS, encoding="utf-8")
    alone = train(
        cohort,
        tmp_path / "one",
        settings=read_configuration(settings),
        weights=file,
        name="two",
    )
    out = tmp_path / "two"
    launched = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone",
         "--nproc-per-node", "2", "-m", "bonescint", "train", str(cohort), "--out", str(out),
         "--settings", str(settings), "--weights", str(file)],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        _, said = launched.communicate(timeout=240)
    finally:
        launched.terminate()  # with all that it has started
    assert launched.returncode == 0, said
    assert said.count("Try it: bonescint classify") == 1  # one of them speaks
    one, together = load_weights(alone.path), load_weights(out)
    moved = np.abs(one.kernels["block5_conv3"] - weights.kernels["block5_conv3"]).max()
    assert moved > 1e-4  # it learnt something, far beyond the tolerance below
    assert one.head is not None
    assert together.head is not None
    for first, second in ((one.kernels, together.kernels), (one.head, together.head)):
        for name, values in first.items():
            np.testing.assert_allclose(second[name], values, rtol=1e-3, atol=2e-5, err_msg=name)
    for row, other in zip(_log_of(alone.path), _log_of(out), strict=True):
        assert row == pytest.approx(other, rel=1e-3)
    assert not list(tmp_path.rglob("*.part"))


def _log_of(model: Path) -> list[dict[str, float]]:
    """The rows of the log of a model's training."""
    with RunFolder(model.with_name(f"{model.name}.run")).log.open(encoding="utf-8") as stream:
        return [{name: float(text) for name, text in row.items()} for row in csv.DictReader(stream)]


def test_the_others_wait_as_long_as_the_first_one_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than a training's half an hour, and no longer where the first one fails."""
    met: list[dict[str, object]] = []
    monkeypatch.setattr(torch.distributed, "new_group", lambda **given: given)
    monkeypatch.setattr(torch.distributed, "barrier", lambda *, group: met.append(group))
    second = ProcessRank(rank=1, world_size=2, local_world_size=2)
    with rank_zero_first(second) as first:
        assert not first

    def fails() -> None:
        with rank_zero_first(replace(second, rank=0)) as first:
            assert first
            raise OutputError("no room")

    with pytest.raises(OutputError):
        fails()
    assert met == [{"backend": "gloo", "timeout": timedelta(days=7)}] * 2
    with rank_zero_first(ProcessRank()) as first:  # alone: nobody to meet
        assert first
    assert len(met) == 2


def test_each_process_takes_its_share_of_every_batch() -> None:
    positives = [True] * 5 + [False] * 9
    whole = BalancedBatches(positives, batch_size=4, seed=3, steps=4)
    parts = [
        BalancedBatches(positives, batch_size=4, seed=3, steps=4, rank=rank, world_size=2)
        for rank in range(2)
    ]
    for batch, one, two in zip(whole, *parts, strict=True):
        assert len(one) == len(two) == 2
        assert set(one) | set(two) == set(batch)
    with pytest.raises(ParameterError, match="multiple of the 3 processes"):
        BalancedBatches(positives, batch_size=4, seed=3, world_size=3)


def test_steps_run_on_into_a_second_pass_of_the_same_draw() -> None:
    positives = [True] * 5 + [False] * 9
    batches = BalancedBatches(positives, batch_size=4, seed=3, steps=4)
    assert len(batches) == len(list(batches)) == 4
    draws = batches.draws(0)
    assert len(draws) == 16
    first, second = draws[:10], draws[10:]
    assert {draw.turn for draw in first} == {0}
    assert {draw.turn for draw in second} == {1}
    assert {draw.index for draw in second} <= {draw.index for draw in first}
    assert BalancedBatches(positives, batch_size=4, seed=3).draws(0) == first


def test_training_ends_when_it_no_longer_improves(
    tmp_path: Path,
    source: ListedSource,
    settings: TrainingConfiguration,
    weights: InitialWeights,
) -> None:
    hardly = replace(
        settings,
        stages=(TrainingStage(epochs=9, rows=64),),
        patience=2,
        backbone_learning_rate=1e-9,
        head_learning_rate=1e-9,
        weight_decay=0.0,
    )
    run = _begun(tmp_path / "run")
    fit(source, source, settings=hardly, weights=weights, run=run)
    assert _epochs(run) == 3  # one to compare with, and two that were no better


class _Killed(Checkpoints):
    """Ends right after the checkpoint of an epoch."""

    epoch = 0

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.fixture
def _never_better(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_module, "roc_auc_score", lambda *_: 0.5)


@pytest.mark.usefixtures("_never_better")
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_patience_goes_on_where_it_was(
    tmp_path: Path,
    source: ListedSource,
    settings: TrainingConfiguration,
    weights: InitialWeights,
    monkeypatch: pytest.MonkeyPatch,
    epoch: int,
) -> None:
    """Patience ends both trainings after epoch 2, also where the kill came after that end."""
    settings = replace(settings, stages=(TrainingStage(epochs=6, rows=64),), patience=2)
    whole, run = _begun(tmp_path / "whole"), _begun(tmp_path / "killed")
    expected = fit(source, source, settings=settings, weights=weights, run=whole)
    with monkeypatch.context() as patch:
        patch.setattr(_Killed, "epoch", epoch)
        patch.setattr(training_module, "Checkpoints", _Killed)
        with pytest.raises(KeyboardInterrupt):
            fit(source, source, settings=settings, weights=weights, run=run)
    found = fit(source, source, settings=settings, weights=weights, run=run, resume=True)
    assert _epochs(run) == _epochs(whole) == 3
    for name, value in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


@pytest.mark.usefixtures("_never_better")
def test_patience_counts_in_the_last_stage(
    tmp_path: Path,
    source: ListedSource,
    settings: TrainingConfiguration,
    weights: InitialWeights,
) -> None:
    """It never ends a training before its full size."""
    stages = (TrainingStage(epochs=3, rows=64), TrainingStage(epochs=4, rows=96))
    run = _begun(tmp_path / "run")
    given = replace(settings, stages=stages, patience=1)
    fit(source, source, settings=given, weights=weights, run=run)
    assert _epochs(run) == 5  # three, then one to compare with and one that was no better


def _epochs(run: RunFolder) -> int:
    return len(run.log.read_text(encoding="utf-8").splitlines()) - 1


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4"}, (3, 8, 2)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, (0, 1, 1)),
        ({"RANK": "0", "WORLD_SIZE": "2"}, (0, 2, 1)),
    ],
)
def test_launchers_say_who_this_is(
    environment: dict[str, str], expected: tuple[int, int, int]
) -> None:
    rank = ProcessRank.from_environment(environment)
    assert (rank.rank, rank.world_size, rank.machines) == expected


@pytest.mark.parametrize(
    "environment",
    [
        {"RANK": "2", "WORLD_SIZE": "2"},
        {"RANK": "one", "WORLD_SIZE": "2"},
        {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "2"},
    ],
)
def test_a_launcher_that_contradicts_itself_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(ParameterError, match="launcher"):
        ProcessRank.from_environment(environment)


def test_tensorboard_follows(
    tmp_path: Path,
    source: ListedSource,
    settings: TrainingConfiguration,
    weights: InitialWeights,
) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra 'tracking'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = _begun(tmp_path / "run")
    logger = logger_of(Tracking.TENSORBOARD, run.path, "m")
    fit(source, source, settings=settings, weights=weights, run=run, logger=logger)
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert len(events.Scalars("val_auc")) == settings.epochs


@pytest.mark.filterwarnings("ignore")  # MLflow's own, of which there are many
def test_mlflow_follows_in_a_database_of_the_run(
    tmp_path: Path,
    source: ListedSource,
    settings: TrainingConfiguration,
    weights: InitialWeights,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra 'tracking'")
    monkeypatch.chdir(tmp_path)
    run = _begun(tmp_path / "run")
    logger = logger_of(Tracking.MLFLOW, Path("run"), "m")
    fit(source, source, settings=settings, weights=weights, run=run, logger=logger)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]  # nothing beside it
    client = mlflow.MlflowClient(f"sqlite:///{run.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("bonescint")
    (followed,) = client.search_runs([experiment.experiment_id])
    assert (followed.info.run_name, followed.info.status) == ("m", "FINISHED")
    assert len(client.get_metric_history(followed.info.run_id, "val_auc")) == settings.epochs
    (tmp_path / "mlflow.db").write_text("no database " * 100, encoding="utf-8")
    with pytest.raises(OutputError, match=r"mlflow\.db: MLflow cannot use this database \(.*not a"):
        logger_of(Tracking.MLFLOW, tmp_path, "m")


def test_tracking_is_none_or_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert logger_of(Tracking.NONE, tmp_path, "m") is None
    import lightning.pytorch.loggers as loggers

    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("mlflow")

    monkeypatch.setattr(loggers, "MLFlowLogger", missing)
    with pytest.raises(MissingExtraError, match=r"bonescint\[tracking\]"):
        logger_of(Tracking.MLFLOW, tmp_path, "m")
