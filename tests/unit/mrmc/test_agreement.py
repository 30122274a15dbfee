from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score
from statsmodels.stats import contingency_tables, inter_rater
from statsmodels.stats.proportion import proportion_confint

from bonescint.mrmc import (
    KappaWeights,
    Reads,
    RoeMetz,
    binary_agreement,
    cohen_kappa,
    decisions,
    fleiss_kappa,
    mcnemar,
    reading_times,
    simulate_reads,
)
from bonescint.scan import ParameterError


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_is_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.random(40) < 0.7
    b = np.where(rng.random(40) < 0.6, a, rng.random(40) < 0.4)
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    found = mcnemar(a, b)
    assert found.p_exact == pytest.approx(contingency_tables.mcnemar(table).pvalue)
    corrected = contingency_tables.mcnemar(table, exact=False, correction=True)
    assert found.x2 == pytest.approx(corrected.statistic)
    assert found.p_x2 == pytest.approx(corrected.pvalue)
    assert found.p_mid < found.p_exact
    assert found.difference.value == pytest.approx(a.mean() - b.mean())
    assert found.difference.low <= found.difference.value <= found.difference.high


def test_paired_interval_is_newcombes_formula_written_out() -> None:
    """Square and add Wilson's limits, with phi; a positive product is lessened by n/2."""
    for both, first, second, neither in ((14, 5, 0, 22), (36, 12, 2, 0), (20, 6, 3, 4)):
        a = np.repeat([True, True, False, False], [both, first, second, neither])
        b = np.repeat([True, False, True, False], [both, first, second, neither])
        n = both + first + second + neither
        product = both * neither - first * second
        if product > 0:
            product = max(product - n / 2, 0)
        margins = (both + first, second + neither, both + second, first + neither)
        phi = product / math.sqrt(math.prod(margins)) if math.prod(margins) else 0.0
        p, q = a.mean(), b.mean()
        (l1, u1), (l2, u2) = (proportion_confint(x.sum(), n, method="wilson") for x in (a, b))
        low = math.sqrt((p - l1) ** 2 - 2 * phi * (p - l1) * (u2 - q) + (u2 - q) ** 2)
        high = math.sqrt((u1 - p) ** 2 - 2 * phi * (u1 - p) * (q - l2) + (q - l2) ** 2)
        found = mcnemar(a, b).difference
        assert (found.low, found.high) == pytest.approx((p - q - low, p - q + high))


def test_interval_of_a_paired_difference_covers() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(1000):
        latent = rng.normal(size=60)
        a = latent + rng.normal(size=60) > -0.5
        b = latent + rng.normal(size=60) > 0.0
        found = mcnemar(a, b).difference
        covered += found.low <= 0.13816 <= found.high
    assert 0.935 <= covered / 1000 <= 0.985


def test_without_discordant_cases_nothing_differs() -> None:
    found = mcnemar([1, 0, 1], [1, 0, 1])
    assert (found.p_exact, found.p_mid, found.p_x2) == (1.0, 1.0, 1.0)
    assert math.isnan(found.x2)


@pytest.mark.parametrize("pairs", [1, 2, 7])
def test_mid_p_of_equal_counts(pairs: int) -> None:
    """Fagerland et al. 2013: 1 - f / 2, where f is the probability of what was seen."""
    found = mcnemar([1, 0] * pairs, [0, 1] * pairs)
    assert found.p_exact == 1
    seen = math.comb(2 * pairs, pairs) / 2 ** (2 * pairs)
    assert found.p_mid == pytest.approx(1 - seen / 2)


@pytest.mark.parametrize("weights", list(KappaWeights))
@pytest.mark.parametrize("levels", [2, 5])
def test_kappa_is_statsmodels_and_scikit_learns(weights: KappaWeights, levels: int) -> None:
    rng = np.random.default_rng(levels)
    a = rng.integers(0, levels, 80)
    b = np.where(rng.random(80) < 0.5, a, rng.integers(0, levels, 80))
    found = cohen_kappa(a, b, weights=weights)
    name = None if weights is KappaWeights.NONE else weights.value
    assert found.value == pytest.approx(cohen_kappa_score(a, b, weights=name))
    table = np.zeros((levels, levels))
    np.add.at(table, (a, b), 1)
    wt = {"none": None, "linear": "linear", "quadratic": "quadratic"}[weights.value]
    expected = inter_rater.cohens_kappa(table, wt=wt)
    assert (found.low, found.high) == pytest.approx((expected.kappa_low, expected.kappa_upp))


def test_fleiss_kappa_is_statsmodels() -> None:
    rng = np.random.default_rng(2)
    ratings = rng.integers(0, 3, (4, 30))
    ratings[1:] = np.where(rng.random((3, 30)) < 0.5, ratings[0], ratings[1:])
    counts, _ = inter_rater.aggregate_raters(ratings.T)
    found = fleiss_kappa(ratings)
    assert found.value == pytest.approx(inter_rater.fleiss_kappa(counts))
    assert found.low < found.value < found.high


def test_fleiss_interval_covers() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        known = rng.random(60) < 0.5  # each reader is right four times of five
        ratings = np.where(rng.random((4, 60)) < 0.8, known, ~known)
        found = fleiss_kappa(ratings)
        covered += found.low <= 0.36 <= found.high  # 2 (0.8^2 + 0.2^2) - 1
    assert 0.91 <= covered / 400 <= 0.98


@pytest.mark.parametrize("agree", [cohen_kappa, lambda a, b: fleiss_kappa([a, b])])
def test_one_category_has_no_kappa(agree) -> None:  # type: ignore[no-untyped-def]
    found = agree([1, 1, 1], [1, 1, 1])
    assert math.isnan(found.value)
    assert found.note == "only one category occurs"


def test_binary_agreement() -> None:
    found = binary_agreement([1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 1])
    assert found.overall.value == pytest.approx(4 / 6)
    low, high = proportion_confint(4, 6, method="wilson")
    assert (found.overall.low, found.overall.high) == pytest.approx((low, high))
    assert found.positive == pytest.approx(f1_score([1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 1]))
    assert math.isnan(binary_agreement([0, 0], [0, 0]).positive)


def test_different_lengths_are_refused() -> None:
    for function in (mcnemar, binary_agreement, cohen_kappa):
        with pytest.raises(ParameterError):
            function([1, 0], [1])


def test_decisions_of_a_study(small: Reads) -> None:
    model = np.linspace(0, 1, len(small.cases))
    found = decisions(small, at=3.0, model=model, model_at=0.4, draws=400)
    assert len(found.accuracies) == 7
    first = found.accuracies[0]
    called = small.ratings[0, 0] >= 3
    assert first.f1.value == pytest.approx(f1_score(small.truth, called))
    assert first.f1.low < first.f1.value < first.f1.high
    low, high = proportion_confint((called & small.truth).sum(), 9, method="beta")
    assert (first.sensitivity.low, first.sensitivity.high) == pytest.approx((low, high))
    kinds = [pair.kind for pair in found.pairs]
    assert kinds.count("between readers") == 6
    assert kinds.count("within reader") == 3
    assert kinds.count("with the model") == 6
    pair = next(pair for pair in found.pairs if pair.kind == "with the model")
    right = [(called == small.truth), ((model >= 0.4) == small.truth)]
    assert pair.accuracy == mcnemar(*right)
    assert pair.sensitivity == mcnemar(right[0][small.truth], right[1][small.truth])
    assert set(found.fleiss) == {"1", "2"}


def test_ratings_without_a_threshold_have_weighted_kappa_only(small: Reads) -> None:
    found = decisions(small)
    assert found.at is None
    assert found.accuracies == ()
    assert all(pair.kappa is None and pair.accuracy is None for pair in found.pairs)
    expected = cohen_kappa_score(small.ratings[0, 0], small.ratings[0, 1], weights="quadratic")
    weighted = found.pairs[0].weighted_kappa
    assert weighted is not None
    assert weighted.value == pytest.approx(expected)


def test_f1_bootstrap_is_that_of_resampled_cases() -> None:
    study = simulate_reads(RoeMetz(), readers=1, positives=30, negatives=40, seed=2)
    called, truth = study.ratings[0, 0] >= 0.75, study.truth
    found = decisions(study, at=0.75, draws=20_000).accuracies[0].f1
    rng = np.random.default_rng(5)
    cases = np.concatenate(
        [rng.choice(np.flatnonzero(kind), (8000, kind.sum())) for kind in (truth, ~truth)], axis=1
    )
    hits = (called & truth)[cases].sum(axis=1)
    drawn = 2 * hits / (called[cases].sum(axis=1) + truth[cases].sum(axis=1))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


def test_times_of_nobody() -> None:
    study = simulate_reads(RoeMetz(), readers=2, positives=3, negatives=3, seed=1)
    assert reading_times(study) == ()
