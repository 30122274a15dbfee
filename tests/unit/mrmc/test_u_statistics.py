from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from bonescint.mrmc import (
    CovarianceMethod,
    Generalisation,
    Reads,
    RoeMetz,
    Sensitivity,
    Weighting,
    figures_of_merit,
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
    both = unbiased.to(Generalisation.RRRC)
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
    values = figures_of_merit(reads).values[0]
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
        u_statistics(figures_of_merit(reads, Sensitivity(at=3)))


def test_degrees_of_freedom_of_readers_who_are_not_the_same() -> None:
    """Three read in modality 1, two others in 2: Welch and Satterthwaite, written out."""
    study = simulate_reads(RoeMetz(), readers=5, positives=25, negatives=25, seed=8)
    ratings = study.ratings.copy()
    ratings[0, 3:], ratings[1, :3] = np.nan, np.nan
    reads = replace(study, ratings=ratings)
    found = u_statistics(reads).differences[0].difference
    values = figures_of_merit(reads).values
    s1, s2 = np.var(values[0, :3], ddof=1) / 3, np.var(values[1, 3:], ddof=1) / 2
    assert found.value == pytest.approx(values[0, :3].mean() - values[1, 3:].mean())
    alone = s1**2 / 2 + s2**2 / 1
    assert found.df == pytest.approx(found.se**4 / alone)
    # Readers who share a modality only in part are not the same ones either.
    ratings = ratings.copy()
    ratings[1, 2] = study.ratings[1, 2]
    again = u_statistics(replace(study, ratings=ratings)).differences[0].difference
    more = figures_of_merit(replace(study, ratings=ratings)).values
    s2 = np.var(more[1, 2:], ddof=1) / 3
    assert again.df == pytest.approx(again.se**4 / (s1**2 / 2 + s2**2 / 2))


def test_unbalanced_readers_weigh_by_their_pairs_or_alike() -> None:
    """Weights, variances and degrees of freedom in loops, for both ways of weighing."""
    reads = unbalanced()
    values = figures_of_merit(reads).values
    for modality in range(2):
        of = triples(reads, modality)
        names = sorted({one[0] for one in of})
        sizes = np.array([sum(one[0] == name for one in of) for name in names], dtype=float)
        assert len(set(sizes)) > 1, "the study itself would not show it"
        for weighting, weights in (
            (Weighting.PAIRS, sizes / sizes.sum()),
            (Weighting.READERS, np.full(len(names), 1 / len(names))),
        ):
            mine = values[modality, names]
            found = u_statistics(reads, weighting=weighting).areas[modality].mean
            assert found.value == pytest.approx(sum(weights * mine))
            spread = sum(weights**2 * (mine - found.value) ** 2) / (1 - sum(weights**2))
            if not math.isnan(found.se):
                assert found.df == pytest.approx(found.se**4 / (spread**2 / (len(names) - 1)))
        # Readers alike: each two readers' mean product of triples that share no case.
        means = []
        for r, s in itertools.permutations(names, 2):
            products = [
                x * y
                for (a, i, j, x), (b, k, m, y) in itertools.product(of, of)
                if (a, b) == (r, s) and i != k and j != m
            ]
            means.append(np.mean(products))
        variance = values[modality, names].mean() ** 2 - np.mean(means)
        alike = u_statistics(reads).areas[modality].mean
        if variance > 0:
            assert alike.se == pytest.approx(math.sqrt(variance))
        else:
            assert math.isnan(alike.se)


def test_a_crossed_difference_has_the_spread_of_readers_differences() -> None:
    """Unbalanced cases, the same readers: weights of a reader's difference are means of two."""
    study = simulate_reads(RoeMetz(), readers=4, positives=12, negatives=12, seed=6)
    ratings = study.ratings.copy()
    ratings[0, 0, :5] = np.nan
    reads = replace(study, ratings=ratings)
    sizes = np.array([[7 * 12, 144, 144, 144], [144, 144, 144, 144]], dtype=float)
    weights = (sizes / sizes.sum(axis=1, keepdims=True)).mean(axis=0)
    values = figures_of_merit(reads).values
    gaps = values[0] - values[1]
    spread = sum(weights**2 * (gaps - weights @ gaps) ** 2) / (1 - sum(weights**2))
    found = u_statistics(reads, weighting=Weighting.PAIRS).differences[0].difference
    assert found.df == pytest.approx(found.se**4 / (spread**2 / 3))


def test_what_is_undefined_is_counted_and_nothing_left_is_said() -> None:
    alone = simulate_reads(RoeMetz(), readers=1, positives=9, negatives=9, seed=1)
    found = u_statistics(alone)
    assert [note.text for note in found.notes] == [
        "an unbiased variance can be negative, or have no pairs to be estimated from: the interval "
        "is undefined for 3 of the U-statistics"
    ]
    assert all(math.isnan(one.mean.se) and math.isnan(one.mean.df) for one in found.areas)
    assert [math.isnan(value) for value in found.areas[0].moments] == [False] * 4 + [True] * 4
    sound = simulate_reads(RoeMetz(reader=0.1), readers=5, positives=20, negatives=20, seed=1)
    assert u_statistics(sound).notes == ()
    assert (found.endpoint, found.weighting) == ("AUC", Weighting.READERS)
    nobody = replace(alone, ratings=np.where(alone.truth, np.nan, alone.ratings))
    empty = u_statistics(nobody)
    assert (empty.areas, empty.differences) == ((), ())
    assert empty.notes[-1].text == "the U-statistics: no reader has a figure"
    assert empty.as_dict()["modalities"] == []


def test_json_names_every_moment_and_difference() -> None:
    found = u_statistics(simulate_reads(RoeMetz(), readers=3, positives=6, negatives=6, seed=1))
    json = found.as_dict()
    assert list(json["modalities"][0]["moments"]) == [
        "M1 (same reader, both cases)", "M2 (same reader, case with disease)",
        "M3 (same reader, case without disease)", "M4 (same reader, no case)",
        "M5 (other reader, both cases)", "M6 (other reader, case with disease)",
        "M7 (other reader, case without disease)", "M8 (other reader, no case)",
    ]  # fmt: skip
    assert (
        json["modalities"][0]["moments"]["M4 (same reader, no case)"] == (found.areas[0].moments[3])
    )
    assert (json["weighting"], json["endpoint"]) == ("readers", "AUC")
    (difference,) = json["differences"]
    assert (difference["first"], difference["second"]) == ("1", "2")
    assert difference["value"] == found.differences[0].difference.value
    assert json["notes"] == [note.as_dict() for note in found.notes]
    narrow = u_statistics(
        simulate_reads(RoeMetz(), readers=3, positives=6, negatives=6, seed=1), level=0.8
    )
    assert narrow.areas[0].mean.level == 0.8
    with pytest.raises(ParameterError, match="weighting"):
        u_statistics(
            simulate_reads(RoeMetz(), readers=3, positives=6, negatives=6, seed=1),
            weighting="cases",  # type: ignore[arg-type]
        )


def test_readers_who_do_not_differ_leave_the_normal_distribution() -> None:
    one = simulate_reads(RoeMetz(), readers=1, positives=20, negatives=20, seed=4)
    ratings = np.repeat(one.ratings, 2, axis=1)
    same = replace(one, readers=("A", "B"), ratings=ratings,
                   seconds=np.full(ratings.shape, np.nan))  # fmt: skip
    found = u_statistics(same).areas[0].mean
    assert found.se > 0
    assert math.isinf(found.df)
    assert found.high - found.low == pytest.approx(2 * 1.959964 * found.se, rel=1e-6)


def test_a_modality_that_nobody_has_a_figure_in_is_left_out() -> None:
    study = simulate_reads(RoeMetz(), readers=3, positives=8, negatives=8, seed=1)
    for empty in range(2):
        ratings = study.ratings.copy()
        ratings[empty][:, study.truth] = np.nan
        found = u_statistics(replace(study, ratings=ratings))
        assert [one.modality for one in found.areas] == [study.modalities[1 - empty]]
        assert found.differences == ()
        kept = figures_of_merit(study).values[1 - empty].mean()
        assert found.areas[0].mean.value == pytest.approx(kept)
