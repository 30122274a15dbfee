"""The network that judges cells: its pooling, its constants, its graph, and that it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bonescint.model import Engine, ModelCard, TrainingRecord, write_model_folder
from bonescint.prepare import Preprocessing, prepare, preprocessing_named
from bonescint.scan import InputError
from bonescint.train.cells import Vgg16Cells, contralateral_features
from bonescint.train.configuration import TrainingConfiguration, TrainingStage
from bonescint.train.export import to_onnx
from bonescint.train.network import InputScale, NetworkShape, ScanNetwork
from bonescint.train.networks import NetworkKind
from bonescint.train.quantise import quantised_onnx
from bonescint.train.run import RunFolder
from bonescint.train.sample import ListedSource
from bonescint.train.training import fit
from bonescint.train.vgg16 import Vgg16Classifier
from bonescint.train.weights import InitialWeights, load_weights

WhetherAndWhere = Callable[[ScanNetwork, Preprocessing], tuple[float, float]]
SMALL = NetworkShape(channels=(4, 4, 8, 8, 8), cells=6)


def a_network(seed: int = 1) -> Vgg16Cells:
    torch.manual_seed(seed)
    network = Vgg16Cells(shape=SMALL, input_scale=InputScale.UNIT)
    for name in ("fine", "coarse"):
        getattr(network, f"{name}_mean").normal_(0, 0.1)
        getattr(network, f"{name}_deviation").uniform_(0.5, 2)
    torch.nn.init.normal_(network.cell.weight, std=0.5)
    return network


def test_a_scan_is_judged_by_the_smooth_maximum_of_its_cells() -> None:
    network = a_network()
    cells = torch.randn(3, 8, 8)
    logits = network.pooled(cells)
    margin = (logits[:, 1] - logits[:, 0]).detach().double().numpy()
    by_hand = [
        1.0 * np.log(np.mean(np.exp(2.0 * scan.double().numpy()))) / 2.0 + 4.0 for scan in cells
    ]
    np.testing.assert_allclose(margin, by_hand, rtol=1e-6)


def test_a_cell_sees_its_place_in_the_opposite_view_and_on_the_other_side() -> None:
    features = torch.randn(2, 5, 6, 8)  # two views of 6 x 4 cells
    joined = contralateral_features(features)
    for row in range(6):
        for column in range(8):
            view, inside = divmod(column, 4)
            opposite = features[:, :, row, (1 - view) * 4 + 3 - inside]
            other_side = features[:, :, row, view * 4 + 3 - inside]
            expected = torch.cat([features[:, :, row, column], opposite, other_side], dim=1)
            assert torch.equal(joined[:, :15, row, column], expected)


def test_a_place_is_known_up_to_side_and_view() -> None:
    places = contralateral_features(torch.zeros(1, 1, 32, 32))[0, 3:]
    for like in (places.flip(2), torch.cat([half.flip(2) for half in places.chunk(2, 2)], 2)):
        torch.testing.assert_close(places, like)
    one_side = places[:, :, :8].flatten(1).T
    apart = torch.cdist(one_side, one_side) + 99 * torch.eye(len(one_side))
    assert float(apart.min()) > 0.1, "two places must not look the same"


def test_one_hot_cell_is_enough_and_its_place_does_not_matter() -> None:
    network = a_network()
    cells = torch.full((3, 8, 8), -4.0)
    cells[1, 2, 3] = 6.0
    cells[2, 7, 0] = 6.0
    probability = network.pooled(cells).softmax(dim=1)[:, 1]
    assert probability[0] < 0.6
    assert probability[1] > 0.95
    assert probability[1] == probability[2]


def test_the_map_alone_makes_the_answer() -> None:
    network = a_network()
    logits, maps = network.forward_with_maps(torch.rand(2, 1, 64, 64))
    assert maps.shape == (2, 2, 8, 8)
    torch.testing.assert_close(maps.sum(dim=1), torch.ones(2, 8, 8))
    torch.testing.assert_close(network.pooled(torch.logit(maps[:, 1])), logits)


def test_standardised_channels_have_mean_zero_and_deviation_one() -> None:
    network = a_network()
    composites = torch.rand(6, 1, 64, 64) ** 2
    network.standardise(network.measured(composites), keeps_function=False)
    *_, fine, coarse = network.block_features(composites)
    for values, mean, deviation in (
        (fine, network.fine_mean, network.fine_deviation),
        (coarse, network.coarse_mean, network.coarse_deviation),
    ):
        flat = values.transpose(0, 1).flatten(1).double()
        torch.testing.assert_close(mean.double(), flat.mean(dim=1), rtol=1e-4, atol=1e-6)
        spread = flat.std(dim=1, unbiased=False)
        usual = spread > 0.3 * spread.median()
        torch.testing.assert_close(deviation.double()[usual], spread[usual], rtol=1e-3, atol=1e-5)


def test_what_has_learnt_says_the_same_after_standardising_and_folding() -> None:
    network, composites = a_network(), torch.rand(4, 1, 64, 64)
    before = network(composites).detach()
    network.standardise(network.measured(torch.rand(8, 1, 64, 64) ** 3), keeps_function=True)
    torch.testing.assert_close(network(composites), before, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.folded()(composites), before, rtol=1e-4, atol=1e-5)


def test_openvino_runs_the_graph_and_gives_torchs_answer() -> None:
    network = a_network()
    composite = torch.rand(1, 1, 64, 64)
    logits, maps = network.forward_with_maps(composite)
    with Engine(to_onnx(network, rows=64).SerializeToString()) as engine:
        answer = engine.run(composite[0].numpy())
    np.testing.assert_allclose(answer.logits, logits[0].detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer.maps, maps[0].detach(), rtol=1e-4, atol=1e-5)


def test_only_the_trunk_is_quantised(source: ListedSource) -> None:
    preprocessing = replace(preprocessing_named("body-root"), rows=64, columns=32)
    composites = [prepare(sample.scan, preprocessing).composite for sample in source.samples]
    quantised = quantised_onnx(to_onnx(a_network(), rows=64), composites)
    made_by = {node.output[0]: node for node in quantised.graph.node}
    convolutions = [node for node in quantised.graph.node if node.op_type == "Conv"]
    in_integers = [
        node.input[1] in made_by and made_by[node.input[1]].op_type == "DequantizeLinear"
        for node in convolutions
    ]
    assert in_integers == [False, *[True] * 12, *[False] * 5]


@pytest.fixture
def cell_settings(settings: TrainingConfiguration) -> TrainingConfiguration:
    return replace(
        settings,
        network=NetworkKind.VGG16_CELLS,
        shape=SMALL,
        stages=(TrainingStage(epochs=6, rows=64),),
        head_learning_rate=1e-2,
        lesion_weight=1.0,
        finding_weight=0.5,
        scan_augmentations=(),
    )


def test_it_learns_where_and_whether(
    tmp_path: Path,
    source: ListedSource,
    cell_settings: TrainingConfiguration,
    weights: InitialWeights,
    whether_and_where: WhetherAndWhere,
) -> None:
    run = RunFolder(tmp_path)
    run.path.mkdir(exist_ok=True)
    network = fit(source, source, settings=cell_settings, weights=weights, run=run)
    area, hits = whether_and_where(network, cell_settings.preprocessing)
    assert area > 0.9
    assert hits > 0.8


def test_a_model_folder_goes_on_learning(
    tmp_path: Path, cell_settings: TrainingConfiguration
) -> None:
    network = a_network()
    card = ModelCard(
        name="cells",
        version="1",
        architecture=network.architecture,
        preprocessing=cell_settings.preprocessing,
        operating_point=0.5,
        training=TrainingRecord(origin="nothing", cohort_sha256="", scans={}, weights="random"),
    )
    onnx = to_onnx(network, rows=64).SerializeToString()
    loaded = load_weights(write_model_folder(tmp_path / "m", card=card, onnx=onnx).path)
    assert loaded.network is NetworkKind.VGG16_CELLS
    twin = Vgg16Cells(shape=SMALL, input_scale=loaded.input_scale)
    loaded.copy_into(twin)
    composite = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(twin(composite), network(composite), rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="vgg16-cells network"):
        loaded.copy_into(Vgg16Classifier(shape=SMALL))
