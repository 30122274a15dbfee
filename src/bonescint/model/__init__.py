"""The model folder with its card, and the inference engine; never imports torch.

Layer 2.
"""

from bonescint.model.card import CARD_SCHEMA_VERSION, EvidenceMap, Metric, ModelCard, TrainingRecord
from bonescint.model.classifier import TARGETS, Classifier, margin_of
from bonescint.model.engine import Engine, GraphOutput, RunSettings
from bonescint.model.folder import (
    ModelFolder,
    is_packaged,
    model_path,
    packaged_models,
    require_writable,
    shipped_model,
    write_model_folder,
)
from bonescint.model.ood import OodDetector, OodFeatures, features_of, fit_ood_detector
from bonescint.model.records import CalibrationRecord, LocalScans

__all__ = [
    "CARD_SCHEMA_VERSION",
    "TARGETS",
    "GraphOutput",
    "CalibrationRecord",
    "Classifier",
    "Engine",
    "EvidenceMap",
    "OodFeatures",
    "OodDetector",
    "LocalScans",
    "Metric",
    "ModelCard",
    "ModelFolder",
    "RunSettings",
    "TrainingRecord",
    "features_of",
    "fit_ood_detector",
    "is_packaged",
    "margin_of",
    "model_path",
    "packaged_models",
    "require_writable",
    "shipped_model",
    "write_model_folder",
]
