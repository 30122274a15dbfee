"""Whether a model's maps come from what it learnt: they must change when its weights are random.

Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018: layers are given random weights
one after the other, from the answer back to the picture, and each time the map is compared
with the trained network's. A map that stays explains the picture, not the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort import Manifest
from bonescint.dicom import read
from bonescint.evaluate import Estimate, Resampling
from bonescint.evaluate.map_metrics import map_agreement, ratio_over_scans
from bonescint.evaluate.scored import patient_numbers
from bonescint.experiment.paths import written_rows
from bonescint.files import make_folder
from bonescint.model import ModelFolder
from bonescint.prepare import prepare
from bonescint.scan import Case
from bonescint.tables import ResultTable, write_csv

if TYPE_CHECKING:
    from torch import nn

    from bonescint.train.network import ScanNetwork

COLUMNS = ("random_layers", "scans", "agreement", "low", "high", "constant_maps")
_MBD = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SanityRow:
    """Maps of a network in which some layers are random, compared with the trained network's.

    Attributes:
        words: which layers are random.
        scans: number of scans compared.
        agreement: mean rank correlation over scans; it counts as 0 if a map is constant.
        constant_maps: number of scans with a constant map.
    """

    words: str
    scans: int
    agreement: Estimate
    constant_maps: int


def map_sanity(
    folder: ModelFolder,
    cohort: Manifest,
    cases: Sequence[Case],
    resampling: Resampling,
    progress: Callable[[int, int], None] | None = None,
) -> list[SanityRow]:
    """Compare a model's maps with those of copies whose weights are random.

    Args:
        folder: a model of `bonescint train`.
        cohort: where the scans lie.
        cases: whose maps are compared, usually positive ones.
        resampling: for the intervals over scans.
        progress: called with the number of networks tried and of all.

    Raises:
        InputError: not a model of `bonescint train`, or an unreadable scan.
        MissingExtraError: a library of the extra `train` is missing.
    """
    from bonescint.train import configuration_for_model
    from bonescint.train.training import initial_network
    from bonescint.train.weights import load_weights

    preprocessing = folder.card.preprocessing
    composites = [prepare(read(cohort.path(case)), preprocessing).composite for case in cases]
    network = initial_network(configuration_for_model(folder.path), load_weights(folder.path))
    patients = patient_numbers([case.patient_id for case in cases])
    return agreements(network, composites, resampling, patients=patients, progress=progress)


def agreements(
    network: ScanNetwork,
    composites: Sequence[NDArray[np.float32]],
    resampling: Resampling,
    *,
    patients: NDArray[np.intp] | None,
    progress: Callable[[int, int], None] | None = None,
) -> list[SanityRow]:
    """The rows for a network, from the head alone to all layers.

    Args:
        network: trained.
        composites: float32 (1, rows, columns) each.
        resampling: for the intervals; its seed draws the weights.
        patients: number of each composite's patient, or `None` where each has one.
        progress: called with the number of networks tried and of all.
    """
    trained = _maps(network, composites)
    rows = []
    for words, twin in _cascade(network, resampling.seed):
        found = [
            map_agreement(one, other)
            for one, other in zip(trained, _maps(twin, composites), strict=True)
        ]
        known = np.nan_to_num(np.array(found), nan=0.0)
        rows.append(
            SanityRow(
                words=words,
                scans=len(found),
                agreement=ratio_over_scans(
                    known, np.ones(len(found)), resampling, patients=patients
                ),
                constant_maps=int(np.isnan(found).sum()),
            )
        )
        if progress is not None:
            progress(len(rows), len(network.blocks) + 1)
    return rows


def _maps(
    network: ScanNetwork, composites: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.float32]]:
    """The disease map of every composite, at the network's own resolution."""
    import torch

    with torch.inference_mode():
        return [
            network.forward_with_maps(torch.from_numpy(composite.copy())[None])[1][0, _MBD].numpy()
            for composite in composites
        ]


def _cascade(network: ScanNetwork, seed: int) -> Iterator[tuple[str, ScanNetwork]]:
    """Copies with ever more random layers, from the output back to the input."""
    import torch

    twin = deepcopy(network).eval()
    blocks = list(twin.blocks)
    trunk = {id(layer) for block in blocks for layer in block.modules()}
    head = [layer for layer in twin.modules() if id(layer) not in trunk]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _forget(head)
        yield "the head", twin
        for number, block in reversed(list(enumerate(blocks, start=1))):
            _forget(block.modules())
            which = (
                f"blocks {number} to {len(blocks)}" if number < len(blocks) else f"block {number}"
            )
            yield f"the head and {which}", twin


def _forget(layers: Iterator[nn.Module] | Sequence[nn.Module]) -> None:
    """Draw new random weights for every layer that has weights."""
    for layer in layers:
        reset = getattr(layer, "reset_parameters", None)
        if reset is not None:
            reset()


def write_map_sanity(rows: Sequence[SanityRow], file: Path) -> None:
    """Write the rows as CSV.

    Raises:
        OutputError: it cannot be written.
    """
    cells = []
    for row in rows:
        mean = row.agreement
        cells.append(
            (row.words, row.scans, mean.value, mean.low, mean.high, row.constant_maps),
        )
    make_folder(file.parent)
    title = "Maps of a network with randomised layers against its own"
    write_csv(ResultTable(name=file.stem, title=title, columns=COLUMNS, rows=tuple(cells)), file)


def read_map_sanity(file: Path) -> tuple[SanityRow, ...]:
    """Rows of a table that `write_map_sanity` wrote; none without a table.

    Raises:
        InputError: it cannot be read.
    """
    return tuple(
        SanityRow(
            words=row["random_layers"],
            scans=int(row["scans"]),
            agreement=Estimate(
                value=float(row["agreement"]), low=float(row["low"]), high=float(row["high"])
            ),
            constant_maps=int(row["constant_maps"]),
        )
        for row in written_rows(file)
    )
