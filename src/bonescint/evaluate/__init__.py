"""Metrics with intervals, calibration, localisation, reader statistics, figures.

Takes arrays and data types; reads no images.
"""

from bonescint.evaluate.bootstrap import Resampled as Resampled
from bonescint.evaluate.bootstrap import Resampling as Resampling
from bonescint.evaluate.bootstrap import SortedCases as SortedCases
from bonescint.evaluate.bootstrap import resampled as resampled
from bonescint.evaluate.calibration import BrierParts as BrierParts
from bonescint.evaluate.calibration import CalibrationLine as CalibrationLine
from bonescint.evaluate.calibration import DecisionCurve as DecisionCurve
from bonescint.evaluate.calibration import ReliabilityBin as ReliabilityBin
from bonescint.evaluate.calibration import brier_error as brier_error
from bonescint.evaluate.calibration import brier_parts as brier_parts
from bonescint.evaluate.calibration import calibration_line as calibration_line
from bonescint.evaluate.calibration import decision_curve as decision_curve
from bonescint.evaluate.calibration import reliability_curve as reliability_curve
from bonescint.evaluate.comparing import Comparison as Comparison
from bonescint.evaluate.comparing import compare_areas as compare_areas
from bonescint.evaluate.comparing import compare_by_resampling as compare_by_resampling
from bonescint.evaluate.comparing import compare_calls as compare_calls
from bonescint.evaluate.comparing import compare_models as compare_models
from bonescint.evaluate.control import ClinicalControl as ClinicalControl
from bonescint.evaluate.control import ClinicalFacts as ClinicalFacts
from bonescint.evaluate.control import added_information as added_information
from bonescint.evaluate.control import cross_fitted as cross_fitted
from bonescint.evaluate.logistic import margins as margins
from bonescint.evaluate.metrics import Confusion as Confusion
from bonescint.evaluate.metrics import Measure as Measure
from bonescint.evaluate.metrics import accuracy_score as accuracy_score
from bonescint.evaluate.metrics import exact_rates as exact_rates
from bonescint.evaluate.metrics import f1_score as f1_score
from bonescint.evaluate.metrics import measure_named as measure_named
from bonescint.evaluate.metrics import negative_likelihood_ratio as negative_likelihood_ratio
from bonescint.evaluate.metrics import (
    negative_predictive_value_score as negative_predictive_value_score,
)
from bonescint.evaluate.metrics import positive_likelihood_ratio as positive_likelihood_ratio
from bonescint.evaluate.metrics import (
    positive_predictive_value_score as positive_predictive_value_score,
)
from bonescint.evaluate.metrics import ratio_of_shares as ratio_of_shares
from bonescint.evaluate.metrics import sensitivity_score as sensitivity_score
from bonescint.evaluate.metrics import specificity_score as specificity_score
from bonescint.evaluate.metrics import threshold_measures as threshold_measures
from bonescint.evaluate.operating_points import Balanced as Balanced
from bonescint.evaluate.operating_points import GivenSensitivity as GivenSensitivity
from bonescint.evaluate.operating_points import GivenSpecificity as GivenSpecificity
from bonescint.evaluate.operating_points import OperatingRule as OperatingRule
from bonescint.evaluate.operating_points import Youden as Youden
from bonescint.evaluate.operating_points import operating_point as operating_point
from bonescint.evaluate.recalibration import CalibrationFit as CalibrationFit
from bonescint.evaluate.recalibration import fit_calibration as fit_calibration
from bonescint.evaluate.roc import CurveBand as CurveBand
from bonescint.evaluate.roc import StructuralComponents as StructuralComponents
from bonescint.evaluate.roc import average_precision_score as average_precision_score
from bonescint.evaluate.roc import roc_auc_score as roc_auc_score
from bonescint.evaluate.roc import roc_band as roc_band
from bonescint.evaluate.scored import ScoredCases as ScoredCases
from bonescint.evaluate.subgroups import Factor as Factor
from bonescint.evaluate.subgroups import Interaction as Interaction
from bonescint.evaluate.subgroups import Subgroup as Subgroup
from bonescint.evaluate.subgroups import interactions as interactions
from bonescint.evaluate.subgroups import subgroups as subgroups
from bonescint.evaluate.subgroups import with_holm as with_holm
from bonescint.intervals import Estimate as Estimate
from bonescint.intervals import exact_share as exact_share
from bonescint.intervals import share as share
from bonescint.roc import RocCurve as RocCurve
