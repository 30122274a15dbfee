"""Readers that are programs: they use the same HTTP interface as the pages.

They test the server, the load and the statistics, and fill the demonstration. Whatever is made
from their answers says so in its title.
"""

from bonescint.study.simulated.behaviour import (
    CaseTruth,
    SimulatedReader,
    reader_panel,
    truth_by_picture,
)
from bonescint.study.simulated.client import ReaderClient
from bonescint.study.simulated.reading import read_all, read_study

__all__ = [
    "CaseTruth",
    "ReaderClient",
    "SimulatedReader",
    "read_all",
    "read_study",
    "reader_panel",
    "truth_by_picture",
]
