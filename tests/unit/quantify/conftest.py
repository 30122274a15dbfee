from __future__ import annotations

import pytest
from tests.support.known_scan import KnownScan, known_scan


@pytest.fixture(scope="session")
def known() -> KnownScan:
    pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
    return known_scan()
