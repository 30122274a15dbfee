"""A figure with its interval, and the closed-form intervals of shares."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from scipy.special import ndtri
from scipy.stats import beta, binomtest

from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure, the interval around it, and the method of both.

    Attributes:
        value: the figure; NaN where it is undefined, and then `note` says why.
        low: lower end of the interval; NaN where it is undefined.
        high: upper end.
        level: coverage that the interval is meant to have, such as 0.95.
        method: method of the interval, such as `"DeLong"`.
        note: what a reader of the figure has to know; empty if nothing.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    level: float = 0.95
    method: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ParameterError("level", "Estimate", "between 0 and 1", self.level)
        if self.low > self.high:
            got = (self.low, self.high)
            raise ParameterError("low", "Estimate", "no higher than 'high'", got)

    @property
    def defined(self) -> bool:
        """Whether there is a figure at all."""
        return math.isfinite(self.value)

    def text(self, digits: int = 3) -> str:
        """For people: the figure and its interval.

        Examples:
            >>> Estimate(value=0.8966, low=0.85, high=0.93).text()
            '0.897 (0.850 to 0.930)'
            >>> Estimate(value=math.nan, note="no positive case").text()
            'undefined: no positive case'
            >>> Estimate(value=0.5, low=0.1, high=math.inf).text(1)
            '0.5 (0.1 to not estimable)'
            >>> Estimate(value=0.0, low=-1e-9, high=0.1).text(1)
            '0.0 (0.0 to 0.1)'
        """
        if not self.defined:
            return f"undefined: {self.note}" if self.note else "undefined"
        figure = f"{self.value:z.{digits}f}"
        if math.isnan(self.low) or math.isnan(self.high):
            return figure
        ends = (
            f"{end:z.{digits}f}" if math.isfinite(end) else "not estimable"
            for end in (self.low, self.high)
        )
        return f"{figure} ({' to '.join(ends)})"

    def as_dict(self) -> dict[str, Any]:
        """For JSON, at full precision; what is undefined becomes `None`.

        Examples:
            >>> Estimate(value=0.5, method="exact").as_dict()["low"] is None
            True
        """
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


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
        successes: number of successes.
        total: number of cases.
        level: coverage of the interval.
        nobody: the note if `total` is 0.
        effect: the design effect where patients have several cases; the number of cases is
            divided by it.

    Raises:
        ParameterError: negative numbers, or more successes than cases.

    Examples:
        >>> share(42, 50).text()
        '0.840 (0.715 to 0.917)'
        >>> share(0, 0, nobody="no positive case").text()
        'undefined: no positive case'
    """
    require_count(successes, total, "share")
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
        successes: number of successes.
        total: number of cases.
        level: coverage of the interval.
        nobody: the note if `total` is 0.
        effect: as `share` (Korn and Graubard, Surv Methodol 1998;24:193).

    Raises:
        ParameterError: negative numbers, or more successes than cases.

    Examples:
        >>> exact_share(42, 50).text()
        '0.840 (0.709 to 0.928)'
    """
    require_count(successes, total, "exact_share")
    method = "Clopper-Pearson" if effect == 1 else "Clopper-Pearson, by patient"
    if total == 0:
        return Estimate(value=math.nan, level=level, method=method, note=nobody)
    tail = (1 - level) / 2
    hits, misses = successes / effect, (total - successes) / effect
    low = 0.0 if successes == 0 else float(beta.ppf(tail, hits, misses + 1))
    high = 1.0 if successes == total else float(beta.ppf(1 - tail, hits + 1, misses))
    return Estimate(value=successes / total, low=low, high=high, level=level, method=method)


def paired_difference(
    both: int,
    only_one: int,
    only_other: int,
    neither: int,
    *,
    level: float = 0.95,
    effect: float = 1.0,
) -> Estimate:
    """Difference of two shares of the same cases, with Newcombe's interval.

    Method 10 of Newcombe, Stat Med 1998;17:2635: square-and-add of Wilson's intervals, with the
    correlation corrected for continuity.

    Args:
        both: cases that both get right.
        only_one: cases that only the first gets right.
        only_other: cases that only the second gets right.
        neither: cases that neither gets right.
        level: coverage of the interval.
        effect: as `share`.

    Examples:
        >>> paired_difference(40, 8, 3, 9).text()
        '0.083 (-0.029 to 0.195)'
    """
    total = both + only_one + only_other + neither
    method = "Newcombe, paired" if effect == 1 else "Newcombe, paired, by patient"
    if total == 0:
        return Estimate(value=math.nan, level=level, method=method, note="no case")
    one, other = (
        share(both + only, total, level=level, effect=effect) for only in (only_one, only_other)
    )
    rows = (both + only_one) * (only_other + neither)
    columns = (both + only_other) * (only_one + neither)
    phi = 0.0
    if rows and columns:
        cross = float(both * neither - only_one * only_other)
        if cross > 0:
            cross = max(cross - effect * total / 2, 0.0)
        phi = cross / math.sqrt(rows * columns)
    difference = (only_one - only_other) / total
    down_one, up_other = one.value - one.low, other.high - other.value
    up_one, down_other = one.high - one.value, other.value - other.low
    below = down_one**2 - 2 * phi * down_one * up_other + up_other**2
    above = up_one**2 - 2 * phi * up_one * down_other + down_other**2
    return Estimate(
        value=difference,
        low=difference - math.sqrt(max(below, 0)),
        high=difference + math.sqrt(max(above, 0)),
        level=level,
        method=method,
    )


def mcnemar_p(only_one: int, only_other: int) -> float:
    """McNemar's exact test that two shares of the same cases are equal, two-sided.

    A binomial test of the cases that differ: McNemar, Psychometrika 1947;12:153.

    Args:
        only_one: cases that only the first gets right.
        only_other: cases that only the second gets right.

    Examples:
        >>> mcnemar_p(3, 0), mcnemar_p(0, 0)
        (0.25, 1.0)
    """
    differing = only_one + only_other
    return float(binomtest(only_one, differing).pvalue) if differing else 1.0


def require_count(successes: int, total: int, owner: str) -> None:
    """Refuse counts that are no part of a whole."""
    if not 0 <= successes <= total:
        got = f"{successes} of {total}"
        raise ParameterError("successes", owner, "from 0 to 'total'", got)
