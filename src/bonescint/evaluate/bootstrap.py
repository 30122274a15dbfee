"""Bootstrap of cases, fast enough for a hundred thousand of them.

A resample is stored as the number of times each case was drawn, and scores are sorted once. A
figure of a resample is then a cumulative sum over these counts, without sorting.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.metrics import INFINITE, Measure
from bonescint.evaluate.scored import ScoredCases
from bonescint.intervals import Estimate
from bonescint.scan import ParameterError
from bonescint.scan.checked import check_number, check_whole


class DrawCounts(NamedTuple):
    """How often each case was drawn: int64 (positives,) and (negatives,), in their order."""

    positive: NDArray[np.int64]
    negative: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resampling:
    """How cases are resampled (Efron and Tibshirani 1993).

    Attributes:
        resamples: number of resamples.
        stratified: draw positive and negative cases separately, which keeps the prevalence; else
            draw from all cases together.
        level: coverage of the percentile intervals.
        seed: the same seed gives the same resamples.

    Examples:
        >>> paper = Resampling(resamples=100, stratified=False)  # Ibrahim et al. 2023
        >>> len(list(paper.draws(np.array([True, False, True]), None)))
        100
    """

    resamples: int = 2000
    stratified: bool = True
    level: float = 0.95
    seed: int = 1

    def __post_init__(self) -> None:
        check_whole(self, "resamples", 2, 1_000_000)
        check_whole(self, "seed", 0, 2**63)
        check_number(self, "level", 0.5, 0.9999)

    @property
    def method(self) -> str:
        """The method in words, for tables and reports."""
        kind = "by class" if self.stratified else "of all cases"
        return f"percentile bootstrap, {self.resamples} resamples {kind}"

    def draws(
        self, positive: NDArray[np.bool_], patients: NDArray[np.intp] | None
    ) -> Iterator[DrawCounts]:
        """Draw with replacement.

        Args:
            positive: bool (cases,).
            patients: number of each case's patient, (cases,), or `None` where each has one
                case; patients are then drawn, with all their scans (Field and Welsh, J R Stat
                Soc B 2007;69:369). `stratified` keeps the numbers of patients who have positive
                scans, negative ones, or both.

        Raises:
            ParameterError: arrays of different length.
        """
        rng = np.random.default_rng(self.seed)
        truth = np.asarray(positive, dtype=bool)
        if patients is not None:
            yield from self._patient_draws(rng, truth, np.asarray(patients))
            return
        with_disease = int(np.count_nonzero(truth))
        without = truth.size - with_disease
        for _ in range(self.resamples):
            drawn = with_disease
            if not self.stratified:
                drawn = int(rng.binomial(truth.size, with_disease / truth.size))
            yield DrawCounts(
                _counts(rng, with_disease, drawn), _counts(rng, without, truth.size - drawn)
            )

    def _patient_draws(
        self, rng: np.random.Generator, truth: NDArray[np.bool_], patients: NDArray[np.intp]
    ) -> Iterator[DrawCounts]:
        if patients.shape != truth.shape:
            raise ParameterError("patients", "Resampling.draws", "one for each case", patients)
        _, number = np.unique(patients, return_inverse=True)
        positive_scans = np.bincount(number, weights=truth)
        scans = np.bincount(number)
        kind = np.where(positive_scans == 0, 0, np.where(positive_scans == scans, 2, 1))
        strata = [np.flatnonzero(kind == one) for one in range(3)]
        if not self.stratified:
            strata = [np.arange(scans.size)]
        for _ in range(self.resamples):
            drawn = np.zeros(scans.size, dtype=np.int64)
            for members in strata:
                drawn[members] = _counts(rng, members.size, members.size)
            per_case = drawn[number]
            yield DrawCounts(per_case[truth], per_case[~truth])

    def scan_draws(
        self, count: int, patients: NDArray[np.intp] | None
    ) -> Iterator[NDArray[np.intp]]:
        """Draw scans with replacement, whatever their classes.

        Args:
            count: number of scans.
            patients: number of each scan's patient, (scans,), or `None` where each has one
                scan; patients are then drawn, with all their scans.

        Yields:
            Indices of the drawn scans, repeated as often as they were drawn.

        Raises:
            ParameterError: not one patient for each scan.

        Examples:
            >>> drawn = next(Resampling().scan_draws(4, np.array([0, 0, 1, 1])))
            >>> drawn.size
            4
        """
        rng = np.random.default_rng(self.seed)
        if patients is None:
            for _ in range(self.resamples):
                yield rng.integers(count, size=count)
            return
        if np.shape(patients) != (count,):
            got = np.shape(patients)
            raise ParameterError("patients", "Resampling.scan_draws", "one for each scan", got)
        names, number = np.unique(patients, return_inverse=True)
        scans = [np.flatnonzero(number == one) for one in range(names.size)]
        for _ in range(self.resamples):
            drawn = rng.integers(names.size, size=names.size)
            yield np.concatenate([scans[one] for one in drawn])

    def estimate(self, value: float, resampled: NDArray[np.float64], note: str = "") -> Estimate:
        """A figure with its percentile interval.

        Args:
            value: the figure on the original cases.
            resampled: (resamples,), NaN where undefined; those are left out and noted.
            note: a further note.
        """
        low, high, said = percentiles(resampled, self.level)
        joined = "; ".join(text for text in (note, said) if text)
        return Estimate(
            value=value, low=low, high=high, level=self.level, method=self.method, note=joined
        )


def _counts(rng: np.random.Generator, size: int, draws: int) -> NDArray[np.int64]:
    if size == 0:
        return np.zeros(0, dtype=np.int64)
    return np.bincount(rng.integers(size, size=draws, dtype=np.int32), minlength=size)


def percentiles(values: NDArray[np.float64], level: float) -> tuple[float, float, str]:
    """Ends of the percentile interval, and a note on undefined or infinite resamples.

    Examples:
        >>> percentiles(np.arange(101.0), 0.9)[2]
        ''
    """
    sound = values[~np.isnan(values)]
    if sound.size < 2:
        return np.nan, np.nan, "undefined in all resamples"
    tails = [50 * (1 - level), 50 * (1 + level)]
    # Between two infinite values (a likelihood ratio's) nothing can be interpolated.
    finite = bool(np.isfinite(sound).all())
    low, high = np.percentile(sound, tails, method="linear" if finite else "nearest")
    lost, endless = values.size - sound.size, int(np.isinf(sound).sum())
    said = [f"undefined in {lost} resamples"] if lost else []
    if np.isinf([low, high]).any():
        said.append(f"infinite in {endless} resamples: an end cannot be estimated")
    return float(low), float(high), "; ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SortedCases:
    """Cases sorted by score once, so that figures of a resample need no sorting.

    Attributes:
        positive_order: order of the positive cases, ascending, (positives,).
        negative_order: order of the negative cases, (negatives,).
        positive_scores: sorted.
        negative_scores: sorted.
        below: for each sorted positive case, negatives with a lower score.
        not_above: for each, negatives with a lower or equal score.
        first: for each, the first positive with an equal score.
    """

    positive_order: NDArray[np.intp]
    negative_order: NDArray[np.intp]
    positive_scores: NDArray[np.float64]
    negative_scores: NDArray[np.float64]
    below: NDArray[np.intp]
    not_above: NDArray[np.intp]
    first: NDArray[np.intp]
    _tied: bool

    @classmethod
    def of(cls, cases: ScoredCases) -> SortedCases:
        """Sort the cases of each class by score.

        Raises:
            ParameterError: one class only.
        """
        cases.require_both_classes("SortedCases.of")
        positive, negative = cases.scores[cases.positive], cases.scores[~cases.positive]
        positive_order = np.argsort(positive, kind="stable")
        negative_order = np.argsort(negative, kind="stable")
        positive, negative = positive[positive_order], negative[negative_order]
        below = np.searchsorted(negative, positive, side="left")
        not_above = np.searchsorted(negative, positive, side="right")
        return cls(
            positive_order=positive_order,
            negative_order=negative_order,
            positive_scores=positive,
            negative_scores=negative,
            below=below,
            not_above=not_above,
            first=np.searchsorted(positive, positive, side="left"),
            _tied=not np.array_equal(below, not_above),
        )

    @property
    def whole(self) -> DrawCounts:
        """Every case counted once: the original cases."""
        return DrawCounts(
            np.ones(self.positive_order.size, np.int64), np.ones(self.negative_order.size, np.int64)
        )

    def sort(self, draw: DrawCounts) -> DrawCounts:
        """Counts in the order of the scores."""
        return DrawCounts(draw.positive[self.positive_order], draw.negative[self.negative_order])

    def area(self, counts: DrawCounts) -> float:
        """Area under the ROC curve of a resample: the Mann-Whitney statistic; ties count half.

        Args:
            counts: sorted, as `sort` gives them.

        Returns:
            The area; NaN where a class was not drawn.
        """
        lower = np.concatenate([[0], np.cumsum(counts.negative)])
        pairs = int(counts.positive.sum()) * int(lower[-1])
        if not pairs:
            return float("nan")
        ranked = lower[self.below]
        if not self._tied:
            return int(counts.positive @ ranked) / pairs
        return int(counts.positive @ (ranked + lower[self.not_above])) / (2 * pairs)

    def called(self, counts: DrawCounts, threshold: float) -> tuple[int, int]:
        """True and false positives of a resample: drawn cases that score at least `threshold`."""
        true = int(counts.positive[np.searchsorted(self.positive_scores, threshold) :].sum())
        false = int(counts.negative[np.searchsorted(self.negative_scores, threshold) :].sum())
        return true, false

    def average_precision(self, counts: DrawCounts) -> float:
        """Average precision of a resample: the mean precision at the positive cases drawn."""
        lower = np.concatenate([[0], np.cumsum(counts.negative)])
        drawn = np.concatenate([[0], np.cumsum(counts.positive)])
        if drawn[-1] == 0:
            return float("nan")
        true = drawn[-1] - drawn[self.first]
        false = lower[-1] - lower[self.below]
        there = counts.positive > 0
        precision = true[there] / (true[there] + false[there])
        return float(counts.positive[there] @ precision) / float(drawn[-1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resampled:
    """Figures of the original cases and of every resample.

    Attributes:
        names: names of the figures in code.
        words: names of the figures in reports.
        values: figures of the original cases, (figures,).
        drawn: figures of the resamples, (resamples, figures).
        resampling: how resamples were drawn.
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
    """Bootstrap the areas and the figures at an operating point, on the same resamples.

    Args:
        cases: cases of both classes.
        threshold: a case is called positive if its score is at least this.
        resampling: how to draw; patients are drawn where cases name them.

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


def _figures(ranked: SortedCases, counts: DrawCounts, threshold: float) -> NDArray[np.float64]:
    """The figures in the order of `_FIGURES`; NaN where one is undefined."""
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
