"""The networks by name."""

from __future__ import annotations

from enum import StrEnum

from bonescint.train.cells import Vgg16Cells
from bonescint.train.compact import COMPACT, CompactCells
from bonescint.train.network import VGG16, InputScale, NetworkShape, ScanNetwork
from bonescint.train.vgg16 import Vgg16Classifier


class NetworkKind(StrEnum):
    """Which network is trained."""

    VGG16 = "vgg16"
    """The paper's: global average, one hidden layer, Grad-CAM as the map."""
    VGG16_CELLS = "vgg16-cells"
    """Judges every cell, and the scan by its cells."""
    COMPACT_CELLS = "compact-cells"
    """The same on a compact trunk that is trained from scratch; a fourteenth of the computation."""

    @property
    def begins_with_imagenet(self) -> bool:
        """Whether its convolutions are VGG16's, so that it can start from ImageNet's weights."""
        return self is not NetworkKind.COMPACT_CELLS


_CLASSES: dict[NetworkKind, type[Vgg16Classifier] | type[Vgg16Cells] | type[CompactCells]] = {
    NetworkKind.VGG16: Vgg16Classifier,
    NetworkKind.VGG16_CELLS: Vgg16Cells,
    NetworkKind.COMPACT_CELLS: CompactCells,
}


def new_network(kind: NetworkKind, *, shape: NetworkShape, input_scale: InputScale) -> ScanNetwork:
    """A network of a kind, with layers drawn from torch's generator.

    Examples:
        >>> small = NetworkShape(channels=(2, 2, 4, 4, 4), hidden=8)
        >>> new_network(NetworkKind.VGG16, shape=small, input_scale=InputScale.UNIT).kind
        'vgg16'
    """
    return _CLASSES[kind](shape=shape, input_scale=input_scale)


def usual_shape_of(kind: NetworkKind) -> NetworkShape:
    """Sizes of a network's layers if settings name none.

    Examples:
        >>> usual_shape_of(NetworkKind.COMPACT_CELLS).channels
        (24, 48, 96, 160, 224)
    """
    return VGG16 if kind.begins_with_imagenet else COMPACT


def rows_step_of(kind: NetworkKind) -> int:
    """What the rows of a composite must be a multiple of.

    Examples:
        >>> rows_step_of(NetworkKind.VGG16)
        32
    """
    return _CLASSES[kind].rows_step


def reduction_of(kind: NetworkKind) -> int:
    """Pixels of the composite along one side of a cell of a network's map.

    Examples:
        >>> reduction_of(NetworkKind.VGG16_CELLS)
        8
    """
    return _CLASSES[kind].reduction
