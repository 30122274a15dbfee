"""Metrics with intervals, calibration, localisation, reader statistics, figures.

Takes arrays and data types; reads no images.
"""

from bonescint.evaluate.bootstrap import Resampling, SortedCases
from bonescint.evaluate.calibration import (
    BrierParts,
    CalibrationLine,
    ReliabilityBin,
    brier_error,
    brier_parts,
    calibration_line,
    reliability_curve,
)
from bonescint.evaluate.choosing import (
    Balanced,
    GivenSensitivity,
    GivenSpecificity,
    OperatingRule,
    Youden,
    operating_point,
)
from bonescint.evaluate.comparing import (
    Comparison,
    compare_areas,
    compare_by_resampling,
    compare_calls,
    compare_models,
)
from bonescint.evaluate.control import (
    ClinicalControl,
    ClinicalFacts,
    added_information,
    cross_fitted,
)
from bonescint.evaluate.decision_curve import DecisionCurve, decision_curve
from bonescint.evaluate.measure import Measure, measure_named
from bonescint.evaluate.operating import (
    Confusion,
    accuracy_score,
    exact_rates,
    f1_score,
    negative_likelihood_ratio,
    negative_predictive_value_score,
    positive_likelihood_ratio,
    positive_predictive_value_score,
    sensitivity_score,
    specificity_score,
    threshold_measures,
)
from bonescint.evaluate.placements import Placements
from bonescint.evaluate.platt import CalibrationFit, fit_calibration, margins
from bonescint.evaluate.proportions import ratio_of_shares
from bonescint.evaluate.resampled import Resampled, resampled
from bonescint.evaluate.roc import (
    CurveBand,
    RocCurve,
    average_precision_score,
    roc_auc_score,
    roc_band,
)
from bonescint.evaluate.scored import ScoredCases
from bonescint.evaluate.subgroups import (
    Factor,
    Interaction,
    Subgroup,
    interactions,
    subgroups,
    with_holm,
)
from bonescint.intervals import Estimate, exact_share, share

__all__ = [
    "Balanced",
    "BrierParts",
    "CalibrationFit",
    "CalibrationLine",
    "ClinicalControl",
    "ClinicalFacts",
    "Comparison",
    "Confusion",
    "CurveBand",
    "DecisionCurve",
    "Estimate",
    "Factor",
    "GivenSensitivity",
    "GivenSpecificity",
    "Interaction",
    "Measure",
    "OperatingRule",
    "Placements",
    "ReliabilityBin",
    "Resampled",
    "Resampling",
    "RocCurve",
    "ScoredCases",
    "SortedCases",
    "Subgroup",
    "Youden",
    "accuracy_score",
    "added_information",
    "average_precision_score",
    "brier_error",
    "brier_parts",
    "calibration_line",
    "compare_areas",
    "compare_by_resampling",
    "compare_calls",
    "compare_models",
    "cross_fitted",
    "decision_curve",
    "exact_rates",
    "exact_share",
    "f1_score",
    "fit_calibration",
    "interactions",
    "margins",
    "measure_named",
    "negative_likelihood_ratio",
    "negative_predictive_value_score",
    "operating_point",
    "positive_likelihood_ratio",
    "positive_predictive_value_score",
    "ratio_of_shares",
    "reliability_curve",
    "resampled",
    "roc_auc_score",
    "roc_band",
    "sensitivity_score",
    "share",
    "specificity_score",
    "subgroups",
    "threshold_measures",
    "with_holm",
]
