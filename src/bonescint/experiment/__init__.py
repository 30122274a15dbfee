"""Whole studies: predictions and cohorts joined, judged and reported.

Layer 5.
"""

from bonescint.experiment.compare import compare_runs
from bonescint.experiment.evaluation.data import LabelledPredictions, join, read_predictions
from bonescint.experiment.evaluation.evaluate import Evaluation, EvaluationSettings, evaluate_joined
from bonescint.experiment.evaluation_run import evaluate
from bonescint.experiment.paths import RunPaths
from bonescint.experiment.report.checklist import metadata_template
from bonescint.experiment.runner import run_experiment
from bonescint.experiment.spec import (
    CohortSpec,
    ExperimentSpec,
    ModelSpec,
    experiment_names,
    read_experiment,
)

__all__ = [
    "CohortSpec",
    "Evaluation",
    "EvaluationSettings",
    "LabelledPredictions",
    "ModelSpec",
    "RunPaths",
    "ExperimentSpec",
    "compare_runs",
    "evaluate",
    "evaluate_joined",
    "join",
    "metadata_template",
    "read_predictions",
    "read_experiment",
    "run_experiment",
    "experiment_names",
]
