"""From a trained network's logits to probabilities, an operating point, and figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score, roc_curve

from bonescint.model import Metric
from bonescint.scan import ParameterError

OPERATING_POINT_RULE = (
    "where sensitivity equals specificity on the validation scans, half way between the two "
    "probabilities that enclose it"
)
UNCERTAIN_SHARE = 0.1
"""Share of the validation scans that the uncertain band holds."""

_RESAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What a network said of scans whose label is known.

    Attributes:
        margins: float64 (N,), logit of the disease less the other one.
        labels: bool (N,).
    """

    margins: NDArray[np.float64]
    labels: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not self.labels.any() or self.labels.all():
            raise ParameterError("labels", "Judged", "of both classes", "one class")

    @classmethod
    def of(cls, logits: Iterable[NDArray[np.float32]], labels: Iterable[bool]) -> Judged:
        """From logits (2,) and labels, one for each scan."""
        stacked = np.array([np.asarray(one, dtype=np.float64) for one in logits])
        return cls(
            margins=stacked[:, 1] - stacked[:, 0],
            labels=np.array(list(labels), dtype=bool),
        )

    def probabilities(self, temperature: float) -> NDArray[np.float64]:
        """MBD probability of each scan."""
        return np.asarray(expit(self.margins / temperature), dtype=np.float64)


def best_temperature(judged: Judged) -> float:
    """The temperature of least cross entropy (Guo et al., ICML 2017).

    Args:
        judged: scans that were not trained on.

    Returns:
        From 0.05 to 20.

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> margins = rng.normal(0, 2, 4000)
        >>> labels = rng.random(4000) < expit(margins)
        >>> round(best_temperature(Judged(margins=3 * margins, labels=labels)))
        3
    """
    signs = np.where(judged.labels, 1.0, -1.0)

    def cross_entropy(log_temperature: float) -> float:
        scaled = judged.margins * signs / np.exp(log_temperature)
        return float(np.logaddexp(0, -scaled).mean())

    found = minimize_scalar(cross_entropy, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))


def balanced_operating_point(judged: Judged, temperature: float) -> float:
    """The probability from which sensitivity and specificity are closest to each other.

    Examples:
        >>> margins = np.array([-3.0, -2.0, 2.0, 3.0])
        >>> judged = Judged(margins=margins, labels=margins > 0)
        >>> balanced_operating_point(judged, 1.0)
        0.5
    """
    false_positive, true_positive, thresholds = roc_curve(
        judged.labels, judged.margins, drop_intermediate=False
    )
    chosen = int(np.argmin(np.abs(true_positive - (1 - false_positive))))
    lower = judged.margins[judged.margins < thresholds[chosen]]
    margin = float(thresholds[chosen])
    if np.isinf(margin):
        return 1.0
    if lower.size:
        margin = (margin + float(lower.max())) / 2
    return float(expit(margin / temperature))


def uncertain_band(
    judged: Judged, *, temperature: float, operating_point: float, share: float = UNCERTAIN_SHARE
) -> tuple[tuple[float, float], str]:
    """The probabilities round the operating point in which a share of the scans lies.

    A reject option (Chow, IEEE Trans Inf Theory 1970;16:41): the scans whose logit is nearest to
    the operating point's are the ones most often called wrongly.

    Args:
        judged: scans that were not trained on.
        temperature: of the calibration.
        operating_point: probability from which a scan is positive.
        share: of the scans that the band is to hold.

    Returns:
        Lower and upper probability, and the rule with what was measured, in words.

    Examples:
        >>> margins = np.linspace(-5, 5, 101)
        >>> judged = Judged(margins=margins, labels=margins > 0)
        >>> band, rule = uncertain_band(judged, temperature=1.0, operating_point=0.5)
        >>> [round(bound, 2) for bound in band]
        [0.38, 0.62]
    """
    margins = judged.margins / temperature
    point = float(logit(np.clip(operating_point, 1e-9, 1 - 1e-9)))
    away = np.abs(margins - point)
    reach = float(np.sort(away)[max(0, round(share * away.size) - 1)])
    inside = away <= reach
    right = (margins >= point) == judged.labels
    low, high = float(expit(point - reach)), float(expit(point + reach))
    band = (min(low, operating_point), max(high, operating_point))
    said = f"the {100 * share:.3g} % of the validation scans nearest to the operating point"
    for part, name in ((inside, "of these"), (~inside, "of the others")):
        if part.any():
            said += f"; {name} {100 * float(right[part].mean()):.1f} % were called rightly"
    return band, said


def figures(
    judged: Judged, *, temperature: float, operating_point: float, measured_on: str, seed: int = 1
) -> tuple[Metric, ...]:
    """Area under the ROC curve, sensitivity, specificity and cross entropy.

    Args:
        judged: what the network said.
        temperature: of the calibration.
        operating_point: probability from which a scan is positive.
        measured_on: the scans, in words.
        seed: of the bootstrap.

    Returns:
        The figures; the first one is the AUC, with a 95 % interval.
    """
    probabilities = judged.probabilities(temperature)
    called = probabilities >= operating_point
    chosen = np.clip(np.where(judged.labels, probabilities, 1 - probabilities), 1e-12, 1)
    low, high = _auc_interval(judged, seed)
    auc = Metric(
        name="roc_auc_score",
        value=float(roc_auc_score(judged.labels, judged.margins)),
        low=low,
        high=high,
        measured_on=measured_on,
        method=f"scikit-learn; percentile bootstrap over scans, {_RESAMPLES} resamples by class",
    )
    plain = {
        "sensitivity_score": float(called[judged.labels].mean()),
        "specificity_score": float((~called)[~judged.labels].mean()),
        "cross_entropy_error": float(-np.log(chosen).mean()),
    }
    others = [
        Metric(name=name, value=value, measured_on=measured_on) for name, value in plain.items()
    ]
    return (auc, *others)


def _auc_interval(judged: Judged, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    positive, negative = judged.margins[judged.labels], judged.margins[~judged.labels]
    areas = [
        _area(rng.choice(positive, positive.size), rng.choice(negative, negative.size))
        for _ in range(_RESAMPLES)
    ]
    low, high = np.percentile(areas, [2.5, 97.5])
    return float(low), float(high)


def _area(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Share of the pairs that are ranked right, ties by half (Mann and Whitney)."""
    ranked = np.sort(negative)
    below = np.searchsorted(ranked, positive, side="left").sum()
    not_above = np.searchsorted(ranked, positive, side="right").sum()
    return float(below + not_above) / (2 * positive.size * negative.size)
