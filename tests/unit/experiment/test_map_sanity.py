"""Maps against those of random weights."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from bonescint.evaluate import Resampling

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from scipy.stats import spearmanr  # noqa: E402

from bonescint.experiment.evaluation.map_sanity import COLUMNS, agreements, write_map_sanity  # noqa: E402
from bonescint.train.cells import Vgg16Cells  # noqa: E402
from bonescint.train.network import InputScale, NetworkShape  # noqa: E402
from bonescint.train.vgg16 import Vgg16Classifier  # noqa: E402

SMALL = NetworkShape(channels=(4, 4, 8, 8, 8), hidden=8, cells=6)
FEW = Resampling(resamples=200)


def composites(count: int = 6) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    rng = np.random.default_rng(1)
    return [rng.random((1, 64, 64), dtype=np.float32) for _ in range(count)]


class ShowsThePicture(Vgg16Cells):
    """A network whose map is the picture: what the check is there to find."""

    def forward_with_maps(self, composite: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, _ = super().forward_with_maps(composite)
        return logits, composite.repeat(1, 2, 1, 1)


def test_a_map_of_the_picture_alone_stays() -> None:
    rows = agreements(ShowsThePicture(shape=SMALL), composites(), FEW, patients=None)
    assert [row.agreement.value for row in rows] == [1.0] * 6
    assert [row.words for row in rows][:2] == ["the head", "the head and block 5"]
    assert rows[-1].words == "the head and blocks 1 to 5"


@pytest.mark.parametrize("kind", [Vgg16Classifier, Vgg16Cells])
def test_it_is_the_rank_correlation_with_a_network_of_other_weights(
    kind: type[Vgg16Classifier] | type[Vgg16Cells],
) -> None:
    torch.manual_seed(3)
    network = kind(shape=SMALL, input_scale=InputScale.UNIT).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pictures = composites()
    rows = agreements(network, pictures, FEW, patients=None)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), "the trained network stays as it is"
    assert rows == agreements(network, pictures, FEW, patients=None), (
        "the same seed, the same weights"
    )

    # By hand for the last row: everything drawn anew in the same order.
    torch.manual_seed(FEW.seed)
    blocks = {id(layer) for block in network.blocks for layer in block.modules()}
    for layer in [one for one in network.modules() if id(one) not in blocks]:
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    for block in reversed(list(network.blocks)):
        for convolution in block:
            convolution.reset_parameters()
    other = network.forward_with_maps(torch.from_numpy(np.stack(pictures)))[1][:, 1].detach()
    network.load_state_dict(before)
    own = network.forward_with_maps(torch.from_numpy(np.stack(pictures)))[1][:, 1].detach()
    expected = [
        spearmanr(one.flatten().numpy(), two.flatten().numpy()).statistic
        if np.ptp(one.numpy()) and np.ptp(two.numpy())
        else 0.0
        for one, two in zip(own, other, strict=True)
    ]
    assert rows[-1].agreement.value == pytest.approx(float(np.mean(expected)), abs=1e-4)
    assert abs(rows[-1].agreement.value) < 0.9


def test_the_table_says_how_many_maps_were_empty(tmp_path: Path) -> None:
    network = Vgg16Cells(shape=SMALL, input_scale=InputScale.UNIT)
    rows = agreements(network, [np.zeros((1, 64, 64), np.float32)], FEW, patients=None)
    file = tmp_path / "tables" / "map_sanity.csv"
    write_map_sanity(rows, file)
    with file.open(encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    assert tuple(found[0]) == COLUMNS
    assert len(found) == 6
    assert {row["scans"] for row in found} == {"1"}
