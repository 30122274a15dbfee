"""Calibration of probabilities, Brier score and net benefit."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.bootstrap import Resampling
from bonescint.evaluate.logistic import fit_logistic, margins
from bonescint.evaluate.metrics import Confusion, positive_predictive_value_score
from bonescint.evaluate.scored import ScoredCases, mean_variance
from bonescint.intervals import Estimate, normal_quantile
from bonescint.scan import ParameterError

_BINS = 10


def brier_error(cases: ScoredCases, *, level: float = 0.95) -> Estimate:
    """Mean squared difference of probability and truth (Brier, Mon Weather Rev 1950;78:1).

    The interval is that of a mean over cases (or of sums over patients), cut at 0 and 1.

    Raises:
        ParameterError: scores that are no probabilities.

    Examples:
        >>> brier_error(ScoredCases(scores=[0.0, 0.5, 1.0], positive=[0, 1, 1])).text()
        '0.083 (0.000 to 0.247)'
    """
    cases.require_probabilities("brier_error")
    squares = (cases.scores - cases.positive) ** 2
    value, variance = float(squares.mean()), float(mean_variance(squares, cases.patients))
    over = "cases" if cases.patients is None else "patients"
    method = f"normal, of a mean over {over}, cut at 0 and 1"
    if not math.isfinite(variance):
        note = f"one {over.removesuffix('s')}: no interval"
        return Estimate(value=value, level=level, method=method, note=note)
    half = normal_quantile(level) * math.sqrt(variance)
    low, high = max(value - half, 0.0), min(value + half, 1.0)
    return Estimate(value=value, low=low, high=high, level=level, method=method)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrierParts:
    """Murphy's decomposition (J Appl Meteorol 1973;12:595): where the Brier score comes from.

    brier = reliability - resolution + uncertainty + within_bins

    Attributes:
        brier: the score.
        reliability: mean squared distance of the bins from the diagonal; 0 is best.
        resolution: variance of the bins' observed shares; larger is better.
        uncertainty: prevalence times (1 - prevalence), a property of the cases alone.
        within_bins: remainder, because probabilities vary within a bin (Stephenson et al.,
            Weather Forecast 2008;23:752).
    """

    brier: Estimate
    reliability: Estimate
    resolution: Estimate
    uncertainty: Estimate
    within_bins: Estimate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReliabilityBin:
    """Cases with similar probabilities.

    Attributes:
        lowest: lowest probability in the bin.
        highest: highest probability in the bin.
        predicted: mean probability.
        observed: share of cases with disease, Wilson's interval.
        count: number of cases.
    """

    lowest: float
    highest: float
    predicted: float
    observed: Estimate
    count: int


def bin_numbers(probabilities: NDArray[np.float64], bins: int = _BINS) -> NDArray[np.intp]:
    """Assign cases to bins of about equal size; equal probabilities share a bin.

    Args:
        probabilities: (cases,).
        bins: largest number of bins.

    Returns:
        Number of each case's bin, (cases,), from 0 without gaps.

    Raises:
        ParameterError: fewer than one bin.

    Examples:
        >>> bin_numbers(np.array([0.1, 0.1, 0.2, 0.9]), 2).tolist()
        [0, 0, 1, 1]
    """
    if bins < 1:
        raise ParameterError("bins", "bin_numbers", "at least 1", bins)
    order = np.argsort(probabilities, kind="stable")
    ranked = probabilities[order]
    first = np.searchsorted(ranked, ranked, side="left")  # of equal ones
    number = first * bins // probabilities.size
    numbers = np.empty(probabilities.size, dtype=np.intp)
    numbers[order] = np.unique(number, return_inverse=True)[1]
    return numbers


def reliability_curve(
    cases: ScoredCases, *, bins: int = _BINS, level: float = 0.95
) -> tuple[ReliabilityBin, ...]:
    """Observed share of disease against predicted probability, in bins of about equal size.

    Args:
        cases: scored by probabilities.
        bins: largest number of bins.
        level: coverage of Wilson's intervals.

    Raises:
        ParameterError: scores that are no probabilities.

    Examples:
        >>> cases = ScoredCases(scores=[0.1, 0.2, 0.8, 0.9], positive=[0, 0, 1, 1])
        >>> [(one.predicted, one.observed.value) for one in reliability_curve(cases, bins=2)]
        [(0.15000000000000002, 0.0), (0.8500000000000001, 1.0)]
    """
    cases.require_probabilities("reliability_curve")
    numbers = bin_numbers(cases.scores, bins)
    found = []
    for number in range(int(numbers.max()) + 1):
        part = cases.of(numbers == number)
        table = Confusion.of(part, -math.inf)
        scores = part.scores
        found.append(
            ReliabilityBin(
                lowest=float(scores.min()),
                highest=float(scores.max()),
                predicted=float(scores.mean()),
                observed=positive_predictive_value_score(table, level=level),
                count=part.count,
            )
        )
    return tuple(found)


def brier_parts(
    cases: ScoredCases, *, bins: int = _BINS, resampling: Resampling | None = None
) -> BrierParts:
    """Decompose the Brier score; intervals by resampling, keeping each case's bin.

    Args:
        cases: scored by probabilities.
        bins: largest number of bins, of about equal size.
        resampling: for the intervals; by default 2000 resamples, unstratified so that the
            prevalence varies. Patients are drawn where cases name them.

    Raises:
        ParameterError: scores that are no probabilities.
    """
    cases.require_probabilities("brier_parts")
    resampling = resampling or Resampling(stratified=False)
    numbers = bin_numbers(cases.scores, bins)
    size = int(numbers.max()) + 1
    squares = (cases.scores - cases.positive) ** 2
    terms = np.stack([np.ones(cases.count), cases.scores, cases.positive, squares])
    values = _parts(numbers, terms, size)
    drawn = np.empty((resampling.resamples, values.size))
    counts = np.empty(cases.count)
    for row, draw in enumerate(resampling.draws(cases.positive, cases.patients)):
        counts[cases.positive], counts[~cases.positive] = draw
        drawn[row] = _parts(numbers, terms * counts, size)
    names = [one.name for one in fields(BrierParts)]  # in the order of `_parts`
    estimates = [resampling.estimate(float(v), drawn[:, i]) for i, v in enumerate(values)]
    return BrierParts(**dict(zip(names, estimates, strict=True)))


def _parts(numbers: NDArray[np.intp], terms: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Brier score, reliability, resolution, uncertainty, rest.

    Args:
        numbers: bin of each case, (cases,).
        terms: weight of each case, and its probability, truth and squared error times that
            weight, (4, cases).
        size: number of bins.
    """
    sums = np.stack([np.bincount(numbers, weights=term, minlength=size) for term in terms])
    count, predicted, diseased, squares = sums[:, sums[0] > 0]
    total = count.sum()
    prevalence = diseased.sum() / total
    mean, observed = predicted / count, diseased / count
    brier = squares.sum() / total
    reliability = (count * (mean - observed) ** 2).sum() / total
    resolution = (count * (observed - prevalence) ** 2).sum() / total
    uncertainty = prevalence * (1 - prevalence)
    rest = brier - reliability + resolution - uncertainty
    return np.array([brier, reliability, resolution, uncertainty, rest])


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationLine:
    """Truth regressed on the logit of the probability (Cox, Biometrika 1958;45:562).

    Attributes:
        slope: 1 is best; below 1 the model is overconfident, above 1 underconfident.
        intercept: intercept of the same regression; 0 is best where the slope is 1.
        in_the_large: intercept with the slope held at 1: above 0, disease is more frequent than
            predicted.
    """

    slope: Estimate
    intercept: Estimate
    in_the_large: Estimate


def calibration_line(cases: ScoredCases, *, level: float = 0.95) -> CalibrationLine:
    """Calibration slope and intercept with Wald's intervals.

    Steyerberg, Clinical Prediction Models 2019, chapter 15. Where patients have several cases,
    variances are those of sums over patients (Liang and Zeger, Biometrika 1986;73:13).
    Probabilities of 0 and 1 count as 1e-12 and 1 - 1e-12.

    Raises:
        ParameterError: one class only, or scores that are no probabilities.

    Examples:
        >>> rng = np.random.default_rng(2)
        >>> chance = rng.beta(1, 1, 4000)
        >>> line = calibration_line(ScoredCases(scores=chance, positive=rng.random(4000) < chance))
        >>> line.slope.low < 1 < line.slope.high
        True
    """
    cases.require_both_classes("calibration_line")
    cases.require_probabilities("calibration_line")
    logits = margins(cases.scores)
    ones = np.ones((cases.count, 1))
    alone = fit_logistic(ones, cases.positive, offset=logits, patients=cases.patients)
    large = _wald(alone.coefficients, alone.covariance, 0, level, sound=alone.converged)
    if np.ptp(logits) < 1e-12:
        none = Estimate(value=math.nan, level=level, method="Wald", note="all scores are equal")
        return CalibrationLine(slope=none, intercept=none, in_the_large=large)
    # Logits of a model that all but collapsed lie within 1e-5: fitted in units of their own spread.
    middle, spread = float(logits.mean()), float(logits.std())
    terms = np.column_stack([ones, (logits - middle) / spread])
    both = fit_logistic(terms, cases.positive, patients=cases.patients)
    back = np.array([[1.0, -middle / spread], [0.0, 1.0 / spread]])
    coefficients, covariance = back @ both.coefficients, back @ both.covariance @ back.T
    return CalibrationLine(
        slope=_wald(coefficients, covariance, 1, level, sound=both.converged),
        intercept=_wald(coefficients, covariance, 0, level, sound=both.converged),
        in_the_large=large,
    )


def _wald(
    coefficients: NDArray[np.float64],
    covariance: NDArray[np.float64],
    term: int,
    level: float,
    *,
    sound: bool,
) -> Estimate:
    if not sound:
        note = "the classes do not overlap: no finite line fits best"
        return Estimate(value=math.nan, level=level, method="Wald", note=note)
    value = float(coefficients[term])
    half = normal_quantile(level) * math.sqrt(float(covariance[term, term]))
    return Estimate(value=value, low=value - half, high=value + half, level=level, method="Wald")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecisionCurve:
    """Net benefit along threshold probabilities (Vickers and Elkin, Med Decis Making 2006;26:565).

    Net benefit, in true positives per case, is true positives minus false positives weighted by
    the odds of the threshold probability, at which a physician would just act.

    Attributes:
        thresholds: float64 (points,), threshold probabilities.
        model: net benefit of calling from the threshold on, (points,).
        low: lower end of its pointwise interval.
        high: upper end.
        everybody: net benefit of calling all, (points,).
        level: coverage of the interval.

    The net benefit of calling nobody is 0.
    """

    thresholds: NDArray[np.float64]
    model: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    everybody: NDArray[np.float64]
    level: float


def decision_curve(
    cases: ScoredCases, thresholds: NDArray[np.float64] | None = None, *, level: float = 0.95
) -> DecisionCurve:
    """Net benefit of a model with its pointwise interval.

    Net benefit is a mean over cases, and so is its interval (Sande et al., Stat Med
    2020;39:2980); where patients have several cases, it is clustered by patient.

    Args:
        cases: scored by calibrated probabilities.
        thresholds: threshold probabilities, between 0 and 1; 0.01 to 0.99 if not given.
        level: coverage of the interval.

    Raises:
        ParameterError: scores that are no probabilities, or a threshold outside (0, 1).

    Examples:
        >>> cases = ScoredCases(scores=[0.1, 0.2, 0.8, 0.9], positive=[0, 0, 1, 1])
        >>> decision_curve(cases, np.array([0.5])).model.tolist()
        [0.5]
    """
    cases.require_probabilities("decision_curve")
    at = np.arange(1, 100) / 100 if thresholds is None else np.asarray(thresholds, np.float64)
    if at.ndim != 1 or not ((at > 0) & (at < 1)).all():
        raise ParameterError("thresholds", "decision_curve", "between 0 and 1", thresholds)
    odds = at / (1 - at)
    benefit, variance = np.empty(at.size), np.empty(at.size)
    for place, (threshold, cost) in enumerate(zip(at, odds, strict=True)):
        gain = (cases.scores >= threshold) * np.where(cases.positive, 1.0, -cost)
        benefit[place], variance[place] = gain.mean(), mean_variance(gain, cases.patients)
    half = normal_quantile(level) * np.sqrt(variance)
    return DecisionCurve(
        thresholds=at,
        model=benefit,
        low=benefit - half,
        high=benefit + half,
        everybody=cases.prevalence - odds * (1 - cases.prevalence),
        level=level,
    )
