"""How well a simple classifier tells the scans of two cohorts apart.

A classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017): where no rule tells the cohorts
apart better than by chance, they are alike in what it looks at. It looks at prepared scans of
64 x 32 cells a view: principal components and a penalised logistic regression on them, both fitted
without the patients that are judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.special import expit, logit

from bonescint.evaluate import Estimate, ScoredCases, roc_auc_score
from bonescint.evaluate.logistic import fit_logistic

CELLS = 64
"""Rows and columns of the composite that the classifier sees."""
FOLDS = 5
LEAST_PATIENTS = 10
"""Patients of each cohort without which it is not tried."""
_MOST_COMPONENTS = 20
_SCANS_PER_COMPONENT = 10
_PENALTY = 1.0
_WIDER = (1 + FOLDS / (FOLDS - 1)) ** 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Separation:
    """What the classifier achieved.

    Attributes:
        area: under the ROC curve, over scans that it was not fitted to: 0.5 where it cannot tell
            the cohorts apart, 1 where it always can.
        scores: its probability of the second cohort for the scans of each, float64 (scans,).
        components: principal components that it used.
    """

    area: Estimate
    scores: tuple[NDArray[np.float64], NDArray[np.float64]]
    components: int


def separation(
    cells: Sequence[NDArray[Any]], patients: Sequence[Sequence[str]], *, seed: int = 1
) -> Separation:
    """Cross-validate the classifier, by patient.

    Args:
        cells: for each of the two cohorts (scans, cells), values from 0 to 1.
        patients: for each cohort a name for each scan; a name in both is one patient.
        seed: seed of the folds.

    Returns:
        The area. Its interval is DeLong's over patients, 1.5 times as wide on the logit, because
        the parts share most of what their classifiers were fitted to (Nadeau and Bengio, Mach
        Learn 2003;52:239: variance times 1 + 5/4 for five parts).

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> dark, light = rng.normal(0.4, 0.1, (40, 64)), rng.normal(0.6, 0.1, (40, 64))
        >>> names = [f"a{i}" for i in range(40)], [f"b{i}" for i in range(40)]
        >>> separation((dark, light), names).area.value
        1.0
    """
    count = len(cells[0])
    seen = np.concatenate([np.asarray(one, dtype=np.float32) for one in cells])
    second = np.arange(len(seen)) >= count
    names = np.array([*patients[0], *patients[1]])
    _, number = np.unique(names, return_inverse=True)
    fold = _folds(number, second, seed)
    components = int(min(_MOST_COMPONENTS, max(2, len(seen) // _SCANS_PER_COMPONENT)))
    scores = np.empty(len(seen))
    for part in range(FOLDS):
        judged = fold == part
        scores[judged] = _scores(seen[~judged], second[~judged], seen[judged], components)
    cases = ScoredCases(scores=scores, positive=second, patients=number)
    return Separation(
        area=_widened(roc_auc_score(cases)),
        scores=(scores[~second], scores[second]),
        components=components,
    )


def _widened(area: Estimate) -> Estimate:
    """Widen the interval of an area to allow for cross-validation."""
    if not np.isfinite(area.low) or not 0 < area.value < 1:
        return area
    middle = logit(area.value)
    low, high = expit(middle + _WIDER * (logit([area.low, area.high]) - middle)).tolist()
    method = f"{area.method}, widened for cross-validation (Nadeau and Bengio 2003)"
    return replace(area, low=low, high=high, method=method)


def _folds(number: NDArray[np.intp], second: NDArray[np.bool_], seed: int) -> NDArray[np.intp]:
    """The part of each scan: patients are dealt out in a random order, cohort by cohort."""
    rng = np.random.default_rng(seed)
    in_second = np.bincount(number, weights=second) > 0
    fold_of = np.empty(in_second.size, dtype=np.intp)
    dealt = 0
    for members in (np.flatnonzero(~in_second), np.flatnonzero(in_second)):
        fold_of[rng.permutation(members)] = (dealt + np.arange(members.size)) % FOLDS
        dealt += members.size
    return np.asarray(fold_of[number])


def _scores(
    known: NDArray[np.float32],
    second: NDArray[np.bool_],
    judged: NDArray[np.float32],
    components: int,
) -> NDArray[np.float64]:
    """Probability of the second cohort, for scans that take no part in the fit.

    It is that for as many scans of either, so that parts with other numbers of both are on one
    scale.
    """
    mean = known.mean(axis=0)
    centred = known - mean
    # The largest components, by way of the products of scans, which are fewer than cells.
    size = len(known)
    values, vectors = eigh(
        (centred @ centred.T).astype(np.float64),
        subset_by_index=[max(0, size - components), size - 1],
    )
    kept = values > values[-1] * 1e-9
    if not kept.any():
        return np.full(len(judged), 0.5)
    scale = np.sqrt(values[kept])
    axes = (vectors[:, kept] / scale).T.astype(np.float32) @ centred
    terms = np.column_stack([np.ones(size), vectors[:, kept] * np.sqrt(size)])
    penalty = np.full(terms.shape[1], _PENALTY)
    penalty[0] = 0.0
    fit = fit_logistic(terms, second, penalty=penalty)
    placed = (judged - mean) @ axes.T / scale * np.sqrt(size)
    line = np.column_stack([np.ones(len(judged)), placed]) @ fit.coefficients
    return np.asarray(expit(line - logit(second.mean())))
