"""From a trained network's logits to probabilities, an operating point, and figures.

The numbers are made in `evaluate/`; here is what a training asks of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from bonescint.evaluate import (
    Balanced,
    Confusion,
    Estimate,
    ScoredCases,
    fit_temperature,
    operating_point,
    roc_auc_score,
    sensitivity_score,
    specificity_score,
)
from bonescint.evaluate.by_patient import patient_numbers
from bonescint.model import Metric
from bonescint.scan import ParameterError

OPERATING_POINT_RULE = (
    "where sensitivity equals specificity on the validation scans, half way between the two "
    "probabilities that enclose it"
)
UNCERTAIN_SHARE = 0.1
"""Share of the validation scans that the uncertain band holds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What a network said of scans whose label is known.

    Attributes:
        margins: float64 (N,), logit of the disease minus the other one.
        labels: bool (N,).
        patients: of each scan; none if each has one. Intervals are by patient.
    """

    margins: NDArray[np.float64]
    labels: NDArray[np.bool_]
    patients: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not self.labels.any() or self.labels.all():
            raise ParameterError("labels", "Judged", "of both classes", "one class")

    @classmethod
    def of(
        cls,
        logits: Iterable[NDArray[np.float32]],
        labels: Iterable[bool],
        patients: Sequence[str] | None = None,
    ) -> Judged:
        """From logits (2,), labels and patients, one for each scan."""
        stacked = np.array([np.asarray(one, dtype=np.float64) for one in logits])
        return cls(
            margins=stacked[:, 1] - stacked[:, 0],
            labels=np.array(list(labels), dtype=bool),
            patients=patients,
        )

    @property
    def cases(self) -> ScoredCases:
        """The scans, scored by their margins."""
        patients = None if self.patients is None else patient_numbers(self.patients)
        return ScoredCases(scores=self.margins, positive=self.labels, patients=patients)

    def probabilities(self, temperature: float) -> NDArray[np.float64]:
        """MBD probability of each scan."""
        return np.asarray(expit(self.margins / temperature), dtype=np.float64)


def best_temperature(judged: Judged) -> float | None:
    """The temperature of least cross entropy (Guo et al., ICML 2017).

    Args:
        judged: scans that were not trained on.

    Returns:
        Between 0.05 and 20; `None` where the best one lies beyond: one number cannot calibrate
        such a network.

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> margins = rng.normal(0, 2, 4000)
        >>> labels = rng.random(4000) < expit(margins)
        >>> round(best_temperature(Judged(margins=3 * margins, labels=labels)))
        3
    """
    found = fit_temperature(judged.cases)
    return None if found.note else found.value


def balanced_operating_point(judged: Judged, temperature: float) -> float:
    """The probability from which sensitivity and specificity are closest to each other.

    Half way is taken between margins, as the network gives them.

    Examples:
        >>> margins = np.array([-3.0, -2.0, 2.0, 3.0])
        >>> judged = Judged(margins=margins, labels=margins > 0)
        >>> balanced_operating_point(judged, 1.0)
        0.5
    """
    margin = operating_point(judged.cases, Balanced())
    return 1.0 if math.isinf(margin) else float(expit(margin / temperature))


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
            said += f"; {name} {100 * float(right[part].mean()):.1f} % were called correctly"
    return band, said


def figures(
    judged: Judged, *, temperature: float, operating_point: float, measured_on: str
) -> tuple[Metric, ...]:
    """Area under the ROC curve, sensitivity, specificity and cross entropy.

    Args:
        judged: what the network said.
        temperature: of the calibration.
        operating_point: probability from which a scan is positive.
        measured_on: the scans, in words.

    Returns:
        The figures, with 95 % intervals where one is known; the first one is the AUC.
    """
    probabilities = judged.probabilities(temperature)
    chosen = np.clip(np.where(judged.labels, probabilities, 1 - probabilities), 1e-12, 1)
    table = Confusion.of(judged.cases.with_scores(probabilities), operating_point)
    estimates = {
        "roc_auc_score": roc_auc_score(judged.cases),
        "sensitivity_score": sensitivity_score(table),
        "specificity_score": specificity_score(table),
        "cross_entropy_error": Estimate(value=float(-np.log(chosen).mean())),
    }
    return tuple(_metric(name, found, measured_on) for name, found in estimates.items())


def _metric(name: str, estimate: Estimate, measured_on: str) -> Metric:
    known = math.isfinite(estimate.low) and math.isfinite(estimate.high)
    return Metric(
        name=name,
        value=estimate.value,
        low=estimate.low if known else None,
        high=estimate.high if known else None,
        measured_on=measured_on,
        method=estimate.method,
    )
