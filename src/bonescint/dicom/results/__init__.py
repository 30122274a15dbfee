"""A model's answer for a scan, as DICOM objects and as an HL7 FHIR bundle.

They lie in new series of the scan's own study. highdicom, which comes with the extra `pacs`, is
loaded when the first object is made.
"""

from bonescint.dicom.results.bundle import result_bundle
from bonescint.dicom.results.results import (
    AlgorithmFacts,
    ResultKind,
    ResultObject,
    object_name,
    result_objects,
    write_result_objects,
)

__all__ = [
    "AlgorithmFacts",
    "ResultKind",
    "ResultObject",
    "object_name",
    "result_bundle",
    "result_objects",
    "write_result_objects",
]
