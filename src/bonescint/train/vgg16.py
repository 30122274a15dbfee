"""VGG16's convolutions, and the paper's network on them: Grad-CAM is part of its forward pass.

Simonyan & Zisserman 2014 (13 convolutions), Ibrahim et al. 2023 (the head), Selvaraju et al.
2017 (Grad-CAM). `docs/grad-cam.md` derives the closed form used here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonescint.train.network import VGG16, InputScale, NetworkShape, ScanNetwork

CONVOLUTIONS_PER_BLOCK = (2, 2, 3, 3, 3)
_SMALLEST_DEVIATION = 1e-3
_SMALLEST_SHARE = 0.25


class _Affine(NamedTuple):
    factor: tuple[float, float, float]
    offset: tuple[float, float, float]


_SCALES = {
    InputScale.KERAS_BGR: _Affine((255.0,) * 3, (-103.939, -116.779, -123.68)),
    InputScale.TORCHVISION: _Affine(
        (1 / 0.229, 1 / 0.224, 1 / 0.225), (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225)
    ),
    InputScale.UNIT: _Affine((1.0,) * 3, (0.0,) * 3),
}


class Vgg16Trunk(ScanNetwork):
    """The 13 convolutions that several networks share.

    It repeats the composite's channel three times and applies the weights' input scale.

    Args:
        shape: sizes of the layers.
        input_scale: the scale of inputs that the convolutions' weights were trained with.
    """

    _factor: Tensor
    _offset: Tensor

    def __init__(self, *, shape: NetworkShape, input_scale: InputScale) -> None:
        super().__init__(shape=shape, input_scale=input_scale)
        blocks = []
        inputs = 3
        for outputs, count in zip(self.shape.channels, CONVOLUTIONS_PER_BLOCK, strict=True):
            convolutions = []
            for _ in range(count):
                convolutions.append(nn.Conv2d(inputs, outputs, kernel_size=3, padding=1))
                inputs = outputs
            blocks.append(nn.ModuleList(convolutions))
        self.blocks = nn.ModuleList(blocks)
        self.activation = nn.ReLU()
        self.last_activation = nn.ReLU()
        scale = _SCALES[input_scale]
        self.register_buffer("_factor", torch.tensor(scale.factor).view(1, 3, 1, 1), False)
        self.register_buffer("_offset", torch.tensor(scale.offset).view(1, 3, 1, 1), False)

    def convolutions(self) -> Iterator[tuple[str, nn.Conv2d]]:
        """The 13 convolutions with Keras' names, `block1_conv1` to `block5_conv3`."""
        for number, block in enumerate(self._blocks(), start=1):
            for index, convolution in enumerate(block, start=1):
                yield f"block{number}_conv{index}", convolution

    def _blocks(self) -> Iterator[list[nn.Conv2d]]:
        for block in self.blocks:
            if not isinstance(block, nn.ModuleList):
                raise TypeError("A block must be a list of convolutions.")
            yield [layer for layer in block if isinstance(layer, nn.Conv2d)]

    def block_features(self, composite: Tensor, *, frozen_blocks: int = 0) -> list[Tensor]:
        """Features after the last ReLU of each of the five blocks, before its max pool.

        Args:
            composite: float (N, 1, rows, columns) in [0, 1].
            frozen_blocks: leading blocks that keep no gradient.

        Returns:
            Five tensors (N, channels, rows / 2**k, columns / 2**k), k from 0 to 4.
        """
        values = torch.cat([composite] * 3, dim=1)
        if self.input_scale is not InputScale.UNIT:
            values = values * self._factor + self._offset
        found = []
        last = len(self.blocks)
        for number, block in enumerate(self._blocks(), start=1):
            frozen = number <= frozen_blocks
            with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
                for index, convolution in enumerate(block, start=1):
                    is_last = number == last and index == len(block)
                    values = convolution(values)
                    values = self.last_activation(values) if is_last else self.activation(values)
                found.append(values)
                if number < last:
                    values = functional.max_pool2d(values, 2)
        return found


def measured_deviation(squares: Tensor, mean: Tensor) -> Tensor:
    """Deviations from mean squares and means, with a lower limit.

    Dividing by the deviation of a channel that hardly varies would amplify it far too much.
    """
    deviation = (squares - mean**2).clamp(min=0).sqrt()
    return deviation.clamp(
        min=max(_SMALLEST_DEVIATION, _SMALLEST_SHARE * float(deviation.median()))
    )


class Vgg16Classifier(Vgg16Trunk):
    """13 convolutions, last max pool, global average, 512 units with ReLU, 2 logits.

    The buffers `pooled_mean` and `pooled_deviation` standardise the globally averaged
    features while training; they are constants, so `folded()` absorbs them in the hidden
    layer and leaves exactly the paper's architecture.

    Args:
        shape: sizes of the layers.
        input_scale: the scale of inputs that the convolutions' weights were trained with.

    Examples:
        >>> narrow = NetworkShape(channels=(2, 2, 4, 4, 4), hidden=8)
        >>> network = Vgg16Classifier(shape=narrow)
        >>> logits, maps = network.forward_with_maps(torch.rand(1, 1, 64, 64))
        >>> tuple(logits.shape), tuple(maps.shape)
        ((1, 2), (1, 2, 4, 4))
    """

    reduction = 16
    kind = "vgg16"
    architecture = (
        "VGG16's 13 convolutions and last max pool, global average pool, 512 units with ReLU, "
        "2 units with softmax (Ibrahim et al. 2023); Grad-CAM at block5_conv3 is part of the "
        "graph."
    )
    evidence = "Grad-CAM"

    pooled_mean: Tensor
    pooled_deviation: Tensor

    def __init__(
        self,
        *,
        shape: NetworkShape = VGG16,
        input_scale: InputScale = InputScale.KERAS_BGR,
    ) -> None:
        super().__init__(shape=shape, input_scale=input_scale)
        inputs = self.shape.channels[-1]
        self.hidden = nn.Linear(inputs, self.shape.hidden)
        self.output = nn.Linear(self.shape.hidden, 2)
        self._standardises = True
        self.register_buffer("pooled_mean", torch.zeros(inputs))
        self.register_buffer("pooled_deviation", torch.ones(inputs))

    @property
    def width(self) -> int:
        """Channels of block5_conv3."""
        return self.shape.channels[-1]

    def features(self, composite: Tensor, *, frozen_blocks: int = 0) -> Tensor:
        """Features of block5_conv3 after ReLU, (N, channels, rows / 16, columns / 16)."""
        return self.block_features(composite, frozen_blocks=frozen_blocks)[-1]

    def cell_logits(self, features: Tensor) -> None:  # noqa: ARG002
        """This network judges no cells."""
        return

    def measured(self, composite: Tensor, *, frozen_blocks: int = 0) -> Tensor:
        """Pooled features of some scans."""
        return self.pooled(self.features(composite, frozen_blocks=frozen_blocks))

    @torch.no_grad()
    def standardise(self, measured: Tensor, *, keeps_function: bool) -> None:
        """Give the hidden layer's inputs mean 0 and deviation 1."""
        mean = measured.mean(dim=0)
        deviation = measured_deviation((measured**2).mean(dim=0), mean)
        if keeps_function:
            plain = self.hidden.weight / self.pooled_deviation
            self.hidden.bias.add_(plain @ (mean - self.pooled_mean))
            self.hidden.weight.copy_(plain * deviation)
        self.pooled_mean.copy_(mean)
        self.pooled_deviation.copy_(deviation)

    def pooled(self, features: Tensor) -> Tensor:
        """Last max pool and global average: (N, channels), not standardised."""
        cells = functional.max_pool2d(features, 2)
        return cells.to(self.pooled_mean.dtype).mean(dim=(2, 3))

    def _hidden(self, features: Tensor) -> Tensor:
        pooled = self.pooled(features)
        if self._standardises:
            pooled = (pooled - self.pooled_mean) / self.pooled_deviation
        hidden: Tensor = self.hidden(pooled)
        return hidden

    def classified(self, features: Tensor) -> Tensor:
        """Logits (N, 2) from features; class 0 is no metastatic bone disease, class 1 is."""
        logits: Tensor = self.output(functional.relu(self._hidden(features)))
        return logits

    def forward_with_maps(self, composite: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the Grad-CAM map of each class, from one forward pass.

        Args:
            composite: float (N, 1, rows, columns) in [0, 1].

        Returns:
            Logits (N, 2), and maps (N, 2, rows / 16, columns / 16) after ReLU.
        """
        features = self.features(composite)
        hidden = self._hidden(features)
        logits = self.output(functional.relu(hidden))
        # Gradient of logit c with respect to the pooled mean: W1' (1[h > 0] * W2[c]).
        active = (hidden > 0).to(features.dtype)
        through = active.unsqueeze(1) * self.output.weight.unsqueeze(0)
        inward = self.hidden.weight
        if self._standardises:
            inward = inward / self.pooled_deviation
        gradient = torch.matmul(through, inward)
        # Each pooled cell passes its gradient to exactly one cell of the features, so the mean
        # gradient over the features' cells is this vector divided by their number.
        cells = features.shape[2] * features.shape[3]
        weights = gradient / cells
        maps = torch.matmul(weights, features.flatten(2))
        maps = maps.reshape(features.shape[0], 2, features.shape[2], features.shape[3])
        return logits, functional.relu(maps)

    @torch.no_grad()
    def folded(self) -> Self:
        """The same function with the standardisation absorbed by the hidden layer.

        Examples:
            >>> network = Vgg16Classifier(shape=NetworkShape(channels=(2, 2, 4, 4, 4), hidden=8))
            >>> _ = network.pooled_mean.fill_(0.5), network.pooled_deviation.fill_(2.0)
            >>> composite = torch.rand(1, 1, 64, 64)
            >>> torch.allclose(network(composite), network.folded()(composite), atol=1e-6)
            True
        """
        twin = self.copied()
        weight = self.hidden.weight.double() / self.pooled_deviation.double()
        bias = self.hidden.bias.double() - weight @ self.pooled_mean.double()
        twin.hidden.weight.copy_(weight)
        twin.hidden.bias.copy_(bias)
        twin.pooled_mean.zero_()
        twin.pooled_deviation.fill_(1.0)
        twin._standardises = False
        return twin
