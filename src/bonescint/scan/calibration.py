"""Turn a network's logit into a probability by one straight line on the logit scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from bonescint.scan.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlattCalibration:
    """Platt's map (Advances in Large Margin Classifiers 1999): logit = intercept + slope x margin.

    The margin is the network's logit of the disease minus that of its absence. A temperature
    (Guo et al., ICML 2017) is the special case of slope 1 / temperature and intercept 0. The slope
    is above 0, so no two scans change their order, and no area under a curve changes.

    Attributes:
        slope: above 0; below 1 the network was too sure of itself.
        intercept: added to the logit; negative where the network said disease too often.

    Raises:
        ParameterError: a slope that is not above 0, or a number that is not finite.

    Examples:
        >>> PlattCalibration(slope=0.5, intercept=-1.0).probability(2.0)
        0.5
        >>> PlattCalibration().probability(0.0)
        0.5
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.slope < math.inf:
            raise ParameterError("slope", "PlattCalibration", "above 0", self.slope)
        if not math.isfinite(self.intercept):
            raise ParameterError("intercept", "PlattCalibration", "a finite number", self.intercept)

    @overload
    def probability(self, margin: float) -> float: ...

    @overload
    def probability(self, margin: NDArray[np.float64]) -> NDArray[np.float64]: ...

    def probability(self, margin: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """The probability of disease, 0 to 1.

        Args:
            margin: logit of the disease minus the other one, one or an array of any shape;
                infinity gives 1.
        """
        logit = self.intercept + self.slope * np.asarray(margin, dtype=np.float64)
        small = np.exp(-np.abs(logit))  # never overflows
        found = np.where(logit >= 0, 1.0, small) / (1.0 + small)
        return found if isinstance(margin, np.ndarray) else float(found)

    def margin(self, probability: float) -> float:
        """The margin that gives a probability: the inverse of `probability`.

        Args:
            probability: 0 to 1; both ends are infinitely far.

        Examples:
            >>> PlattCalibration(slope=0.5, intercept=-1.0).margin(0.5)
            2.0
        """
        if not 0 < probability < 1:
            return math.inf if probability >= 1 else -math.inf
        return (math.log(probability / (1 - probability)) - self.intercept) / self.slope

    def then(self, other: PlattCalibration) -> PlattCalibration:
        """This map followed by another one on the logits that it gives.

        Examples:
            >>> first = PlattCalibration(slope=2.0, intercept=1.0)
            >>> first.then(PlattCalibration(slope=0.5, intercept=3.0))
            PlattCalibration(slope=1.0, intercept=3.5)
        """
        return PlattCalibration(
            slope=other.slope * self.slope,
            intercept=other.intercept + other.slope * self.intercept,
        )

    def moved_to(self, prevalence: float, *, fitted_at: float) -> PlattCalibration:
        """The same map for a population in which the disease is rarer or more frequent.

        Bayes' rule for a new prior (Saerens, Latinne and Decaestecker, Neural Comput
        2002;14:21): the intercept grows by logit(prevalence) - logit(fitted_at). It holds where
        scans with disease look as they did, and scans without, and only their share differs.

        Args:
            prevalence: share of scans with disease where the model will be used.
            fitted_at: share of them among the scans that this map was fitted to.

        Raises:
            ParameterError: a share that is not between 0 and 1.

        Examples:
            >>> PlattCalibration().moved_to(0.2, fitted_at=0.5).probability(0.0)
            0.2
        """
        for name, share in (("prevalence", prevalence), ("fitted_at", fitted_at)):
            if not 0 < share < 1:
                raise ParameterError(name, "PlattCalibration.moved_to", "between 0 and 1", share)
        odds = prevalence / (1 - prevalence) / (fitted_at / (1 - fitted_at))
        return PlattCalibration(slope=self.slope, intercept=self.intercept + math.log(odds))


UNCALIBRATED = PlattCalibration()
"""The margin itself is the logit."""
