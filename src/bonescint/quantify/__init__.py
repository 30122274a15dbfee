"""Regions, foci and the Bone Scan Index of a scan."""

from bonescint.quantify.bone_atlas import BoneAtlas, bone_atlas
from bonescint.quantify.bone_scan_index import (
    METASTASIS_FROM,
    BoneScanIndex,
    MassTable,
    bone_masses,
    bone_scan_index,
    index_in_words,
)
from bonescint.quantify.candidates import FocusInView
from bonescint.quantify.change import (
    ChangedFocus,
    FocusChange,
    Progression,
    ProgressionState,
    changed_foci,
    progression,
    require_increasing,
    with_risen,
)
from bonescint.quantify.detectability import CONTRASTS, DetectionLimit, detection_limits
from bonescint.quantify.foci import MatchedFocus, matched_foci
from bonescint.quantify.label_evidence import LabelEvidence
from bonescint.quantify.quantified import (
    SHOWN_FROM,
    QuantifiedScan,
    findings_in_words,
    focus_json,
    quantify_scan,
)
from bonescint.quantify.regions import BodyRegions, body_regions, dice_by_region
from bonescint.quantify.registration import Registration, registered
from bonescint.simulate.seen_foci import TWELVE_NAMES

__all__ = [
    "CONTRASTS",
    "METASTASIS_FROM",
    "SHOWN_FROM",
    "TWELVE_NAMES",
    "BodyRegions",
    "BoneAtlas",
    "BoneScanIndex",
    "ChangedFocus",
    "DetectionLimit",
    "FocusChange",
    "Progression",
    "ProgressionState",
    "changed_foci",
    "detection_limits",
    "progression",
    "require_increasing",
    "FocusInView",
    "LabelEvidence",
    "MatchedFocus",
    "MassTable",
    "QuantifiedScan",
    "Registration",
    "body_regions",
    "bone_atlas",
    "bone_masses",
    "bone_scan_index",
    "dice_by_region",
    "findings_in_words",
    "index_in_words",
    "matched_foci",
    "focus_json",
    "quantify_scan",
    "registered",
    "with_risen",
]
