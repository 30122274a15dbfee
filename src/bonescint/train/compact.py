"""A compact network that judges every cell of the scan, and the scan by its cells.

VGG16 spends a third of its computation on the two finest resolutions, where a bone scan is mostly
noise. This network halves the resolution at once, and five times in all, with residual pairs of
convolutions (He et al., CVPR 2016; the second one of a pair begins at zero, as in Zhang et al.,
Fixup, ICLR 2019, so that no normalisation is needed), and comes back up to cells of 8 x 8 pixels
(Lin et al., feature pyramids, CVPR 2017). It is trained from scratch, which requires lesion masks,
preferably a truth that also names benign findings, and many scans, as from a simulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonescint.train.cells import HARMONICS, CellNetwork, contralateral_features
from bonescint.train.network import InputScale, NetworkShape

COMPACT = NetworkShape(channels=(24, 48, 96, 160, 224), cells=96)
_BLOCKS = 5
_PAIRS = 2
BLOCK_CONVOLUTIONS = tuple(
    f"block{block}_conv{index}"
    for block in range(1, _BLOCKS + 1)
    for index in range(1, 2 if block == 1 else 2 + 2 * _PAIRS)
)
"""Names of the convolutions of the blocks, in the order of computation."""


class _Block(nn.Module):
    """Halves rows and columns, followed by residual pairs of convolutions."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, pairs: int) -> None:
        super().__init__()
        self.halving = nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2)
        self.pairs = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(outputs, outputs, 3, padding=1) for _ in range(2))
            for _ in range(pairs)
        )
        for layer in self.convolutions():
            _begin(layer)
        for _, second in self._pairs():
            nn.init.zeros_(second.weight)

    def _pairs(self) -> Iterator[tuple[nn.Conv2d, nn.Conv2d]]:
        for pair in self.pairs:
            if not isinstance(pair, nn.ModuleList):
                raise TypeError("A pair must be a list of convolutions.")
            first, second = pair
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d):
                yield first, second

    def convolutions(self) -> Iterator[nn.Conv2d]:
        """The convolutions in the order of computation."""
        yield self.halving
        for pair in self._pairs():
            yield from pair

    def forward(self, values: Tensor) -> Tensor:
        values = functional.relu(self.halving(values))
        for first, second in self._pairs():
            values = functional.relu(values + second(functional.relu(first(values))))
        return values


class CompactCells(CellNetwork):
    """Five blocks, each of which halves the resolution; the last three give each cell its logit.

    Args:
        shape: channels of the blocks and of the layers that classify cells.
        input_scale: `InputScale.UNIT`, because it takes the composite unscaled.

    Examples:
        >>> network = CompactCells(shape=NetworkShape(channels=(2, 2, 4, 4, 4), cells=4))
        >>> logits, maps = network.forward_with_maps(torch.rand(1, 1, 64, 64))
        >>> tuple(logits.shape), tuple(maps.shape)
        ((1, 2), (1, 2, 8, 8))
    """

    reduction = 8
    rows_step = 64
    kind = "compact-cells"
    architecture = (
        "Five blocks of 3 x 3 convolutions (the first one 5 x 5), each halving rows and columns, "
        "all but the first with two residual pairs; the last three joined on the way up to cells "
        "of 8 x 8 pixels, the lower two with the same place in the opposite view and on the "
        "body's other side and with the place itself; the whole scan's average; a logit for each "
        "cell, and the scan's logit is their log-sum-exp. The map is the probability of each "
        "cell: the prediction is computed from it alone."
    )

    def __init__(
        self,
        *,
        shape: NetworkShape = COMPACT,
        input_scale: InputScale = InputScale.UNIT,
    ) -> None:
        super().__init__(shape=shape, input_scale=input_scale)
        inputs = (1, *shape.channels[:-1])
        self.blocks = nn.ModuleList(
            _Block(before, after, kernel=3 if number else 5, pairs=_PAIRS if number else 0)
            for number, (before, after) in enumerate(zip(inputs, shape.channels, strict=True))
        )
        *_, fine, middle, coarse = shape.channels
        width = shape.cells
        self.context = nn.Linear(coarse, width)
        self.coarse = nn.Conv2d(3 * coarse + HARMONICS**2, width, kernel_size=1)
        self.middle = nn.Conv2d(3 * middle + HARMONICS**2, width, kernel_size=1)
        self.between = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.fine = nn.Conv2d(fine, width, kernel_size=1)
        self.first = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.second = nn.Conv2d(width, width, kernel_size=3, padding=1)
        for layer in (self.coarse, self.middle, self.between, self.fine, self.first, self.second):
            _begin(layer)
        self._add_cell_layer()

    def convolutions(self) -> Iterator[tuple[str, nn.Conv2d]]:
        """The blocks' convolutions, named `block1_conv1` to `block5_conv5`."""
        found = (
            layer
            for block in self.blocks
            if isinstance(block, _Block)
            for layer in block.convolutions()
        )
        yield from zip(BLOCK_CONVOLUTIONS, found, strict=True)

    def block_features(self, composite: Tensor, *, frozen_blocks: int = 0) -> list[Tensor]:
        """The output of each block, with AP and PA side by side again.

        Args:
            composite: float (N, 1, rows, columns) in [0, 1].
            frozen_blocks: number of leading blocks without gradients.

        Returns:
            Five tensors (N, channels, rows / 2**k, columns / 2**k), k from 1 to 5.
        """
        values = _apart(composite)
        found = []
        for number, block in enumerate(self.blocks, start=1):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number > frozen_blocks):
                values = block(values)
            found.append(_side_by_side(values))
        return found

    def features(self, composite: Tensor, *, frozen_blocks: int = 0) -> Tensor:
        """Features of each cell, (N, channels, rows / 8, columns / 8)."""
        *_, fine, middle, coarse = self.block_features(composite, frozen_blocks=frozen_blocks)
        whole = self.context(coarse.mean(dim=(2, 3)))[:, :, None, None]
        around = _doubled(self.coarse(contralateral_features(coarse)) + whole)
        around = functional.relu(self.middle(contralateral_features(middle)) + around)
        around = _doubled(functional.relu(self.between(around)))
        joined = functional.relu(self.fine(fine) + around)
        return functional.relu(self.second(functional.relu(self.first(joined))))

    def measured(self, composite: Tensor, *, frozen_blocks: int = 0) -> Tensor:
        """No statistics: this network does not standardise."""
        del frozen_blocks
        return composite.new_zeros(len(composite), 0)

    def standardise(self, measured: Tensor, *, keeps_function: bool) -> None:
        """Nothing to do."""

    def folded(self) -> Self:
        """A copy, because this network has no standardisation to absorb."""
        return self.copied()


def _begin(layer: nn.Conv2d) -> None:
    """Initialise as He et al. (ICCV 2015), so that the signal keeps its size through ReLUs."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _apart(composite: Tensor) -> Tensor:
    """Separate AP and PA: (N, C, rows, 2 x columns) to (2 N, C, rows, columns)."""
    scans, channels, rows, columns = composite.shape
    halves = composite.reshape(scans, channels, rows, 2, columns // 2)
    return halves.permute(0, 3, 1, 2, 4).flatten(0, 1)


def _side_by_side(views: Tensor) -> Tensor:
    """The inverse of `_apart`."""
    _, channels, rows, columns = views.shape
    pairs = views.reshape(-1, 2, channels, rows, columns)
    return pairs.permute(0, 2, 3, 1, 4).flatten(3, 4)


def _doubled(values: Tensor) -> Tensor:
    return functional.interpolate(values, scale_factor=2)
