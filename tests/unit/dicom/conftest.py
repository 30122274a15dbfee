"""Makes `tests/support` importable and paints the bodies that the tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from dicom_files import paint_body


@pytest.fixture(scope="session")
def anterior() -> NDArray[np.uint16]:
    """A painted anterior view, 1024 x 256 counts; its injection site is on the left."""
    return paint_body(1)


@pytest.fixture(scope="session")
def posterior() -> NDArray[np.uint16]:
    """The posterior view that goes with it; its injection site is on the right."""
    return paint_body(2, posterior=True)
