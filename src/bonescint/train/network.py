"""The interface of all networks: a composite in, the scan's logits and a map of evidence out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Self

import torch
from torch import Tensor, nn


class InputScale(StrEnum):
    """The scale of inputs that a set of weights was trained with; the composite has 0 to 1."""

    KERAS_BGR = "keras-bgr"
    """0 to 255 minus the channel means 103.939, 116.779, 123.68, in the order B, G, R."""
    TORCHVISION = "torchvision-rgb"
    """0 to 1 minus the means 0.485, 0.456, 0.406 over 0.229, 0.224, 0.225, in R, G, B."""
    UNIT = "unit"
    """0 to 1 unchanged, in every channel (as in the paper)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkShape:
    """Sizes of the layers; the defaults are VGG16's and the paper's.

    Attributes:
        channels: number of channels of the five blocks.
        hidden: units of the hidden layer of the head (`Vgg16Classifier` only).
        cells: channels of the layers that judge cells (`Vgg16Cells`, `CompactCells`).
    """

    channels: tuple[int, int, int, int, int] = (64, 128, 256, 512, 512)
    hidden: int = 512
    cells: int = 96


VGG16 = NetworkShape()


class ScanNetwork(nn.Module, ABC):
    """What training, export and tests of maps require of a network.

    The input is a prepared composite, float (N, 1, rows, columns) in [0, 1], AP left and PA
    right, rows and columns multiples of `rows_step`.

    Args:
        shape: sizes of the layers.
        input_scale: the scale of inputs that the convolutions' weights were trained with.
    """

    reduction: ClassVar[int]
    """Pixels of the composite along one side of a cell of the activation map."""
    rows_step: ClassVar[int] = 32
    """What the composite's rows and columns must be multiples of."""
    kind: ClassVar[str]
    """Name of this network in configurations and files."""
    architecture: ClassVar[str]
    """In words, for the model card."""
    evidence: ClassVar[str]
    """What the maps are, in words."""

    blocks: nn.ModuleList
    """The convolutions, beginning at the input; settings can freeze the first ones."""

    def __init__(self, *, shape: NetworkShape, input_scale: InputScale) -> None:
        super().__init__()
        self.shape = shape
        self.input_scale = input_scale

    @property
    @abstractmethod
    def width(self) -> int:
        """Channels of the features."""

    @abstractmethod
    def convolutions(self) -> Iterator[tuple[str, nn.Conv2d]]:
        """The blocks' convolutions by name, in the order in which they compute."""

    @abstractmethod
    def features(self, composite: Tensor, *, frozen_blocks: int = 0) -> Tensor:
        """The input of the head; the first `frozen_blocks` blocks keep no gradient."""

    @abstractmethod
    def classified(self, features: Tensor) -> Tensor:
        """Logits (N, 2) from features; class 0 is no metastatic bone disease, class 1 is."""

    @abstractmethod
    def cell_logits(self, features: Tensor) -> Tensor | None:
        """Logit of a metastasis in each cell (N, rows, columns) of the map, or `None`."""

    @abstractmethod
    def forward_with_maps(self, composite: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, 2) and the map of each class (N, 2, ...), at least 0, in one pass."""

    @abstractmethod
    def measured(self, composite: Tensor, *, frozen_blocks: int = 0) -> Tensor:
        """Statistics of some scans that `standardise` needs: (N, numbers)."""

    @abstractmethod
    def standardise(self, measured: Tensor, *, keeps_function: bool) -> None:
        """Set the constants that standardise features.

        Args:
            measured: measurements on some hundred training scans, (scans, numbers).
            keeps_function: rewrite the trained layers so that the network's answers do not change.
        """

    @abstractmethod
    def folded(self) -> Self:
        """The same function with the standardisation absorbed by the layers."""

    def copied(self) -> Self:
        """A copy with the same kind, sizes and weights."""
        twin = type(self)(shape=self.shape, input_scale=self.input_scale)
        twin.load_state_dict(self.state_dict())
        return twin.train(self.training)

    def constants(self) -> dict[str, float]:
        """Trained numbers of the head that belong to no layer."""
        return {}

    @torch.no_grad()
    def set_constants(self, values: Mapping[str, float]) -> None:
        """Set the numbers that `constants` returned."""
        for name, value in values.items():
            getattr(self, name).fill_(value)

    def forward(self, composite: Tensor) -> Tensor:
        """Logits (N, 2) of composites (N, 1, rows, columns)."""
        return self.classified(self.features(composite))

    @torch.no_grad()
    def laid_out(self, memory_format: torch.memory_format) -> Self:
        """Lay out the kernels in memory, in place; channels last is faster on processors."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.data = layer.weight.data.contiguous(memory_format=memory_format)
        return self


RARE = -4.0
"""Logit of a cell before training: few cells show anything."""


def cell_layer(channels: int, kinds: int, *, deviation: float = 0.0) -> nn.Conv2d:
    """A 1 x 1 convolution that, before training, says of each cell that it shows nothing.

    Args:
        channels: number of channels of the features.
        kinds: number of findings that a cell may show, independently of each other.
        deviation: standard deviation of the weights.
    """
    layer = nn.Conv2d(channels, kinds, kernel_size=1)
    nn.init.normal_(layer.weight, std=deviation)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, RARE)
    return layer


class CellHead(nn.Module):
    """Predicts what each cell of the map shows; used only while training.

    Args:
        channels: number of channels of the features.
        kinds: number of findings that a cell may show, independently of each other.

    Examples:
        >>> tuple(CellHead(8, kinds=3)(torch.zeros(2, 8, 4, 4)).shape)
        (2, 3, 4, 4)
    """

    def __init__(self, channels: int, *, kinds: int) -> None:
        super().__init__()
        self.cell = cell_layer(channels, kinds)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (N, kinds, rows, columns) of features (N, channels, rows, columns)."""
        logits: Tensor = self.cell(features)
        return logits
