"""Train a network on a cohort and write the model folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.loggers import Logger
from torch import nn

from bonescint.cohort import Manifest, cohort_fingerprint, read_manifest
from bonescint.files import one_writer
from bonescint.model import ModelFolder, require_writable
from bonescint.model.ood import LEAST_SCANS
from bonescint.scan import ParameterError, Split
from bonescint.train.cached import (
    CachedScans,
    cached_scans,
    check_trainable,
    files_identity,
)
from bonescint.train.configuration import (
    HeadInitialisation,
    Precision,
    TrainingConfiguration,
    read_configuration,
)
from bonescint.train.dataset import BalancedBatches, plain_loader, resized, training_loader
from bonescint.train.distributed import ProcessRank, rank_zero_first
from bonescint.train.finalize import MEASURED, FinishedTraining, finalize
from bonescint.train.imagenet import fetch_keras_weights
from bonescint.train.learner import Learner
from bonescint.train.network import VGG16, NetworkShape, ScanNetwork
from bonescint.train.networks import new_network
from bonescint.train.run import (
    Checkpoints,
    Patience,
    RunFolder,
    Tracking,
    logger_of,
    quiet_lightning,
)
from bonescint.train.sample import ScanSource
from bonescint.train.weights import NOTHING_LEARNT, InitialWeights, load_weights

DEVICES = ("cpu", "gpu", "auto")
_STANDARDISED_ON = 256
SINGLE_PROCESS = ProcessRank()
"""Nothing is distributed."""


def train(
    manifest: Path | str | Manifest,
    out: Path | str,
    *,
    settings: TrainingConfiguration | None = None,
    weights: Path | None = None,
    resume: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
    tell: Callable[[str], None] | None = None,
    device: str = "cpu",
    cache: Path | None = None,
    name: str | None = None,
    version: str = "1",
    tracking: Tracking = Tracking.NONE,
    measure_test: bool = True,
) -> ModelFolder:
    """Train on a cohort and write a model folder.

    Checkpoints are kept in `<out>.run`; after an interruption the same call resumes from them.

    Args:
        manifest: the cohort, as a table or read already; it needs both classes in the splits
            train and validation.
        out: the model folder to write.
        settings: the training configuration; by default `fine-tune` when training continues from a
            model, else `bonescint`.
        weights: file of ImageNet weights, or a model folder to continue from; by default Keras'
            official file is downloaded, unless the network is trained from scratch. To continue
            from a model with its own preprocessing, take `settings` from
            `configuration_for_model`.
        resume: resume from the run's checkpoint; otherwise start afresh.
        progress: called with (task, done, total).
        tell: called with messages for the user, such as that a training resumes.
        device: `"cpu"`, `"gpu"` or `"auto"`.
        cache: folder for decoded scans, to be shared by runs; `<out>.run/scans` if not given.
        name: name of the model; the folder's name if not given.
        version: version of the model.
        tracking: where the training is logged, in addition to `<out>.run/epochs.csv`.
        measure_test: read the test split for the model card. An experiment sets it to `False`
            because it reads that split itself, once.

    Under torchrun or SLURM, processes train together (each takes its share of every batch), and the
    first one writes.

    Returns:
        The model folder, with calibration, operating point and metrics from the validation split,
        and metrics from the test split if there is one and `measure_test` is set.

    Raises:
        InputError: a cohort that cannot be used for training, or an unreadable file; the row is
            named.
        ParameterError: a setting that cannot be used, or that differs from when the run began.
        OutputError: a path that cannot be written; raised before training begins.
        MissingExtraError: a library of the extra `train` is missing.
        KeyboardInterrupt: training was interrupted; the same call resumes it.
    """
    rank = ProcessRank.from_environment()
    target = Path(out)
    accelerator = _accelerator(device)
    cohort = manifest if isinstance(manifest, Manifest) else read_manifest(manifest)
    check_trainable(cohort, cohort.folder if isinstance(manifest, Manifest) else Path(manifest))
    require_writable(target)
    first_weights = _first_weights(weights, settings)
    settings = settings or usual_settings(first_weights)
    require_fit(settings, first_weights)
    run = RunFolder(target.with_name(f"{target.name}.run"))
    asked = {
        "settings": settings.to_json(),
        "cohort": cohort_fingerprint(cohort),
        "weights": first_weights.sha256,
        "scans": files_identity(cohort, (Split.TRAIN, Split.VALIDATION)),
    }
    shown = progress if rank.is_zero else None
    say = tell if tell is not None and rank.is_zero else _silent
    with one_writer(run.path) if rank.is_zero else nullcontext():
        resume = run.begin(asked, resume=resume, writes=rank.is_zero)
        logger = logger_of(tracking, run.path, name or target.name) if rank.is_zero else None
        measured = MEASURED if measure_test else MEASURED[:1]
        splits = (Split.TRAIN, *measured)
        sources = _sources(cohort, splits, cache or run.scans, settings, progress=shown)
        steps_per_epoch = len(_batches(sources[Split.TRAIN], settings, rank))
        done = run.finished_steps() // steps_per_epoch if resume else settings.epochs
        if done < settings.epochs:
            say(f"resuming at epoch {done + 1} of {settings.epochs}")
        network = fit(
            sources[Split.TRAIN],
            sources[Split.VALIDATION],
            settings=settings,
            weights=first_weights,
            run=run,
            resume=resume,
            accelerator=accelerator,
            progress=shown,
            rank=rank,
            logger=logger,
        )
        with rank_zero_first(rank) as first:
            if first:
                finished = FinishedTraining(
                    cohort=cohort,
                    sources=sources,
                    settings=settings,
                    weights=first_weights,
                    name=name or target.name,
                    version=version,
                    epochs=run.finished_steps() // steps_per_epoch,
                    measured=measured,
                )
                if finalize(network, finished, target).ood is None:
                    say(
                        "the model has no score for scans unlike its training cohort: that "
                        f"requires {3 * LEAST_SCANS} training and {LEAST_SCANS} validation scans"
                    )
    return ModelFolder.load(target)


def _silent(_: str) -> None:
    return


def require_fit(settings: TrainingConfiguration, weights: InitialWeights) -> None:
    """Refuse settings that do not fit the initial weights.

    Raises:
        InputError: the weights belong to another network.
        ParameterError: blocks that are not trained would be frozen.
    """
    weights.require_fit(settings.network)
    if settings.frozen_blocks and not weights.kernels:
        requirement = "0 if the blocks are not trained yet"
        raise ParameterError("frozen_blocks", "train", requirement, settings.frozen_blocks)


def _first_weights(file: Path | None, settings: TrainingConfiguration | None) -> InitialWeights:
    """The weights of a file; otherwise ImageNet's, for networks that start from them."""
    if file is not None:
        return load_weights(file)
    if settings is not None and not settings.network.begins_with_imagenet:
        return NOTHING_LEARNT
    return load_weights(fetch_keras_weights())


def usual_settings(weights: InitialWeights) -> TrainingConfiguration:
    """The default settings for some weights.

    Training continues from a model with its own network, preprocessing, input scale and size.
    """
    if weights.preprocessing is None:
        return read_configuration("bonescint")
    usual = read_configuration("fine-tune")
    rows, on_vgg16 = weights.preprocessing.rows, weights.network.begins_with_imagenet
    return replace(
        usual,
        network=weights.network,
        shape=_shape_of(weights),
        preprocessing=weights.preprocessing,
        input_scale=weights.input_scale,
        stages=tuple(replace(stage, rows=rows) for stage in usual.stages),
        standardised=on_vgg16,
        precision=usual.precision if on_vgg16 else Precision.FLOAT32,
    )


def configuration_for_model(folder: Path) -> TrainingConfiguration:
    """The default settings for continuing to train a model.

    Args:
        folder: the model folder.

    Raises:
        InputError: not a model of `bonescint train`.
    """
    return usual_settings(load_weights(folder))


def _shape_of(weights: InitialWeights) -> NetworkShape:
    """Sizes of the layers of a trained model."""
    head = weights.head or {}
    channels = tuple(
        weights.kernels[f"block{block}_conv1"].shape[0]
        for block in range(1, len(VGG16.channels) + 1)
    )
    first, second, third, fourth, fifth = channels
    return NetworkShape(
        channels=(first, second, third, fourth, fifth),
        hidden=head["hidden.weight"].shape[0] if "hidden.weight" in head else VGG16.hidden,
        cells=head["cell.weight"].shape[1] if "cell.weight" in head else VGG16.cells,
    )


def _accelerator(device: str) -> str:
    if device not in DEVICES:
        raise ParameterError("device", "train", " or ".join(DEVICES), device)
    there = torch.cuda.is_available()
    if device == "gpu" and not there:
        raise ParameterError("device", "train", "one that torch sees here (cpu)", device)
    return "gpu" if there and device != "cpu" else "cpu"


def _sources(
    cohort: Manifest,
    splits: Sequence[Split],
    cache: Path,
    settings: TrainingConfiguration,
    *,
    progress: Callable[[str, int, int], None] | None,
) -> dict[Split, CachedScans]:
    def of_split(split: Split) -> Callable[[int, int], None] | None:
        return None if progress is None else partial(progress, f"decoding {split.value} scans")

    return {
        split: cached_scans(
            cohort, split, cache, workers=settings.loader_workers, progress=of_split(split)
        )
        for split in splits
        if cohort.split(split)
    }


def initial_network(settings: TrainingConfiguration, weights: InitialWeights) -> ScanNetwork:
    """A network with the given weights; a head that they lack is initialised from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = new_network(
            settings.network,
            shape=settings.layers,
            input_scale=settings.input_scale or weights.input_scale,
        )
        if settings.head_initialisation is HeadInitialisation.GLOROT_UNIFORM:
            for layer in network.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)
                    nn.init.zeros_(layer.bias)
    weights.copy_into(network)
    return network


def fit(
    training: ScanSource,
    validation: ScanSource,
    *,
    settings: TrainingConfiguration,
    weights: InitialWeights,
    run: RunFolder,
    resume: bool = False,
    accelerator: str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
    rank: ProcessRank = SINGLE_PROCESS,
    logger: Logger | None = None,
    watchers: Sequence[lightning.Callback] = (),
) -> ScanNetwork:
    """Train a network on samples, with checkpoints in a run folder.

    Args:
        training: samples to learn from.
        validation: samples that are evaluated after each epoch.
        settings: the training configuration.
        weights: the initial weights.
        run: folder of the checkpoints.
        resume: start from the run's checkpoint.
        accelerator: Lightning's name of the device.
        progress: called with the epoch in words, the steps done, and all steps.
        rank: rank of this process among those that train together.
        logger: logger of another tool, or `None`.
        watchers: further callbacks of Lightning, such as one that measures while training.

    Returns:
        The network to export: the running average of the weights if there is one.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    batches = _batches(training, settings, rank)
    learner = Learner(
        initial_network(settings, weights),
        settings,
        steps_per_epoch=len(batches),
        stage_loader=_stage_loader(training, settings, batches),
        validation_loader=lambda rows: plain_loader(
            validation,
            resized(settings.preprocessing, rows),
            batch_size=settings.batch_size,
            workers=settings.loader_workers,
        ),
        trained_head=weights.head is not None,
    )
    if resume:
        batches.resume_at(run.finished_steps())
    checkpoints = Checkpoints(run, steps=settings.checkpoint_steps)
    callbacks: list[lightning.Callback] = [checkpoints, *watchers]
    if settings.patience is not None:
        callbacks.append(Patience(settings, settings.patience))
    if progress is not None:
        callbacks.append(
            _StepProgress(progress, epochs=settings.epochs, steps_per_epoch=len(batches))
        )
    with quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=settings.epochs,
            accelerator=accelerator,
            devices=rank.local_world_size,
            num_nodes=rank.machines,
            strategy="ddp_find_unused_parameters_true" if rank.world_size > 1 else "auto",
            use_distributed_sampler=False,  # batches are shared out by BalancedBatches
            logger=logger or False,
            log_every_n_steps=min(50, len(batches)),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,  # validation follows the epoch's rows
            gradient_clip_val=settings.gradient_limit,
            default_root_dir=run.path,
            callbacks=callbacks,
        )
        try:
            trainer.fit(
                learner,
                training_loader(training, settings, batches),
                ckpt_path=run.checkpoint if resume else None,
                weights_only=True,
            )
        except SystemExit as stop:
            # Lightning turns Ctrl-C into the end of the process; that is for callers to decide.
            raise KeyboardInterrupt from stop
    return learner.exported.cpu().eval()


class _StepProgress(lightning.Callback):
    """Reports each step of a training.

    Args:
        progress: as in `fit`.
        epochs: number of epochs of the entire training.
        steps_per_epoch: number of steps per epoch.
    """

    def __init__(
        self, progress: Callable[[str, int, int], None], *, epochs: int, steps_per_epoch: int
    ) -> None:
        self._progress = progress
        self._epochs = epochs
        self._steps = epochs * steps_per_epoch

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,  # noqa: ARG002
        outputs: object,  # noqa: ARG002
        batch: object,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Report the epoch and the number of completed steps."""
        epoch = f"epoch {trainer.current_epoch + 1} of {self._epochs}"
        self._progress(epoch, trainer.global_step, self._steps)


def _batches(
    training: ScanSource, settings: TrainingConfiguration, rank: ProcessRank
) -> BalancedBatches:
    return BalancedBatches(
        training.positives,
        batch_size=settings.batch_size,
        seed=settings.seed,
        steps=settings.steps_per_epoch,
        rank=rank.rank,
        world_size=rank.world_size,
    )


def _stage_loader(
    training: ScanSource, settings: TrainingConfiguration, batches: BalancedBatches
) -> Callable[[int], Any]:
    """A loader of some samples of an epoch, augmented as in training."""

    def loader(epoch: int) -> Any:
        draws = batches.draws(epoch)[:_STANDARDISED_ON]
        return training_loader(
            training,
            settings,
            [
                draws[first : first + settings.batch_size]
                for first in range(0, len(draws), settings.batch_size)
            ],
            persistent=False,
        )

    return loader
