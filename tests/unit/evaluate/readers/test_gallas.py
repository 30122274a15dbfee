from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from bonescint.evaluate.readers import (
    CovarianceMethod,
    Generalisation,
    Reads,
    RoeMetz,
    Sensitivity,
    Weighting,
    merits,
    obuchowski_rockette,
    simulate_reads,
    u_statistics,
)
from bonescint.scan import ParameterError


def psi(above: float, below: float) -> float:
    return 1.0 if above > below else 0.5 if above == below else 0.0


Triple = tuple[int, int, int, float]


def triples(reads: Reads, modality: int) -> list[Triple]:
    """Reader, case with disease, case without, kernel."""
    return [
        (reader, int(i), int(j), psi(row[i], row[j]))
        for reader, row in enumerate(reads.ratings[modality])
        for i in np.flatnonzero(~np.isnan(row) & reads.truth)
        for j in np.flatnonzero(~np.isnan(row) & ~reads.truth)
    ]


def covariance(first: list[Triple], second: list[Triple]) -> float:
    """Product of the means, less the mean product of triples that share nothing."""
    apart = [
        x * y
        for (r, i, j, x), (s, k, m, y) in itertools.product(first, second)
        if r != s and i != k and j != m
    ]
    means = [np.mean([one[3] for one in of]) for of in (first, second)]
    return float(means[0] * means[1] - np.mean(apart))


def unbalanced() -> Reads:
    study = simulate_reads(RoeMetz(), readers=3, positives=5, negatives=6, seed=2, levels=5)
    ratings = study.ratings.copy()
    ratings[0, 0, :3] = np.nan
    ratings[1, 2, 5:] = np.where(np.arange(6) < 2, np.nan, ratings[1, 2, 5:])
    ratings[1, 1] = np.nan
    return replace(study, ratings=ratings)


@pytest.mark.parametrize("make", [unbalanced, lambda: simulate_reads(
    RoeMetz(), readers=3, positives=5, negatives=6, seed=3)])  # fmt: skip
def test_variance_is_over_triples_that_share_nothing(make) -> None:  # type: ignore[no-untyped-def]
    reads = make()
    found = u_statistics(reads, weighting=Weighting.PAIRS)
    first, second = triples(reads, 0), triples(reads, 1)
    expected = [covariance(*pair) for pair in ((first, first), (second, second), (first, second))]
    assert found.areas[0].mean.value == pytest.approx(np.mean([one[3] for one in first]))
    variance = expected[0] + expected[1] - 2 * expected[2]
    for one, value in ((found.areas[0].mean, expected[0]), (found.areas[1].mean, expected[1]),
                       (found.differences[0].difference, variance)):  # fmt: skip
        if value > 0:
            assert one.se == pytest.approx(math.sqrt(value))
        else:
            assert math.isnan(one.se)


def test_moments_by_what_triples_share() -> None:
    reads = simulate_reads(RoeMetz(), readers=3, positives=4, negatives=4, seed=4, levels=4)
    of = triples(reads, 0)
    expected = []
    for same_reader in (True, False):
        for same_i, same_j in ((True, True), (True, False), (False, True), (False, False)):
            products = [
                x * y
                for (r, i, j, x), (s, k, m, y) in itertools.product(of, of)
                if (r == s) == same_reader and (i == k) == same_i and (j == m) == same_j
            ]
            expected.append(np.mean(products))
    assert u_statistics(reads).areas[0].moments == pytest.approx(expected)


def test_a_factorial_study_is_hillis_with_unbiased_covariances() -> None:
    reads = simulate_reads(RoeMetz(), readers=5, positives=30, negatives=30, seed=5)
    unbiased = obuchowski_rockette(reads, method=CovarianceMethod.UNBIASED)
    assert not unbiased.errors.clamped
    both = unbiased.to(Generalisation.READERS_AND_CASES)
    expected = both.differences[0].difference
    for weighting in Weighting:
        found = u_statistics(reads, weighting=weighting).differences[0].difference
        assert (found.value, found.se, found.df, found.p) == pytest.approx(
            (expected.value, expected.se, expected.df, expected.p)
        )


def test_every_reader_with_cases_of_their_own() -> None:
    """Then figures of readers are independent, and the variance is that of a mean of them."""
    rng = np.random.default_rng(6)
    ratings = np.full((1, 4, 80), np.nan)
    truth = np.tile([True, False], 40)
    for reader in range(4):
        mine = slice(20 * reader, 20 * reader + 20)
        ratings[0, reader, mine] = rng.normal(size=20) + truth[mine] * (1 + 0.3 * reader)
    reads = Reads(
        modalities=("1",),
        readers=tuple("ABCD"),
        cases=tuple(str(number) for number in range(80)),
        truth=truth,
        ratings=ratings,
        seconds=np.full(ratings.shape, np.nan),
    )
    values = merits(reads).values[0]
    found = u_statistics(reads).areas[0].mean
    assert found.se == pytest.approx(values.std(ddof=1) / 2)
    assert found.df == pytest.approx(3)


def test_variances_are_right_in_the_long_run_where_nobody_read_all() -> None:
    """Each reader reads two thirds of the cases: mean estimated variance against the spread."""
    population = RoeMetz(reader=0.05, modality_reader=0.05)
    rng = np.random.default_rng(1)
    differences, variances = [], []
    for seed in range(400):
        study = simulate_reads(population, readers=4, positives=18, negatives=18, seed=seed)
        seen = rng.random((1, 4, 36)) < 2 / 3
        seen[:, :, [0, 1, 34, 35]] = True
        found = u_statistics(replace(study, ratings=np.where(seen, study.ratings, np.nan)))
        one = found.differences[0].difference
        differences.append(one.value)
        variances.append(one.se**2)
    assert np.nanmean(variances) == pytest.approx(np.var(differences), rel=0.2)


def test_figures_that_are_no_mean_over_pairs_are_refused() -> None:
    reads = simulate_reads(RoeMetz(), readers=2, positives=4, negatives=4, seed=1, levels=5)
    with pytest.raises(ParameterError, match="means over pairs"):
        u_statistics(merits(reads, Sensitivity(at=3)))
