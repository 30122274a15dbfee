"""Metrics with intervals, calibration, localisation, reader statistics, figures.

Takes arrays and data types; reads no images.
"""

from bonescint.evaluate.bootstrap import Resampled, Resampling, SortedCases, resampled
from bonescint.evaluate.calibration import (
    BrierParts,
    CalibrationLine,
    DecisionCurve,
    ReliabilityBin,
    brier_error,
    brier_parts,
    calibration_line,
    decision_curve,
    reliability_curve,
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
from bonescint.evaluate.logistic import margins
from bonescint.evaluate.metrics import (
    Confusion,
    Measure,
    accuracy_score,
    exact_rates,
    f1_score,
    measure_named,
    negative_likelihood_ratio,
    negative_predictive_value_score,
    positive_likelihood_ratio,
    positive_predictive_value_score,
    ratio_of_shares,
    sensitivity_score,
    specificity_score,
    threshold_measures,
)
from bonescint.evaluate.operating_points import (
    Balanced,
    GivenSensitivity,
    GivenSpecificity,
    OperatingRule,
    Youden,
    operating_point,
)
from bonescint.evaluate.recalibration import CalibrationFit, fit_calibration
from bonescint.evaluate.roc import (
    CurveBand,
    StructuralComponents,
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
from bonescint.roc import RocCurve

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
    "StructuralComponents",
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
