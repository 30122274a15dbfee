"""Where a training's figures are followed, beside its own log of epochs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from bonescint.scan import MissingExtraError

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger


class Tracking(StrEnum):
    """What follows a training."""

    NONE = "none"
    """The run folder's epochs.csv alone."""
    TENSORBOARD = "tensorboard"
    """TensorBoard's files in the run folder: tensorboard --logdir RUN/tensorboard."""
    MLFLOW = "mlflow"
    """MLflow's local store in the run folder: mlflow ui --backend-store-uri RUN/mlruns."""


def logger_of(tracking: Tracking, folder: Path, name: str) -> Logger | None:
    """Lightning's logger, or `None`.

    Args:
        tracking: what is wanted.
        folder: the run folder.
        name: of the model.

    Raises:
        MissingExtraError: TensorBoard or MLflow is not installed.
    """
    if tracking is Tracking.NONE:
        return None
    from lightning.pytorch import loggers

    try:
        if tracking is Tracking.TENSORBOARD:
            return loggers.TensorBoardLogger(folder, name="tensorboard", version="")
        return loggers.MLFlowLogger(
            experiment_name="bonescint", run_name=name, save_dir=str(folder / "mlruns")
        )
    except ModuleNotFoundError as error:
        raise MissingExtraError(tracking.value, "tracking") from error
