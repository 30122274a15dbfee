"""The scan's answer from those of its cells: a smooth maximum.

Log-sum-exp pooling (Pinheiro and Collobert, CVPR 2015). The scan's logit depends on the cells
alone, so the map of cells is not an explanation after the fact: it is what the answer is made of.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bonescint.train.network import RARE, ScanNetwork, cell_layer


class JudgesCells(ScanNetwork):
    """A network that gives each cell a logit, and the scan their log-sum-exp.

    Args:
        shape: sizes of the layers.
        input_scale: what the convolutions' weights want to see.
    """

    evidence = "probability of each cell"
    cell: nn.Conv2d
    """The last layer: features to the logit of a metastasis in each cell."""

    def _add_cell_layer(self) -> None:
        """The last layer and the three numbers of the pooling."""
        self.cell = cell_layer(self.shape.cells, 1, deviation=0.01)
        self.sharpness = nn.Parameter(torch.tensor(2.0))
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.offset = nn.Parameter(torch.tensor(-RARE))

    @property
    def width(self) -> int:
        """Channels of the layers that judge cells."""
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
            Logits (N, 2), and for no metastasis and for one the probability of each cell.
        """
        cells = self.cell_logits(self.features(composite))
        present = torch.sigmoid(cells)
        return self.pooled(cells), torch.stack([1 - present, present], dim=1)

    def constants(self) -> dict[str, float]:
        """The three numbers of the pooling."""
        names = ("sharpness", "gain", "offset")
        return {name: float(getattr(self, name).detach()) for name in names}
