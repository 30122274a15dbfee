"""Near-duplicates among many scans: what a cohort has in common is no likeness."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bonescint.cohort.near import LEAST_SCORE, near_pairs
from bonescint.scan import View

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
