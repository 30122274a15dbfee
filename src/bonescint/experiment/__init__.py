"""Whole studies: predictions and cohorts joined, judged and reported.

Floor 5 of the house.
"""

from bonescint.experiment.evaluating import Evaluation, EvaluationSettings, evaluate_joined
from bonescint.experiment.evaluation_run import evaluate
from bonescint.experiment.joining import Joined, join, read_predictions

__all__ = [
    "Evaluation",
    "EvaluationSettings",
    "Joined",
    "evaluate",
    "evaluate_joined",
    "join",
    "read_predictions",
]
