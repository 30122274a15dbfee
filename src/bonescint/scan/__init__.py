"""The nouns of the field: a bone scan, the truth about it, and a model's answer.

Layer 0: numpy only, no files, no other package of ours.
"""

from bonescint.scan.calibration import UNCALIBRATED, PlattCalibration
from bonescint.scan.case import Case, Split
from bonescint.scan.errors import (
    BonescintError,
    InputError,
    MissingExtraError,
    ModelFolderError,
    NotABoneScanError,
    OutputError,
    ParameterError,
    UnitError,
    ViewConflictError,
    os_reason,
)
from bonescint.scan.evidence_region import BodyPart, EvidenceRegion
from bonescint.scan.notice import RESEARCH_USE
from bonescint.scan.prediction import ActivationMap, Call, NormalRank, Prediction
from bonescint.scan.scan import Acquisition, PixelUnit, Scan
from bonescint.scan.source_frame import SourceFrame
from bonescint.scan.truth import Focus, FocusKind, Truth
from bonescint.scan.uptake_sites import SiteGroup, UptakeSite
from bonescint.scan.views import View, ViewRule, mirrored

__all__ = [
    "RESEARCH_USE",
    "UNCALIBRATED",
    "Acquisition",
    "ActivationMap",
    "BodyPart",
    "BonescintError",
    "PlattCalibration",
    "Call",
    "Case",
    "EvidenceRegion",
    "Focus",
    "FocusKind",
    "InputError",
    "MissingExtraError",
    "ModelFolderError",
    "NormalRank",
    "NotABoneScanError",
    "OutputError",
    "ParameterError",
    "PixelUnit",
    "Prediction",
    "Scan",
    "SiteGroup",
    "SourceFrame",
    "Split",
    "Truth",
    "UnitError",
    "UptakeSite",
    "View",
    "ViewConflictError",
    "ViewRule",
    "mirrored",
    "os_reason",
]
