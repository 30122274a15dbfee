"""A cell beside its like: the same place in the opposite view, and on the body's other side.

As a physician compares them; and a cell knows where on the body it lies.
"""

from __future__ import annotations

import torch
from torch import Tensor

HARMONICS = 6
"""Waves in each direction that tell a cell its place."""


def with_its_like(features: Tensor) -> Tensor:
    """Features of each cell with those of its two like cells, and its place.

    Args:
        features: (N, channels, rows, columns) of a composite, AP beside PA.

    Returns:
        (N, 3 x channels + waves, rows, columns): the cell's own; those of the same place in the
        opposite view, which is the composite mirrored; those of the body's other side, which
        is each half mirrored; and cosines over height and over distance from the middle line.
    """
    anterior, posterior = features.chunk(2, dim=3)
    other_side = torch.cat([anterior.flip(3), posterior.flip(3)], dim=3)
    waves = _waves(features.shape[2], features.shape[3] // 2).to(features)
    waves = waves.expand(features.shape[0], -1, -1, -1)
    return torch.cat([features, features.flip(3), other_side, waves], dim=1)


def _waves(rows: int, columns: int) -> Tensor:
    """Products of cosines over both halves, (1, HARMONICS**2, rows, 2 x columns).

    Every wave has its mirror image's values, as swapping views and sides asks for.
    """
    order = torch.pi * torch.arange(HARMONICS)[:, None]
    height = torch.cos(order * (torch.arange(rows) + 0.5) / rows)
    across = torch.cos(2 * order * (torch.arange(columns) + 0.5) / columns).repeat(1, 2)
    return (height[:, None, :, None] * across[None, :, None, :]).flatten(0, 1)[None]
