"""Near-duplicates among many scans: what a cohort has in common is no likeness."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bonescint.cohort.near_duplicates import (
    _BODY_THRESHOLD,
    COLUMNS,
    LEAST_SCORE,
    ROWS,
    _common,
    detail,
    near_pairs,
    own_part,
    signature,
)
from bonescint.prepare import BodyFrame
from bonescint.scan import Acquisition, PixelUnit, Scan, View

LENGTH = 96 * 48


def unit(vector: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def cohort(count: int, *, common: float, seed: int = 3) -> list[dict[View, NDArray[np.float32]]]:
    """Signatures that share a part: any two correlate by about common^2 / (1 + common^2)."""
    rng = np.random.default_rng(seed)
    shared = unit(rng.standard_normal(LENGTH))
    return [
        {view: unit(unit(rng.standard_normal(LENGTH)) + common * shared) for view in View}
        for _ in range(count)
    ]


def test_what_a_cohort_of_fifty_has_in_common_is_subtracted() -> None:
    """With a common part of 1.7 any two correlate by 0.74, above the bound of a small cohort."""
    scans = cohort(50, common=1.7)
    pairs, bound = near_pairs(scans)
    assert pairs == ()
    assert bound == LEAST_SCORE
    few, _ = near_pairs(scans[:49])
    assert len(few) == 49 * 48 // 2
    assert few[0].score == pytest.approx(1.7**2 / (1 + 1.7**2), abs=0.08)


def test_a_copy_is_found_among_fifty_alike() -> None:
    scans = cohort(59, common=1.7)
    rng = np.random.default_rng(9)
    copy = {v: unit(one + 0.1 * unit(rng.standard_normal(LENGTH))) for v, one in scans[20].items()}
    pairs, _ = near_pairs([*scans, copy])
    assert [(pair.first, pair.second) for pair in pairs] == [(20, 59)]
    # Of what is the scan's own, noise of 0.1 leaves about 1 / sqrt(1 + 0.01 * (1 + 1.7^2)).
    assert pairs[0].score == pytest.approx(1 / np.sqrt(1 + 0.01 * (1 + 1.7**2)), abs=0.01)


def test_the_bound_is_the_median_of_all_pairs_and_eight_of_their_spreads() -> None:
    """Two patients behind all scans: half of the pairs correlate, so the bound rises."""
    rng = np.random.default_rng(4)
    parts = [unit(rng.standard_normal(LENGTH)) for _ in range(12)]
    scans = []
    for _ in range(60):
        mixed = sum((rng.standard_normal() * part for part in parts), np.zeros(LENGTH))
        own = unit(np.asarray(mixed + 0.01 * rng.standard_normal(LENGTH)))
        scans.append({View.ANTERIOR: own})
    _, bound = near_pairs(scans)
    whole = np.stack([one[View.ANTERIOR] for one in scans]).astype(float)
    whole -= whole.mean(axis=0)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    scores = (whole @ whole.T)[~np.eye(60, dtype=bool)]
    spread = 1.4826 * np.median(np.abs(scores - np.median(scores)))
    assert bound == pytest.approx(np.median(scores) + 8 * spread, abs=1e-4)
    assert bound > LEAST_SCORE


def test_views_that_only_one_scan_has_say_nothing() -> None:
    scans = cohort(3, common=0.0)
    scans[1] = {View.ANTERIOR: scans[0][View.ANTERIOR]}
    scans[2] = {View.POSTERIOR: scans[2][View.POSTERIOR]}
    pairs, bound = near_pairs(scans)
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1)]
    assert pairs[0].score == pytest.approx(1.0, abs=1e-5)
    assert bound == LEAST_SCORE
    assert near_pairs([]) == ((), LEAST_SCORE)


def waves(half_periods: int) -> NDArray[np.float64]:
    """Across 48 columns, with a crest at each edge: mirrored there, they go on as they are."""
    row = np.cos(np.pi * half_periods * (np.arange(48) + 0.5) / 48)
    return np.tile(row, (96, 1))


WAVES = waves(12)


def passed(half_periods: int) -> float:
    """What two Gaussians of 0.7 and 3 cells leave of a wave's height, by their transforms."""
    angular = np.pi * half_periods / 48
    fine, coarse = (np.exp(-((sigma * angular) ** 2) / 2) for sigma in (0.7, 3.0))
    return float(fine - coarse)


def test_the_detail_of_waves_is_the_waves_as_the_band_passes_them() -> None:
    """A wave with a crest at each edge keeps its shape in every symmetric filter."""
    level = 9 + 2 * waves(12) + 1.5 * waves(4)
    found = detail((level**2).astype(np.float32))
    assert found.dtype == np.float32
    expected = 2 * passed(12) * waves(12) + 1.5 * passed(4) * waves(4)
    assert found == pytest.approx(unit(expected).ravel(), abs=2e-4)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    assert float(found.mean()) == pytest.approx(0, abs=1e-6)


def test_scans_are_framed_as_models_frame_them() -> None:
    assert (ROWS, COLUMNS) == (96, 48)
    assert BodyFrame().threshold == _BODY_THRESHOLD


@pytest.mark.parametrize("factor", [0.01, 37.0])
def test_the_detail_is_the_same_at_any_scale(factor: float) -> None:
    image = ((5 + 2 * WAVES) ** 2).astype(np.float32)
    assert detail(image * np.float32(factor)) == pytest.approx(detail(image), abs=1e-4)


def test_a_hot_spot_is_cut_at_the_99th_percentile() -> None:
    image = ((5 + 2 * WAVES) ** 2).astype(np.float32)
    hot = image.copy()
    hot[40:44, 22:26] = 400
    warm = image.copy()
    warm[40:44, 22:26] = 49  # the crests, of which there are more than 1 %
    assert detail(hot) == pytest.approx(detail(warm), abs=1e-3)


@pytest.mark.parametrize("level", [0.0, 7.0])
def test_a_view_that_shows_nothing_has_no_detail(level: float) -> None:
    image = np.full((96, 48), level, np.float32)
    assert not detail(image).any()
    for view in View:
        assert not own_part(detail(image), view).any()


def test_what_rounding_leaves_is_no_detail() -> None:
    image = np.full((96, 48), 1000, np.float32)
    image[50, 20] += 0.002
    assert not detail(image).any()


@pytest.mark.parametrize("view", View)
def test_what_is_a_patients_own_is_what_the_basis_cannot_explain(view: View) -> None:
    mean, basis = _common(view)
    assert (mean.shape, basis.shape) == ((LENGTH,), (64, LENGTH))
    assert basis @ basis.T == pytest.approx(np.eye(64), abs=1e-5)
    assert _common(view)[1] is basis, "it is read once"
    found = unit(np.random.default_rng(5).standard_normal(LENGTH) + 240 * basis[3])
    rest = (found - mean).astype(float)
    exact = basis.T.astype(float)
    explained = exact @ np.linalg.lstsq(exact, rest, rcond=None)[0]
    own = own_part(found, view)
    assert own == pytest.approx(unit(rest - explained), abs=1e-4)
    assert basis @ own == pytest.approx(np.zeros(64), abs=1e-4)


def test_a_signature_is_of_the_views_that_are_there() -> None:
    image = ((5 + 2 * WAVES) ** 2).astype(np.float32)
    scan = Scan(anterior=None, posterior=image, pixel_spacing_mm=None, unit=PixelUnit.COUNTS,
                scan_id="bs-1", acquisition=Acquisition(modality="NM"))  # fmt: skip
    found = signature(scan)
    assert list(found) == [View.POSTERIOR]
    expected = own_part(detail(image), View.POSTERIOR)
    assert np.array_equal(found[View.POSTERIOR], expected)


def spot(place: int) -> dict[View, NDArray[np.float32]]:
    return {View.ANTERIOR: np.eye(1, LENGTH, place, dtype=np.float32)[0]}


def test_fifty_of_which_nothing_is_their_own_are_no_pairs() -> None:
    assert near_pairs([spot(3)] * 50) == ((), LEAST_SCORE)
    pairs, _ = near_pairs([spot(3)] * 49)
    assert len(pairs) == 49 * 48 // 2


def test_pairs_far_apart_in_the_list_are_found() -> None:
    """Beyond one block of 512 scans: each alike with the one 600 places on."""
    scans = [spot(n % 600) for n in range(603)]
    pairs, _ = near_pairs(scans)
    assert sorted((pair.first, pair.second) for pair in pairs) == [(0, 600), (1, 601), (2, 602)]
    assert pairs[0].score == pytest.approx(1, abs=0.01)


def test_pairs_come_by_their_scores() -> None:
    def near(place: int, share: float) -> dict[View, NDArray[np.float32]]:
        parts = share * spot(place)[View.ANTERIOR] + np.sqrt(1 - share**2) * spot(99)[View.ANTERIOR]
        return {View.ANTERIOR: unit(parts)}

    scans = [spot(1), spot(2), spot(3), near(1, 0.8), near(3, 0.95)]
    pairs, _ = near_pairs(scans)
    found = [(pair.first, pair.second, pair.score) for pair in pairs]
    assert found == [(2, 4, pytest.approx(0.95)), (0, 3, pytest.approx(0.8))]
