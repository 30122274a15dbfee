"""From samples to batches: balanced epochs, augmentation, preprocessing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from bonescint.prepare import Preprocessing, prepare
from bonescint.scan import ParameterError
from bonescint.train.augment import augmented
from bonescint.train.configuration import TrainingConfiguration
from bonescint.train.findings import FINDINGS
from bonescint.train.networks import reduction_of
from bonescint.train.sample import (
    JoinedScans,
    ScanSource,
    TrainingSample,
    finding_cells,
    lesion_cells,
)
from bonescint.train.transplant import transplanted


@dataclass(frozen=True, slots=True)
class SampleDraw:
    """One sample of one epoch, and how often it came before; with the seed it fixes all changes."""

    epoch: int
    index: int
    turn: int = 0


class TrainingBatch(NamedTuple):
    """Samples that the network learns from in one step.

    Attributes:
        composites: float32 (N, 1, rows, columns) in [0, 1].
        labels: int64 (N,), 1 for metastatic bone disease.
        cells: float32 (N, map rows, map columns), 1 where a cell holds a metastasis.
        known: float32 (N,), 1 where the cells are known.
        findings: float32 (N, kinds, map rows, map columns), 1 where a cell shows a finding of
            that kind; without any kind if findings are not learnt.
        named: float32 (N,), 1 where the findings are known.
    """

    composites: Tensor
    labels: Tensor
    cells: Tensor
    known: Tensor
    findings: Tensor
    named: Tensor


class BalancedBatches(Sampler[list[SampleDraw]]):
    """All positive samples and as many negative ones, drawn afresh each epoch.

    As Ibrahim et al. 2023: an epoch holds every positive scan, and the same number of
    negative ones chosen at random (all of them, and some twice, if they are fewer).

    Args:
        positives: the reference standard of every sample.
        batch_size: samples a batch; the last one may be smaller.
        seed: with the epoch, fixes the draw.
        steps: batches of an epoch: it repeats the same draw in another order, or ends before the
            draw does; `None` for one pass.
        rank: rank of this process among those that train together.
        world_size: number of those; each takes its share of every batch.

    Raises:
        ParameterError: only one class, or batches that cannot be shared.

    Examples:
        >>> batches = BalancedBatches([True, False, False, False], batch_size=2, seed=1)
        >>> [len(batch) for batch in batches]
        [2]
    """

    def __init__(
        self,
        positives: Sequence[bool],
        *,
        batch_size: int,
        seed: int,
        steps: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        labels = np.asarray(positives, dtype=bool)
        self._positive = np.flatnonzero(labels)
        self._negative = np.flatnonzero(~labels)
        if not self._positive.size or not self._negative.size:
            raise ParameterError(
                "positives",
                "BalancedBatches",
                "of both classes",
                f"{self._positive.size} positive, {self._negative.size} negative",
            )
        if batch_size % world_size:
            requirement = f"a multiple of the {world_size} processes that train together"
            raise ParameterError("batch_size", "BalancedBatches", requirement, batch_size)
        self._batch_size = batch_size
        self._seed = seed
        self._steps = steps
        self._rank, self._world_size = rank, world_size
        self._epoch = 0
        self._resumed: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        """Batches of an epoch."""
        if self._steps is not None:
            return self._steps
        return -(-2 * self._positive.size // self._batch_size)

    @property
    def sampler(self) -> BalancedBatches:
        """This object: Lightning calls `set_epoch` only on the sampler of a batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration (Lightning calls this)."""
        self._epoch = epoch

    def resume_at(self, step: int) -> None:
        """Begin at a step counted over all epochs."""
        epoch, batch = divmod(step, len(self))
        self._epoch = epoch
        self._resumed = (epoch, batch)

    def draws(self, epoch: int) -> list[SampleDraw]:
        """The draws of an epoch in their order, for all processes together."""
        rng = np.random.default_rng([self._seed, epoch])
        wanted = self._positive.size
        negatives: list[int] = []
        while len(negatives) < wanted:
            negatives += rng.permutation(self._negative)[: wanted - len(negatives)].tolist()
        chosen = np.concatenate([self._positive, negatives])
        length = chosen.size if self._steps is None else self._steps * self._batch_size
        if self._steps is None and length % self._world_size:
            length += self._world_size - length % self._world_size  # so that each has its share
        before: Counter[int] = Counter()
        drawn = []
        for _ in range(-(-length // chosen.size)):
            for index in rng.permutation(chosen).tolist():
                drawn.append(SampleDraw(epoch, index, before[index]))
                before[index] += 1
        return drawn[:length]

    def __iter__(self) -> Iterator[list[SampleDraw]]:
        """The batches of the chosen epoch, from where it was resumed."""
        draws = self.draws(self._epoch)
        first = self._resumed[1] if self._resumed[0] == self._epoch else 0
        for number in range(first, len(self)):
            batch = draws[number * self._batch_size : (number + 1) * self._batch_size]
            yield batch[self._rank :: self._world_size]


class TrainingScans(Dataset[TrainingBatch]):
    """Augmented, prepared samples by draw.

    Args:
        source: gives the samples.
        settings: preprocessing, stages, augmentations, seed.
    """

    def __init__(self, source: ScanSource, settings: TrainingConfiguration) -> None:
        self._source = source
        self._settings = settings
        self._hosts = np.flatnonzero(~np.asarray(source.positives, dtype=bool))
        if isinstance(source, JoinedScans):
            self._hosts = np.array(source.hosts)

    def __getitem__(self, draw: SampleDraw) -> TrainingBatch:
        """A batch of one."""
        settings = self._settings
        rng = np.random.default_rng([settings.seed, draw.epoch, draw.index, draw.turn])
        preprocessing = resized(settings.preprocessing, settings.rows_of_epoch(draw.epoch))
        sample = augmented(self._drawn(draw, rng), settings.scan_augmentations, rng)
        prepared = prepare(sample.scan, preprocessing)
        side = reduction_of(settings.network)
        rows, columns = preprocessing.rows // side, 2 * preprocessing.columns // side
        cells = lesion_cells(sample, prepared, rows=rows, columns=columns)
        kinds, findings = 0, None
        if settings.finding_weight > 0:
            kinds = len(FINDINGS)
            findings = finding_cells(sample, prepared, rows=rows, columns=columns)
        known, named = cells is not None, findings is not None
        targets = np.zeros((1 + kinds, rows, columns), dtype=bool)
        if cells is not None:
            targets[0] = cells
        if findings is not None:
            targets[1:] = findings
        composite, targets = settings.composite_change(prepared.composite, targets, rng)
        return TrainingBatch(
            composites=torch.from_numpy(composite.copy())[None],  # an unchanged one is read-only
            labels=torch.tensor([int(sample.positive)]),
            cells=torch.from_numpy(targets[:1].astype(np.float32)),
            known=torch.tensor([float(known)]),
            findings=torch.from_numpy(targets[1:].astype(np.float32))[None],
            named=torch.tensor([float(named)]),
        )

    def _drawn(self, draw: SampleDraw, rng: np.random.Generator) -> TrainingSample:
        """The drawn sample, or another patient's scan with its metastases."""
        sample = self._source.sample(draw.index)
        share = self._settings.transplant_share
        if not share or not sample.positive or rng.random() >= share:
            return sample
        host = self._source.sample(int(rng.choice(self._hosts)))
        return transplanted(sample, host, rng)


@dataclass(frozen=True, slots=True, eq=False)
class PlainScans(Dataset[TrainingBatch]):
    """Prepared samples without augmentation, by number, without targets for their cells.

    Attributes:
        source: gives the samples.
        preprocessing: preprocessing of each sample.
    """

    source: ScanSource
    preprocessing: Preprocessing

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.source)

    def __getitem__(self, index: int) -> TrainingBatch:
        """A batch of one."""
        sample = self.source.sample(index)
        prepared = prepare(sample.scan, self.preprocessing)
        return TrainingBatch(
            composites=torch.from_numpy(prepared.composite.copy())[None],
            labels=torch.tensor([int(sample.positive)]),
            cells=torch.zeros(1, 1, 1),
            known=torch.zeros(1),
            findings=torch.zeros(1, 1, 1, 1),
            named=torch.zeros(1),
        )


def joined(batches: list[TrainingBatch]) -> TrainingBatch:
    """Stack batches of one into one batch."""
    return TrainingBatch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


def resized(preprocessing: Preprocessing, rows: int) -> Preprocessing:
    """The same preprocessing for a square composite of `rows` rows.

    Examples:
        >>> from bonescint.prepare import preprocessing_named
        >>> small = resized(preprocessing_named("body-root"), 256)
        >>> small.rows, small.columns
        (256, 128)
    """
    return replace(preprocessing, rows=rows, columns=rows // 2)


def training_loader(
    source: ScanSource,
    settings: TrainingConfiguration,
    batches: BalancedBatches | Sequence[list[SampleDraw]],
    *,
    persistent: bool = True,
) -> DataLoader[TrainingBatch]:
    """A loader of augmented batches.

    Args:
        source: gives the samples.
        settings: preprocessing, stages, augmentations, seed, workers.
        batches: what to draw.
        persistent: keep the workers for the next epoch.
    """
    workers = settings.loader_workers
    return DataLoader(
        TrainingScans(source, settings),
        batch_sampler=batches,
        collate_fn=joined,
        num_workers=workers,
        persistent_workers=persistent and workers > 0,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_yield_to_training,
    )


def _yield_to_training(worker: int) -> None:  # noqa: ARG001
    """Give the training process priority: if one of its threads waits, all of them wait."""
    if hasattr(os, "nice"):  # not on Windows
        with suppress(OSError):
            os.nice(10)


def plain_loader(
    source: ScanSource, preprocessing: Preprocessing, *, batch_size: int, workers: int
) -> DataLoader[TrainingBatch]:
    """A loader of samples without augmentation, in order."""
    return DataLoader(
        PlainScans(source, preprocessing),
        batch_size=batch_size,
        collate_fn=joined,
        num_workers=workers,
        prefetch_factor=2 if workers else None,
    )
