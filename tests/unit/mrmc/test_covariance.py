from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bonescint.evaluate import StructuralComponents
from bonescint.mrmc import (
    Auc,
    CovarianceMethod,
    PartialAuc,
    PartOf,
    Reads,
    RoeMetz,
    Sensitivity,
    Specificity,
    Undefined,
    bootstrap_figures,
    covariance,
    figures_of_merit,
    leave_one_out,
    simulate_reads,
)
from bonescint.mrmc.cells import Cell
from bonescint.mrmc.covariance import DRAWS
from bonescint.mrmc.endpoints import Endpoint
from bonescint.scan import ParameterError

Numbers = NDArray[np.float64]


def psi(above: float, below: float) -> float:
    return 1.0 if above > below else 0.5 if above == below else 0.0


def auc(ratings: Numbers, truth: NDArray[np.bool_]) -> float:
    pairs = [
        psi(ratings[i], ratings[j])
        for i in range(len(truth))
        for j in range(len(truth))
        if truth[i] and not truth[j] and not np.isnan(ratings[i]) and not np.isnan(ratings[j])
    ]
    return sum(pairs) / len(pairs)


def jackknife(
    figures: list[Callable[[NDArray[np.int64]], float]], cases: NDArray[np.int64]
) -> Numbers:
    """Covariance of figures of the cases, each left out in turn."""
    left = np.array(
        [[figure(np.delete(cases, k)) for k in range(len(cases))] for figure in figures]
    )
    centred = left - left.mean(axis=1, keepdims=True)
    return (len(cases) - 1) / len(cases) * centred @ centred.T


def unbiased_covariance(first: Numbers, second: Numbers, truth: NDArray[np.bool_]) -> float:
    """Product of the areas, less the mean product over pairs of pairs that share no case."""

    def pairs(ratings: Numbers) -> list[tuple[int, int, float]]:
        read = ~np.isnan(ratings)
        return [
            (i, j, psi(ratings[i], ratings[j]))
            for i in np.flatnonzero(truth & read)
            for j in np.flatnonzero(~truth & read)
        ]

    a, b = pairs(first), pairs(second)
    apart = [x * y for (i, j, x), (k, m, y) in itertools.product(a, b) if i != k and j != m]
    product = np.mean([x for *_, x in a]) * np.mean([y for *_, y in b])
    return float(product - np.mean(apart))


def holed(reads: Reads, share: float, seed: int) -> Reads:
    """The same study with reads missing at random."""
    rng = np.random.default_rng(seed)
    gone = rng.random(reads.ratings.shape) < share
    return Reads(
        modalities=reads.modalities,
        readers=reads.readers,
        cases=reads.cases,
        truth=reads.truth,
        ratings=np.where(gone, np.nan, reads.ratings),
        seconds=reads.seconds,
    )


def cells_of(reads: Reads, endpoint: Endpoint | None = None) -> list[Cell]:
    found = [cell for row in figures_of_merit(reads, endpoint).cells for cell in row]
    return [cell for cell in found if cell is not None]


def rows_of(reads: Reads) -> NDArray[np.float64]:
    return reads.ratings.reshape(-1, len(reads.cases))


def test_delong_is_that_of_placements(small: Reads) -> None:
    expected = StructuralComponents.of(rows_of(small), small.truth)
    found = covariance(cells_of(small), len(small.cases))
    np.testing.assert_allclose(found, expected.covariance, rtol=1e-12)
    np.testing.assert_allclose(figures_of_merit(small).values.ravel(), expected.areas, rtol=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_areas_are_those_of_all_pairs(small: Reads, share: float) -> None:
    reads = holed(small, share, seed=2)
    expected = [auc(row, reads.truth) for row in rows_of(reads)]
    np.testing.assert_allclose(figures_of_merit(reads).values.ravel(), expected, rtol=1e-12)


def figure_of(ratings: NDArray[np.float64], truth: NDArray[np.bool_], name: str):  # type: ignore[no-untyped-def]
    def figure(kept: NDArray[np.int64]) -> float:
        mine = kept[~np.isnan(ratings[kept])]
        r, t = ratings[mine], truth[mine]
        if name == "auc":
            return float(roc_auc_score(t, r))
        if name == "partial":
            standard = float(roc_auc_score(t, r, max_fpr=0.3))
            return standard_to_mean(standard, 0.3)
        return float((r[t] >= 3).mean() if name == "sensitivity" else (r[~t] < 3).mean())

    return figure


def standard_to_mean(standardised: float, max_fpr: float) -> float:
    """scikit-learn gives McClish's standardised area; back to the mean sensitivity."""
    low, high = max_fpr**2 / 2, max_fpr
    return (low + (2 * standardised - 1) * (high - low)) / max_fpr


ENDPOINTS = {
    "auc": Auc(),
    "partial": PartialAuc(low=0.7),
    "sensitivity": Sensitivity(at=3),
    "specificity": Specificity(at=3),
}


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_jackknife_leaves_each_case_out(small: Reads, name: str) -> None:
    figures = [figure_of(row, small.truth, name) for row in rows_of(small)]
    cases = np.arange(len(small.cases))
    if name in ("sensitivity", "specificity"):  # only these cases matter
        cases = np.flatnonzero(small.truth == (name == "sensitivity"))
    found = covariance(
        cells_of(small, ENDPOINTS[name]), len(small.cases), CovarianceMethod.JACKKNIFE
    )
    np.testing.assert_allclose(found, jackknife(figures, cases), atol=1e-14)


def test_jackknife_of_missing_reads(small: Reads) -> None:
    reads = holed(small, 0.2, seed=3)
    figures = [figure_of(row, reads.truth, "auc") for row in rows_of(reads)]
    found = covariance(cells_of(reads), len(reads.cases), CovarianceMethod.JACKKNIFE)
    np.testing.assert_allclose(found, jackknife(figures, np.arange(len(reads.cases))), atol=1e-14)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_unbiased_is_over_pairs_that_share_no_case(small: Reads, share: float) -> None:
    reads = holed(small, share, seed=4)
    rows = rows_of(reads)
    found = covariance(cells_of(reads), len(reads.cases), CovarianceMethod.UNBIASED)
    for i in range(3):
        for j in range(3):
            expected = unbiased_covariance(rows[i], rows[j], reads.truth)
            assert found[i, j] == pytest.approx(expected, abs=1e-13)


def test_unbiased_covariance_has_no_bias() -> None:
    population = RoeMetz()
    expected = population.error_covariances(positives=8, negatives=10)
    found = []
    for seed in range(1500):
        study = simulate_reads(population, readers=2, positives=8, negatives=10, seed=seed)
        matrix = covariance(cells_of(study), 18, CovarianceMethod.UNBIASED)
        found.append([matrix[0, 0], matrix[0, 2], matrix[0, 1], matrix[0, 3]])
    errors = np.std(found, axis=0) / np.sqrt(len(found))
    truth = np.array([expected.var, expected.cov1, expected.cov2, expected.cov3])
    assert (np.abs(np.mean(found, axis=0) - truth) < 3.5 * errors).all()


def test_expected_covariances_are_those_of_repeated_studies() -> None:
    population = RoeMetz(reader=0.0, modality_reader=0.0)  # then readers are fixed, and alike
    expected = population.error_covariances(positives=20, negatives=25)
    areas = np.array(
        [
            figures_of_merit(
                simulate_reads(population, readers=2, positives=20, negatives=25, seed=seed)
            ).values.ravel()
            for seed in range(3000)
        ]
    )
    spread = np.cov(areas.T)
    found = spread[0, 0], spread[0, 2], spread[0, 1], spread[0, 3]
    truth = expected.var, expected.cov1, expected.cov2, expected.cov3
    np.testing.assert_allclose(found, truth, rtol=0.12)
    assert areas.mean() == pytest.approx(population.areas()[0], abs=0.003)


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_bootstrap_recomputes_the_figure_of_each_draw(small: Reads, name: str) -> None:
    cells = cells_of(small, ENDPOINTS[name])
    rng = np.random.default_rng(8)
    positives, negatives = np.flatnonzero(small.truth), np.flatnonzero(~small.truth)
    for row, cell in zip(rows_of(small), cells, strict=True):
        drawn = rng.choice(positives, len(positives)), rng.choice(negatives, len(negatives))
        times = [
            np.array([(one == case).sum() for case in mine], float)[None]
            for one, mine in zip(drawn, (cell.positive_cases, cell.negative_cases), strict=True)
        ]
        found = cell.resampled(times[0], times[1])[0]
        expected = figure_of(row, small.truth, name)(np.concatenate(drawn))
        assert found == pytest.approx(expected, abs=1e-12)


def test_bootstrap_covariance_is_near_delongs() -> None:
    study = simulate_reads(RoeMetz(), readers=2, positives=60, negatives=60, seed=1)
    cells = cells_of(study)
    expected = covariance(cells, 120)
    found = covariance(cells, 120, CovarianceMethod.BOOTSTRAP, draws=6000, seed=2)
    np.testing.assert_allclose(found, expected, rtol=0.15, atol=1e-5)
    again = covariance(cells, 120, CovarianceMethod.BOOTSTRAP, draws=6000, seed=2)
    np.testing.assert_array_equal(found, again)
    assert bootstrap_figures(cells, draws=30).shape == (4, 30)


def test_missing_reads_have_the_covariances_of_repeated_studies() -> None:
    """Half of the cases is shared: every formula must say how much covariance that leaves."""
    rng = np.random.default_rng(0)
    truth = np.tile([True, False], 30)
    read = np.ones((2, 60), bool)
    read[0, :20], read[1, 40:] = False, False
    areas, estimates = [], []
    for _ in range(1500):
        shared = rng.normal(size=60)
        ratings = shared + rng.normal(size=(2, 60)) + 1.2 * truth
        ratings = np.where(read, ratings, np.nan)
        cells = [Auc().cell(row, truth) for row in ratings]
        kept = [cell for cell in cells if not hasattr(cell, "reason")]
        areas.append([cell.value for cell in kept])  # type: ignore[union-attr]
        estimates.append([covariance(kept, 60, m) for m in [*CovarianceMethod][:3]])  # type: ignore[arg-type]
    spread = np.cov(np.array(areas).T)
    for found in np.mean(estimates, axis=0):
        np.testing.assert_allclose(found, spread, rtol=0.12)


@given(seed=st.integers(0, 1000))
def test_disjoint_cases_have_no_covariance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ratings = np.full((2, 24), np.nan)
    ratings[0, :12], ratings[1, 12:] = rng.normal(size=(2, 12))
    cells = [Auc().cell(row, np.tile([True, False], 12)) for row in ratings]
    for method in [*CovarianceMethod][:3]:
        found = covariance(cells, 24, method)  # type: ignore[arg-type]
        assert found[0, 1] == found[1, 0] == 0
        assert np.isfinite(np.diag(found)).all()


def test_order_and_scale_of_ratings_do_not_matter(small: Reads) -> None:
    other = Reads(
        modalities=small.modalities,
        readers=small.readers,
        cases=small.cases,
        truth=small.truth,
        ratings=np.exp(small.ratings) * 7 - 3,
        seconds=small.seconds,
    )
    for method in CovarianceMethod:
        np.testing.assert_allclose(
            covariance(cells_of(small), 20, method, draws=100),
            covariance(cells_of(other), 20, method, draws=100),
        )


def test_one_case_of_a_class_says_nothing_of_variance() -> None:
    cell = Auc().cell(np.array([1.0, 2, 3]), np.array([False, False, True]))
    for method in [*CovarianceMethod][:3]:
        assert np.isnan(covariance([cell], 3, method)).all()  # type: ignore[list-item]


def test_one_positive_case_shared_with_three_leaves_their_covariance_undefined() -> None:
    """Its deviation from its own mean is 0 whatever it says: 0 would be no estimate."""
    truth = np.array([True, True, True, False, False, False])
    few = np.array([4.0, np.nan, np.nan, 1.0, 3.0, 5.0])
    all_read = np.array([2.0, 4.0, 5.0, 3.0, 1.0, 2.0])
    cells = [Auc().cell(row, truth) for row in (few, all_read)]
    found = covariance(cells, 6)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1, 1])


def test_methods_without_a_formula_are_refused(small: Reads) -> None:
    with pytest.raises(ParameterError, match="jackknife or bootstrap"):
        covariance(cells_of(small, PartialAuc()), 20, CovarianceMethod.DELONG)


@pytest.mark.parametrize("of", list(PartOf))
def test_whole_partial_area_is_the_auc(small: Reads, of: PartOf) -> None:
    whole = figures_of_merit(small, PartialAuc(low=0.0, high=1.0, of=of)).values
    np.testing.assert_allclose(whole, figures_of_merit(small).values, atol=1e-12)


def test_partial_areas_of_both_axes_are_those_of_the_drawn_curve() -> None:
    """A curve through (0, 0.6), (0.5, 0.8), (1, 1), integrated by hand."""
    truth = np.repeat([True, False], [5, 2])
    ratings = np.array([3.0, 3, 3, 2, 1, 2, 1])
    cell = PartialAuc(low=0.5).cell(ratings, truth)
    assert cell.value == pytest.approx(0.7)  # type: ignore[union-attr]
    # Specificity over sensitivities 0.8 to 1 falls from 0.5 to 0 on a line.
    other = PartialAuc(low=0.8, of=PartOf.SENSITIVITY).cell(ratings, truth)
    assert other.value == pytest.approx(0.25)  # type: ignore[union-attr]


def test_leave_one_out_of_a_curve_equals_that_of_the_area(small: Reads) -> None:
    for curve, pairs in zip(cells_of(small, PartialAuc(low=0.0)), cells_of(small), strict=True):
        np.testing.assert_allclose(leave_one_out(curve), leave_one_out(pairs), atol=1e-12)


@pytest.mark.parametrize("method", list(CovarianceMethod))
@pytest.mark.parametrize("of_positives", [True, False])
def test_one_case_of_a_class_has_no_variance(
    small: Reads, method: CovarianceMethod, of_positives: bool
) -> None:
    ratings = small.ratings[0].copy()
    ratings[0, np.flatnonzero(small.truth == of_positives)[1:]] = np.nan
    cells = [Auc().cell(row, small.truth) for row in ratings]
    whole = [cell for cell in cells if not isinstance(cell, Undefined)]
    assert len(whole) == 3
    found = covariance(whole, len(small.cases), method, draws=200)
    assert np.isnan(found[0, 0])
    others = covariance(whole[1:], len(small.cases), method, draws=200)
    np.testing.assert_allclose(found[1:, 1:], others)
    assert np.isfinite(others).all()


def test_documented_defaults_of_covariances(small: Reads) -> None:
    assert DRAWS == 2000
    cells = cells_of(small)
    cases = len(small.cases)
    np.testing.assert_array_equal(
        covariance(cells, cases), covariance(cells, cases, CovarianceMethod.DELONG)
    )
    drawn = covariance(cells, cases, CovarianceMethod.BOOTSTRAP)
    np.testing.assert_array_equal(
        drawn, covariance(cells, cases, CovarianceMethod.BOOTSTRAP, draws=2000, seed=1)
    )
    assert bootstrap_figures(cells).shape == (len(cells), 2000)
    two = covariance(cells, cases, CovarianceMethod.BOOTSTRAP, draws=2)
    np.testing.assert_allclose(two, np.cov(bootstrap_figures(cells, draws=2)))
    one = covariance(cells, cases, CovarianceMethod.BOOTSTRAP, draws=1)
    assert np.isnan(one).all()


def test_a_share_has_its_binomial_variance_by_every_formula(small: Reads) -> None:
    """Sensitivity and specificity: p (1 - p) / (n - 1), and none with each other."""
    hits, right = cells_of(small, Sensitivity(at=3))[0], cells_of(small, Specificity(at=3))[0]
    cases = len(small.cases)
    for cell, n in ((hits, 9), (right, 11)):
        expected = cell.value * (1 - cell.value) / (n - 1)
        assert expected > 0
        for method in (CovarianceMethod.DELONG, CovarianceMethod.JACKKNIFE):
            assert covariance([cell], cases, method)[0, 0] == pytest.approx(expected), method
        drawn = covariance([cell], cases, CovarianceMethod.BOOTSTRAP, draws=4000)[0, 0]
        assert drawn == pytest.approx(cell.value * (1 - cell.value) / n, rel=0.1)
    both = covariance([hits, right], cases)
    assert both[0, 1] == both[1, 0] == 0
