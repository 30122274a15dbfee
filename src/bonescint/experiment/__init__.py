"""Experiments: train, test, report. Predictions of any source evaluated; models adapted.

Layer 5.
"""

from bonescint.experiment.compare import compare_runs
from bonescint.experiment.evaluation.data import LabelledPredictions, join, read_predictions
from bonescint.experiment.evaluation.evaluate import evaluate_joined
from bonescint.experiment.evaluation.results import (
    EvaluationResult,
    EvaluationSettings,
    read_result,
)
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
    "EvaluationResult",
    "EvaluationSettings",
    "ExperimentSpec",
    "LabelledPredictions",
    "ModelSpec",
    "RunPaths",
    "compare_runs",
    "evaluate",
    "evaluate_joined",
    "experiment_names",
    "join",
    "metadata_template",
    "read_experiment",
    "read_predictions",
    "read_result",
    "run_experiment",
]
