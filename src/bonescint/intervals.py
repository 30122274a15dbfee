"""An estimate with its interval: what every figure of an evaluation is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure, the interval around it, and the method of both.

    Attributes:
        value: the figure; not a number where it is undefined, and then `note` says why.
        low: lower end of the interval; not a number where it is undefined.
        high: upper end.
        level: coverage that the interval is meant to have, such as 0.95.
        method: of the interval, such as `"DeLong"`.
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
