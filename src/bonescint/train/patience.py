"""When a training ends before its last epoch."""

from __future__ import annotations

import lightning.pytorch as lightning
from lightning.pytorch.callbacks import EarlyStopping

from bonescint.train.settings import TrainingConfiguration


class Patience(EarlyStopping):
    """Ends a training whose validation AUC no longer grows in the last stage.

    Earlier stages are never cut short: areas measured at other rows say nothing of the size
    that is exported, and a training must not end before it has reached that size.

    Args:
        settings: of the training.
        epochs: without a higher AUC, after which it ends.
    """

    def __init__(self, settings: TrainingConfiguration, epochs: int) -> None:
        super().__init__("val_auc", mode="max", patience=epochs, check_on_train_epoch_end=True)
        self._first_epoch = settings.epochs - settings.stages[-1].epochs

    def on_train_start(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,  # noqa: ARG002
    ) -> None:
        """Do not go on where the checkpoint says that patience was at its end."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Count an epoch of the last stage."""
        if trainer.current_epoch >= self._first_epoch:
            super().on_train_epoch_end(trainer, pl_module)
