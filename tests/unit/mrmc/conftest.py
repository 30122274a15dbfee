"""Studies for the tests of reader statistics."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonescint.mrmc import Reads, RoeMetz, simulate_reads

SHARED = Path(__file__).parents[4] / "shared" / "mrmc"


@pytest.fixture(scope="session")
def vandyke_folder() -> Path:
    """Van Dyke's data, from beside the repository.

    The repository does not carry them: their owners (Van Dyke et al., RSNA 1993) state no licence,
    and the R packages that hold them, RJafroc and MRMCaov, are under the GPL-3, which this
    repository's licence cannot take in.
    """
    if not (SHARED / "vandyke.csv").is_file():
        pytest.skip(
            "Van Dyke's data are not in the repository, which has no licence to carry them: put "
            "vandyke.csv, .imrmc and .lrc into ../shared/mrmc"
        )
    return SHARED


@pytest.fixture(scope="session")
def small() -> Reads:
    """A small factorial study with ties."""
    return simulate_reads(
        RoeMetz(difference=0.5), readers=3, positives=9, negatives=11, seed=5, levels=5
    )
