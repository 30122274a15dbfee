"""Whether scans that are called normal may be something else: disease, or scans of another kind.

Neither question can be answered from scores alone. What can be said is that a share of them lies
where normal scans rarely lie, and which ones; a physician then looks at these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from bonescint.scan import ParameterError

FAR_ABOVE = 4.0
"""Logits above the median from which a score is high: odds of disease 55 times as great."""

HIGH_SHARE = 0.04
"""The largest share of normal patients that is taken to have a high score."""

FALSE_ALARM_RATE = 0.01
_STRANGE = 6.0
_MAD_TO_SD = 1.4826
"""Median absolute deviation to standard deviation, for the normal distribution."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HighScores:
    """The patients among normals whose scores are far above the typical one.

    Attributes:
        places: of them, highest first.
        count: patients in all.
        p_value: probability of as many or more if 4 % of normal patients had such a score.
    """

    places: NDArray[np.intp]
    count: int
    p_value: float

    @property
    def suspicious(self) -> bool:
        """Whether there are more than normal patients explain (a false alarm in 100 at most)."""
        return self.p_value <= FALSE_ALARM_RATE


def high_scores(logits: ArrayLike) -> HighScores:
    """Patients whose calibrated logit is at least 4 above the median of all.

    The statistic is their number, against a binomial one with a share of 4 %. It asks for no shape
    of the distribution, and moving all scores, as another camera does, leaves it as it is. That no
    more than 4 % of normal patients lie there is an assumption; `benchmarks/adapt.py` counts the
    false alarms of scores that simulated and real normal scans have.

    Args:
        logits: of the probability of disease, one for each patient.

    Raises:
        ParameterError: no patient, or a logit that is not finite.

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> normals = rng.normal(-1.5, 1.2, 48)
        >>> high_scores(normals).suspicious
        False
        >>> high_scores([*normals, *rng.normal(5.5, 1.0, 12)]).suspicious
        True
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ParameterError("logits", "high_scores", "finite, one for each patient", values.shape)
    high = np.flatnonzero(values >= np.median(values) + FAR_ABOVE)
    places = high[np.argsort(-values[high], kind="stable")]
    p_value = float(binom.sf(places.size - 1, values.size, HIGH_SHARE))
    return HighScores(places=places, count=int(values.size), p_value=p_value)


def strangers(distances: ArrayLike) -> NDArray[np.intp]:
    """Places of scans that are far less like the model's than the others are, worst first.

    Those whose logarithm lies 6 robust standard deviations (median absolute deviation; Hampel,
    JASA 1974;69:383) above the median.

    Args:
        distances: how unlike the training cohort each scan is, at least 0.

    Examples:
        >>> strangers([6.1, 6.4, 5.9, 6.6, 7.0, 6.2, 31.0]).tolist()
        [6]
    """
    values = np.log(np.maximum(np.asarray(distances, dtype=np.float64), 1e-6))
    if values.size == 0:
        return np.zeros(0, dtype=np.intp)
    middle = np.median(values)
    spread = max(_MAD_TO_SD * float(np.median(np.abs(values - middle))), 0.02)
    far = np.flatnonzero(values > middle + _STRANGE * spread)
    return far[np.argsort(-values[far], kind="stable")]
