"""Agreement of readers beyond chance, and McNemar's test of two readers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bonescint.intervals import Estimate, mcnemar_p, normal_quantile, paired_difference, share
from bonescint.mrmc.results import Result, chosen
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar(Result):
    """McNemar's test of two shares on the same cases.

    Attributes:
        first_only: cases where only the first is right (or says yes).
        second_only: cases where only the second is.
        both: cases where both are.
        neither: cases where neither is.
        p_exact: two-sided p value of the exact binomial test.
        p_mid: two-sided mid-p value, less conservative: Fagerland et al., BMC Med Res Methodol
            2013;13:91.
        x2: chi-square with continuity correction, `(|b - c| - 1)^2 / (b + c)`; NaN without
            discordant cases.
        p_x2: p value of `x2`.
        difference: difference of the two shares, first minus second, with Newcombe's interval for
            paired shares (`paired_difference`).
    """

    first_only: int
    second_only: int
    both: int
    neither: int
    p_exact: float
    p_mid: float
    x2: float
    p_x2: float
    difference: Estimate


def mcnemar(first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> McNemar:
    """Test whether two readers decide yes (or correctly) equally often on the same cases.

    McNemar, Psychometrika 1947;12:153.

    Args:
        first: bool (cases,).
        second: bool (cases,).
        level: coverage of the interval of the difference.

    Raises:
        ParameterError: no case, or not the same number.

    Examples:
        >>> found = mcnemar([1, 1, 1, 0, 1], [1, 0, 0, 0, 0])
        >>> found.first_only, found.p_exact
        (3, 0.25)
    """
    a, b = _decisions(first, second, "mcnemar")
    first_only, second_only = int((a & ~b).sum()), int((~a & b).sum())
    both, neither = int((a & b).sum()), int((~a & ~b).sum())
    discordant = first_only + second_only
    exact = mid = mcnemar_p(first_only, second_only)
    if discordant:
        observed = float(stats.binom.pmf(first_only, discordant, 0.5))
        # Equal counts are in both tails of the exact test, whose p value is 1, not 1 + observed.
        mid -= observed / 2 if first_only == second_only else observed
    x2 = math.nan
    if discordant:
        x2 = float(max(abs(first_only - second_only) - 1, 0)) ** 2 / discordant
    return McNemar(
        first_only=first_only,
        second_only=second_only,
        both=both,
        neither=neither,
        p_exact=exact,
        p_mid=mid,
        x2=x2,
        p_x2=float(stats.chi2.sf(x2, 1)) if discordant else 1.0,
        difference=paired_difference(both, first_only, second_only, neither, level=level),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryAgreement(Result):
    """How often two readers make the same decision.

    Attributes:
        overall: share of cases on which they agree, with Wilson's interval.
        positive: positive agreement, `2a / (2a + b + c)` with a cases that both call positive and
            b + c that one does (Cicchetti and Feinstein, J Clin Epidemiol 1990;43:551); NaN if
            there are none.
        negative: negative agreement, the same for negative calls.
    """

    overall: Estimate
    positive: float
    negative: float


def binary_agreement(
    first: ArrayLike, second: ArrayLike, *, level: float = 0.95
) -> BinaryAgreement:
    """Compute how often two readers make the same decision.

    Args:
        first: bool (cases,).
        second: bool (cases,).
        level: coverage of the interval.

    Examples:
        >>> binary_agreement([1, 1, 0, 0], [1, 0, 0, 0]).overall.value
        0.75
    """
    a, b = _decisions(first, second, "binary_agreement")
    both, neither, apart = int((a & b).sum()), int((~a & ~b).sum()), int((a != b).sum())
    return BinaryAgreement(
        overall=share(both + neither, a.size, level=level),
        positive=2 * both / (2 * both + apart) if both + apart else math.nan,
        negative=2 * neither / (2 * neither + apart) if neither + apart else math.nan,
    )


def _decisions(
    first: ArrayLike, second: ArrayLike, owner: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise ParameterError("first", owner, "one for each case of 'second'", (a.shape, b.shape))
    return a, b


class KappaWeights(StrEnum):
    """How much partial agreement counts."""

    NONE = "none"
    LINEAR = "linear"
    QUADRATIC = "quadratic"


def cohen_kappa(
    first: ArrayLike,
    second: ArrayLike,
    *,
    weights: KappaWeights = KappaWeights.NONE,
    level: float = 0.95,
) -> Estimate:
    """Agreement of two ratings of the same cases beyond chance.

    Cohen, Educ Psychol Meas 1960;20:37; weighted: Psychol Bull 1968;70:213; standard error:
    Fleiss, Cohen and Everitt, Psychol Bull 1969;72:323. Weights depend on the ranks of the
    categories that occur, not on their values.

    Args:
        first: (cases,), categories.
        second: (cases,), categories.
        weights: weights of partial agreement.
        level: coverage of the interval.

    Returns:
        Kappa; undefined if only one category occurs.

    Examples:
        >>> cohen_kappa([1, 1, 0, 0], [1, 0, 0, 0]).value
        0.5
    """
    weights = chosen(KappaWeights, weights, "weights", "cohen_kappa")
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        got = (a.shape, b.shape)
        raise ParameterError("first", "cohen_kappa", "one for each case of 'second'", got)
    categories, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    count = len(categories)
    method = "Fleiss, Cohen and Everitt"
    if count < 2:
        note = "only one category occurs"
        return Estimate(value=math.nan, level=level, method=method, note=note)
    table = np.zeros((count, count))
    np.add.at(table, (codes[: a.size], codes[a.size :]), 1 / a.size)
    distance = np.abs(np.subtract.outer(np.arange(count), np.arange(count))) / (count - 1)
    power = {KappaWeights.NONE: 0, KappaWeights.LINEAR: 1, KappaWeights.QUADRATIC: 2}[weights]
    agree = 1 - (distance**power if power else (distance > 0).astype(float))
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    observed, chance = float((agree * table).sum()), float(rows @ agree @ columns)
    if chance >= 1 - 1e-12:
        return Estimate(
            value=math.nan, level=level, method=method, note="no chance of disagreement"
        )
    kappa = (observed - chance) / (1 - chance)
    mean_row, mean_column = agree @ columns, agree.T @ rows
    inner = agree - (mean_row[:, None] + mean_column[None]) * (1 - kappa)
    variance = float((table * inner**2).sum()) - (kappa - chance * (1 - kappa)) ** 2
    se = math.sqrt(max(variance, 0.0) / a.size) / (1 - chance)
    return _with_interval(kappa, normal_quantile(level) * se, level, method)


def _with_interval(kappa: float, half: float, level: float, method: str) -> Estimate:
    low, high = max(kappa - half, -1.0), min(kappa + half, 1.0)
    return Estimate(value=kappa, low=low, high=high, level=level, method=method)


def fleiss_kappa(ratings: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Agreement of several readers beyond chance.

    Fleiss, Psychol Bull 1971;76:378; standard error, for an interval: jackknife over cases.

    Args:
        ratings: (readers, cases), categories; at least two readers.
        level: coverage of the interval.

    Examples:
        >>> round(fleiss_kappa([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]]).value, 4)
        0.6571
    """
    given = np.asarray(ratings)
    if given.ndim != 2 or given.shape[0] < 2 or not given.shape[1]:
        raise ParameterError("ratings", "fleiss_kappa", "of two readers or more", given.shape)
    categories, codes = np.unique(given, return_inverse=True)
    readers, cases = given.shape
    counts = np.stack(
        [(codes.reshape(given.shape) == code).sum(axis=0) for code in range(len(categories))],
        axis=1,
    )
    method = "jackknife over cases"
    agreement = ((counts**2).sum(axis=1) - readers) / (readers * (readers - 1))
    totals = counts.sum(axis=0)

    def kappa(of_cases: float, shares: NDArray[np.float64]) -> float:
        chance = float((shares**2).sum())
        return (of_cases - chance) / (1 - chance) if chance < 1 - 1e-12 else math.nan

    value = kappa(float(agreement.mean()), totals / totals.sum())
    if math.isnan(value):
        note = "only one category occurs"
        return Estimate(value=value, level=level, method=method, note=note)
    if cases < 3:
        return Estimate(value=value, level=level, method=method)
    left_out = np.array(
        [
            kappa(
                float((agreement.sum() - agreement[case]) / (cases - 1)),
                (totals - counts[case]) / (readers * (cases - 1)),
            )
            for case in range(cases)
        ]
    )
    se = math.sqrt((cases - 1) / cases * float(((left_out - left_out.mean()) ** 2).sum()))
    if math.isnan(se):
        return Estimate(value=value, level=level, method=method)
    half = float(stats.t.ppf((1 + level) / 2, cases - 1)) * se
    return _with_interval(value, half, level, method)
