"""Update a model's card by a calibration on other scans (needs scipy, unlike classifying)."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

from bonescint.evaluate import CalibrationFit, OperatingRule, ScoredCases, margins
from bonescint.evaluate.recalibration import LocalCalibration, calibrate_locally
from bonescint.model.card import ModelCard
from bonescint.model.records import CalibrationRecord
from bonescint.scan import UNCALIBRATED, PlattCalibration

OF_ONE_CALIBRATION = (
    "sensitivity_score",
    "specificity_score",
    "cross_entropy_error",
    "parent_probability_error",
)
"""Metrics of a card that are valid only for its calibration and operating point."""


def recalibrated(
    card: ModelCard,
    cases: ScoredCases,
    rule: OperatingRule,
    *,
    prevalence: float | None = None,
    scans: str = "scans of the user's own",
    the_scans: str = "the user's own scans",
) -> tuple[ModelCard, LocalCalibration]:
    """A model's card with calibration, operating point and uncertain band from other scans.

    Metrics that depend on the former operating point, such as sensitivity, are removed. Where that
    point came from local normal scans (`bonescint model adapt`), a note says that it was replaced.

    Args:
        card: the model's card.
        cases: cases of both classes, scored by the model's probabilities.
        rule: the rule that chooses the operating point.
        prevalence: share of scans with disease where the model will be used, if it differs from
            that of the cases.
        scans: the cases in words, to follow their number on the card.
        the_scans: the same with an article, to follow "of".

    Raises:
        ParameterError: one class only, scores that are no probabilities, all scores equal, or a
            prevalence that is not between 0 and 1.
    """
    cases.require_probabilities("recalibrated")
    found = calibrate_locally(
        cases.with_scores(margins(cases.scores)), rule, prevalence=prevalence, the_scans=the_scans
    )
    changed = replace(
        card,
        calibration=card.calibration.then(found.calibration),
        local=card.local and card.local.without_threshold(f"A calibration on {the_scans}"),
        calibrated_on=calibration_record(
            found.fit, scans=scans, before=card.calibration, prevalence=prevalence
        ),
        operating_point=found.operating_point,
        operating_point_rule=(
            f"{found.rule}, on {found.fit.count} {scans} ({found.fit.positives} positive)"
        ),
        uncertain_band=found.uncertain_band,
        uncertain_rule=found.uncertain_rule,
        metrics=tuple(one for one in card.metrics if one.name not in OF_ONE_CALIBRATION),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return changed, found


def calibration_record(
    fit: CalibrationFit,
    *,
    scans: str,
    before: PlattCalibration = UNCALIBRATED,
    prevalence: float | None = None,
) -> CalibrationRecord:
    """The record of a fitted calibration for a card.

    Args:
        fit: the fit, to probabilities calibrated by `before`.
        scans: the scans in words, to follow their number.
        before: the model's former calibration.
        prevalence: the prevalence to which the intercept was moved, or `None`.
    """
    slope, intercept = fit.slope, fit.intercept
    return CalibrationRecord(
        scans=scans,
        count=fit.count,
        positives=fit.positives,
        patients=fit.patients,
        fitted=fit.calibration,
        slope_interval=(slope.low, slope.high),
        intercept_interval=(intercept.low, intercept.high),
        level=slope.level,
        method=f"{slope.method}, shrunk towards no change",
        unpenalised=fit.unpenalised if math.isfinite(fit.unpenalised[0]) else None,
        kept=fit.kept,
        prevalence=prevalence,
        before=before,
        note=slope.note,
    )
