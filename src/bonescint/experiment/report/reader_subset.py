"""A model on as many scans as readers were shown: a part of the test split, drawn by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bonescint.evaluate import Resampling, ScoredCases, resampled


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetFigures:
    """What a model reaches on the part.

    Attributes:
        median: of the area under the ROC curve over resamples.
        interquartile_range: of the same.
        f1: at the operating point; NaN if nothing is positive.
        scans: in the part; fewer than wanted where a class has too few.
    """

    median: float
    interquartile_range: float
    f1: float
    scans: int


def subset_figures(
    cases: ScoredCases, threshold: float, *, scans: int, resamples: int, seed: int = 1
) -> SubsetFigures:
    """Draw as many positives as negatives, and resample them as Ibrahim et al. 2023 did.

    The median and the interquartile range are of the area under the ROC curve over resamples
    that are drawn from the part with replacement, whatever their class.

    Args:
        cases: the test split, in the order of the cohort: models of one study are then judged
            on the same part.
        threshold: probability from which a scan is called positive.
        scans: in the part, both classes together.
        resamples: of the part.
        seed: of the part and the resamples.

    Raises:
        ParameterError: one class only.

    Examples:
        >>> cases = ScoredCases(scores=np.array([0.1, 0.9] * 50), positive=np.array([0, 1] * 50))
        >>> subset_figures(cases, 0.5, scans=60, resamples=20)
        SubsetFigures(median=1.0, interquartile_range=0.0, f1=1.0, scans=60)
    """
    rng = np.random.default_rng([seed, 134])
    order = rng.permutation(cases.count)
    count = min(scans // 2, cases.positives, cases.negatives)
    chosen = np.zeros(cases.count, dtype=bool)
    for label in (True, False):
        chosen[order[cases.positive[order] == label][:count]] = True
    found = resampled(
        cases.of(chosen), threshold, Resampling(resamples=resamples, stratified=False, seed=seed)
    )
    areas = found.drawn[:, found.names.index("roc_auc_score")]
    low, median, high = np.nanpercentile(areas, [25, 50, 75])
    return SubsetFigures(
        median=float(median),
        interquartile_range=float(high - low),
        f1=float(found.values[found.names.index("f1_score")]),
        scans=2 * count,
    )
