"""What the scores of normal patients alone tell: a threshold with a guarantee, and its conditions.

Split conformal prediction (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World,
2005; Lei et al., JASA 2018;113:1094): the model was trained on other scans, so the scores of n
normal patients and of one more are exchangeable, and the rank of the newcomer among all n + 1 is
uniform. Nothing is assumed of the scores' distribution. What is exchangeable are patients: a
patient with several scans counts once, by the highest score (`highest_of_patients`).

Whether scans that are called normal are something else, disease or scans of another kind, cannot be
told from scores alone. What can be said is that a share of them lies where normal scans rarely lie,
and which ones; a physician then looks at these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, binom

from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformalThreshold:
    """A score above which scans are called positive, found on normal patients.

    Attributes:
        score: score of the normal patient at `rank`; only scores above it are called positive.
        rank: rank of that patient, counted from the highest score (1).
        normals: patients without disease that it was found on.
        specificity: wanted specificity.
    """

    score: float
    rank: int
    normals: int
    specificity: float

    @property
    def false_alarm_rate(self) -> float:
        """The largest probability that a future normal patient is called positive.

        Over the draw of the normals and of the newcomer together.
        """
        return self.rank / (self.normals + 1)

    def specificity_quantile(self, share: float) -> float:
        """A quantile of the specificity that these normals bring, over draws of such normals.

        The specificity for all future patients depends on which normals happened to come. Where no
        two scores are equal it follows Beta(n + 1 - rank, rank) (Vovk, JMLR W&CP 2012;25:475);
        equal scores only raise it.

        Args:
            share: share of the draws that bring less, between 0 and 1.

        Examples:
            >>> found = conformal_threshold(np.arange(60), 0.9)
            >>> round(found.specificity_quantile(0.05), 3)
            0.833
        """
        return float(beta.ppf(share, self.normals + 1 - self.rank, self.rank))

    def statement(self) -> str:
        """What is guaranteed, for people.

        Examples:
            >>> print(conformal_threshold(np.arange(60), 0.9).statement())
            positive above the 6th highest score of 60 normal patients (5 of them lie above it): a \
future normal patient like them is called positive with a probability of at most 6/61 (0.0984); \
the specificity that one such set of normals brings is on average 0.902 and in 95 of 100 sets at \
least 0.832
        """
        n, k = self.normals, self.rank
        above = {1: "none of them lies", 2: "1 of them lies"}.get(k, f"{k - 1} of them lie")
        return (
            f"positive above the {ordinal(k)}highest score of {n} normal patients "
            f"({above} above it): a future normal patient like them is called positive "
            f"with a probability of at most {k}/{n + 1} ({self.false_alarm_rate:.3g}); the "
            f"specificity that one such set of normals brings is on average "
            f"{1 - self.false_alarm_rate:.3f} and in 95 of 100 sets at least "
            f"{math.floor(1000 * self.specificity_quantile(0.05)) / 1000:.3f}"
        )


def ordinal(rank: int) -> str:
    """A rank from the top, to be put before "highest"; empty for the first.

    Examples:
        >>> [ordinal(rank) for rank in (1, 2, 3, 6, 11, 22)]
        ['', '2nd ', '3rd ', '6th ', '11th ', '22nd ']
    """
    if rank == 1:
        return ""
    teen = 10 < rank % 100 < 20
    return f"{rank}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(rank % 10, 'th')} "


def needed_normals(specificity: float) -> int:
    """The fewest normal patients that can give a specificity: 1 / (1 - specificity) - 1.

    Raises:
        ParameterError: a specificity that is not between 0 and 1.

    Examples:
        >>> [needed_normals(asked) for asked in (0.8, 0.9, 0.95, 0.99)]
        [4, 9, 19, 99]
    """
    return math.ceil(1 / _alpha(specificity)) - 1


def conformal_threshold(normals: ArrayLike, specificity: float) -> ConformalThreshold:
    """The lowest threshold that keeps the specificity for exchangeable future normals.

    A score is called positive where its p-value (`conformal_p_values`) is at most
    1 - specificity, so above the k-th highest normal score, with k = (1 - specificity) (n + 1)
    rounded down.

    Args:
        normals: score of each normal patient, higher for disease, none used to train the model.
        specificity: between 0 and 1.

    Raises:
        ParameterError: a specificity that is not between 0 and 1, scores that are not finite, or
            fewer patients than it needs.

    Examples:
        >>> conformal_threshold([0.1, 0.9, 0.4, 0.2, 0.3, 0.6, 0.5, 0.8, 0.7], 0.9).score
        0.9
    """
    scores = _checked(normals, "conformal_threshold")
    needed = needed_normals(specificity)
    if scores.size < needed:
        requirement = f"of at least {needed} patients for a specificity of {specificity:g}"
        raise ParameterError("normals", "conformal_threshold", requirement, scores.size)
    rank = math.floor(_alpha(specificity) * (scores.size + 1))
    return ConformalThreshold(
        score=float(np.sort(scores)[-rank]),
        rank=rank,
        normals=int(scores.size),
        specificity=specificity,
    )


def conformal_p_values(scores: ArrayLike, normals: ArrayLike) -> NDArray[np.float64]:
    """How rare a score is among normal patients: (1 + normals at or above it) / (n + 1).

    For a future normal patient the p-value is at most any alpha with a probability of at most
    alpha. Equal scores count as at or above, which is conservative.

    Args:
        scores: scores of scans to judge.
        normals: scores of normal patients.

    Returns:
        float64, the shape of `scores`; from 1 / (n + 1) to 1.

    Examples:
        >>> conformal_p_values([0.95, 0.5, 0.0], [0.1, 0.5, 0.9]).tolist()
        [0.25, 0.75, 1.0]
    """
    reference = np.sort(_checked(normals, "conformal_p_values"))
    below = np.searchsorted(reference, np.asarray(scores, dtype=np.float64), side="left")
    return np.asarray((1 + reference.size - below) / (reference.size + 1), dtype=np.float64)


def highest_of_patients(scores: ArrayLike, patients: Sequence[str]) -> NDArray[np.float64]:
    """One score per patient: the highest of the patient's scans.

    A patient is then called positive as soon as one of the scans is; a future scan of a patient
    is at most that patient's highest, so what is guaranteed of patients holds for scans as well.

    Examples:
        >>> highest_of_patients([0.2, 0.9, 0.4], ["a", "a", "b"]).tolist()
        [0.9, 0.4]
    """
    values = np.asarray(scores, dtype=np.float64)
    names, numbers = np.unique(np.asarray(patients), return_inverse=True)
    highest = np.full(names.size, -np.inf)
    np.maximum.at(highest, numbers, values)
    return highest


def share_threshold(scores: ArrayLike, share: float) -> float:
    """The highest score that is not called positive, where a share of all is to be called.

    For scans of which nothing is known but how frequent disease is among them: an assumption, not
    a guarantee.

    Args:
        scores: one for each patient, higher for disease.
        share: share of the patients to lie above the threshold, between 0 and 1.

    Raises:
        ParameterError: a share that is not between 0 and 1, or so few patients that it calls none
            or all.

    Examples:
        >>> share_threshold([0.1, 0.9, 0.4, 0.2], 0.25)
        0.4
    """
    values = _checked(scores, "share_threshold")
    if not 0 < share < 1:
        raise ParameterError("share", "share_threshold", "between 0 and 1", share)
    called = round(share * values.size)
    if not 0 < called < values.size:
        requirement = f"of at least {math.ceil(1 / min(share, 1 - share))} patients"
        raise ParameterError("scores", "share_threshold", requirement, values.size)
    return float(np.sort(values)[-called - 1])


def _alpha(specificity: float) -> Fraction:
    """1 - specificity as it is written: 0.9 leaves a tenth, which binary numbers do not."""
    if not 0 < specificity < 1:
        raise ParameterError("specificity", "conformal_threshold", "between 0 and 1", specificity)
    return 1 - Fraction(str(float(specificity)))


def _checked(scores: ArrayLike, owner: str) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ParameterError("scores", owner, "finite numbers, one for each patient", values.shape)
    return values


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
        places: their indices among the scores, highest score first.
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
        logits: logit of the probability of disease, one for each patient.

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
    """Indices of scans that are far more unlike the model's than the others are, worst first.

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
