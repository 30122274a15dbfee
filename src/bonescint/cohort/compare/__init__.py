"""Two cohorts side by side: how their scans look on average, and whether they can be told apart."""

from bonescint.cohort.compare.averages import (
    Averages,
    read_normal_database,
    write_normal_database,
)
from bonescint.cohort.compare.comparing import compare_cohorts
from bonescint.cohort.compare.measuring import Scorer
from bonescint.cohort.compare.results import CohortComparison

__all__ = [
    "Averages",
    "CohortComparison",
    "Scorer",
    "compare_cohorts",
    "read_normal_database",
    "write_normal_database",
]
