"""All figures of one model that are resampled, from one pass over the resamples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.bootstrap import Draw, Resampling, SortedCases
from bonescint.evaluate.measure import Measure
from bonescint.evaluate.proportions import INFINITE
from bonescint.evaluate.scored import ScoredCases
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resampled:
    """Figures of every resample.

    Attributes:
        names: of the figures, as in code.
        words: of the figures, for people.
        values: of the cases themselves, (figures,).
        drawn: (resamples, figures).
        resampling: how it was done.
    """

    names: tuple[str, ...]
    words: tuple[str, ...]
    values: NDArray[np.float64]
    drawn: NDArray[np.float64]
    resampling: Resampling

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Each figure with its percentile interval."""
        return tuple(
            Measure(
                name=name,
                words=words,
                estimate=self.resampling.estimate(
                    float(value),
                    self.drawn[:, column],
                    note=INFINITE if math.isinf(value) else "",
                ),
            )
            for column, (name, words, value) in enumerate(
                zip(self.names, self.words, self.values, strict=True)
            )
        )


_FIGURES = (
    ("roc_auc_score", "Area under the ROC curve"),
    ("average_precision_score", "Average precision"),
    ("sensitivity_score", "Sensitivity"),
    ("specificity_score", "Specificity"),
    ("positive_predictive_value_score", "Positive predictive value"),
    ("negative_predictive_value_score", "Negative predictive value"),
    ("accuracy_score", "Accuracy"),
    ("f1_score", "F1"),
    ("positive_likelihood_ratio", "Positive likelihood ratio"),
    ("negative_likelihood_ratio", "Negative likelihood ratio"),
)


def resampled(
    cases: ScoredCases,
    threshold: float,
    resampling: Resampling,
) -> Resampled:
    """Resample areas and the figures at an operating point together.

    Args:
        cases: of both classes.
        threshold: a case is called positive if its score is at least this.
        resampling: how; patients are drawn where cases name them.

    Raises:
        ParameterError: one class only, or a threshold that is no number.

    Examples:
        >>> cases = ScoredCases(scores=[1, 2, 3, 4, 5, 6], positive=[0, 0, 1, 0, 1, 1])
        >>> found = resampled(cases, 3.0, Resampling(resamples=200))
        >>> found.measures[0].estimate.text()
        '0.889 (0.556 to 1.000)'
    """
    if math.isnan(threshold):
        raise ParameterError("threshold", "resampled", "a number", threshold)
    ranked = SortedCases.of(cases)
    drawn = np.empty((resampling.resamples, len(_FIGURES)))
    with np.errstate(divide="ignore", invalid="ignore"):
        for row, draw in enumerate(resampling.draws(cases.positive, cases.patients)):
            drawn[row] = _figures(ranked, ranked.sort(draw), threshold)
        values = _figures(ranked, ranked.whole, threshold)
    return Resampled(
        names=tuple(name for name, _ in _FIGURES),
        words=tuple(words for _, words in _FIGURES),
        values=values,
        drawn=drawn,
        resampling=resampling,
    )


def _figures(ranked: SortedCases, counts: Draw, threshold: float) -> NDArray[np.float64]:
    """The figures in the order of `_FIGURES`; not a number where one is undefined."""
    called_true, called_false = ranked.called(counts, threshold)
    true, false = np.float64(called_true), np.float64(called_false)
    positives, negatives = counts.positive.sum(), counts.negative.sum()
    missed, right = positives - true, negatives - false
    sensitivity, specificity = true / positives, right / negatives
    return np.array(
        [
            ranked.area(counts),
            ranked.average_precision(counts),
            sensitivity,
            specificity,
            true / (true + false),
            right / (right + missed),
            (true + right) / (positives + negatives),
            2 * true / (2 * true + missed + false),
            sensitivity / (1 - specificity),
            (1 - sensitivity) / specificity,
        ]
    )
