"""Learning from local normals beside simulated scans."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from bonescint.cohort import read_manifest
from bonescint.dicom import discover
from bonescint.evaluate import Comparison, Estimate, ScoredCases
from bonescint.model import Engine, ModelCard, ModelFolder, TrainingRecord, write_model_folder
from bonescint.prepare import prepare
from bonescint.scan import ParameterError, Split
from bonescint.train import training as training_module
from bonescint.train.adapting import (
    LARGEST_LOSS,
    Learnt,
    adapting_settings,
    joined_with,
    learn_from_normals,
)
from bonescint.train.compact import CompactCells
from bonescint.train.configuration import TrainingConfiguration, TrainingStage, read_configuration
from bonescint.train.dataset import BalancedBatches, SampleDraw, TrainingScans
from bonescint.train.export import to_onnx
from bonescint.train.network import NetworkShape
from bonescint.train.run import Checkpoints
from bonescint.train.sample import JoinedScans, ListedSource, TrainingSample
from bonescint.train.weights import load_weights

SMALL = NetworkShape(channels=(4, 4, 6, 8, 10), cells=6)


@pytest.fixture
def model(tmp_path: Path, settings: TrainingConfiguration) -> ModelFolder:
    """A small network that says something, whose card says how it was trained."""
    torch.manual_seed(1)
    network = CompactCells(shape=SMALL)
    for _, layer in network.convolutions():
        torch.nn.init.kaiming_normal_(layer.weight)
    torch.nn.init.normal_(network.cell.weight, std=0.5)
    trained = replace(
        read_configuration("compact"), label_smoothing=0.03, preprocessing=settings.preprocessing
    )
    card = ModelCard(
        name="small",
        version="1",
        architecture=network.architecture,
        preprocessing=settings.preprocessing,
        operating_point=0.5,
        training=TrainingRecord(
            origin="simulated scans only", cohort_sha256="", scans={}, weights="random",
            settings=trained.to_json(),
        ),
    )  # fmt: skip
    onnx = to_onnx(network.eval(), rows=64).SerializeToString()
    return write_model_folder(tmp_path / "model", card=card, onnx=onnx)


@pytest.fixture
def quick(model: ModelFolder) -> TrainingConfiguration:
    """The settings of two steps of four scans."""
    usual = adapting_settings(model, load_weights(model.path), 1)
    return replace(
        usual, steps_per_epoch=2, batch_size=4, frozen_blocks=0, loader_workers=0,
        checkpoint_steps=1, head_learning_rate=1e-2, scan_augmentations=(),
    )  # fmt: skip


def local(source: ListedSource, count: int) -> ListedSource:
    normals = [sample for sample in source.samples if not sample.positive][:count]
    return ListedSource(
        tuple(
            replace(one, scan=replace(one.scan, scan_id=f"local{number}"))
            for number, one in enumerate(normals)
        )
    )


@pytest.mark.parametrize("count", [1, 3, 5])
def test_half_of_the_negative_draws_are_local(source: ListedSource, count: int) -> None:
    """12 simulated negatives; the local ones stand there as often as makes it nearly half."""
    joined = joined_with(source, local(source, count))
    names = [joined.sample(number).scan.scan_id for number in range(len(joined))]
    assert len(joined.positives) == len(joined)
    batches = BalancedBatches(joined.positives, batch_size=4, seed=3)
    drawn = Counter[str]()
    for epoch in range(200):
        for draw in batches.draws(epoch):
            if not joined.positives[draw.index]:
                drawn["local" if names[draw.index].startswith("local") else "simulated"] += 1
    share = drawn["local"] / drawn.total()
    times = round(12 / count)
    assert share == pytest.approx(times * count / (12 + times * count), abs=0.04)
    assert 0.44 < share < 0.56


def test_simulated_metastases_go_to_local_scans_alone(
    source: ListedSource, quick: TrainingConfiguration, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts: list[str] = []

    def transplanted(
        donor: TrainingSample, host: TrainingSample, rng: np.random.Generator
    ) -> TrainingSample:
        hosts.append(host.scan.scan_id)
        return donor

    monkeypatch.setattr("bonescint.train.dataset.transplanted", transplanted)
    joined = joined_with(source, local(source, 4))
    scans = TrainingScans(joined, quick)
    positives = np.flatnonzero(joined.positives)
    for epoch in range(20):
        for number in positives:
            scans[SampleDraw(epoch, int(number))]
    assert set(hosts) == {f"local{number}" for number in range(4)}
    assert len(hosts) == pytest.approx(0.5 * 20 * len(positives), abs=25)
    hosts.clear()
    plain = TrainingScans(source, quick)
    for number in np.flatnonzero(source.positives):
        plain[SampleDraw(0, int(number))]
    assert not any(name.startswith("local") for name in hosts)


def test_scans_of_both_kinds_are_needed(source: ListedSource) -> None:
    with pytest.raises(ParameterError, match="0 local, 12 simulated"):
        joined_with(source, ListedSource(()))
    with pytest.raises(IndexError):
        JoinedScans((source,), hosts=()).sample(len(source))


def test_it_goes_on_as_the_model_was_trained_but_slowly(model: ModelFolder) -> None:
    trained = read_configuration("compact")
    found = adapting_settings(model, load_weights(model.path), 7)
    assert found.scan_augmentations == trained.scan_augmentations
    assert found.composite_change == trained.composite_change
    assert (found.lesion_weight, found.weight_decay) == (2.0, 2e-2)
    assert found.label_smoothing == 0.03
    assert found.stages == (TrainingStage(epochs=7, rows=64),)
    assert found.preprocessing == model.card.preprocessing
    assert found.head_learning_rate <= trained.head_learning_rate / 10
    assert found.transplant_share == 0.5


def test_a_network_learns_and_ranking_is_compared_on_simulated_scans(
    tmp_path: Path, cohort: Path, model: ModelFolder, quick: TrainingConfiguration
) -> None:
    manifest = read_manifest(cohort)
    studies = discover(
        [manifest.path(case) for case in manifest.split(Split.TEST) if not case.positive]
    ).studies
    seen: list[str] = []
    learnt = learn_from_normals(
        model, studies, manifest, tmp_path / "run", epochs=1, settings=quick,
        progress=lambda what, *_: seen.append(what),
    )  # fmt: skip
    assert learnt.onnx != model.onnx_path.read_bytes()
    assert (learnt.epochs, learnt.cases.count) == (1, 6)
    assert {"decoding local scans", "epoch 1 of 1", "scoring simulated scans"} <= set(seen)
    from bonescint.dicom import read

    labels, scores = [], []
    with Engine(learnt.onnx) as engine:
        for case in manifest.split(Split.VALIDATION):
            answer = engine.run(prepare(read(manifest.path(case)), quick.preprocessing).composite)
            labels.append(case.positive)
            scores.append(float(answer.logits[1]) - float(answer.logits[0]))
    assert learnt.areas.first == pytest.approx(roc_auc_score(labels, scores))
    assert learnt.cases.scores == pytest.approx(scores, abs=1e-5)
    assert learnt.cases.positive.tolist() == labels


def test_a_stopped_learning_goes_on_to_the_same_network(
    tmp_path: Path,
    cohort: Path,
    model: ModelFolder,
    quick: TrainingConfiguration,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manifest = read_manifest(cohort)
    studies = discover([manifest.path(case) for case in manifest.cases[12:15]]).studies[1:]

    def learnt(name: str) -> Learnt:
        return learn_from_normals(
            model, studies, manifest, tmp_path / name, epochs=1, settings=quick
        )

    whole = learnt("whole")

    class Stops(Checkpoints):
        def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
            super().on_train_batch_end(trainer, *rest)
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(training_module, "Checkpoints", Stops)
        with pytest.raises(KeyboardInterrupt):
            learnt("stopped")
    again = learnt("stopped")
    assert again.areas == whole.areas
    assert np.array_equal(again.cases.scores, whole.cases.scores)
    with pytest.raises(ParameterError, match="scans"):
        learn_from_normals(
            model, studies[:1], manifest, tmp_path / "stopped", epochs=1, settings=quick
        )


@pytest.mark.parametrize(
    ("change", "kept"), [(0.0, True), (-LARGEST_LOSS, True), (-LARGEST_LOSS - 1e-6, False)]
)
def test_what_lost_ranking_is_not_kept(
    quick: TrainingConfiguration, change: float, kept: bool
) -> None:
    areas = Comparison(
        name="roc_auc_score", words="area", first=0.9 + change, second=0.9,
        difference=Estimate(value=change), p_value=0.5, test="DeLong",
    )  # fmt: skip
    learnt = Learnt(
        onnx=b"", weights=b"", settings=quick, areas=areas, epochs=1,
        cases=ScoredCases(scores=[0.0, 1.0], positive=[0, 1]),
    )  # fmt: skip
    assert learnt.kept is kept
