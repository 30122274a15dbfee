"""Cohorts on disk: manifest, truth and masks; made from a user's scans or simulated; checked.

Layer 2: may use `dicom`, `prepare` and `simulate`. `bonescint.cohort.compare`, which sets two
cohorts side by side, is imported by itself: it needs `evaluate` and `report`, too.
"""

from bonescint.cohort.check import check_cohort
from bonescint.cohort.cohort_report import CohortReport, Finding, Level, Table1, table1
from bonescint.cohort.create import CreatedCohort, create_cohort
from bonescint.cohort.labels import Layout
from bonescint.cohort.manifest import (
    Manifest,
    cohort_fingerprint,
    read_manifest,
    write_manifest,
)
from bonescint.cohort.matching import Exclusion
from bonescint.cohort.protocol import (
    Centre,
    Protocol,
    Studies,
    mixed_protocol,
    protocol_names,
    read_protocol,
)
from bonescint.cohort.regenerate_truth import regenerate_truth
from bonescint.cohort.simulated import SimulatedCohort, can_resume, simulate_cohort
from bonescint.cohort.simulated_study import SimulatedStudy, simulate_study
from bonescint.cohort.splitting import SplitRule, parse_shares
from bonescint.cohort.truth import (
    read_mask,
    read_masks,
    read_truth,
    truth_of,
    write_mask,
    write_truth,
)

__all__ = [
    "can_resume",
    "Centre",
    "CohortReport",
    "CreatedCohort",
    "Finding",
    "Layout",
    "Exclusion",
    "Level",
    "Manifest",
    "Protocol",
    "SimulatedCohort",
    "SplitRule",
    "Studies",
    "SimulatedStudy",
    "Table1",
    "check_cohort",
    "cohort_fingerprint",
    "create_cohort",
    "mixed_protocol",
    "parse_shares",
    "protocol_names",
    "read_manifest",
    "read_mask",
    "read_masks",
    "read_protocol",
    "read_truth",
    "simulate_cohort",
    "simulate_study",
    "regenerate_truth",
    "table1",
    "truth_of",
    "write_manifest",
    "write_mask",
    "write_truth",
]
