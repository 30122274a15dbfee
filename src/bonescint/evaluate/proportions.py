"""Closed-form intervals of shares and of their ratios."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import beta

from bonescint.evaluate.by_patient import design_effect
from bonescint.intervals import Estimate
from bonescint.scan import ParameterError

INFINITE = "infinite, for a count is 0"
"""Why a ratio is no number."""


def normal_quantile(level: float) -> float:
    """Standard deviations on either side that an interval of this level spans.

    Examples:
        >>> round(normal_quantile(0.95), 2)
        1.96
    """
    if not 0 < level < 1:
        raise ParameterError("level", "normal_quantile", "between 0 and 1", level)
    return float(ndtri(0.5 + level / 2))


def share(
    successes: int,
    total: int,
    *,
    level: float = 0.95,
    nobody: str = "no case",
    effect: float = 1.0,
) -> Estimate:
    """A share with Wilson's score interval (J Am Stat Assoc 1927;22:209).

    Brown, Cai and DasGupta (Stat Sci 2001;16:101) recommend it for its coverage.

    Args:
        successes: counted.
        total: out of how many.
        level: of the interval.
        nobody: what to say where `total` is 0.
        effect: `design_effect` where patients have several cases: as many times fewer cases are
            taken as independent.

    Raises:
        ParameterError: fewer than no, or more successes than cases.

    Examples:
        >>> share(42, 50).text()
        '0.840 (0.715 to 0.917)'
        >>> share(0, 0, nobody="no positive case").text()
        'undefined: no positive case'
    """
    _check(successes, total, "share")
    if total == 0:
        return Estimate(value=math.nan, level=level, method="Wilson", note=nobody)
    z = normal_quantile(level)
    value, count = successes / total, total / effect
    middle = (value + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count)
    half *= math.sqrt(value * (1 - value) / count + z * z / (4 * count * count))
    # Rounding must not leave an end on the wrong side of the value.
    low = 0.0 if successes == 0 else min(value, middle - half)
    high = 1.0 if successes == total else max(value, middle + half)
    method = "Wilson" if effect == 1 else "Wilson, by patient"
    return Estimate(value=value, low=low, high=high, level=level, method=method)


def exact_share(
    successes: int,
    total: int,
    *,
    level: float = 0.95,
    nobody: str = "no case",
    effect: float = 1.0,
) -> Estimate:
    """A share with Clopper and Pearson's interval (Biometrika 1934;26:404): never too narrow.

    Args:
        successes: counted.
        total: out of how many.
        level: of the interval.
        nobody: what to say where `total` is 0.
        effect: as `share` (Korn and Graubard, Surv Methodol 1998;24:193).

    Raises:
        ParameterError: fewer than no, or more successes than cases.

    Examples:
        >>> exact_share(42, 50).text()
        '0.840 (0.709 to 0.928)'
    """
    _check(successes, total, "exact_share")
    method = "Clopper-Pearson" if effect == 1 else "Clopper-Pearson, by patient"
    if total == 0:
        return Estimate(value=math.nan, level=level, method=method, note=nobody)
    tail = (1 - level) / 2
    hits, misses = successes / effect, (total - successes) / effect
    low = 0.0 if successes == 0 else float(beta.ppf(tail, hits, misses + 1))
    high = 1.0 if successes == total else float(beta.ppf(1 - tail, hits + 1, misses))
    return Estimate(value=successes / total, low=low, high=high, level=level, method=method)


def ratio_of_shares(
    first: tuple[int, int],
    second: tuple[int, int],
    *,
    level: float = 0.95,
    by_patient: NDArray[np.int64] | None = None,
) -> Estimate:
    """Ratio of two shares of different cases, interval by the log method.

    Simel, Samsa and Matchar, J Clin Epidemiol 1991;44:763 (likelihood ratios); Katz et al.,
    Biometrics 1978;34:469.

    Args:
        first: successes and total above the line.
        second: successes and total below it.
        level: of the interval.
        by_patient: the same four numbers of each patient, (patients, 4), where some have several
            cases; the variance of the logarithm is then that of sums over patients.

    Returns:
        The ratio. Where a count is 0 the logarithm has no spread: half a case is then added
        to both counts of successes and one to both totals, for the interval only (`note` says
        so); without successes below the line the ratio is infinite, so undefined.

    Examples:
        >>> ratio_of_shares((40, 50), (10, 50)).text(2)
        '4.00 (2.26 to 7.08)'
    """
    method = "log method" if by_patient is None else "log method, by patient"
    for successes, total in (first, second):
        _check(successes, total, "ratio_of_shares")
        if total == 0:
            return Estimate(value=math.nan, level=level, method=method, note="a class is empty")
    note = ""
    (above, above_total), (below, below_total) = first, second
    value = math.inf if below == 0 else (above / above_total) / (below / below_total)
    a, n, b, m = float(above), float(above_total), float(below), float(below_total)
    if above == 0 or below == 0:
        if by_patient is not None:  # as many cases as are independent
            one, other = (design_effect(by_patient[:, i], by_patient[:, i + 1]) for i in (0, 2))
            a, n, b, m = a / one, n / one, b / other, m / other
        a, n, b, m = a + 0.5, n + 1, b + 0.5, m + 1
        note = "a count is 0: half a case was added for the interval"
    z = normal_quantile(level)
    variance = 1 / a - 1 / n + 1 / b - 1 / m
    if by_patient is not None and not note:
        variance = float(((by_patient @ np.array([1 / a, -1 / n, -1 / b, 1 / m])) ** 2).sum())
    spread = math.sqrt(max(variance, 0.0))
    middle = math.log((a / n) / (b / m))
    low, high = math.exp(middle - z * spread), math.exp(middle + z * spread)
    if math.isinf(value):
        if above == 0:
            return Estimate(value=math.nan, level=level, method=method, note="0 over 0")
        said = f"{INFINITE}; at least {low:.2f}"
        return Estimate(
            value=math.inf, low=low, high=math.inf, level=level, method=method, note=said
        )
    return Estimate(
        value=value, low=min(low, value), high=high, level=level, method=method, note=note
    )


def _check(successes: int, total: int, owner: str) -> None:
    if not 0 <= successes <= total:
        got = f"{successes} of {total}"
        raise ParameterError("successes", owner, "from 0 to 'total'", got)
