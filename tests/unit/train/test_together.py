"""Several processes that train together, early stopping, and what follows a training."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bonescint.scan import MissingExtraError, ParameterError
from bonescint.train.dataset import BalancedBatches
from bonescint.train.networks import NetworkKind
from bonescint.train.ranks import Ranks
from bonescint.train.run import RunFolder
from bonescint.train.sample import ListedSource
from bonescint.train.settings import Precision, Stage, TrainSettings
from bonescint.train.tracking import Tracking, logger_of
from bonescint.train.training import fit
from bonescint.train.weights import ConvolutionWeights

_WORKER = """
import sys
from pathlib import Path
import torch
from bonescint.train.ranks import Ranks
from bonescint.train.run import RunFolder
from bonescint.train.training import fit
torch.set_num_threads(1)
source, settings, weights = torch.load(Path(sys.argv[1]) / "given.pt", weights_only=False)
ranks = Ranks.from_environment()
network = fit(source, source, settings=settings, weights=weights,
              run=RunFolder(Path(sys.argv[1])), ranks=ranks)
if ranks.leads:
    torch.save(network.state_dict(), Path(sys.argv[1]) / "together.pt")
"""


@pytest.mark.parametrize("kind", list(NetworkKind))
def test_two_processes_learn_what_one_learns(
    tmp_path: Path,
    source: ListedSource,
    settings: TrainSettings,
    weights: ConvolutionWeights,
    kind: NetworkKind,
) -> None:
    """Gloo on the processor, started as torchrun starts them."""
    settings = replace(
        settings,
        network=kind,
        precision=Precision.FLOAT32,
        stages=(Stage(epochs=1, rows=64),),
    )
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
    moved = (last - torch.from_numpy(weights.kernels["block5_conv3"])).abs().max()
    assert moved > 1e-4  # it learnt something, far beyond the tolerance below
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(together[name], value, rtol=1e-3, atol=2e-5, msg=name)


def _begun(path: Path) -> RunFolder:
    path.mkdir()
    return RunFolder(path)


def test_each_process_takes_its_share_of_every_batch() -> None:
    positives = [True] * 5 + [False] * 9
    whole = BalancedBatches(positives, batch_size=4, seed=3, steps=4)
    parts = [
        BalancedBatches(positives, batch_size=4, seed=3, steps=4, rank=rank, ranks=2)
        for rank in range(2)
    ]
    for batch, one, two in zip(whole, *parts, strict=True):
        assert len(one) == len(two) == 2
        assert set(one) | set(two) == set(batch)
    with pytest.raises(ParameterError, match="multiple of the 3 processes"):
        BalancedBatches(positives, batch_size=4, seed=3, ranks=3)


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
    tmp_path: Path, source: ListedSource, settings: TrainSettings, weights: ConvolutionWeights
) -> None:
    hardly = replace(
        settings,
        stages=(Stage(epochs=9, rows=64),),
        patience=2,
        backbone_learning_rate=1e-9,
        head_learning_rate=1e-9,
        weight_decay=0.0,
    )
    run = _begun(tmp_path / "run")
    fit(source, source, settings=hardly, weights=weights, run=run)
    epochs = len(run.log.read_text(encoding="utf-8").splitlines()) - 1
    assert epochs == 3  # one to compare with, and two that were no better


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
    ranks = Ranks.from_environment(environment)
    assert (ranks.rank, ranks.count, ranks.machines) == expected


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
        Ranks.from_environment(environment)


def test_tensorboard_follows(
    tmp_path: Path, source: ListedSource, settings: TrainSettings, weights: ConvolutionWeights
) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra 'tracking'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = _begun(tmp_path / "run")
    logger = logger_of(Tracking.TENSORBOARD, run.path, "m")
    fit(source, source, settings=settings, weights=weights, run=run, logger=logger)
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert len(events.Scalars("val_auc")) == settings.epochs


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
