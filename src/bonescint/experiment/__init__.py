"""Whole studies: predictions and cohorts joined, judged and reported.

Layer 5.
"""

from bonescint.experiment.checklist import metadata_template
from bonescint.experiment.compare_runs import compare_runs
from bonescint.experiment.evaluating import Evaluation, EvaluationSettings, evaluate_joined
from bonescint.experiment.evaluation_run import evaluate
from bonescint.experiment.joining import Joined, join, read_predictions
from bonescint.experiment.plan import CohortPlan, ModelPlan, Study, read_study, study_names
from bonescint.experiment.run import run_experiment
from bonescint.experiment.run_paths import RunPaths

__all__ = [
    "CohortPlan",
    "Evaluation",
    "EvaluationSettings",
    "Joined",
    "ModelPlan",
    "RunPaths",
    "Study",
    "compare_runs",
    "evaluate",
    "evaluate_joined",
    "join",
    "metadata_template",
    "read_predictions",
    "read_study",
    "run_experiment",
    "study_names",
]
