"""Cohorts on disk: the manifest, truth files, simulated cohorts.

Floor 2 of the house: may use `dicom` and `simulate`.
"""

from bonescint.cohort.manifest import Manifest, read_manifest, write_manifest
from bonescint.cohort.simulated import simulate_cohort
from bonescint.cohort.truth_file import read_truth, write_truth

__all__ = [
    "Manifest",
    "read_manifest",
    "read_truth",
    "simulate_cohort",
    "write_manifest",
    "write_truth",
]
