from __future__ import annotations

import math

import numpy as np
import pytest

from bonescint.mrmc import (
    CovarianceMethod,
    RocCurve,
    RoeMetz,
    average_curve,
    figures_of_merit,
    obuchowski_rockette,
    simulate_reads,
)
from bonescint.scan import ParameterError


def test_the_same_seed_gives_the_same_study() -> None:
    first, again = (
        simulate_reads(RoeMetz(), readers=3, positives=4, negatives=5, seed=1) for _ in range(2)
    )
    other = simulate_reads(RoeMetz(), readers=3, positives=4, negatives=5, seed=2)
    np.testing.assert_array_equal(first.ratings, again.ratings)
    assert (first.ratings != other.ratings).any()
    assert first.truth.sum() == 4


def test_variances_are_those_asked_for() -> None:
    population = RoeMetz(
        separation=1.0, difference=0.5, reader=0.5, modality_reader=0.3, case=0.2,
        modality_case=0.1, reader_case=0.15, error=0.05,
    )  # fmt: skip
    x = np.stack(
        [
            simulate_reads(population, readers=2, positives=2, negatives=2, seed=seed).ratings
            for seed in range(20_000)
        ]
    )
    assert x[:, 0, 0, :2].mean() == pytest.approx(0, abs=0.02)
    assert x[:, 0, 0, 2:].mean() == pytest.approx(1.0, abs=0.02)
    assert x[:, 1, 0, 2:].mean() == pytest.approx(1.5, abs=0.02)

    def shared(i: int, j: int, k: int) -> float:
        """Covariance of reader 0's first case with another rating."""
        return float(np.cov(x[:, 0, 0, 0], x[:, i, j, k])[0, 1])

    assert shared(0, 0, 0) == pytest.approx(1.3, abs=0.03)
    assert shared(1, 0, 0) == pytest.approx(0.5 + 0.2 + 0.15, abs=0.03)
    assert shared(0, 1, 0) == pytest.approx(0.2 + 0.1, abs=0.03)
    assert shared(1, 1, 0) == pytest.approx(0.2, abs=0.03)
    assert shared(0, 0, 1) == pytest.approx(0.5 + 0.3, abs=0.03)
    assert shared(0, 0, 2) == pytest.approx(0, abs=0.03)  # the other class


def test_levels_are_whole_ratings() -> None:
    study = simulate_reads(RoeMetz(), readers=2, positives=50, negatives=50, seed=1, levels=5)
    assert set(np.unique(study.ratings)) == {1, 2, 3, 4, 5}
    smooth = simulate_reads(RoeMetz(), readers=2, positives=50, negatives=50, seed=1)
    assert figures_of_merit(study).values == pytest.approx(
        figures_of_merit(smooth).values, abs=0.06
    )


@pytest.mark.parametrize("values", [{"reader": -1.0}, {"separation": 99.0}, {"case": float("nan")}])
def test_populations_that_cannot_be(values: dict[str, float]) -> None:
    with pytest.raises(ParameterError):
        RoeMetz(**values)
    with pytest.raises(ParameterError):
        simulate_reads(RoeMetz(), readers=0, positives=1, negatives=1, seed=1)


def test_expected_components_are_estimated_without_bias() -> None:
    population = RoeMetz(reader=0.03, modality_reader=0.03)
    expected = population.error_covariances(positives=15, negatives=15)
    names = ("var", "cov1", "cov2", "cov3")
    found = []
    for seed in range(250):
        study = simulate_reads(population, readers=4, positives=15, negatives=15, seed=seed)
        errors = obuchowski_rockette(study, method=CovarianceMethod.UNBIASED).errors
        found.append([getattr(errors, name) for name in names])
    error = np.std(found, axis=0) / math.sqrt(250)
    truth = np.array([getattr(expected, name) for name in names])
    assert (np.abs(np.mean(found, axis=0) - truth) < 3.5 * error).all()


def test_intervals_cover_in_a_few_hundred_studies() -> None:
    """The long run is in benchmarks/readers.py, 2 000 studies a setting."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        study = simulate_reads(RoeMetz(), readers=5, positives=30, negatives=30, seed=rng)
        difference = obuchowski_rockette(study).results[0].differences[0].difference
        covered += difference.low <= 0 <= difference.high
    assert 0.91 <= covered / 300 <= 0.985


def test_area_of_the_average_curve_is_the_mean_area(small) -> None:  # type: ignore[no-untyped-def]
    curves = [RocCurve.of(row, small.truth) for row in small.ratings.reshape(6, -1)]
    areas = figures_of_merit(small).values.ravel()
    assert [curve.area for curve in curves] == pytest.approx(areas)
    mean = average_curve(curves)
    assert mean.area == pytest.approx(areas.mean())
    assert (np.diff(mean.sensitivity) >= -1e-12).all()
    assert (np.diff(mean.false_positive_rate) >= -1e-12).all()
    assert (mean.false_positive_rate[0], mean.sensitivity[-1]) == (0, 1)
    with pytest.raises(ParameterError):
        average_curve([])
    with pytest.raises(ParameterError, match="both classes"):
        RocCurve.of(np.array([1.0, np.nan]), np.array([True, False]))
