"""The run folder of a training (settings, checkpoints, log), early stopping and tracking."""

from __future__ import annotations

import csv
import importlib
import json
import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping

from bonescint.files import cannot_write, json_in, require_own, write_whole
from bonescint.scan import InputError, MissingExtraError, OutputError, ParameterError
from bonescint.scan.checked import require_member
from bonescint.train.configuration import TrainingConfiguration

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

_FREE_TO_CHANGE = frozenset(
    field.name for field in fields(TrainingConfiguration) if not field.metadata.get("decides", True)
)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder from which an interrupted training resumes.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The latest checkpoint, if one was written already."""
        return self.path / "last.ckpt"

    @property
    def log(self) -> Path:
        """The table with a row per epoch."""
        return self.path / "epochs.csv"

    @property
    def scans(self) -> Path:
        """Decoded scans, unless another cache folder was given."""
        return self.path / "scans"

    def begin(self, asked: Mapping[str, Any], *, resume: bool, writes: bool = True) -> bool:
        """Make the folder, or prepare to resume in it.

        Args:
            asked: settings, cohort and weights, JSON-ready.
            resume: keep an existing checkpoint; otherwise it is deleted.
            writes: whether this process writes to the folder; others only read.

        Returns:
            Whether there is a checkpoint to resume from.

        Raises:
            ParameterError: the checkpoint belongs to a training with other settings.
            InputError: the record of the earlier settings cannot be read.
            OutputError: the folder cannot be written, or holds files of other origin.
        """
        noted = self.path / "asked.json"
        asked = json.loads(json.dumps(asked))
        if not writes:
            return resume and self.checkpoint.is_file()
        names = (noted.name, self.checkpoint.name, self.log.name)
        require_own(self.path, names, mark=noted.name, signature='"settings"')
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not resume:
                self.checkpoint.unlink(missing_ok=True)
            if not self.checkpoint.is_file():  # nothing to resume from: a new log
                self.log.unlink(missing_ok=True)
            if self.checkpoint.is_file() and noted.is_file():
                changed = _changed(_asked_before(noted), asked)
                if changed:
                    raise ParameterError(
                        changed[0],
                        "train",
                        f"as it was when the training in {self.path} began (to start afresh "
                        f"delete that folder, or give --restart; in Python resume=False)",
                        "another value",
                    )
            write_whole(noted, json.dumps(asked, indent=2) + "\n")
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return self.checkpoint.is_file()

    def finished_steps(self) -> int:
        """Number of steps completed at the checkpoint."""
        content = torch.load(self.checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return int(content["global_step"])


def _asked_before(noted: Path) -> Mapping[str, Any]:
    try:
        before = json_in(noted.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(noted, "is damaged", "Start afresh with --restart") from error
    return before if isinstance(before, dict) else {}


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    old, new = dict(before.get("settings", {})), dict(now["settings"])
    names = [
        name
        for name in sorted(old.keys() | new.keys())
        if name not in _FREE_TO_CHANGE and old.get(name) != new.get(name)
    ]
    known = before.keys() & now.keys() - {"settings"}  # an earlier release recorded less
    return [name for name in sorted(known) if before[name] != now[name]] + names


class Checkpoints(Checkpoint):
    """Writes a checkpoint, atomically, at an interval of steps and after each epoch.

    Lightning calls callbacks of this kind after all others, so that a checkpoint includes the state
    of the others after the epoch, that of `Patience` in particular.

    Args:
        run: the run folder.
        steps: number of steps between two checkpoints.
    """

    def __init__(self, run: RunFolder, *, steps: int) -> None:
        self._run = run
        self._steps = steps

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,  # noqa: ARG002
        outputs: object,  # noqa: ARG002
        batch: object,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        """Write a checkpoint if it is due, except after an epoch's last batch."""
        is_last = batch_idx + 1 >= trainer.num_training_batches
        if trainer.global_step % self._steps == 0 and not is_last:
            self._write(trainer)

    def on_train_epoch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,  # noqa: ARG002
    ) -> None:
        """Write a checkpoint, and a row of the log."""
        self._write(trainer)
        if not trainer.is_global_zero:
            return
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {"epoch": trainer.current_epoch, "steps": trainer.global_step}
        row_text = {name: f"{figures[name]:.6g}" for name in sorted(figures)}
        new = not self._run.log.is_file()
        try:
            with self._run.log.open("a", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                if new:
                    writer.writerow([*row, *row_text])
                writer.writerow([*row.values(), *row_text.values()])
        except OSError as error:
            raise cannot_write(self._run.log, error) from error

    def _write(self, trainer: lightning.Trainer) -> None:
        beside = self._run.checkpoint.with_suffix(".part")
        try:
            trainer.save_checkpoint(beside)  # every process takes part, the first one writes
            if trainer.is_global_zero:
                beside.replace(self._run.checkpoint)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise cannot_write(self._run.checkpoint, error) from error


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advice and harmless warnings, and restore the handler of Ctrl-C."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    main = threading.current_thread() is threading.main_thread()
    on_interrupt = signal.getsignal(signal.SIGINT) if main else None
    with warnings.catch_warnings():
        # Our sampler resumes within an epoch; Lightning only looks at the loader.
        warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended")
        # The number of processes that load is a setting of ours.
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        # What is logged is the same in all processes that train together.
        warnings.filterwarnings("ignore", message=".*recommended to use `self.log.*sync_dist=True")
        # Lightning's own call into torch's tree utilities, deprecated there.
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            if main:
                signal.signal(signal.SIGINT, on_interrupt)


class Patience(EarlyStopping):
    """Ends a training whose validation AUC no longer increases in the last stage.

    Earlier stages are never cut short, because their AUC is measured at another resolution than
    that of the exported model.

    Args:
        settings: the training configuration.
        epochs: number of epochs without a higher AUC after which it ends.
    """

    def __init__(self, settings: TrainingConfiguration, epochs: int) -> None:
        super().__init__("val_auc", mode="max", patience=epochs, check_on_train_epoch_end=True)
        self._first_epoch = settings.epochs - settings.stages[-1].epochs

    def on_train_start(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,  # noqa: ARG002
    ) -> None:
        """Do not continue if patience had already run out at the checkpoint."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Count an epoch of the last stage."""
        if trainer.current_epoch >= self._first_epoch:
            super().on_train_epoch_end(trainer, pl_module)


class Tracking(StrEnum):
    """Where a training is logged."""

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
        tracking: the tool that logs the training.
        folder: the run folder.
        name: name of the model.

    Raises:
        MissingExtraError: TensorBoard or MLflow is not installed.
        OutputError: MLflow cannot use its database in the run folder.
    """
    require_member("train", "tracking", tracking, Tracking)
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
    """MLflow's logger with a database in the run folder."""
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
    """Exceptions of MLflow and its libraries for a database that cannot be used."""
    names = (
        ("mlflow.exceptions", "MlflowException"),
        ("sqlalchemy.exc", "SQLAlchemyError"),
        ("alembic.util", "CommandError"),
    )
    return tuple(getattr(importlib.import_module(module), name) for module, name in names)
