"""The classifier that tells cohorts apart: by chance on alike ones, as scikit-learn's twin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from bonescint.cohort.compare.separation import _folds, _scores, separation
from bonescint.evaluate import ScoredCases, roc_auc_score


def drawn(seed: int, count: int = 40, shift: float = 0.0) -> tuple[np.ndarray, list[str]]:
    """Scans that vary along thirty directions, and a patient for each."""
    basis = np.random.default_rng(0).normal(0, 1, (30, 256))
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 1, (count, 30)) * np.geomspace(3, 0.3, 30)
    weights[:, 2] += shift
    noise = rng.normal(0, 0.5, (count, 256))
    return weights @ basis + noise, [f"{seed}-{number}" for number in range(count)]


def test_alike_cohorts_are_told_apart_by_chance_alone() -> None:
    areas = []
    for seed in range(12):
        one, other = drawn(2 * seed), drawn(2 * seed + 1)
        areas.append(separation((one[0], other[0]), (one[1], other[1])).area)
    assert np.mean([area.value for area in areas]) == pytest.approx(0.5, abs=0.05)
    assert sum(area.low <= 0.5 <= area.high for area in areas) >= 11


def test_the_interval_is_delongs_widened_on_the_logit() -> None:
    one, other = drawn(1), drawn(2, shift=3.0)
    found = separation((one[0], other[0]), (one[1], other[1]))
    scores = np.concatenate(found.scores)
    plain = roc_auc_score(ScoredCases(scores=scores, positive=np.arange(80) >= 40))
    assert found.area.value == plain.value
    for end in ("low", "high"):
        away = logit(getattr(found.area, end)) - logit(plain.value)
        assert away == pytest.approx(1.5 * (logit(getattr(plain, end)) - logit(plain.value)))


def test_different_cohorts_are_told_apart() -> None:
    one, other = drawn(1), drawn(2, shift=12.0)
    found = separation((one[0], other[0]), (one[1], other[1]))
    assert found.area.value > 0.97
    assert np.median(found.scores[0]) < 0.2 < 0.8 < np.median(found.scores[1])


def test_the_order_of_the_cohorts_changes_nothing_but_the_sign() -> None:
    one, other = drawn(1), drawn(2, shift=2.0)
    forth = separation((one[0], other[0]), (one[1], other[1])).area
    again = separation((one[0], other[0]), (one[1], other[1])).area
    assert forth == again
    back = separation((other[0], one[0]), (other[1], one[1])).area
    assert back.value == pytest.approx(forth.value, abs=0.05)  # its folds are others


def test_scores_are_those_of_scikit_learn() -> None:
    one, other = drawn(1, 30), drawn(2, 30, shift=1.5)
    known = np.concatenate([one[0], other[0]]).astype(np.float32)
    second = np.arange(60) >= 30
    judged = drawn(3, 20)[0].astype(np.float32)
    twin = PCA(6, svd_solver="full", whiten=True).fit(known.astype(float))
    # PCA divides by n - 1, ours by n.
    scale = np.sqrt(60 / 59)
    fitted = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(
        twin.transform(known.astype(float)) * scale, second
    )
    expected = fitted.predict_proba(twin.transform(judged.astype(float)) * scale)[:, 1]
    assert _scores(known, second, judged, 6) == pytest.approx(expected, abs=2e-3)


def test_scans_of_a_patient_are_judged_together_even_across_cohorts() -> None:
    names = np.array([*np.repeat(np.arange(20), 2), *np.arange(10, 40)])
    fold = _folds(names, np.arange(70) >= 40, 1)
    for patient in range(40):
        assert len(set(fold[names == patient])) == 1
    sizes = np.bincount(fold)
    assert sizes.size == 5
    assert sizes.max() - sizes.min() <= 6


def test_a_cohort_against_itself_is_not_told_apart() -> None:
    scans, names = drawn(1)
    assert separation((scans, scans), (names, names)).area.value == pytest.approx(0.5, abs=1e-9)


def test_scans_without_any_difference_give_no_score() -> None:
    flat = np.zeros((15, 64))
    names = [f"a{n}" for n in range(15)], [f"b{n}" for n in range(15)]
    assert separation((flat, flat), names).area.value == pytest.approx(0.5, abs=0.1)
