"""Trains the network that says which share of a piece of bone is diseased, on scans with truth.

    python benchmarks/known_scans.py FOLDER train --count 500
    python benchmarks/diseased_bone.py FOLDER

These commands made the network that is shipped: about 10 and 4 minutes of one core.
`benchmarks/bone_scan_index.py` evaluates it on other patients.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from known_scans import KnownScan, stored
from torch import nn

from bonescint import __version__
from bonescint.classify.classify import model_folder
from bonescint.quantify import MassTable, bone_atlas, bone_masses
from bonescint.quantify.diseased_bone import PieceNumbers
from bonescint.quantify.laid_atlas import laid_atlas

NETWORK = Path("src/bonescint/quantify/diseased_bone.json")
SETTINGS = {
    "widths": [64, 48],
    "epochs": 40,
    "scans_per_step": 4,
    "one_piece_in": 2,
    "learning_rate": 6e-3,
    "weight_decay": 0.01,
    "averaged_over": 60,
    "least_share": 0.06,
    "index_offset": 0.05,
    "index_weight": 2.0,
    "piece_weight": 10.0,
    "noise_sd": 0.05,
    "no_counts_share": 0.05,
}


class Example(NamedTuple):
    """The pieces of one scan.

    Attributes:
        numbers: float16 (pieces, numbers), the input.
        shares: float32 (pieces,), diseased share.
        masses: float32 (pieces, tables), per cent of the skeleton.
        true: float32 (tables,), the index.
    """

    numbers: torch.Tensor
    shares: torch.Tensor
    masses: torch.Tensor
    true: torch.Tensor


def example_of(known: KnownScan) -> Example:
    """Input and truth of a scan."""
    atlas = bone_atlas()
    laid = laid_atlas(known.body, known.scan.shape, atlas)
    made = PieceNumbers(known.scan, known.prediction, known.body, known.foci, laid)
    bone, _, share, of_sample = made.pieces
    sick = np.bincount(of_sample, known.of_samples) / np.bincount(of_sample)
    tables = 100 * np.stack([bone_masses(table, atlas) for table in MassTable], axis=1)
    return Example(
        torch.from_numpy(made.of(known.scan).astype(np.float16)),
        torch.from_numpy(sick.astype(np.float32)),
        torch.from_numpy((tables[bone] * share[:, None]).astype(np.float32)),
        torch.from_numpy((known.diseased @ tables).astype(np.float32)),
    )


def part_of(one: Example, rng: np.random.Generator) -> Example:
    """Every other piece of a scan, with twice its mass: half the work."""
    every = SETTINGS["one_piece_in"]
    mine = slice(int(rng.integers(every)), None, every)
    return Example(one.numbers[mine], one.shares[mine], every * one.masses[mine], one.true)


class Network(nn.Module):
    """A perceptron; what it sees is scaled first."""

    def __init__(self, examples: list[Example]) -> None:
        super().__init__()
        seen = torch.cat([one.numbers[::20].float() for one in examples])
        self.register_buffer("mean", seen.mean(dim=0))
        self.register_buffer("scale", seen.std(dim=0).clamp(min=0.05))
        layers: list[nn.Module] = []
        width = seen.shape[1]
        for hidden in SETTINGS["widths"]:
            layers += [nn.Linear(width, hidden), nn.ReLU()]
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))
        nn.init.constant_(self.layers[-1].bias, -3.5)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Logits of the diseased shares."""
        return self.layers((numbers - self.mean) / self.scale)[:, 0]

    def stored(self) -> list[dict]:
        """Weights and biases with the scaling in the first layer."""
        found = []
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                weights, bias = layer.weight.detach(), layer.bias.detach()
                if not found:
                    weights = weights / self.scale
                    bias = bias - weights @ self.mean
                rounded = [[float(f"{x:.5g}") for x in line] for line in weights.T.tolist()]
                found.append({"weights": rounded, "bias": [float(f"{x:.5g}") for x in bias]})
        return found


def losses(logits: torch.Tensor, step: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy of the pieces by their mass, and error of the logarithm of the index."""
    shares = torch.cat([one.shares for one in step])
    masses = torch.cat([one.masses for one in step])
    each = nn.functional.binary_cross_entropy_with_logits(logits, shares, reduction="none")
    weight = masses.mean(dim=1)
    least, offset = SETTINGS["least_share"], SETTINGS["index_offset"]
    counted = torch.relu(torch.sigmoid(logits) - least) / (1 - least)
    of_scan = (masses * counted[:, None]).split([len(one.shares) for one in step])
    index = torch.stack([of.sum(dim=0) for of in of_scan])
    off = torch.log(index + offset) - torch.log(torch.stack([one.true for one in step]) + offset)
    error = nn.functional.smooth_l1_loss(off, torch.zeros_like(off), beta=0.5)
    return (each * weight).sum() / weight.sum(), error


def trained(examples: list[Example], seed: int) -> Network:
    """A network that was trained on all examples."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    network = Network(examples)
    average = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(1 - 1 / SETTINGS["averaged_over"]),
    )
    per_epoch = len(examples) // SETTINGS["scans_per_step"]
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=SETTINGS["learning_rate"], weight_decay=SETTINGS["weight_decay"]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, SETTINGS["learning_rate"], SETTINGS["epochs"] * per_epoch
    )
    began = time.process_time()
    for epoch in range(SETTINGS["epochs"]):
        order = rng.permutation(len(examples))
        said = []
        for first in range(0, per_epoch * SETTINGS["scans_per_step"], SETTINGS["scans_per_step"]):
            step = [
                part_of(examples[n], rng)
                for n in order[first : first + SETTINGS["scans_per_step"]].tolist()
            ]
            numbers = torch.cat([one.numbers for one in step]).float()
            numbers[:, :-1] += (
                SETTINGS["noise_sd"] * network.scale[:-1] * torch.randn(numbers.shape[1] - 1)
            )
            if rng.random() < SETTINGS["no_counts_share"]:
                numbers[:, -1] = 0  # the counts
            pieces, index = losses(network(numbers), step)
            loss = SETTINGS["piece_weight"] * pieces + SETTINGS["index_weight"] * index
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
            said.append((pieces.item(), index.item()))
        seconds = time.process_time() - began
        print(f"epoch {epoch}, {seconds:.0f} s:", np.mean(said, axis=0).round(4), flush=True)
    return average.module


def network_of(network: Network, examples: list[Example], seed: int) -> dict:
    """What is shipped: weights, and what they come from."""
    digest = hashlib.sha256()
    for one in examples:
        digest.update(one.numbers.numpy().tobytes())
    return {
        "properties": {
            "notice": "Research use only; not a medical device.",
            "trained_on": "simulated scans only",
            "settings": SETTINGS,
            "seed": seed,
            "scans": len(examples),
            "scans_sha256": digest.hexdigest(),
            "model": model_folder(None).model_id,
            "versions": {"bonescint": __version__, "torch": torch.__version__},
        },
        "layers": network.stored(),
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    examples = [example_of(one) for one in stored(given.folder, "train", given.most)]
    print(f"{len(examples)} scans", flush=True)
    content = network_of(trained(examples, given.seed), examples, given.seed)
    text = json.dumps(content, separators=(",", ":")).replace("],[", "],\n[")
    NETWORK.write_text(text + "\n")
    print(f"{NETWORK}: {len(text)} bytes")


if __name__ == "__main__":
    main()
