"""From a trained network's logits to probabilities, an operating point, and figures.

The numbers are made in `evaluate/`; here is what a training asks of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bonescint.evaluate import (
    Confusion,
    Estimate,
    ScoredCases,
    roc_auc_score,
    sensitivity_score,
    specificity_score,
)
from bonescint.evaluate.scored import patient_numbers
from bonescint.model import Metric, margin_of
from bonescint.scan import PlattCalibration

OPERATING_POINT_RULE = (
    "where sensitivity equals specificity on the validation scans, half way between the two "
    "probabilities that enclose it"
)


def scored_by_margins(
    logits: Iterable[NDArray[np.float32]],
    labels: Iterable[bool],
    patients: Sequence[str] | None = None,
) -> ScoredCases:
    """What a network said of scans whose label is known, as margins.

    Args:
        logits: (2,) of each scan.
        labels: of each scan.
        patients: of each scan; none if each has one. Intervals are by patient.

    Raises:
        ParameterError: one class only.
    """
    cases = ScoredCases(
        scores=np.array([margin_of(one) for one in logits]),
        positive=np.array(list(labels), dtype=bool),
        patients=None if patients is None else patient_numbers(patients),
    )
    cases.require_both_classes("scored_by_margins")
    return cases


def figures(
    cases: ScoredCases, *, calibration: PlattCalibration, operating_point: float, measured_on: str
) -> tuple[Metric, ...]:
    """Area under the ROC curve, sensitivity, specificity and cross entropy.

    Args:
        cases: scored by margins.
        calibration: from margins to probabilities.
        operating_point: probability from which a scan is positive.
        measured_on: the scans, in words.

    Returns:
        The figures, with 95 % intervals where one is known; the first one is the AUC.
    """
    probabilities = calibration.probability(cases.scores)
    chosen = np.clip(np.where(cases.positive, probabilities, 1 - probabilities), 1e-12, 1)
    table = Confusion.of(cases.with_scores(probabilities), operating_point)
    estimates = {
        "roc_auc_score": roc_auc_score(cases),
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
