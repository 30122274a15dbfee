"""The model folder with its card, and the run time that classifies. Never torch.

Floor 2 of the house.
"""

from bonescint.model.card import CARD_SCHEMA_VERSION, Metric, ModelCard, TrainingRecord
from bonescint.model.classifier import TARGETS, Classifier, mbd_probability
from bonescint.model.engine import Answer, Engine, RunSettings
from bonescint.model.folder import ModelFolder, require_writable, shipped_model, write_model_folder

__all__ = [
    "CARD_SCHEMA_VERSION",
    "TARGETS",
    "Answer",
    "Classifier",
    "Engine",
    "Metric",
    "ModelCard",
    "ModelFolder",
    "RunSettings",
    "TrainingRecord",
    "mbd_probability",
    "require_writable",
    "shipped_model",
    "write_model_folder",
]
