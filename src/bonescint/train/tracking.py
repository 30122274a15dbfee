"""Where a training's figures are followed, beside its own log of epochs."""

from __future__ import annotations

import importlib
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from bonescint.scan import MissingExtraError, OutputError
from bonescint.train.run import quiet_lightning

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger


class Tracking(StrEnum):
    """What follows a training."""

    NONE = "none"
    """The run folder's epochs.csv alone."""
    TENSORBOARD = "tensorboard"
    """TensorBoard's files in the run folder: tensorboard --logdir RUN/tensorboard."""
    MLFLOW = "mlflow"
    """MLflow's database in the run folder, a run in it for each start:
    mlflow ui --backend-store-uri sqlite:///RUN/mlflow.db."""


def logger_of(tracking: Tracking, folder: Path, name: str) -> Logger | None:
    """Lightning's logger, or `None`.

    Args:
        tracking: what is wanted.
        folder: the run folder.
        name: of the model.

    Raises:
        MissingExtraError: TensorBoard or MLflow is not installed.
        OutputError: MLflow cannot use its database in the run folder.
    """
    if tracking is Tracking.NONE:
        return None
    from lightning.pytorch import loggers

    try:
        if tracking is Tracking.TENSORBOARD:
            return loggers.TensorBoardLogger(folder, name="tensorboard", version="")
        return _mlflow_logger(folder.absolute(), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(tracking.value, "tracking") from error


def _mlflow_logger(folder: Path, name: str) -> Logger:
    """MLflow with a database of its own: it no longer takes a folder as a store."""
    # MLflow calls home unless told not to; nothing here may open a connection.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from lightning.pytorch import loggers

    store = folder / "mlflow.db"
    try:
        with quiet_lightning():
            logger = loggers.MLFlowLogger(
                experiment_name="bonescint",
                run_name=name,
                tracking_uri=f"sqlite:///{store.as_posix()}",
                artifact_location=(folder / "mlflow-artifacts").as_uri(),
            )
            _ = logger.experiment  # opens the database now, not when the first epoch has ended
    except ModuleNotFoundError:
        raise
    except _mlflow_failures() as error:
        reason = str(error).partition("\n")[0][:200]
        raise OutputError(
            f"{store}: MLflow cannot use this database ({reason}). Move it away, or leave out "
            "--track mlflow."
        ) from error
    return logger


def _mlflow_failures() -> tuple[type[Exception], ...]:
    """What MLflow and the libraries below it raise on a database that it cannot use."""
    names = (
        ("mlflow.exceptions", "MlflowException"),
        ("sqlalchemy.exc", "SQLAlchemyError"),
        ("alembic.util", "CommandError"),
    )
    return tuple(getattr(importlib.import_module(module), name) for module, name in names)
