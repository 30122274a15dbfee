"""Train a network on a cohort and export it to a model folder. torch lives only here.

Layer 3. Needs the extra `train`; importing this package says so if it is missing.
"""

from bonescint.extras import require

require("torch", "lightning", "sklearn", "onnx", extra="train")

from bonescint.train.configuration import (  # noqa: E402  # noqa: E402
    HeadInitialisation,
    Precision,
    Schedule,
    TrainingConfiguration,
    TrainingStage,
    configuration_names,
    read_configuration,
)
from bonescint.train.network import InputScale, NetworkShape  # noqa: E402
from bonescint.train.run import Tracking  # noqa: E402
from bonescint.train.training import configuration_for_model, train  # noqa: E402
from bonescint.train.vgg16 import Vgg16Classifier  # noqa: E402

__all__ = [
    "HeadInitialisation",
    "InputScale",
    "NetworkShape",
    "Precision",
    "Schedule",
    "TrainingStage",
    "Tracking",
    "TrainingConfiguration",
    "Vgg16Classifier",
    "read_configuration",
    "configuration_for_model",
    "configuration_names",
    "train",
]
