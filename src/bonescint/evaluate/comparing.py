"""Two models on the same cases: paired differences with intervals and tests."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from bonescint.evaluate.bootstrap import Resampling, resampled
from bonescint.evaluate.metrics import INFINITE
from bonescint.evaluate.roc import StructuralComponents
from bonescint.evaluate.scored import ScoredCases, case_patients, summed
from bonescint.intervals import Estimate, mcnemar_p, normal_quantile, paired_difference
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A paired difference, first minus second.

    Attributes:
        name: name of the compared figure in code.
        words: its name in reports.
        first: the first model's figure.
        second: the second model's figure.
        difference: the difference with its interval.
        p_value: p value of the hypothesis of no difference; NaN if undefined.
        test: name of the test.
    """

    name: str
    words: str
    first: float
    second: float
    difference: Estimate
    p_value: float
    test: str


def compare_areas(first: ScoredCases, second: ScoredCases, *, level: float = 0.95) -> Comparison:
    """Paired difference of areas under the ROC curve (DeLong et al., Biometrics 1988;44:837).

    Where patients have several cases: Obuchowski, Biometrics 1997;53:567. The ends are cut at -1
    and 1.

    Args:
        first: cases as the first model scores them.
        second: the same cases, scored by the second.
        level: coverage of the interval.

    Raises:
        ParameterError: other cases, or one class only.

    Examples:
        >>> truth = np.arange(40) % 2 == 0
        >>> rng = np.random.default_rng(1)
        >>> better = ScoredCases(scores=rng.normal(2.0 * truth), positive=truth)
        >>> worse = ScoredCases(scores=rng.normal(0.5 * truth), positive=truth)
        >>> compare_areas(better, worse).p_value < 0.05
        True
    """
    _same_cases(first, second, "compare_areas")
    first.require_both_classes("compare_areas")
    components = StructuralComponents.of(
        np.stack([first.scores, second.scores]), first.positive, first.patients
    )
    one, other = (float(area) for area in components.areas)
    weights = np.array([1.0, -1.0])
    variance = float(weights @ components.covariance @ weights)
    difference, p_value = one - other, math.nan
    method = "DeLong" if first.patients is None else "DeLong by patient (Obuchowski 1997)"
    if not math.isfinite(variance) or variance < 1e-15:
        note = "the difference has no variance: no interval" if one != other else "no difference"
        estimate = Estimate(value=difference, level=level, method=method, note=note)
    else:
        half = normal_quantile(level) * math.sqrt(variance)
        p_value = 2 * float(ndtr(-abs(difference) / math.sqrt(variance)))
        low, high = max(difference - half, -1.0), min(difference + half, 1.0)
        estimate = Estimate(value=difference, low=low, high=high, level=level, method=method)
    return Comparison(
        name="roc_auc_score",
        words="Area under the ROC curve",
        first=one,
        second=other,
        difference=estimate,
        p_value=p_value,
        test=f"{method}, paired",
    )


def compare_calls(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    *,
    name: str,
    words: str,
    level: float = 0.95,
    patients: NDArray[np.intp] | None = None,
) -> Comparison:
    """Paired difference of two shares: McNemar's exact test, Newcombe's interval.

    McNemar, Psychometrika 1947;12:153, as a binomial test of the discordant pairs; Newcombe,
    Stat Med 1998;17:2635, method 10 (Wilson's intervals with the pairs' correlation). Where
    patients have several cases: a normal test of the sum of differences with a variance clustered
    by patient (after Obuchowski, Stat Med 1998;17:1495), and Newcombe's interval for the number
    of pairs divided by the design effect.

    Args:
        first: bool (cases,), whether the first model is right (or calls) in each case.
        second: the same for the second model.
        name: name of the share in code.
        words: its name in reports.
        level: coverage of the interval.
        patients: number of each case's patient, (cases,), where some have several.

    Raises:
        ParameterError: arrays of different length.

    Examples:
        >>> first = np.array([True] * 9 + [False])
        >>> second = np.array([True] * 3 + [False] * 7)
        >>> found = compare_calls(first, second, name="sensitivity_score", words="Sensitivity")
        >>> found.difference.value, found.p_value
        (0.6, 0.03125)
    """
    one, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if one.shape != other.shape or one.ndim != 1:
        raise ParameterError("second", "compare_calls", "of the same cases", other.shape)
    total = int(one.size)
    both, only_one = int((one & other).sum()), int((one & ~other).sum())
    only_other = int((~one & other).sum())
    neither = total - both - only_one - only_other
    effect, p_value = 1.0, mcnemar_p(only_one, only_other)
    test = "McNemar, exact"
    if patients is not None:
        effect, p_value = _by_patient(one.astype(float) - other, patients)
        test = "McNemar by patient (Obuchowski 1998)"
    return Comparison(
        name=name,
        words=words,
        first=float(one.mean()) if total else math.nan,
        second=float(other.mean()) if total else math.nan,
        difference=paired_difference(
            both, only_one, only_other, neither, level=level, effect=effect
        ),
        p_value=p_value,
        test=test,
    )


def _by_patient(
    differences: NDArray[np.float64], patients: NDArray[np.intp]
) -> tuple[float, float]:
    """The design effect of the pairs, and the p value of the hypothesis of no difference."""
    of_each, pairs = summed(differences, patients), summed(np.ones(differences.size), patients)
    if not of_each.any():  # nothing shows how dependent a patient's pairs are: fully
        return float((pairs**2).sum() / max(pairs.sum(), 1.0)), 1.0
    residuals = differences - differences.mean()
    alone = float((residuals**2).sum())
    effect = float((summed(residuals, patients) ** 2).sum()) / alone if alone else 1.0
    statistic = float(of_each.sum()) / math.sqrt(float((of_each**2).sum()))
    return max(1.0, effect), 2 * float(ndtr(-abs(statistic)))


def compare_by_resampling(
    first: ScoredCases,
    second: ScoredCases,
    thresholds: tuple[float, float],
    resampling: Resampling,
) -> tuple[Comparison, ...]:
    """Bootstrap of the difference: the same resamples for both models.

    Args:
        first: cases as the first model scores them.
        second: the same cases, scored by the second.
        thresholds: the operating point of each.
        resampling: how to draw; patients are drawn where cases name them.

    Returns:
        A comparison for each figure of `resampled`. Where a ratio is infinite, the difference is
        undefined; where so many resamples are infinite that an end of the interval would be,
        there is no interval. The p value is twice the smaller share of resamples on one side of
        0, at least 2 / (resamples + 1).

    Raises:
        ParameterError: other cases, or one class only.
    """
    _same_cases(first, second, "compare_by_resampling")
    # The same seed and the same truth: the draws are the same, case by case.
    one, other = (
        resampled(cases, threshold, resampling)
        for cases, threshold in zip((first, second), thresholds, strict=True)
    )
    found = []
    with np.errstate(invalid="ignore"):
        drawn = one.drawn - other.drawn
        values = one.values - other.values
    for column, (name, words) in enumerate(zip(one.names, one.words, strict=True)):
        found.append(
            Comparison(
                name=name,
                words=words,
                first=float(one.values[column]),
                second=float(other.values[column]),
                difference=_finite(resampling.estimate(float(values[column]), drawn[:, column])),
                p_value=_two_sided(drawn[:, column]),
                test=resampling.method,
            )
        )
    return tuple(found)


def _finite(difference: Estimate) -> Estimate:
    """A difference without infinite ends; undefined where a ratio is infinite."""
    if not difference.defined:
        return replace(difference, value=math.nan, low=math.nan, high=math.nan, note=INFINITE)
    if math.isfinite(difference.low) and math.isfinite(difference.high):
        return difference
    return replace(difference, low=math.nan, high=math.nan)


def _two_sided(differences: NDArray[np.float64]) -> float:
    sound = differences[~np.isnan(differences)]
    if not sound.size:
        return math.nan
    tail = min(int((sound <= 0).sum()), int((sound >= 0).sum())) + 1
    return min(1.0, 2 * tail / (sound.size + 1))


def compare_models(
    first: ScoredCases,
    second: ScoredCases,
    thresholds: tuple[float, float],
    *,
    level: float = 0.95,
) -> tuple[Comparison, ...]:
    """Areas, sensitivity, specificity and accuracy of two models, paired, in closed form.

    Args:
        first: cases as the first model scores them.
        second: the same cases, scored by the second.
        thresholds: the operating point of each.
        level: coverage of the intervals.

    Raises:
        ParameterError: other cases, or one class only.
    """
    _same_cases(first, second, "compare_models")
    truth = first.positive
    called = [
        cases.scores >= threshold
        for cases, threshold in zip((first, second), thresholds, strict=True)
    ]
    right = [calls == truth for calls in called]
    shares = (
        ("sensitivity_score", "Sensitivity", truth),
        ("specificity_score", "Specificity", ~truth),
        ("accuracy_score", "Accuracy", np.ones_like(truth)),
    )
    return (
        compare_areas(first, second, level=level),
        *(
            compare_calls(
                right[0][chosen],
                right[1][chosen],
                name=name,
                words=words,
                level=level,
                patients=None if first.patients is None else first.patients[chosen],
            )
            for name, words, chosen in shares
        ),
    )


def _same_cases(first: ScoredCases, second: ScoredCases, owner: str) -> None:
    one, other = (case_patients(cases) for cases in (first, second))
    if not np.array_equal(first.positive, second.positive) or not np.array_equal(one, other):
        got = f"{second.count} cases, {second.positives} with disease"
        requirement = f"the first model's {first.count} cases in their order"
        raise ParameterError("second", owner, requirement, got)
