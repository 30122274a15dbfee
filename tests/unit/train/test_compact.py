"""The compact network: its two views, its graph, its weights again, and that it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from bonescint.model import Engine, ModelCard, ModelFolder, TrainingRecord, write_model_folder
from bonescint.prepare import Preprocessing, prepare, preprocessing_named
from bonescint.scan import InputError, ParameterError
from bonescint.train import read_configuration
from bonescint.train import training as training_module
from bonescint.train.compact import BLOCK_CONVOLUTIONS, COMPACT, CompactCells
from bonescint.train.configuration import Precision, TrainingConfiguration, TrainingStage
from bonescint.train.export import to_onnx
from bonescint.train.network import InputScale, NetworkShape, ScanNetwork
from bonescint.train.networks import NetworkKind
from bonescint.train.quantise import quantised_onnx
from bonescint.train.run import RunFolder
from bonescint.train.sample import ListedSource
from bonescint.train.training import fit, train, usual_settings
from bonescint.train.vgg16 import Vgg16Classifier
from bonescint.train.weights import NOTHING_LEARNT, InitialWeights, load_weights

WhetherAndWhere = Callable[[ScanNetwork, Preprocessing], tuple[float, float]]
SMALL = NetworkShape(channels=(4, 4, 6, 8, 10), cells=6)


def a_network(seed: int = 1) -> CompactCells:
    """One whose every layer says something: residual pairs begin silent."""
    torch.manual_seed(seed)
    network = CompactCells(shape=SMALL)
    for _, layer in network.convolutions():
        torch.nn.init.kaiming_normal_(layer.weight)
    torch.nn.init.normal_(network.cell.weight, std=0.5)
    return network.eval()


def a_folder(network: CompactCells, settings: TrainingConfiguration, path: Path) -> ModelFolder:
    card = ModelCard(
        name="compact",
        version="1",
        architecture=network.architecture,
        preprocessing=settings.preprocessing,
        operating_point=0.5,
        training=TrainingRecord(origin="nothing", cohort_sha256="", scans={}, weights="random"),
    )
    return write_model_folder(path, card=card, onnx=to_onnx(network, rows=64).SerializeToString())


def test_each_view_is_read_as_a_scan_of_its_own() -> None:
    network = a_network()
    composites = torch.rand(3, 1, 64, 64)
    for number, side_by_side in enumerate(network.block_features(composites), start=1):
        half = 32 >> number
        for scan in range(3):
            for view in range(2):
                values = composites[scan : scan + 1, :, :, 32 * view : 32 * (view + 1)]
                for block in list(network.blocks)[:number]:
                    values = block(values)
                found = side_by_side[scan : scan + 1, :, :, half * view : half * (view + 1)]
                torch.testing.assert_close(found, values)


def test_a_residual_pair_begins_as_nothing() -> None:
    torch.manual_seed(2)
    network = CompactCells(shape=SMALL)
    views = torch.rand(2, 1, 64, 32)
    first, second, *_ = network.blocks
    values = first(views)
    torch.testing.assert_close(second(values), torch.relu(second.halving(values)))


def test_the_answer_moves_when_another_view_or_side_does() -> None:
    network = a_network()
    composite = torch.rand(1, 1, 64, 64)
    cells = network.cell_logits(network.features(composite))
    changed = composite.clone()
    changed[:, :, 20:40, 40:60] = 0  # in PA
    moved = (network.cell_logits(network.features(changed)) - cells)[0, :, :4]  # in AP
    assert float(moved.detach().abs().max()) > 1e-4


@pytest.mark.parametrize("scans", [1, 3])
def test_both_run_times_run_the_graph_for_any_number_of_scans(scans: int) -> None:
    network = a_network()
    composites = torch.rand(scans, 1, 64, 64)
    logits, maps = (part.detach().numpy() for part in network.forward_with_maps(composites))
    data = to_onnx(network, rows=64).SerializeToString()
    found = onnxruntime.InferenceSession(data).run(None, {"scan": composites.numpy()})
    np.testing.assert_allclose(found[0], logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], maps, rtol=1e-4, atol=1e-5)
    with Engine(data) as engine:
        for number in range(scans):
            answer = engine.run(composites[number].numpy())
            np.testing.assert_allclose(answer.logits, logits[number], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(answer.maps, maps[number], rtol=1e-4, atol=1e-5)


def test_only_the_blocks_are_quantised_and_int8_goes_on(
    tmp_path: Path, source: ListedSource, settings: TrainingConfiguration
) -> None:
    preprocessing = replace(preprocessing_named("body-root"), rows=64, columns=32)
    composites = [prepare(sample.scan, preprocessing).composite for sample in source.samples]
    network = a_network()
    quantised = quantised_onnx(to_onnx(network, rows=64), composites)
    made_by = {node.output[0]: node for node in quantised.graph.node}
    in_integers = [
        node.input[1] in made_by and made_by[node.input[1]].op_type == "DequantizeLinear"
        for node in quantised.graph.node
        if node.op_type == "Conv"
    ]
    blocks = len(BLOCK_CONVOLUTIONS)
    assert in_integers == [False, *[True] * (blocks - 1), *[False] * 7]
    folder = a_folder(network, settings, tmp_path / "m")
    card = replace(folder.card, precision="int8")
    eight = write_model_folder(tmp_path / "8", card=card, onnx=quantised.SerializeToString())
    learnt = load_weights(eight.path)
    kernel = dict(network.convolutions())["block3_conv4"].weight.detach().numpy()
    step = np.abs(kernel).max() / 60  # seven bits
    np.testing.assert_allclose(learnt.kernels["block3_conv4"], kernel, atol=step)


def test_a_model_folder_goes_on_learning(tmp_path: Path, settings: TrainingConfiguration) -> None:
    network = a_network()
    loaded = load_weights(a_folder(network, settings, tmp_path / "m").path)
    assert loaded.network is NetworkKind.COMPACT_CELLS
    usual = usual_settings(loaded)
    assert usual.network is NetworkKind.COMPACT_CELLS
    assert usual.layers.channels == SMALL.channels
    assert usual.layers.cells == SMALL.cells
    assert (usual.standardised, usual.precision) == (False, Precision.FLOAT32)
    twin = CompactCells(shape=SMALL, input_scale=loaded.input_scale)
    loaded.copy_into(twin)
    composite = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(twin(composite), network(composite), rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="compact-cells network"):
        loaded.copy_into(Vgg16Classifier(shape=SMALL))


def test_imagenets_weights_are_refused(weights: InitialWeights) -> None:
    with pytest.raises(InputError, match="a vgg16 network, the settings ask for compact-cells"):
        weights.copy_into(CompactCells(shape=SMALL))


def test_settings_that_it_cannot_use_are_refused(compact_settings: TrainingConfiguration) -> None:
    with pytest.raises(ParameterError, match="multiple of 64 rows"):
        replace(compact_settings, stages=(TrainingStage(epochs=1, rows=96),))
    with pytest.raises(ParameterError, match="input_scale"):
        replace(compact_settings, input_scale=InputScale.KERAS_BGR)
    plain = replace(read_configuration("compact"), shape=None)
    assert plain.layers == COMPACT
    assert plain.to_json() == read_configuration("compact").to_json()


def test_random_blocks_are_not_frozen(
    tmp_path: Path, cohort: Path, compact_settings: TrainingConfiguration
) -> None:
    frozen = replace(compact_settings, frozen_blocks=2)
    with pytest.raises(ParameterError, match="frozen_blocks"):
        train(cohort, tmp_path / "m", settings=frozen)
    assert not (tmp_path / "m.run").exists()


@pytest.fixture
def compact_settings(settings: TrainingConfiguration) -> TrainingConfiguration:
    return replace(
        settings,
        network=NetworkKind.COMPACT_CELLS,
        shape=SMALL,
        input_scale=InputScale.UNIT,
        standardised=False,
        precision=Precision.FLOAT32,
        stages=(TrainingStage(epochs=30, rows=64),),
        backbone_learning_rate=1e-2,
        head_learning_rate=1e-2,
        frozen_blocks=0,
        lesion_weight=2.0,
        finding_weight=0.5,
        scan_augmentations=(),
    )


def test_it_learns_from_nothing_whether_and_where(
    tmp_path: Path,
    source: ListedSource,
    compact_settings: TrainingConfiguration,
    whether_and_where: WhetherAndWhere,
) -> None:
    run = RunFolder(tmp_path)
    run.path.mkdir(exist_ok=True)
    network = fit(source, source, settings=compact_settings, weights=NOTHING_LEARNT, run=run)
    area, hits = whether_and_where(network, compact_settings.preprocessing)
    assert area > 0.9
    assert hits > 0.8


def test_training_fetches_no_imagenet_and_the_card_says_so(
    tmp_path: Path,
    cohort: Path,
    compact_settings: TrainingConfiguration,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused() -> Path:
        raise AssertionError("fetched")

    monkeypatch.setattr(training_module, "fetch_keras_weights", refused)
    brief = replace(compact_settings, stages=(TrainingStage(epochs=1, rows=64),))
    folder = train(cohort, tmp_path / "m", settings=brief)
    assert folder.card.training.weights == "drawn from the seed"
    assert not any("VGG16" in credit for credit in folder.card.attribution)
    assert "VGG16" not in (folder.path / "LICENSE").read_text()
    assert "VGG16" not in (folder.path / "configs" / "metadata.json").read_text()
    assert folder.card.evidence_map.cell == 8
    model = onnx.load(folder.onnx_path)
    assert [output.name for output in model.graph.output] == ["logits", "maps"]
