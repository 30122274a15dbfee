"""Bone scans on disk: DICOM files and pictures to `Scan`, and a `Scan` to DICOM.

Layer 1. `discover` finds studies by their headers, `read_study` reads one,
`read` does both for a single study, `info` describes what it finds, `write_nm` writes an NM
object. Every fault of a file is raised as an `InputError`; no identifier from a
header leaves this package. pydicom and the decoders are loaded when the first file is read.
"""

from bonescint.dicom.confidentiality import ConfidentialityProfile
from bonescint.dicom.deidentification import DeidentifiedObject, deidentified
from bonescint.dicom.deidentified_folder import DeidentifiedFolder, deidentify_folder
from bonescint.dicom.description import InfoReport, ScanInfo, ViewInfo, describe, info
from bonescint.dicom.discovery import Discovery, StudyFiles, discover
from bonescint.dicom.identifying_values import (
    identity_of,
    require_no_identity,
    without_identity,
)
from bonescint.dicom.identity import (
    Identifier,
    StudyKeys,
    hashed_identifier,
    is_dicom,
    names_of,
    opened_key,
    pair_name,
    study_keys,
)
from bonescint.dicom.objects import read_given, scan_of_arrays
from bonescint.dicom.reading import read, read_study
from bonescint.dicom.writing import HeaderStyle, PatientFacts, write_nm

__all__ = [
    "ConfidentialityProfile",
    "DeidentifiedFolder",
    "DeidentifiedObject",
    "Discovery",
    "HeaderStyle",
    "Identifier",
    "InfoReport",
    "PatientFacts",
    "ScanInfo",
    "StudyFiles",
    "StudyKeys",
    "ViewInfo",
    "deidentified",
    "deidentify_folder",
    "describe",
    "discover",
    "hashed_identifier",
    "identity_of",
    "info",
    "is_dicom",
    "names_of",
    "opened_key",
    "pair_name",
    "read",
    "read_given",
    "read_study",
    "require_no_identity",
    "scan_of_arrays",
    "study_keys",
    "without_identity",
    "write_nm",
]
