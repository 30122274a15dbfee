"""The Lightning module: losses, optimiser, running average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import lightning.pytorch as lightning
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from bonescint.train.configuration import Precision, Schedule, TrainingConfiguration
from bonescint.train.dataset import TrainingBatch
from bonescint.train.findings import FINDINGS
from bonescint.train.network import CellHead, ScanNetwork

_WARM_UP = 0.05
_FINAL = 0.01


class Learner(lightning.LightningModule):
    """Lightning's module that trains a network.

    Args:
        network: the network with its initial weights.
        settings: the training configuration.
        steps_per_epoch: number of batches per epoch.
        stage_loader: loads augmented training scans of an epoch, on which the mean and standard
            deviation of the features are measured when a stage begins.
        validation_loader: loads the validation scans with the given number of rows.
        trained_head: whether the head is trained already; it is then adjusted so that
            standardising the features at the start does not change its output.
    """

    def __init__(
        self,
        network: ScanNetwork,
        settings: TrainingConfiguration,
        *,
        steps_per_epoch: int,
        stage_loader: Callable[[int], DataLoader[TrainingBatch]],
        validation_loader: Callable[[int], DataLoader[TrainingBatch]],
        trained_head: bool = False,
    ) -> None:
        super().__init__()
        self.network = network.laid_out(torch.channels_last)
        # A network that does not judge cells borrows a head that does, while training.
        self.lesion_head = CellHead(network.width, kinds=1)
        self.finding_head = CellHead(network.width, kinds=len(FINDINGS))
        self._settings = settings
        self._steps_per_epoch = steps_per_epoch
        self._stage_loader = stage_loader
        self._validation_loader = validation_loader
        self._trained_head = trained_head
        self.averaged: AveragedModel | None = None
        if settings.averaging_decay is not None:
            self.averaged = AveragedModel(network, multi_avg_fn=_averaging(settings))
        self._seen: list[tuple[Tensor, Tensor]] = []

    @property
    def exported(self) -> ScanNetwork:
        """The network to evaluate and to export: the running average if there is one."""
        network = self.network if self.averaged is None else self.averaged.module
        if not isinstance(network, ScanNetwork):
            raise TypeError("The averaged module must be a network of scans.")
        return network

    def _in_precision(self, function: Callable[..., Tensor], composites: Tensor) -> Tensor:
        """Call a function of the network in the precision of the settings."""
        composites = composites.to(memory_format=torch.channels_last)
        reduced = self._settings.precision is Precision.BFLOAT16
        with torch.autocast(composites.device.type, dtype=torch.bfloat16, enabled=reduced):
            found = function(composites, frozen_blocks=self._settings.frozen_blocks)
        return found.float() if reduced else found

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Cross entropy of the scan, and of its cells if the settings ask for it."""
        settings = self._settings
        features = self._in_precision(self.network.features, batch.composites)
        logits = self.network.classified(features)
        loss = functional.cross_entropy(
            logits, batch.labels, label_smoothing=settings.label_smoothing
        )  # the processes' shares of a batch are alike, so their mean is the batch's
        self._log_mean("loss", loss, batch)
        if settings.lesion_weight > 0:
            lesion_loss = self._lesion_loss(features, batch)
            self._log_mean("cells", lesion_loss, batch)
            loss = loss + settings.lesion_weight * lesion_loss
        if settings.finding_weight > 0:
            finding_loss = self._finding_loss(features, batch)
            self._log_mean("findings", finding_loss, batch)
            loss = loss + settings.finding_weight * finding_loss
        return loss

    def _log_mean(self, name: str, value: Tensor, batch: TrainingBatch) -> None:
        """Show a value in the progress bar, and log its mean over the epoch and the processes."""
        # Lightning's `sync_dist` would wait for a process that has no progress bar.
        self.log(
            name,
            self._mean_over_processes(value.detach()),
            prog_bar=True,
            on_step=False,
            on_epoch=True,
            batch_size=len(batch.labels),
        )

    def _lesion_loss(self, features: Tensor, batch: TrainingBatch) -> Tensor:
        judged = self.network.cell_logits(features)
        logits = self.lesion_head(features) if judged is None else judged[:, None]
        return self._cell_loss(logits, batch.cells[:, None], batch.known)

    def _finding_loss(self, features: Tensor, batch: TrainingBatch) -> Tensor:
        return self._cell_loss(self.finding_head(features), batch.findings, batch.named)

    def _cell_loss(self, logits: Tensor, cells: Tensor, known: Tensor) -> Tensor:
        """Cross entropy of cells (N, kinds, rows, columns), over scans whose cells are known."""
        positive_weight = logits.new_tensor(self._settings.lesion_positive_weight)
        by_cell = functional.binary_cross_entropy_with_logits(
            logits, cells, pos_weight=positive_weight, reduction="none"
        )
        count = self._mean_over_processes(known.sum()).clamp(min=1)
        # A sum over the cells over a fixed number: a lesion weighs the same in every scan.
        unit = _CELLS_PER_UNIT * (_COARSEST / self.network.reduction) ** 2
        return (by_cell.sum(dim=(1, 2, 3)) * known).sum() / count / unit

    def _mean_over_processes(self, value: Tensor) -> Tensor:
        """The mean of a number over the processes that train together."""
        if self.trainer.world_size == 1:
            return value
        total = value.clone()
        torch.distributed.all_reduce(total)
        return total / self.trainer.world_size

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], object] | None = None,
    ) -> None:
        """A step, then the running average: before any checkpoint of this step is written."""
        if self._settings.keras_epsilon is not None:
            # PyTorch adds epsilon to the corrected root mean square, Keras to the uncorrected one.
            for group in optimizer.param_groups:
                correction = 1 - group["betas"][1] ** (self.trainer.global_step + 1)
                group["eps"] = self._settings.keras_epsilon / math.sqrt(correction)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)

    def on_train_epoch_start(self) -> None:
        """At the start of a stage, restart the running average and standardise the features."""
        settings, epoch = self._settings, self.current_epoch
        if epoch and settings.rows_of_epoch(epoch) == settings.rows_of_epoch(epoch - 1):
            return
        if self.averaged is not None:
            # The old average belongs to the old rows, and would last for hundreds of steps.
            self.averaged.n_averaged.zero_()
        if not settings.standardised:
            return
        with torch.no_grad():
            measured = [
                self._in_precision(self.network.measured, batch.composites.to(self.device))
                for batch in self._stage_loader(epoch)
            ]
            keeps = self._trained_head and not epoch
            self.network.standardise(torch.cat(measured), keeps_function=keeps)

    def val_dataloader(self) -> DataLoader[TrainingBatch]:
        """Validation scans at the rows of the current epoch (requested again for each epoch)."""
        return self._validation_loader(self._settings.rows_of_epoch(self.current_epoch))

    def validation_step(self, batch: TrainingBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Collect the logits of the network that would be exported."""
        network = self.exported
        logits = network.classified(self._in_precision(network.features, batch.composites))
        self._seen.append((logits.cpu(), batch.labels.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Log the cross entropy and the area under the ROC curve."""
        logits = torch.cat([logits for logits, _ in self._seen])
        labels = torch.cat([labels for _, labels in self._seen])
        self._seen.clear()
        self.log("val_loss", functional.cross_entropy(logits, labels), prog_bar=True)
        if 0 < int(labels.sum()) < len(labels):
            score = roc_auc_score(labels.numpy(), (logits[:, 1] - logits[:, 0]).numpy())
            self.log("val_auc", float(score), prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam with separate learning rates for backbone and head, and their schedule."""
        settings, network = self._settings, self.network
        for number, block in enumerate(network.blocks):
            block.requires_grad_(number >= settings.frozen_blocks)
        groups = [
            {
                "params": [p for p in network.blocks.parameters() if p.requires_grad],
                "lr": settings.backbone_learning_rate,
            },
            {
                "params": [
                    *_head_of(network),
                    *self.lesion_head.parameters(),
                    *self.finding_head.parameters(),
                ],
                "lr": settings.head_learning_rate,
            },
        ]
        optimizer = AdamW(
            [group for group in groups if group["params"]], weight_decay=settings.weight_decay
        )
        scheduler = LambdaLR(optimizer, self._factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _factor(self, step: int) -> float:
        settings = self._settings
        if settings.schedule is Schedule.CONSTANT:
            return 1.0
        done = step / max(1, self._steps_per_epoch * settings.epochs)
        if done < _WARM_UP:
            return max(_FINAL, done / _WARM_UP)
        turned = min(1.0, (done - _WARM_UP) / (1 - _WARM_UP))
        return _FINAL + (1 - _FINAL) * 0.5 * (1 + math.cos(math.pi * turned))


_CELLS_PER_UNIT = 64.0
_COARSEST = 16


def _averaging(settings: TrainingConfiguration) -> Callable[..., None]:
    limit = settings.averaging_decay or 0.0

    @torch.no_grad()
    def move(averages: list[Tensor], values: list[Tensor], count: Tensor | int) -> None:
        # The first steps weigh more, so that the initial weights are forgotten soon.
        decay = min(limit, (1.0 + float(count)) / (10.0 + float(count)))
        torch._foreach_lerp_(averages, values, 1 - decay)

    return move


def _head_of(network: ScanNetwork) -> list[nn.Parameter]:
    """All trainable parameters behind the blocks."""
    trunk = {id(parameter) for parameter in network.blocks.parameters()}
    return [parameter for parameter in network.parameters() if id(parameter) not in trunk]
