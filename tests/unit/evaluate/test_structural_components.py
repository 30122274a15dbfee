import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bonescint.evaluate import StructuralComponents
from bonescint.scan import ParameterError


def _pairs(ratings: NDArray[np.float64], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Every positive against every negative: 1, 0.5 or 0."""
    above = ratings[truth][:, None] > ratings[~truth][None]
    same = ratings[truth][:, None] == ratings[~truth][None]
    return above + 0.5 * same


@given(seed=st.integers(0, 10_000), levels=st.integers(2, 30))
def test_areas_and_components_are_those_of_all_pairs(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.r_[True, False, rng.random(30) < 0.4]
    ratings = rng.integers(0, levels, (3, truth.size)).astype(float)
    found = StructuralComponents.of(ratings, truth)
    for row, above, below in zip(ratings, found.v10, found.v01, strict=True):
        pairs = _pairs(row, truth)
        np.testing.assert_allclose(above, pairs.mean(axis=1), atol=1e-12)
        np.testing.assert_allclose(below, pairs.mean(axis=0), atol=1e-12)
    areas = [roc_auc_score(truth, row) for row in ratings]
    np.testing.assert_allclose(found.areas, areas, atol=1e-12)


def test_covariance_is_delongs_formula_written_out() -> None:
    rng = np.random.default_rng(7)
    truth = rng.random(60) < 0.5
    ratings = rng.normal(size=(2, 60)) + truth
    by_pairs = [_pairs(row, truth) for row in ratings]
    expected = np.zeros((2, 2))
    for i, first in enumerate(by_pairs):
        for j, second in enumerate(by_pairs):
            tens = np.cov(first.mean(axis=1), second.mean(axis=1))[0, 1]
            ones = np.cov(first.mean(axis=0), second.mean(axis=0))[0, 1]
            expected[i, j] = tens / truth.sum() + ones / (~truth).sum()
    np.testing.assert_allclose(
        StructuralComponents.of(ratings, truth).covariance, expected, rtol=1e-10
    )


def test_covariance_is_that_of_many_repeated_studies() -> None:
    rng = np.random.default_rng(3)
    truth = np.repeat([True, False], [40, 60])
    shared = rng.normal(size=(4000, 1, 100))
    ratings = shared + rng.normal(size=(4000, 2, 100)) + 1.5 * truth
    drawn = [StructuralComponents.of(study, truth) for study in ratings]
    spread = np.cov(np.array([one.areas for one in drawn]).T)
    mean = np.mean([one.covariance for one in drawn], axis=0)
    np.testing.assert_allclose(mean, spread, rtol=0.08)


def test_patients_with_several_cases_have_obuchowskis_covariance() -> None:
    """Biometrics 1997;53:567: S10, S01 and S11 summed patient by patient, for two ratings."""
    rng = np.random.default_rng(11)
    patients = np.repeat(rng.permutation(20), rng.integers(1, 5, 20))
    truth = (patients % 3 == 0) ^ (rng.random(patients.size) < 0.2)
    own = rng.normal(size=20)[patients]
    ratings = rng.normal(size=(2, patients.size)) + own + truth
    m, n = truth.sum(), (~truth).sum()
    names = np.unique(patients)
    with_disease = [one for one in names if truth[patients == one].any()]
    without = [one for one in names if not truth[patients == one].all()]
    assert names.size > len(with_disease)
    assert len(without) > len(with_disease)
    sums = []
    for row in ratings:
        pairs = _pairs(row, truth)
        up, down = pairs.mean(axis=1) - pairs.mean(), pairs.mean(axis=0) - pairs.mean()
        sums.append([
            [up[patients[truth] == one].sum() for one in names],
            [down[patients[~truth] == one].sum() for one in names],
        ])  # fmt: skip
    expected = np.zeros((2, 2))
    for i in range(2):
        for j in range(2):
            (a_up, a_down), (b_up, b_down) = (np.array(sums[k]) for k in (i, j))
            i10, i01, every = len(with_disease), len(without), names.size
            s10 = i10 / ((i10 - 1) * m) * (a_up @ b_up)
            s01 = i01 / ((i01 - 1) * n) * (a_down @ b_down)
            s11 = every / (every - 1) * (a_up @ b_down + a_down @ b_up)
            expected[i, j] = s10 / m + s01 / n + s11 / (m * n)
    found = StructuralComponents.of(ratings, truth, patients)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-10)
    np.testing.assert_allclose(found.areas, StructuralComponents.of(ratings, truth).areas)


def test_a_class_of_two_patients_has_a_variance_and_of_one_has_none() -> None:
    ratings = np.random.default_rng(1).normal(size=(2, 6))
    truth = np.array([True, True, True, False, False, False])
    two = StructuralComponents.of(ratings, truth, np.array([0, 0, 1, 2, 3, 3])).covariance
    assert two.shape == (2, 2)
    assert np.isfinite(two).all()
    for patients in ([0, 0, 0, 2, 3, 3], [0, 0, 1, 2, 2, 2]):
        one = StructuralComponents.of(ratings, truth, np.array(patients)).covariance
        assert one.shape == (2, 2)
        assert np.isnan(one).all()


def test_one_case_of_a_class_has_an_area_and_no_variance() -> None:
    found = StructuralComponents.of(np.array([1.0, 2.0, 3.0]), np.array([False, False, True]))
    assert found.areas == [1.0]
    assert np.isnan(found.covariance).all()
    two = StructuralComponents.of(np.ones((2, 3)), np.array([True, False, True]))
    assert two.covariance.shape == (2, 2)
    assert np.isnan(two.covariance).all()


@pytest.mark.parametrize(
    ("ratings", "truth", "says"),
    [
        ([1.0, 2.0], [True, True], "both classes"),
        ([1.0, np.nan], [True, False], "finite"),
        ([1.0, 2.0, 3.0], [True, False], "one for each case"),
        ([[[1.0, 2.0]] * 2] * 2, [True, False], "one for each case"),
        ([1.0, 2.0], [[True, False]], "one for each case"),
    ],
)
def test_what_has_no_area_is_refused(ratings: list[float], truth: list[bool], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        StructuralComponents.of(np.array(ratings), np.array(truth))
