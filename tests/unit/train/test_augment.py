from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bonescint.scan import Acquisition, PixelUnit, Scan, View
from bonescint.train import read_configuration
from bonescint.train.appearance import ArchivePicture, UptakeVariation
from bonescint.train.augment import (
    SCAN_AUGMENTATIONS,
    Augmentation,
    Blur,
    CompositeChange,
    Crop,
    DropView,
    Pose,
    Thinning,
    augmented,
    described,
)
from bonescint.train.sample import ListedSource, TrainingSample

ALWAYS: tuple[Augmentation, ...] = tuple(
    replace(change, probability=1.0)  # type: ignore[type-var]
    for change in (*SCAN_AUGMENTATIONS, UptakeVariation())
)
fast = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)


@fast
@given(seed=st.integers(0, 2**32), number=st.integers(0, 17), change=st.sampled_from(ALWAYS))
def test_whatever_is_drawn_the_sample_stays_valid(
    source: ListedSource, seed: int, number: int, change: Augmentation
) -> None:
    sample = source.sample(number)
    changed = change(sample, np.random.default_rng(seed))
    again = change(sample, np.random.default_rng(seed))
    assert changed.positive is sample.positive
    for view, image in changed.scan.images():
        assert np.isfinite(image).all()
        assert image.min() >= 0
        np.testing.assert_array_equal(image, again.scan.view(view))
        mask = changed.mask(view)
        assert mask is not None
        assert mask.shape == image.shape
    if sample.positive:
        assert changed.lesion_pixels > 0


def test_all_of_them_in_a_row(source: ListedSource) -> None:
    rng = np.random.default_rng(1)
    for number in range(len(source)):
        changed = augmented(source.sample(number), ALWAYS, rng)
        assert changed.scan.unit is PixelUnit.INTENSITY
        assert changed.scan.pixel_spacing_mm is None


def test_thinning_keeps_poisson_statistics(source: ListedSource) -> None:
    sample = source.sample(1)
    thinned = Thinning(probability=1, kept=(0.5, 0.5))(sample, np.random.default_rng(1))
    before, after = sample.scan.total(View.ANTERIOR), thinned.scan.total(View.ANTERIOR)
    assert abs(after - before / 2) < 5 * np.sqrt(before / 4)
    image = thinned.scan.anterior
    assert image is not None
    assert np.array_equal(image, np.rint(image))
    inside = image[20:100, 20:44]
    assert inside.var() == pytest.approx(inside.mean(), rel=0.15)


def test_thinning_draws_each_pixel_from_its_own_counts(source: ListedSource) -> None:
    share = 0.3
    numbers = np.array([0, 1, 7, 40, 500, 65_600, 70_000], dtype=np.float32)
    counts = np.random.default_rng(2).choice(numbers, size=(256, 128))
    scan = source.sample(0).scan.with_views(anterior=counts, posterior=None, step="chosen")
    change = Thinning(probability=1, kept=(share, share))
    thinned = change(
        TrainingSample(scan=scan, positive=False), np.random.default_rng(3)
    ).scan.anterior
    assert thinned is not None
    for number in numbers:
        kept = thinned[counts == number].astype(np.float64)
        variance = number * share * (1 - share)
        assert abs(kept.mean() - share * number) <= 5 * np.sqrt(variance / kept.size)
        assert kept.var() == pytest.approx(variance, rel=0.15)
        assert kept.max(initial=0) <= number


def test_thinning_leaves_pictures_alone(source: ListedSource) -> None:
    picture = ArchivePicture(probability=1)(source.sample(0), np.random.default_rng(1))
    assert Thinning(probability=1)(picture, np.random.default_rng(1)) is picture


def test_blur_keeps_the_counts(source: ListedSource) -> None:
    sample = source.sample(0)
    blurred = Blur(probability=1)(sample, np.random.default_rng(1))
    assert blurred.scan.total(View.POSTERIOR) == pytest.approx(
        sample.scan.total(View.POSTERIOR), rel=0.01
    )


def test_uptake_varies_smoothly_and_alike_in_both_views() -> None:
    flat = np.full((512, 256), 50.0)
    scan = Scan(
        anterior=flat, posterior=flat, scan_id="s", pixel_spacing_mm=None,
        unit=PixelUnit.COUNTS, acquisition=Acquisition(modality="NM"),
    )  # fmt: skip
    change = UptakeVariation(
        probability=1, spread=(0.3, 0.3), length_share=(0.05, 0.05), own_share=0.2
    )
    shared = []
    for seed in range(20):
        varied = change(TrainingSample(scan=scan, positive=False), np.random.default_rng(seed)).scan
        assert varied.anterior is not None
        assert varied.posterior is not None
        anterior, posterior = (np.log(view / 50) for view in (varied.anterior, varied.posterior))
        assert anterior.std() == pytest.approx(0.3, rel=0.2)
        # A Gaussian field of standard deviation s and length l has a gradient of s / (l sqrt 2).
        steepest = np.abs(np.diff(anterior, axis=0)).mean()
        expected = 0.3 / (0.05 * 512 * np.sqrt(2)) * np.sqrt(2 / np.pi)
        assert steepest == pytest.approx(expected, rel=0.25)
        shared.append(np.corrcoef(anterior.ravel(), posterior[:, ::-1].ravel())[0, 1])
    assert np.mean(shared) == pytest.approx(0.8, abs=0.1)


def test_masks_move_with_the_pixels(source: ListedSource) -> None:
    for seed in range(10):
        sample = augmented(
            source.sample(0),
            [Pose(probability=1), Crop(probability=1)],
            np.random.default_rng(seed),
        )
        for view, image in sample.scan.images():
            mask = sample.mask(view)
            assert mask is not None
            assert image[mask].mean() > 5 * image[~mask].mean()


def test_findings_move_as_the_masks_do(source: ListedSource) -> None:
    for seed in range(10):
        changes = [replace(change, probability=1) for change in SCAN_AUGMENTATIONS]
        sample = augmented(source.sample(3), changes, np.random.default_rng(seed))
        assert sample.findings is not None
        assert sample.masks is not None
        assert set(sample.findings) == set(sample.masks) == set(sample.scan.views)
        for view, mask in sample.masks.items():
            assert sample.findings[view].shape == sample.scan.shape
            assert np.array_equal(sample.findings[view], mask * np.uint8(1))


def test_a_picture_has_eight_bits(source: ListedSource) -> None:
    change = ArchivePicture(probability=1)
    for seed in range(8):
        picture = change(source.sample(0), np.random.default_rng(seed))
        for _, image in picture.scan.images():
            assert image.max() <= 255
            assert np.array_equal(image, np.rint(image))


def test_a_view_that_alone_shows_disease_is_kept(source: ListedSource) -> None:
    sample = source.sample(0)
    assert sample.masks is not None
    front_only = TrainingSample(
        scan=sample.scan,
        positive=True,
        masks={
            View.ANTERIOR: sample.masks[View.ANTERIOR],
            View.POSTERIOR: np.zeros_like(sample.masks[View.POSTERIOR]),
        },
    )
    unknown = TrainingSample(scan=sample.scan, positive=True, masks=None)
    change = DropView(probability=1)
    for seed in range(20):
        kept = change(front_only, np.random.default_rng(seed))
        assert View.ANTERIOR in kept.scan.views
        assert change(unknown, np.random.default_rng(seed)) is unknown
    dropped = {change(source.sample(1), np.random.default_rng(s)).scan.views for s in range(20)}
    assert dropped == {(View.ANTERIOR,), (View.POSTERIOR,)}


def test_the_papers_change_is_a_mirror_of_the_composite() -> None:
    composite = np.arange(16, dtype=np.float32).reshape(1, 2, 8) / 16
    cells = np.arange(8).reshape(2, 4) > 4
    seen = set()
    for seed in range(10):
        mirrored, moved = read_configuration("ibrahim2023").composite_change(
            composite, cells, np.random.default_rng(seed)
        )
        as_it_was = np.array_equal(mirrored, composite)
        assert as_it_was or np.array_equal(mirrored, composite[..., ::-1])
        assert np.array_equal(moved, cells if as_it_was else cells[:, ::-1])
        seen.add(as_it_was)
    assert seen == {True, False}


def test_mirroring_the_patient_keeps_the_sides_of_the_views() -> None:
    change = CompositeChange(swap=0, mirror_patient=1, gain=(1, 1), gamma=(1, 1))
    composite = np.arange(8, dtype=np.float32).reshape(1, 1, 8) / 8
    cells = np.array([[True, False, False, True]])
    mirrored, moved = change(composite, cells, np.random.default_rng(1))
    assert moved.tolist() == [[False, True, True, False]]
    assert (8 * mirrored).ravel().tolist() == [3, 2, 1, 0, 7, 6, 5, 4]


def test_descriptions_are_json_ready() -> None:
    assert described(Pose())["kind"] == "pose"
    assert described(CompositeChange())["swap"] == 0.5
