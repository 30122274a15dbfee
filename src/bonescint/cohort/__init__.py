"""Cohorts on disk: the manifest, truth files, simulated cohorts and their protocols.

Floor 2 of the house: may use `dicom` and `simulate`.
"""

from bonescint.cohort.manifest import Manifest, read_manifest, write_manifest
from bonescint.cohort.protocol import Centre, Protocol, Studies, mixed_protocol
from bonescint.cohort.protocol_file import protocol_names, read_protocol
from bonescint.cohort.simulated import SimulatedCohort, simulate_cohort
from bonescint.cohort.study import Study, simulate_study
from bonescint.cohort.truth_file import read_truth, write_truth
from bonescint.cohort.whole_truth import simulate_truth

__all__ = [
    "Centre",
    "Manifest",
    "Protocol",
    "SimulatedCohort",
    "Studies",
    "Study",
    "mixed_protocol",
    "protocol_names",
    "read_manifest",
    "read_protocol",
    "read_truth",
    "simulate_cohort",
    "simulate_study",
    "simulate_truth",
    "write_manifest",
    "write_truth",
]
