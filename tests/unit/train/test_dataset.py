from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bonescint.prepare import prepare
from bonescint.scan import Acquisition, ParameterError, PixelUnit, Scan, View
from bonescint.train.configuration import TrainingConfiguration, TrainingStage
from bonescint.train.dataset import (
    BalancedBatches,
    PlainScans,
    SampleDraw,
    TrainingScans,
    joined,
    resized,
)
from bonescint.train.findings import FINDINGS
from bonescint.train.sample import ListedSource, TrainingSample, finding_cells, lesion_cells

labels = st.lists(st.booleans(), min_size=2, max_size=60).filter(
    lambda values: any(values) and not all(values)
)


@given(labels, st.integers(1, 9), st.integers(0, 99), st.integers(0, 5))
def test_an_epoch_has_all_positives_and_as_many_negatives(
    positives: list[bool], batch_size: int, seed: int, epoch: int
) -> None:
    batches = BalancedBatches(positives, batch_size=batch_size, seed=seed)
    batches.set_epoch(epoch)
    epoch_batches = list(batches)
    drawn = [draw for batch in epoch_batches for draw in batch]
    assert len(epoch_batches) == len(batches)
    assert all(len(batch) == batch_size for batch in epoch_batches[:-1])
    assert {draw.epoch for draw in drawn} == {epoch}
    chosen_positive = sorted(draw.index for draw in drawn if positives[draw.index])
    chosen_negative = [draw.index for draw in drawn if not positives[draw.index]]
    assert chosen_positive == [n for n, positive in enumerate(positives) if positive]
    assert len(chosen_negative) == len(chosen_positive)
    if len(positives) >= 2 * len(chosen_positive):
        assert len(set(chosen_negative)) == len(chosen_negative)
    assert list(batches) == epoch_batches


def test_epochs_differ_and_in_time_every_negative_is_drawn() -> None:
    batches = BalancedBatches([True] * 4 + [False] * 12, batch_size=4, seed=1)
    epochs = [batches.draws(epoch) for epoch in range(30)]
    seen = {draw.index for draws in epochs for draw in draws}
    assert seen == set(range(16))
    assert [d.index for d in epochs[0]] != [d.index for d in epochs[1]]


def test_a_scan_that_is_drawn_again_in_an_epoch_is_changed_otherwise() -> None:
    draws = BalancedBatches([True] * 6 + [False] * 2, batch_size=4, seed=1).draws(0)
    assert len(draws) == len(set(draws)) == 12


@given(st.integers(0, 20))
def test_resuming_gives_what_was_left(step: int) -> None:
    positives = [True] * 5 + [False] * 9
    whole = BalancedBatches(positives, batch_size=3, seed=2)
    resumed = BalancedBatches(positives, batch_size=3, seed=2)
    resumed.resume_at(step)
    epoch, batch = divmod(step, len(whole))
    whole.set_epoch(epoch)
    assert list(resumed) == list(whole)[batch:]
    whole.set_epoch(epoch + 1)
    resumed.set_epoch(epoch + 1)
    assert list(resumed) == list(whole)


@pytest.mark.parametrize("positives", [[], [True], [False, False]])
def test_one_class_is_refused(positives: list[bool]) -> None:
    with pytest.raises(ParameterError, match="both classes"):
        BalancedBatches(positives, batch_size=2, seed=1)


def test_a_draw_is_the_same_each_time_and_another_in_another_epoch(
    source: ListedSource, settings: TrainingConfiguration
) -> None:
    scans = TrainingScans(source, settings)
    one, two, later = (scans[SampleDraw(e, 3)] for e in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one.composites, later.composites)
    batch = joined([one, later])
    assert tuple(batch.composites.shape) == (2, 1, 64, 64)
    assert tuple(batch.cells.shape) == (2, 4, 4)
    assert 0 <= float(batch.composites.min()) <= float(batch.composites.max()) <= 1


def test_findings_are_looked_for_only_where_they_are_learnt(
    source: ListedSource, settings: TrainingConfiguration
) -> None:
    assert tuple(TrainingScans(source, settings)[SampleDraw(0, 3)].findings.shape) == (1, 0, 4, 4)
    named = TrainingScans(source, replace(settings, finding_weight=0.5))[SampleDraw(0, 3)]
    assert tuple(named.findings.shape) == (1, len(FINDINGS), 4, 4)
    assert float(named.named) == 1
    assert torch.equal(named.findings.amax(dim=1), named.cells)


def test_plain_scans_are_the_recipe(source: ListedSource, settings: TrainingConfiguration) -> None:
    plain = PlainScans(source, settings.preprocessing)
    expected = prepare(source.sample(2).scan, settings.preprocessing).composite
    np.testing.assert_array_equal(plain[2].composites[0].numpy(), expected)
    assert len(plain) == len(source)


def test_cells_lie_where_the_composite_is_hot(
    source: ListedSource, settings: TrainingConfiguration
) -> None:
    sample = source.sample(0)
    prepared = prepare(sample.scan, resized(settings.preprocessing, 128))
    cells = lesion_cells(sample, prepared, rows=8, columns=8)
    assert cells is not None
    brightest = prepared.composite[0].reshape(8, 16, 8, 16).max(axis=(1, 3))
    assert cells.any()
    assert brightest[cells].min() > 0.9
    unknown = TrainingSample(scan=sample.scan, positive=True)
    assert lesion_cells(unknown, prepared, rows=8, columns=8) is None
    assert finding_cells(unknown, prepared, rows=8, columns=8) is None


@pytest.mark.parametrize("scale", [0.5, 1, 3])
def test_cells_name_what_they_show_by_the_rule_of_the_lesions(
    settings: TrainingConfiguration, scale: float
) -> None:
    rng = np.random.default_rng(3)
    shape = (round(128 * scale), round(64 * scale))
    counts = np.zeros(shape)
    counts[round(8 * scale) : round(120 * scale), round(14 * scale) : round(50 * scale)] = 5
    numbers = {view: np.zeros(shape, np.uint8) for view in View}
    for view in View:
        for number in (1, 4, 4, 7):
            row, column = rng.uniform((20, 16), (100, 40)) * scale
            size = rng.uniform(3, 9, size=2) * scale
            box = np.s_[round(row) : round(row + size[0]), round(column) : round(column + size[1])]
            numbers[view][box] = number
    scan = Scan(
        anterior=counts,
        posterior=counts,
        pixel_spacing_mm=None,
        unit=PixelUnit.COUNTS,
        scan_id="s",
        acquisition=Acquisition(modality="NM"),
    )
    sample = TrainingSample(scan=scan, positive=True, findings=numbers)
    prepared = prepare(scan, resized(settings.preprocessing, 128))
    found = finding_cells(sample, prepared, rows=8, columns=8)
    assert found is not None
    assert set(np.flatnonzero(found.any(axis=(1, 2)))) == {0, 3, 6}
    for kind in (1, 4, 7):
        alone = {view: number == kind for view, number in numbers.items()}
        one = TrainingSample(scan=scan, positive=True, masks=alone)
        expected = lesion_cells(one, prepared, rows=8, columns=8)
        # One resamples, the other counts pixels: a part that is covered by 0.3 may go either way.
        assert np.count_nonzero(found[kind - 1] != expected) <= 2


def test_stages_follow_each_other() -> None:
    stages = (TrainingStage(epochs=2, rows=128), TrainingStage(epochs=1, rows=256))
    settings = TrainingConfiguration(stages=stages)
    assert [settings.rows_of_epoch(epoch) for epoch in range(4)] == [128, 128, 256, 256]
    assert settings.epochs == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 0),
        ("stages", ()),
        ("head_learning_rate", 0.0),
        ("frozen_blocks", 6),
        ("loader_workers", -1),
    ],
)
def test_settings_that_cannot_be_are_refused(field: str, value: object) -> None:
    with pytest.raises(ParameterError, match=field):
        TrainingConfiguration(**{field: value})  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="rows"):
        TrainingStage(epochs=1, rows=100)
