"""Metastases moved onto scans without any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bonescint.prepare import BodyFrame
from bonescint.scan import Acquisition, PixelUnit, Scan, View
from bonescint.train.configuration import TrainingConfiguration
from bonescint.train.dataset import BalancedBatches, TrainingScans
from bonescint.train.sample import ListedSource, TrainingSample
from bonescint.train.transplant import _best_shift, _Lesion, transplanted

ROWS, COLUMNS = 512, 160


def body(*, counts: float, top: int = 20, left: int = 40, tall: int = 440) -> NDArray[np.float32]:
    """A flat body with a bright spine, which tells heights and sides."""
    image = np.zeros((ROWS, COLUMNS), dtype=np.float32)
    width = tall // 5
    image[top : top + tall, left : left + width] = counts
    middle = left + width // 2
    for step in range(12):
        row = top + tall // 10 + step * tall // 30
        image[row : row + tall // 60, middle - 4 : middle + 4] = 2 * counts
    return image


def spot(place: tuple[float, float], height: float, sigma: float = 3.0) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    square = (rows - place[0]) ** 2 + (columns - place[1]) ** 2
    return np.asarray(height * np.exp(-square / 2 / sigma**2), dtype=np.float32)


def sample_of(
    plain: NDArray[np.float32], *spots: NDArray[np.float32], name: str = "s"
) -> TrainingSample:
    """Both views of a patient: the posterior one is the mirror image."""
    image = plain + sum(spots)
    scan = Scan(
        anterior=image,
        posterior=image[:, ::-1],
        pixel_spacing_mm=None,
        unit=PixelUnit.COUNTS,
        scan_id=name,
        acquisition=Acquisition(modality="NM"),
    )
    if not spots:
        return TrainingSample(scan=scan, positive=False)
    mask = sum(spots) > 0.3 * max(float(one.max()) for one in spots)
    return TrainingSample(
        scan=scan, positive=True, masks={View.ANTERIOR: mask, View.POSTERIOR: mask[:, ::-1]}
    )


def added(host: TrainingSample, new: TrainingSample, view: View) -> NDArray[np.float32]:
    before, after = host.scan.view(view), new.scan.view(view)
    assert before is not None
    assert after is not None
    return after - before


@pytest.mark.parametrize("seed", range(6))  # some of which ask for more lesions than there are
def test_a_lesion_is_added_where_it_was_in_both_views(seed: int) -> None:
    """The same body: what is added is the lesion itself, which is known here."""
    plain = body(counts=30)
    lesion = spot((150, 60), 90)
    host = sample_of(plain, name="host")
    new = transplanted(sample_of(plain, lesion), host, np.random.default_rng(seed))
    assert new.positive
    assert new.scan.scan_id == "host"
    assert new.scan.history[-1] == "metastases transplanted"
    for view, wanted in ((View.ANTERIOR, lesion), (View.POSTERIOR, lesion[:, ::-1])):
        found = added(host, new, view)
        assert float(found.sum()) == pytest.approx(float(wanted.sum()), rel=0.1)
        np.testing.assert_allclose(found, wanted, atol=9)
        mask = new.mask(view)
        assert mask is not None
        np.testing.assert_array_equal(mask, wanted > 27)


def test_it_follows_the_body_and_its_counts() -> None:
    """A host of another size, place and activity: same place of the body, same contrast."""
    donor_body = body(counts=30, top=20, left=40, tall=440)
    host_body = body(counts=60, top=60, left=30, tall=400)
    donor = sample_of(donor_body, spot((195, 66), 90))
    host = sample_of(host_body)
    new = transplanted(donor, host, np.random.default_rng(1))
    frames = [BodyFrame().extents(one.scan)[View.ANTERIOR] for one in (donor, host)]
    wanted_row = frames[1].top + (195 - frames[0].top) / frames[0].height * frames[1].height
    wanted_column = frames[1].left + (66 - frames[0].left) / frames[0].width * frames[1].width
    found = added(host, new, View.ANTERIOR)
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    assert abs(float(row) - wanted_row) <= 4
    assert abs(float(column) - wanted_column) <= 4
    assert float(found.max()) == pytest.approx(180, rel=0.15)
    other = added(host, new, View.POSTERIOR)
    np.testing.assert_allclose(other, found[:, ::-1], atol=15)


def test_of_many_lesions_a_few_are_moved() -> None:
    plain = body(counts=30)
    places = [(90, 60), (130, 90), (180, 55), (240, 100), (300, 60), (350, 95)]
    donor = sample_of(plain, *[spot(place, 90) for place in places])
    host = sample_of(plain)
    moved = []
    for seed in range(40):
        new = transplanted(donor, host, np.random.default_rng(seed))
        found = added(host, new, View.ANTERIOR)
        near = [np.s_[row - 6 : row + 7, column - 6 : column + 7] for row, column in places]
        moved.append(sum(float(found[box].max()) > 45 for box in near))
    assert min(moved) == 1
    assert max(moved) <= 4
    assert 20 <= moved.count(1) <= 35, "seven in ten have a single one"


def test_the_same_generator_gives_the_same_scan() -> None:
    donor = sample_of(body(counts=30), spot((120, 60), 90), spot((300, 90), 90))
    host = sample_of(body(counts=40))
    first, second = (transplanted(donor, host, np.random.default_rng(3)) for _ in range(2))
    for view in View:
        assert np.array_equal(added(host, first, view), added(host, second, view))


def test_what_cannot_be_moved_stays() -> None:
    plain = body(counts=30)
    donor, host = sample_of(plain, spot((150, 60), 90)), sample_of(plain)
    rng = np.random.default_rng(1)
    image = donor.scan.anterior
    assert image is not None
    one_view = donor.changed({View.ANTERIOR: image}, step="cut")
    picture = replace(donor, scan=replace(donor.scan, unit=PixelUnit.INTENSITY))
    faint = sample_of(plain, spot((150, 60), 1))
    everywhere = replace(donor, masks={view: np.ones((ROWS, COLUMNS), dtype=bool) for view in View})
    for unfit, other in (
        (one_view, host), (picture, host), (faint, host), (everywhere, host),
        (replace(donor, masks=None), host), (donor, donor),
    ):  # fmt: skip
        assert transplanted(unfit, other, rng) is unfit


def test_a_picture_may_be_the_host_and_keeps_its_highest_value() -> None:
    """The same body as an 8-bit picture, 4.5 grey levels a count: the lesion in grey levels."""
    plain, lesion = body(counts=30), spot((150, 60), 90)
    host = sample_of(plain, name="host")
    grey = {view: np.minimum(4.5 * image, 255) for view, image in host.scan.images()}
    picture = host.changed(grey, step="picture", unit=PixelUnit.INTENSITY)
    new = transplanted(sample_of(plain, lesion), picture, np.random.default_rng(1))
    assert new.positive
    assert new.scan.unit is PixelUnit.INTENSITY
    for view, wanted in ((View.ANTERIOR, lesion), (View.POSTERIOR, lesion[:, ::-1])):
        after = new.scan.view(view)
        assert after is not None
        brightest = float(grey[view].max())
        assert float(after.max()) == brightest
        np.testing.assert_allclose(after, np.minimum(grey[view] + 4.5 * wanted, brightest), atol=45)
    faint = sample_of(plain, spot((150, 60), 1))
    assert transplanted(faint, picture, np.random.default_rng(1)) is faint


def test_training_draws_them() -> None:
    """Half of the positive draws, and none without being asked."""
    plain = body(counts=30)
    samples = [sample_of(plain, spot((150, 60), 90), name="ill")] * 20
    samples += [sample_of(plain, name="well")] * 20
    source = ListedSource(tuple(samples))
    draws = BalancedBatches(source.positives, batch_size=40, seed=1).draws(0)
    moved = {}
    for share in (0.0, 0.5):
        scans = TrainingScans(source, TrainingConfiguration(transplant_share=share))
        drawn = [scans._drawn(draw, np.random.default_rng(number)) for number, draw in
                 enumerate(draws)]  # fmt: skip
        assert [sample.positive for sample in drawn] == [draw.index < 20 for draw in draws]
        moved[share] = sum(one.positive and one.scan.scan_id == "well" for one in drawn)
    assert moved[0.0] == 0
    assert 5 <= moved[0.5] <= 15


def _cut(pattern: NDArray[np.float64], top: int, left: int) -> _Lesion:
    """A lesion on bones whose square root is a pattern."""
    shape = pattern.shape
    return _Lesion(excess=np.zeros(shape, np.float32),
                   surroundings=(pattern**2).astype(np.float32), mask=np.ones(shape, bool),
                   top=top, left=left)  # fmt: skip


def _placed(pattern: NDArray[np.float64], row: int, column: int) -> NDArray[np.float32]:
    """A host with the same bones, brighter by a factor that a correlation does not see."""
    image = np.full((120, 90), 4.0, dtype=np.float32)
    height, width = pattern.shape
    image[row : row + height, column : column + width] = 2.5 * pattern**2
    return image


@pytest.mark.parametrize("down", [-10, -3, 0, 4, 10])
@pytest.mark.parametrize("across", [-6, -1, 0, 2, 6])
def test_bones_are_laid_upon_bones(down: int, across: int) -> None:
    """White noise agrees with itself in one place only: the shift is the one it was given."""
    rng = np.random.default_rng(1)
    front, back = rng.uniform(1, 9, (2, 24, 20))
    lesions = {View.ANTERIOR: _cut(front, 40, 30), View.POSTERIOR: _cut(back, 40, 40)}
    images = {
        View.ANTERIOR: _placed(front, 40 + down, 30 + across),
        View.POSTERIOR: _placed(back, 40 + down, 40 - across),  # the patient's other side
    }
    expected = {View.ANTERIOR: (down, across), View.POSTERIOR: (down, -across)}
    assert _best_shift(lesions, images) == expected
    for view in View:  # a lesion that one view alone shows
        assert _best_shift({view: lesions[view]}, images) == expected
    box = lesions[View.POSTERIOR].box(expected[View.POSTERIOR], (120, 90))
    assert box == np.s_[40 + down : 64 + down, 40 - across : 60 - across]
    assert np.array_equal(images[View.POSTERIOR][box], (2.5 * back**2).astype(np.float32))


def test_bones_at_the_edge_of_the_image_are_found_too() -> None:
    pattern = np.random.default_rng(2).uniform(1, 9, (24, 20))
    lesion = {View.ANTERIOR: _cut(pattern, 3, 2)}
    found = _best_shift(lesion, {View.ANTERIOR: _placed(pattern, 0, 0)})
    assert found[View.ANTERIOR] == (-3, -2)
    assert lesion[View.ANTERIOR].box((-3, -2), (120, 90)) == np.s_[0:24, 0:20]
    assert lesion[View.ANTERIOR].box((-4, -2), (120, 90)) is None
    assert lesion[View.ANTERIOR].box((-3, -3), (120, 90)) is None
    assert lesion[View.ANTERIOR].box((93, 68), (120, 90)) == np.s_[96:120, 70:90]
    assert lesion[View.ANTERIOR].box((94, 68), (120, 90)) is None
    assert lesion[View.ANTERIOR].box((93, 69), (120, 90)) is None


def test_of_places_that_agree_alike_the_nearest_is_taken() -> None:
    """Ribs repeat every 7 rows: moved by 5, they agree at 5, -2 and -9."""
    ribs = np.tile(3 + 2 * np.sin(2 * np.pi * np.arange(60) / 7)[:, None], (1, 20))
    host = np.full((120, 90), 4.0, dtype=np.float32)
    host[20:80, 30:50] = ribs**2
    lesion = _cut(ribs[:21], 41 - 5, 30)  # 21 rows, three ribs; rows 41 on are whole periods on
    assert _best_shift({View.ANTERIOR: lesion}, {View.ANTERIOR: host})[View.ANTERIOR][0] == -2


@pytest.mark.parametrize(
    ("place", "agreement", "moves"),
    [((8, 0), 0.90, False), ((8, 0), 0.84, True),  # 0.2 x (8 / 10)^2 = 0.128 is forgiven
     ((0, 6), 0.82, False), ((0, 6), 0.77, True)],  # 0.2 x (6 / 6)^2 = 0.2
)  # fmt: skip
def test_a_shift_must_pay_for_its_length(
    place: tuple[int, int], agreement: float, moves: bool
) -> None:
    """In place the bones agree by a known correlation, at some distance wholly."""
    rng = np.random.default_rng(3)
    shape = (8, 60) if place[0] else (60, 6)  # the two windows do not overlap
    wanted = _standardised(rng.normal(size=shape))
    other = rng.normal(size=shape)
    other = _standardised(other - (other * wanted).mean() * wanted - other.mean())
    here = agreement * wanted + np.sqrt(1 - agreement**2) * other
    host = np.full((120, 90), 36.0, dtype=np.float32)
    for pattern, (down, across) in ((here, (0, 0)), (wanted, place)):
        rows, columns = (
            slice(40 + down, 40 + down + shape[0]),
            slice(15 + across, 15 + across + shape[1]),
        )
        host[rows, columns] = (6 + pattern) ** 2
    lesion = _cut(6 + wanted, 40, 15)
    found = _best_shift({View.ANTERIOR: lesion}, {View.ANTERIOR: host})
    assert found[View.ANTERIOR] == (place if moves else (0, 0))


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values - values.mean()) / values.std())
