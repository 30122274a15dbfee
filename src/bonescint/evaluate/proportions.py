"""Ratios of shares, with closed-form intervals."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate.by_patient import design_effect
from bonescint.intervals import Estimate, normal_quantile, require_count

INFINITE = "infinite, for a count is 0"
"""Why a ratio is no number."""


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
        require_count(successes, total, "ratio_of_shares")
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
