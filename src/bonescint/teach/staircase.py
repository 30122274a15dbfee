"""How faint a metastasis a learner still finds: a Bayesian staircase for each bone.

The probability that a metastasis of contrast-to-noise ratio `c` is found is Weibull's psychometric
function, `g + (1 - g - l) (1 - exp(-(c / a)^b))`, as in QUEST (Watson and Pelli, Percept Psychophys
1983;33:113). Threshold, slope `b` and lapse rate `l` have a joint posterior on a grid, and the next
ratio is the one that is expected to say most of the threshold (psi method, Kontsevich and Tyler,
Vision Res 1999;39:2729, with the other two integrated out: Prins, J Vis 2013;13(7):3). Learners
change: between two metastases the threshold takes a small random step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ParameterError

FOUND = 0.8
"""The share of metastases that are found at the threshold."""

_GUESS = 0.01  # a mark that was meant for something else; assumed
_SLOPES = np.array([1.0, 1.5, 2.0, 2.75, 3.75, 5.0])
_LAPSES = np.array([0.01, 0.04, 0.08, 0.12])
_LOG_THRESHOLDS = np.linspace(np.log(1.0), np.log(300.0), 141)
_PRIOR_MEDIAN, _PRIOR_SD = 12.0, 1.0
"""Of the threshold, and of its natural logarithm. Assumed: half an experienced reader's or double
is nothing unusual."""
_STEP_SD = 0.01
"""Standard deviation of the change of the threshold's logarithm from one metastasis to the next:
after a hundred a tenth. Assumed."""
_CANDIDATES = np.exp(np.linspace(np.log(2.0), np.log(100.0), 48))

_Array = NDArray[np.float64]


def found_probability(
    contrast_to_noise: float | _Array,
    threshold: float | _Array,
    slope: float | _Array,
    lapse: float | _Array,
) -> _Array:
    """Probability that a metastasis is found; at the threshold it is `FOUND`.

    Args:
        contrast_to_noise: of the metastasis.
        threshold: ratio at which the share `FOUND` is found.
        slope: exponent of Weibull's function.
        lapse: share that is missed however well it can be seen.

    Examples:
        >>> found_probability(12.0, 12.0, 2.0, 0.04).round(3)
        np.float64(0.8)
        >>> found_probability(np.array([0.0, 1e9]), 12.0, 2.0, 0.04).round(3)
        array([0.01, 0.96])
    """
    at_threshold = (FOUND - _GUESS) / (1 - _GUESS - lapse)
    scale = -np.log1p(-np.asarray(at_threshold))  # (c / a)^b at the threshold
    risen = -np.expm1(-scale * (contrast_to_noise / threshold) ** np.asarray(slope))
    return np.asarray(_GUESS + (1 - _GUESS - lapse) * risen)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFrom:
    """From which contrast-to-noise ratio on a learner finds metastases.

    Attributes:
        bone: the coarse region; empty for all bones together.
        value: median of the posterior of the threshold.
        low: lower end of the credible interval.
        high: upper end.
        level: its probability.
        lesions: number of metastases that it rests on.

    Examples:
        >>> FoundFrom(bone="ribs", value=12.3, low=9.1, high=15.8, level=0.95, lesions=40).text()
        'You find 80 % of metastases in the ribs from contrast-to-noise 12 (9 to 16) on.'
    """

    bone: str
    value: float
    low: float
    high: float
    level: float
    lesions: int

    def text(self) -> str:
        """The estimate as a sentence for the learner."""
        where = f" in the {self.bone}" if self.bone else ""
        return (
            f"You find {100 * FOUND:.0f} % of metastases{where} from contrast-to-noise "
            f"{self.value:.0f} ({self.low:.0f} to {self.high:.0f}) on."
        )


@lru_cache(1)
def _grid() -> tuple[_Array, _Array, _Array]:
    """Thresholds, slopes and lapse rates, in the shape of the posterior."""
    return (
        np.exp(_LOG_THRESHOLDS)[:, None, None],
        _SLOPES[None, :, None],
        _LAPSES[None, None, :],
    )


@lru_cache(1)
def _prior() -> _Array:
    away = (_LOG_THRESHOLDS - np.log(_PRIOR_MEDIAN)) / _PRIOR_SD
    density = np.exp(-(away**2) / 2)[:, None, None] * np.ones((1, _SLOPES.size, _LAPSES.size))
    return np.asarray(density / density.sum())


@lru_cache(1)
def _candidate_probabilities() -> _Array:
    """Probability that each candidate is found, (candidates, thresholds x slopes x lapses)."""
    rows = [found_probability(contrast, *_grid()).ravel() for contrast in _CANDIDATES]
    return np.stack(rows)


class Staircase:
    """What is known of one learner's threshold in one bone. Never changed; `after` gives another.

    Examples:
        >>> known = Staircase()
        >>> for contrast, found in ((40, True), (20, True), (8, False), (12, True)):
        ...     known = known.after(contrast, found=found)
        >>> estimate = known.estimate("ribs")
        >>> estimate.low < estimate.value < estimate.high, estimate.lesions
        (True, 4)
    """

    __slots__ = ("_posterior", "lesions")

    def __init__(self) -> None:
        self._posterior = _prior()
        self.lesions = 0
        """Number of metastases so far."""

    @classmethod
    def of(cls, lesions: Iterable[tuple[float, bool]]) -> Staircase:
        """After several metastases: the ratio of each, and whether it was found."""
        known = cls()
        for contrast, found in lesions:
            known = known.after(contrast, found=found)
        return known

    def after(self, contrast_to_noise: float, *, found: bool) -> Staircase:
        """What is known after one more metastasis.

        Raises:
            ParameterError: a ratio that is not above 0.
        """
        if not 0 < contrast_to_noise < np.inf:
            raise ParameterError("contrast_to_noise", "Staircase", "above 0", contrast_to_noise)
        chance = found_probability(contrast_to_noise, *_grid())
        joint = self._stepped() * (chance if found else 1 - chance)
        following = Staircase()
        following._posterior = joint / joint.sum()
        following.lesions = self.lesions + 1
        return following

    def _stepped(self) -> _Array:
        """The posterior after a random step of the threshold, which does not leave the grid."""
        share = (_STEP_SD / (_LOG_THRESHOLDS[1] - _LOG_THRESHOLDS[0])) ** 2 / 2
        held = np.pad(self._posterior, ((1, 1), (0, 0), (0, 0)), mode="edge")
        return np.asarray((1 - 2 * share) * self._posterior + share * (held[:-2] + held[2:]))

    @property
    def threshold_posterior(self) -> tuple[_Array, _Array]:
        """Thresholds (n,), and the probability of each (n,), which sum to 1."""
        return np.exp(_LOG_THRESHOLDS), self._posterior.sum(axis=(1, 2))

    def estimate(self, bone: str = "", *, level: float = 0.95) -> FoundFrom:
        """The threshold with its equal-tailed credible interval.

        Args:
            bone: the coarse region that the metastases were in; empty for all.
            level: probability of the interval.
        """
        _, mass = self.threshold_posterior
        reached = np.concatenate([[0.0], np.cumsum(mass)])
        half = (_LOG_THRESHOLDS[1] - _LOG_THRESHOLDS[0]) / 2
        edges = np.concatenate([_LOG_THRESHOLDS - half, [_LOG_THRESHOLDS[-1] + half]])
        tail = (1 - level) / 2
        low, value, high = np.exp(np.interp([tail, 0.5, 1 - tail], reached, edges))
        return FoundFrom(
            bone=bone,
            value=float(value),
            low=float(low),
            high=float(high),
            level=level,
            lesions=self.lesions,
        )

    def next_contrast(self) -> float:
        """The ratio after which the threshold is expected to be least uncertain (least entropy)."""
        chances = _candidate_probabilities()
        flat = self._posterior.reshape(-1)
        found = chances * flat
        missed = flat - found
        shape = (len(chances), _LOG_THRESHOLDS.size, -1)
        entropy = np.zeros(len(chances))
        for joint in (found, missed):
            marginal = joint.reshape(shape).sum(axis=2)
            whole = marginal.sum(axis=1, keepdims=True)
            share = marginal / whole
            entropy -= whole[:, 0] * (share * np.log(np.maximum(share, 1e-300))).sum(axis=1)
        return float(_CANDIDATES[int(entropy.argmin())])
