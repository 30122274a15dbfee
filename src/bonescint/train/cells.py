"""Networks that classify every network cell of the scan, and the scan by its cells.

Each cell gets a logit, learnt from lesion masks where there are some, and the scan's logit is a
smooth maximum of them: log-sum-exp pooling (Pinheiro and Collobert, CVPR 2015). It depends on the
cells alone, so their map shows exactly what the answer is based on. Metastases are small: averaged
over the whole scan, as in the paper's network, one of them is a thousandth of the head's input.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonescint.train.network import RARE, VGG16, InputScale, NetworkShape, ScanNetwork, cell_layer
from bonescint.train.vgg16 import Vgg16Trunk, measured_deviation

HARMONICS = 6
"""Waves in each direction that encode where on the body a cell lies."""


def contralateral_features(features: Tensor) -> Tensor:
    """Features of each cell, joined with those of the two places that a physician compares it with.

    Args:
        features: (N, channels, rows, columns) of a composite, AP beside PA.

    Returns:
        (N, 3 x channels + waves, rows, columns): features of the cell; of the same place in the
        opposite view, which is the composite mirrored; of the body's other side, which is each
        half mirrored; and cosines over height and over distance from the midline.
    """
    anterior, posterior = features.chunk(2, dim=3)
    other_side = torch.cat([anterior.flip(3), posterior.flip(3)], dim=3)
    waves = _waves(features.shape[2], features.shape[3] // 2).to(features)
    waves = waves.expand(features.shape[0], -1, -1, -1)
    return torch.cat([features, features.flip(3), other_side, waves], dim=1)


def _waves(rows: int, columns: int) -> Tensor:
    """Products of cosines over both halves, (1, HARMONICS**2, rows, 2 x columns).

    Every wave equals its mirror image, so that views and sides can be exchanged.
    """
    order = torch.pi * torch.arange(HARMONICS)[:, None]
    height = torch.cos(order * (torch.arange(rows) + 0.5) / rows)
    across = torch.cos(2 * order * (torch.arange(columns) + 0.5) / columns).repeat(1, 2)
    return (height[:, None, :, None] * across[None, :, None, :]).flatten(0, 1)[None]


class CellNetwork(ScanNetwork):
    """A network that gives each cell a logit, and the scan the log-sum-exp of these.

    Args:
        shape: sizes of the layers.
        input_scale: the scale of inputs that the convolutions' weights were trained with.
    """

    evidence = "probability of each cell"
    cell: nn.Conv2d
    """The last layer: features to the logit of a metastasis in each cell."""

    def _add_cell_layer(self) -> None:
        """Add the last layer and the three numbers of the pooling."""
        self.cell = cell_layer(self.shape.cells, 1, deviation=0.01)
        self.sharpness = nn.Parameter(torch.tensor(2.0))
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.offset = nn.Parameter(torch.tensor(-RARE))

    @property
    def width(self) -> int:
        """Number of channels of the layers that classify cells."""
        return self.shape.cells

    def cell_logits(self, features: Tensor) -> Tensor:
        """Logit of a metastasis in each cell, (N, rows, columns) of the map."""
        logits: Tensor = self.cell(features)
        return logits.squeeze(1)

    def classified(self, features: Tensor) -> Tensor:
        """Logits (N, 2): a smooth maximum of the cells' logits, and its negative."""
        return self.pooled(self.cell_logits(features))

    def pooled(self, cell_logits: Tensor) -> Tensor:
        """The scan's logits (N, 2) from those of its cells (N, rows, columns)."""
        sharpness = self.sharpness.clamp(min=0.1)
        cells = sharpness * cell_logits.flatten(1)
        peak = cells.amax(dim=1, keepdim=True)
        smooth = torch.log(torch.exp(cells - peak).mean(dim=1)) + peak.squeeze(1)
        margin = self.gain.clamp(min=0.01) * (smooth / sharpness) + self.offset
        return torch.stack([-margin / 2, margin / 2], dim=1)

    def forward_with_maps(self, composite: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the probability of each cell (N, 2, rows, columns of the map).

        Args:
            composite: float (N, 1, rows, columns) in [0, 1].

        Returns:
            Logits (N, 2), and each cell's probabilities of no metastasis and of a metastasis.
        """
        cells = self.cell_logits(self.features(composite))
        present = torch.sigmoid(cells)
        return self.pooled(cells), torch.stack([1 - present, present], dim=1)

    def constants(self) -> dict[str, float]:
        """The three numbers of the pooling."""
        names = ("sharpness", "gain", "offset")
        return {name: float(getattr(self, name).detach()) for name in names}


class Vgg16Cells(CellNetwork, Vgg16Trunk):
    """VGG16's convolutions, then a head that gives each cell a logit.

    The head reads blocks 4 and 5, block 5's contralateral features and its mean over the scan.

    Args:
        shape: sizes of the layers.
        input_scale: the scale of inputs that the convolutions' weights were trained with.

    Examples:
        >>> network = Vgg16Cells(shape=NetworkShape(channels=(2, 2, 4, 4, 4), cells=4))
        >>> logits, maps = network.forward_with_maps(torch.rand(1, 1, 64, 64))
        >>> tuple(logits.shape), tuple(maps.shape)
        ((1, 2), (1, 2, 8, 8))
    """

    reduction = 8
    kind = "vgg16-cells"
    architecture = (
        "VGG16's 13 convolutions; features of blocks 4 and 5 joined with those of the same place "
        "in the opposite view and on the body's other side, with the place itself and with the "
        "whole scan's; two 3 x 3 convolutions, a logit for each cell of 8 x 8 pixels; the scan's "
        "logit is their log-sum-exp. The map is the probability of each cell: the prediction is "
        "computed from it alone."
    )
    fine_mean: Tensor
    fine_deviation: Tensor
    coarse_mean: Tensor
    coarse_deviation: Tensor

    def __init__(
        self,
        *,
        shape: NetworkShape = VGG16,
        input_scale: InputScale = InputScale.KERAS_BGR,
    ) -> None:
        super().__init__(shape=shape, input_scale=input_scale)
        fine, coarse, width = shape.channels[3], shape.channels[4], shape.cells
        self.context = nn.Linear(coarse, width)
        self.coarse = nn.Conv2d(3 * coarse + HARMONICS**2, width, kernel_size=1)
        self.fine = nn.Conv2d(fine, width, kernel_size=1)
        self.first = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.second = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self._add_cell_layer()
        self._standardises = True
        for name, channels in (("fine", fine), ("coarse", coarse)):
            self.register_buffer(f"{name}_mean", torch.zeros(channels))
            self.register_buffer(f"{name}_deviation", torch.ones(channels))

    def features(self, composite: Tensor, *, frozen_blocks: int = 0) -> Tensor:
        """Features of each cell, (N, channels, rows / 8, columns / 8)."""
        *_, fine, coarse = self.block_features(composite, frozen_blocks=frozen_blocks)
        if self._standardises:
            fine = _scaled(fine, self.fine_mean, self.fine_deviation)
            coarse = _scaled(coarse, self.coarse_mean, self.coarse_deviation)
        whole = self.context(coarse.mean(dim=(2, 3)))[:, :, None, None]
        around = functional.interpolate(
            self.coarse(contralateral_features(coarse)) + whole, scale_factor=2
        )
        joined = functional.relu(self.fine(fine) + around)
        return functional.relu(self.second(functional.relu(self.first(joined))))

    def measured(self, composite: Tensor, *, frozen_blocks: int = 0) -> Tensor:
        """Mean and mean square of every channel of blocks 4 and 5."""
        *_, fine, coarse = self.block_features(composite, frozen_blocks=frozen_blocks)
        parts = [values.float() for values in (fine, coarse)]
        moments = [(part.mean(dim=(2, 3)), (part**2).mean(dim=(2, 3))) for part in parts]
        return torch.cat([moment for pair in moments for moment in pair], dim=1)

    @torch.no_grad()
    def standardise(self, measured: Tensor, *, keeps_function: bool) -> None:
        """Give the head's inputs mean 0 and deviation 1 over cells and scans."""
        channels = [self.shape.channels[3]] * 2 + [self.shape.channels[4]] * 2
        means = torch.split(measured.mean(dim=0), channels)
        found = {"fine": means[:2], "coarse": means[2:]}
        for name, (mean, squares) in found.items():
            deviation = measured_deviation(squares, mean)
            old_mean = getattr(self, f"{name}_mean")
            old_deviation = getattr(self, f"{name}_deviation")
            if keeps_function:
                self._rescale(name, mean - old_mean, deviation, old_deviation)
            old_mean.copy_(mean)
            old_deviation.copy_(deviation)

    def _rescale(self, name: str, shift: Tensor, deviation: Tensor, old_deviation: Tensor) -> None:
        """Apply `_rescaled` to every layer that reads block 4 ("fine") or 5 ("coarse")."""
        if name == "fine":
            _rescaled(self.fine, shift, deviation, old_deviation)
            return
        _rescaled(self.context, shift, deviation, old_deviation)
        _rescaled(
            self.coarse,
            torch.cat([*[shift] * 3, shift.new_zeros(HARMONICS**2)]),
            *(
                torch.cat([*[values] * 3, values.new_ones(HARMONICS**2)])
                for values in (deviation, old_deviation)
            ),
        )

    @torch.no_grad()
    def folded(self) -> Self:
        """The same function with the standardisation absorbed by the 1 x 1 convolutions.

        Examples:
            >>> network = Vgg16Cells(shape=NetworkShape(channels=(2, 2, 4, 4, 4), cells=4))
            >>> _ = network.fine_mean.fill_(0.5), network.coarse_deviation.fill_(2.0)
            >>> composite = torch.rand(1, 1, 64, 64)
            >>> torch.allclose(network(composite), network.folded()(composite), atol=1e-5)
            True
        """
        twin = self.copied()
        for name in ("fine", "coarse"):
            mean, deviation = getattr(twin, f"{name}_mean"), getattr(twin, f"{name}_deviation")
            twin._rescale(name, -mean, torch.ones_like(deviation), deviation)
            mean.zero_()
            deviation.fill_(1.0)
        twin._standardises = False
        return twin


def _scaled(values: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    scaled: Tensor = (values - mean[:, None, None]) / deviation[:, None, None]
    return scaled


def _rescaled(
    layer: nn.Conv2d | nn.Linear, shift: Tensor, deviation: Tensor, old_deviation: Tensor
) -> None:
    """Rewrite a layer for inputs (x - m') / d' so that it gives what it gave for (x - m) / d.

    Args:
        layer: 1 x 1 convolution or dense.
        shift: m' - m.
        deviation: d'.
        old_deviation: d.
    """
    weight = layer.weight.double().flatten(1)
    plain = weight / old_deviation.double()
    if layer.bias is not None:
        layer.bias.add_((plain @ shift.double()).to(layer.bias.dtype))
    layer.weight.copy_((plain * deviation.double()).view_as(layer.weight))
